package osd

import (
	"bytes"
	"fmt"
	"os"
	"slices"

	"github.com/anishathalye/porcupine"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/osd/ops"
	"glue/osd/snaps"
)

// simSnaps is how many snapshots there are at most in a run.
const simSnaps = 12

// snapActions are a client that makes and removes snapshots, and a monitor that hears of those
// which no PG has any more.
func (s *sim) snapActions(add func(int, func())) {
	if len(s.cl) == 0 || s.noSnaps {
		return
	}
	if !s.quiet && s.snaps.Seq < simSnaps && s.rng.IntN(120) == 0 {
		add(20, func() {
			s.snaps.Seq++
			s.snaps.Snaps = slices.Insert(slices.Clone(s.snaps.Snaps), 0, s.snaps.Seq)
			s.trace("snapshot", s.snaps.Seq)
		})
	}
	if !s.quiet && len(s.snaps.Snaps) > 0 && s.rng.IntN(200) == 0 {
		add(20, s.removeSnap)
	}
	if len(s.m.RemovedSnapsQueue[simPool]) > 0 && s.rng.IntN(10) == 0 {
		add(5, s.purge)
	}
}

func (s *sim) trace(what ...any) {
	if *simTrace {
		fmt.Fprintln(os.Stderr, append(append([]any{"---"}, what...), "at", s.steps)...)
	}
}

func (s *sim) anySnap() ceph.SnapID { return s.snaps.Snaps[s.rng.IntN(len(s.snaps.Snaps))] }

// removeSnap removes a snapshot that nobody is rolling back to.
func (s *sim) removeSnap() {
	id := s.anySnap()
	for _, c := range s.cl {
		if c.op != nil && !c.op.read && c.op.at == id {
			return
		}
	}
	s.trace("removed snapshot", id)
	s.snaps.Snaps = slices.DeleteFunc(slices.Clone(s.snaps.Snaps),
		func(o ceph.SnapID) bool { return o == id })
	s.gone[id] = true
	inc := s.change()
	inc.NewRemovedSnaps = map[int64][]osdmap.SnapRange{simPool: {{Start: id, Len: 1}}}
	s.commit(inc)
}

// purge takes snapshots off the queue that no PG has clones of, by what their primaries last said.
// It waits for writers that know of them: these could make another clone.
func (s *sim) purge() {
	queue := s.m.RemovedSnapsQueue[simPool]
	left := queue
	pgs := 0
	for _, n := range s.nodes {
		if n.d == nil || n.epoch < s.m.Epoch {
			continue
		}
		for _, sh := range n.d.shards {
			for _, p := range sh.pgs {
				if p.primary && p.active {
					pgs++
					left = osdmap.SubtractSnaps(left, osdmap.SubtractSnaps(queue, p.trim.Purged()))
				}
			}
		}
	}
	for _, c := range s.cl {
		for _, id := range c.old.Snaps {
			left = osdmap.SubtractSnaps(left, []osdmap.SnapRange{{Start: id, Len: 1}})
		}
		if c.op == nil {
			continue
		}
		for _, id := range c.op.snaps.Snaps {
			left = osdmap.SubtractSnaps(left, []osdmap.SnapRange{{Start: id, Len: 1}})
		}
	}
	if s.quiet {
		for _, c := range s.cl {
			c.old = s.snaps
		}
	}
	if len(left) == 0 || pgs != int(s.m.Pools[simPool].PGNum) {
		return
	}
	s.trace("purged", left)
	inc := s.change()
	inc.NewPurgedSnaps = map[int64][]osdmap.SnapRange{simPool: left}
	s.commit(inc)
}

// final is a read of an object at the end, at a snapshot if one is given.
func (s *sim) final(o int, step int64, data string, at ...ceph.SnapID) porcupineOp {
	in := registerInput{read: true}
	if len(at) > 0 {
		in.at = at[0]
	}
	return porcupineOp{o, porcupine.Operation{ClientId: 99, Input: in, Call: step, Output: data,
		Return: step + 1}}
}

// family is what a copy has of an object: clones and head.
func (n *simNode) family(c ceph.SPG, head ceph.HObject) []ceph.HObject {
	first := head
	first.Snap = 0
	list, _, _ := n.store.List(c, first, 100)
	return slices.DeleteFunc(list, func(o ceph.HObject) bool { return o.Head() != head })
}

// at is the value of an object at a snapshot, or now.
func (n *simNode) at(c ceph.SPG, head ceph.HObject, snap ceph.SnapID) string {
	st, err := ops.LoadState(n.store, c, head)
	if err != nil {
		return err.Error()
	}
	o := head
	if snap > 0 {
		id, ok := snaps.Find(st.Info.Snaps, snap)
		if !ok {
			return ""
		}
		if o.Snap = id; id != ceph.NoSnap {
			data, err := n.store.Read(c, o, 0, simValueLen)
			if err != nil {
				return fmt.Sprintf("clone %x: %v", uint64(id), err)
			}
			return string(data)
		}
	}
	if !st.Visible() {
		return ""
	}
	data, _ := n.store.Read(c, head, 0, simValueLen)
	return string(data)
}

// shared is how many bytes less than their sizes the clones of a PG stand for, negative.
func (n *simNode) shared(c ceph.SPG, list []ceph.HObject) int {
	sum := 0
	for _, o := range list {
		if o.Snap != ceph.NoSnap {
			continue
		}
		if st, err := ops.LoadState(n.store, c, o); err == nil && st.Info.Snaps != nil {
			for i := range st.Info.Snaps.Clones {
				cl := &st.Info.Snaps.Clones[i]
				sum += int(snaps.Bytes(cl)) - int(cl.Size)
			}
		}
	}
	return sum
}

// checkSnaps: every clone is one that its head knows, as large as that says and the same where that
// says so; it stands for no removed snapshot, and the index finds it by those that it stands for.
func (s *sim) checkSnaps() {
	for _, n := range s.nodes {
		colls, _ := n.store.Collections()
		for _, c := range colls {
			list, _, _ := n.store.List(c, ceph.HObject{}, 1000)
			for _, o := range list {
				if o.Snap == ceph.NoSnap && o.Pool == simPool {
					s.checkFamily(n, c, o)
				} else if o.Pool == simPool {
					h, err := ops.LoadState(n.store, c, o.Head())
					if err != nil || !h.Exists {
						s.t.Errorf("osd.%d: %v has no head", n.id, o)
					}
				}
			}
			for id := range s.gone {
				if l, _ := n.store.Tagged(c, uint64(id), ceph.HObject{}, 9); len(l) > 0 {
					s.t.Errorf("osd.%d: %v stand for snapshot %d, which was removed", n.id, l, id)
				}
			}
		}
	}
}

func (s *sim) checkFamily(n *simNode, c ceph.SPG, head ceph.HObject) {
	st, err := ops.LoadState(n.store, c, head)
	if err != nil {
		s.t.Error(err)
		return
	}
	family := n.family(c, head)
	set := st.Info.Snaps
	if set == nil {
		set = &snaps.Set{}
	}
	if len(family) != len(set.Clones)+1 || st.Info.IsWhiteout() && len(set.Clones) == 0 {
		s.t.Errorf("osd.%d: there are %v, the head knows %+v", n.id, family, set)
		return
	}
	for i := range set.Clones {
		cl, o := &set.Clones[i], family[i]
		data, _ := n.store.Read(c, o, 0, 0)
		next, _ := n.store.Read(c, family[i+1], 0, 0)
		tags, _ := n.store.GetAttr(c, o, "snaps")
		if o.Snap != cl.ID || uint64(len(data)) != cl.Size ||
			!bytes.Equal(tags, snaps.Attr(cl.Snaps)) {
			s.t.Errorf("osd.%d: clone %v of %d bytes for %x; the head knows %+v", n.id, o,
				len(data), tags, cl)
		}
		for _, r := range cl.Overlap {
			if r.End > uint64(len(next)) || !bytes.Equal(data[r.Begin:r.End], next[r.Begin:r.End]) {
				s.t.Errorf("osd.%d: %v and %v do not have %v in common", n.id, o, family[i+1], r)
			}
		}
	}
}
