package sim

import (
	"crypto/rand"
	randv2 "math/rand/v2"
	"testing"
	"time"

	"glue/sim/network"
)

// A calm is a world without faults but those of its test.
type calm struct {
	*world
	t *testing.T
	c *cluster
}

// calmWorld runs a cluster until it is clean.
func calmWorld(t *testing.T, seed uint64, markdowns string) calm {
	t.Helper()
	system := rand.Reader
	rand.Reader = randv2.NewChaCha8([32]byte{byte(seed)})
	t.Cleanup(func() { rand.Reader = system })
	w := newWorld(Options{Seed: seed, For: time.Hour, OSDs: true, Mons: 3})
	t.Cleanup(w.close)
	w.cluster.osdConfig["osd_max_markdown_count"] = markdowns
	for _, h := range w.hosts {
		w.at(0, h.start)
	}
	w.cluster.start()
	k := calm{w, t, w.cluster}
	k.within(time.Minute, "all is clean", func() bool {
		return k.c.pool != 0 && k.c.clean() == "" && k.c.osds[0].m.OSDMap().IsUp(0)
	})
	return k
}

// run lets time go by.
func (k calm) run(d time.Duration) {
	k.t.Helper()
	for end := k.now + d; k.now < end; {
		k.next().run()
		if k.bad != nil {
			k.t.Fatal(k.bad)
		}
	}
}

// within wants something to come true.
func (k calm) within(d time.Duration, what string, ok func() bool) {
	k.t.Helper()
	for end := k.now + d; !ok(); k.run(100 * time.Millisecond) {
		if k.now > end {
			k.t.Fatalf("not within %v: %s\n%s", d, what, k.c.status())
		}
	}
}

func (k calm) isUp() bool { return k.c.newestMap().IsUp(0) }

// staysDown wants the first OSD to be down for a while in the same map, so that it does not flap.
func (k calm) staysDown(d time.Duration) {
	k.t.Helper()
	before := k.c.newestMap().Info[0]
	k.run(d)
	if after := k.c.newestMap().Info[0]; k.isUp() || before != after {
		k.t.Errorf("it does not stay down: %+v, %+v", before, after)
	}
}

// patience is more than the longest grace and interval, and what a hung store is given.
const patience = 60 * time.Second

// TestOneNetworkIsCut: an OSD that others reach over one of their two networks only is marked down,
// stays down for as long although it reaches the monitors, and comes back.
func TestOneNetworkIsCut(t *testing.T) {
	for seed := range uint64(3) {
		k := calmWorld(t, seed+1, "1000")
		osds := func(end int) bool {
			return end >= k.c.osds[0].end && end <= k.c.osds[len(k.c.osds)-1].end
		}
		for _, links := range [][][]*network.Link{k.net.Front, k.net.Links} {
			each := func(f func(l *network.Link)) {
				network.EachOf(links, func(from, to int, l *network.Link) {
					if osds(from) && osds(to) &&
						(from == k.c.osds[0].end || to == k.c.osds[0].end) {
						f(l)
					}
				})
			}
			each(func(l *network.Link) { l.Sever(false) })
			k.within(patience, "an OSD without one network is marked down",
				func() bool { return !k.isUp() })
			k.staysDown(patience)
			each((*network.Link).Heal)
			k.within(patience, "it is up again and all is clean",
				func() bool { return k.isUp() && k.c.clean() == "" })
		}
	}
}

// TestDiskHangs: an OSD whose disk hangs is marked down, so that clients go on, stays down until
// the disk works, and ends when that takes too long.
func TestDiskHangs(t *testing.T) {
	k := calmWorld(t, 4, "1000")
	o := k.c.osds[0]
	o.hung = true
	k.within(patience, "an OSD whose disk hangs is marked down", func() bool { return !k.isUp() })
	k.staysDown(patience)
	o.unhang()
	k.within(patience, "it is up again", func() bool { return k.isUp() && k.c.clean() == "" })
	if k.result.OSDsGaveUp > 0 {
		t.Error("it ended before the suicide timeout")
	}
	o.hung = true
	k.within(4*time.Minute, "it ends", func() bool { return k.result.OSDsGaveUp == 1 })
	o.unhang()
	k.within(patience, "it is up again", func() bool { return k.isUp() && k.c.clean() == "" })
}

// TestMarkedDownTooOften: an OSD that is marked down more often than is allowed ends by itself.
func TestMarkedDownTooOften(t *testing.T) {
	k := calmWorld(t, 5, "2")
	for i := range 3 {
		epoch := k.c.newestMap().Epoch
		down := func() bool {
			m := k.c.newestMap()
			return m.Epoch > epoch && m.Info[0].DownAt > epoch
		}
		k.c.operator.do(cmd(`{"prefix":"osd down","ids":["0"]}`), nil)
		k.within(patience, "down and up", func() bool { return down() && k.isUp() })
		if want := i / 2; k.result.OSDsGaveUp != want {
			t.Errorf("%d: ended %d times", i, k.result.OSDsGaveUp)
		}
	}
}
