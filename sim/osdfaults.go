package sim

import (
	"time"

	"glue/sim/network"
)

// osdFaults are the faults of OSDs, of the network around them and of the map.
var osdFaults = []fault{
	{"OSD ends", 10, func(f *faults) { f.killOSD(f.someOSD(), false) }},
	{"OSD's machine ends", 10, func(f *faults) { f.killOSD(f.someOSD(), true) }},
	{"OSD restarts at once", 8, (*faults).blinkOSD},
	{"all OSDs end", 3, func(f *faults) {
		for _, o := range f.w.cluster.osds {
			f.killOSD(o, f.w.rng.IntN(2) == 0)
		}
	}},
	{"OSD stops", 10, func(f *faults) { f.someOSD().stop(f.while(50*time.Millisecond, 60)) }},
	{"OSD's disk is slow", 6, (*faults).slowOSD},
	{"OSD's disk hangs", 4, (*faults).hangOSD},
	{"OSD's clock is set", 3, (*faults).setOSDClock},
	{"OSDs are cut off", 15, (*faults).cutOSDs},
	{"an OSD and a user are alone", 10, (*faults).island},
	{"OSD's connections break", 6, func(f *faults) { f.w.net.Reset(f.someOSD().end) }},
	{"OSD marked down", 8, (*faults).markDown},
	{"OSD out or in", 8, (*faults).weigh},
	{"flag", 5, (*faults).flagMap},
	{"pool changes", 6, (*faults).changePool},
	{"user is blocklisted", 4, (*faults).fence},
	{"user restarts", 6, func(f *faults) {
		f.w.cluster.users[f.w.rng.IntN(len(f.w.cluster.users))].restart()
	}},
}

// markDown marks an OSD down, and one time in eight all of them. The clock decides that instead of
// a draw, so that seeds in which it never does are what they were.
func (f *faults) markDown() {
	id := f.someOSD().id
	for _, o := range f.w.cluster.osds {
		if o.id == id || f.w.now%8 == 0 {
			f.w.cluster.operator.do(cmd(`{"prefix":"osd down","ids":["%d"]}`, o.id), nil)
		}
	}
}

func (f *faults) someOSD() *osdHost {
	list := f.w.cluster.osds
	return list[f.w.rng.IntN(len(list))]
}

func (f *faults) killOSD(o *osdHost, deaf bool) {
	o.crash(deaf)
	f.during(f.while(100*time.Millisecond, 120), o.start)
}

func (f *faults) blinkOSD() {
	o := f.someOSD()
	o.crash(false)
	f.during(f.while(5*time.Millisecond, 1), o.start)
}

func (f *faults) slowOSD() {
	o := f.someOSD()
	o.slow = int64(f.while(10, 1e-6)) // 10 to 1,000
	f.during(f.while(time.Second, 60), func() { o.slow = 1 })
}

// hangOSD has a disk do nothing for so long that the OSD answers no pings, or ends.
func (f *faults) hangOSD() {
	o := f.someOSD()
	o.hung = true
	f.during(f.while(time.Second, 240), o.unhang)
}

func (f *faults) setOSDClock() {
	o := f.someOSD()
	o.clock.step = f.w.jitter(time.Hour) - 30*time.Minute
	f.during(f.while(5*time.Second, 120), func() { o.clock.step = 0 })
}

// cutOSDs cuts some OSDs off from the monitors, the other OSDs, the users, or several of them, in
// one direction or both.
func (f *faults) cutOSDs() {
	w := f.w
	hit := map[int]bool{}
	for range 1 + w.rng.IntN(2) {
		hit[f.someOSD().end] = true
	}
	first, last := w.cluster.osds[0].end, w.cluster.osds[len(w.cluster.osds)-1].end
	mons, osds, users := w.rng.IntN(2) == 0, w.rng.IntN(3) > 0, w.rng.IntN(3) == 0
	out, in := w.rng.IntN(4) > 0, w.rng.IntN(4) > 0
	hold := w.rng.IntN(2) == 0
	nets := [][][]*network.Link{w.net.Links, w.net.Front}
	if one := w.rng.IntN(4); osds && one < 2 { // only one of the two networks of OSDs
		nets = nets[one : one+1]
	}
	w.trace("cut", "ends", len(hit), "mons", mons, "osds", osds, "users", users, "out", out,
		"in", in, "networks", len(nets))
	w.result.Partitions++
	var cut []*network.Link
	sever := func(from, to int, l *network.Link) {
		if !(hit[from] && out) && !(hit[to] && in) {
			return
		}
		other := to
		if hit[to] && in && !hit[from] {
			other = from
		}
		if other < len(w.hosts) && mons || other >= first && other <= last && osds ||
			other > last && users {
			l.Sever(hold)
			cut = append(cut, l)
		}
	}
	for _, n := range nets {
		network.EachOf(n, sever)
	}
	f.during(f.while(200*time.Millisecond, 60), func() {
		for _, l := range cut {
			l.Heal()
		}
	})
}

// island leaves an OSD and a user only each other: they hear of no other primary.
func (f *faults) island() {
	w := f.w
	o, u := f.someOSD().end, w.cluster.users[w.rng.IntN(len(w.cluster.users))].end
	on := func(end int) bool { return end == o || end == u }
	w.result.Partitions++
	var cut []*network.Link
	w.net.Each(func(from, to int, l *network.Link) {
		if on(from) != on(to) {
			l.Sever(true)
			cut = append(cut, l)
		}
	})
	f.during(f.while(time.Second, 90), func() {
		for _, l := range cut {
			l.Heal()
		}
	})
}

func (f *faults) weigh() {
	op, id := f.w.cluster.operator, f.someOSD().id
	switch f.w.rng.IntN(4) {
	case 0:
		op.do(cmd(`{"prefix":"osd in","ids":["%d"]}`, id), nil)
	case 1:
		op.do(cmd(`{"prefix":"osd reweight","id":%d,"weight":%.1f}`, id,
			float64(f.w.rng.IntN(11))/10), nil)
	case 2:
		op.do(cmd(`{"prefix":"osd primary-affinity","id":%d,"weight":%.1f}`, id,
			float64(f.w.rng.IntN(3))/2), nil)
	default:
		op.do(cmd(`{"prefix":"osd out","ids":["%d"]}`, id), nil)
	}
}

func (f *faults) flagMap() {
	op, key := f.w.cluster.operator, mapFlags[f.w.rng.IntN(len(mapFlags))]
	op.do(cmd(`{"prefix":"osd set","key":%q}`, key), nil)
	f.during(f.while(time.Second, 60), func() {
		op.do(cmd(`{"prefix":"osd unset","key":%q}`, key), func(int32) {})
	})
}
