package pgstat

import (
	"glue/ceph"
	"glue/ceph/denc"
)

// A Statfs is the space of a store (store_statfs_t), in bytes.
type Statfs struct {
	Total                   uint64 `json:"total"`
	Available               uint64 `json:"available"`
	InternallyReserved      uint64 `json:"internally_reserved"`
	Allocated               int64  `json:"allocated"` // by object data
	DataStored              int64  `json:"data_stored"`
	DataCompressed          int64  `json:"data_compressed"`
	DataCompressedAllocated int64  `json:"data_compressed_allocated"`
	DataCompressedOriginal  int64  `json:"data_compressed_original"`
	OmapAllocated           int64  `json:"omap_allocated"`
	InternalMetadata        int64  `json:"internal_metadata"`
}

// Denc is store_statfs_t version 1.
func (s *Statfs) Denc(c *denc.Coder) {
	f := c.Begin(1, 1)
	c.U64(&s.Total)
	c.U64(&s.Available)
	c.U64(&s.InternallyReserved)
	for _, p := range s.signed() {
		c.I64(p)
	}
	f.End()
}

func (s *Statfs) signed() []*int64 {
	return []*int64{&s.Allocated, &s.DataStored, &s.DataCompressed, &s.DataCompressedAllocated,
		&s.DataCompressedOriginal, &s.OmapAllocated, &s.InternalMetadata}
}

// Add adds every field of o.
func (s *Statfs) Add(o *Statfs) {
	s.Total += o.Total
	s.Available += o.Available
	s.InternallyReserved += o.InternallyReserved
	for i, p := range s.signed() {
		*p += *o.signed()[i]
	}
}

// Sub subtracts every field of o.
func (s *Statfs) Sub(o *Statfs) {
	s.Total -= o.Total
	s.Available -= o.Available
	s.InternallyReserved -= o.InternallyReserved
	for i, p := range s.signed() {
		*p -= *o.signed()[i]
	}
}

// UsedRaw is what is not available, metadata and reserve included.
func (s *Statfs) UsedRaw() uint64 { return s.Total - s.Available }

// Used is UsedRaw without what the store reserves for itself.
func (s *Statfs) Used() uint64 { return s.UsedRaw() - s.InternallyReserved }

// UsedRawRatio is the share of the total that is not available; 0 without a total.
func (s *Statfs) UsedRawRatio() float32 {
	if s.Total == 0 {
		return 0
	}
	return float32(s.UsedRaw()) / float32(s.Total)
}

// An OSD is what an OSD reports of itself (osd_stat_t).
type OSD struct {
	Statfs             Statfs
	HBPeers            []int32
	SnapTrimQueueLen   int32
	NumSnapTrimming    int32
	NumShardsRepaired  uint64
	OpQueueAgeHist     []int32 // by power of two of the age in ms
	CommitLatencyNS    uint64
	ApplyLatencyNS     uint64
	Alerts             map[int32]map[string]string
	UpFrom             ceph.Epoch
	Seq                uint64
	NumPGs             uint32
	NumOSDs            uint32
	NumPerPoolOSDs     uint32 // how many report statistics per pool
	NumPerPoolOmapOSDs uint32
	PingTimes          map[int32]PingTimes
}

// PingTimes are the round trips to a peer, in microseconds; triples are over 1, 5 and 15 minutes.
type PingTimes struct {
	LastUpdate                uint32 // seconds since 1970
	Back, BackMin, BackMax    [3]uint32
	BackLast                  uint32
	Front, FrontMin, FrontMax [3]uint32
	FrontLast                 uint32
}

// Denc is osd_stat_t version 14; versions from 9, nautilus, on are read.
func (o *OSD) Denc(c *denc.Coder) {
	s := c.Begin(14, 2)
	if c.Err() == nil && s.V < 9 {
		c.Invalid("osd_stat of version %d, from before nautilus", s.V)
	}
	f := &o.Statfs
	dencKB(c, f.Total, f.UsedRaw(), f.Available)
	c.I32(&o.SnapTrimQueueLen)
	c.I32(&o.NumSnapTrimming)
	denc.ListFunc(c, &o.HBPeers, (*denc.Coder).I32)
	var out []int32
	denc.ListFunc(c, &out, (*denc.Coder).I32)
	h := c.Begin(1, 1)
	denc.ListFunc(c, &o.OpQueueAgeHist, (*denc.Coder).I32)
	h.End()
	o.dencPerf(c)
	o.UpFrom.Denc(c)
	c.U64(&o.Seq)
	c.U32(&o.NumPGs)
	dencKB(c, uint64(f.Allocated), uint64(f.OmapAllocated), uint64(f.InternalMetadata))
	f.Denc(c)
	o.dencLate(c, s.V)
	s.End()
}

// dencPerf is objectstore_perf_stat_t version 2; version 1 has milliseconds.
func (o *OSD) dencPerf(c *denc.Coder) {
	s := c.Begin(2, 2)
	for _, p := range []*uint64{&o.CommitLatencyNS, &o.ApplyLatencyNS} {
		if s.V >= 2 {
			c.U64(p)
			continue
		}
		var ms uint32
		c.U32(&ms)
		*p = uint64(ms) * 1e6
	}
	s.End()
}

// dencKB is numbers in KiB that repeat what the statfs says.
func dencKB(c *denc.Coder, bytes ...uint64) {
	for _, b := range bytes {
		c.U64Const(uint64(int64(b) >> 10))
	}
}

func (o *OSD) dencLate(c *denc.Coder, v uint8) {
	if v >= 10 {
		denc.MapFunc(c, &o.Alerts, (*denc.Coder).I32, dencAlert)
	}
	if v >= 11 {
		c.U64(&o.NumShardsRepaired)
	}
	if v >= 12 {
		c.U32(&o.NumOSDs)
		c.U32(&o.NumPerPoolOSDs)
	}
	if v >= 13 {
		c.U32(&o.NumPerPoolOmapOSDs)
	}
	if v >= 14 {
		denc.Map(c, &o.PingTimes, (*denc.Coder).I32)
	}
}

func dencAlert(c *denc.Coder, m *map[string]string) {
	denc.MapFunc(c, m, (*denc.Coder).Str, (*denc.Coder).Str)
}

// Denc is the numbers in a row.
func (p *PingTimes) Denc(c *denc.Coder) {
	c.U32(&p.LastUpdate)
	dencTriples(c, &p.Back, &p.BackMin, &p.BackMax)
	c.U32(&p.BackLast)
	dencTriples(c, &p.Front, &p.FrontMin, &p.FrontMax)
	c.U32(&p.FrontLast)
}

func dencTriples(c *denc.Coder, triples ...*[3]uint32) {
	for _, t := range triples {
		for i := range t {
			c.U32(&t[i])
		}
	}
}

// A Pool is the sum over a pool's PGs and, where OSDs tell it, its space (pool_stat_t).
type Pool struct {
	Stats         Collection
	Store         Statfs
	LogSize       int64
	OndiskLogSize int64
	Up, Acting    int32 // copies in the up and acting sets
	NumStoreStats int32 // OSDs that Store is the sum of
}

// Denc is pool_stat_t version 7; versions from 5 on are read.
func (p *Pool) Denc(c *denc.Coder) {
	s := c.Begin(7, 5)
	p.Stats.Denc(c)
	c.I64(&p.LogSize)
	c.I64(&p.OndiskLogSize)
	if s.V >= 6 {
		c.I32(&p.Up)
		c.I32(&p.Acting)
	}
	if s.V >= 7 {
		p.Store.Denc(c)
		c.I32(&p.NumStoreStats)
	}
	s.End()
}
