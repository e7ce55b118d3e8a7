// Package room knows how many bytes an OSD and its peers can still take from clients: a copy can't
// refuse a write that its primary has begun, so the primary has to know before.
//
// Invariant: what is told is never more than what the store had within the last measurement's age.
// Any goroutine may call it.
package room

import (
	"sync"
	"time"

	"glue/cluster/osdmap"
	"glue/store/objectstore"
)

const (
	// age is for how long a measurement of the own store serves.
	age = 5 * time.Millisecond
	// minMargin is what a store keeps free at least, for writes that its OSD's peers have begun
	// when it fills up; on a small disk it is an eighth.
	minMargin = 128 << 20
)

// A Room is that of one OSD and its peers.
type Room struct {
	mu    sync.Mutex
	at    time.Time
	own   uint64
	peers map[int32]uint64 // as of their last answer

	pretended string // a key of pretences; empty: nothing is
	looks     int64  // for how many looks; below 0: for good
}

// Own is what the OSD's store takes from clients. The failsafe ratio and the margin are kept for
// what was begun, deletes and maps.
func (r *Room) Own(now time.Time, store objectstore.Store, failsafe float64) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pretended == failsafeFull {
		return 0
	}
	if now.Sub(r.at) < age {
		return r.own
	}
	u, err := store.Usage()
	if err != nil {
		return 0
	}
	margin := max(uint64(float64(u.Total)*(1-failsafe)), min(minMargin, u.Total/8))
	r.at, r.own = now, u.Available-min(u.Available, margin)
	return r.own
}

// Heard takes a peer's word of its room.
func (r *Room) Heard(osd int32, bytes uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.peers == nil {
		r.peers = map[int32]uint64{}
	}
	r.peers[osd] = bytes
}

// Peers is the least room of some peers; one that has not said anything counts as empty.
func (r *Room) Peers(osds []int32) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	least := ^uint64(0)
	for _, o := range osds {
		if n, ok := r.peers[o]; ok {
			least = min(least, n)
		}
	}
	return least
}

// slack is by how much of the store an OSD has to get below a ratio to be less full in the map:
// what is written and freed all the time would make it change with every look.
const slack = 0.005

// state is how full the map is to say that a store is, of which it says have now.
func state(u objectstore.Usage, m *osdmap.Map, failsafe float32, have osdmap.State) osdmap.State {
	used := float32(u.Total-min(u.Total, u.Available)) / float32(u.Total)
	if have != 0 && m.Fullness(used+slack, failsafe) == have {
		return have
	}
	return m.Fullness(used, failsafe)
}
