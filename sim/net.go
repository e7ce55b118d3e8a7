package sim

import (
	"math/rand/v2"
	"time"
)

// The network carries messages between ends, which are hosts and clients. Between each two ends
// there is one link per direction: what is sent arrives in order, after a while, or not at all.
const (
	minDelay = 100 * time.Microsecond
	maxDelay = 2 * time.Millisecond
	maxHeld  = 2000
)

// A link is one direction between two ends.
type link struct {
	w    *world
	rng  *rand.Rand // its own: the order in which links are used must not matter
	cut  bool       // nothing gets through
	hold bool       // what is sent meanwhile arrives when the cut ends, else it is lost
	slow time.Duration
	gen  int           // counts resets: what was under way before is lost
	last time.Duration // when the last message arrives
	held []parcel
}

// A parcel is a message under way: one of the two is called in the end.
type parcel struct{ deliver, lost func() }

func newLink(w *world, seed uint64) *link {
	return &link{w: w, rng: rand.New(rand.NewPCG(w.opt.Seed, seed))}
}

// send has deliver called when the message arrives, or lost when it never will.
func (l *link) send(lag time.Duration, deliver, lost func()) {
	d := lag + minDelay + time.Duration(l.rng.Int64N(int64(maxDelay-minDelay)))
	if l.slow > 0 {
		d += l.slow/2 + time.Duration(l.rng.Int64N(int64(l.slow)))
	}
	l.last = max(l.w.now+d, l.last+1)
	l.pass(l.last, parcel{deliver, lost})
}

// pass delivers a parcel at a time, if the link is what it was and not cut then.
func (l *link) pass(at time.Duration, p parcel) {
	gen := l.gen
	l.w.at(at, func() {
		switch {
		case gen == l.gen && !l.cut:
			p.deliver()
		case gen == l.gen && l.hold && len(l.held) < maxHeld:
			l.held = append(l.held, p)
		case p.lost != nil:
			p.lost()
		}
	})
}

// reset loses what is under way.
func (l *link) reset() {
	l.gen++
	held := l.held
	l.held = nil
	for _, p := range held {
		if p.lost != nil {
			p.lost()
		}
	}
}

func (l *link) sever(hold bool) { l.cut, l.hold = true, hold }

// heal lets messages through again; those held back come first.
func (l *link) heal() {
	if !l.cut {
		return
	}
	l.cut = false
	held := l.held
	l.held = nil
	for _, p := range held {
		l.pass(l.w.now, p)
	}
}

// A network has the links between all ends, by number: first hosts, then clients.
type network struct{ links [][]*link }

func newNetwork(w *world, ends int) *network {
	n := &network{links: make([][]*link, ends)}
	for i := range n.links {
		n.links[i] = make([]*link, ends)
		for j := range n.links[i] {
			n.links[i][j] = newLink(w, uint64(1000+i*ends+j))
		}
	}
	return n
}

func (n *network) each(f func(from, to int, l *link)) {
	for i, row := range n.links {
		for j, l := range row {
			if i != j {
				f(i, j, l)
			}
		}
	}
}

// reset loses what is under way from and to an end.
func (n *network) reset(end int) {
	n.each(func(from, to int, l *link) {
		if from == end || to == end {
			l.reset()
		}
	})
}
