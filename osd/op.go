package osd

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"glue/auth/caps"
	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/osd/class"
	"glue/osd/ops"
	"glue/osd/optrack"
	"glue/osd/snaps"
	"glue/store/objectstore"
	"glue/wire/message"
)

// A clientOp is one request on its way through a PG.
type clientOp struct {
	sess   *session // nil for the PG's own requests
	conn   link
	msg    *message.Message
	m      *message.MOSDOp
	need   ops.Need
	object ceph.HObject
	from   class.Entity
	// checked: need, caps and limits have been looked at.
	checked bool
	copies  map[int]*ops.Copied // what it copies, once that has been fetched
	// reverts: an unfound object goes back to an older version. Others get the log's entry only.
	reverts bool
	trim    bool   // the PG's own: object is a clone, from which removed snapshots are taken off
	lost    bool   // the PG's own: object is unfound and given up
	ends    *watch // the PG's own: takes it away, unless it has shown that it lives meanwhile
	tracking
}

// clientOp finds the PG of a request. One that is not ours is dropped: the client sends it again
// when it has the map.
func (s *shard) clientOp(ev *event) {
	op, sess := ev.op, ev.sess
	m := op.m
	if sess == nil || sess.closed.Load() {
		s.dropOp(op)
		return
	}
	if s.waitMap(ev, m.PG, m.Epoch) {
		op.Mark(optrack.ForMap, s.now)
		return
	}
	op.Mark(optrack.Reached, s.now)
	s.shareMap(sess, m.Epoch)
	p := s.pgs[m.PG]
	if p == nil {
		s.opWithoutPG(ev, m)
		return
	}
	op.object, op.from = m.HObject(), sess.origin()
	if op.object.Snap == 0 {
		op.object.Snap = ceph.NoSnap
	}
	if !p.primary && anyCopy(m) {
		if p.pool.LastForceResend > m.Epoch || p.movedOn(m.Epoch, m.Hash) {
			s.toPrimary(op)
		} else {
			p.copyRead(op)
		}
		return
	}
	if !p.primary || m.Epoch < p.m.Info().History.SamePrimarySince ||
		p.pool.LastForceResend > m.Epoch || p.movedOn(m.Epoch, m.Hash) {
		s.dropOp(op) // the client has to send it again
		return
	}
	p.do(op)
}

// dropOp gives a request up without an answer.
func (s *shard) dropOp(op *clientOp) {
	s.endOp(op)
	op.msg.Release()
	op.msg = nil
}

// opWithoutPG keeps a request for a PG that we are about to make, and drops others.
func (s *shard) opWithoutPG(ev *event, m *message.MOSDOp) {
	pool := s.osdmap.Pools[m.PG.Pool]
	if pool == nil || m.PG.Seed >= pool.PGNum {
		s.dropOp(ev.op)
		return
	}
	_, _, _, primary := s.osdmap.PGToUpActing(m.PG.PGID)
	if primary != s.d.opt.ID && anyCopy(m) {
		s.toPrimary(ev.op)
		return
	}
	if primary != s.d.opt.ID {
		s.dropOp(ev.op)
		return
	}
	ev.op.Mark(optrack.ForPeered, s.now)
	s.orphans[m.PG] = append(s.orphans[m.PG], *ev)
}

// do takes a request as far as it gets now: to its answer, its transaction, or a queue.
func (p *pg) do(op *clientOp) {
	if p.fenced(op) {
		return
	}
	// The client watches again; an answer could overtake that, and would end the watch.
	if op.m.Epoch < p.m.Info().History.SameIntervalSince && ops.IsPing(op.m.Ops) {
		p.s.shareMap(op.sess, op.m.Epoch)
		p.s.dropOp(op)
		return
	}
	if !op.checked && !p.check(op) {
		return
	}
	if op.sess != nil && !op.copier() && p.backsOff() {
		p.backOff(op)
		return
	}
	if !p.active || !p.writeable {
		p.waiting = append(p.waiting, op)
		op.Mark(optrack.ForPeered, p.s.now)
		return
	}
	if !p.readable() {
		p.waiting = append(p.waiting, op)
		op.Mark(optrack.ForReadable, p.s.now)
		return
	}
	if op.need.PGOp {
		p.list(op)
		return
	}
	ob := p.object(op.object.Head()) // clones are read in their order with the head's requests
	if len(ob.waiting) > 0 || ob.isBlocked() {
		p.queue(ob, op)
		if op.copier() {
			p.runCopyGets(ob)
		}
		return
	}
	p.doObject(ob, op)
}

// fenced refuses a request of a client that is blocklisted, also one that has waited, for whatever
// it was: who had the client blocklisted counts on it.
func (p *pg) fenced(op *clientOp) bool {
	if op.sess == nil || !p.s.osdmap.BlocklistedAny(op.sess.peer.Addrs) {
		return false
	}
	p.answer(op, ceph.EBLOCKLISTED.Result())
	return true
}

// check answers requests that are not allowed or make no sense; it says whether to go on.
func (p *pg) check(op *clientOp) bool {
	op.checked = true
	d := p.s.d
	if op.sess == nil {
		op.need, _ = ops.Inspect(d.opt.Classes, op.m.Flags, op.m.Ops)
		return true
	}
	need, err := ops.Inspect(d.opt.Classes, op.m.Flags, op.m.Ops)
	if err != nil {
		p.answer(op, ceph.ResultOf(err))
		return false
	}
	op.need = need
	if !op.sess.all && !p.allowed(op) {
		p.answer(op, ceph.EPERM.Result())
		return false
	}
	req := ops.Request{Object: op.object, Ops: op.m.Ops, Flags: op.m.Flags}
	if err := ops.Check(&d.config.Load().limits, &op.need, &req); err != nil {
		p.answer(op, ceph.ResultOf(err))
		return false
	}
	return true
}

// allowed asks the session's capabilities.
func (p *pg) allowed(op *clientOp) bool {
	if op.sess.caps == nil {
		return false
	}
	q := caps.OSDQuery{Pool: p.s.osdmap.PoolName(p.id.Pool), Namespace: op.object.Namespace,
		Application: p.pool.Applications, Object: op.object.Name,
		Read: op.need.Read, Write: op.need.Write, Peer: op.sess.peer.Socket.Addr()}
	for _, c := range op.need.Classes {
		q.Classes = append(q.Classes, caps.ClassCall{Class: c.Class, Method: c.Method,
			Read: c.Read, Write: c.Write, Allowed: true})
	}
	return op.sess.caps.Allowed(&q)
}

// object is the PG's memory of an object.
func (p *pg) object(o ceph.HObject) *object {
	ob := p.objects[o]
	if ob == nil {
		if len(p.objects) >= rememberedObjects {
			p.forgetObjects()
		}
		ob = &object{}
		p.objects[o] = ob
	}
	return ob
}

const rememberedObjects = 256

// forgetObjects drops the objects that nothing is going on with.
func (p *pg) forgetObjects() {
	for o, ob := range p.objects {
		if ob.idle() {
			delete(p.objects, o)
		}
	}
}

func (ob *object) idle() bool {
	return ob.inflight == 0 && len(ob.waiting) == 0 && !ob.isBlocked()
}

// isBlocked says whether the object, or a clone of it, is being recovered, or a copy is made of
// another.
func (ob *object) isBlocked() bool { return len(ob.blocked) > 0 || ob.copying != nil }

// queueFirst has a request wait that was before all others that wait for its object.
func (p *pg) queueFirst(ob *object, op *clientOp) {
	ob.waiting = slices.Insert(ob.waiting, 0, op)
	op.Mark(optrack.ForObject, p.s.now)
}

func (p *pg) queue(ob *object, op *clientOp) {
	ob.waiting = append(ob.waiting, op)
	op.Mark(optrack.ForObject, p.s.now)
}

// doObject runs a request on an object that nobody waits for.
func (p *pg) doObject(ob *object, op *clientOp) {
	if p.fenced(op) {
		return
	}
	writes, head := op.need.WriteOrdered(), op.object.Head()
	for ob.batched > 0 && len(p.s.batch) > 0 { // a refusal is logged in the next batch
		p.s.flush() // the log and the store have to know of what came before
		if len(ob.waiting) > 0 || ob.isBlocked() {
			p.queue(ob, op) // what came before has found damage
			return
		}
	}
	watches := op.sess != nil && ops.OnlyWatches(op.m.Ops)
	if op.need.MayWrite() && op.sess != nil && !watches && p.duplicate(op) {
		return
	}
	if op.ends != nil && !op.ends.removing {
		op.release(p)
		return
	}
	if !(op.lost && op.object == head) && p.unreadable(ob, op, head, writes) {
		return
	}
	if ob.inflight > 0 && (!writes || ob.wanted) {
		p.queue(ob, op)
		return
	}
	if writes && p.scrub.Holds(head) {
		p.queue(ob, op) // and whatever comes after it
		op.Mark(optrack.ForScrub, p.s.now)
		if !slices.Contains(p.scrubHeld, ob) {
			p.scrubHeld = append(p.scrubHeld, ob)
		}
		return
	}
	if ob.state == nil {
		st, err := ops.LoadState(p.s.d.store, p.id, head)
		if err != nil {
			p.readFailed(ob, op, head, err)
			return
		}
		ob.state = st
		p.adoptWatches(head, st)
	}
	// A watch that is there and comes again is bound to the connection on which it comes.
	if watches && !ops.Watched(op.m.Ops, op.reqid.Name, ob.state) && p.duplicate(op) {
		return
	}
	at, back := ops.Rollback(op.m.Ops)
	switch {
	case op.lost:
		p.lose(ob, op)
	case op.trim:
		p.trimClone(ob, op)
	case snaps.IsClone(op.object):
		p.readAt(ob, op, op.object.Snap)
	case back && !p.ready(ob, op, at):
	default:
		p.execute(ob, op, op.object, ob.state)
	}
}

// readAt runs a request that reads the object as it was at a snapshot.
func (p *pg) readAt(ob *object, op *clientOp, at ceph.SnapID) {
	id, ok := ops.FindSnap(&p.env, ob.state.Info.Snaps, at)
	switch {
	case !ok:
		p.answer(op, ceph.ENOENT.Result())
		return
	case id == ceph.NoSnap:
		p.execute(ob, op, op.object.Head(), ob.state)
		return
	}
	clone := op.object
	clone.Snap = id
	if p.unreadable(ob, op, clone, false) {
		return
	}
	st, err := ops.LoadState(p.s.d.store, p.id, clone)
	if err == nil && !st.Exists {
		err = fmt.Errorf("clone %v is not there: %w", clone, objectstore.ErrCorrupt)
	}
	if err != nil {
		p.readFailed(ob, op, clone, err)
		return
	}
	p.execute(ob, op, clone, st)
}

// ready says whether every copy has the clone to which a request rolls its object back; else the
// request waits for that.
func (p *pg) ready(ob *object, op *clientOp, at ceph.SnapID) bool {
	id, ok := ops.FindSnap(&p.env, ob.state.Info.Snaps, at)
	if !ok || id == ceph.NoSnap {
		return true
	}
	clone := op.object
	clone.Snap = id
	return !p.unreadable(ob, op, clone, true)
}

// duplicate answers a request that has been done already, once that is durable.
func (p *pg) duplicate(op *clientOp) bool {
	a, ok := p.m.Log().Find(op.reqid)
	if !ok {
		return false
	}
	r := message.ReplyTo(op.m, a.Result, p.s.osdmap.Epoch)
	for i := range r.Ops {
		r.Ops[i].In, r.Ops[i].Out = nil, nil
		if i < len(a.Results) {
			r.Ops[i].Result, r.Ops[i].Out = a.Results[i].Rval, a.Results[i].Out
		}
	}
	r.ReplayVersion, r.UserVersion = a.Version, a.UserVersion
	r.BadReplay = a.Version
	w := &write{version: a.Version, op: op, reply: r}
	if a.Version.Compare(p.window.Durable()) <= 0 {
		w.finish(p)
	} else {
		p.window.Start(p.next, w) // behind everything that is in flight
	}
	return true
}

// request is what an op vector is run on.
func (p *pg) request(op *clientOp, o ceph.HObject, st *ops.State) ops.Request {
	op.Mark(optrack.Started, p.s.now)
	req := ops.Request{
		Object: o, Ops: op.m.Ops,
		Flags: op.m.Flags, ReqID: op.reqid, Origin: op.from, MTime: op.m.MTime,
		SnapSeq: op.m.SnapSeq, Snaps: op.m.Snaps, State: st,
		At:              ceph.Eversion{Version: p.next.Version + 1, Epoch: p.s.osdmap.Epoch},
		LastUserVersion: p.m.Info().LastUserVersion, LastUpdate: p.m.Info().LastUpdate,
		Now: ceph.TimeOf(p.s.now), Copies: op.copies,
	}
	if op.sess != nil {
		req.Features = op.sess.peer.Features
	}
	return req
}

// execute runs the op vector on an object and starts what it wants.
func (p *pg) execute(ob *object, op *clientOp, o ceph.HObject, st *ops.State) {
	req := p.request(op, o, st)
	out := ops.Execute(&p.env, &req, &op.need)
	p.signsOfLife(op.object, &out.Effects)
	switch {
	case out.Source != nil:
		p.startCopy(ob, op, out.Source)
	case out.Failure != nil && out.From != ceph.HObject{}:
		p.readFailed(ob, op, out.From, out.Failure)
	case out.Failure != nil:
		p.readFailed(ob, op, o, out.Failure)
	case out.Drop:
		op.release(p)
	case out.Log == ops.LogModify || out.Log == ops.LogDelete:
		p.fit(op, &out)
		p.startWrite(ob, op, &out)
	case out.Log == ops.LogError && op.sess != nil && !ops.OnlyWatches(op.m.Ops):
		p.startWrite(ob, op, &out)
	default:
		p.finishRead(ob, op, &out)
	}
}

// finishRead answers a request that changes nothing. One that could have written is answered in
// its turn, behind the writes that it has seen.
func (p *pg) finishRead(ob *object, op *clientOp, out *ops.Outcome) {
	w := &write{version: p.next, op: op, reply: p.replyOf(op, out), effects: out.Effects,
		loan: out.Loan}
	p.stats.Reads += out.Stats.Reads
	p.stats.ReadKiB += out.Stats.ReadKiB
	p.dirty = p.dirty || out.Stats.Reads > 0
	if ob.inflight == 0 {
		w.finish(p)
		return
	}
	ob.inflight++
	w.object, w.hobject = ob, op.object.Head()
	p.window.Start(p.next, w)
}

func (p *pg) replyOf(op *clientOp, out *ops.Outcome) *message.MOSDOpReply {
	r := message.ReplyTo(op.m, out.Result, p.s.osdmap.Epoch)
	r.Ops = out.Ops
	for i := range r.Ops {
		if o := &r.Ops[i]; o.Code == message.OpCall && len(o.Out) > 0 {
			o.Out = bytes.Clone(o.Out) // a method may return a part of its input
		}
	}
	r.UserVersion = out.UserVersion
	r.ReplayVersion, r.BadReplay = out.ReplayVersion, out.BadReplay
	return r
}

// answer refuses a request.
func (p *pg) answer(op *clientOp, result int32) {
	r := message.ReplyTo(op.m, result, p.s.osdmap.Epoch)
	for i := range r.Ops {
		r.Ops[i].In = nil
	}
	op.send(r, objectstore.Loan{})
	op.release(p)
}

// send answers. The reply's data may be on loan.
func (op *clientOp) send(r *message.MOSDOpReply, loan objectstore.Loan) {
	if op.conn == nil || r == nil {
		return
	}
	m := op.msg.Reply(r)
	m.Priority = op.msg.Priority
	if len(loan.Data) > 0 {
		sum := loan.Sum
		m.Sum = &sum
		m.OnRelease(loan.Done)
	}
	op.conn.Send(m)
}

// release ends the request here. Its buffer goes back only when nothing refers to it any more.
func (op *clientOp) release(p *pg) {
	p.s.endOp(op)
	if op.ends != nil {
		op.ends.removing = false // if it is still there, it is tried again
	}
	if op.msg != nil {
		op.msg.Release()
		op.msg = nil
	}
}

// list runs a listing of the PG.
func (p *pg) list(op *clientOp) {
	p.s.flush()
	p.env.Missing = nil
	if p.m.Missing().Len() > 0 {
		p.env.Missing = p.missingFrom
	}
	req := ops.Request{Object: op.object,
		Ops: op.m.Ops, Flags: op.m.Flags, ReqID: op.reqid, Origin: op.from,
		LastUpdate: p.m.Info().LastUpdate, Now: ceph.TimeOf(p.s.now)}
	out := ops.ExecutePG(&p.env, &req)
	if out.Failure != nil {
		p.readFailed(nil, op, op.object, out.Failure)
		return
	}
	op.send(p.replyOf(op, &out), objectstore.Loan{})
	op.release(p)
}

// readFailed handles a store that could not be read: a damaged object is fetched from another copy.
// A store that can't say what it has ends the daemon: others may know, and the client asks them.
func (p *pg) readFailed(ob *object, op *clientOp, o ceph.HObject, err error) {
	if !errors.Is(err, objectstore.ErrCorrupt) {
		p.s.d.fail(err)
		return
	}
	p.s.d.log.Error("read failed", "pg", p.id, "oid", o, "err", err)
	if ob == nil || !p.repair(ob, op, o) { // a listing
		p.answer(op, ceph.EIO.Result())
	}
}

// setEnv makes what operations see of the PG, after a change of the map.
func (p *pg) setEnv() {
	d := p.s.d
	m := p.s.osdmap
	p.env = ops.Env{Store: d.store, Coll: p.id, Limits: &d.config.Load().limits,
		Classes: d.opt.Classes, Epoch: m.Epoch, PGNum: p.pool.PGNum,
		Removed:         m.RemovedSnapsQueue[p.id.Pool],
		Full:            p.pool.Flags.Has(osdmap.PoolFull),
		FullQuota:       p.pool.Flags.Has(osdmap.PoolFullQuota),
		MinCompatClient: uint8(m.RequireMinCompatClient),
		RequiredRelease: uint8(m.RequireOSDRelease),
		NotifyID:        func() uint64 { return d.notifyID.Add(1) },
		WatchConnected:  p.watchConnected,
		ScrubList:       p.scrub.List,
	}
	if p.pool.Flags.Has(osdmap.PoolPoolSnaps) {
		c := snaps.PoolContext(p.pool)
		p.env.PoolSnaps = &c
	}
}
