package pgstat

import (
	"time"

	"glue/ceph/denc"
	"glue/cluster/osdmap"
)

// A Digest is what the manager tells the monitors of all statistics (PGMapDigest).
type Digest struct {
	NumPG, NumPGActive, NumPGUnknown, NumOSD int32

	Pools         map[int64]Pool
	PoolPGs       map[int64]int32 // PGs by pool
	Sum           Pool
	OSDSum        OSD
	OSDSumByClass map[string]OSD
	ByState       map[State]int32
	ByOSD         map[int32]PGCount
	AvailByRule   map[int32]int64 // bytes that fit until the first OSD is full; below 0 unknown
	Delta         Delta           // recent changes of Sum
	PoolDeltas    map[int64]Delta
	PurgedSnaps   map[int64][]osdmap.SnapRange
	LastSeq       map[int32]uint64 // number of each OSD's last report
}

// A PGCount is how many PGs an OSD has to do with.
type PGCount struct{ Primary, Acting, UpNotActing int32 }

// A Delta is by how much sums changed in a span of time.
type Delta struct {
	Sum  Sum
	Span time.Duration
}

// Denc is a section of our own.
func (d *Digest) Denc(c *denc.Coder) {
	s := c.Begin(2, 1)
	c.I32(&d.NumPG)
	c.I32(&d.NumPGActive)
	c.I32(&d.NumPGUnknown)
	c.I32(&d.NumOSD)
	denc.Map(c, &d.Pools, (*denc.Coder).I64)
	denc.MapFunc(c, &d.PoolPGs, (*denc.Coder).I64, (*denc.Coder).I32)
	d.Sum.Denc(c)
	d.OSDSum.Denc(c)
	denc.Map(c, &d.OSDSumByClass, (*denc.Coder).Str)
	denc.MapFunc(c, &d.ByState, dencState, (*denc.Coder).I32)
	denc.Map(c, &d.ByOSD, (*denc.Coder).I32)
	denc.MapFunc(c, &d.AvailByRule, (*denc.Coder).I32, (*denc.Coder).I64)
	d.Delta.Denc(c)
	denc.Map(c, &d.PoolDeltas, (*denc.Coder).I64)
	denc.MapFunc(c, &d.PurgedSnaps, (*denc.Coder).I64,
		func(c *denc.Coder, r *[]osdmap.SnapRange) { denc.List(c, r) })
	if s.V >= 2 {
		denc.MapFunc(c, &d.LastSeq, (*denc.Coder).I32, (*denc.Coder).U64)
	}
	s.End()
}

func dencState(c *denc.Coder, s *State) { c.U64((*uint64)(s)) }

// Denc is the numbers in a row.
func (p *PGCount) Denc(c *denc.Coder) {
	c.I32(&p.Primary)
	c.I32(&p.Acting)
	c.I32(&p.UpNotActing)
}

// Denc is the sum and the span in nanoseconds.
func (d *Delta) Denc(c *denc.Coder) {
	d.Sum.Denc(c)
	c.I64((*int64)(&d.Span))
}

// positive is the delta without what went backwards: OSDs that restart report less than before.
func (d Delta) positive() Sum {
	s := d.Sum
	s.Floor(0)
	return s
}

// rate is an amount per second.
func (d Delta) rate(n int64) int64 {
	if d.Span <= 0 {
		return 0
	}
	return int64(float64(n) / d.Span.Seconds())
}

// perPool says whether all OSDs report their space by pool, so that Pool.Store is complete.
func (d *Digest) perPool() bool { return d.OSDSum.NumOSDs == d.OSDSum.NumPerPoolOSDs }

func (d *Digest) perPoolOmap() bool { return d.OSDSum.NumOSDs == d.OSDSum.NumPerPoolOmapOSDs }

// RuleAvail is the raw space that a rule can still use, 0 when it is not known.
func (d *Digest) RuleAvail(rule int) int64 { return max(0, d.AvailByRule[int32(rule)]) }

// PoolFree is the space that a pool's clients can still write, in bytes.
func (d *Digest) PoolFree(m *osdmap.Map, pool int64) int64 {
	p := m.Pools[pool]
	if p == nil {
		return 0
	}
	rate := RawUsedRate(m, p)
	if rate == 0 {
		return 0
	}
	rule := m.Crush.FindRule(int(p.CrushRule), int(p.Type), int(p.Size))
	return int64(float32(d.RuleAvail(rule)) / rate)
}

// A ClusterSpace is the answer to a statfs request (ceph_statfs).
type ClusterSpace struct{ KB, KBUsed, KBAvail, Objects uint64 }

// Space is the cluster's space, or that of one pool if pool is not negative and known.
func (d *Digest) Space(m *osdmap.Map, pool int64) ClusterSpace {
	if p, ok := d.Pools[pool]; ok && pool >= 0 {
		s := ClusterSpace{
			KBUsed:  uint64(p.Stats.Sum.Bytes >> 10),
			KBAvail: uint64(d.PoolFree(m, pool) >> 10),
			Objects: uint64(p.Stats.Sum.Objects),
		}
		s.KB = s.KBUsed + s.KBAvail
		return s
	}
	f := &d.OSDSum.Statfs
	return ClusterSpace{f.Total >> 10, f.UsedRaw() >> 10, f.Available >> 10,
		uint64(d.Sum.Stats.Sum.Objects)}
}

// ClientRates is what clients have read and written of late: bytes and operations per second.
func (d *Digest) ClientRates() (readBytes, writtenBytes, reads, writes int64) {
	s := d.Delta.positive()
	return d.Delta.rate(s.ReadKB << 10), d.Delta.rate(s.WriteKB << 10), d.Delta.rate(s.Reads),
		d.Delta.rate(s.Writes)
}
