package osd

import (
	"sync/atomic"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/osd/ops"
	"glue/wire/message"
)

// trimHost is the PG as its snaptrim.Trimmer sees it.
type trimHost struct{ *pg }

// Removed is the snapshots of the pool that are being removed.
func (p trimHost) Removed() []osdmap.SnapRange { return p.s.osdmap.RemovedSnapsQueue[p.id.Pool] }

// Ready says whether clones may be trimmed.
func (p trimHost) Ready() bool {
	acting, _ := p.m.Acting()
	return p.active && p.writeable && p.m.IsClean() && len(acting) >= int(p.pool.Size) &&
		!p.s.osdmap.Flags.Has(osdmap.FlagNoSnapTrim) && p.readable()
}

// Tagged lists clones that stand for a snapshot.
func (p trimHost) Tagged(s ceph.SnapID, limit int) ([]ceph.HObject, error) {
	p.s.flush()
	return p.s.d.store.Tagged(p.id, uint64(s), ceph.HObject{}, limit)
}

// Start queues the change of a clone like a client's request for its head.
func (p trimHost) Start(o ceph.HObject) {
	op := &clientOp{object: o, trim: true, checked: true, m: &message.MOSDOp{PG: p.id,
		Hash: o.Hash, Object: o.Name, Snap: o.Snap}}
	op.need.Write = true
	p.do(op)
}

// Enqueue has trimNext called.
func (p trimHost) Enqueue() { p.s.enqueue(p.pg) }

// Changed has the PG's state reported.
func (p trimHost) Changed() { p.changed, p.dirty = p.s.now, true }

// Slot takes or gives back one of the PGs that the OSD trims.
func (p trimHost) Slot(take bool) bool {
	return takeOne(&p.s.d.trims, take, p.s.d.config.Load().set.Int("osd_max_trimming_pgs"))
}

// takeOne takes one of at most so many, or gives one back.
func takeOne(n *atomic.Int64, take bool, most int64) bool {
	if take && n.Add(1) <= most {
		return true
	}
	n.Add(-1)
	return !take
}

func (p *pg) trimNext() {
	most := p.s.d.config.Load().set.Int("osd_pg_max_concurrent_snap_trims")
	if err := p.trim.Next(p.s.now, int(most)); err != nil {
		p.s.d.log.Error("clones can't be listed", "pg", p.id, "err", err)
	}
}

// trimClone takes all snapshots that are being removed off a clone.
func (p *pg) trimClone(ob *object, op *clientOp) {
	if !p.trim.Wants(op.object) {
		p.trimmed(op)
		op.release(p)
		return
	}
	removed := trimHost{p}.Removed()
	out, ok := ops.Trim(&p.env, ob.state, op.object,
		ceph.Eversion{Version: p.next.Version + 1, Epoch: p.s.osdmap.Epoch},
		func(s ceph.SnapID) bool { return osdmap.ContainsSnap(removed, s) })
	switch {
	case !ok:
		p.trimFailed(op, "its head does not know it")
	case out.Failure == nil:
		p.startWrite(ob, op, &out)
	case !p.repair(ob, op, op.object):
		p.trimFailed(op, out.Failure)
	}
}

// trimFailed gives up trimming until the next interval.
func (p *pg) trimFailed(op *clientOp, why any) {
	p.s.d.log.Error("clone can't be trimmed", "pg", p.id, "oid", op.object, "err", why)
	p.trim.Failed(op.object)
	op.release(p)
}

// trimmed goes on after a clone was trimmed on every copy.
func (p *pg) trimmed(op *clientOp) {
	p.trim.Trimmed(op.object, p.s.now, p.s.d.config.Load().background.TrimSleep)
}
