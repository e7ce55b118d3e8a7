package reserve

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestPriorities(t *testing.T) {
	full := Need{Size: 3, MinSize: 2, Acting: 3, Whole: 3}
	with := func(f func(*Need)) Need {
		n := full
		f(&n)
		return n
	}
	for _, c := range []struct {
		name               string
		need               Need
		recovery, backfill uint32
	}{
		{"only moved", full, 180, 100},
		{"one misses something", with(func(n *Need) { n.Whole, n.Degraded = 2, true }), 180, 141},
		{"below min_size", with(func(n *Need) { n.Whole, n.Degraded = 1, true }), 221, 142},
		{"nobody has all", with(func(n *Need) { n.Whole, n.Degraded = 0, true }), 222, 143},
		{"undersized", with(func(n *Need) { n.Acting, n.Whole, n.Degraded = 2, 2, true }),
			180, 141},
		{"inactive", with(func(n *Need) { n.Acting, n.Whole, n.Degraded = 1, 1, true }), 221, 221},
		{"pool first", with(func(n *Need) { n.Pool = 10 }), 190, 110},
		{"pool last", with(func(n *Need) { n.Pool = -10 }), 170, 90},
		{"stays in its band", Need{Size: 60, MinSize: 2, Acting: 3, Whole: 3, Pool: 10}, 190, 179},
		{"forced", with(func(n *Need) { n.Forced, n.Pool = true, -10 }), 255, 254},
	} {
		if r, b := c.need.Recovery(), c.need.Backfill(); r != c.recovery || b != c.backfill {
			t.Errorf("%s: %d and %d, want %d and %d", c.name, r, b, c.recovery, c.backfill)
		}
	}
}

// TestReserver drives a reserver at random and holds it against its promises after every call.
func TestReserver(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var r Reserver[int]
		held, asked, keeps := map[int]bool{}, map[int]uint32{}, map[int]bool{}
		limit, most := 0, 0
		take := func(events []Event[int]) {
			for _, e := range events {
				if e.Granted == held[e.Key] {
					t.Fatalf("seed %d: %+v, held %v", seed, e, held)
				}
				if held[e.Key] = e.Granted; !e.Granted {
					if keeps[e.Key] {
						t.Fatalf("seed %d: %d was pre-empted and keeps its slot", seed, e.Key)
					}
					delete(asked, e.Key)
				}
			}
		}
		for range 200 {
			k := rng.IntN(8)
			switch rng.IntN(5) {
			case 0:
				limit = rng.IntN(4)
				take(r.SetMax(limit))
			case 1, 2, 3:
				asked[k], keeps[k] = uint32(rng.IntN(4)), rng.IntN(4) == 0
				take(r.Request(k, asked[k], keeps[k]))
			case 4:
				delete(asked, k)
				held[k] = false
				take(r.Release(k))
			}
			waiting, granted := r.Dump()
			most = max(limit, min(most, len(granted)))
			if len(granted) > most || len(granted) < limit && len(waiting) > 0 {
				t.Fatalf("seed %d: %d granted of %d, %d wait", seed, len(granted), limit,
					len(waiting))
			}
			for _, g := range granted {
				if !held[g.Key] || g.Priority != asked[g.Key] {
					t.Fatalf("seed %d: %+v was not told", seed, g)
				}
				for _, w := range waiting {
					if !g.Keeps && w.Priority > g.Priority && len(granted) <= limit {
						t.Fatalf("seed %d: %+v holds while %+v waits", seed, g, w)
					}
				}
			}
			if !slices.IsSortedFunc(waiting, func(a, b Row[int]) int {
				return int(b.Priority) - int(a.Priority)
			}) || len(waiting)+len(granted) != len(asked) {
				t.Fatalf("seed %d: waiting %v granted %v asked %v", seed, waiting, granted, asked)
			}
		}
	}
}

func TestReserverKeepsTurns(t *testing.T) {
	var r Reserver[string]
	r.SetMax(1)
	r.Request("a", 5, false)
	r.Request("b", 5, false)
	r.Request("c", 5, false)
	if got := r.Release("a"); len(got) != 1 || got[0] != (Event[string]{"b", true}) {
		t.Errorf("after a: %v", got)
	}
	if got := r.Request("d", 9, false); len(got) != 2 || got[0] != (Event[string]{"b", false}) ||
		got[1] != (Event[string]{"d", true}) {
		t.Errorf("a higher priority: %v", got)
	}
	if r.Holds("b") || !r.Holds("d") {
		t.Error("the pre-empted one still holds")
	}
}

// A cluster is OSDs with reservers and PGs with claims, whose calls travel in any order that keeps
// each link's own.
type cluster struct {
	t      *testing.T
	rng    *rand.Rand
	local  []*Reserver[key]
	remote []*Reserver[key]
	pgs    []*testPG
	links  map[[3]int][]func()
	names  [][3]int
}

type key struct {
	pg  int
	seq uint64
}

type testPG struct {
	id, primary int
	claim       Claim
	plan        Plan
	work        int
}

func (c *cluster) post(link [3]int, f func()) {
	if _, ok := c.links[link]; !ok {
		c.names = append(c.names, link)
	}
	c.links[link] = append(c.links[link], f)
}

func (c *cluster) do(p *testPG, effects []Effect) {
	for _, e := range effects {
		osd, r := p.primary, c.local[p.primary]
		if e.OSD != Self {
			osd, r = int(e.OSD), c.remote[e.OSD]
		}
		c.post([3]int{p.primary, osd, int(e.OSD)}, func() { c.at(r, e, p) })
	}
}

// at runs a request at a reserver, whose events go back to the PGs that they are about.
func (c *cluster) at(r *Reserver[key], e Effect, p *testPG) {
	k := key{p.id, e.Seq}
	var events []Event[key]
	if e.Release {
		events = r.Release(k)
	} else {
		events = r.Request(k, e.Priority, false)
	}
	for _, ev := range events {
		q := c.pgs[ev.Key.pg]
		from := int(e.OSD)
		if e.OSD == Self {
			from = p.primary
		}
		c.post([3]int{from, q.primary, 10 + int(e.OSD)}, func() {
			if ev.Granted {
				c.do(q, q.claim.Granted(e.OSD, ev.Key.seq))
			} else {
				c.do(q, q.claim.Lost(e.OSD, ev.Key.seq))
			}
		})
	}
}

func (c *cluster) step() bool {
	var ready [][3]int
	for _, n := range c.names {
		if len(c.links[n]) > 0 {
			ready = append(ready, n)
		}
	}
	if len(ready) == 0 {
		return false
	}
	n := ready[c.rng.IntN(len(ready))]
	f := c.links[n][0]
	c.links[n] = c.links[n][1:]
	f()
	return true
}

// check holds the claims that say they have everything against the reservers.
func (c *cluster) check(seed uint64) {
	for _, p := range c.pgs {
		if p.claim.State() != Held {
			continue
		}
		k := key{p.id, p.claim.seq}
		lost := func(r *Reserver[key]) bool { return !r.Holds(k) }
		if lost(c.local[p.primary]) && !c.coming(p) {
			c.t.Fatalf("seed %d: pg %d goes on without its own slot", seed, p.id)
		}
		for _, o := range p.plan.Targets {
			if lost(c.remote[o]) && !c.coming(p) {
				c.t.Fatalf("seed %d: pg %d goes on without the slot of %d", seed, p.id, o)
			}
		}
	}
}

// coming says whether news for the PG's primary are on their way.
func (c *cluster) coming(p *testPG) bool {
	for n, q := range c.links {
		if n[1] == p.primary && n[2] >= 9 && len(q) > 0 {
			return true
		}
	}
	return false
}

// TestClaimsFinish lets PGs with changing priorities compete: all of them get their turn, whatever
// the order in which messages arrive, and nobody goes on without its slots.
func TestClaimsFinish(t *testing.T) {
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 2))
		c := &cluster{t: t, rng: rng, links: map[[3]int][]func(){}}
		const osds = 4
		for range osds {
			l, r := &Reserver[key]{}, &Reserver[key]{}
			l.SetMax(1 + rng.IntN(2))
			r.SetMax(1 + rng.IntN(2))
			c.local, c.remote = append(c.local, l), append(c.remote, r)
		}
		for i := range 8 {
			order := rng.Perm(osds)
			p := &testPG{id: i, primary: order[0], work: 5}
			p.plan = Plan{Kind: Recovery, Priority: uint32(rng.IntN(3)),
				Targets: []int32{int32(order[1]), int32(order[2])}}
			c.pgs = append(c.pgs, p)
			c.do(p, p.claim.Want(p.plan))
		}
		for n := 0; ; n++ {
			if n > 20000 {
				t.Fatalf("seed %d: no end: %s", seed, c.states())
			}
			moved := c.step()
			c.check(seed)
			left := moved
			for _, p := range c.pgs {
				if p.claim.State() == Held && rng.IntN(3) == 0 {
					left = true
					if p.work--; p.work == 0 {
						c.do(p, p.claim.Drop())
					}
				}
				if p.work > 0 && n < 300 && rng.IntN(40) == 0 {
					p.plan.Priority = uint32(rng.IntN(4))
					c.do(p, p.claim.Want(p.plan))
				}
				left = left || p.work > 0
			}
			if !left {
				break
			}
		}
		for i := range c.local {
			for _, r := range []*Reserver[key]{c.local[i], c.remote[i]} {
				if g, w := r.Len(); g+w > 0 {
					t.Fatalf("seed %d: %d granted and %d waiting are left over", seed, g, w)
				}
			}
		}
	}
}

func (c *cluster) states() string {
	s := ""
	for _, p := range c.pgs {
		s += fmt.Sprintf("\npg %d of %d: %+v left %d", p.id, p.primary, p.claim, p.work)
	}
	return s
}

func TestClaimTooFull(t *testing.T) {
	var c Claim
	c.Want(Plan{Kind: Backfill, Priority: 100, Targets: []int32{4, 2}})
	first := c.Granted(Self, 1)
	if len(first) != 1 || first[0].OSD != 2 {
		t.Fatalf("asks %+v first", first)
	}
	if out := c.Refused(2, 1); len(out) != 2 || c.State() != TooFull || c.Full() != 2 {
		t.Fatalf("%+v, %+v", out, c)
	}
	if out := c.Want(c.plan); out != nil || c.State() != TooFull {
		t.Fatalf("goes on at once: %+v", out)
	}
	if out := c.Granted(Self, 1); out != nil || c.State() != TooFull {
		t.Fatalf("a late grant: %+v", out)
	}
	c.Retry()
	if c.State() != WaitLocal {
		t.Fatalf("%+v", c)
	}
}
