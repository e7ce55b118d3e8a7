// Package heartbeat says whom an OSD pings, and whom it reports to the monitors: those that have
// been silent for too long, and those whose address refuses connections.
//
// It is pure: Tick gives what is to be done. A Peers belongs to one goroutine.
package heartbeat

import (
	"maps"
	"slices"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
)

// Peers are what an OSD knows of others being alive.
type Peers struct {
	last  time.Time // of the last round of pings
	peers map[int32]*peer
}

type peer struct {
	upFrom   ceph.Epoch
	first    time.Time // of the first ping without an answer; zero when none is due
	reported time.Time // of the last failure report
	failed   bool
}

// most bounds how many others an OSD pings, nearest numbers first.
const most = 20

// Ring are the OSDs to ping: neighbours by number, which makes a ring that covers all.
func Ring(m *osdmap.Map, self int32) []int32 {
	var up []int32
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
	Silent  // it has not answered for Age
	Refused // its address refuses connections
)

// A Task is one thing to be done about an OSD.
type Task struct {
	OSD  int32
	What int
	Age  time.Duration
}

// Tick says what is to be done now. peers is the ring, when a new round of pings begins.
func (h *Peers) Tick(m *osdmap.Map, self int32, now time.Time, r Rules,
	refused func(osd int32) bool,
) (tasks []Task, ring []int32) {
	round := now.Sub(h.last) >= r.Interval
	if round {
		h.last = now
		ring = Ring(m, self)
		h.refresh(m, ring)
	}
	for _, o := range slices.Sorted(maps.Keys(h.peers)) {
		p := h.peers[o]
		if !m.IsUp(o) || m.Info[o].UpFrom != p.upFrom {
			delete(h.peers, o)
			continue
		}
		if round {
			if p.first.IsZero() {
				p.first = now
			}
			tasks = append(tasks, Task{OSD: o, What: Ping})
		}
		if t, ok := p.judge(o, now, r, refused(o)); ok {
			tasks = append(tasks, t)
		}
	}
	return tasks, ring
}

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

// judge reports a peer that does not answer; one whose address refuses connections is dead for
// certain.
func (p *peer) judge(o int32, now time.Time, r Rules, refused bool) (t Task, ok bool) {
	if silent := !p.first.IsZero() && now.Sub(p.first) > r.Grace; !refused && !silent {
		was := p.failed
		p.failed = false
		return Task{OSD: o, What: Alive}, was
	}
	if now.Sub(p.reported) < r.Again {
		return t, false
	}
	p.reported, p.failed = now, true
	if refused {
		return Task{OSD: o, What: Refused}, true
	}
	return Task{OSD: o, What: Silent, Age: now.Sub(p.first)}, true
}

// Heard notes an answer.
func (h *Peers) Heard(osd int32) {
	if p := h.peers[osd]; p != nil {
		p.first = time.Time{}
	}
}
