package osdmap

import (
	"encoding/binary"
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/internal/crc32c"
)

// DecodeIncremental reads an incremental. Its blobs alias b.
func DecodeIncremental(b []byte) (*Incremental, error) {
	inc := &Incremental{
		NewRequireMinCompatClient: ReleaseUnchanged, NewRequireOSDRelease: ReleaseUnchanged,
	}
	if err := inc.decode(b); err != nil {
		return nil, fmt.Errorf("osdmap incremental: %w", err)
	}
	return inc, nil
}

func (inc *Incremental) decode(b []byte) error {
	c := denc.NewDecoder(b, ceph.FeaturesAll)
	crc, covered, tail := uint32(0), 0, 0
	s := c.Begin(8, 7)
	if c.Err() == nil && s.V < 7 {
		c.Invalid("incremental of version %d, from before 2014", s.V)
	}
	inc.dencClient(c)
	inc.dencOSD(c)
	if s.V >= 8 {
		covered = c.Offset()
		c.U32(&crc)
		tail = c.Offset()
		c.U32(&inc.FullCRC)
		inc.HasCRC = true
	}
	s.End()
	if err := c.Err(); err != nil || !inc.HasCRC {
		return err
	}
	got := crc32c.Update(crc32c.Update(checksumSeed, b[:covered]), b[tail:c.Offset()])
	if got != crc {
		return fmt.Errorf("%w: %08x, stated %08x", ErrCRC, got, crc)
	}
	return nil
}

// Encode is the incremental's bytes. FullCRC must be set: Map.Commit does it.
func (inc *Incremental) Encode() []byte {
	c := denc.NewEncoder(nil, ceph.FeaturesAll)
	s := c.Begin(8, 7)
	inc.dencClient(c)
	inc.dencOSD(c)
	covered := c.Offset()
	c.U32Const(0)
	tail := c.Offset()
	c.U32Const(inc.FullCRC)
	s.End()
	b := c.Bytes()
	crc := crc32c.Update(crc32c.Update(checksumSeed, b[:covered]), b[tail:])
	binary.LittleEndian.PutUint32(b[covered:], crc)
	return b
}

func (inc *Incremental) dencClient(c *denc.Coder) {
	s := c.Begin(8, 1)
	if c.Err() == nil && s.V < 7 {
		c.Invalid("client section of version %d, from before nautilus", s.V)
	}
	inc.FSID.Denc(c)
	inc.Epoch.Denc(c)
	inc.Modified.Denc(c)
	c.I64(&inc.NewPoolMax)
	c.I32(&inc.NewFlags)
	c.Blob(&inc.FullMap)
	c.Blob(&inc.Crush)
	c.I32(&inc.NewMaxOSD)
	denc.MapFunc(c, &inc.NewPools, (*denc.Coder).I64, dencPool)
	denc.MapFunc(c, &inc.NewPoolNames, (*denc.Coder).I64, (*denc.Coder).Str)
	denc.ListFunc(c, &inc.OldPools, (*denc.Coder).I64)
	osdMap(c, &inc.NewUpClient, dencAddrs)
	osdMap(c, &inc.NewState, dencState)
	osdMap(c, &inc.NewWeight, (*denc.Coder).U32)
	pgMap(c, &inc.NewPGTemp, dencOSDs)
	pgMap(c, &inc.NewPrimaryTemp, (*denc.Coder).I32)
	osdMap(c, &inc.NewPrimaryAffinity, (*denc.Coder).U32)
	denc.MapFunc(c, &inc.NewECProfiles, (*denc.Coder).Str, dencStrings)
	denc.ListFunc(c, &inc.OldECProfiles, (*denc.Coder).Str)
	pgMap(c, &inc.NewPGUpmap, dencOSDs)
	denc.List(c, &inc.OldPGUpmap)
	pgMap(c, &inc.NewPGUpmapItems, dencRemaps)
	denc.List(c, &inc.OldPGUpmapItems)
	denc.MapFunc(c, &inc.NewRemovedSnaps, (*denc.Coder).I64, dencSnapRanges)
	denc.MapFunc(c, &inc.NewPurgedSnaps, (*denc.Coder).I64, dencSnapRanges)
	if s.V >= 8 {
		inc.NewLastUpChange.Denc(c)
		inc.NewLastInChange.Denc(c)
	}
	s.End()
}

func (inc *Incremental) dencOSD(c *denc.Coder) {
	v := uint8(11)
	if c.Encoding() {
		v = inc.osdSectionVersion()
	}
	s := c.Begin(v, 1)
	if c.Err() == nil && s.V < 7 {
		c.Invalid("OSD section of version %d, from before nautilus", s.V)
	}
	osdMap(c, &inc.NewHBBack, dencAddrs)
	osdMap(c, &inc.NewUpThru, dencEpoch)
	osdMap(c, &inc.NewLastClean, dencClean)
	osdMap(c, &inc.NewLost, dencEpoch)
	blocklist(c, &inc.NewBlocklist)
	denc.List(c, &inc.OldBlocklist)
	osdMap(c, &inc.NewUpCluster, dencAddrs)
	c.Str(&inc.ClusterSnapshot)
	osdMap(c, &inc.NewUUID, func(c *denc.Coder, u *ceph.UUID) { u.Denc(c) })
	osdMap(c, &inc.NewXInfo, func(c *denc.Coder, x *OSDXInfo) { x.Denc(c) })
	osdMap(c, &inc.NewHBFront, dencAddrs)
	c.U64(&inc.EncodeFeatures)
	c.F32(&inc.NewNearfullRatio)
	c.F32(&inc.NewFullRatio)
	c.F32(&inc.NewBackfillfullRatio)
	c.U8((*uint8)(&inc.NewRequireMinCompatClient))
	c.U8((*uint8)(&inc.NewRequireOSDRelease))
	if s.V >= 8 {
		osdMap(c, &inc.NewCrushNodeFlags, (*denc.Coder).U32)
	}
	if s.V >= 9 {
		osdMap(c, &inc.NewDeviceClassFlags, (*denc.Coder).U32)
	}
	if s.V >= 10 {
		inc.dencStretch(c)
	}
	if s.V >= 11 {
		blocklist(c, &inc.NewRangeBlocklist)
		denc.List(c, &inc.OldRangeBlocklist)
	}
	s.End()
}

// dencStretch has the fields in an order of its own.
func (inc *Incremental) dencStretch(c *denc.Coder) {
	c.Bool(&inc.ChangeStretch)
	c.U32(&inc.NewStretch.BucketCount)
	c.U32(&inc.NewStretch.Degraded)
	c.U32(&inc.NewStretch.Recovering)
	c.I32(&inc.NewStretch.Bucket)
	c.Bool(&inc.NewStretch.Enabled)
}

func (inc *Incremental) osdSectionVersion() uint8 {
	switch {
	case len(inc.NewRangeBlocklist) > 0 || len(inc.OldRangeBlocklist) > 0:
		return 11
	case inc.ChangeStretch:
		return 10
	}
	return 9
}

// Denc is the two epochs.
func (i *CleanInterval) Denc(c *denc.Coder) {
	i.Begin.Denc(c)
	i.End.Denc(c)
}

// osdMap is a map with OSD numbers as keys.
func osdMap[V any](c *denc.Coder, p *map[int32]V, val func(*denc.Coder, *V)) {
	denc.MapFunc(c, p, (*denc.Coder).I32, val)
}

func dencAddrs(c *denc.Coder, v *ceph.AddrVec) { v.Denc(c) }

func dencEpoch(c *denc.Coder, e *ceph.Epoch) { e.Denc(c) }

func dencClean(c *denc.Coder, i *CleanInterval) { i.Denc(c) }
