package osd

import (
	"testing"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
	"glue/internal/admin"
	"glue/osd/snaps"
)

// A lostFamily is an object with snapshots of which only what osd.2 has is left.
type lostFamily struct {
	*sim
	c *simClient
	o int
}

func newLostFamily(t *testing.T, seed uint64) *lostFamily {
	f := &lostFamily{sim: calm(t, seed)}
	f.c = &simClient{s: f.sim}
	f.cl, f.quiet = append(f.cl, f.c), true
	f.rest()
	for n, _ := f.pgOf(f.o); n.id != 2; n, _ = f.pgOf(f.o) {
		f.o++ // until osd.2 leads
	}
	f.putAt("old")
	return f
}

// lost declares that nothing of the OSDs that are down comes back.
func (f *lostFamily) lost() {
	inc := f.change()
	inc.NewLost = map[int32]ceph.Epoch{}
	for _, o := range f.nodes {
		if o.d == nil {
			inc.NewLost[o.id] = f.m.Info[o.id].DownAt
		}
	}
	f.commit(inc)
	f.rest()
}

// putAt writes the object under a snapshot context.
func (f *lostFamily) putAt(value string, ids ...ceph.SnapID) {
	f.t.Helper()
	f.c.tid++
	f.c.op = &simOp{object: f.o, tid: f.c.tid, value: value, call: int64(f.steps)}
	if len(ids) > 0 {
		f.c.op.snaps = snaps.Context{Seq: ids[0], Snaps: ids}
	}
	f.until("write of "+value, func() bool { return f.c.op == nil })
}

// getAt reads it at a snapshot, or now.
func (f *lostFamily) getAt(at ceph.SnapID) string {
	f.t.Helper()
	f.c.tid++
	f.c.op = &simOp{object: f.o, tid: f.c.tid, read: true, at: at, call: int64(f.steps)}
	f.until("read", func() bool { return f.c.op == nil })
	return f.c.events[len(f.c.events)-1].op.Output.(string)
}

// away has f run while osd.2 is down, then only osd.2 runs, which knows of it all and has nothing
// of it but what middle has brought there.
func (f *lostFamily) away(do, middle func()) {
	f.t.Helper()
	f.stop(f.nodes[2])
	do()
	f.stop(f.nodes[0])
	f.flags(osdmap.FlagNoRecover)
	f.restart(f.nodes[2])
	if middle != nil {
		middle()
	}
	f.stop(f.nodes[1])
	f.flags(0)
	f.rest()
}

// bring has a clone recovered to osd.2.
func (f *lostFamily) bring(clone ceph.SnapID) {
	f.t.Helper()
	_, p := f.pgOf(f.o)
	o := ceph.HObject{Pool: simPool, Name: f.c.name(f.o), Snap: clone}
	raw, _ := f.m.ObjectPG(simPool, o.Name, "", "")
	o.Hash = raw.Seed
	p.recoverObject(o)
	f.until("clone", func() bool {
		q := f.nodes[2].d.shardOf(p.id).pgs[p.id]
		_, err := f.nodes[2].store.AfterCrash().Stat(p.id, o)
		return err == nil && !q.m.Missing().Has(o)
	})
}

// giveUp gives the objects up for good, and has the others come back.
func (f *lostFamily) giveUp(how string) {
	f.t.Helper()
	_, p := f.pgOf(f.o)
	f.until("unfound", func() bool { return p.state().Has(pgstat.RecoveryUnfound) })
	f.lost()
	n, p := f.pgOf(f.o)
	f.until("unfound", func() bool { return p.state().Has(pgstat.RecoveryUnfound) })
	f.mark(n, p, how)
	for _, o := range f.nodes {
		if o.d == nil {
			f.restart(o)
		}
	}
	f.until("clean", f.settled)
}

func (f *lostFamily) mark(n *simNode, p *pg, how string) {
	f.t.Helper()
	args := admin.Args{"pgid": p.id.PGID.String(), "mulcmd": how}
	if text, err := f.tell(n, n.d.cmdMarkLost, args); err != nil {
		f.t.Fatalf("%s %v", text, err)
	}
	f.until("given up", func() bool {
		return len(p.unfound()) == 0 && len(p.recovery.lost) == 0
	})
}

// wants checks what is there at last, and that a scrub finds nothing.
func (f *lostFamily) wants(want map[ceph.SnapID]string) {
	f.t.Helper()
	for at, value := range want {
		if got := f.getAt(at); got != value {
			f.t.Errorf("at %d %q, want %q", at, got, value)
		}
	}
	f.checkCopies(f.o)
	f.checkSnaps()
	f.checkScrub()
}

// TestUnfoundWithSnapshots: whatever of an object and its clones is given up, its head knows those
// clones that there are, so that a scrub finds nothing; and what was not lost is there.
func TestUnfoundWithSnapshots(t *testing.T) {
	const gone = ""
	for _, tc := range []struct {
		name         string
		do           func(f *lostFamily)
		how          string
		head, s5, s6 string
	}{
		{"a clone", func(f *lostFamily) {
			f.away(func() { f.putAt("new", 5) }, func() { f.putAt("newer", 5) })
		}, "delete", "newer", gone, "newer"},
		{"a clone, which nothing older is left of", func(f *lostFamily) {
			f.away(func() { f.putAt("new", 5) }, func() { f.putAt("newer", 5) })
		}, "revert", "newer", gone, "newer"},
		{"a clone between others", func(f *lostFamily) {
			f.putAt("mid", 5)
			f.away(func() { f.putAt("new", 6, 5) }, func() { f.putAt("newer", 6, 5) })
		}, "delete", "newer", "old", gone},
		{"a head that has a clone", func(f *lostFamily) {
			f.putAt("new", 5)
			f.away(func() { f.putAt("newer", 5) }, nil)
		}, "delete", gone, "old", gone},
		{"a head that goes back and has a clone", func(f *lostFamily) {
			f.putAt("new", 5)
			f.away(func() { f.putAt("newer", 5) }, nil)
		}, "revert", "new", "old", "new"},
		{"a head and its only clone", func(f *lostFamily) {
			f.away(func() { f.putAt("new", 5) }, nil)
		}, "delete", gone, gone, gone},
		{"a head that goes back, and a clone", func(f *lostFamily) {
			f.away(func() { f.putAt("new", 5) }, nil)
		}, "revert", "old", "old", "old"},
		{"a head and one of two clones", func(f *lostFamily) {
			f.putAt("mid", 5)
			f.away(func() { f.putAt("new", 6, 5) }, nil)
		}, "delete", gone, "old", gone},
		{"a head that goes back behind a clone", func(f *lostFamily) {
			f.putAt("mid", 5)
			f.away(func() { f.putAt("new", 6, 5) }, func() { f.bring(6) })
		}, "revert", "mid", "old", "mid"},
		{"a head of which a newer clone is left", func(f *lostFamily) {
			f.putAt("mid", 5)
			f.away(func() { f.putAt("new", 6, 5) }, func() { f.bring(6) })
		}, "delete", gone, "old", "mid"},
	} {
		for seed := range uint64(4) {
			t.Run(tc.name, func(t *testing.T) {
				f := newLostFamily(t, seed+4)
				tc.do(f)
				f.giveUp(tc.how)
				f.wants(map[ceph.SnapID]string{0: tc.head, 5: tc.s5, 6: tc.s6})
			})
		}
	}
}

// TestUnfoundHeadWaitsForClones: a head is given up when its clones are here that another copy has,
// so that it knows them; it goes back to the newest version that any copy has.
func TestUnfoundHeadWaitsForClones(t *testing.T) {
	for how, want := range map[string]map[ceph.SnapID]string{
		"delete": {0: "", 5: "old"}, "revert": {0: "new", 5: "old"}} {
		f := newLostFamily(t, 4)
		f.stop(f.nodes[2])
		f.putAt("new", 5)
		f.stop(f.nodes[1])
		f.putAt("newer", 5)
		f.flags(osdmap.FlagNoRecover)
		f.restart(f.nodes[1]) // has the clone, and not the newest head
		f.restart(f.nodes[2]) // has neither
		f.stop(f.nodes[0])
		f.lost()
		n, p := f.pgOf(f.o)
		head := ceph.HObject{Pool: simPool, Name: f.c.name(f.o), Snap: ceph.NoSnap}
		raw, _ := f.m.ObjectPG(simPool, head.Name, "", "")
		head.Hash = raw.Seed
		p.startPull(head)
		if n.id != 2 || len(p.unfound()) != 1 || p.m.Missing().Len() != 2 {
			t.Fatalf("osd.%d leads, %d unfound of %d", n.id, len(p.unfound()),
				p.m.Missing().Len())
		}
		f.mark(n, p, how)
		f.flags(0)
		f.restart(f.nodes[0])
		f.until("clean", f.settled)
		f.wants(want)
	}
}

// TestUnfoundCloneThatWasTrimmed: a clone whose newest version stands for fewer snapshots goes back
// to the older one, and stands for what its head says; or is deleted with its lost head, which does
// not know it then.
func TestUnfoundCloneThatWasTrimmed(t *testing.T) {
	for _, tc := range []struct {
		how   string
		write bool // and so the head is not lost
		want  map[ceph.SnapID]string
	}{
		{"revert", true, map[ceph.SnapID]string{0: "newer", 5: "old"}},
		{"delete", true, map[ceph.SnapID]string{0: "newer", 5: ""}},
		{"revert", false, map[ceph.SnapID]string{0: "new", 5: "old"}},
		{"delete", false, map[ceph.SnapID]string{0: "", 5: ""}},
	} {
		f := newLostFamily(t, 4)
		f.putAt("new", 5, 4)
		f.away(func() {
			f.gone[4] = true
			inc := f.change()
			inc.NewRemovedSnaps = map[int64][]osdmap.SnapRange{simPool: {{Start: 4, Len: 1}}}
			pool := *f.m.Pools[simPool]
			pool.Size = 2 // else nothing is trimmed while one is away
			inc.NewPools = map[int64]*osdmap.Pool{simPool: &pool}
			f.commit(inc)
			f.until("trimmed", func() bool {
				_, p := f.pgOf(f.o)
				return p != nil && p.active && len(p.trim.Purged()) > 0
			})
			inc = f.change()
			pool.Size = 3
			inc.NewPools = map[int64]*osdmap.Pool{simPool: &pool}
			f.commit(inc)
			f.rest()
		}, func() {
			if tc.write {
				f.putAt("newer", 5)
			}
		})
		f.giveUp(tc.how)
		f.wants(tc.want)
	}
}

// TestUnfoundIsWaitedFor: requests for an unfound object and its clones wait, and are answered when
// these are given up.
func TestUnfoundIsWaitedFor(t *testing.T) {
	for _, tc := range []struct {
		how  string
		at   ceph.SnapID
		want string
	}{{"delete", 0, ""}, {"delete", 5, "old"}, {"revert", 0, "new"}, {"revert", 5, "old"}} {
		f := newLostFamily(t, 4)
		f.putAt("new", 5)
		f.away(func() { f.putAt("newer", 5) }, nil)
		f.lost()
		n, p := f.pgOf(f.o)
		f.until("unfound", func() bool { return p.state().Has(pgstat.RecoveryUnfound) })
		f.c.tid++
		f.c.op = &simOp{object: f.o, tid: f.c.tid, read: true, at: tc.at, call: int64(f.steps)}
		head := p.unfound()[0]
		f.until("a request that waits", func() bool {
			ob := p.objects[head]
			return ob != nil && len(ob.waiting) > 0
		})
		f.mark(n, p, tc.how)
		f.until("answer", func() bool { return f.c.op == nil })
		if got := f.c.events[len(f.c.events)-1].op.Output.(string); got != tc.want {
			t.Errorf("%s, at %d: %q, want %q", tc.how, tc.at, got, tc.want)
		}
	}
}

// TestLeftoverOfCopyThatIsFilled: an acknowledged write that only one copy has is found when that
// copy comes back, also after so many writes that it has to be filled anew.
func TestLeftoverOfCopyThatIsFilled(t *testing.T) {
	f := newLostFamily(t, 4)
	f.away(func() { f.putAt("new") }, nil)
	_, p := f.pgOf(f.o)
	if len(p.unfound()) != 1 {
		t.Fatalf("%d objects are unfound", len(p.unfound()))
	}
	lost, id := f.o, p.id
	for f.o++; ; f.o++ {
		if _, p := f.pgOf(f.o); p != nil && p.id == id {
			break
		}
	}
	for i := range 40 + trimSlack + 40 {
		f.putAt(string(rune('a' + i%26)))
	}
	if l := p.m.Log(); l.Tail().Version < 20 {
		t.Fatalf("the log still begins at %v", l.Tail())
	}
	f.restart(f.nodes[1])
	f.until("found", func() bool {
		_, p := f.pgOf(lost)
		return p != nil && p.active && len(p.unfound()) == 0 && p.m.Missing().Len() == 0
	})
	f.o = lost
	f.restart(f.nodes[0])
	f.until("clean", f.settled)
	f.wants(map[ceph.SnapID]string{0: "new"})
}
