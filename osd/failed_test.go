package osd

import (
	"testing"

	"glue/store/objectstore"
)

// TestFailedRequestIsNotDoneLater: a delete that has found nothing and comes again, as its client
// never got the answer, does not delete what somebody else has written meanwhile; also not when the
// PG has another primary.
func TestFailedRequestIsNotDoneLater(t *testing.T) {
	for _, moves := range []bool{false, true} {
		s := calm(t, 1)
		s.quiet = true
		s.cl = []*simClient{{s: s, id: 0}, {s: s, id: 1}}
		a, b := s.cl[0], s.cl[1]
		s.until("maps", func() bool { return a.m != nil && b.m != nil })
		remove := func() {
			a.op = &simOp{object: 1, tid: 7, remove: true, call: int64(s.steps)}
			s.until("delete", func() bool { return a.op == nil })
		}
		remove()
		s.put(b, 1, "later")
		if n, _ := s.pgOf(1); moves {
			s.stop(n)
		}
		remove()
		if got := s.get(b, 1); got != "later" {
			t.Errorf("a delete that was answered before has taken %q away (%q is left), moved %v",
				"later", got, moves)
		}
	}
}

// TestRefusedRequestIsNotDoneLater: a write for which there was no room and that comes again, as it
// was sent twice, is not done when there is room: its client knows that it was not.
func TestRefusedRequestIsNotDoneLater(t *testing.T) {
	s, a := quietSim(t, 6)
	s.put(a, 1, "before")
	s.until("clean", s.settled)
	n, _ := s.pgOf(1)
	r := n.refuseOn(noRoomFor(a.name(1)))
	write := func() {
		a.op = &simOp{object: 1, tid: 77, value: "refused", fails: true, call: int64(s.steps)}
		s.until("write", func() bool { return a.op == nil })
	}
	write()
	if r.refused == 0 {
		t.Fatal("there was room")
	}
	r.refuse = func(*objectstore.Transaction) error { return nil }
	write()
	if got := s.get(a, 1); got != "before" {
		t.Errorf("%q was written although its client was told that it was not", got)
	}
	s.until("clean", s.settled)
	s.checkCopies(1)
}

// TestRefusedRequestTwiceInABatch: a write for which there is no room, and that comes twice before
// its OSD gets to it, is refused once; that there is room by then makes no difference.
func TestRefusedRequestTwiceInABatch(t *testing.T) {
	s, c := quietSim(t, 6)
	s.put(c, 1, "before")
	s.until("clean", s.settled)
	n, p := s.pgOf(1)
	full, first := noRoomFor(c.name(1)), true
	n.refuseOn(func(t *objectstore.Transaction) error {
		err := full(t)
		if !first || err == nil {
			return nil
		}
		first = false
		return err
	})
	before := p.m.Info().LastUpdate
	c.begin(&simOp{object: 1, value: "refused", fails: true})
	c.send()
	s.until("write", func() bool { return c.op == nil })
	entries := 0
	for _, err := range n.store.Log(p.id, before) {
		if entries++; err != nil {
			t.Fatal(err)
		}
	}
	if got := s.get(c, 1); first || got != "before" || entries != 1 {
		t.Errorf("%q was written, and %d entries of the log; refused: %v", got, entries, !first)
	}
}
