package pglog

import (
	"cmp"
	"slices"

	"glue/ceph"
)

// An Item is an object that a copy lacks (pg_missing_item).
type Item struct {
	Need ceph.Eversion // the version that it should have
	Have ceph.Eversion // the version that it has; zero for none
}

// Missing is the set of objects that a copy knows to lack (pg_missing_t). The zero value is an
// empty set that does not note its changes.
type Missing struct {
	items map[ceph.HObject]Item
	dirty map[ceph.HObject]struct{} // changed since TakeDirty; nil when not noted
	order []needed                  // by need, oldest first; may hold what is gone
	mixed bool                      // order is not sorted
}

type needed struct {
	need   ceph.Eversion
	object ceph.HObject
}

// NewMissing is an empty set that notes its changes for the store.
func NewMissing() *Missing { return &Missing{dirty: map[ceph.HObject]struct{}{}} }

// Len is the number of missing objects.
func (m *Missing) Len() int { return len(m.items) }

// Get is the item of an object, if it is missing.
func (m *Missing) Get(o ceph.HObject) (Item, bool) {
	it, ok := m.items[o]
	return it, ok
}

// Has says whether an object is missing.
func (m *Missing) Has(o ceph.HObject) bool {
	_, ok := m.items[o]
	return ok
}

// Set makes an object missing, or changes what is known of it.
func (m *Missing) Set(o ceph.HObject, it Item) {
	if m.items == nil {
		m.items = map[ceph.HObject]Item{}
	}
	old, had := m.items[o]
	m.items[o] = it
	m.note(o)
	if had && old.Need == it.Need {
		return
	}
	if n := len(m.order); n > 0 && it.Need.Less(m.order[n-1].need) {
		m.mixed = true
	}
	m.order = append(m.order, needed{it.Need, o})
}

// Remove takes an object out of the set.
func (m *Missing) Remove(o ceph.HObject) {
	if _, ok := m.items[o]; ok {
		delete(m.items, o)
		m.note(o)
	}
}

// Clear empties the set.
func (m *Missing) Clear() {
	for o := range m.items {
		m.note(o)
	}
	m.items, m.order, m.mixed = nil, nil, false
}

func (m *Missing) note(o ceph.HObject) {
	if m.dirty != nil {
		m.dirty[o] = struct{}{}
	}
}

// TakeDirty returns the objects whose state in the set changed since the last call, in their
// order.
func (m *Missing) TakeDirty() []ceph.HObject {
	if len(m.dirty) == 0 {
		return nil
	}
	out := make([]ceph.HObject, 0, len(m.dirty))
	for o := range m.dirty {
		out = append(out, o)
	}
	clear(m.dirty)
	slices.SortFunc(out, ceph.HObject.Compare)
	return out
}

// InOrder are the missing objects by the version they need, oldest first.
func (m *Missing) InOrder() []ceph.HObject {
	m.tidy()
	out := make([]ceph.HObject, len(m.order))
	for i, n := range m.order {
		out[i] = n.object
	}
	return out
}

// Oldest is the lowest version that is needed; ok is false when nothing is missing.
func (m *Missing) Oldest() (v ceph.Eversion, ok bool) {
	if len(m.items) == 0 {
		return ceph.Eversion{}, false
	}
	for !m.mixed {
		n := m.order[0]
		if it, ok := m.items[n.object]; ok && it.Need == n.need {
			return n.need, true
		}
		m.order = m.order[1:]
	}
	m.tidy()
	return m.order[0].need, true
}

// tidy sorts order and drops what is gone.
func (m *Missing) tidy() {
	m.order = slices.DeleteFunc(m.order, func(n needed) bool {
		it, ok := m.items[n.object]
		return !ok || it.Need != n.need
	})
	slices.SortFunc(m.order, func(a, b needed) int {
		return cmp.Or(a.need.Compare(b.need), a.object.Compare(b.object))
	})
	m.order = slices.Compact(m.order)
	m.mixed = false
}

// Objects are the missing objects in the order of objects.
func (m *Missing) Objects() []ceph.HObject {
	out := make([]ceph.HObject, 0, len(m.items))
	for o := range m.items {
		out = append(out, o)
	}
	slices.SortFunc(out, ceph.HObject.Compare)
	return out
}

// Clone is a copy that does not note its changes.
func (m *Missing) Clone() *Missing {
	c := &Missing{}
	for _, o := range m.InOrder() {
		c.Set(o, m.items[o])
	}
	return c
}

// Next accounts for an update that the log has and the store may not have (add_next_event).
func (m *Missing) Next(e *Entry) {
	if e.IsError() {
		return
	}
	if e.IsDelete() {
		m.Remove(e.Object)
		return
	}
	it, missing := m.items[e.Object]
	switch {
	case e.PriorVersion.IsZero():
		m.Set(e.Object, Item{Need: e.Version})
	case missing:
		m.Set(e.Object, Item{Need: e.Version, Have: it.Have})
	default:
		m.Set(e.Object, Item{Need: e.Version, Have: e.PriorVersion})
	}
}
