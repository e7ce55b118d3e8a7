package osd

import (
	"time"

	"glue/ceph"
	"glue/osd/ops"
)

func (d *Daemon) ownRoom(now time.Time) uint64 {
	return d.room.Own(now, d.store, d.config.Load().set.Float("osd_failsafe_full_ratio"))
}

// fits says whether every copy has room for what an operation writes.
func (p *pg) fits(out *ops.Outcome) bool {
	bytes := out.Needs()
	if bytes == 0 {
		return true
	}
	acting, _ := p.m.Acting()
	return p.s.d.ownRoom(p.s.now) >= bytes && p.s.d.room.Peers(acting) >= bytes
}

// refuseFull answers a write that does not fit.
func (p *pg) refuseFull(op *clientOp) {
	p.s.d.log.Warn("write refused: an OSD of the PG is full", "pg", p.id, "oid", op.object)
	p.answer(op, ceph.ENOSPC.Result())
}
