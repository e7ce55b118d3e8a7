package mon

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"glue/ceph"
	"glue/cluster/monmap"
	"glue/mon/monmon"
	"glue/wire/message"
)

// join starts a monitor with a new store that wants to join.
func (k *council) join(n string) *world {
	k.t.Helper()
	dir := filepath.Join(k.t.TempDir(), "mon")
	must(k.t, MkfsJoin(dir, Joining{Name: n, Monmap: monmon.Encode(k.leader().c.mon.Map()),
		Keyring: []byte(k.ring)}))
	return k.open(n, dir)
}

// stop ends a monitor's process.
func (k *council) stop(n string) {
	must(k.t, k.ws[n].close())
	delete(k.ws, n)
}

// ask runs a command on who leads until it is answered, as clients do.
func (k *council) ask(json string) int32 {
	k.t.Helper()
	for range 20 {
		if r, ok := k.command(k.leader(), json); ok {
			return r
		}
	}
	k.t.Fatalf("no answer to %s", json)
	return 0
}

func (k *council) add(n string) {
	k.t.Helper()
	k.join(n)
	k.until("mon."+n+" is in the quorum", func() bool {
		return slices.Contains(k.leader().c.quorumNames(), n)
	})
}

func (k *council) remove(n string) {
	k.t.Helper()
	if r := k.ask(fmt.Sprintf(`{"prefix":"mon rm","name":"%s"}`, n)); r != 0 {
		k.t.Fatalf("mon rm %s: %d", n, r)
	}
	k.until("mon."+n+" knows that it was removed", func() bool { return k.ws[n].c.gone != nil })
	if err := k.ws[n].c.gone; !errors.Is(err, ErrRemoved) {
		k.t.Fatalf("mon.%s ends with %v", n, err)
	}
	k.stop(n)
}

// same checks that all monitors come to the same state.
func (k *council) same() {
	k.t.Helper()
	k.until("the same state everywhere", func() bool {
		want := dump(k.t, k.leader().c.node.View())
		for _, w := range k.ws {
			if !maps.Equal(dump(k.t, w.c.node.View()), want) {
				return false
			}
		}
		return true
	})
}

func (k *council) pool(n int) {
	k.t.Helper()
	r := k.ask(fmt.Sprintf(`{"prefix":"osd pool create","pool":"p%d","pg_num":4}`, n))
	if r != 0 {
		k.t.Fatalf("pool %d: %d", n, r)
	}
}

// TestGrowAndShrink goes from one monitor to five and back, the leader among the removed, with
// changes in between.
func TestGrowAndShrink(t *testing.T) {
	k := newCouncil(t, "a")
	for i, n := range []string{"b", "c", "d", "e"} {
		k.pool(i)
		k.add(n)
	}
	k.same()
	if v := k.leader().c.node.Voters(); len(v) != 5 {
		t.Fatalf("voters %v", v)
	}
	first := k.leader().c.opt.Name
	k.remove(first) // it leads: another has to first
	for i, n := range slices.DeleteFunc(slices.Sorted(maps.Keys(k.ws)), func(n string) bool {
		return n == "d"
	}) {
		k.pool(10 + i)
		k.remove(n)
	}
	last := k.leader()
	if last.c.opt.Name != "d" || !last.c.node.Leading() || len(last.c.mon.Map().Ranks) != 1 {
		t.Fatalf("mon.%s is left, the map has %v", last.c.opt.Name, last.c.mon.Map().Ranks)
	}
	if n := len(last.c.osd.Map().Pools); n != 7 {
		t.Errorf("%d pools, 7 were made", n)
	}
	if r := k.ask(`{"prefix":"mon rm","name":"d"}`); r == 0 {
		t.Error("the last monitor was removed")
	}
}

// TestLostStore loses a monitor's disk: with a new store it is another member and catches up, while
// its old one, should it come back, is turned away.
func TestLostStore(t *testing.T) {
	k := newCouncil(t, "a", "b", "c")
	k.leader()
	lost := "b"
	if k.leader() == k.ws["b"] {
		lost = "c"
	}
	dir, id := k.ws[lost].dir, k.ws[lost].c.node.ID()
	k.stop(lost)
	k.pool(1)
	k.add(lost)
	if got := k.ws[lost].c.node.ID(); got == id {
		t.Fatal("the new store has the old one's place")
	}
	k.pool(2)
	k.same()
	if m := k.leader().c.mon.Map(); len(m.Ranks) != 3 {
		t.Errorf("the map has %v", m.Ranks)
	}
	other := k.ws[lost]
	delete(k.ws, lost)
	old := k.open(lost, dir)
	k.until("the old store is turned away", func() bool { return old.c.gone != nil })
	k.stop(lost)
	k.ws[lost] = other
	k.same()
}

// TestImpostor is a monitor with a new store and the name of one that runs: it may not take its
// place.
func TestImpostor(t *testing.T) {
	k := newCouncil(t, "a", "b", "c")
	k.leader()
	before := maps.Clone(k.ws)
	w := k.join("b")
	k.ws = maps.Clone(before)
	real := before["b"]
	for range 200 {
		k.step()
		b := &k.ws
		(*b)["b"] = w // it hears and speaks for a moment
		w.time = k.start.Add(k.clock)
		must(t, w.c.tick())
		w.settle()
		(*b)["b"] = real
	}
	if w.c.node.Joined() || k.leader().c.mon.ID("b") != real.c.node.ID() {
		t.Error("a second mon.b has taken the first one's place")
	}
}

// TestRemoveNeedsMajority refuses a removal after which nothing could be decided.
func TestRemoveNeedsMajority(t *testing.T) {
	k := newCouncil(t, "a", "b", "c")
	w := k.leader()
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(k.ws)), func(n string) bool {
		return n == w.c.opt.Name
	})
	k.stop(names[0])
	k.until("the leader misses it", func() bool { return len(k.leader().c.quorumNames()) == 2 })
	if r := k.ask(fmt.Sprintf(`{"prefix":"mon rm","name":"%s"}`, names[1])); r != -16 {
		t.Errorf("the removal of one of two that are up: %d", r)
	}
	if r := k.ask(fmt.Sprintf(`{"prefix":"mon rm","name":"%s"}`, names[0])); r != 0 {
		t.Errorf("the removal of the one that is down: %d", r)
	}
}

// TestRescue loses two of three monitors for good.
func TestRescue(t *testing.T) {
	k := newCouncil(t, "a", "b", "c")
	k.leader()
	k.pool(1)
	k.same()
	for _, n := range []string{"a", "b"} {
		k.stop(n)
	}
	for range 200 {
		k.step()
	}
	if s := k.ws["c"].c.state(); s != "probing" {
		t.Errorf("a monitor that is alone is %s", s)
	}
	dir := k.ws["c"].dir
	k.stop("c")
	s, err := Inspect(dir, "c")
	must(t, err)
	if !slices.Equal(s.Others, []string{"a", "b"}) || s.Index == 0 {
		t.Errorf("survivor %+v", s)
	}
	must(t, Rescue(dir, "c"))
	w := k.open("c", dir)
	if k.leader() != w {
		t.Fatal("the survivor does not lead")
	}
	if _, ok := w.c.osd.Map().PoolByName("p1"); !ok {
		t.Error("the pool is lost")
	}
	k.pool(2)
	k.add("a")
	k.add("b")
	k.same()
}

// TestRemovedStaysUntilOthersKnow: a monitor that was removed ends only when a majority of those
// who are left say so, with the newest map that it has heard of.
func TestRemovedStaysUntilOthersKnow(t *testing.T) {
	k := newCouncil(t, "a", "b", "c", "d")
	k.leader()
	c := k.ws["d"].c
	reply := func(by string, epoch ceph.Epoch) {
		m := *c.mon.Map()
		m.Epoch += epoch
		m.Ranks = []string{"a", "b", "c", "e"} // one has joined since ours
		m.Mons = maps.Clone(m.Mons)
		m.Mons["e"] = monmap.Mon{Name: "e", Addrs: testAddr(port("e"), 0)}
		delete(m.Mons, "d")
		c.probed(&message.MMonProbe{Name: by, Monmap: monmon.Encode(&m), Quorum: []int32{0, 1, 2}})
	}
	reply("a", 1)
	reply("a", 1)
	if c.gone != nil || c.leaving.why == nil {
		t.Fatalf("one of three knows: %v, %v", c.gone, c.leaving.why)
	}
	asked := 0
	carry := c.carry
	c.carry = func(to ceph.AddrVec, b message.Body) { asked++ }
	if c.toOthers(&message.MMonProbe{}); asked != 4 {
		t.Fatalf("%d of 4 are asked", asked)
	}
	c.carry = carry
	reply("x", 1)
	reply("b", 0)
	if c.gone != nil {
		t.Fatalf("a stranger, and one with a map of before: %v", c.gone)
	}
	reply("c", 2)
	if !errors.Is(c.gone, ErrRemoved) {
		t.Fatalf("two of three know: %v", c.gone)
	}
}
