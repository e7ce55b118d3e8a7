package osd

import (
	"time"

	"glue/ceph"
	"glue/osd/ops"
)

func (d *Daemon) ownRoom(now time.Time) uint64 {
	return d.room.Own(now, d.store, d.config.Load().set.Float("osd_failsafe_full_ratio"))
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
	return p.s.d.ownRoom(p.s.now) >= bytes && p.s.d.room.Peers(acting) >= bytes
}

// refuseFull answers a write that does not fit.
func (p *pg) refuseFull(op *clientOp) {
	p.s.d.log.Warn("write refused: an OSD of the PG is full", "pg", p.id, "oid", op.object)
	p.answer(op, ceph.ENOSPC.Result())
}
