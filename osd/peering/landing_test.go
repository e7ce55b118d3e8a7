package peering

import (
	"slices"
	"testing"

	"glue/ceph"
	"glue/cluster/osdmap"
)

// pulling is a world in which osd.1, which was away, leads again and has just been given objects a
// and b that it missed: they are on their way to its disk. osd.3, which stood in for it, has them.
func pulling(t *testing.T) (w *world, primary *Machine, a, b ceph.HObject) {
	t.Helper()
	w = &world{t: t, machines: map[int32]*Machine{}, copies: map[int32]bool{},
		temp: map[ceph.PGID][]int32{}, thru: map[int32]bool{}}
	step := func(f func(*osdmap.Incremental)) {
		w.commit(f)
		w.publish()
		w.run()
		w.mon()
	}
	w.cluster(4, 3, 2)
	w.run()
	w.mon()
	step(func(inc *osdmap.Incremental) {
		inc.NewState = map[int32]osdmap.State{1: osdmap.OSDUp}
		inc.NewWeight = map[int32]uint32{1: 0}
	})
	_, _, acting, _ := w.now().PGToUpActing(scriptPG.PGID)
	w.recover()
	w.write("a", acting)
	w.write("b", acting)
	step(func(inc *osdmap.Incremental) {
		up(inc, 1, w.now().Epoch)
		inc.NewWeight = map[int32]uint32{1: osdmap.WeightIn}
	})
	primary = w.machines[1]
	if primary.State() != ActiveState || primary.Missing().Len() != 2 || w.machines[3] == nil {
		t.Fatalf("osd.1 is %v and misses %d; %s", primary.State(), primary.Missing().Len(),
			w.out.String())
	}
	missing := primary.Missing().InOrder()
	for _, o := range missing {
		it, _ := primary.Missing().Get(o)
		primary.GotObject(o, it.Need)
		primary.Landing(o, true)
	}
	return w, primary, missing[0], missing[1]
}

// removes says whether one of the effects has a copy elsewhere removed.
func removes(effects []Effect) bool {
	return slices.ContainsFunc(effects, func(e Effect) bool {
		s, ok := e.(Send)
		if !ok {
			return false
		}
		_, ok = s.Msg.(Remove)
		return ok
	})
}

// TestKnownCleanBeforeDurable: what a primary has pulled is not missing any more when its store has
// accepted it; the PG is not clean, and no copy elsewhere is removed, before all of it is durable.
func TestKnownCleanBeforeDurable(t *testing.T) {
	_, ma, a, b := pulling(t)
	owed := func(what string, effects []Effect) {
		t.Helper()
		if ma.IsClean() || removes(effects) {
			t.Fatalf("%s: clean %v, copies elsewhere removed %v", what, ma.IsClean(),
				removes(effects))
		}
	}
	owed("nothing is durable", ma.Recovered())
	for _, o := range ma.Members() {
		owed("a copy has one", ma.PeerRecovered(o, a))
	}
	ma.Landing(a, false)
	owed("one of two is durable", ma.Recovered())
	ma.Landing(b, false)
	if effects := ma.Recovered(); !ma.IsClean() || !removes(effects) {
		t.Fatalf("all is durable: clean %v, stray removed %v", ma.IsClean(), removes(effects))
	}
}

// TestLandingEnds: an object that the store has refused after all is missing, and what was on its
// way when an interval ended holds up nobody in the next.
func TestLandingEnds(t *testing.T) {
	w, ma, a, b := pulling(t)
	v, _ := ma.Log().Latest(a)
	ma.MarkMissing(a, v)
	ma.Landing(b, false)
	if ma.Recovered(); ma.IsClean() || !ma.Missing().Has(a) {
		t.Fatal("clean without a")
	}
	ma.GotObject(a, v)
	if ma.Recovered(); !ma.IsClean() {
		t.Error("what the store had refused was waited for")
	}
	ma.Landing(b, true)
	w.commit(func(inc *osdmap.Incremental) {
		inc.NewState = map[int32]osdmap.State{2: osdmap.OSDUp}
	})
	w.publish()
	w.run()
	w.mon()
	w.recover()
	if ma = w.machines[1]; ma.State() != ActiveState || !ma.IsClean() {
		t.Errorf("osd.1 is %v, clean %v: an object of the last interval holds it up", ma.State(),
			ma.IsClean())
	}
}
