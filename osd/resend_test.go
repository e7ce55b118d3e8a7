package osd

import "testing"

// TestFailedRequestSentAgain: a request that failed, sent again behind one that came after it, is
// answered as the first time and not carried out, by the next primary too.
func TestFailedRequestSentAgain(t *testing.T) {
	for seed := range uint64(3) {
		s := calm(t, seed)
		s.rest()
		c := &simClient{s: s}
		s.cl, s.quiet = append(s.cl, c), true
		c.tid++
		failed := simOp{object: 0, remove: true, tid: c.tid}
		send := func(what string) {
			op := failed
			c.op = &op
			s.until(what, func() bool { return c.op == nil })
		}
		send("a delete that finds nothing")
		value := simValue(0, 1)
		s.put(c, 0, value)
		send("the delete again")
		if got := s.get(c, 0); got != value {
			t.Fatalf("seed %d: sent again, the delete removed the object: %q", seed, got)
		}
		s.stop(s.nodes[c.acting[0]])
		if got := s.get(c, 0); got != value {
			t.Fatalf("seed %d: lost with the primary: %q", seed, got)
		}
		failed.retry = 1
		send("the delete to another primary")
		if got := s.get(c, 0); got != value {
			t.Fatalf("seed %d: the next primary carried the delete out: %q", seed, got)
		}
	}
}
