package pgstat

import "glue/ceph/denc"

// A Sum counts a PG's or a pool's objects and traffic (object_stat_sum_t). The field order is the
// wire order; the JSON order is that of sumDump.
type Sum struct {
	Bytes                   int64
	Objects                 int64
	ObjectClones            int64
	ObjectCopies            int64 // objects times replicas
	ObjectsMissingOnPrimary int64
	ObjectsDegraded         int64
	ObjectsUnfound          int64
	Reads, ReadKB           int64
	Writes, WriteKB         int64
	ScrubErrors             int64
	ObjectsRecovered        int64
	BytesRecovered          int64
	KeysRecovered           int64
	ShallowScrubErrors      int64
	DeepScrubErrors         int64
	ObjectsDirty            int64
	Whiteouts               int64
	ObjectsOmap             int64
	ObjectsHitSetArchive    int64
	ObjectsMisplaced        int64
	BytesHitSetArchive      int64
	Flush, FlushKB          int64
	Evict, EvictKB          int64
	Promote                 int64
	FlushModeHigh           int32
	FlushModeLow            int32
	EvictModeSome           int32
	EvictModeFull           int32
	ObjectsPinned           int64
	ObjectsMissing          int64
	LegacySnapsets          int64
	LargeOmapObjects        int64
	ObjectsManifest         int64
	OmapBytes               int64
	OmapKeys                int64
	ObjectsRepaired         int64
}

// Denc is object_stat_sum_t version 20.
func (s *Sum) Denc(c *denc.Coder) {
	f := c.Begin(20, 14)
	for _, p := range s.before() {
		c.I64(p)
	}
	for _, p := range s.small() {
		c.I32(p)
	}
	for i, p := range s.after() {
		if f.V >= sumAfterSince[i] {
			c.I64(p)
		}
	}
	f.End()
}

// before are the counters before the four small ones.
func (s *Sum) before() [numBefore]*int64 {
	return [...]*int64{
		&s.Bytes, &s.Objects, &s.ObjectClones, &s.ObjectCopies, &s.ObjectsMissingOnPrimary,
		&s.ObjectsDegraded, &s.ObjectsUnfound, &s.Reads, &s.ReadKB, &s.Writes, &s.WriteKB,
		&s.ScrubErrors, &s.ObjectsRecovered, &s.BytesRecovered, &s.KeysRecovered,
		&s.ShallowScrubErrors, &s.DeepScrubErrors, &s.ObjectsDirty, &s.Whiteouts,
		&s.ObjectsOmap, &s.ObjectsHitSetArchive, &s.ObjectsMisplaced, &s.BytesHitSetArchive,
		&s.Flush, &s.FlushKB, &s.Evict, &s.EvictKB, &s.Promote,
	}
}

func (s *Sum) small() [4]*int32 {
	return [...]*int32{&s.FlushModeHigh, &s.FlushModeLow, &s.EvictModeSome, &s.EvictModeFull}
}

// after are the counters after them.
func (s *Sum) after() [numAfter]*int64 {
	return [...]*int64{
		&s.ObjectsPinned, &s.ObjectsMissing, &s.LegacySnapsets, &s.LargeOmapObjects,
		&s.ObjectsManifest, &s.OmapBytes, &s.OmapKeys, &s.ObjectsRepaired,
	}
}

// sumAfterSince are the versions in which they came.
var sumAfterSince = []uint8{14, 14, 16, 17, 18, 19, 19, 20}

// Add adds every counter of o.
func (s *Sum) Add(o *Sum) { s.combine(o, 1) }

// Sub subtracts every counter of o.
func (s *Sum) Sub(o *Sum) { s.combine(o, -1) }

func (s *Sum) combine(o *Sum, sign int64) {
	to, from := s.counters(), o.counters()
	for i := range to {
		*to[i] += sign * *from[i]
	}
	small, other := s.small(), o.small()
	for i := range small {
		*small[i] += int32(sign) * *other[i]
	}
}

// Floor raises every counter below f to f.
func (s *Sum) Floor(f int64) {
	for _, p := range s.counters() {
		*p = max(*p, f)
	}
	for _, p := range s.small() {
		*p = max(*p, int32(f))
	}
}

// IsZero says whether nothing has been counted.
func (s *Sum) IsZero() bool { return *s == Sum{} }

func (s *Sum) counters() [numBefore + numAfter]*int64 {
	before, after := s.before(), s.after()
	var all [numBefore + numAfter]*int64
	copy(all[:], before[:])
	copy(all[numBefore:], after[:])
	return all
}

const numBefore, numAfter = 28, 8

// Copies sets ObjectCopies from the number of replicas that there should be.
func (s *Sum) Copies(replicas int64) { s.ObjectCopies = s.Objects * replicas }

// A Collection is a Sum in the wrapper that records carry it in (object_stat_collection_t).
type Collection struct{ Sum Sum }

// Denc is object_stat_collection_t version 2, with its empty map of categories.
func (o *Collection) Denc(c *denc.Coder) {
	f := c.Begin(2, 2)
	o.Sum.Denc(c)
	if n := c.U32Const(0); n != 0 {
		c.Invalid("%d categories of object statistics", n)
	}
	f.End()
}
