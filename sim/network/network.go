// Package network carries messages between the ends of a simulation, as a seed has it: late, and
// not at all over a link that is cut.
package network

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

// A Link is one direction between two ends.
type Link struct {
	t    Timer
	rng  *rand.Rand    // its own: the order in which links are used must not matter
	cut  bool          // nothing gets through
	hold bool          // what is sent meanwhile arrives when the cut ends, else it is lost
	Slow time.Duration // how much later most arrives
	gen  int           // counts resets: what was under way before is lost
	last time.Duration // when the last message arrives
	held []parcel
}

// A parcel is a message under way: one of the two is called in the end.
type parcel struct{ deliver, lost func() }

// A Timer is the time of the simulation.
type Timer struct {
	Now func() time.Duration
	At  func(t time.Duration, f func())
}

// Send has deliver called when the message arrives, or lost when it never will.
func (l *Link) Send(lag time.Duration, deliver, lost func()) {
	d := lag + minDelay + time.Duration(l.rng.Int64N(int64(maxDelay-minDelay)))
	if l.Slow > 0 {
		d += l.Slow/2 + time.Duration(l.rng.Int64N(int64(l.Slow)))
	}
	l.last = max(l.t.Now()+d, l.last+1)
	l.pass(l.last, parcel{deliver, lost})
}

// pass delivers a parcel at a time, if the link is what it was and not cut then.
func (l *Link) pass(at time.Duration, p parcel) {
	gen := l.gen
	l.t.At(at, func() {
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

// Reset loses what is under way.
func (l *Link) Reset() {
	l.gen++
	held := l.held
	l.held = nil
	for _, p := range held {
		if p.lost != nil {
			p.lost()
		}
	}
}

// Sever cuts it.
func (l *Link) Sever(hold bool) { l.cut, l.hold = true, hold }

// Cut says whether nothing gets through.
func (l *Link) Cut() bool { return l.cut }

// Heal lets messages through again; those held back come first.
func (l *Link) Heal() {
	if !l.cut {
		return
	}
	l.cut = false
	held := l.held
	l.held = nil
	for _, p := range held {
		l.pass(l.t.Now(), p)
	}
}

// A Network has the links between all ends, by number: first hosts, then clients. Where there are
// OSDs, Front has those on which OSDs ping each other over the network of clients.
type Network struct{ Links, Front [][]*Link }

// New makes the links between ends, those of front too if there are OSDs.
func New(t Timer, seed uint64, ends int, osds bool) *Network {
	n := &Network{Links: newLinks(t, seed, ends, 1000)}
	if osds {
		n.Front = newLinks(t, seed, ends, 1_000_000)
	}
	return n
}

func newLinks(t Timer, seed uint64, ends, stream int) [][]*Link {
	links := make([][]*Link, ends)
	for i := range links {
		links[i] = make([]*Link, ends)
		for j := range links[i] {
			links[i][j] = &Link{t: t,
				rng: rand.New(rand.NewPCG(seed, uint64(stream+i*ends+j)))}
		}
	}
	return links
}

// Each walks through all links, of both networks.
func (n *Network) Each(f func(from, to int, l *Link)) {
	EachOf(n.Links, f)
	EachOf(n.Front, f)
}

// EachOf walks through some links.
func EachOf(links [][]*Link, f func(from, to int, l *Link)) {
	for i, row := range links {
		for j, l := range row {
			if i != j {
				f(i, j, l)
			}
		}
	}
}

// Reset loses what is under way from and to an end.
func (n *Network) Reset(end int) {
	n.Each(func(from, to int, l *Link) {
		if from == end || to == end {
			l.Reset()
		}
	})
}
