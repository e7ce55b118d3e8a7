package osd

import (
	"testing"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
	"glue/osd/reserve"
	"glue/wire/message"
)

// waiters are the PGs that wait for a slot of a node, the next first.
func (n *simNode) waiters() (out []ceph.SPG) {
	n.d.slots.mu.Lock()
	defer n.d.slots.mu.Unlock()
	waiting, _ := n.d.slots.local.Dump()
	for _, row := range waiting {
		out = append(out, row.Key.pg)
	}
	return out
}

// force is what the manager sends for an operator.
func (s *sim) force(n *simNode, id ceph.SPG, options uint8) {
	n.d.forceRecovery(&message.MOSDForceRecovery{FSID: s.m.FSID, PGs: []ceph.SPG{id},
		Options: options})
	s.until("the word is heard", func() bool {
		for _, sh := range n.d.shards {
			if len(sh.in) > 0 {
				return false
			}
		}
		return true
	})
}

// held are the PGs of a node that have all their slots.
func (n *simNode) held() (out []*pg) {
	for _, sh := range n.d.shards {
		for _, p := range sh.pgs {
			if p.claim.State() == reserve.Held {
				out = append(out, p)
			}
		}
	}
	return out
}

// backlog is a primary, without slots, of several PGs of which a copy lacks something. Backfill
// instead of recovery from the log if the copy was away for long enough.
func (s *sim) backlog(c *simClient, objects int) *simNode {
	away := s.nodes[0]
	s.stop(away)
	for i := range objects {
		s.put(c, i, simValue(0, i))
	}
	for _, n := range s.nodes {
		if n.d != nil {
			n.d.setSlots(0)
		}
	}
	s.flags(osdmap.FlagNoRecover | osdmap.FlagNoBackfill)
	away.off = false
	s.start(away)
	away.d.setSlots(0)
	s.rest()
	s.flags(0)
	s.rest()
	for _, n := range s.nodes {
		if len(n.waiters()) >= 2 {
			return n
		}
	}
	s.t.Fatal("no primary has two PGs that wait: ", s.states())
	return nil
}

// forces are the two kinds of what an operator can force.
var forces = []struct {
	name    string
	objects int
	option  uint8
	state   pgstat.State
	waits   pgstat.State
	prio    uint32
}{
	{"recovery", 40, message.ForceRecovery, pgstat.ForcedRecovery, pgstat.RecoveryWait, 255},
	{"backfill", 1000, message.ForceBackfill, pgstat.ForcedBackfill, pgstat.BackfillWait, 254},
}

// TestForcedGoesFirst: of the PGs that wait for the one slot, the one that an operator forces gets
// it; the state and the priority say so. When that is taken back, it is as if it had just come.
func TestForcedGoesFirst(t *testing.T) {
	for _, f := range forces {
		for _, cancel := range []bool{false, true} {
			name := f.name
			if cancel {
				name = "cancelled " + name
			}
			t.Run(name, func(t *testing.T) {
				s, c := quietSim(t, 6)
				n := s.backlog(c, f.objects)
				order := n.waiters()
				last := order[len(order)-1]
				p := n.d.shardOf(last).pgs[last]
				if was := p.state(); !was.Has(f.waits) || was.Has(f.state) {
					t.Fatalf("the last one is %v", was)
				}
				s.force(n, last, f.option)
				if got := n.waiters()[0]; got != last || !p.state().Has(f.state) ||
					p.claim.Priority() != f.prio {
					t.Fatalf("%v is next, %v, with priority %d; %v was forced", got, p.state(),
						p.claim.Priority(), last)
				}
				first := last
				if cancel {
					s.force(n, last, f.option|message.ForceCancel)
					first = order[0]
					if p.state().Has(f.state) || p.claim.Priority() == f.prio {
						t.Errorf("it is %v with priority %d", p.state(), p.claim.Priority())
					}
				}
				for _, o := range s.nodes {
					o.d.setSlots(1)
				}
				s.until("one goes on", func() bool { return len(n.held()) > 0 })
				if got := n.held(); len(got) != 1 || got[0].id != first {
					t.Errorf("%v goes first, want %v", got[0].id, first)
				}
				s.until("clean", s.settled)
				if p.state().Has(f.state) {
					t.Errorf("it is clean and still %v", p.state())
				}
			})
		}
	}
}
