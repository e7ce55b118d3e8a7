package sim

import (
	"math"
	"time"

	"glue/sim/memdisk"
	"glue/sim/network"
	"glue/sim/plant"
)

// The faults strike in bouts. Between two bouts everything is well for a while: a quorum has to
// answer soon, and all monitors have to agree.
const (
	minBout   = 30 * time.Second
	maxBout   = 8 * time.Minute
	wellFor   = 25 * time.Second // after healing, before the rest
	restFor   = 6 * time.Second  // without commands
	faultWait = 20 * time.Second // at most, between two faults of a bout
)

// faults strikes the world.
type faults struct {
	w     *world
	undo  map[int]func() // ends what is going on, by number
	count int
	end   time.Duration // of the bout
	gap   time.Duration // between faults, in this bout
	bout  int
}

// A fault is a row of the table of faults.
type fault struct {
	name   string
	weight int
	strike func(f *faults)
}

var faultTable = []fault{
	{"power fails", 10, func(f *faults) { f.power(f.some()) }},
	{"power fails in a sync", 10, (*faults).powerInSync},
	{"process ends", 8, func(f *faults) { f.kill(f.some(), memdisk.KeepAll) }},
	{"leader's process ends", 5, func(f *faults) { f.kill(f.leader(), memdisk.KeepAll) }},
	{"restart at once", 5, (*faults).blink},
	{"promises forgotten", 4, (*faults).amnesia},
	{"entries overwritten", 3, (*faults).overwritten},
	{"power fails everywhere", 2, (*faults).blackout},
	{"long outage", 1, (*faults).longOutage},
	{"partition", 25, (*faults).partition},
	{"connections break", 6, func(f *faults) { f.w.net.Reset(f.some().id) }},
	{"slow links", 8, (*faults).slowLinks},
	{"process stops", 8, func(f *faults) { f.some().stop(f.while(50*time.Millisecond, 30)) }},
	{"leader stops", 6, func(f *faults) { f.leader().stop(f.while(50*time.Millisecond, 12)) }},
	{"slow disk", 5, (*faults).slowDisk},
	{"disk fails", 6, (*faults).diskFails},
	{"clock is set", 5, (*faults).setClock},
	{"a monitor joins", 3, func(f *faults) { f.w.members.join() }},
	{"a disk is lost", 6, func(f *faults) { f.w.members.loseDisk() }},
}

// while is a time between a least one and a number of seconds, short ones as likely as long ones.
func (f *faults) while(least time.Duration, seconds float64) time.Duration {
	ratio := seconds * float64(time.Second) / float64(least)
	return time.Duration(float64(least) * math.Pow(ratio, f.w.rng.Float64()))
}

func (f *faults) some() *host { return f.w.hosts[f.w.rng.IntN(len(f.w.hosts))] }

// leader is who takes itself for the leader, or any host.
func (f *faults) leader() *host {
	for _, h := range f.w.hosts {
		if h.m != nil && h.m.Leads() {
			return h
		}
	}
	return f.some()
}

// during has undo called after a while, or when the bout ends.
func (f *faults) during(d time.Duration, undo func()) {
	f.count++
	n := f.count
	f.undo[n] = undo
	f.w.after(d, func() {
		if u := f.undo[n]; u != nil {
			delete(f.undo, n)
			u()
		}
	})
}

// later has something done after a while, unless the bout ends before.
func (f *faults) later(d time.Duration, do func()) {
	bout := f.bout
	f.w.after(d, func() {
		if f.bout == bout && f.w.bad == nil {
			do()
		}
	})
}

// begin starts a bout after some time in which all is well.
func (f *faults) begin() {
	w := f.w
	f.undo = map[int]func(){}
	w.after(5*time.Second+w.jitter(5*time.Second), func() {
		if w.cluster != nil {
			w.cluster.calm = false
		}
		f.gap = f.while(time.Second, faultWait.Seconds())
		f.end = w.now + minBout + w.jitter(maxBout-minBout)
		f.next()
	})
}

func (f *faults) next() {
	w := f.w
	if w.bad != nil || w.now > min(f.end, w.opt.For) {
		f.heal()
		return
	}
	table, total := faultTable, 0
	if w.cluster != nil && w.rng.IntN(5) > 0 {
		if table = osdFaults; w.rng.IntN(4) == 0 {
			table = diskFaults
		}
	}
	for _, x := range table {
		total += x.weight
	}
	pick := w.rng.IntN(total)
	for _, x := range table {
		if pick -= x.weight; pick < 0 {
			w.trace("fault", "what", x.name)
			x.strike(f)
			break
		}
	}
	if strike := targeted[w.opt.Bug]; strike != nil {
		strike(f)
	}
	w.after(w.jitter(2*f.gap), f.next)
}

// targeted are the faults that come with every other one where a planted bug is rarely met else.
var targeted = map[Bug]func(f *faults){plant.FenceForgotten: (*faults).fence}

// heal ends all faults, and wants a quorum soon and agreement later.
func (f *faults) heal() {
	w := f.w
	if w.bad != nil {
		return
	}
	w.trace("heal")
	w.result.Heals++
	f.bout++
	for n := 1; n <= f.count; n++ {
		if u := f.undo[n]; u != nil {
			delete(f.undo, n)
			u()
		}
	}
	f.connect()
	for _, h := range w.hosts {
		h.stopped, h.slow, h.clock.step = min(h.stopped, w.now), 0, 0
		h.mute = false
		h.disk.Break(memdisk.Fine, 0)
		if h.m == nil {
			h.start()
		} else {
			h.resume()
		}
	}
	w.net.Each(func(_, _ int, l *network.Link) { l.Slow = 0 })
	if w.cluster != nil {
		w.cluster.heal()
		w.cluster.watch(w.now)
	}
	for i, c := range w.clients { // half of them are new, as it were
		if c.hurry = 0; i%2 == 0 {
			c.drop()
		}
	}
	f.watch(w.now)
}

// watch sees to what must be after healing.
func (f *faults) watch(healed time.Duration) {
	w := f.w
	var look func()
	look = func() {
		switch took := w.now - healed; {
		case w.bad != nil:
		case w.check.lastAsked >= healed:
			w.result.SlowestHeal = max(w.result.SlowestHeal, took)
		case took > healWithin:
			w.fail("no command was answered within %v of healing", healWithin)
		default:
			w.after(100*time.Millisecond, look)
		}
	}
	look()
	w.after(wellFor, func() {
		for _, c := range w.clients {
			c.quiet = true
		}
		if w.cluster != nil {
			w.cluster.hush(true)
		}
	})
	w.after(wellFor+restFor, func() {
		if w.bad != nil {
			return
		}
		w.check.agree()
		if w.cluster != nil && w.bad == nil {
			w.cluster.roll.call(func() { w.cluster.rest(w.now+cleanWithin, f.rested) })
			return
		}
		f.rested()
	})
}

// rested goes on after a rest.
func (f *faults) rested() {
	w := f.w
	if w.cluster != nil {
		w.cluster.hush(false)
	}
	for _, c := range w.clients {
		c.quiet = false
	}
	if w.now < w.opt.For {
		f.begin()
		return
	}
	w.history.check(w)
	w.done = true
}
