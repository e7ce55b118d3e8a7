package osd

import (
	"bytes"
	"fmt"
	"testing"

	"glue/ceph"
	"glue/store/objectstore"
	"glue/wire/message"
)

// A damagedStore is a node's store with one object whose content is damaged from an offset on,
// until it is replaced: it can neither be read nor be written in part there.
type damagedStore struct {
	objectstore.Store
	name string
	from uint64
	hurt bool
}

// damageAt gives a node such a store.
func (n *simNode) damageAt(object int, from uint64) *damagedStore {
	d := &damagedStore{Store: n.store, name: fmt.Sprintf("obj%d", object), from: from, hurt: true}
	n.d.store = d
	n.d.sortedPGs(func(p *pg) {
		p.setEnv()
		clear(p.objects)
	})
	return d
}

func (d *damagedStore) bad(o ceph.HObject, off, n uint64) bool {
	return d.hurt && o.Name == d.name && (n == 0 || off+n > d.from)
}

func (d *damagedStore) Lend(c ceph.SPG, o ceph.HObject, off, n uint64) (objectstore.Loan, error) {
	if d.bad(o, off, n) {
		return objectstore.Loan{}, objectstore.ErrCorrupt
	}
	return d.Store.Lend(c, o, off, n)
}

func (d *damagedStore) Read(c ceph.SPG, o ceph.HObject, off, n uint64) ([]byte, error) {
	if d.bad(o, off, n) {
		return nil, objectstore.ErrCorrupt
	}
	return d.Store.Read(c, o, off, n)
}

func (d *damagedStore) Submit(t *objectstore.Transaction, done func(error)) error {
	replaced := map[ceph.HObject]bool{}
	heals := false
	for i := range t.Ops {
		switch op := &t.Ops[i]; op.Code {
		case objectstore.OpRemove:
			replaced[op.Object] = true
			heals = heals || op.Object.Name == d.name
		case objectstore.OpWrite, objectstore.OpZero, objectstore.OpClone:
			if !replaced[op.Object] && d.bad(op.Object, op.Off, op.Len) &&
				op.Code != objectstore.OpClone {
				return fmt.Errorf("write %v: %w", op.Object, objectstore.ErrCorrupt)
			}
			if d.bad(op.Object, 0, 0) && op.Code == objectstore.OpClone {
				// The clone shares the damage; to change it there is the same.
				return fmt.Errorf("clone %v: %w", op.Object, objectstore.ErrCorrupt)
			}
		}
	}
	err := d.Store.Submit(t, done)
	if err == nil && heals {
		d.hurt = false
	}
	return err
}

func (d *damagedStore) SubmitAll(batch []objectstore.Submission) []error {
	return objectstore.SubmitEach(batch, d.Submit)
}

func writeAt(off uint64, data string) []message.OSDOp {
	op := message.OSDOp{Code: message.OpWrite, In: []byte(data)}
	op.SetExtent(off, uint64(len(data)))
	return []message.OSDOp{op}
}

// TestWriteOverDamage: a write of a part of a block that is damaged at one copy, the primary's or a
// replica's, succeeds and heals the copy; one that is in flight meanwhile and one that comes behind
// keep their order.
func TestWriteOverDamage(t *testing.T) {
	for _, primary := range []bool{true, false} {
		t.Run(fmt.Sprintf("primary %v", primary), func(t *testing.T) {
			s, c := quietSim(t, 6)
			c2, c3 := &simClient{s: s, id: 1}, &simClient{s: s, id: 2}
			s.cl = append(s.cl, c2, c3)
			s.put(c2, 1, "other")
			s.put(c3, 2, "other")
			s.write(c, 0, 0, bytes.Repeat([]byte("old."), 4096))
			s.until("clean", s.settled)
			n, p := s.pgOf(0)
			at := n
			if !primary {
				at = s.replicaOf(0)
			}
			d := at.damageAt(0, 8192)
			c.begin(&simOp{object: 0, write: writeAt(10, "first")})
			p.s.turn()
			c2.begin(&simOp{object: 0, write: writeAt(8200, "second")})
			c3.begin(&simOp{object: 0, write: writeAt(8203, "third")})
			p.s.turn()
			s.until("the writes", func() bool {
				return c.op == nil && c2.op == nil && c3.op == nil
			})
			s.until("clean", s.settled)
			if d.hurt {
				t.Error("the copy was not replaced")
			}
			s.checkCopies(0)
			got, err := n.d.store.Read(p.id, ceph.HObject{Pool: simPool, Name: "obj0",
				Snap: ceph.NoSnap, Hash: hashOf(s, 0)}, 0, 0)
			want := bytes.Repeat([]byte("old."), 4096)
			copy(want[10:], "first")
			copy(want[8200:], "second")
			copy(want[8203:], "third")
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%q %v", got[8190:8220], err)
			}
		})
	}
}

func hashOf(s *sim, object int) uint32 {
	raw, _ := s.m.ObjectPG(simPool, fmt.Sprintf("obj%d", object), "", "")
	return raw.Seed
}

// TestPushMeetsDamage: the primary meets damage in the middle of an object that it sends to a copy.
// It ends that, gets the object from a good copy and goes on; when there is none, the object is
// unfound, nothing stays under way, and reads fail.
func TestPushMeetsDamage(t *testing.T) {
	for _, good := range []bool{true, false} {
		t.Run(fmt.Sprintf("a good copy %v", good), func(t *testing.T) {
			s, c := quietSim(t, 6)
			s.put(c, 0, "old")
			s.until("clean", s.settled)
			n, p := s.pgOf(0)
			away := s.replicaOf(0)
			s.stop(away)
			const piece = 6 << 20
			for i := range uint64(3) {
				s.write(c, 0, i*piece, bytes.Repeat([]byte{byte('a' + i)}, piece))
			}
			ds := []*damagedStore{n.damageAt(0, 2*piece+1)}
			for _, o := range s.nodes {
				if o != away && o != n && !good {
					ds = append(ds, o.damageAt(0, 2*piece+1))
				}
			}
			away.off = false
			s.start(away)
			if good {
				s.until("clean", s.settled)
				s.checkCopies(0)
				if ds[0].hurt {
					t.Error("the primary's copy was not replaced")
				}
				return
			}
			s.until("unfound", func() bool {
				_, p = s.pgOf(0)
				return len(p.unfound()) == 1 && len(p.recovery.pushes)+len(p.recovery.pulls) == 0
			})
			c.begin(&simOp{object: 0, read: true, fails: true})
			s.until("read", func() bool { return c.op == nil })
		})
	}
}

// TestReadOfObjectWithoutGoodCopy: a read of an object whose copies are all damaged fails at once,
// others are served; a copy that comes back good heals the primary's.
func TestReadOfObjectWithoutGoodCopy(t *testing.T) {
	s, c := quietSim(t, 6)
	c2 := &simClient{s: s, id: 1}
	s.cl = append(s.cl, c2)
	a, b := s.together()
	s.put(c, a, "old-value")
	s.put(c2, b, "old-value")
	s.until("clean", s.settled)
	var ds []*damagedStore
	for _, n := range s.nodes {
		ds = append(ds, n.damageAt(a, 0))
	}
	for range 3 {
		c.begin(&simOp{object: a, read: true, fails: true})
		s.until("read", func() bool { return c.op == nil })
		if got := s.get(c2, b); got != "old-value" {
			t.Fatalf("read %q", got)
		}
	}
	n := s.replicaOf(a)
	ds[n.id].hurt = false
	s.markDown(n.id)
	s.rest()
	if got := s.get(c, a); got != "old-value" {
		t.Fatalf("read %q", got)
	}
	s.until("clean", s.settled)
	primary, _ := s.pgOf(a)
	if ds[primary.id].hurt {
		t.Error("the primary's copy was not replaced")
	}
}
