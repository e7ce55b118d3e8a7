package osd

import (
	"errors"
	"fmt"
	"math"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
	"glue/cluster/pgstat"
	"glue/osd/backend"
	"glue/osd/bench"
	"glue/osd/copies"
	"glue/osd/lease"
	"glue/osd/ops"
	"glue/osd/peering"
	"glue/osd/peermsg"
	"glue/osd/pglog"
	"glue/osd/records"
	"glue/osd/recovery"
	"glue/osd/reserve"
	"glue/osd/resize"
	"glue/osd/scrub"
	"glue/osd/snaptrim"
	"glue/store/objectstore"
)

// A pg is one copy of a placement group.
type pg struct {
	s    *shard
	id   ceph.SPG
	m    *peering.Machine
	pool *osdmap.Pool
	// resetEpoch is when peering last began: messages of before are dropped.
	resetEpoch ceph.Epoch
	// theirReset is the same of the primary, which may have begun again within the interval;
	// answers to it carry it.
	theirReset ceph.Epoch
	active     bool // primary, all copies activated, and no earlier primary may still serve
	writeable  bool // and at least min_size of them
	primary    bool
	deleting   bool

	next     ceph.Eversion // the version of the newest write, submitted or not
	stats    pginfo.Stats
	env      ops.Env
	objects  map[ceph.HObject]*object
	waiting  []*clientOp // for the PG to become active
	backoffs map[*session]*backoff
	window   backend.Window[*write]
	members  []int32 // copies that get every write, without this one

	ackTo  ceph.Eversion // replica: what the primary may be told is durable
	ackNow bool
	repops objectstore.Chain // replica: a write that is refused here stops those behind it

	lease     lease.Lease
	waits     bool // activated, but an earlier primary may still serve
	watches   map[ceph.HObject]map[ops.WatchKey]*watch
	notifies  map[uint64]*notify
	recovery  recoveryState
	recount   *resize.Count // of objects, after a split
	trim      snaptrim.Trimmer
	claim     reserve.Claim  // as the primary: of the slots that recovery needs
	lent      reserve.Effect // as a copy: the slot that its primary has here
	retryAt   time.Time      // of a claim that is too full
	queued    bool           // in the shard's background work
	forced    pgstat.State   // by operators
	scrub     scrub.Scrubber
	scrubHeld []*object // with writes that wait until they are scrubbed

	first objectstore.Transaction // goes before what is stored next
	gate  backend.Gate            // for what rests on what is stored

	changed   time.Time // of the state, for reports
	since     pgstat.Stamps
	reported  uint64
	dirty     bool // statistics changed since the last report
	persisted ceph.Epoch
	told      told // as last reported
}

// An object is what the PG keeps in memory of an object that was used lately, under the name of its
// head. Clones have none of their own.
type object struct {
	state *ops.State
	// inflight counts writes that are not durable everywhere; batched, those of them that have not
	// been submitted yet.
	inflight, batched int
	waiting           []*clientOp
	blocked           []ceph.HObject // the object and clones of it that are being recovered
	wanted            bool           // by backfill, once no write is in flight
	copying           *copies.Copy   // what the first of waiting waits for
}

// loadPGs reads all PG copies of the store, as of the maps that they had got to.
func (d *Daemon) loadPGs() error {
	if d.super.Newest == 0 {
		return nil
	}
	newest, err := d.mapAt(d.super.Newest)
	if err != nil {
		return err
	}
	colls, err := d.store.Collections()
	if err != nil {
		return fmt.Errorf("list collections: %w", err)
	}
	for _, id := range colls {
		if id == bench.Coll {
			if err := bench.Remove(d.store, d.storeDone); err != nil {
				return err
			}
			continue
		}
		if gone, err := d.removeImport(id); gone || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		if err := d.loadPG(id); err != nil {
			return fmt.Errorf("load pg %v: %w", id, err)
		}
	}
	d.osdmap.Store(newest)
	d.begin(newest)
	return nil
}

func (d *Daemon) loadPG(id ceph.SPG) error {
	raw, err := d.store.Meta(records.InfoKey(id))
	if err != nil {
		return fmt.Errorf("info: %w", err)
	}
	var st stored
	if err := denc.Unmarshal(raw, &st, ceph.FeaturesAll); err != nil {
		return fmt.Errorf("info: %w", err)
	}
	c := peering.Copy{Info: st.Info, Past: st.Past}
	if c.Missing, err = d.loadMissing(id); err != nil {
		return err
	}
	if c.Log, err = pglog.Load(d.store.Log(id, ceph.Eversion{}), &c.Info); err != nil {
		return err
	}
	d.reconcile(id, c.Log, c.Missing)
	c.Info.LastComplete = pglog.LastComplete(c.Log, c.Missing)
	m, err := d.mapAt(max(st.Epoch, d.super.Oldest))
	if err != nil {
		return err
	}
	if err := d.removeTemps(id); err != nil {
		return err
	}
	p := d.shardOf(id).add(id, c, m)
	p.suspect()
	return nil
}

// removeTemps drops objects that were being put together when the daemon ended.
func (d *Daemon) removeTemps(id ceph.SPG) error {
	list, _, err := d.store.List(id, ceph.HObject{Pool: math.MinInt64}, 1024)
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	var t objectstore.Transaction
	for _, o := range list {
		if recovery.IsTemp(o) {
			t.Remove(id, o)
		}
	}
	if t.Empty() {
		return nil
	}
	return d.store.Submit(&t, d.storeDone)
}

func (d *Daemon) loadMissing(id ceph.SPG) (*pglog.Missing, error) {
	m := pglog.NewMissing()
	for kv, err := range d.store.MetaScan(records.MissingPrefix(id)) {
		if err != nil {
			return nil, fmt.Errorf("missing set: %w", err)
		}
		var it pglog.MissingItem
		if err := denc.Unmarshal(kv.Value, &it, ceph.FeaturesAll); err != nil {
			return nil, fmt.Errorf("missing set: %w", err)
		}
		m.Set(it.Object, it.Item)
	}
	m.TakeDirty()
	return m, nil
}

// add makes the pg of a copy as of map m.
func (s *shard) add(id ceph.SPG, c peering.Copy, m *osdmap.Map) *pg {
	p := &pg{s: s, id: id, stats: c.Info.Stats, objects: map[ceph.HObject]*object{},
		watches: map[ceph.HObject]map[ops.WatchKey]*watch{}, notifies: map[uint64]*notify{},
		changed: s.d.now(), next: c.Info.LastUpdate, persisted: m.Epoch}
	p.scrub.Init(scrubHost{p})
	p.trim.Init(trimHost{p})
	keep := s.d.config.Load().logMin
	p.m = peering.New(id, s.d.opt.ID, c, m, keep)
	p.m.At(p.changed)
	p.resetEpoch = p.m.LastReset()
	p.primary = p.m.IsPrimary()
	p.pool = m.Pools[id.Pool]
	p.since.Init(p.changed)
	s.pgs[id] = p
	s.order = nil
	s.count.Add(1)
	p.recovery.reset()
	return p
}

// create makes a PG copy that was not here before and stores it.
func (s *shard) create(id ceph.SPG, c peering.Copy) *pg {
	p := s.add(id, c, s.osdmap)
	var t objectstore.Transaction
	t.MkColl(id)
	p.putInfo(&t)
	s.submit(pending{pg: p, txn: &t})
	s.flush()
	p.setEnv()
	return p
}

func (p *pg) putInfo(t *objectstore.Transaction) {
	st := stored{Info: *p.m.Info(), Past: *p.m.Past(), Epoch: p.m.Map().Epoch}
	st.Info.Stats = p.stats
	t.PutMeta(records.InfoKey(p.id), denc.Marshal(&st, ceph.FeaturesAll))
	p.persisted = st.Epoch
}

// step gives the machine an event and carries out what follows.
func (p *pg) step(ev peering.Event) { p.apply(p.settled().Step(ev)) }

// settled is the machine when its info is of the same writes as the statistics.
func (p *pg) settled() *peering.Machine {
	p.s.flush()
	p.m.At(p.s.now)
	return p.m
}

// apply stores what the machine, when it was settled, changed, and carries out its effects. These
// may begin new writes; what is sent tells the statistics of before.
func (p *pg) apply(effects []peering.Effect) {
	var token uint64
	for _, e := range effects {
		switch e := e.(type) {
		case peering.AwaitDurable:
			token = e.Token
		case peering.ReplicaActivated:
			p.stats = p.m.Info().Stats // the primary's, also whether they are estimated
		}
	}
	p.store(token)
	stats := p.stats
	for _, e := range effects {
		p.effect(e, &stats)
	}
}

// store writes the machine's changes in one transaction; token, if not 0, is reported to the
// machine when they are durable.
func (p *pg) store(token uint64) {
	t := p.first
	p.first = objectstore.Transaction{}
	ch := p.m.TakeChanges()
	p.removeObjects(&t, ch.Removed)
	p.putLog(&t)
	p.putMissing(&t)
	if ch.Info || token != 0 || p.m.Map().Epoch >= p.persisted+persistEvery {
		p.putInfo(&t)
	}
	if t.Empty() {
		return
	}
	pend := pending{pg: p, txn: &t}
	if token != 0 {
		pend.durable = func() {
			if p.s.pgs[p.id] == p {
				p.step(peering.Durable{Token: token})
			}
		}
	}
	p.s.submit(pend)
	p.s.flush()
}

// persistEvery is how many epochs a PG may be ahead of what the store says it has got to.
const persistEvery = 50

// removeObjects removes the objects that a merge of logs found divergent or deleted.
func (p *pg) removeObjects(t *objectstore.Transaction, objects []ceph.HObject) {
	seen := map[ceph.HObject]bool{}
	for _, o := range objects {
		delete(p.objects, o)
		if seen[o] {
			continue
		}
		seen[o] = true
		if _, err := p.s.d.store.Stat(p.id, o); errors.Is(err, ceph.ENOENT) {
			continue
		}
		t.Remove(p.id, o)
	}
}

// putLog rewrites the part of the store's log that a merge has changed.
func (p *pg) putLog(t *objectstore.Transaction) {
	l := p.m.Log()
	from, dirty := l.TakeDirty()
	if !dirty {
		return
	}
	p.next = l.Head()
	p.stats = p.m.Info().Stats
	t.LogRewind(p.id, from)
	if from.IsZero() {
		pglog.EachDups(l.Dups(), func(v ceph.Eversion, rec []byte) { t.LogAppend(p.id, v, rec) })
	}
	entries := l.After(from)
	for i := range entries {
		e := &entries[i]
		t.LogAppend(p.id, e.Version, pglog.EncodeEntry(e, l.Tail(), &p.stats))
	}
}

// putMissing stores the changes of the missing set.
func (p *pg) putMissing(t *objectstore.Transaction) {
	m := p.m.Missing()
	for _, o := range m.TakeDirty() {
		it, ok := m.Get(o)
		if !ok {
			t.RmMeta(records.MissingKey(p.id, o))
			continue
		}
		v := pglog.MissingItem{Object: o, Item: it}
		t.PutMeta(records.MissingKey(p.id, o), denc.Marshal(&v, ceph.FeaturesAll))
	}
}

// effect carries out one effect of the machine.
func (p *pg) effect(e peering.Effect, stats *pginfo.Stats) {
	d := p.s.d
	switch e := e.(type) {
	case peering.Send:
		b := peermsg.Encode(p.id, e.Msg, stats, p.promises)
		p.gate.Tell(func() { d.sendTo(p.s.osdmap, e.To, b) })
	case peering.WantUpThru:
		d.post(func() { d.wantUpThru(e.Epoch) })
	case peering.WantPGTemp:
		id := p.id.PGID
		d.post(func() { d.wantTemp(id, e.OSDs) })
	case peering.NewInterval:
		p.newInterval()
	case peering.Activated:
		p.members = p.m.Members()
		p.window.Reset(append(p.m.Members(), d.opt.ID), p.m.Info().LastUpdate)
		p.next = p.m.Info().LastUpdate
		p.gate.Tell(p.askLease) // behind what activates the copies
	case peering.Active:
		p.writeable, p.waits = e.Writeable && !p.pool.MergePending(p.id.PGID), true
		p.serve()
	case peering.ReplicaActivated:
		p.next = p.m.Info().LastUpdate
		p.ackTo, p.ackNow, p.repops = p.next, false, objectstore.Chain{}
	case peering.Delete:
		p.startDelete()
	case peering.StateChanged:
		p.changed, p.dirty = p.s.now, true
		p.backOffWaiting()
	}
}

// newInterval ends what was in flight. A primary that stays one takes the requests again: those
// that happened are found in the log. Otherwise their clients send them to the new primary.
func (p *pg) newInterval() {
	p.resetEpoch, p.theirReset = p.m.LastReset(), 0
	p.gate.Drop()
	p.active, p.writeable, p.waits = false, false, false
	p.lease.End()
	p.primary = p.m.IsPrimary()
	p.next = p.m.Info().LastUpdate
	ops := p.takeOps()
	p.scrub.Reset(p.primary)
	p.window.Reset(nil, p.next)
	p.members = nil
	p.dropWatches()
	p.releaseBackoffs()
	p.objects = map[ceph.HObject]*object{}
	p.endRecovery()
	p.trim.Reset()
	p.forced = 0
	p.recount = nil
	if p.primary {
		p.waiting = ops
	} else {
		p.s.abandon(ops)
	}
	id := p.id.PGID
	p.s.d.post(func() { p.s.d.tempDone(id) })
}

// becomeActive takes the operations that have waited.
func (p *pg) becomeActive() {
	p.active, p.waits = true, false
	p.changed, p.dirty = p.s.now, true
	p.setEnv()
	p.askLease() // says that it is active
	p.startRecovery()
	p.mergeTick()
	p.doWaiting()
}

// doWaiting takes the operations that have waited for the PG.
func (p *pg) doWaiting() {
	ops := p.waiting
	p.waiting = nil
	for _, op := range ops {
		p.do(op)
	}
}

// startDelete removes the copy from the store.
func (p *pg) startDelete() {
	if p.deleting {
		return
	}
	p.deleting = true
	p.gate.Drop()
	p.endRecovery()
	p.scrub.Reset(false)
	var t objectstore.Transaction
	t.RmColl(p.id)
	p.forgetMeta(&t)
	p.s.submit(pending{pg: p, txn: &t})
	p.s.flush()
	p.remove()
}

// forgetMeta removes what the store has of the copy besides its collection.
func (p *pg) forgetMeta(t *objectstore.Transaction) {
	t.RmMeta(records.InfoKey(p.id))
	for _, o := range p.m.Missing().Objects() {
		t.RmMeta(records.MissingKey(p.id, o))
	}
}

// remove takes the PG out of its shard.
func (p *pg) remove() {
	p.deleting = true
	delete(p.s.pgs, p.id)
	p.s.order = nil
	p.s.count.Add(-1)
}
