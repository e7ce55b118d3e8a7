package osd

import "testing"

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
