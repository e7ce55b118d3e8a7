package heartbeat

import "time"

// A Mark is how far something has come that should not hang.
type Mark struct {
	Busy  bool
	Steps uint64 // differs from that of the last Mark if there was any progress
}

// A Watch tells those that hang from those that work or have nothing to do. Its zero value is
// ready.
type Watch struct {
	last  time.Time
	marks []Mark
	stuck []time.Duration
}

// maxLook is the most that one Look counts as time in which others could have made progress: while
// the whole process was stopped, nothing could, and a clock that was set says nothing.
const maxLook = time.Second

// Look compares marks with those of the last Look, and says which of them has made no progress for
// longest while it was busy, and for how long; 0 if none hangs.
func (w *Watch) Look(now time.Time, marks []Mark) (which int, stuck time.Duration) {
	if len(w.marks) != len(marks) {
		w.marks, w.stuck = make([]Mark, len(marks)), make([]time.Duration, len(marks))
	}
	gone := max(0, min(now.Sub(w.last), maxLook))
	w.last = now
	for i, m := range marks {
		if m.Busy && m == w.marks[i] {
			w.stuck[i] += gone
		} else {
			w.stuck[i] = 0
		}
		w.marks[i] = m
		if w.stuck[i] > stuck {
			which, stuck = i, w.stuck[i]
		}
	}
	return which, stuck
}

// Markdowns are when an OSD was marked down although it runs.
type Markdowns struct{ at []time.Time }

// Add notes one more, and says how many there were within the period and whether these are more
// than the limit.
func (m *Markdowns) Add(now time.Time, limit int, period time.Duration) (n int, tooMany bool) {
	m.at = append(m.at, now)
	for now.Sub(m.at[0]) > period {
		m.at = m.at[1:]
	}
	return len(m.at), len(m.at) > limit
}
