package osd

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
	"glue/wire/message"
)

// The tests named TestKnown hold Glue against faults of other stores (docs/REGRESSIONS.md).

// withClients is a calm simulation whose clients do as they are told.
func withClients(t *testing.T, seed uint64) *sim {
	s := calm(t, seed)
	s.quiet = true
	for i := range 3 {
		s.cl = append(s.cl, &simClient{s: s, id: i})
	}
	return s
}

// Ceph PR 28636: a primary that was replaced without knowing it answered reads with what had been
// overwritten. A client that hears as little as the old primary gets no answer from it.
func TestKnownReadFromReplacedPrimary(t *testing.T) {
	s := withClients(t, 5)
	s.put(s.cl[0], 0, "old")
	n, _ := s.pgOf(0)
	reader, writer := s.cl[n.id], s.cl[(n.id+1)%3]
	if got := s.get(reader, 0); got != "old" {
		t.Fatalf("read %q", got)
	}
	n.apart = s.clock.Add(time.Hour)
	s.markDown(n.id)
	// A write that reached the old primary would block the read there.
	s.until("map", func() bool { return writer.m.Epoch == s.m.Epoch })
	s.put(writer, 0, "new")
	reader.tid++
	reader.op = &simOp{object: 0, tid: reader.tid, read: true, call: int64(s.steps)}
	for range 2000 {
		s.step()
	}
	if reader.op == nil {
		t.Fatalf("the old primary answers %v", reader.events[len(reader.events)-1].op.Output)
	}
	n.apart = time.Time{}
	s.until("read", func() bool { return reader.op == nil })
	if got := reader.events[len(reader.events)-1].op.Output; got != "new" {
		t.Fatalf("read %v", got)
	}
}

// tracker 73997: reads from replicas saw what was not committed. A copy that has a write which
// another has not serves that object no more until all have it, and then without the primary.
func TestKnownReadOfUncommittedWrite(t *testing.T) {
	s := withClients(t, 5) // leases are long
	s.put(s.cl[0], 0, "old")
	n, p := s.pgOf(0)
	acting, _ := p.m.Acting()
	here, there := acting[1], acting[2]
	copyOf := func(o int32) *pg { return s.nodes[o].d.shardOf(p.id).pgs[p.id] }
	var readers [2]*simClient
	writer := s.cl[n.id]
	readers[0], readers[1] = s.cl[here], s.cl[there]
	read := func(c *simClient, from int32) {
		c.tid++
		c.op = &simOp{object: 0, tid: c.tid, read: true, any: true, to: &from, call: int64(s.steps)}
	}
	last := func(c *simClient) any { return c.events[len(c.events)-1].op.Output }

	for i, o := range []int32{here, there} {
		read(readers[i], o)
		s.until("a copy serves", func() bool { return readers[i].op == nil })
	}
	s.nodes[there].apart = s.clock.Add(time.Hour)
	writer.tid++
	writer.op = &simOp{object: 0, tid: writer.tid, value: "new", call: int64(s.steps)}
	s.until("one copy has the write", func() bool {
		return copyOf(here).m.Log().Head() == p.m.Log().Head() &&
			copyOf(there).m.Log().Head() != p.m.Log().Head()
	})
	read(readers[0], here)
	for range 500 {
		s.step()
	}
	if readers[0].op == nil {
		t.Fatalf("read %v while a copy lacks it", last(readers[0]))
	}
	s.nodes[there].apart = time.Time{}
	s.until("all have it", func() bool { return writer.op == nil && readers[0].op == nil })
	read(readers[1], there)
	s.until("the other serves too", func() bool { return readers[1].op == nil })
	for _, c := range readers {
		if last(c) != "new" {
			t.Errorf("read %v", last(c))
		}
	}
	if n := s.served; n < 4 {
		t.Errorf("%d reads were served by copies", n)
	}
}

// tracker 80404: after a renewal of the read lease was lost none was tried any more, and the PG
// stayed laggy. Whatever is lost, for however long, the PG serves again once messages arrive.
func TestKnownLostLeaseRenewal(t *testing.T) {
	for _, lost := range []message.Type{(&message.MOSDPGLease{}).Type(),
		(&message.MOSDPGLeaseAck{}).Type()} {
		s := withClients(t, 6)
		s.put(s.cl[0], 0, "value")
		_, p := s.pgOf(0)
		for end := s.clock.Add(4 * p.leaseTime()); s.clock.Before(end); s.step() {
			for k, q := range s.links {
				s.links[k] = slices.DeleteFunc(q, func(b message.Body) bool {
					return b.Type() == lost
				})
			}
		}
		if p.s.now = s.clock; p.readable() {
			t.Fatal("the primary serves without a lease")
		}
		if got := s.get(s.cl[0], 0); got != "value" {
			t.Fatalf("read %q", got)
		}
	}
}

// tracker 53729: the requests that a PG remembers below its log were not trimmed any more after a
// split and filled the memory. On every copy, in memory and in the store, before and after a
// split, there are no more than the option says and one trim of the log adds.
func TestKnownDupsOfSplitPG(t *testing.T) {
	s := withClients(t, 8)
	most := 0
	check := func(when string) {
		t.Helper()
		s.until("clean", s.settled)
		most = 0
		for _, n := range s.nodes {
			for _, sh := range n.d.shards {
				for id, p := range sh.pgs {
					l := p.m.Log()
					most = max(most, len(l.Dups()))
					if len(l.Dups()) > n.d.config.Load().dups+trimSlack+1 {
						t.Errorf("%s: osd.%d %v remembers %d", when, n.id, id, len(l.Dups()))
					}
					stored := 0
					for _, err := range n.store.Log(id, ceph.Eversion{}) {
						if err != nil {
							t.Fatal(err)
						}
						stored++
					}
					if stored > l.Len()+len(l.Dups()) {
						t.Errorf("%s: osd.%d %v stores %d, knows %d and %d", when, n.id, id,
							stored, l.Len(), len(l.Dups()))
					}
				}
			}
		}
	}
	write := func(count int) {
		for i := range count {
			s.put(s.cl[0], 0, fmt.Sprint("v", i))
		}
	}
	write(330)
	check("before")
	if most < 100 {
		t.Fatalf("only %d are remembered", most)
	}
	s.setPGs(16)
	check("split")
	write(330)
	check("after")
}

// setPGs makes the pool's PGs more.
func (s *sim) setPGs(n uint32) {
	p := *s.m.Pools[simPool]
	p.PGNum, p.PGNumPending, p.PGNumTarget = n, n, n
	inc := s.change()
	inc.NewPools = map[int64]*osdmap.Pool{simPool: &p}
	s.commit(inc)
}

// tracker 37511, 24866, 38655, 45991: what a PG that was split or merged said of its history
// depended on the OSD that was asked, on what it had been told, and in which order. Copies that get
// the maps alone or several at a time, before or after a restart, are split into the same, before
// any of them has heard of the others.
func TestKnownSplitDependsOnMapsAlone(t *testing.T) {
	for seed := range uint64(4) {
		s := withClients(t, 10+seed)
		for o := range simObjects {
			s.put(s.cl[0], o, fmt.Sprint("a", o))
			s.put(s.cl[0], o, fmt.Sprint("b", o))
		}
		s.until("clean", s.settled)
		s.setPGs(7)
		s.flags(osdmap.FlagNoRebalance)
		s.setPGs(16)
		s.catchUp(true)
		s.sameHistories(16)
		s.flags(0)
		s.until("clean", s.settled)
		for o := range simObjects {
			if got := s.get(s.cl[0], o); got != fmt.Sprint("b", o) {
				t.Errorf("seed %d: object %d is %q", seed, o, got)
			}
		}
	}
}

// The same of PGs that are merged.
func TestKnownMergeDependsOnMapsAlone(t *testing.T) {
	for seed := range uint64(4) {
		s := withClients(t, 20+seed)
		s.lateMerge = true
		for o := range simObjects {
			s.put(s.cl[0], o, fmt.Sprint("a", o))
		}
		p := *s.m.Pools[simPool]
		p.PGPNum, p.PGPNumTarget = 3, 3
		inc := s.change()
		inc.NewPools = map[int64]*osdmap.Pool{simPool: &p}
		s.commit(inc)
		s.until("clean", s.settled)
		p = *s.m.Pools[simPool]
		p.PGNumPending, p.PGNumTarget = 3, 3
		inc = s.change()
		inc.NewPools = map[int64]*osdmap.Pool{simPool: &p}
		s.commit(inc)
		s.until("merged", func() bool { return s.m.Pools[simPool].PGNum == 3 })
		ids := [2]ceph.SPG{}
		requests, head := 0, ceph.Eversion{}
		for i, from := range []uint32{1, 3} {
			ids[i] = ceph.SPG{PGID: ceph.PGID{Pool: simPool, Seed: from}, Shard: ceph.NoShard}
			l := s.nodes[0].d.shardOf(ids[i]).pgs[ids[i]].m.Log()
			requests += l.Len() + len(l.Dups())
			head.Epoch = max(head.Epoch, l.Head().Epoch)
			head.Version = max(head.Version, l.Head().Version)
		}
		s.flags(osdmap.FlagNoRebalance)
		s.catchUp(false)
		s.sameHistories(3)
		l := s.nodes[0].d.shardOf(ids[0]).pgs[ids[0]].m.Log()
		if l.Head() != head || l.Len()+len(l.Dups()) != requests {
			t.Errorf("seed %d: at %v with %d requests, want %v with %d", seed, l.Head(),
				l.Len()+len(l.Dups()), head, requests)
		}
		s.flags(0)
		s.until("clean", s.settled)
		for o := range simObjects {
			if got := s.get(s.cl[0], o); got != fmt.Sprint("a", o) {
				t.Errorf("seed %d: object %d is %q", seed, o, got)
			}
		}
	}
}

// catchUp gives all nodes the newest map, each in its way, before they hear of one another.
func (s *sim) catchUp(restart bool) {
	n := s.nodes[2]
	s.publish(n)
	n.turn()
	if restart { // what it has begun with some of the maps may be lost
		s.crash(n)
		s.start(n)
	}
	for i, n := range s.nodes {
		for n.epoch < s.m.Epoch {
			if s.publish(n); i == 0 { // the others get all of them in one go
				n.turn()
			}
		}
		n.turn()
	}
}

// turn lets a node's shards and its store do all that they can without the others.
func (n *simNode) turn() {
	for range 50 {
		for _, sh := range n.d.shards {
			if len(sh.in) > 0 {
				sh.turn()
			}
		}
		n.store.Complete(n.store.Pending())
	}
}

// sameHistories compares what the copies of each PG have in common.
func (s *sim) sameHistories(pgs uint32) {
	s.t.Helper()
	for seed := range pgs {
		id := ceph.SPG{PGID: ceph.PGID{Pool: simPool, Seed: seed}, Shard: ceph.NoShard}
		want := ""
		for i, n := range s.nodes {
			p := n.d.shardOf(id).pgs[id]
			if p == nil {
				s.t.Fatalf("osd.%d has no %v", n.id, id)
			}
			// The pool began with four: what a child comes from.
			from := ceph.SPG{PGID: ceph.PGID{Pool: simPool, Seed: seed % 4}, Shard: id.Shard}
			was, is := n.d.shardOf(from).pgs[from].m.Past(), p.m.Past()
			if is.First != was.First || len(is.RW) != len(was.RW) {
				s.t.Errorf("osd.%d: %v has the past %+v, %v has %+v", n.id, from, *was, id, *is)
			}
			for _, e := range p.m.Log().Entries() {
				if s.m.Pools[simPool].FoldSeed(e.Object.Hash) != seed {
					s.t.Errorf("osd.%d: %v has the log entry of %v", n.id, id, e.Object)
				}
			}
			got := lineage(p)
			if i == 0 {
				want = got
			} else if got != want {
				s.t.Errorf("%v on osd.%d is\n%s\non osd.0\n%s", id, n.id, got, want)
			}
		}
	}
}

// lineage is what a split must give every copy alike.
func lineage(p *pg) string {
	i, l := p.m.Info(), p.m.Log()
	h := i.History
	out := fmt.Sprintf("update %v created %d/%d split %d since %d/%d/%d started %d, %d dups\n",
		i.LastUpdate, h.EpochCreated, h.EpochPoolCreated, h.LastEpochSplit, h.SameUpSince,
		h.SameIntervalSince, h.SamePrimarySince, h.LastEpochStarted, len(l.Dups()))
	// How far back it goes depends on when a copy heard that the PG was clean.
	out += fmt.Sprintf("past to %d %+v\n", p.m.Past().Last, p.m.Past().RW)
	for _, e := range l.Entries() {
		out += fmt.Sprintf("%v %v %v\n", e.Version, e.Object, pginfo.LogOp(e.Op))
	}
	return out
}

// A copy trims its log also when its primaries never have much to trim, as they are filled anew one
// after the other: the log of a copy that stays would grow with each of them.
func TestLogOfCopyWithNewPrimaries(t *testing.T) {
	s := withClients(t, 5)
	const keep = 40
	for i := range 2 * (keep + 2*trimSlack) {
		s.put(s.cl[0], 0, fmt.Sprint(i))
		n, p := s.pgOf(0)
		if l := p.m.Log(); l.Len() > 30 {
			l.Trim(l.Entries()[l.Len()-10].Version) // as if it had been filled then
		}
		for _, o := range s.nodes {
			copied := o.d.shardOf(p.id).pgs[p.id]
			if l := copied.m.Log().Len(); o != n && l > keep+2*trimSlack+1 {
				t.Fatalf("osd.%d has %d entries", o.id, l)
			}
		}
	}
}
