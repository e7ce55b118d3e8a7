package pglog

import (
	"slices"

	"glue/ceph"
)

// Split takes the entries out of the log whose objects move to another PG and returns that PG's
// log (IndexedLog::split_out_child). Both keep head and tail, which then may have no entry. Which
// object a request below the tail was about is not known, so that both remember all of these.
func (l *Log) Split(moves func(ceph.HObject) bool) *Log {
	child := New(l.tail)
	child.dups = slices.Clone(l.dups)
	for i := range l.entries {
		if moves(l.entries[i].Object) {
			child.entries = append(child.entries, l.entries[i])
		}
	}
	child.head = l.head
	child.reindex()
	child.markDirty(ceph.Eversion{})
	l.entries = slices.DeleteFunc(slices.Clone(l.entries), func(e Entry) bool {
		return moves(e.Object)
	})
	l.reindex()
	l.markDirty(ceph.Eversion{})
	return child
}

// Split takes the objects out of the set that move to another PG and returns that PG's set.
func (m *Missing) Split(moves func(ceph.HObject) bool) *Missing {
	child := NewMissing()
	for _, o := range m.InOrder() {
		if moves(o) {
			child.Set(o, m.items[o])
			m.Remove(o)
		}
	}
	return child
}

// Unite is the log of a PG that others are merged into, with head as its head: it has no entries,
// but remembers the requests of all of them, the newest keep (PGLog::merge_from).
func Unite(logs []*Log, head ceph.Eversion, keep int) *Log {
	u := New(head)
	for _, l := range logs {
		u.dups = append(u.dups, l.Requests(l.Len())...)
	}
	slices.SortStableFunc(u.dups, func(a, b Dup) int { return a.Version.Compare(b.Version) })
	seen := map[ceph.ReqID]bool{}
	u.dups = slices.DeleteFunc(u.dups, func(d Dup) bool {
		had := seen[d.ReqID]
		seen[d.ReqID] = true
		return had
	})
	u.dups = slices.Clone(u.dups[max(0, len(u.dups)-keep):])
	u.reindex()
	u.markDirty(ceph.Eversion{})
	return u
}

// Requests are those below the tail and of the n oldest entries: what has to be known of them by a
// copy that gets only the entries above.
func (l *Log) Requests(n int) []Dup {
	out := slices.Clone(l.dups)
	for i := range l.entries[:n] {
		if d, ok := dupOf(&l.entries[i]); ok {
			out = append(out, d)
		}
	}
	return out
}

// dupOf is what stays known of an entry below the tail, if it was a request's.
func dupOf(e *Entry) (Dup, bool) {
	return Dup{ReqID: e.ReqID, Version: e.Version, UserVersion: e.UserVersion,
		ReturnCode: e.ReturnCode, Results: e.Results}, e.ReqID != (ceph.ReqID{})
}
