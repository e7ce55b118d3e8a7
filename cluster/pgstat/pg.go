package pgstat

import (
	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/osdmap"
)

// A PG is what the primary of a placement group reports of it (pg_stat_t).
type PG struct {
	Version       ceph.Eversion
	ReportedSeq   uint64
	ReportedEpoch ceph.Epoch
	State         State

	LastFresh, LastChange, LastActive, LastPeered, LastClean ceph.Time
	LastUnstale, LastUndegraded, LastFullsized               ceph.Time
	LastBecameActive, LastBecamePeered                       ceph.Time

	LogStart, OndiskLogStart ceph.Eversion
	LogSize, OndiskLogSize   int64

	Created         ceph.Epoch
	LastEpochClean  ceph.Epoch
	Parent          ceph.PGID
	ParentSplitBits uint32

	LastScrub           ceph.Eversion
	LastScrubStamp      ceph.Time
	LastDeepScrub       ceph.Eversion
	LastDeepScrubStamp  ceph.Time
	LastCleanScrubStamp ceph.Time

	Stats                    Collection
	StatsInvalid             bool
	DirtyStatsInvalid        bool
	OmapStatsInvalid         bool
	HitsetStatsInvalid       bool
	HitsetBytesStatsInvalid  bool
	PinStatsInvalid          bool
	ManifestStatsInvalid     bool
	Up, Acting, BlockedBy    []int32
	UpPrimary, ActingPrimary int32 // -1 for none
	MappingEpoch             ceph.Epoch
	SnapTrimQueueLen         uint32
	PurgedSnaps              []osdmap.SnapRange
	AvailNoMissing           []ceph.PGShard
	ObjectLocationCounts     []LocationCount // in the order of the shard sets
}

// A LocationCount is how many objects have exactly these copies.
type LocationCount struct {
	Shards  []ceph.PGShard // ascending
	Objects int32
}

// Denc is pg_stat_t version 26; versions from 22 on are read.
func (p *PG) Denc(c *denc.Coder) {
	s := c.Begin(26, 22)
	low, high := uint32(p.State), uint32(p.State>>32)
	p.Version.Denc(c)
	c.U64(&p.ReportedSeq)
	p.ReportedEpoch.Denc(c)
	c.U32(&low)
	p.LogStart.Denc(c)
	p.OndiskLogStart.Denc(c)
	p.Created.Denc(c)
	p.LastEpochClean.Denc(c)
	p.Parent.Denc(c)
	c.U32(&p.ParentSplitBits)
	p.LastScrub.Denc(c)
	p.LastScrubStamp.Denc(c)
	p.Stats.Denc(c)
	c.I64(&p.LogSize)
	c.I64(&p.OndiskLogSize)
	denc.ListFunc(c, &p.Up, (*denc.Coder).I32)
	denc.ListFunc(c, &p.Acting, (*denc.Coder).I32)
	p.dencTimes(c)
	if s.V >= 23 {
		c.U32(&p.SnapTrimQueueLen)
	}
	if s.V >= 24 {
		c.U32(&high)
		denc.List(c, &p.PurgedSnaps)
	}
	if s.V >= 25 {
		c.Bool(&p.ManifestStatsInvalid)
	}
	if s.V >= 26 {
		denc.List(c, &p.AvailNoMissing)
		denc.List(c, &p.ObjectLocationCounts)
	}
	s.End()
	if !c.Encoding() {
		p.State = State(high)<<32 | State(low)
	}
}

func (p *PG) dencTimes(c *denc.Coder) {
	p.LastFresh.Denc(c)
	p.LastChange.Denc(c)
	p.LastActive.Denc(c)
	p.LastClean.Denc(c)
	p.LastUnstale.Denc(c)
	p.MappingEpoch.Denc(c)
	p.LastDeepScrub.Denc(c)
	p.LastDeepScrubStamp.Denc(c)
	c.Bool(&p.StatsInvalid)
	p.LastCleanScrubStamp.Denc(c)
	p.LastBecameActive.Denc(c)
	c.Bool(&p.DirtyStatsInvalid)
	c.I32(&p.UpPrimary)
	c.I32(&p.ActingPrimary)
	c.Bool(&p.OmapStatsInvalid)
	c.Bool(&p.HitsetStatsInvalid)
	denc.ListFunc(c, &p.BlockedBy, (*denc.Coder).I32)
	p.LastUndegraded.Denc(c)
	p.LastFullsized.Denc(c)
	c.Bool(&p.HitsetBytesStatsInvalid)
	p.LastPeered.Denc(c)
	p.LastBecamePeered.Denc(c)
	c.Bool(&p.PinStatsInvalid)
}

// Denc is the set and the number.
func (l *LocationCount) Denc(c *denc.Coder) {
	denc.List(c, &l.Shards)
	c.I32(&l.Objects)
}

// Newer says whether the report is newer than another of the same PG.
func (p *PG) Newer(o *PG) bool {
	if p.ReportedEpoch != o.ReportedEpoch {
		return p.ReportedEpoch > o.ReportedEpoch
	}
	return p.ReportedSeq > o.ReportedSeq
}
