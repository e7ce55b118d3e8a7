package backend

import "glue/ceph"

// A Window is the writes of one PG that are not durable on every copy yet. W is what the PG keeps
// with a write.
type Window[W any] struct {
	copies  []copyState
	writes  []write[W]
	first   int           // of writes: those before are done
	durable ceph.Eversion // on every copy
	last    ceph.Eversion // the newest write
}

type copyState struct {
	osd     int32
	durable ceph.Eversion
}

type write[W any] struct {
	version ceph.Eversion
	w       W
}

// Reset begins an interval: nothing is in flight, and every copy has all up to v.
func (w *Window[W]) Reset(copies []int32, v ceph.Eversion) {
	*w = Window[W]{durable: v, last: v}
	for _, o := range copies {
		w.copies = append(w.copies, copyState{o, v})
	}
}

// Len is the number of writes in flight.
func (w *Window[W]) Len() int { return len(w.writes) - w.first }

// Durable is the version that every copy has durably.
func (w *Window[W]) Durable() ceph.Eversion { return w.durable }

// Start adds a write. A version equal to the one before is of something that only waits its turn.
func (w *Window[W]) Start(v ceph.Eversion, value W) {
	w.writes = append(w.writes, write[W]{v, value})
	w.last = v
}

// Ack notes that a copy has everything up to v, and says whether writes may have completed.
func (w *Window[W]) Ack(osd int32, v ceph.Eversion) bool {
	lowest := v
	for i := range w.copies {
		c := &w.copies[i]
		if c.osd == osd && c.durable.Less(v) {
			c.durable = v
		}
		if c.durable.Less(lowest) {
			lowest = c.durable
		}
	}
	if w.durable.Less(lowest) {
		w.durable = lowest
		return true
	}
	return false
}

// Next takes the oldest write off if it is durable everywhere.
func (w *Window[W]) Next() (value W, ok bool) {
	if w.first == len(w.writes) {
		w.writes, w.first = w.writes[:0], 0
		return value, false
	}
	f := &w.writes[w.first]
	if w.durable.Less(f.version) {
		return value, false
	}
	value = f.w
	*f = write[W]{}
	w.first++
	if w.first > 256 && w.first*2 > len(w.writes) {
		n := copy(w.writes, w.writes[w.first:])
		clear(w.writes[n:])
		w.writes, w.first = w.writes[:n], 0
	}
	return value, true
}

// Drop empties the window and returns what was in flight, oldest first.
func (w *Window[W]) Drop() []W {
	out := make([]W, 0, w.Len())
	for _, f := range w.writes[w.first:] {
		out = append(out, f.w)
	}
	w.writes, w.first = nil, 0
	return out
}

// All is what is in flight, oldest first; it is valid until the window changes.
func (w *Window[W]) All() []W {
	var out []W
	for i := range w.writes[w.first:] {
		out = append(out, w.writes[w.first+i].w)
	}
	return out
}

// Behind are the copies that do not have v durably yet.
func (w *Window[W]) Behind(v ceph.Eversion) []int32 {
	var out []int32
	for _, c := range w.copies {
		if c.durable.Less(v) {
			out = append(out, c.osd)
		}
	}
	return out
}
