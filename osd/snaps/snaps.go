package snaps

import (
	"encoding/binary"
	"slices"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
)

// A Set is what a head knows of its snapshots.
type Set = pginfo.SnapSet

// A Clone is the content of an object at some snapshots.
type Clone = pginfo.Clone

// A Context is the snapshots that a writer knows of (SnapContext).
type Context struct {
	Seq   ceph.SnapID   // the newest that there has been
	Snaps []ceph.SnapID // those that there are, newest first
}

// Valid says whether a context is well formed: ids above 0, newest first, none above Seq.
func (c Context) Valid() bool {
	last := c.Seq
	for i, s := range c.Snaps {
		if s == 0 || s > last || i > 0 && s == last {
			return false
		}
		last = s
	}
	return true
}

// Without is the context without snapshots that are removed. It is the same slice if none is.
func (c Context) Without(removed []osdmap.SnapRange) Context {
	gone := func(s ceph.SnapID) bool { return osdmap.ContainsSnap(removed, s) }
	if len(removed) > 0 && slices.ContainsFunc(c.Snaps, gone) {
		c.Snaps = slices.DeleteFunc(slices.Clone(c.Snaps), gone)
	}
	return c
}

// PoolContext is the context of a pool that has snapshots of its own.
func PoolContext(p *osdmap.Pool) Context {
	c := Context{Seq: p.SnapSeq}
	for s := range p.Snaps {
		c.Snaps = append(c.Snaps, s)
	}
	slices.SortFunc(c.Snaps, func(a, b ceph.SnapID) int { return -compare(a, b) })
	return c
}

func compare(a, b ceph.SnapID) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Seq is the newest snapshot that a writer of the object knew of; 0 for none.
func Seq(s *Set) ceph.SnapID {
	if s == nil {
		return 0
	}
	return s.Seq
}

// HasClones says whether an object has any, so that its head has to stay.
func HasClones(s *Set) bool { return s != nil && len(s.Clones) > 0 }

// Find is whose content a reader at a snapshot sees: that of a clone, or of the head (NoSnap),
// which may not be there; false if the object was not there at that snapshot.
func Find(s *Set, at ceph.SnapID) (ceph.SnapID, bool) {
	if at > Seq(s) {
		return ceph.NoSnap, true
	}
	if s == nil { // at is 0, which no snapshot has
		return 0, false
	}
	i := slices.IndexFunc(s.Clones, func(n Clone) bool { return n.ID >= at })
	if i < 0 || !slices.Contains(s.Clones[i].Snaps, at) {
		return 0, false
	}
	return s.Clones[i].ID, true
}

// Before is the newest clone that is older than another or the head, nil if there is none.
func Before(s *Set, id ceph.SnapID) *Clone {
	for i := len(s.Clones) - 1; i >= 0; i-- {
		if s.Clones[i].ID < id {
			return &s.Clones[i]
		}
	}
	return nil
}

// A Head is the object as it is before a write.
type Head struct {
	Visible bool // it exists, and is not there for its clones only
	Size    uint64
}

// WillClone says whether a write under a context keeps what is there as a clone.
func WillClone(s *Set, c Context, h Head) bool {
	return h.Visible && len(c.Snaps) > 0 && c.Snaps[0] > Seq(s)
}

// Write is the set after a write under a context that changes some bytes of the head; made says
// that the last of its clones is new, and has to be copied from the head as it was. bytes is how
// many the clones stand for more than before.
func Write(s *Set, c Context, h Head, changed []pginfo.Range) (next *Set, made bool, bytes int64) {
	made = WillClone(s, c, h)
	if !made && !HasClones(s) && c.Seq <= Seq(s) {
		return s, false, 0
	}
	next = &Set{Seq: max(Seq(s), c.Seq)}
	if s != nil {
		next.Clones = slices.Clone(s.Clones)
	}
	if made {
		n := Clone{ID: c.Seq, Size: h.Size}
		for _, id := range c.Snaps {
			if id > Seq(s) {
				n.Snaps = append(n.Snaps, id)
			}
		}
		if h.Size > 0 {
			n.Overlap = []pginfo.Range{{Begin: 0, End: h.Size}}
		}
		next.Clones = append(next.Clones, n)
	}
	if len(next.Clones) > 0 {
		last := &next.Clones[len(next.Clones)-1]
		before := total(last.Overlap)
		last.Overlap = subtract(last.Overlap, changed)
		bytes = int64(before - total(last.Overlap))
	}
	return next, made, bytes
}

// Since is the bytes of a clone that have not been changed from it up to the head.
func Since(s *Set, id ceph.SnapID) []pginfo.Range {
	i := slices.IndexFunc(s.Clones, func(n Clone) bool { return n.ID == id })
	if i < 0 {
		return nil
	}
	out := s.Clones[i].Overlap
	for _, n := range s.Clones[i+1:] {
		out = intersect(out, n.Overlap)
	}
	return out
}

// Outside is the bytes of an object of some size that are not in an ascending list.
func Outside(size uint64, in []pginfo.Range) []pginfo.Range {
	return subtract([]pginfo.Range{{Begin: 0, End: size}}, in)
}

// Bytes is how many a clone stands for: what it does not share with the next newer one.
func Bytes(n *Clone) int64 { return int64(n.Size) - int64(total(n.Overlap)) }

// AllBytes is how many all clones of an object stand for.
func AllBytes(s *Set) int64 {
	sum := int64(0)
	if s != nil {
		for i := range s.Clones {
			sum += Bytes(&s.Clones[i])
		}
	}
	return sum
}

// Trim is the set after some snapshots of a clone were removed, and which of them it still stands
// for: without any, it is to be removed. bytes is how many the clones stand for more than before.
// It is false when there is no such clone, or when it stands for none of the removed snapshots.
func Trim(s *Set, id ceph.SnapID, removed func(ceph.SnapID) bool) (
	next *Set, left []ceph.SnapID, bytes int64, ok bool,
) {
	i := -1
	if s != nil {
		i = slices.IndexFunc(s.Clones, func(n Clone) bool { return n.ID == id })
	}
	if i < 0 || !slices.ContainsFunc(s.Clones[i].Snaps, removed) {
		return s, nil, 0, false
	}
	left = slices.DeleteFunc(slices.Clone(s.Clones[i].Snaps), removed)
	if len(left) > 0 {
		next = &Set{Seq: s.Seq, Clones: slices.Clone(s.Clones)}
		next.Clones[i].Snaps = left
		return next, left, 0, true
	}
	next, bytes, _ = Without(s, id)
	return next, nil, bytes, true
}

// Attr is the attribute of a clone by which the store's index finds it (objectstore.TagAttr): the
// snapshots that it stands for.
func Attr(ids []ceph.SnapID) []byte {
	b := make([]byte, 0, 8*len(ids))
	for _, id := range ids {
		b = binary.BigEndian.AppendUint64(b, uint64(id))
	}
	return b
}

// IsClone says whether the name of an object is that of a clone.
func IsClone(o ceph.HObject) bool { return o.Snap <= ceph.MaxSnap && !o.Max }
