package osd

import "testing"

// TestOnlyDurableIsTold: a primary whose disk hangs has a write in its log that is not on disk. No
// other copy may take that entry over: when the primary ends, nobody has that version.
func TestOnlyDurableIsTold(t *testing.T) {
	for seed := range uint64(8) {
		s, c := quietSim(t, seed)
		s.put(c, 0, "old")
		s.until("clean", s.settled)
		n, p := s.pgOf(0)
		var others []*simNode
		for _, o := range p.m.Members() {
			others = append(others, s.nodes[o])
		}
		for _, o := range others { // they don't get the write
			o.off = true
			s.crash(o)
		}
		n.hung = true
		head := p.m.Info().LastUpdate
		c.tid++
		c.op = &simOp{object: 0, tid: c.tid, value: "new", call: int64(s.steps)}
		s.until("the write is in the log", func() bool { return head.Less(p.m.Info().LastUpdate) })
		for _, o := range others {
			s.markDown(o.id)
		}
		others[0].off = false
		s.start(others[0])
		for range 3000 {
			s.step()
		}
		if q := others[0].d.shardOf(p.id).pgs[p.id]; q == nil || head.Less(q.m.Info().LastUpdate) {
			t.Errorf("seed %d: another copy knows of what is not on disk", seed)
		}
		n.store = n.store.Crash() // none of it was written
		s.crash(n)
		n.hung, others[1].off = false, false
		s.until("clean", s.settled)
		s.checkCopies(0)
	}
}
