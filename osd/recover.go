package osd

import (
	"errors"
	"iter"
	"maps"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/pginfo"
	"glue/osd/ops"
	"glue/osd/pglog"
	"glue/osd/recovery"
	"glue/store/objectstore"
	"glue/wire/message"
)

// recoveryState is what a primary has under way to give every copy every object.
type recoveryState struct {
	pulls  map[ceph.HObject]*pull
	pushes map[ceph.HObject]*push
	// bad are copies that did not have what they should: not asked again in this interval.
	bad     map[int32]map[ceph.HObject]bool
	targets map[int32]*backfill
	held    []*clientOp // writes to objects that are being backfilled
	copied  map[int32]int64
	unfound int
	todo    []ceph.HObject // what is left to recover, as of the last look
}

func (r *recoveryState) reset() {
	*r = recoveryState{pulls: map[ceph.HObject]*pull{}, pushes: map[ceph.HObject]*push{},
		bad: map[int32]map[ceph.HObject]bool{}, targets: map[int32]*backfill{},
		copied: map[int32]int64{}}
}

// A pull is an object on its way to the primary.
type pull struct {
	from int32
	need ceph.Eversion
}

// A push is an object on its way to other copies.
type push struct {
	version ceph.Eversion
	to      map[int32]message.Progress
	// backfill targets are told apart from copies that know they lack the object.
	scan map[int32]bool
}

// startRecovery begins when the PG has become active.
func (p *pg) startRecovery() {
	p.recovery.reset()
	p.recover()
}

// recoveryTick goes on with what could not be done before.
func (p *pg) recoveryTick() {
	if p.active && !p.m.IsClean() {
		p.recover()
	}
}

// recovering is how many objects are on their way between copies.
func (s *shard) recovering() int {
	n := 0
	for _, p := range s.sorted() {
		n += len(p.recovery.pulls) + len(p.recovery.pushes)
	}
	return n
}

// recoverMore goes on with the recovery of all PGs, in their order, as far as the limit allows.
func (s *shard) recoverMore() {
	for _, p := range s.sorted() {
		if p.active && !p.m.IsClean() {
			p.recover()
		}
	}
}

// recoveryActive is how many objects of a shard's PGs are in recovery at once
// (osd_recovery_max_active), besides those that requests wait for.
func (p *pg) recoveryActive() int {
	if n := p.s.d.config.Load().set.Int("osd_recovery_max_active"); n > 0 {
		return int(n)
	}
	return 4
}

// recover starts as much as may run at once: objects in the order of the versions that are needed,
// to the primary first, then to the others; then backfill.
func (p *pg) recover() {
	r := &p.recovery
	if !p.active || !p.m.NeedsRecovery() {
		p.backfillMore()
		return
	}
	if len(r.todo) == 0 && len(r.pulls)+len(r.pushes) == 0 {
		p.listMissing()
	}
	for limit := p.recoveryActive(); len(r.todo) > 0 && p.s.recovering() < limit; {
		o := r.todo[0]
		r.todo = r.todo[1:]
		p.recoverObject(o)
	}
}

// listMissing gathers what is missing anywhere. It is done again when all of it has been tried.
func (p *pg) listMissing() {
	r := &p.recovery
	r.unfound = 0
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
	if p.backfilling(o) {
		p.recovery.held = append(p.recovery.held, op)
		op.mark(stBackfill, p.s.now)
		return true
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
		r.unfound++
		return
	}
	p.object(o).blocked = true
	r.pulls[o] = &pull{from: from, need: it.Need}
	p.sendPull(o, recovery.Start())
}

// pullAgain asks others for what was pulled from copies that are gone.
func (p *pg) pullAgain() {
	for _, o := range slices.SortedFunc(maps.Keys(p.recovery.pulls), ceph.HObject.Compare) {
		if p.m.Peer(p.recovery.pulls[o].from) == nil {
			delete(p.recovery.pulls, o)
			p.startPull(o)
		}
	}
}

func (p *pg) sendPull(o ceph.HObject, from message.Progress) {
	pl := p.recovery.pulls[o]
	p.s.d.sendTo(p.s.osdmap, pl.from, &message.MOSDPGPull{PGHead: p.headTo(),
		Pulls: []message.Pull{{Object: o, Version: pl.need, From: from}}})
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
	targets := map[int32]message.Progress{}
	for _, osd := range p.members {
		peer := p.m.Peer(osd)
		if peer != nil && peer.Missing != nil && peer.Missing.Has(o) {
			targets[osd] = recovery.Start()
		}
	}
	p.push(o, targets, nil)
}

// push begins a push unless one of the object is under way or a write of it is in flight.
func (p *pg) push(o ceph.HObject, to map[int32]message.Progress, scan map[int32]bool) bool {
	r := &p.recovery
	if r.pushes[o] != nil || len(to) == 0 {
		return false
	}
	ob := p.object(o)
	if ob.inflight > 0 {
		return false // the next tick, or the end of the write, tries again
	}
	st, err := ops.LoadState(p.s.d.store, p.id, o)
	if err != nil || !st.Exists {
		p.pushFailed(o, err)
		return false
	}
	ob.blocked = true
	ps := &push{version: st.Info.Version, to: to, scan: scan}
	r.pushes[o] = ps
	for _, osd := range slices.Sorted(maps.Keys(to)) {
		p.sendPush(o, osd, to[osd])
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
	chunk, err := recovery.Read(p.s.d.store, p.id, o, from)
	if err != nil || chunk.After.Error {
		p.pushFailed(o, err)
		return
	}
	chunk.Version = ps.version
	ps.to[osd] = chunk.After
	p.stats.RecoveredBytes += int64(len(chunk.Content))
	p.s.d.sendTo(p.s.osdmap, osd, &message.MOSDPGPush{PGHead: p.headTo(),
		Pushes: []message.Push{chunk}})
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
	default:
		p.backfillMessage(ev)
	}
	ev.msg.Release()
}

// onPull sends the primary a piece of an object.
func (p *pg) onPull(from int32, pl *message.Pull) {
	chunk, err := recovery.Read(p.s.d.store, p.id, pl.Object, pl.From)
	if err != nil {
		p.s.d.log.Error("object can't be read for the primary", "pg", p.id, "oid", pl.Object,
			"err", err)
		chunk = message.Push{Object: pl.Object}
		chunk.After.Error = true
	}
	if it, missing := p.m.Missing().Get(pl.Object); missing && !it.Need.IsZero() {
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
	delete(r.pulls, ps.Object)
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
	delete(p.recovery.pulls, o)
	p.stats.Recovered++
	p.apply(p.m.Recovered())
	p.unblock(o)
	p.recoverObject(o)
	p.s.recoverMore()
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
	effects := p.m.PeerRecovered(from, r.Object)
	if len(ps.to) == 0 {
		delete(p.recovery.pushes, r.Object)
		p.unblock(r.Object)
	}
	p.apply(effects)
	p.s.recoverMore()
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
