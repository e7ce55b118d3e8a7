package osd

import (
	"sync"
	"time"

	"glue/ceph"
	"glue/osd/ops"
)

const (
	// roomAge is for how long a measurement of the own store serves.
	roomAge = 5 * time.Millisecond
	// minMargin is what a store keeps free at least, for writes that its OSD's peers have begun
	// when it fills up; on a small disk it is an eighth.
	minMargin = 128 << 20
)

// A room is how many bytes this OSD and its peers can still take from clients. A copy can't refuse
// a write that its primary has begun, so the primary has to know before.
type room struct {
	mu    sync.Mutex
	at    time.Time
	own   uint64
	peers map[int32]uint64 // as of their last answer
}

// ownRoom is what this OSD's store takes from clients. The failsafe ratio and the margin are kept
// for what was begun, deletes and maps.
func (d *Daemon) ownRoom(now time.Time) uint64 {
	d.room.mu.Lock()
	defer d.room.mu.Unlock()
	if now.Sub(d.room.at) < roomAge {
		return d.room.own
	}
	u, err := d.store.Usage()
	if err != nil {
		return 0
	}
	ratio := d.config.Load().set.Float("osd_failsafe_full_ratio")
	margin := max(uint64(float64(u.Total)*(1-ratio)), min(minMargin, u.Total/8))
	d.room.at, d.room.own = now, u.Available-min(u.Available, margin)
	return d.room.own
}

// heardRoom takes a peer's word of its room.
func (d *Daemon) heardRoom(osd int32, bytes uint64) {
	d.room.mu.Lock()
	defer d.room.mu.Unlock()
	if d.room.peers == nil {
		d.room.peers = map[int32]uint64{}
	}
	d.room.peers[osd] = bytes
}

// peerRoom is the least room of some peers; one that has not said anything counts as empty.
func (d *Daemon) peerRoom(osds []int32) uint64 {
	d.room.mu.Lock()
	defer d.room.mu.Unlock()
	least := ^uint64(0)
	for _, o := range osds {
		if r, ok := d.room.peers[o]; ok {
			least = min(least, r)
		}
	}
	return least
}

// fits says whether every copy has room for what an operation writes. What writes nothing, as a
// delete, always fits.
func (p *pg) fits(out *ops.Outcome) bool {
	bytes := uint64(0)
	for i := range out.Transaction.Ops {
		op := &out.Transaction.Ops[i]
		bytes += uint64(len(op.Data))
		for k, v := range op.Pairs {
			bytes += uint64(len(k) + len(v))
		}
	}
	if bytes == 0 || out.Stats.Bytes < 0 || out.Stats.Objects < 0 {
		return true
	}
	acting, _ := p.m.Acting()
	return p.s.d.ownRoom(p.s.now) >= bytes && p.s.d.peerRoom(acting) >= bytes
}

// refuseFull answers a write that does not fit.
func (p *pg) refuseFull(op *clientOp) {
	p.s.d.log.Warn("write refused: an OSD of the PG is full", "pg", p.id, "oid", op.object)
	p.answer(op, ceph.ENOSPC.Result())
}
