package osdmap

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/crush"
	"glue/internal/crc32c"
)

// ErrCRC is the error of a map whose checksum is not that of its bytes, and of an incremental
// whose result is not the map that its writer had.
var ErrCRC = errors.New("checksum mismatch")

const checksumSeed = ^uint32(0)

// Decode reads a full map. A copy of the bytes is kept as its canonical encoding.
func Decode(b []byte) (*Map, error) {
	m := &Map{}
	n, err := m.decode(b)
	if err != nil {
		return nil, fmt.Errorf("osdmap: %w", err)
	}
	m.encoded = bytes.Clone(b[:n])
	return m, nil
}

func (m *Map) decode(b []byte) (int, error) {
	c := denc.NewDecoder(b, ceph.FeaturesAll)
	crc, covered := uint32(0), 0
	s := c.Begin(8, 7)
	if c.Err() == nil && s.V < 7 {
		c.Invalid("map of version %d, from before 2014", s.V)
	}
	m.dencClient(c)
	m.dencOSD(c)
	if s.V >= 8 {
		covered = c.Offset()
		c.U32(&crc)
	}
	tail := c.Offset()
	s.End()
	if err := c.Err(); err != nil {
		return 0, err
	}
	if s.V >= 8 {
		got := crc32c.Update(crc32c.Update(checksumSeed, b[:covered]), b[tail:c.Offset()])
		if got != crc {
			return 0, fmt.Errorf("%w: %08x, stated %08x", ErrCRC, got, crc)
		}
		m.crc, m.hasCRC = crc, true
	}
	m.upgradeFlags()
	m.index()
	return c.Offset(), m.validate()
}

// upgradeFlags sets what every cluster of a release has, as stock does on reading.
func (m *Map) upgradeFlags() {
	if m.RequireOSDRelease >= Nautilus {
		m.Flags |= FlagPGLogHardLimit
	}
	if m.RequireOSDRelease >= Luminous {
		m.Flags = m.Flags&^legacyRequireFlags | FlagRecoveryDeletes
	}
}

// Encode is the canonical encoding. The caller must not change it.
func (m *Map) Encode() []byte {
	if m.encoded != nil {
		return m.encoded
	}
	return m.encode()
}

func (m *Map) encode() []byte {
	c := denc.NewEncoder(make([]byte, 0, m.size+m.size/8), ceph.FeaturesAll)
	s := c.Begin(8, 7)
	m.dencClient(c)
	m.dencOSD(c)
	covered := c.Offset()
	c.U32Const(0)
	s.End()
	b := c.Bytes()
	binary.LittleEndian.PutUint32(b[covered:], crc32c.Update(checksumSeed, b[:covered]))
	return b
}

// CRC is the checksum of the canonical encoding.
func (m *Map) CRC() uint32 {
	if m.hasCRC {
		return m.crc
	}
	b := m.Encode()
	return binary.LittleEndian.Uint32(b[len(b)-4:])
}

// seal fixes the canonical encoding of a map that is about to be published.
func (m *Map) seal() {
	if m.crush.of != m.Crush {
		m.crush = encodedCrush{m.Crush, denc.Marshal(m.Crush, ceph.FeaturesAll)}
	}
	m.encoded = m.encode()
	m.size = len(m.encoded)
	m.crc = binary.LittleEndian.Uint32(m.encoded[len(m.encoded)-4:])
	m.hasCRC = true
}

// dencClient is the part that clients read.
func (m *Map) dencClient(c *denc.Coder) {
	s := c.Begin(9, 1)
	if c.Err() == nil && s.V < 6 {
		c.Invalid("client section of version %d, from before luminous", s.V)
	}
	m.FSID.Denc(c)
	m.Epoch.Denc(c)
	m.Created.Denc(c)
	m.Modified.Denc(c)
	denc.MapFunc(c, &m.Pools, (*denc.Coder).I64, dencPool)
	denc.MapFunc(c, &m.PoolNames, (*denc.Coder).I64, (*denc.Coder).Str)
	c.I32(&m.PoolMax)
	c.U32((*uint32)(&m.Flags))
	c.I32(&m.MaxOSD)
	denc.ListFunc(c, &m.State, dencState)
	denc.ListFunc(c, &m.Weight, (*denc.Coder).U32)
	denc.List(c, &m.ClientAddrs)
	pgMap(c, &m.PGTemp, dencOSDs)
	pgMap(c, &m.PrimaryTemp, (*denc.Coder).I32)
	denc.ListFunc(c, &m.PrimaryAffinity, (*denc.Coder).U32)
	if !c.Encoding() {
		m.Crush = crush.New()
	}
	if c.Encoding() && m.crush.of == m.Crush {
		c.Blob(&m.crush.raw)
	} else {
		denc.Nested(c, m.Crush)
	}
	denc.MapFunc(c, &m.ECProfiles, (*denc.Coder).Str, dencStrings)
	pgMap(c, &m.PGUpmap, dencOSDs)
	pgMap(c, &m.PGUpmapItems, dencRemaps)
	c.U32(&m.CrushVersion)
	if s.V >= 7 {
		denc.MapFunc(c, &m.NewRemovedSnaps, (*denc.Coder).I64, dencSnapRanges)
		denc.MapFunc(c, &m.NewPurgedSnaps, (*denc.Coder).I64, dencSnapRanges)
	}
	if s.V >= 9 {
		m.LastUpChange.Denc(c)
		m.LastInChange.Denc(c)
	}
	s.End()
}

// dencOSD is the part that only daemons read.
func (m *Map) dencOSD(c *denc.Coder) {
	v := uint8(11)
	if c.Encoding() {
		v = m.osdSectionVersion()
	}
	s := c.Begin(v, 1)
	if c.Err() == nil && s.V < 5 {
		c.Invalid("OSD section of version %d, from before luminous", s.V)
	}
	denc.List(c, &m.HBBackAddrs)
	denc.List(c, &m.Info)
	blocklist(c, &m.Blocklist)
	denc.List(c, &m.ClusterAddrs)
	m.ClusterSnapshotEpoch.Denc(c)
	c.Str(&m.ClusterSnapshot)
	denc.List(c, &m.UUIDs)
	denc.List(c, &m.XInfo)
	denc.List(c, &m.HBFrontAddrs)
	c.F32(&m.NearfullRatio)
	c.F32(&m.FullRatio)
	c.F32(&m.BackfillfullRatio)
	c.U8((*uint8)(&m.RequireMinCompatClient))
	c.U8((*uint8)(&m.RequireOSDRelease))
	if s.V >= 6 {
		denc.MapFunc(c, &m.RemovedSnapsQueue, (*denc.Coder).I64, dencSnapRanges)
	}
	if s.V >= 8 {
		denc.MapFunc(c, &m.CrushNodeFlags, (*denc.Coder).I32, (*denc.Coder).U32)
	}
	if s.V >= 9 {
		denc.MapFunc(c, &m.DeviceClassFlags, (*denc.Coder).I32, (*denc.Coder).U32)
	}
	if s.V >= 10 {
		m.Stretch.denc(c)
	}
	if s.V >= 11 {
		blocklist(c, &m.RangeBlocklist)
	}
	s.End()
}

func (m *Map) osdSectionVersion() uint8 {
	switch {
	case len(m.RangeBlocklist) > 0:
		return 11
	case m.Stretch.Enabled:
		return 10
	}
	return 9
}

func (s *Stretch) denc(c *denc.Coder) {
	c.Bool(&s.Enabled)
	c.U32(&s.BucketCount)
	c.U32(&s.Degraded)
	c.U32(&s.Recovering)
	c.I32(&s.Bucket)
}

// Denc is osd_info_t: a version byte without a length, then six epochs.
func (i *OSDInfo) Denc(c *denc.Coder) {
	if v := c.U8Const(1); c.Err() == nil && v != 1 {
		c.Invalid("osd_info of version %d", v)
	}
	i.LastCleanBegin.Denc(c)
	i.LastCleanEnd.Denc(c)
	i.UpFrom.Denc(c)
	i.UpThru.Denc(c)
	i.DownAt.Denc(c)
	i.LostAt.Denc(c)
}

// Denc is osd_xinfo_t version 4.
func (x *OSDXInfo) Denc(c *denc.Coder) {
	s := c.Begin(4, 1)
	x.DownStamp.Denc(c)
	p := probabilityWord(x.LaggyProbability)
	c.U32(&p)
	if !c.Encoding() {
		x.LaggyProbability = float32(p) / float32(^uint32(0))
	}
	c.U32(&x.LaggyInterval)
	if s.V >= 2 {
		c.U64(&x.Features)
	}
	if s.V >= 3 {
		c.U32(&x.OldWeight)
	}
	if s.V >= 4 {
		x.LastPurgedSnapsScrub.Denc(c)
		x.DeadEpoch.Denc(c)
	}
	s.End()
}

// probabilityWord maps 0..1 to 0..2^32-1 with the rounding of single precision; 1 is 2^32 there
// and saturates.
func probabilityWord(p float32) uint32 {
	v := float64(p * float32(^uint32(0)))
	switch {
	case !(v > 0):
		return 0
	case v >= 1<<32:
		return ^uint32(0)
	}
	return uint32(v)
}

func dencPool(c *denc.Coder, p **Pool) {
	if !c.Encoding() {
		*p = &Pool{}
	}
	(*p).Denc(c)
}

func dencState(c *denc.Coder, s *State) { c.U32((*uint32)(s)) }

func dencTime(c *denc.Coder, t *ceph.Time) { t.Denc(c) }

func dencAddr(c *denc.Coder, a *ceph.Addr) { a.Denc(c) }

func blocklist(c *denc.Coder, p *map[ceph.Addr]ceph.Time) {
	denc.MapCmp(c, p, compareAddrs, dencAddr, dencTime)
}

// compareAddrs is the order of addresses as keys: the bytes of the C struct, in which type and
// nonce are little-endian and the socket address has its family first and then the port.
func compareAddrs(a, b ceph.Addr) int {
	if c := compareWords(uint32(a.Type), uint32(b.Type)); c != 0 {
		return c
	}
	if c := compareWords(a.Nonce, b.Nonce); c != 0 {
		return c
	}
	if c := cmp.Compare(family(a.AddrPort), family(b.AddrPort)); c != 0 {
		return c
	}
	if c := cmp.Compare(a.AddrPort.Port(), b.AddrPort.Port()); c != 0 {
		return c
	}
	return bytes.Compare(a.AddrPort.Addr().Unmap().AsSlice(), b.AddrPort.Addr().Unmap().AsSlice())
}

func family(ap netip.AddrPort) int {
	switch {
	case !ap.IsValid():
		return 0
	case ap.Addr().Unmap().Is4():
		return 2
	}
	return 10
}

// compareWords compares the little-endian bytes.
func compareWords(a, b uint32) int {
	var x, y [4]byte
	binary.LittleEndian.PutUint32(x[:], a)
	binary.LittleEndian.PutUint32(y[:], b)
	return bytes.Compare(x[:], y[:])
}

// index builds what is derived from the fields.
func (m *Map) index() {
	m.names = make(map[string]int64, len(m.PoolNames))
	for id, name := range m.PoolNames {
		m.names[name] = id
	}
}

// validate refuses a map that the code cannot index safely.
func (m *Map) validate() error {
	n := int(m.MaxOSD)
	for _, l := range []struct {
		what string
		n    int
	}{
		{"osd_state", len(m.State)}, {"osd_weight", len(m.Weight)},
		{"client_addrs", len(m.ClientAddrs)}, {"cluster_addrs", len(m.ClusterAddrs)},
		{"hb_back_addrs", len(m.HBBackAddrs)}, {"hb_front_addrs", len(m.HBFrontAddrs)},
		{"osd_info", len(m.Info)}, {"osd_xinfo", len(m.XInfo)}, {"osd_uuid", len(m.UUIDs)},
	} {
		if l.n != n {
			return fmt.Errorf("%w: %s has %d elements, max_osd is %d",
				denc.ErrInvalid, l.what, l.n, n)
		}
	}
	if k := len(m.PrimaryAffinity); k != 0 && k != n {
		return fmt.Errorf("%w: primary_affinity has %d elements, max_osd is %d",
			denc.ErrInvalid, k, n)
	}
	return m.validatePools()
}

func (m *Map) validatePools() error {
	for id, p := range m.Pools {
		if p.PGNum == 0 || p.PGPNum == 0 {
			return fmt.Errorf("%w: pool %d has pg_num %d, pgp_num %d",
				denc.ErrInvalid, id, p.PGNum, p.PGPNum)
		}
	}
	return nil
}
