package pginfo

import (
	"glue/ceph"
	"glue/ceph/denc"
)

// Stats are the counts of one PG's objects and operations (object_stat_sum_t, as far as it is kept
// with the PG).
type Stats struct {
	Objects, Bytes            int64
	ObjectsOmap               int64
	OmapBytes, OmapKeys       int64
	ObjectsDirty              int64
	Reads, ReadKiB            int64
	Writes, WrittenKiB        int64
	Recovered, RecoveredBytes int64
	RecoveredKeys             int64
	// Of Objects: how many are clones, and how many are there for their clones only.
	ObjectsClone, Whiteouts int64
	// Estimated says that the counts of objects were shared out when the PG was split: its primary
	// counts anew.
	Estimated bool
	Scrub     ScrubStats
}

// ScrubStats is what the last scrub has found and is not mended.
type ScrubStats struct {
	Shallow, Deep int64 // errors
	LargeOmap     int64 // objects with an omap above the limits
	Repaired      int64 // objects, ever
}

// Errors is all of them.
func (s *ScrubStats) Errors() int64 { return s.Shallow + s.Deep }

// Denc is a section of our own.
func (s *Stats) Denc(c *denc.Coder) {
	sec := c.Begin(4, 1)
	for _, p := range s.counts()[:firstCounts] {
		c.I64(p)
	}
	if sec.V >= 2 {
		c.Bool(&s.Estimated)
	}
	if sec.V >= 3 {
		c.I64(&s.Scrub.Shallow)
		c.I64(&s.Scrub.Deep)
		c.I64(&s.Scrub.LargeOmap)
		c.I64(&s.Scrub.Repaired)
	}
	if sec.V >= 4 {
		c.I64(&s.Whiteouts)
	}
	sec.End()
}

// firstCounts is how many of counts there were in version 1.
const firstCounts = 14

// counts are all numbers.
func (s *Stats) counts() []*int64 {
	return []*int64{
		&s.Objects, &s.Bytes, &s.ObjectsOmap, &s.OmapBytes, &s.OmapKeys, &s.ObjectsDirty,
		&s.Reads, &s.ReadKiB, &s.Writes, &s.WrittenKiB, &s.Recovered, &s.RecoveredBytes,
		&s.RecoveredKeys, &s.ObjectsClone, &s.Whiteouts,
	}
}

// TakeRecovered takes what another copy says was recovered.
func (s *Stats) TakeRecovered(o *Stats) {
	s.Recovered, s.RecoveredBytes, s.RecoveredKeys = o.Recovered, o.RecoveredBytes, o.RecoveredKeys
}

// Add adds the counts of a PG that is merged into this one.
func (s *Stats) Add(o *Stats) {
	theirs := o.counts()
	for i, n := range s.counts() {
		*n += *theirs[i]
	}
	s.Estimated = s.Estimated || o.Estimated
	s.Scrub.Shallow += o.Scrub.Shallow
	s.Scrub.Deep += o.Scrub.Deep
	s.Scrub.LargeOmap += o.Scrub.LargeOmap
	s.Scrub.Repaired += o.Scrub.Repaired
}

// Share takes one of several equal parts of the counts out (object_stat_sum_t::split). Where there
// are errors each part has one at least: which of them has damage shows when they are scrubbed.
func (s *Stats) Share(parts int) Stats {
	s.Estimated = true
	out := *s
	n := int64(parts)
	mine := s.counts()
	for i, share := range out.counts() {
		*share = *mine[i] / n
		*mine[i] -= *share
	}
	for _, c := range [][2]*int64{
		{&s.Scrub.Shallow, &out.Scrub.Shallow}, {&s.Scrub.Deep, &out.Scrub.Deep},
	} {
		if all := *c[0]; all > 0 {
			*c[1] = max(1, all/n)
			*c[0] = max(1, all-*c[1])
		}
	}
	for _, c := range [][2]*int64{
		{&s.Scrub.LargeOmap, &out.Scrub.LargeOmap}, {&s.Scrub.Repaired, &out.Scrub.Repaired},
	} {
		*c[1] = *c[0] / n
		*c[0] -= *c[1]
	}
	return out
}

// A History is what is known of a PG's life anywhere in the cluster (pg_history_t); its epochs are
// lower bounds.
type History struct {
	EpochCreated        ceph.Epoch // of the PG
	EpochPoolCreated    ceph.Epoch
	LastEpochStarted    ceph.Epoch // the PG went active, somewhere
	LastIntervalStarted ceph.Epoch // first epoch of that interval
	LastEpochClean      ceph.Epoch
	LastIntervalClean   ceph.Epoch
	LastEpochSplit      ceph.Epoch
	SameUpSince         ceph.Epoch
	SameIntervalSince   ceph.Epoch
	SamePrimarySince    ceph.Epoch
	LastScrub           ceph.Eversion
	LastDeepScrub       ceph.Eversion
	LastScrubStamp      ceph.Time
	LastDeepScrubStamp  ceph.Time
	LastCleanScrubStamp ceph.Time
}

// Denc is a section of our own.
func (h *History) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	for _, p := range []*ceph.Epoch{
		&h.EpochCreated, &h.EpochPoolCreated, &h.LastEpochStarted, &h.LastIntervalStarted,
		&h.LastEpochClean, &h.LastIntervalClean, &h.LastEpochSplit, &h.SameUpSince,
		&h.SameIntervalSince, &h.SamePrimarySince,
	} {
		p.Denc(c)
	}
	h.LastScrub.Denc(c)
	h.LastDeepScrub.Denc(c)
	h.LastScrubStamp.Denc(c)
	h.LastDeepScrubStamp.Denc(c)
	h.LastCleanScrubStamp.Denc(c)
	s.End()
}

// Merge takes over what o knows better and says whether that was anything (pg_history_t::merge).
// What only this copy can know, such as SameIntervalSince, stays.
func (h *History) Merge(o History) bool {
	old := *h
	if h.EpochCreated < o.EpochCreated {
		h.EpochCreated = o.EpochCreated
	}
	if h.EpochPoolCreated < o.EpochPoolCreated {
		h.EpochPoolCreated = o.EpochPoolCreated
	}
	h.LastEpochStarted = max(h.LastEpochStarted, o.LastEpochStarted)
	h.LastIntervalStarted = max(h.LastIntervalStarted, o.LastIntervalStarted)
	h.LastEpochClean = max(h.LastEpochClean, o.LastEpochClean)
	h.LastIntervalClean = max(h.LastIntervalClean, o.LastIntervalClean)
	h.LastEpochSplit = max(h.LastEpochSplit, o.LastEpochSplit)
	if h.LastScrubStamp.Compare(o.LastScrubStamp) < 0 {
		h.LastScrub, h.LastScrubStamp = o.LastScrub, o.LastScrubStamp
	}
	if h.LastDeepScrubStamp.Compare(o.LastDeepScrubStamp) < 0 {
		h.LastDeepScrub, h.LastDeepScrubStamp = o.LastDeepScrub, o.LastDeepScrubStamp
	}
	if h.LastCleanScrubStamp.Compare(o.LastCleanScrubStamp) < 0 {
		h.LastCleanScrubStamp = o.LastCleanScrubStamp
	}
	return *h != old
}

// An Info is what one copy of a PG says about itself (pg_info_t).
type Info struct {
	PGID                ceph.SPG
	LastUpdate          ceph.Eversion // the newest entry of its log
	LastComplete        ceph.Eversion // it has every object up to here
	LastEpochStarted    ceph.Epoch    // this copy activated
	LastIntervalStarted ceph.Epoch
	LastUserVersion     uint64
	LogTail             ceph.Eversion
	LastBackfill        ceph.HObject // it has nothing above; MAX for a complete copy
	History             History
	Stats               Stats
}

// Denc is a section of our own.
func (i *Info) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	i.PGID.Denc(c)
	i.LastUpdate.Denc(c)
	i.LastComplete.Denc(c)
	i.LastEpochStarted.Denc(c)
	i.LastIntervalStarted.Denc(c)
	c.U64(&i.LastUserVersion)
	i.LogTail.Denc(c)
	i.LastBackfill.Denc(c)
	i.History.Denc(c)
	i.Stats.Denc(c)
	s.End()
}

// IsEmpty says whether the copy has never been written to.
func (i *Info) IsEmpty() bool { return i.LastUpdate.Version == 0 }

// DNE says whether there is no such copy.
func (i *Info) DNE() bool { return i.History.EpochCreated == 0 }

// IsIncomplete says whether the copy is being backfilled.
func (i *Info) IsIncomplete() bool { return !i.LastBackfill.Max }

// HasMissing says whether the copy lacks objects of its log.
func (i *Info) HasMissing() bool { return i.LastComplete != i.LastUpdate }
