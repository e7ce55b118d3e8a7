package pglog

import (
	"slices"
	"sort"

	"glue/ceph"
)

// A Copy is the state of one PG copy that a merge changes: for the local copy its own log and
// missing set, for a peer what the primary knows of them.
type Copy struct {
	Log          *Log
	Missing      *Missing
	LastBackfill ceph.HObject // objects above it are not on the copy and never missing
	// Removed are the objects that have to be removed from the copy's store, if they are there,
	// in the order of the decisions.
	Removed []ceph.HObject
}

// Extend appends the entries of an authoritative log, which are above the head: an update makes
// its object missing, a delete removes it.
func (c *Copy) Extend(entries []Entry) {
	if len(entries) > 0 {
		c.Log.markDirty(c.Log.Head())
	}
	for i := range entries {
		e := &entries[i]
		c.Log.Append(*e)
		if e.IsError() || e.Object.Compare(c.LastBackfill) > 0 {
			continue
		}
		c.Missing.Next(e)
		if e.IsDelete() {
			c.Removed = append(c.Removed, e.Object)
		}
	}
}

// Rewind takes the entries above v off the head and undoes what they did to the missing set
// (rewind_divergent_log).
func (c *Copy) Rewind(v ceph.Eversion) {
	c.undo(c.Log.rewind(v))
}

// undo adjusts the missing set to the loss of divergent entries, with the log already as it will
// be (_merge_divergent_entries).
func (c *Copy) undo(divergent []Entry) {
	byObject := map[ceph.HObject][]*Entry{}
	var order []ceph.HObject
	for i := range divergent {
		e := &divergent[i]
		if e.IsError() || e.Object.Compare(c.LastBackfill) > 0 {
			continue
		}
		if _, ok := byObject[e.Object]; !ok {
			order = append(order, e.Object)
		}
		byObject[e.Object] = append(byObject[e.Object], e)
	}
	for _, o := range order {
		c.undoObject(o, byObject[o])
	}
}

func (c *Copy) undoObject(o ceph.HObject, entries []*Entry) {
	prior := entries[0].PriorVersion
	it, missing := c.Missing.Get(o)
	inStore := missing || !entries[len(entries)-1].IsDelete()
	remove := func() {
		if inStore {
			c.Removed = append(c.Removed, o)
		}
	}
	if newest, ok := c.Log.Latest(o); ok && entries[0].Version.Less(newest) {
		// A newer entry has taken over: it says what is needed, and what is here is worthless.
		if missing {
			c.Missing.Set(o, Item{Need: it.Need})
		}
		remove()
		return
	}
	switch {
	case prior.IsZero():
		c.Missing.Remove(o)
		remove()
	case missing && it.Have == prior:
		c.Missing.Remove(o)
	case missing:
		c.Missing.Set(o, Item{Need: prior, Have: it.Have})
	default:
		remove()
		c.Missing.Set(o, Item{Need: prior})
	}
}

// Merge makes the copy's log equal to an authoritative one that overlaps it (merge_log). The
// entries of the other log may begin before or after the copy's tail.
func (c *Copy) Merge(tail, head ceph.Eversion, entries []Entry, dups []Dup) {
	l := c.Log
	origTail := l.tail
	if tail.Less(l.tail) {
		l.extendTail(tail, entries)
	}
	if head.Less(l.head) {
		c.Rewind(head)
	}
	if l.head.Less(head) {
		lower := maxVersion(tail, origTail)
		from := 0
		for i := len(entries) - 1; i >= 0; i-- {
			if entries[i].Version.Compare(l.head) <= 0 {
				lower = maxVersion(lower, entries[i].Version)
				from = i + 1
				break
			}
		}
		divergent := l.rewind(lower)
		c.Extend(entries[from:])
		l.head = head
		c.undo(divergent)
	}
	l.mergeDups(dups)
}

// extendTail puts older history before the copy's own; it says nothing new about objects.
func (l *Log) extendTail(tail ceph.Eversion, entries []Entry) {
	n := 0
	for n < len(entries) && entries[n].Version.Compare(l.tail) <= 0 {
		n++
	}
	l.entries = slices.Concat(entries[:n], l.entries)
	l.dups = slices.DeleteFunc(l.dups, func(d Dup) bool { return tail.Less(d.Version) })
	l.tail = tail
	l.reindex()
	l.markDirty(ceph.Eversion{})
}

// mergeDups takes over the requests of another log if this one has none of its own.
func (l *Log) mergeDups(dups []Dup) {
	if len(l.dups) > 0 {
		return
	}
	for _, d := range dups {
		if d.Version.Compare(l.tail) <= 0 {
			l.AddDup(d)
			l.markDirty(ceph.Eversion{})
		}
	}
}

// SharedHead is the version up to which a peer's log agrees with the authoritative log auth
// (the first half of proc_replica_log): above it the peer's entries are divergent. The two logs
// overlap.
func SharedHead(auth *Log, peerTail, peerHead ceph.Eversion) ceph.Eversion {
	limit := maxVersion(peerTail, auth.tail)
	if n := auth.above(peerHead); n > 0 {
		return maxVersion(limit, auth.entries[n-1].Version)
	}
	return limit
}

func maxVersion(a, b ceph.Eversion) ceph.Eversion {
	if a.Less(b) {
		return b
	}
	return a
}

// LastComplete is the version up to which a copy has every object (last_complete).
func LastComplete(l *Log, m *Missing) ceph.Eversion {
	oldest, any := m.Oldest()
	if !any {
		return l.Head()
	}
	n := sort.Search(len(l.entries), func(i int) bool {
		return !l.entries[i].Version.Less(oldest)
	})
	if n == 0 {
		return ceph.Eversion{}
	}
	return l.entries[n-1].Version
}
