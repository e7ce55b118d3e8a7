package osd

import (
	"slices"

	"glue/ceph"
	"glue/osd/ops"
	"glue/osd/snaps"
	"glue/store/objectstore"
	"glue/wire/message"
)

// anyCopy says whether a request was sent to any copy of its PG (balanced and localized reads).
func anyCopy(m *message.MOSDOp) bool {
	return m.Flags&(message.FlagBalanceReads|message.FlagLocalizeReads) != 0
}

// copyRead answers a read that came to a copy which is not the primary, or sends its client there.
// docs/osd.md says why what it answers is never outdated.
func (p *pg) copyRead(op *clientOp) {
	if p.fenced(op) {
		return
	}
	p.s.d.counters.CopyReads.Add(1)
	if p.check(op) && !(ops.AnyCopy(&op.need, op.m.Ops) && p.servesReads() && p.readHere(op)) {
		p.s.toPrimary(op)
	}
}

// toPrimary has a client send its read to the primary.
func (s *shard) toPrimary(op *clientOp) {
	op.send(message.ReplyTo(op.m, ceph.EAGAIN.Result(), s.osdmap.Epoch), objectstore.Loan{})
	s.dropOp(op)
}

// servesReads says whether this copy has a lease, and asks for the next.
func (p *pg) servesReads() bool {
	acting, primary := p.m.Acting()
	if !p.m.IsReplicaOf(primary) || !slices.Contains(acting, p.s.d.opt.ID) ||
		p.m.Info().IsIncomplete() {
		return false
	}
	if p.lease.Due(p.s.now, p.leaseTime()) {
		p.askLease()
	}
	return p.readable()
}

// isSettled says whether the newest version of an object is here, and durable on every copy, so
// that all see it from now on.
func (p *pg) isSettled(o ceph.HObject) bool {
	v, changed := p.m.Log().Latest(o)
	return !p.m.Missing().Has(o) && !(changed && p.lease.Durable.Less(v))
}

// readHere answers a read from this copy; false if another has to.
func (p *pg) readHere(op *clientOp) bool {
	p.s.flush() // the log and the store have to know of the same writes
	o := op.object.Head()
	if !p.isSettled(o) {
		return false
	}
	st, err := ops.LoadState(p.s.d.store, p.id, o)
	if err == nil && snaps.IsClone(op.object) {
		id, ok := ops.FindSnap(&p.env, st.Info.Snaps, op.object.Snap)
		if !ok {
			p.answer(op, ceph.ENOENT.Result())
			return true
		}
		if o.Snap = id; id != ceph.NoSnap {
			if !p.isSettled(o) {
				return false
			}
			if st, err = ops.LoadState(p.s.d.store, p.id, o); err == nil && !st.Exists {
				return false
			}
		}
	}
	if err != nil {
		p.s.d.log.Error("read failed", "pg", p.id, "oid", o, "err", err)
		return false
	}
	req := p.request(op, o, st)
	out := ops.Execute(&p.env, &req, &op.need)
	if out.Failure != nil {
		p.s.d.log.Error("read failed", "pg", p.id, "oid", o, "err", out.Failure)
		return false
	}
	p.s.d.counters.CopyServed.Add(1)
	w := &write{op: op, reply: p.replyOf(op, &out), loan: out.Loan}
	w.finish(p)
	return true
}
