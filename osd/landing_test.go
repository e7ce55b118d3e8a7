package osd

import (
	"testing"

	"glue/ceph"
)

// TestKnownCleanBeforeDurable: while a primary calls its PG clean, so that copies elsewhere may be
// removed, a loss of power would leave it all objects that it has pulled.
func TestKnownCleanBeforeDurable(t *testing.T) {
	for seed := range uint64(6) {
		s, c := quietSim(t, seed+1)
		n, p := s.pgOf(0)
		id := p.id
		s.stop(n)
		var mine []ceph.HObject // of the PG
		for i := 0; len(mine) < 8; i++ {
			if _, q := s.pgOf(i); q.id == id {
				s.put(c, i, "new")
				o := ceph.HObject{Pool: simPool, Name: c.name(i), Snap: ceph.NoSnap}
				raw, _ := s.m.ObjectPG(simPool, o.Name, "", "")
				o.Hash = raw.Seed
				mine = append(mine, o)
			}
		}
		n.off = false
		s.start(n)
		early := 0
		s.until("clean", func() bool {
			p := n.d.shardOf(id).pgs[id]
			if p == nil || !p.primary || !p.m.IsClean() {
				early += min(1, n.store.Pending())
				return false
			}
			left := n.store.AfterCrash()
			for _, o := range mine {
				if _, err := left.Stat(id, o); err != nil {
					t.Fatalf("seed %d: clean, and %v is not durable: %v", seed+1, o.Name, err)
				}
			}
			return s.settled()
		})
		if early == 0 {
			t.Errorf("seed %d: nothing was on its way to the disk", seed+1)
		}
	}
}
