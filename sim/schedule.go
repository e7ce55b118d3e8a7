package sim

import "time"

// An event happens at a time of the simulation. Events of one time happen in the order in which
// they were made.
type event struct {
	at  time.Duration
	seq uint64
	run func()
}

// A schedule is a heap of events by time.
type schedule struct {
	heap []event
	seq  uint64
	now  time.Duration
}

func (e event) before(o event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// at has f called at a time, or now if that is over.
func (s *schedule) at(t time.Duration, f func()) {
	s.seq++
	e := event{max(t, s.now), s.seq, f}
	s.heap = append(s.heap, e)
	i := len(s.heap) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !e.before(s.heap[up]) {
			break
		}
		s.heap[i] = s.heap[up]
		i = up
	}
	s.heap[i] = e
}

// after has f called in a while.
func (s *schedule) after(d time.Duration, f func()) { s.at(s.now+d, f) }

// next removes the first event; the clock stands at its time then.
func (s *schedule) next() event {
	first := s.heap[0]
	n := len(s.heap) - 1
	e := s.heap[n]
	s.heap[n] = event{}
	s.heap = s.heap[:n]
	i := 0
	for {
		down := 2*i + 1
		if down >= n {
			break
		}
		if down+1 < n && s.heap[down+1].before(s.heap[down]) {
			down++
		}
		if !s.heap[down].before(e) {
			break
		}
		s.heap[i] = s.heap[down]
		i = down
	}
	if n > 0 {
		s.heap[i] = e
	}
	s.now = first.at
	return first
}
