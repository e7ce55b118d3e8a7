package sim

import (
	"time"

	"glue/sim/memdisk"
	"glue/sim/network"
)

// kill ends a host's daemon and starts it again later.
func (f *faults) kill(h *host, l memdisk.Loss) {
	h.crash(l)
	f.during(f.while(20*time.Millisecond, 90), h.start)
}

func (f *faults) power(h *host) {
	first := memdisk.LoseAll
	f.kill(h, first+memdisk.Loss(f.w.rng.IntN(int(memdisk.Losses-first))))
}

// powerInSync lets the power of a host fail while it makes something durable.
func (f *faults) powerInSync() {
	h := f.some()
	if h.m == nil {
		return
	}
	h.disk.FailIn(1 + f.w.rng.IntN(40))
	f.during(f.while(time.Second, 60), func() {
		h.disk.FailIn(0)
		h.start()
	})
}

// blink restarts a host's daemon within a moment, which makes it forget what it has promised and
// not written down.
func (f *faults) blink() {
	h := f.some()
	h.crash(memdisk.KeepAll)
	f.during(f.while(5*time.Millisecond, 0.5), h.start)
}

// amnesia cuts a host off from the leader alone, so that it wants to be elected, and restarts those
// whose votes it needs, who have promised the leader theirs.
func (f *faults) amnesia() {
	w, lead := f.w, f.leader()
	x := w.hosts[(lead.id+1+w.rng.IntN(len(w.hosts)-1))%len(w.hosts)]
	w.net.Links[lead.id][x.id].Sever(false)
	w.net.Links[x.id][lead.id].Sever(false)
	f.during(8*time.Second, f.connect)
	wait := 1500*time.Millisecond + w.jitter(2*time.Second)
	for _, h := range w.hosts {
		if h != lead && h != x {
			w.after(wait+w.jitter(300*time.Millisecond), func() {
				h.crash(memdisk.KeepAll)
				f.during(f.while(5*time.Millisecond, 0.3), h.start)
			})
		}
	}
}

func (f *faults) blackout() {
	for _, h := range f.w.hosts {
		f.power(h)
	}
}

// longOutage takes a host away while so much happens that it needs the whole state afterwards.
func (f *faults) longOutage() {
	h := f.some()
	h.crash(memdisk.LoseAll)
	f.during(2*time.Minute, h.start)
	for _, c := range f.w.clients {
		c.hurry = f.w.now + 5*time.Second
	}
}

func (f *faults) slowLinks() {
	w := f.w
	slow := f.while(10*time.Millisecond, 3)
	var hit []*network.Link
	all := w.rng.IntN(4) == 0
	end := f.some().id
	w.net.Each(func(from, to int, l *network.Link) {
		if all || from == end || to == end {
			l.Slow = slow
			hit = append(hit, l)
		}
	})
	f.during(f.while(time.Second, 60), func() {
		for _, l := range hit {
			l.Slow = 0
		}
	})
}

func (f *faults) slowDisk() {
	h := f.some()
	h.slow = f.while(10*time.Millisecond, 2)
	f.during(f.while(time.Second, 40), func() { h.slow = 0 })
}

// setClock changes the time of day of a host, by some seconds or by an hour.
func (f *faults) setClock() {
	h := f.some()
	most := 10 * time.Second
	if f.w.rng.IntN(5) == 0 {
		most = time.Hour
	}
	h.clock.step = f.w.jitter(2*most) - most
	f.during(f.while(5*time.Second, 120), func() { h.clock.step = 0 })
}

// A shape says whether messages from one host to another are lost.
type shape struct {
	name string
	make func(f *faults) func(from, to int) bool
}

var shapes = []shape{
	{"one is alone", func(f *faults) func(int, int) bool {
		a := f.some().id
		return func(from, to int) bool { return from == a || to == a }
	}},
	{"the leader is alone", func(f *faults) func(int, int) bool {
		a := f.leader().id
		return func(from, to int) bool { return from == a || to == a }
	}},
	{"one is not heard", func(f *faults) func(int, int) bool {
		a := f.some().id
		return func(from, _ int) bool { return from == a }
	}},
	{"one hears nothing", func(f *faults) func(int, int) bool {
		a := f.leader().id
		return func(_, to int) bool { return to == a }
	}},
	{"two parts", func(f *faults) func(int, int) bool {
		side := f.sides()
		return func(from, to int) bool { return side[from] != side[to] }
	}},
	{"two parts, one way", func(f *faults) func(int, int) bool {
		side := f.sides()
		return func(from, to int) bool { return side[from] && !side[to] }
	}},
	{"two parts and a bridge", func(f *faults) func(int, int) bool {
		side, bridge := f.sides(), f.some().id
		return func(from, to int) bool {
			return side[from] != side[to] && from != bridge && to != bridge
		}
	}},
	{"a ring", func(f *faults) func(int, int) bool {
		n := len(f.w.hosts)
		return func(from, to int) bool {
			d := (from - to + n) % n
			return from < n && to < n && d != 1 && d != n-1
		}
	}},
	{"all alone", func(*faults) func(int, int) bool {
		return func(int, int) bool { return true }
	}},
	{"one link", func(f *faults) func(int, int) bool {
		a, b := f.some().id, f.some().id
		return func(from, to int) bool { return from == a && to == b }
	}},
	{"any links", func(f *faults) func(int, int) bool {
		cut := map[[2]int]bool{}
		f.w.net.Each(func(from, to int, _ *network.Link) {
			cut[[2]int{from, to}] = f.w.rng.IntN(3) == 0
		})
		return func(from, to int) bool { return cut[[2]int{from, to}] }
	}},
}

// sides puts every end on one of two sides, clients as well.
func (f *faults) sides() []bool {
	side := make([]bool, len(f.w.net.Links))
	for i := range side {
		side[i] = f.w.rng.IntN(2) == 0
	}
	return side
}

// partition cuts links. Half of the time clients reach everybody all the same.
func (f *faults) partition() {
	w := f.w
	f.connect()
	s := shapes[w.rng.IntN(len(shapes))]
	w.trace("partition", "shape", s.name)
	w.result.Partitions++
	cut, clients, hold := s.make(f), w.rng.IntN(2) == 0, w.rng.IntN(2) == 0
	w.net.Each(func(from, to int, l *network.Link) {
		if cut(from, to) && (clients || from < len(w.hosts) && to < len(w.hosts)) {
			l.Sever(hold)
		}
	})
	f.during(f.while(200*time.Millisecond, 60), f.connect)
}

// connect mends all links.
func (f *faults) connect() { f.w.net.Each(func(_, _ int, l *network.Link) { l.Heal() }) }
