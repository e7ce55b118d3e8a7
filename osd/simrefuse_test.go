package osd

import (
	"fmt"
	"testing"

	"glue/ceph"
	"glue/store/objectstore"
	"glue/wire/message"
)

// A refuser is a node's store that refuses some transactions.
type refuser struct {
	objectstore.Store
	refuse  func(*objectstore.Transaction) error
	refused int
}

func (r *refuser) Submit(t *objectstore.Transaction, done func(error)) error {
	if err := r.refuse(t); err != nil {
		r.refused++
		return err
	}
	return r.Store.Submit(t, done)
}

func (r *refuser) SubmitAll(batch []objectstore.Submission) []error {
	return objectstore.SubmitEach(batch, r.Submit)
}

// refuseOn gives a node a store that refuses what f has an error for, until it is restarted.
func (n *simNode) refuseOn(f func(*objectstore.Transaction) error) *refuser {
	r := &refuser{Store: n.store, refuse: f}
	n.d.store = r
	n.d.sortedPGs(func(p *pg) { p.setEnv() })
	return r
}

// noRoomFor refuses to write the data of an object.
func noRoomFor(name string) func(*objectstore.Transaction) error {
	return func(t *objectstore.Transaction) error {
		for i := range t.Ops {
			op := &t.Ops[i]
			if op.Object.Name == name && len(op.Data) > 0 && op.Code == objectstore.OpWrite {
				return fmt.Errorf("write %v: %w", op.Object, ceph.ENOSPC)
			}
		}
		return nil
	}
}

// together are two objects of one PG.
func (s *sim) together() (a, b int) {
	seed := func(o int) uint32 {
		raw, _ := s.m.ObjectPG(simPool, fmt.Sprintf("obj%d", o), "", "")
		return s.m.RawToPG(raw).Seed
	}
	for b = 1; seed(b) != seed(0); b++ {
	}
	return 0, b
}

// begin sends a client's request to its primary.
func (c *simClient) begin(op *simOp) {
	c.tid++
	op.tid, op.call = c.tid, int64(c.s.steps)
	c.op = op
	c.send()
}

// refusedBatch has two objects of a PG written so that a replica gets both writes in one batch, and
// refuses the first.
func refusedBatch(t *testing.T) (s *sim, n *simNode, a, b int, r *refuser) {
	s, c := quietSim(t, 6)
	c2 := &simClient{s: s, id: 1}
	s.cl = append(s.cl, c2)
	a, b = s.together()
	s.put(c, a, "old-value")
	s.put(c2, b, "old-value")
	s.until("clean", s.settled)
	primary, pp := s.pgOf(a)
	n = s.replicaOf(a)
	p := n.d.shardOf(pp.id).pgs[pp.id]
	r = n.refuseOn(noRoomFor(c.name(a)))
	before := p.m.Info().LastUpdate
	c.begin(&simOp{object: a, value: "new-value"})
	c2.begin(&simOp{object: b, value: "new-value"})
	primary.d.shardOf(pp.id).turn()
	k := [2]int32{primary.id, n.id}
	for len(s.links[k]) > 0 {
		s.deliver(k)
	}
	p.s.turn()
	if r.refused != 1 {
		t.Fatalf("%d transactions were refused, want 1", r.refused)
	}
	for e, err := range n.store.Log(p.id, before) {
		t.Fatalf("the log ends at %v and then has %v, of behind the refused one: %v", before,
			e.Version, err)
	}
	return s, n, a, b, r
}

// TestRefusedReplicaWrite: a replica whose store refuses one write of its primary takes none of the
// PG that is behind it, so that its log has no gap, after a crash neither; it peers anew and gets
// the object. It does so for as long as there is no room for that one object, and meanwhile the
// others are served.
func TestRefusedReplicaWrite(t *testing.T) {
	for _, crash := range []bool{false, true} {
		t.Run(fmt.Sprintf("crash %v", crash), func(t *testing.T) {
			s, n, a, b, r := refusedBatch(t)
			if crash {
				n.store.Complete(n.store.Pending())
				s.crash(n)
				s.start(n)
				r = n.refuseOn(r.refuse)
			}
			done := func() bool { return s.cl[0].op == nil && s.cl[1].op == nil }
			s.until("both writes", done)
			if up := s.m.IsUp(n.id); r.refused == 0 && up {
				s.until("the refused push", func() bool { return r.refused > 0 })
			}
			for i := range 5 {
				value := fmt.Sprintf("value-%03d", i)
				s.put(s.cl[1], b, value)
				if got := s.get(s.cl[1], b); got != value {
					t.Fatalf("read %q", got)
				}
			}
			if got := s.get(s.cl[0], a); got != "new-value" {
				t.Fatalf("read %q", got)
			}
			s.until("a push that is refused", func() bool { return r.refused > 1 })
			before := r.refused
			for range 300 {
				s.step()
			}
			if n := r.refused - before; n > 100 {
				t.Errorf("tried again %d times in 300 steps", n)
			}
			r.refuse = func(*objectstore.Transaction) error { return nil }
			s.until("clean", s.settled)
			s.checkCopies(a)
			s.checkCopies(b)
		})
	}
}

// TestRefusedReplicaIsNotScrubbed: a replica that lacks a write which it had to refuse, and peers
// anew only when a monitor has heard of it, says that it has no map for a scrub meanwhile.
func TestRefusedReplicaIsNotScrubbed(t *testing.T) {
	s, n, a, _, _ := refusedBatch(t)
	primary, pp := s.pgOf(a)
	p := n.d.shardOf(pp.id).pgs[pp.id]
	ask := func(to ceph.Eversion) *message.MOSDRepScrubMap {
		p.scrub.Message(&message.MOSDRepScrub{PGHead: pp.headTo(), ScrubTo: to,
			End: ceph.MaxHObject()})
		for range 10 {
			p.s.turn()
		}
		for _, b := range s.links[[2]int32{n.id, primary.id}] {
			if m, ok := b.(*message.MOSDRepScrubMap); ok {
				return m
			}
		}
		return nil
	}
	if m := ask(pp.m.Info().LastUpdate); m == nil || !m.Preempted || len(m.Map) > 0 {
		t.Errorf("it answers %+v", m)
	}
	s.links[[2]int32{n.id, primary.id}] = nil
	if m := ask(p.m.Info().LastUpdate); m == nil || m.Preempted || len(m.Map) == 0 {
		t.Errorf("of what it has it answers %+v", m)
	}
}
