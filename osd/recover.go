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
	// bad are copies that did not have what they should: not asked until they have been replaced.
	bad recovery.Copies
	// asked are copies that are filled anew and do not have what was missing everywhere else.
	asked recovery.Copies
	// refused are copies that were sent to an OSD that did not take them: tried again later.
	refused recovery.Copies
	targets map[int32]*recovery.Chunk
	copied  map[int32]int64
	unfound map[ceph.HObject]bool          // no copy that is up has them
	lost    map[ceph.HObject]ceph.Eversion // they are given up, to go back to these versions
	todo    []ceph.HObject                 // what is left to recover, as of the last look
	from    time.Time                      // when it may begin (osd_recovery_delay_start)
	full    bool                           // it would have to write to an OSD that is full
}

func (r *recoveryState) reset() {
	*r = recoveryState{pulls: map[ceph.HObject]*pull{}, pushes: map[ceph.HObject]*push{},
		bad: recovery.Copies{}, asked: recovery.Copies{}, refused: recovery.Copies{},
		targets: map[int32]*recovery.Chunk{}, copied: map[int32]int64{},
		unfound: map[ceph.HObject]bool{}, lost: map[ceph.HObject]ceph.Eversion{}}
}

// A pull is an object on its way to the primary.
type pull struct {
	from int32
	need ceph.Eversion
	part message.Part // what of it
	left bool         // the copy is filled anew, and may have it from before
	// revert: need is an older version, to which the object goes back.
	revert   bool
	progress message.Progress // as of the piece that was asked for
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
	clear(p.recovery.refused)
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
func (p *pg) unreadable(ob *object, op *clientOp, o ceph.HObject, writes bool) bool {
	if p.m.IsClean() {
		return false
	}
	if p.m.Missing().Has(o) {
		if !writes && p.spoilt(o) {
			p.answer(op, ceph.EIO.Result())
			return true
		}
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
	if !ok || r.pulls[o] != nil || r.refused.Has(p.s.d.opt.ID, o) {
		return
	}
	from, left := p.source(o, it.Need), false
	if from < 0 {
		from, left = p.leftover(o), true
	}
	if from < 0 {
		r.unfound[o] = true
		return
	}
	delete(r.unfound, o)
	p.block(o)
	p.s.moveBegun()
	r.pulls[o] = &pull{from: from, need: it.Need, left: left,
		part: p.part(o, it.Have, it.Need, p.m.Missing())}
	p.sendPull(o, recovery.Start())
}

// pullAgain asks others for what was pulled from copies that are gone, and is not here yet.
func (p *pg) pullAgain() {
	for _, o := range slices.SortedFunc(maps.Keys(p.recovery.pulls), ceph.HObject.Compare) {
		if p.m.Missing().Has(o) && p.m.Peer(p.recovery.pulls[o].from) == nil {
			p.endPull(o)
			p.startPull(o)
		}
	}
}

func (p *pg) sendPull(o ceph.HObject, from message.Progress) {
	pl := p.recovery.pulls[o]
	pl.progress = from
	p.s.d.sendTo(p.s.osdmap, pl.from, &message.MOSDPGPull{PGHead: p.headTo(),
		Pulls: []message.Pull{{Object: o, Version: pl.need, From: from, Part: pl.part}}})
}

// part is what of an object's version need has to go to a copy that has version have, or the head
// of before the object was cloned, as what it misses says; all of it if that can't be told.
func (p *pg) part(o ceph.HObject, have, need ceph.Eversion, misses *pglog.Missing) message.Part {
	part := message.Part{Base: have}
	if have.IsZero() && o.Snap != ceph.NoSnap && misses != nil {
		it, _ := misses.Get(o.Head())
		part.Base, part.Of = it.Have, ceph.NoSnap
	}
	x, ok := p.m.Log().Changed(o, part.Base)
	if v, _ := p.m.Log().Latest(o); !ok || v != need || have == need {
		return message.Part{}
	}
	part.Changes = x
	return part
}

func (p *pg) headTo() message.PGHead {
	return message.PGHead{PG: p.id, From: ceph.PGShard{OSD: p.s.d.opt.ID, Shard: ceph.NoShard},
		Epoch: p.s.osdmap.Epoch, MinEpoch: max(p.resetEpoch, p.theirReset)}
}

// source is a copy that should have version need of an object, -1 if none does.
func (p *pg) source(o ceph.HObject, need ceph.Eversion) int32 {
	for _, osd := range p.m.Peers() {
		peer := p.m.Peer(osd)
		if p.recovery.bad.Has(osd, o) || !p.s.osdmap.IsUp(osd) || peer.Info.LastUpdate.Less(need) ||
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

// leftover is a copy that is filled anew, as the logs tell too little of what it has, and may have
// from before what no other has. Only the very version that is needed is taken from it.
func (p *pg) leftover(o ceph.HObject) int32 {
	for _, osd := range p.m.Peers() {
		if o.Compare(p.m.Peer(osd).Info.LastBackfill) > 0 && p.s.osdmap.IsUp(osd) &&
			!p.recovery.asked.Has(osd, o) {
			return osd
		}
	}
	return -1
}

// read is the next piece of an object.
func (p *pg) read(o ceph.HObject, from message.Progress, part message.Part) (
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
	chunk, err := p.read(pl.Object, pl.From, pl.Part)
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
			p.pullWhole(o)
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
	if pulled {
		p.moved(ps)
	}
	complete := recovery.Complete(ps)
	was, lacks := p.m.Missing().Get(o)
	if complete {
		p.store(0) // so that only this object leaves the missing set with the push
		p.recovered(&t, o, ps.Version)
		p.m.Landing(o, pulled)
	}
	progress, whole := ps.After, ps.Base.IsZero()
	p.s.submit(pending{pg: p, txn: &t, done: func(err error) {
		if err == nil {
			return
		}
		msg.Release()
		if lacks && complete {
			p.m.MarkMissing(o, was.Need)
		}
		p.pieceRefused(from, o, whole, err)
	}, durable: func() {
		msg.Release()
		p.pieceDurable(from, o, progress, complete, pulled)
	}})
	p.s.flush()
}

// pieceRefused handles a piece of an object that the store does not take. If it was to change what
// is here, that may be damaged: the whole object is needed. Else it is tried again later.
func (p *pg) pieceRefused(from int32, o ceph.HObject, whole bool, err error) {
	p.s.d.log.Error("a copy of an object is not possible here", "pg", p.id, "oid", o, "err", err)
	again := errors.Is(err, objectstore.ErrCorrupt) && !whole
	switch {
	case !p.primary && again:
		p.replyPush(from, o, ceph.EAGAIN.Result())
	case !p.primary:
		p.replyPush(from, o, ceph.ResultOf(err))
	case again:
		p.pullWhole(o)
	default:
		p.recovery.refused.Add(p.s.d.opt.ID, o)
		p.endPull(o)
		p.recover()
	}
}

// pullWhole begins a pull again, of the whole object.
func (p *pg) pullWhole(o ceph.HObject) {
	p.recovery.pulls[o].part = message.Part{}
	p.sendPull(o, recovery.Start())
}

// hasBase says whether the version is here that a push changes.
func (p *pg) hasBase(ps *message.Push) bool {
	if ps.Base.IsZero() || !ps.Before.First {
		return true
	}
	o := recovery.BaseOf(ps)
	st, err := ops.LoadState(p.s.d.store, p.id, o)
	if err == nil && st.Exists && st.Info.Version == ps.Base {
		return true
	}
	p.s.d.log.Info("an object is not of the version that is to be changed", "pg", p.id,
		"oid", o, "base", ps.Base)
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
	p.endPull(ps.Object)
	if pl.left {
		r.asked.Add(from, ps.Object)
		p.pullElsewhere(ps.Object)
		return false
	}
	p.s.d.log.Warn("a copy lacks what it should have", "pg", p.id, "oid", ps.Object, "osd", from)
	r.bad.Add(from, ps.Object)
	if !pl.revert { // it gets the object when the primary has it
		p.m.MarkPeerMissing(from, ps.Object, pl.need)
	}
	p.pullElsewhere(ps.Object)
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
	if p.m.Landing(o, false); p.recovery.pulls[o] == nil {
		return
	}
	if !complete {
		p.sendPull(o, progress)
		return
	}
	revert := p.recovery.pulls[o].revert
	if p.endPull(o); revert {
		p.unblock(o) // and so it is given up
		return
	}
	p.stats.Recovered++
	p.recovery.bad.Remove(p.s.d.opt.ID, o)
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

// block holds back the requests for an object that is being recovered, or that has such a clone.
func (p *pg) block(o ceph.HObject) {
	if ob := p.object(o.Head()); !slices.Contains(ob.blocked, o) {
		ob.blocked = append(ob.blocked, o)
	}
}

// unblock lets the requests for an object go on.
func (p *pg) unblock(o ceph.HObject) {
	ob := p.objects[o.Head()]
	if ob == nil {
		return
	}
	ob.blocked = slices.DeleteFunc(ob.blocked, func(b ceph.HObject) bool { return b == o })
	ob.state = nil
	if !ob.isBlocked() {
		p.runWaiting(ob)
	}
	p.runCopyGets(ob)
}

// repair fetches an object that is damaged here from another copy, and keeps the request that has
// met the damage, before all others; false when no other copy may be good.
func (p *pg) repair(ob *object, op *clientOp, o ceph.HObject) bool {
	v, ok := p.m.Log().Latest(o)
	if o.Snap == ceph.NoSnap && ob.state != nil {
		v, ok = ob.state.Info.Version, true
	} else if st, err := ops.LoadState(p.s.d.store, p.id, o); err == nil && st.Exists {
		v, ok = st.Info.Version, true
	}
	if ob.inflight > 0 {
		p.queueFirst(ob, op) // it meets the damage again when these are done
		return true
	}
	if !ok || p.source(o, v) < 0 {
		return false
	}
	p.s.d.log.Warn("damaged object is fetched from another copy", "pg", p.id, "oid", o)
	p.queueFirst(ob, op)
	p.damaged(o, v)
	return true
}

// damaged makes an object missing here whose copy is bad, and begins to fetch it from another.
func (p *pg) damaged(o ceph.HObject, v ceph.Eversion) {
	p.recovery.bad.Add(p.s.d.opt.ID, o)
	p.m.MarkMissing(o, v)
	p.store(0)
	p.pullElsewhere(o)
}

// pullElsewhere pulls an object after a copy of it was found bad. When none is left that may be
// good, the requests for it go on: reads fail.
func (p *pg) pullElsewhere(o ceph.HObject) {
	p.startPull(o)
	if p.recovery.pulls[o] == nil {
		p.unblock(o)
	}
	p.recover()
}

// spoilt says whether an object is lost by damage: there are copies that should have it and are
// bad, none that may be good, and none to come.
func (p *pg) spoilt(o ceph.HObject) bool {
	it, ok := p.m.Missing().Get(o)
	return ok && p.recovery.bad.Any(o) && p.source(o, it.Need) < 0 &&
		!slices.ContainsFunc(p.sources(), func(s pginfo.UnfoundSource) bool {
			return s.Status != "already probed"
		})
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
