package osd

import (
	"time"

	"glue/ceph"
	"glue/osd/ops"
)

func (d *Daemon) ownRoom(now time.Time) uint64 {
	return d.room.Own(now, d.store, d.config.Load().set.Float("osd_failsafe_full_ratio"))
}

// fit refuses an operation for which not every copy has room. That a watch has ended is not one.
func (p *pg) fit(op *clientOp, out *ops.Outcome) {
	acting, _ := p.m.Acting()
	n := out.Needs()
	if n > 0 && op.ends == nil && (p.s.d.ownRoom(p.s.now) < n || p.s.d.room.Peers(acting) < n) {
		p.s.d.log.Warn("write refused: an OSD of the PG is full", "pg", p.id, "oid", op.object)
		out.Refuse(ceph.ENOSPC)
	}
}
