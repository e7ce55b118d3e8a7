package reserve

import "slices"

// An Event tells the holder of a key that it was granted its slot, or has lost it.
type Event[K comparable] struct {
	Key     K
	Granted bool // false: pre-empted by one of a higher priority
}

type entry[K comparable] struct {
	key      K
	priority uint32
	keeps    bool // is not pre-empted
}

// A Reserver hands out a number of slots by priority, and to those of one priority in the order
// of their requests. The zero value has no slots; see SetMax.
type Reserver[K comparable] struct {
	max     int
	waiting []entry[K] // by priority, highest first, then by age
	granted []entry[K] // in the order of the grants
}

// SetMax changes how many slots there are. What has been granted stays granted.
func (r *Reserver[K]) SetMax(n int) []Event[K] {
	r.max = n
	return r.advance()
}

// Request asks for a slot. A key that has asked or holds one keeps its place unless its priority
// changes: then it is as if it had asked now, and a holder stays one.
func (r *Reserver[K]) Request(key K, priority uint32, keeps bool) []Event[K] {
	if i := index(r.granted, key); i >= 0 {
		r.granted[i].priority, r.granted[i].keeps = priority, keeps
		return r.advance()
	}
	if i := index(r.waiting, key); i >= 0 {
		if r.waiting[i].priority == priority {
			r.waiting[i].keeps = keeps
			return nil
		}
		r.waiting = slices.Delete(r.waiting, i, i+1)
	}
	at := len(r.waiting)
	for at > 0 && r.waiting[at-1].priority < priority {
		at--
	}
	r.waiting = slices.Insert(r.waiting, at, entry[K]{key, priority, keeps})
	return r.advance()
}

// Release gives a slot or a place in the queue back.
func (r *Reserver[K]) Release(key K) []Event[K] {
	if i := index(r.waiting, key); i >= 0 {
		r.waiting = slices.Delete(r.waiting, i, i+1)
	}
	if i := index(r.granted, key); i >= 0 {
		r.granted = slices.Delete(r.granted, i, i+1)
	}
	return r.advance()
}

// Holds says whether a key has a slot.
func (r *Reserver[K]) Holds(key K) bool { return index(r.granted, key) >= 0 }

// Len is how many hold a slot and how many wait for one.
func (r *Reserver[K]) Len() (granted, waiting int) { return len(r.granted), len(r.waiting) }

// A Row is a holder or waiter, for dumps.
type Row[K comparable] struct {
	Key      K
	Priority uint32
	Keeps    bool
}

// Dump lists who waits, in the order in which they will be served, and who holds a slot.
func (r *Reserver[K]) Dump() (waiting, granted []Row[K]) {
	rows := func(list []entry[K]) []Row[K] {
		out := []Row[K]{}
		for _, e := range list {
			out = append(out, Row[K]{e.key, e.priority, e.keeps})
		}
		return out
	}
	return rows(r.waiting), rows(r.granted)
}

// A Dump is one part of "dump_recovery_reservations".
type Dump struct {
	MaxAllowed int       `json:"max_allowed"`
	Queues     []DumpRow `json:"queues"`
	InProgress []DumpRow `json:"in_progress"`
}

// A DumpRow is a holder or waiter in it.
type DumpRow struct {
	Item       string `json:"item"`
	Prio       uint32 `json:"prio"`
	CanPreempt bool   `json:"can_preempt"`
}

// Print is the state of the reserver, with names for its keys.
func (r *Reserver[K]) Print(name func(K) string) Dump {
	rows := func(list []Row[K]) []DumpRow {
		out := []DumpRow{}
		for _, e := range list {
			out = append(out, DumpRow{name(e.Key), e.Priority, !e.Keeps})
		}
		return out
	}
	waiting, granted := r.Dump()
	return Dump{r.max, rows(waiting), rows(granted)}
}

// advance grants what it can, and pre-empts the lowest holders for higher waiters. A slot that was
// pre-empted goes to the waiter at once: its holder hears of it first.
func (r *Reserver[K]) advance() []Event[K] {
	var out []Event[K]
	for len(r.waiting) > 0 {
		next := r.waiting[0]
		if len(r.granted) >= r.max {
			low := r.lowest()
			if r.max <= 0 || len(r.granted) > r.max || low < 0 ||
				r.granted[low].priority >= next.priority {
				break
			}
			out = append(out, Event[K]{Key: r.granted[low].key})
			r.granted = slices.Delete(r.granted, low, low+1)
		}
		r.waiting = slices.Delete(r.waiting, 0, 1)
		r.granted = append(r.granted, next)
		out = append(out, Event[K]{Key: next.key, Granted: true})
	}
	return out
}

// lowest is the holder that would be pre-empted: of the lowest priority the one that came last.
func (r *Reserver[K]) lowest() int {
	low := -1
	for i, e := range r.granted {
		if !e.keeps && (low < 0 || e.priority <= r.granted[low].priority) {
			low = i
		}
	}
	return low
}

func index[K comparable](list []entry[K], key K) int {
	return slices.IndexFunc(list, func(e entry[K]) bool { return e.key == key })
}
