package sim

import (
	"time"

	"glue/sim/memdisk"
	"glue/sim/network"
)

// overwritten has a host gather several entries that nobody else has, of more than one term, has
// another leader overwrite the first of them, and restarts it before the others are. Its entries
// get lost, but not its heartbeats; the others do not reach each other, so it is elected again and
// again. Then nothing of what it says gets through, and a new leader's first entry reaches it.
func (f *faults) overwritten() {
	w, lead := f.w, f.leader()
	lead.mute = true
	w.net.Each(func(from, to int, l *network.Link) {
		if from != lead.id && to != lead.id && from < len(w.hosts) && to < len(w.hosts) {
			l.Sever(false)
		}
	})
	again := func() {
		if lead.m != nil {
			lead.crash(memdisk.KeepAll)
			f.during(f.while(5*time.Millisecond, 0.3), lead.start)
		}
	}
	at := w.jitter(time.Second)
	for range 1 + w.rng.IntN(3) {
		at += 500*time.Millisecond + w.jitter(500*time.Millisecond)
		f.later(at, again)
		at += 2500 * time.Millisecond
	}
	at += w.jitter(time.Second)
	f.later(at, func() {
		lead.mute = false
		f.connect()
		w.net.Each(func(from, to int, l *network.Link) {
			if from == lead.id && to < len(w.hosts) {
				l.Sever(false)
			}
		})
	})
	f.later(at+1500*time.Millisecond+w.jitter(4*time.Second), again)
	f.during(at+6*time.Second, func() {
		lead.mute = false
		f.connect()
	})
}
