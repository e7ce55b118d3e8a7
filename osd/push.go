package osd

import (
	"errors"
	"maps"
	"slices"

	"glue/ceph"
	"glue/osd/ops"
	"glue/osd/recovery"
	"glue/osd/snaps"
	"glue/store/objectstore"
	"glue/wire/message"
)

// A push is an object on its way to other copies.
type push struct {
	version ceph.Eversion
	to      map[int32]message.Progress
	parts   map[int32]message.Part // what of it, by whom it goes to
	// backfill targets are told apart from copies that know they lack the object.
	scan map[int32]bool
}

// startPush sends an object that the primary has to the copies that lack it. Writes to it wait.
func (p *pg) startPush(o ceph.HObject) {
	have := map[int32]ceph.Eversion{}
	for _, osd := range p.members {
		peer := p.m.Peer(osd)
		if peer != nil && peer.Missing != nil && !p.recovery.refused.Has(osd, o) {
			if it, ok := peer.Missing.Get(o); ok {
				have[osd] = it.Have
			}
		}
	}
	p.push(o, have, nil)
}

// push begins a push to copies that have some versions, unless one of the object is under way or a
// write of it is in flight.
func (p *pg) push(o ceph.HObject, have map[int32]ceph.Eversion, scan map[int32]bool) bool {
	r := &p.recovery
	if r.pushes[o] != nil || len(have) == 0 {
		return false
	}
	ob := p.object(o.Head())
	if ob.inflight > 0 {
		ob.wanted = true // the end of the write tries again
		return false
	}
	st, err := ops.LoadState(p.s.d.store, p.id, o)
	if err != nil || !st.Exists {
		p.pushFailed(o, err)
		return false
	}
	p.block(o)
	ps := &push{version: st.Info.Version, to: map[int32]message.Progress{}, scan: scan,
		parts: map[int32]message.Part{}}
	r.pushes[o] = ps
	p.s.moveBegun()
	targets := slices.Sorted(maps.Keys(have))
	for _, osd := range targets {
		misses := p.m.Peer(osd).Missing
		part := p.part(o, have[osd], ps.version, misses)
		if part.Base.IsZero() {
			part = p.beside(st, osd)
		}
		ps.to[osd], ps.parts[osd] = recovery.Start(), part
	}
	for _, osd := range targets {
		if r.pushes[o] == ps {
			p.sendPush(o, osd, ps.to[osd])
		}
	}
	return r.pushes[o] == ps
}

// beside is what of an object goes to a copy that has the clone before it, or will have it when the
// object arrives: the two have in common there what they have in common here.
func (p *pg) beside(s *ops.State, osd int32) message.Part {
	o, head := s.Info.Object, s
	var err error
	if o.Snap != ceph.NoSnap {
		head, err = ops.LoadState(p.s.d.store, p.id, o.Head())
	}
	if err != nil || head.Info.Snaps == nil {
		return message.Part{}
	}
	before := snaps.Before(head.Info.Snaps, o.Snap)
	if before == nil {
		return message.Part{}
	}
	o.Snap = before.ID
	if m := p.m.Peer(osd).Missing; m != nil && m.Has(o) && !p.pushing(o, osd) {
		return message.Part{}
	}
	st, err := ops.LoadState(p.s.d.store, p.id, o)
	if err != nil || !st.Exists {
		return message.Part{}
	}
	return recovery.Beside(before, st.Info.Version, s.Info.Size)
}

func (p *pg) pushing(o ceph.HObject, osd int32) bool {
	ps := p.recovery.pushes[o]
	if ps == nil {
		return false
	}
	_, under := ps.to[osd]
	return under
}

// pushFailed handles an object that should be here and is not readable: it becomes missing.
func (p *pg) pushFailed(o ceph.HObject, err error) {
	p.s.d.log.Error("object can't be pushed", "pg", p.id, "oid", o, "err", err)
	if errors.Is(err, objectstore.ErrFailed) {
		p.s.d.fail(err)
		return
	}
	v, ok := p.m.Log().Latest(o)
	if ps := p.recovery.pushes[o]; ps != nil {
		v, ok = ps.version, true
		for osd := range ps.scan {
			if c := p.recovery.targets[osd]; c != nil {
				c.Failed(o)
			}
		}
		p.endPush(o)
	}
	if ok {
		p.damaged(o, v)
	}
}

func (p *pg) sendPush(o ceph.HObject, osd int32, from message.Progress) {
	ps := p.recovery.pushes[o]
	chunk, err := p.read(o, from, ps.parts[osd])
	if err != nil || chunk.After.Error {
		p.pushFailed(o, err)
		return
	}
	chunk.Version = ps.version
	ps.to[osd] = chunk.After
	p.moved(&chunk)
	p.s.d.sendTo(p.s.osdmap, osd, &message.MOSDPGPush{PGHead: p.headTo(),
		Pushes: []message.Push{chunk}})
}

// moved counts a piece of an object that came or went.
func (p *pg) moved(piece *message.Push) {
	p.stats.RecoveredBytes += int64(len(piece.Content))
	p.stats.RecoveredKeys += int64(len(piece.Omap))
}

// endPush ends a push to all copies.
func (p *pg) endPush(o ceph.HObject) {
	delete(p.recovery.pushes, o)
	p.s.moveEnded(1)
}

func (p *pg) replyPush(to int32, o ceph.HObject, result int32) {
	p.s.d.sendTo(p.s.osdmap, to, &message.MOSDPGPushReply{PGHead: p.headTo(),
		Replies: []message.PushReply{{Object: o, Result: result}}})
}

// onPushReply goes on with a push: with its next piece, or with the next object.
func (p *pg) onPushReply(from int32, r *message.PushReply) {
	ps := p.recovery.pushes[r.Object]
	if ps == nil {
		return
	}
	progress, ok := ps.to[from]
	if !ok {
		return
	}
	if r.Result != 0 {
		p.s.d.log.Error("push failed", "pg", p.id, "oid", r.Object, "osd", from,
			"err", ceph.ErrorOf(r.Result))
		if r.Result != ceph.EAGAIN.Result() {
			p.pushRefused(from, r.Object)
			return
		}
		delete(ps.parts, from)
		p.sendPush(r.Object, from, recovery.Start())
		return
	}
	if !progress.DataComplete || !progress.OmapComplete {
		p.sendPush(r.Object, from, progress)
		return
	}
	p.stats.Recovered++
	p.recovery.bad.Remove(from, r.Object)
	if ps.scan[from] {
		p.backfilledObject(from, r.Object)
	}
	p.apply(p.settled().PeerRecovered(from, r.Object))
	p.pushEnded(from, r.Object)
	p.recover()
}

// pushRefused leaves an object to be sent again later to an OSD that does not take it now.
func (p *pg) pushRefused(osd int32, o ceph.HObject) {
	r := &p.recovery
	r.refused.Add(osd, o)
	if c := r.targets[osd]; c != nil && r.pushes[o].scan[osd] {
		c.Failed(o)
	}
	p.pushEnded(osd, o)
	p.recover()
}

// pushEnded ends a push to one copy, and lets the requests for the object go on after the last.
func (p *pg) pushEnded(osd int32, o ceph.HObject) {
	ps := p.recovery.pushes[o]
	if ps == nil {
		return
	}
	delete(ps.to, osd)
	if len(ps.to) == 0 {
		p.endPush(o)
		p.unblock(o)
	}
}
