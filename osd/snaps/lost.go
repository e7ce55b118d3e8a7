package snaps

import (
	"encoding/binary"
	"slices"

	"glue/ceph"
	"glue/cluster/pginfo"
)

// Without is the set without a clone that is gone. bytes is how many the clones stand for more than
// before; false if there is no such clone.
func Without(s *Set, id ceph.SnapID) (next *Set, bytes int64, ok bool) {
	i := -1
	if s != nil {
		i = slices.IndexFunc(s.Clones, func(n Clone) bool { return n.ID == id })
	}
	if i < 0 {
		return s, 0, false
	}
	next = &Set{Seq: s.Seq, Clones: slices.Clone(s.Clones)}
	if i > 0 { // the next older one is compared with the next newer one now
		n := &next.Clones[i-1]
		n.Overlap = intersect(n.Overlap, s.Clones[i].Overlap)
	}
	next.Clones = slices.Delete(next.Clones, i, i+1)
	return next, AllBytes(next) - AllBytes(s), true
}

// Refit is the set of a head that was lost together with its newest one; s is an older one, or nil.
// there are the clones that there are, ascending, as their own records say, and gone says that the
// head has no data any more. What a clone has in common with the next newer one is known only where
// the older set knew both. It is nil when there is nothing to know.
func Refit(s *Set, there []Clone, gone bool) *Set {
	if s == nil && len(there) == 0 {
		return nil
	}
	next := &Set{Seq: Seq(s)}
	at := func(id ceph.SnapID) int {
		if s == nil {
			return -1
		}
		return slices.IndexFunc(s.Clones, func(n Clone) bool { return n.ID == id })
	}
	for i, c := range there {
		next.Seq = max(next.Seq, c.ID)
		c.Overlap = nil
		if from := at(c.ID); from >= 0 && s.Clones[from].Size == c.Size {
			to := -1
			if i+1 < len(there) {
				to = at(there[i+1].ID)
			} else if !gone {
				to = len(s.Clones)
			}
			if to > from {
				c.Overlap = common(s.Clones[from:to])
			}
		}
		next.Clones = append(next.Clones, c)
	}
	return next
}

// common is the bytes of the first clone that no later one has changed.
func common(list []Clone) []pginfo.Range {
	out := slices.Clone(list[0].Overlap)
	for _, n := range list[1:] {
		out = intersect(out, n.Overlap)
	}
	return out
}

// FromAttr is the snapshots that Attr has written.
func FromAttr(b []byte) (ids []ceph.SnapID) {
	for ; len(b) >= 8; b = b[8:] {
		ids = append(ids, ceph.SnapID(binary.BigEndian.Uint64(b)))
	}
	return ids
}
