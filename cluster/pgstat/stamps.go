package pgstat

import (
	"time"

	"glue/ceph"
)

// Stamps are the moments that the reports of a PG carry: until when it was in certain states, and
// since when it has been in others.
type Stamps struct {
	active, peered, clean, undegraded, fullsized, becameActive, becamePeered time.Time
}

// Init begins at now.
func (s *Stamps) Init(now time.Time) {
	*s = Stamps{now, now, now, now, now, now, now}
}

// Active is when the PG was active last.
func (s *Stamps) Active() time.Time { return s.active }

// Update moves the stamps to now as far as the state in a report says, and puts them into it.
func (s *Stamps) Update(r *PG, now time.Time) {
	st := r.State
	active := st.Has(Active)
	if active {
		s.active = now
	} else {
		s.becameActive = now
	}
	if active || st.Has(Peered) {
		s.peered = now
	} else {
		s.becamePeered = now
	}
	if st.Has(Clean) {
		s.clean = now
	}
	if !st.Has(Degraded) {
		s.undegraded = now
	}
	if !st.Has(Undersized) {
		s.fullsized = now
	}
	r.LastUnstale = ceph.TimeOf(now)
	r.LastActive, r.LastBecameActive = ceph.TimeOf(s.active), ceph.TimeOf(s.becameActive)
	r.LastPeered, r.LastBecamePeered = ceph.TimeOf(s.peered), ceph.TimeOf(s.becamePeered)
	r.LastClean, r.LastUndegraded = ceph.TimeOf(s.clean), ceph.TimeOf(s.undegraded)
	r.LastFullsized = ceph.TimeOf(s.fullsized)
}
