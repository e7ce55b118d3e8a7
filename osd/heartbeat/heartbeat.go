// Package heartbeat has the rules of heartbeats: whom an OSD pings, whom it reports to the
// monitors, and when it takes itself for too ill to answer, to boot, or to go on.
//
// It is pure: Tick and Look give what is to be done. A value belongs to one goroutine.
package heartbeat

import (
	"maps"
	"slices"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
)

// A Net is one of the two networks that a peer is pinged over: it is well while both answer.
type Net int

// The networks: Back is that of the cluster, Front that of clients.
const (
	Back Net = iota
	Front
	Nets
)

// String is the network's name in logs.
func (n Net) String() string { return [...]string{"back", "front", "back and front"}[n] }

// Addrs is where an OSD is pinged over this network.
func (n Net) Addrs(m *osdmap.Map, osd int32) ceph.AddrVec {
	if n == Front {
		return m.HBFrontAddrs[osd]
	}
	return m.HBBackAddrs[osd]
}

// Peers are what an OSD knows of others being alive.
type Peers struct {
	last   time.Time // of the last round of pings
	ticked time.Time
	epoch  ceph.Epoch // whose ring the peers are
	peers  map[int32]*peer
}

type peer struct {
	upFrom   ceph.Epoch
	asked    [Nets][]time.Time // pings without an answer, oldest first
	heard    [Nets]bool        // it has ever answered
	reported time.Time         // of the last failure report
	failed   bool
	refuses  bool
}

const (
	// most bounds how many others an OSD pings, nearest numbers first.
	most = 20
	// maxAsked bounds the pings that are remembered: the oldest decides.
	maxAsked = 32
	// slept is after how long without a Tick this OSD's own process did not run: what it has not
	// heard meanwhile says nothing about its peers.
	slept = 5 * time.Second
)

// Ring are the OSDs to ping: neighbours by number, which makes a ring that covers all. It is never
// nil, also when no other OSD is up.
func Ring(m *osdmap.Map, self int32) []int32 {
	up := []int32{}
	for o := range m.MaxOSD {
		if o != self && m.IsUp(o) {
			up = append(up, o)
		}
	}
	if len(up) > most {
		i, _ := slices.BinarySearch(up, self)
		ring := append(slices.Clone(up[i:]), up[:i]...)
		n := len(ring)
		up = append(ring[:most/2], ring[n-most/2:]...)
		slices.Sort(up)
	}
	return up
}

// Rules are the times that count: osd_heartbeat_interval, osd_heartbeat_grace, and how often a
// failure is reported again.
type Rules struct{ Interval, Grace, Again time.Duration }

// What is to be done about an OSD.
const (
	Ping    = iota
	Alive   // a report of it is to be taken back
	Silent  // it has not answered for Age over a network, or both (Nets)
	Refused // it refuses connections over both networks
	Gone    // it is no peer any more
)

// A Task is one thing to be done about an OSD.
type Task struct {
	OSD  int32
	What int
	Age  time.Duration
	Over Net
}

// Tick says what is to be done now. ring has the OSDs to ping when that may have changed; it is nil
// else.
func (h *Peers) Tick(m *osdmap.Map, self int32, now time.Time, r Rules,
	refused func(osd int32) bool,
) (tasks []Task, ring []int32) {
	if now.Sub(h.ticked) > slept {
		for _, p := range h.peers {
			p.asked = [Nets][]time.Time{}
		}
	}
	h.ticked = now
	round := now.Sub(h.last) >= r.Interval
	if round {
		h.last = now
	}
	if h.epoch != m.Epoch || h.peers == nil {
		h.epoch = m.Epoch
		ring = Ring(m, self)
		h.refresh(m, ring)
	}
	for _, o := range slices.Sorted(maps.Keys(h.peers)) {
		p := h.peers[o]
		if !m.IsUp(o) || m.Info[o].UpFrom != p.upFrom {
			delete(h.peers, o)
			tasks = append(tasks, Task{OSD: o, What: Gone})
			continue
		}
		if round {
			for n := range p.asked {
				if len(p.asked[n]) < maxAsked {
					p.asked[n] = append(p.asked[n], now)
				}
			}
			tasks = append(tasks, Task{OSD: o, What: Ping})
		}
		p.refuses = refused(o)
		if t, ok := p.judge(o, now, r); ok {
			tasks = append(tasks, t)
		}
	}
	return tasks, ring
}

// Kick has the next Tick begin a round of pings.
func (h *Peers) Kick() { h.last = time.Time{} }

func (h *Peers) refresh(m *osdmap.Map, ring []int32) {
	if h.peers == nil {
		h.peers = map[int32]*peer{}
	}
	for _, o := range ring {
		if p := h.peers[o]; p == nil || p.upFrom != m.Info[o].UpFrom {
			h.peers[o] = &peer{upFrom: m.Info[o].UpFrom}
		}
	}
}

// silent is for how long the worse network has not answered, and which that is; 0 if both answer
// within the grace.
func (p *peer) silent(now time.Time, grace time.Duration) (age time.Duration, over Net) {
	for n, asked := range p.asked {
		if len(asked) == 0 || now.Sub(asked[0]) <= grace {
			continue
		}
		if over = Net(n); age > 0 {
			over = Nets
		}
		age = max(age, now.Sub(asked[0]))
	}
	return age, over
}

// judge reports a peer that does not answer; one that refuses connections is dead for certain.
func (p *peer) judge(o int32, now time.Time, r Rules) (t Task, ok bool) {
	age, over := p.silent(now, r.Grace)
	if !p.refuses && age == 0 {
		was := p.failed
		p.failed = false
		return Task{OSD: o, What: Alive}, was
	}
	if now.Sub(p.reported) < r.Again {
		return t, false
	}
	p.reported, p.failed = now, true
	if p.refuses {
		return Task{OSD: o, What: Refused}, true
	}
	return Task{OSD: o, What: Silent, Age: age, Over: over}, true
}

// Heard notes the answer over a network to the ping of a Tick, and so to those before it.
func (h *Peers) Heard(osd int32, over Net, sent time.Time) {
	p := h.peers[osd]
	if p == nil {
		return
	}
	p.heard[over] = true
	asked := p.asked[over]
	for len(asked) > 0 && !asked[0].After(sent) {
		asked = asked[1:]
	}
	p.asked[over] = asked
}

// Healthy counts the peers that have answered over both networks, and do, and all that are not
// known to be dead.
func (h *Peers) Healthy(now time.Time, grace time.Duration) (healthy, all int) {
	for _, p := range h.peers {
		if p.refuses {
			continue
		}
		all++
		if age, _ := p.silent(now, grace); age == 0 && p.heard[Back] && p.heard[Front] {
			healthy++
		}
	}
	return healthy, all
}
