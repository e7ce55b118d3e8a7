package pgstat

import "glue/ceph/denc"

// A Sum counts a PG's or a pool's objects and traffic (object_stat_sum_t). The field order is that
// of the dumps; the wire has another.
type Sum struct {
	Bytes                   int64 `json:"num_bytes"`
	Objects                 int64 `json:"num_objects"`
	ObjectClones            int64 `json:"num_object_clones"`
	ObjectCopies            int64 `json:"num_object_copies"`
	ObjectsMissingOnPrimary int64 `json:"num_objects_missing_on_primary"`
	ObjectsMissing          int64 `json:"num_objects_missing"`
	ObjectsDegraded         int64 `json:"num_objects_degraded"`
	ObjectsMisplaced        int64 `json:"num_objects_misplaced"`
	ObjectsUnfound          int64 `json:"num_objects_unfound"`
	ObjectsDirty            int64 `json:"num_objects_dirty"`
	Whiteouts               int64 `json:"num_whiteouts"`
	Reads                   int64 `json:"num_read"`
	ReadKB                  int64 `json:"num_read_kb"`
	Writes                  int64 `json:"num_write"`
	WriteKB                 int64 `json:"num_write_kb"`
	ScrubErrors             int64 `json:"num_scrub_errors"`
	ShallowScrubErrors      int64 `json:"num_shallow_scrub_errors"`
	DeepScrubErrors         int64 `json:"num_deep_scrub_errors"`
	ObjectsRecovered        int64 `json:"num_objects_recovered"`
	BytesRecovered          int64 `json:"num_bytes_recovered"`
	KeysRecovered           int64 `json:"num_keys_recovered"`
	ObjectsOmap             int64 `json:"num_objects_omap"`
	ObjectsHitSetArchive    int64 `json:"num_objects_hit_set_archive"`
	BytesHitSetArchive      int64 `json:"num_bytes_hit_set_archive"`
	Flush                   int64 `json:"num_flush"`
	FlushKB                 int64 `json:"num_flush_kb"`
	Evict                   int64 `json:"num_evict"`
	EvictKB                 int64 `json:"num_evict_kb"`
	Promote                 int64 `json:"num_promote"`
	FlushModeHigh           int32 `json:"num_flush_mode_high"`
	FlushModeLow            int32 `json:"num_flush_mode_low"`
	EvictModeSome           int32 `json:"num_evict_mode_some"`
	EvictModeFull           int32 `json:"num_evict_mode_full"`
	ObjectsPinned           int64 `json:"num_objects_pinned"`
	LegacySnapsets          int64 `json:"num_legacy_snapsets"`
	LargeOmapObjects        int64 `json:"num_large_omap_objects"`
	ObjectsManifest         int64 `json:"num_objects_manifest"`
	OmapBytes               int64 `json:"num_omap_bytes"`
	OmapKeys                int64 `json:"num_omap_keys"`
	ObjectsRepaired         int64 `json:"num_objects_repaired"`
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
