package osd

import (
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/pginfo"
	"glue/osd/ops"
	"glue/osd/pglog"
	"glue/osd/recovery"
	"glue/osd/reserve"
	"glue/store/objectstore"
	"glue/wire/message"
)

// recoveryState is what a primary has under way to give every copy every object.
type recoveryState struct {
	pulls  map[ceph.HObject]*pull
	pushes map[ceph.HObject]*push
	// bad are copies that did not have what they should: not asked again in this interval.
	bad     map[int32]map[ceph.HObject]bool
	targets map[int32]*recovery.Chunk
	copied  map[int32]int64
	unfound map[ceph.HObject]bool // no copy that is up has them
	todo    []ceph.HObject        // what is left to recover, as of the last look
	from    time.Time             // when it may begin (osd_recovery_delay_start)
	full    bool                  // it would have to write to an OSD that is full
}

func (r *recoveryState) reset() {
	*r = recoveryState{pulls: map[ceph.HObject]*pull{}, pushes: map[ceph.HObject]*push{},
		bad: map[int32]map[ceph.HObject]bool{}, targets: map[int32]*recovery.Chunk{},
		copied: map[int32]int64{}, unfound: map[ceph.HObject]bool{}}
}

// A pull is an object on its way to the primary.
type pull struct {
	from int32
	need ceph.Eversion
	part recovery.Part // what of it
	// revert: need is an older version, to which the object goes back.
	revert bool
}

// A push is an object on its way to other copies.
type push struct {
	version ceph.Eversion
	to      map[int32]message.Progress
	parts   map[int32]recovery.Part // what of it, by whom it goes to
	// backfill targets are told apart from copies that know they lack the object.
	scan map[int32]bool
}

// endRecovery forgets what was under way in an interval.
func (p *pg) endRecovery() {
	p.s.moveEnded(len(p.recovery.pulls) + len(p.recovery.pushes))
	p.recovery.reset()
	p.endClaims()
}

// startRecovery begins when the PG has become active.
func (p *pg) startRecovery() {
	p.s.moveEnded(len(p.recovery.pulls) + len(p.recovery.pushes))
	p.recovery.reset()
	p.recovery.from = p.s.now.Add(p.s.d.config.Load().background.Delay)
	p.recover()
}

// recoveryTick goes on with what could not be done before.
func (p *pg) recoveryTick() {
	if !p.active || p.m.IsClean() {
		return
	}
	for o := range p.recovery.unfound {
		if it, ok := p.m.Missing().Get(o); !ok || p.source(o, it.Need) >= 0 {
			delete(p.recovery.unfound, o)
		}
	}
	if p.claim.State() == reserve.TooFull && !p.s.now.Before(p.retryAt) {
		p.claimed(p.claim.Retry())
	}
	p.recover()
}

// recoverNext begins with one object; false when none is left that can be begun now.
func (p *pg) recoverNext() bool {
	r := &p.recovery
	if len(r.todo) == 0 && len(r.pulls)+len(r.pushes) == 0 {
		p.listMissing()
	}
	for len(r.todo) > 0 {
		o := r.todo[0]
		r.todo = r.todo[1:]
		before := len(r.pulls) + len(r.pushes)
		p.recoverObject(o)
		if len(r.pulls)+len(r.pushes) > before {
			return true
		}
	}
	if p.stuck() {
		p.changed, p.dirty = p.s.now, true
		p.recover()
	}
	return false
}

// listMissing gathers what is missing anywhere, in the order of the versions that are needed, the
// primary's first. It is done again when all of it has been tried.
func (p *pg) listMissing() {
	r := &p.recovery
	clear(r.unfound)
	seen := map[ceph.HObject]bool{}
	add := func(m *pglog.Missing) {
		for _, o := range m.InOrder() {
			if !seen[o] {
				seen[o] = true
				r.todo = append(r.todo, o)
			}
		}
	}
	add(p.m.Missing())
	for _, osd := range p.members {
		if peer := p.m.Peer(osd); peer != nil && peer.Missing != nil {
			add(peer.Missing)
		}
	}
}

// recoverObject fetches an object that the primary lacks, or pushes it to those who do.
func (p *pg) recoverObject(o ceph.HObject) {
	if p.m.Missing().Has(o) {
		p.startPull(o)
		return
	}
	p.startPush(o)
}

// unreadable starts the recovery of an object that a request needs and keeps the request until
// then; false when there is nothing to wait for.
func (p *pg) unreadable(ob *object, op *clientOp, writes bool) bool {
	if p.m.IsClean() {
		return false
	}
	o := op.object
	if p.m.Missing().Has(o) {
		p.queue(ob, op)
		p.startPull(o)
		return true
	}
	if !writes {
		return false
	}
	for _, osd := range p.members {
		peer := p.m.Peer(osd)
		if peer != nil && peer.Missing != nil && peer.Missing.Has(o) {
			p.queue(ob, op)
			p.startPush(o)
			return true
		}
	}
	return false
}

// startPull asks a copy that has an object for it.
func (p *pg) startPull(o ceph.HObject) {
	r := &p.recovery
	it, ok := p.m.Missing().Get(o)
	if !ok || r.pulls[o] != nil {
		return
	}
	from := p.source(o, it.Need)
	if from < 0 {
		r.unfound[o] = true
		return
	}
	delete(r.unfound, o)
	p.object(o).blocked = true
	p.s.moveBegun()
	r.pulls[o] = &pull{from: from, need: it.Need, part: p.part(o, it.Have, it.Need)}
	p.sendPull(o, recovery.Start())
}

// pullAgain asks others for what was pulled from copies that are gone.
func (p *pg) pullAgain() {
	for _, o := range slices.SortedFunc(maps.Keys(p.recovery.pulls), ceph.HObject.Compare) {
		if p.m.Peer(p.recovery.pulls[o].from) == nil {
			p.endPull(o)
			p.startPull(o)
		}
	}
}

func (p *pg) sendPull(o ceph.HObject, from message.Progress) {
	pl := p.recovery.pulls[o]
	p.s.d.sendTo(p.s.osdmap, pl.from, &message.MOSDPGPull{PGHead: p.headTo(),
		Pulls: []message.Pull{{Object: o, Version: pl.need, From: from, Base: pl.part.Base,
			Changes: pl.part.Changes}}})
}

// part is what of an object's version need has to go to a copy that has version have.
func (p *pg) part(o ceph.HObject, have, need ceph.Eversion) recovery.Part {
	x, ok := p.m.Log().Changed(o, have)
	if v, _ := p.m.Log().Latest(o); !ok || v != need || have == need {
		return recovery.Part{}
	}
	return recovery.Part{Base: have, Changes: x}
}

func (p *pg) headTo() message.PGHead {
	return message.PGHead{PG: p.id, From: ceph.PGShard{OSD: p.s.d.opt.ID, Shard: ceph.NoShard},
		Epoch: p.s.osdmap.Epoch, MinEpoch: max(p.resetEpoch, p.theirReset)}
}

// source is a copy that should have version need of an object, -1 if none does.
func (p *pg) source(o ceph.HObject, need ceph.Eversion) int32 {
	for _, osd := range p.m.Peers() {
		peer := p.m.Peer(osd)
		if p.recovery.bad[osd][o] || !p.s.osdmap.IsUp(osd) || peer.Info.LastUpdate.Less(need) ||
			o.Compare(peer.Info.LastBackfill) > 0 {
			continue
		}
		if peer.Missing != nil && peer.Missing.Has(o) {
			continue
		}
		return osd
	}
	return -1
}

// startPush sends an object that the primary has to the copies that lack it. Writes to it wait.
func (p *pg) startPush(o ceph.HObject) {
	have := map[int32]ceph.Eversion{}
	for _, osd := range p.members {
		if peer := p.m.Peer(osd); peer != nil && peer.Missing != nil {
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
	ob := p.object(o)
	if ob.inflight > 0 {
		ob.wanted = true // the end of the write tries again
		return false
	}
	st, err := ops.LoadState(p.s.d.store, p.id, o)
	if err != nil || !st.Exists {
		p.pushFailed(o, err)
		return false
	}
	ob.blocked = true
	ps := &push{version: st.Info.Version, to: map[int32]message.Progress{}, scan: scan,
		parts: map[int32]recovery.Part{}}
	r.pushes[o] = ps
	p.s.moveBegun()
	targets := slices.Sorted(maps.Keys(have))
	for _, osd := range targets {
		ps.to[osd], ps.parts[osd] = recovery.Start(), p.part(o, have[osd], ps.version)
	}
	for _, osd := range targets {
		p.sendPush(o, osd, ps.to[osd])
	}
	return true
}

// pushFailed handles an object that should be here and is not readable: it becomes missing.
func (p *pg) pushFailed(o ceph.HObject, err error) {
	p.s.d.log.Error("object can't be pushed", "pg", p.id, "oid", o, "err", err)
	if errors.Is(err, objectstore.ErrFailed) {
		p.s.d.fail(err)
		return
	}
	if v, ok := p.m.Log().Latest(o); ok {
		p.m.MarkMissing(o, v)
		p.store(0)
		p.startPull(o)
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
	p.stats.RecoveredBytes += int64(len(chunk.Content))
	p.stats.RecoveredKeys += int64(len(chunk.Omap))
	p.s.d.sendTo(p.s.osdmap, osd, &message.MOSDPGPush{PGHead: p.headTo(),
		Pushes: []message.Push{chunk}})
}

// read is the next piece of an object.
func (p *pg) read(o ceph.HObject, from message.Progress, part recovery.Part) (
	message.Push, error,
) {
	bytes, keys := p.s.chunk()
	return recovery.Read(p.s.d.store, p.id, o, from, part, bytes, keys)
}

// recoveryMessage takes a message about copying objects.
func (p *pg) recoveryMessage(ev *event) {
	switch m := ev.msg.Body.(type) {
	case *message.MOSDPGPull:
		for i := range m.Pulls {
			p.onPull(m.From.OSD, &m.Pulls[i])
		}
	case *message.MOSDPGPush:
		for i := range m.Pushes {
			p.onPush(m.From.OSD, &m.Pushes[i], ev.msg)
		}
		return // released when it is durable
	case *message.MOSDPGPushReply:
		for i := range m.Replies {
			p.onPushReply(m.From.OSD, &m.Replies[i])
		}
	case *message.MBackfillReserve:
		p.onReserve(&m.Reserve, reserve.Backfill)
	case *message.MRecoveryReserve:
		p.onReserve(&m.Reserve, reserve.Recovery)
	default:
		if !p.scrub.Message(m) {
			p.backfillMessage(ev)
		}
	}
	ev.msg.Release()
}

// onPull sends the primary a piece of an object.
func (p *pg) onPull(from int32, pl *message.Pull) {
	chunk, err := p.read(pl.Object, pl.From, recovery.Part{Base: pl.Base, Changes: pl.Changes})
	if err != nil {
		p.s.d.log.Error("object can't be read for the primary", "pg", p.id, "oid", pl.Object,
			"err", err)
		chunk = message.Push{Object: pl.Object}
		chunk.After.Error = true
	}
	if it, missing := p.m.Missing().Get(pl.Object); missing && it.Have != pl.Version {
		chunk = message.Push{Object: pl.Object}
		chunk.After.Error = true
	}
	chunk.Version = pl.Version
	p.s.d.sendTo(p.s.osdmap, from, &message.MOSDPGPush{PGHead: p.headTo(),
		Pushes: []message.Push{chunk}})
}

// onPush takes a piece of an object: as the primary one that was pulled, else one from the primary.
func (p *pg) onPush(from int32, ps *message.Push, msg *message.Message) {
	o := ps.Object
	pulled := p.primary
	if pulled && !p.wanted(from, ps) || !pulled && !p.m.IsReplicaOf(from) {
		msg.Release()
		return
	}
	if !p.hasBase(ps) {
		msg.Release()
		if pulled {
			p.recovery.pulls[o].part = recovery.Part{}
			p.sendPull(o, recovery.Start())
		} else {
			p.replyPush(from, o, ceph.EAGAIN.Result())
		}
		return
	}
	var t objectstore.Transaction
	if err := recovery.Apply(&t, p.id, ps, p.exists); err != nil {
		p.s.d.log.Error("push refused", "pg", p.id, "oid", o, "err", err)
		msg.Release()
		if !pulled {
			p.replyPush(from, o, ceph.ResultOf(err))
		}
		return
	}
	if ob := p.objects[o]; ob != nil {
		ob.state = nil
	}
	complete := recovery.Complete(ps)
	if complete {
		p.recovered(&t, o, ps.Version)
	}
	progress := ps.After
	p.s.submit(pending{pg: p, txn: &t, durable: func() {
		msg.Release()
		p.pieceDurable(from, o, progress, complete, pulled)
	}})
	p.s.flush()
}

// hasBase says whether the version is here that a push changes.
func (p *pg) hasBase(ps *message.Push) bool {
	if ps.Base.IsZero() || !ps.Before.First {
		return true
	}
	st, err := ops.LoadState(p.s.d.store, p.id, ps.Object)
	if err == nil && st.Exists && st.Info.Version == ps.Base {
		return true
	}
	p.s.d.log.Warn("an object is not of the version that is to be changed", "pg", p.id,
		"oid", ps.Object, "base", ps.Base)
	return false
}

func (p *pg) exists(o ceph.HObject) bool {
	_, err := p.s.d.store.Stat(p.id, o)
	return err == nil
}

// wanted checks a piece of a pulled object: that it was asked for, and is of the right version.
func (p *pg) wanted(from int32, ps *message.Push) bool {
	r := &p.recovery
	pl := r.pulls[ps.Object]
	if pl == nil || pl.from != from {
		return false
	}
	ok := !ps.After.Error
	if ok && ps.Before.First {
		var info pginfo.ObjectInfo
		err := denc.Unmarshal(ps.Attrs[ops.InfoAttr], &info, ceph.FeaturesAll)
		ok = err == nil && info.Version == pl.need
	}
	if ok {
		return true
	}
	p.s.d.log.Warn("a copy lacks what it should have", "pg", p.id, "oid", ps.Object, "osd", from)
	if r.bad[from] == nil {
		r.bad[from] = map[ceph.HObject]bool{}
	}
	r.bad[from][ps.Object] = true
	p.endPull(ps.Object)
	p.startPull(ps.Object)
	return false
}

// recovered takes an object out of the missing set, with the transaction that brings it.
func (p *pg) recovered(t *objectstore.Transaction, o ceph.HObject, v ceph.Eversion) {
	p.m.GotObject(o, v)
	p.putMissing(t)
	p.dirty = true
}

// pieceDurable goes on when a piece of an object is on disk.
func (p *pg) pieceDurable(from int32, o ceph.HObject, progress message.Progress, complete,
	pulled bool,
) {
	if p.s.pgs[p.id] != p {
		return
	}
	if !pulled {
		p.replyPush(from, o, 0)
		return
	}
	if p.recovery.pulls[o] == nil {
		return
	}
	if !complete {
		p.sendPull(o, progress)
		return
	}
	back, revert := p.recovery.pulls[o].need, p.recovery.pulls[o].revert
	p.endPull(o)
	if it, ok := p.m.Missing().Get(o); ok && revert {
		it.Have = back
		p.giveUp(o, it, true)
		return
	}
	p.stats.Recovered++
	p.apply(p.settled().Recovered())
	p.unblock(o)
	p.recoverObject(o)
	p.recover()
}

// endPull ends a pull, done or not.
func (p *pg) endPull(o ceph.HObject) {
	delete(p.recovery.pulls, o)
	p.s.moveEnded(1)
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
		delete(ps.parts, from)
		p.sendPush(r.Object, from, recovery.Start())
		return
	}
	if !progress.DataComplete || !progress.OmapComplete {
		p.sendPush(r.Object, from, progress)
		return
	}
	delete(ps.to, from)
	p.stats.Recovered++
	if ps.scan[from] {
		p.backfilledObject(from, r.Object)
	}
	p.apply(p.settled().PeerRecovered(from, r.Object))
	if len(ps.to) == 0 {
		p.endPush(r.Object)
		p.unblock(r.Object)
	}
	p.recover()
}

// unblock lets the requests for an object go on.
func (p *pg) unblock(o ceph.HObject) {
	ob := p.objects[o]
	if ob == nil {
		return
	}
	ob.blocked = false
	ob.state = nil
	p.runWaiting(ob)
}

// repair fetches an object that is damaged here from another copy.
func (p *pg) repair(ob *object, op *clientOp) bool {
	v, ok := p.m.Log().Latest(op.object)
	if ob.state != nil {
		v, ok = ob.state.Info.Version, true
	}
	if !ok || len(p.members) == 0 || ob.inflight > 0 {
		return false
	}
	p.m.MarkMissing(op.object, v)
	p.store(0)
	p.s.d.log.Warn("damaged object is fetched from another copy", "pg", p.id, "oid", op.object)
	p.queue(ob, op)
	p.startPull(op.object)
	return true
}

// missingFrom yields the objects that the primary lacks, for listings.
func (p *pg) missingFrom(from ceph.HObject) iter.Seq[ceph.HObject] {
	return func(yield func(ceph.HObject) bool) {
		for _, o := range p.m.Missing().Objects() {
			if o.Compare(from) >= 0 && !yield(o) {
				return
			}
		}
	}
}
