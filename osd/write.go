package osd

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/pginfo"
	"glue/osd/backend"
	"glue/osd/ops"
	"glue/osd/optrack"
	"glue/osd/pglog"
	"glue/osd/recovery"
	"glue/store/objectstore"
	"glue/wire/message"
)

// A write is what the primary keeps of a request until every copy has it.
type write struct {
	version ceph.Eversion
	op      *clientOp
	reply   *message.MOSDOpReply
	effects ops.Effects
	loan    objectstore.Loan // the reply's data
	object  *object
	hobject ceph.HObject
	// clone was made, trimmed, or is what a rollback reads; the zero value for none.
	clone ceph.HObject
	// until it is submitted: the entry of the log and, before it, that of the clone
	entry, cloneEntry *pglog.Entry
	recs              [][]byte
	peers             [][]byte // the transaction for the replicas
	delta             ops.Stats
	trim              ceph.Eversion
}

// startWrite gives a change its place in the log and adds it to the batch. A request that failed
// gets one as well: it must not be carried out when it comes again after others.
func (p *pg) startWrite(ob *object, op *clientOp, out *ops.Outcome) {
	o, of := op.object, op.object
	if op.trim || op.lost {
		o = o.Head()
	}
	if !op.lost || out.Clone != nil {
		of = o
	}
	e := &pglog.Entry{Op: pginfo.LogModify, Object: of, Version: out.At,
		PriorVersion: out.PriorVersion, UserVersion: out.UserVersion, ReqID: op.reqid,
		MTime: op.m.MTime, ReturnCode: out.LogResult}
	t := out.Transaction
	switch {
	case out.Log == ops.LogError:
		e.Op, e.PriorVersion, t = pginfo.LogError, ceph.Eversion{}, &objectstore.Transaction{}
	case out.Log == ops.LogDelete:
		e.Op = pginfo.LogDelete
	case !op.reverts: // else it is against an older version than PriorVersion
		e.Changes = recovery.ChangesOf(out.Transaction, &o)
	}
	if op.need.ReturnVec {
		for i := range out.Ops {
			o := &out.Ops[i]
			e.Results = append(e.Results, pginfo.OpResult{Rval: o.Result, Out: o.Out})
		}
	}
	p.next = out.At
	p.count(o, &out.Stats)
	w := &write{version: out.At, op: op, reply: p.replyOf(op, out), effects: out.Effects,
		object: ob, hobject: o, entry: e, cloneEntry: out.Clone, clone: out.From,
		delta: out.Stats, trim: p.m.Log().TrimPoint(p.s.logLength(), trimSlack,
			p.window.Durable())}
	tail := p.m.Log().Tail()
	if tail.Less(w.trim) {
		tail = w.trim
	}
	if c := out.Clone; c != nil {
		w.clone = c.Object
		w.recs = [][]byte{pglog.EncodeEntry(c, tail, &p.stats)}
	}
	w.recs = append(w.recs, pglog.EncodeEntry(e, tail, &p.stats))
	if len(p.members) > 0 && out.Log != ops.LogError {
		w.peers = backend.Encode(out.Transaction, &o)
	}
	if out.Clone != nil {
		t.LogAppend(p.id, out.Clone.Version, w.recs[0])
	}
	t.LogAppend(p.id, e.Version, w.recs[len(w.recs)-1])
	p.trimStore(t, w.trim)
	ob.state = out.State
	ob.inflight++
	ob.batched++
	p.s.submit(pending{pg: p, txn: t, write: w, epoch: p.resetEpoch})
}

// count adds what a request changed to the PG's statistics.
func (p *pg) count(o ceph.HObject, s *ops.Stats) {
	p.recount.Change(o, s)
	p.scrub.Wrote(o, s)
	p.stats.Bytes += s.Bytes
	p.stats.Objects += s.Objects
	p.stats.ObjectsOmap += s.ObjectsOmap
	p.stats.ObjectsDirty += s.ObjectsDirty
	p.stats.ObjectsClone += s.Clones
	p.stats.Whiteouts += s.Whiteouts
	p.stats.Reads += s.Reads
	p.stats.ReadKiB += s.ReadKiB
	p.stats.Writes += s.Writes
	p.stats.WrittenKiB += s.WrittenKiB
	p.dirty = true
}

// trimSlack is by how many entries a log may be too long before it is trimmed: that is rare then.
const trimSlack = 128

// logLength is how many entries each PG keeps (osd_target_pg_log_entries_per_osd).
func (s *shard) logLength() int {
	c := s.d.config.Load()
	n := c.logTarget / max(1, len(s.pgs)*len(s.d.shards))
	return min(max(n, c.logMin), c.logMax)
}

// trimStore drops what the log in memory will have forgotten after trimming to v.
func (p *pg) trimStore(t *objectstore.Transaction, v ceph.Eversion) {
	if v.IsZero() {
		return
	}
	keep := p.s.d.config.Load().dups
	if upTo, ok := p.m.Log().TrimDups(keep); ok {
		t.LogTrim(p.id, upTo)
	}
}

// writeTaken goes on with a write that the store has accepted: it goes to the replicas and into the
// log. One that it has refused has not happened.
func (p *pg) writeTaken(pend *pending, err error) {
	w := pend.write
	w.object.batched--
	if err != nil {
		p.writeRefused(w, err)
		return
	}
	for _, osd := range p.members {
		p.s.d.sendTo(p.s.osdmap, osd, p.repOpFor(osd, w))
	}
	if w.cloneEntry != nil {
		p.m.Wrote(w.cloneEntry)
	}
	p.m.Wrote(w.entry)
	if !w.trim.IsZero() {
		p.m.Trim(w.trim)
	}
	p.window.Start(w.version, w)
	w.op.Mark(optrack.ForCopies, p.s.now)
	w.entry, w.cloneEntry, w.recs, w.peers = nil, nil, nil, nil
}

// writeRefused answers a write that the store can't take, for example for lack of space.
func (p *pg) writeRefused(w *write, err error) {
	p.s.d.log.Warn("write refused", "pg", p.id, "oid", w.hobject, "err", err)
	w.object.inflight--
	w.object.state = nil // as it was, from the store
	p.count(w.hobject, &ops.Stats{Bytes: -w.delta.Bytes, Objects: -w.delta.Objects,
		ObjectsOmap: -w.delta.ObjectsOmap, ObjectsDirty: -w.delta.ObjectsDirty,
		Clones: -w.delta.Clones, Whiteouts: -w.delta.Whiteouts})
	if errors.Is(err, objectstore.ErrCorrupt) && p.repair(w.object, w.op, w.hobject) {
		return
	}
	if w.op.trim {
		p.trimFailed(w.op, err)
		return
	}
	if errors.Is(err, ceph.ENOSPC) && w.entry.Op != pginfo.LogError {
		out := ops.Outcome{Ops: w.reply.Ops,
			At: ceph.Eversion{Version: p.next.Version + 1, Epoch: p.s.osdmap.Epoch}}
		out.Refuse(ceph.ENOSPC)
		p.startWrite(w.object, w.op, &out)
		p.s.post(event{kind: evCall, call: func(*shard) {}}) // has the batch submitted
		return
	}
	p.answer(w.op, ceph.ResultOf(err))
}

// repOpFor is the message to one copy. A backfill target that has not got to the object yet takes
// only the log entry.
func (p *pg) repOpFor(osd int32, w *write) *message.MOSDRepOp {
	m := &message.MOSDRepOp{
		PGHead: p.headTo(),
		ReqID:  w.op.reqid, Object: w.hobject, Version: w.version, Prev: p.m.Info().LastUpdate,
		TrimTo:     w.trim,
		MinDurable: p.window.Durable(), Entries: w.recs,
	}
	if p.beyondBackfill(osd, w.hobject, w.clone) || w.op.reverts {
		m.Missing = true
	} else {
		m.Txn = w.peers
	}
	return m
}

// drain completes the writes that every copy has, and tells the primary what is durable here.
func (p *pg) drain() {
	if p.ackNow {
		p.ackNow = false
		p.sendAck()
	}
	for {
		w, ok := p.window.Next()
		if !ok {
			return
		}
		w.finish(p)
	}
}

// finish answers a request, and runs what has waited for it.
func (w *write) finish(p *pg) {
	w.op.send(w.reply, w.loan)
	now := p.s.d.now()
	w.op.Mark(optrack.Answered, now)
	if !w.effects.Empty() {
		p.watchEffects(w)
	}
	if w.op.sess != nil {
		p.s.d.counters.Op(w.op.m, w.reply, w.op.need.MayWrite(), now.Sub(w.op.Start))
	}
	w.op.release(p)
	if w.op.trim {
		p.trimmed(w.op)
	}
	if w.object == nil {
		return
	}
	w.object.inflight--
	if w.object.inflight == 0 {
		if w.object.wanted {
			w.object.wanted = false
			p.pushWanted(w.hobject)
		}
		if !w.object.isBlocked() {
			p.runWaiting(w.object)
		}
		p.runCopyGets(w.object)
	}
}

// runWaiting goes on with the requests for an object, until one has to wait again.
func (p *pg) runWaiting(ob *object) {
	queue := ob.waiting
	ob.waiting = nil
	for i, op := range queue {
		p.doObject(ob, op)
		if len(ob.waiting) > 0 || ob.isBlocked() {
			ob.waiting = append(ob.waiting, queue[i+1:]...)
			p.runCopyGets(ob)
			return
		}
	}
}

// takeOps returns all requests that have not been answered, in their order: those of the writes
// in flight first.
func (p *pg) takeOps() []*clientOp {
	var out []*clientOp
	for _, w := range p.window.Drop() {
		out = append(out, w.op)
	}
	for _, o := range slices.SortedFunc(maps.Keys(p.objects), ceph.HObject.Compare) {
		ob := p.objects[o]
		out = append(out, ob.waiting...)
		ob.waiting = nil
	}
	out = append(out, p.waiting...)
	p.waiting, p.scrubHeld = nil, nil
	return out
}

// A repop is what a replica keeps of the primary's write until it is submitted.
type repop struct {
	version ceph.Eversion
	entries [2]*pglog.Entry // the last is that of the object, before it that of a clone, if any
	trim    ceph.Eversion
	stats   pginfo.Stats
	msg     *message.Message // holds the transaction's data
}

// repOp applies the primary's write.
func (p *pg) repOp(ev *event) {
	m := ev.msg.Body.(*message.MOSDRepOp)
	p.s.d.counters.Subops.Add(1)
	if !p.m.IsReplicaOf(m.From.OSD) || len(m.Entries) == 0 || len(m.Entries) > 2 {
		ev.msg.Release()
		return
	}
	if m.Prev != p.next {
		p.s.d.log.Error("a write of the primary is missing here", "pg", p.id, "have", p.next,
			"before", m.Prev, "version", m.Version, "osd", m.From.OSD)
		ev.msg.Release()
		p.s.d.post(p.s.d.rejoin)
		return
	}
	p.lease.Settle(m.MinDurable)
	r := &repop{version: m.Version, trim: m.TrimTo, msg: ev.msg}
	// After primaries that were filled anew one after the other, none of which had much to trim.
	if own := p.m.Log().TrimPoint(p.s.logLength(), 2*trimSlack, m.MinDurable); r.trim.Less(own) {
		r.trim = own
	}
	var err error
	for last, i := p.next, 0; i < len(m.Entries); i++ {
		var rec pglog.Record
		rec, err = pglog.DecodeRecord(m.Entries[i])
		if err != nil || rec.Entry == nil || !last.Less(rec.Entry.Version) ||
			i == len(m.Entries)-1 && rec.Entry.Version != m.Version {
			p.s.d.fail(fmt.Errorf("pg %v: entry %v of osd.%d does not follow %v: %w", p.id,
				m.Version, m.From.OSD, p.next, errors0(err)))
			return
		}
		last, r.stats = rec.Entry.Version, rec.Stats
		r.entries[2-len(m.Entries)+i] = rec.Entry
	}
	t := &objectstore.Transaction{}
	if !m.Missing && len(m.Txn) == 1 {
		if t, err = backend.Decode(m.Txn[0], p.id, &m.Object); err != nil {
			p.s.d.fail(fmt.Errorf("pg %v: transaction %v of osd.%d: %w", p.id, m.Version,
				m.From.OSD, err))
			return
		}
	}
	for i, raw := range m.Entries {
		t.LogAppend(p.id, r.entries[2-len(m.Entries)+i].Version, raw)
	}
	p.trimStore(t, r.trim)
	p.next = m.Version
	p.s.submit(pending{pg: p, txn: t, epoch: p.resetEpoch, repop: r})
}

func errors0(err error) error {
	if err == nil {
		return denc.ErrInvalid
	}
	return err
}

// repopTaken notes a replica's write.
func (p *pg) repopTaken(pend *pending, err error) {
	r := pend.repop
	if err != nil {
		p.repopRefused(r, err)
		return
	}
	pglog.SetFastStats(&p.stats, &r.stats)
	gone := false
	for _, e := range r.entries {
		if e != nil {
			gone = gone || p.m.Missing().Has(e.Object)
			p.m.Wrote(e)
		}
	}
	if gone {
		p.store(0) // the object was given up
	}
	if !r.trim.IsZero() && p.m.Log().Tail().Less(r.trim) {
		p.m.Trim(r.trim)
	}
	r.entries = [2]*pglog.Entry{}
}

// repopRefused handles a write of the primary that the store does not take, for lack of space or
// since it changes a part of a damaged block. None behind it may be taken, so this copy is to peer
// anew: its log lacks the write then, and it gets the object as a whole.
func (p *pg) repopRefused(r *repop, err error) {
	r.msg.Release()
	if errors.Is(err, objectstore.ErrBehind) {
		return
	}
	p.s.d.log.Error("a write of the primary is not possible here: peering anew", "pg", p.id,
		"oid", r.entries[1].Object, "version", r.version, "err", err)
	p.next = p.m.Info().LastUpdate
	p.s.d.post(p.s.d.rejoin)
}

// sendAck tells the primary up to where this copy is durable.
func (p *pg) sendAck() {
	_, primary := p.m.Acting()
	p.s.d.sendTo(p.s.osdmap, primary, &message.MOSDRepOpReply{
		PGHead: p.headTo(), Version: p.ackTo, LastComplete: p.ackTo,
		Room: p.s.d.ownRoom(p.s.now)})
}

// repReply takes a replica's word.
func (p *pg) repReply(ev *event) {
	m := ev.msg.Body.(*message.MOSDRepOpReply)
	p.s.d.room.Heard(m.From.OSD, m.Room)
	if p.active && p.window.Ack(m.From.OSD, m.Version) {
		p.drain()
	}
	ev.msg.Release()
}
