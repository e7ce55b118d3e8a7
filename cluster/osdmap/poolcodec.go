package osdmap

import (
	"maps"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/crush"
)

// NewPool is a pool with the defaults that stock gives to a field no one has set.
func NewPool() *Pool {
	return &Pool{
		Type: Replicated, ObjectHash: 2, TierOf: -1, ReadTier: -1, WriteTier: -1,
		UseGMTHitSet: true, PeeringBucketMandatory: crush.None,
	}
}

// Clone is a copy to be edited.
func (p *Pool) Clone() *Pool {
	q := *p
	q.Snaps = maps.Clone(p.Snaps)
	q.RemovedSnaps = append([]SnapRange(nil), p.RemovedSnaps...)
	q.Tiers = append([]uint64(nil), p.Tiers...)
	q.Properties = maps.Clone(p.Properties)
	q.Opts = maps.Clone(p.Opts)
	q.Applications = make(map[string]map[string]string, len(p.Applications))
	for app, kv := range p.Applications {
		q.Applications[app] = maps.Clone(kv)
	}
	return &q
}

// Denc is pg_pool_t version 29, 30 for stretch pools; versions from 5 on are read.
func (p *Pool) Denc(c *denc.Coder) {
	if !c.Encoding() {
		*p = *NewPool()
	}
	v := uint8(29)
	if !c.Encoding() || p.PeeringBucketCount != 0 {
		v = 30
	}
	s := c.Begin(v, 5)
	if s.V < 5 && !c.Encoding() {
		c.Invalid("pool of version %d, from before 2012", s.V)
	}
	p.dencBase(c)
	p.dencTiers(c, s.V)
	p.dencCache(c, s.V)
	p.dencLate(c, s.V)
	s.End()
	if !c.Encoding() {
		p.upgradeSnapMode()
	}
}

// dencBase is the fields of version 5.
func (p *Pool) dencBase(c *denc.Coder) {
	c.U8((*uint8)(&p.Type))
	c.U8(&p.Size)
	c.U8(&p.CrushRule)
	c.U8(&p.ObjectHash)
	c.U32(&p.PGNum)
	c.U32(&p.PGPNum)
	c.U32(&p.lpgNum)
	c.U32(&p.lpgpNum)
	p.LastChange.Denc(c)
	p.SnapSeq.Denc(c)
	p.SnapEpoch.Denc(c)
	denc.Map(c, &p.Snaps, dencSnapID)
	denc.List(c, &p.RemovedSnaps)
	c.U64(&p.AUID)
	c.U64((*uint64)(&p.Flags))
	c.U32(&p.crashReplay)
}

func (p *Pool) dencTiers(c *denc.Coder, v uint8) {
	if v >= 7 {
		c.U8(&p.MinSize)
	} else {
		p.MinSize = p.Size - p.Size/2
	}
	if v >= 8 {
		c.U64(&p.QuotaMaxBytes)
		c.U64(&p.QuotaMaxObjects)
	}
	if v >= 9 {
		denc.ListFunc(c, &p.Tiers, (*denc.Coder).U64)
		c.I64(&p.TierOf)
		c.U8((*uint8)(&p.CacheMode))
		c.I64(&p.ReadTier)
		c.I64(&p.WriteTier)
	}
	if v >= 10 {
		denc.MapFunc(c, &p.Properties, (*denc.Coder).Str, (*denc.Coder).Str)
	}
	if v >= 11 {
		p.HitSet.Denc(c)
		c.U32(&p.HitSetPeriod)
		c.U32(&p.HitSetCount)
	}
}

func (p *Pool) dencCache(c *denc.Coder, v uint8) {
	if v >= 12 {
		c.U32(&p.StripeWidth)
	}
	if v >= 13 {
		c.U64(&p.TargetMaxBytes)
		c.U64(&p.TargetMaxObjects)
		c.U32(&p.CacheTargetDirtyRatioMicro)
		c.U32(&p.CacheTargetFullRatioMicro)
		c.U32(&p.CacheMinFlushAge)
		c.U32(&p.CacheMinEvictAge)
	}
	if v >= 14 {
		c.Str(&p.ECProfile)
	}
	if v >= 15 {
		p.LastForceResendPreluminous.Denc(c)
	}
	sinceVersion(c, v, 16, &p.MinReadRecency, 1)
	if v >= 17 {
		c.U64(&p.ExpectedNumObjects)
	}
	sinceVersion(c, v, 19, &p.CacheTargetDirtyHighMicro, p.CacheTargetDirtyRatioMicro)
	sinceVersion(c, v, 20, &p.MinWriteRecency, 1)
	if v >= 21 {
		c.Bool(&p.UseGMTHitSet)
	} else {
		p.UseGMTHitSet = false
	}
	if v >= 22 {
		c.Bool(&p.FastRead)
	}
	if v >= 23 {
		c.U32(&p.HitSetGradeDecay)
	}
	sinceVersion(c, v, 23, &p.HitSetSearchLastN, 1)
}

// sinceVersion is a u32 that version first added; older writers meant old.
func sinceVersion(c *denc.Coder, v, first uint8, p *uint32, old uint32) {
	if v >= first {
		c.U32(p)
	} else {
		*p = old
	}
}

func (p *Pool) dencLate(c *denc.Coder, v uint8) {
	if v >= 24 {
		p.dencOpts(c)
	}
	sinceVersion(c, v, 25, (*uint32)(&p.LastForceResendPrenautilus),
		uint32(p.LastForceResendPreluminous))
	if v >= 26 {
		denc.MapFunc(c, &p.Applications, (*denc.Coder).Str, dencStrings)
	}
	if v >= 27 {
		p.CreateTime.Denc(c)
	}
	sinceVersion(c, v, 28, &p.PGNumTarget, p.PGNum)
	sinceVersion(c, v, 28, &p.PGPNumTarget, p.PGPNum)
	sinceVersion(c, v, 28, &p.PGNumPending, p.PGNum)
	sinceVersion(c, v, 28, &p.mergeStarted, 0)
	sinceVersion(c, v, 28, &p.mergeCleanEpoch, 0)
	sinceVersion(c, v, 28, (*uint32)(&p.LastForceResend), uint32(p.LastForceResendPrenautilus))
	if v >= 28 {
		c.U8((*uint8)(&p.Autoscale))
	} else {
		p.Autoscale = AutoscaleWarn
	}
	switch {
	case v >= 29:
		p.LastPGMerge.Denc(c)
	case v == 28:
		p.LastPGMerge.LastEpochStarted = ceph.Epoch(p.mergeStarted)
		p.LastPGMerge.LastEpochClean = ceph.Epoch(p.mergeCleanEpoch)
	}
	if v >= 30 {
		c.U32(&p.PeeringBucketCount)
		c.U32(&p.PeeringBucketTarget)
		c.U32(&p.PeeringBucketBarrier)
		c.I32(&p.PeeringBucketMandatory)
	}
}

// upgradeSnapMode sets the flag that says which kind of snapshots the pool has, which writers
// before mimic left to be inferred.
func (p *Pool) upgradeSnapMode() {
	if p.SnapSeq == 0 || p.Flags&(PoolSelfmanagedSnaps|PoolPoolSnaps) != 0 {
		return
	}
	if len(p.RemovedSnaps) > 0 {
		p.Flags |= PoolSelfmanagedSnaps
	} else {
		p.Flags |= PoolPoolSnaps
	}
}

// dencOpts is pool_opts_t version 2: integers have eight bytes, four in version 1.
func (p *Pool) dencOpts(c *denc.Coder) {
	s := c.Begin(2, 1)
	denc.MapFunc(c, &p.Opts, func(c *denc.Coder, k *PoolOpt) { c.I32((*int32)(k)) },
		func(c *denc.Coder, v *OptValue) { v.denc(c, s.V) })
	s.End()
}

func (v *OptValue) denc(c *denc.Coder, version uint8) {
	c.I32((*int32)(&v.Type))
	switch {
	case v.Type == OptStr:
		c.Str(&v.Str)
	case v.Type == OptInt && version >= 2:
		c.I64(&v.Int)
	case v.Type == OptInt:
		i := int32(v.Int)
		c.I32(&i)
		v.Int = int64(i)
	case v.Type == OptDouble:
		c.F64(&v.Float)
	default:
		c.Invalid("pool option of type %d", v.Type)
	}
}

// Denc is pool_snap_info_t version 2.
func (s *PoolSnap) Denc(c *denc.Coder) {
	f := c.Begin(2, 2)
	s.ID.Denc(c)
	s.Stamp.Denc(c)
	c.Str(&s.Name)
	f.End()
}

// Denc is pg_merge_meta_t version 1.
func (m *PGMerge) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	m.Source.Denc(c)
	m.ReadyEpoch.Denc(c)
	m.LastEpochStarted.Denc(c)
	m.LastEpochClean.Denc(c)
	m.SourceVersion.Denc(c)
	m.TargetVersion.Denc(c)
	s.End()
}

// The types of hit sets.
const (
	hitSetNone     = 0
	hitSetExplicit = 1
	hitSetObjects  = 2
	hitSetBloom    = 3
)

// Denc is HitSet::Params version 1; only bloom filters have parameters.
func (h *HitSetParams) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.U8(&h.Type)
	switch {
	case c.Err() != nil || h.Type == hitSetNone:
	case h.Type == hitSetExplicit || h.Type == hitSetObjects:
	case h.Type == hitSetBloom:
		inner := c.Begin(1, 1)
		c.U32(&h.FPPMicro)
		c.U64(&h.TargetSize)
		c.U64(&h.Seed)
		inner.End()
	default:
		c.Invalid("hit set of type %d", h.Type)
	}
	s.End()
}

// Denc is the start and the length.
func (r *SnapRange) Denc(c *denc.Coder) {
	r.Start.Denc(c)
	c.U64(&r.Len)
}

// Denc is the two numbers.
func (r *Remap) Denc(c *denc.Coder) {
	c.I32(&r.From)
	c.I32(&r.To)
}

func dencSnapID(c *denc.Coder, s *ceph.SnapID) { s.Denc(c) }

func dencStrings(c *denc.Coder, m *map[string]string) {
	denc.MapFunc(c, m, (*denc.Coder).Str, (*denc.Coder).Str)
}

func dencSnapRanges(c *denc.Coder, r *[]SnapRange) { denc.List(c, r) }

func dencOSDs(c *denc.Coder, osds *[]int32) { denc.ListFunc(c, osds, (*denc.Coder).I32) }

func dencRemaps(c *denc.Coder, r *[]Remap) { denc.List(c, r) }

func dencPGID(c *denc.Coder, pg *ceph.PGID) { pg.Denc(c) }

// pgMap is a map with PGs as keys, in Ceph's order.
func pgMap[V any](c *denc.Coder, p *map[ceph.PGID]V, val func(*denc.Coder, *V)) {
	denc.MapCmp(c, p, ceph.PGID.Compare, dencPGID, val)
}
