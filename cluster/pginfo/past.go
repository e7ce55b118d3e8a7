package pginfo

import (
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
)

// An Interval is a run of epochs in which a PG had one up and one acting set (pg_interval_t).
type Interval struct {
	First, Last        ceph.Epoch
	Up, Acting         []int32
	UpPrimary, Primary int32
	MaybeWentRW        bool // it may have taken writes
}

// A RWInterval is what stays known of an interval that may have taken writes.
type RWInterval struct {
	First, Last ceph.Epoch
	Acting      []int32 // ascending, without holes
}

// PastIntervals are the intervals since the PG was last clean, as far as they matter for finding
// out what was written (PastIntervals, pi_compact_rep).
type PastIntervals struct {
	First, Last  ceph.Epoch // the epochs covered; zero if there are none
	Participants []int32    // all OSDs that were up or acting, ascending
	RW           []RWInterval
}

// IsEmpty says whether nothing is recorded.
func (p *PastIntervals) IsEmpty() bool { return p.First == 0 }

// Add records the interval that follows those recorded; lostAt says when an OSD has last lost its
// disk. The slices of an earlier copy of p are not changed.
func (p *PastIntervals) Add(i Interval, lostAt func(osd int32) ceph.Epoch) {
	if p.First == 0 {
		p.First = i.First
	}
	p.Last = i.Last
	acting := members(nil, i.Acting)
	p.Participants = members(members(p.Participants, i.Acting), i.Up)
	if !i.MaybeWentRW {
		return
	}
	// Whoever of the new interval is asked knows at least as much as one asked of an older
	// interval that had all of them, with the disks that they have now.
	kept := make([]RWInterval, 0, len(p.RW)+1)
	for _, old := range p.RW {
		superseded := !slices.ContainsFunc(acting, func(o int32) bool {
			return !slices.Contains(old.Acting, o) || lostAt(o) > old.First
		})
		if !superseded {
			kept = append(kept, old)
		}
	}
	p.RW = append(kept, RWInterval{First: i.First, Last: i.Last, Acting: acting})
}

// members is the ascending union of two sets of OSDs, without holes.
func members(set, osds []int32) []int32 {
	out := slices.Clone(set)
	for _, o := range osds {
		if o >= 0 && o != 0x7fffffff && !slices.Contains(out, o) {
			out = append(out, o)
		}
	}
	slices.Sort(out)
	return out
}

// EachRW visits the intervals that may have taken writes, newest first, back to those that ended
// before epoch since (iterate_mayberw_back_to).
func (p *PastIntervals) EachRW(since ceph.Epoch, f func(first ceph.Epoch, acting []int32)) {
	for _, i := range slices.Backward(p.RW) {
		if i.Last < since {
			return
		}
		f(i.First, i.Acting)
	}
}

// Denc is a section of our own.
func (p *PastIntervals) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	p.First.Denc(c)
	p.Last.Denc(c)
	denc.ListFunc(c, &p.Participants, (*denc.Coder).I32)
	denc.List(c, &p.RW)
	s.End()
}

// Denc is the epochs and the OSDs.
func (i *RWInterval) Denc(c *denc.Coder) {
	i.First.Denc(c)
	i.Last.Denc(c)
	denc.ListFunc(c, &i.Acting, (*denc.Coder).I32)
}
