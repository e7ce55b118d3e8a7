package osd

import "testing"

// TestPromisesOfThePast: a copy forgets whom it let serve in earlier intervals as soon as the
// primary of a later one is active. The next primary would wait for the rest of that time else.
func TestPromisesOfThePast(t *testing.T) {
	s := withClients(t, 5)
	s.put(s.cl[0], 0, "old")
	first, p := s.pgOf(0)
	acting, _ := p.m.Acting()
	copies := func() (out []*pg) {
		for _, o := range acting {
			n := s.nodes[o]
			if q := n.d.shardOf(p.id).pgs[p.id]; n != first && q != nil {
				out = append(out, q)
			}
		}
		return out
	}
	for _, q := range copies() {
		if len(q.lease.Promises(s.clock)) == 0 {
			t.Fatal("nothing was promised to the first primary")
		}
	}
	inc := s.change()
	inc.NewWeight = map[int32]uint32{first.id: 0} // it lives on, and says that it serves no more
	s.commit(inc)
	began := s.clock
	var second *pg
	s.until("another primary is active", func() bool {
		_, second = s.pgOf(0)
		return second != nil && second.id == p.id && second.active
	})
	s.until("its copies have heard", func() bool {
		for _, q := range copies() {
			for _, pr := range q.lease.Promises(s.clock) {
				if pr.OSD == first.id {
					return false
				}
			}
		}
		return true
	})
	if took, length := s.clock.Sub(began), second.leaseTime(); took > length/2 {
		t.Errorf("it took %v, a lease is %v", took, length)
	}
}
