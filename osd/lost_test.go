package osd

import (
	"fmt"
	"strings"
	"testing"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
	"glue/internal/admin"
)

// calm is a simulation without faults and clients of its own, of a pool with one copy at least.
func calm(t *testing.T, seed uint64) *sim {
	s := newSim(t, seed, 3)
	s.odds = odds{1e9, 1e9, 1e9, 1e9, 1e9, 1e9}
	inc := s.change()
	pool := *s.m.Pools[simPool]
	pool.MinSize = 1
	inc.NewPools = map[int64]*osdmap.Pool{simPool: &pool}
	s.commit(inc)
	return s
}

// until runs the simulation until a condition holds.
func (s *sim) until(what string, done func() bool) {
	s.t.Helper()
	for limit := s.steps + 20000; !done(); {
		if s.steps > limit {
			s.t.Fatalf("%s: never: %s", what, s.states())
		}
		s.step()
	}
}

// put writes an object as a client does.
func (s *sim) put(c *simClient, object int, value string) {
	s.t.Helper()
	c.tid++
	c.op = &simOp{object: object, tid: c.tid, value: value, call: int64(s.steps)}
	s.until("write of "+value, func() bool { return c.op == nil })
}

// get reads one.
func (s *sim) get(c *simClient, object int) string {
	s.t.Helper()
	c.tid++
	c.op = &simOp{object: object, tid: c.tid, read: true, call: int64(s.steps)}
	s.until("read", func() bool { return c.op == nil })
	return c.events[len(c.events)-1].op.Output.(string)
}

func (s *sim) flags(f osdmap.Flags) {
	inc := s.change()
	inc.NewFlags = int32(f)
	s.commit(inc)
}

// stop ends a node for good, and waits until the others know.
func (s *sim) stop(n *simNode) {
	n.off = true
	s.crash(n)
	s.markDown(n.id)
	s.rest()
}

func (s *sim) restart(n *simNode) {
	n.off = false
	s.start(n)
	s.rest()
}

// rest runs until every PG has been active under the newest map for a while.
func (s *sim) rest() {
	s.t.Helper()
	since := s.steps
	s.until("rest", func() bool {
		active := 0
		for _, n := range s.nodes {
			if n.d == nil {
				continue
			}
			if n.epoch < s.m.Epoch {
				since = s.steps
			}
			for _, sh := range n.d.shards {
				for _, p := range sh.pgs {
					if p.primary && p.active {
						active++
					}
				}
			}
		}
		if active < int(s.m.Pools[simPool].PGNum) {
			since = s.steps
		}
		return s.steps-since > 500
	})
}

// tell runs a command on a node, whose shards the simulation turns.
func (s *sim) tell(n *simNode, f func(admin.Args) (any, error), args admin.Args) (string, error) {
	var out any
	var err error
	done := make(chan struct{})
	go func() {
		out, err = f(args)
		close(done)
	}()
	for {
		select {
		case <-done:
			if noted, ok := out.(admin.Noted); ok {
				return noted.Text, err
			}
			return fmt.Sprintf("%+v", out), err
		default:
			for _, sh := range n.d.shards {
				sh.turn()
			}
		}
	}
}

// pgOf is the primary's PG of an object.
func (s *sim) pgOf(object int) (*simNode, *pg) {
	raw, _ := s.m.ObjectPG(simPool, fmt.Sprintf("obj%d", object), "", "")
	spg := ceph.SPG{PGID: s.m.RawToPG(raw), Shard: ceph.NoShard}
	_, _, _, primary := s.m.PGToUpActing(spg.PGID)
	n := s.nodes[primary]
	return n, n.d.shardOf(spg).pgs[spg]
}

// unfoundObject makes object 0 one of which only the log is left: its newest version was on two
// OSDs that are down.
func unfoundObject(s *sim, old string) (*simClient, *simNode, *pg) {
	c := &simClient{s: s}
	s.cl = append(s.cl, c)
	s.quiet = true
	s.rest()
	if old != "" {
		s.put(c, 0, old)
	}
	s.stop(s.nodes[2])
	s.put(c, 0, "new")
	s.stop(s.nodes[0])
	s.flags(osdmap.FlagNoRecover)
	s.restart(s.nodes[2])
	s.stop(s.nodes[1])
	s.flags(0)
	s.rest()
	n, p := s.pgOf(0)
	s.until("unfound", func() bool { return p.state().Has(pgstat.RecoveryUnfound) })
	return c, n, p
}

// TestUnfound: an object of which no copy can be reached is never given up by itself, nor while an
// OSD that may have it has not been declared lost; then it goes back to what is left of it, or is
// deleted, on every copy.
func TestUnfound(t *testing.T) {
	for _, tc := range []struct{ name, old, how, want string }{
		{"delete", "old", "delete", ""},
		{"revert", "old", "revert", "old"},
		{"revert of a new object", "", "revert", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := calm(t, 4)
			c, n, p := unfoundObject(s, tc.old)
			args := admin.Args{"pgid": p.id.PGID.String(), "mulcmd": tc.how}
			list, err := s.tell(n, n.d.cmdListUnfound, args)
			if err != nil || len(p.unfound()) != 1 {
				t.Fatalf("%d unfound, %s %v", len(p.unfound()), list, err)
			}
			if _, err := s.tell(n, n.d.cmdMarkLost, args); err == nil ||
				!strings.Contains(err.Error(), "haven't probed all sources") {
				t.Fatalf("given up while its OSDs may come back: %v", err)
			}
			inc := s.change()
			inc.NewLost = map[int32]ceph.Epoch{}
			for _, o := range s.nodes {
				if o.d == nil {
					inc.NewLost[o.id] = s.m.Info[o.id].DownAt
				}
			}
			s.commit(inc)
			s.rest()
			if n, p = s.pgOf(0); len(p.unfound()) != 1 {
				t.Fatalf("%d unfound after 'osd lost': %s", len(p.unfound()), s.states())
			}
			text, err := s.tell(n, n.d.cmdMarkLost, args)
			if err != nil || text != "pg has 1 objects unfound and apparently lost marking" {
				t.Fatalf("%s %v", text, err)
			}
			if got := s.get(c, 0); got != tc.want {
				t.Fatalf("read %q, want %q", got, tc.want)
			}
			for _, o := range s.nodes {
				if o.d == nil {
					s.restart(o)
				}
			}
			s.until("clean", s.settled)
			if got := s.get(c, 0); got != tc.want {
				t.Fatalf("read %q after the others came back, want %q", got, tc.want)
			}
			s.checkCopies(0)
		})
	}
}

// TestUnfoundComesBack: an OSD that has the object ends it.
func TestUnfoundComesBack(t *testing.T) {
	s := calm(t, 4)
	c, _, _ := unfoundObject(s, "old")
	s.restart(s.nodes[0])
	if got := s.get(c, 0); got != "new" {
		t.Fatalf("read %q", got)
	}
}

// checkCopies compares the copies of an object.
func (s *sim) checkCopies(object int) {
	raw, _ := s.m.ObjectPG(simPool, fmt.Sprintf("obj%d", object), "", "")
	pg := s.m.RawToPG(raw)
	_, _, acting, _ := s.m.PGToUpActing(pg)
	h := ceph.HObject{Pool: simPool, Name: fmt.Sprintf("obj%d", object), Hash: raw.Seed,
		Snap: ceph.NoSnap}
	want := ""
	for i, osd := range acting {
		got := s.nodes[osd].contents(ceph.SPG{PGID: pg, Shard: ceph.NoShard}, h)
		if i > 0 && got != want {
			s.t.Errorf("osd.%d has %q, osd.%d %q", osd, got, acting[0], want)
		}
		want = got
	}
}
