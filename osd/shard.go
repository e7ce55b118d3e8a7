package osd

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/osd/copies"
	"glue/osd/optrack"
	"glue/osd/pinger"
	"glue/osd/sched"
	"glue/store/objectstore"
	"glue/wire/message"
)

type eventKind uint8

const (
	evOp eventKind = iota
	evRepOp
	evRepReply
	evPeering
	evRecovery
	evLease
	evMaps
	evDurable // a batch is on disk
	evCall    // run call
	evReset
	evTick
)

// An event is one thing for a shard to do.
type event struct {
	kind  eventKind
	sess  *session // of a client
	msg   *message.Message
	head  *message.PGHead
	maps  []*osdmap.Map
	pools map[int64]poolLife
	batch []pending
	call  func(*shard)
	op    *clientOp // of evOp, made when it is queued
}

// A shard is one goroutine with the PGs that belong to it. Only post, wakeUp and sync may be called
// from other goroutines.
type shard struct {
	d     *Daemon
	index int
	lane  pinger.Lane

	mu     sync.Mutex
	in     []event
	spare  []event // the queue's other buffer
	wake   chan struct{}
	flying opList // requests that have not been answered; under mu
	// stopped, under mu: nothing runs here, as another shard works on all PGs.
	stopped bool

	ended []*clientOp // still in flying
	past  optrack.History

	osdmap *osdmap.Map
	pools  map[int64]poolLife
	pgs    map[ceph.SPG]*pg
	order  []*pg        // all of them, sorted; nil when that is outdated
	count  atomic.Int64 // of pgs, for reports
	// waiting are events for a newer map, and what came behind them for the same PG.
	waiting  map[ceph.SPG][]event
	orphans  map[ceph.SPG][]event // requests for a PG that is about to be made
	backoffs uint64               // the last id
	copies   *copies.Copies
	batch    []pending
	subs     []objectstore.Submission
	now      time.Time

	bg     sched.Queue[task]
	again  time.Duration // when to look at bg again; 0 for not by the clock
	moving int           // objects of its PGs that are on their way
}

// A pending is a transaction of the batch that is being gathered.
type pending struct {
	pg  *pg
	txn *objectstore.Transaction
	// done is called after the transaction was taken (err nil) or refused by the store.
	done    func(err error)
	write   *write     // the primary's
	repop   *repop     // a replica's
	durable func()     // called when it is on disk
	epoch   ceph.Epoch // of the PG's interval
}

func newShard(d *Daemon, index int) *shard {
	s := &shard{d: d, index: index, wake: make(chan struct{}, 1),
		pgs: map[ceph.SPG]*pg{}, waiting: map[ceph.SPG][]event{},
		orphans: map[ceph.SPG][]event{}}
	s.copies = copies.New(copyHost{s})
	return s
}

// post hands over an event.
func (s *shard) post(ev event) {
	if ev.kind == evOp {
		ev.op = s.d.newOp(&ev)
	}
	s.mu.Lock()
	if ev.op != nil {
		s.flying.push(ev.op)
	}
	s.in = append(s.in, ev)
	first := len(s.in) == 1
	s.mu.Unlock()
	if first {
		s.wakeUp()
	}
}

func (s *shard) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// sync runs f on the shard's goroutine and waits for it; false if the shard has stopped.
func (s *shard) sync(f func(*shard)) bool {
	done := make(chan struct{})
	s.post(event{kind: evCall, call: func(s *shard) {
		f(s)
		close(done)
	}})
	select {
	case <-done:
		return true
	case <-s.d.stop:
		return false
	}
}

// run drains the queue, steps every event, and submits what came of them as one batch.
func (s *shard) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if s.turn() {
			continue
		}
		if s.again > 0 {
			timer.Reset(s.again)
		}
		select {
		case <-s.wake:
		case <-timer.C:
		case <-s.d.stop:
			return
		}
	}
}

// turn is one round: it takes what is in the queue. False if there was nothing.
func (s *shard) turn() bool {
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return false
	}
	work := s.in
	s.in, s.spare = s.spare, nil
	s.forgetEnded()
	s.mu.Unlock()
	if s.d.dead.Load() {
		return false
	}
	s.lane.Turn()
	defer s.lane.Turn()
	s.now = s.d.now()
	for i := range work {
		if i%32 == 31 {
			s.lane.Step()
		}
		s.step(&work[i])
		if work[i].kind == evMaps && s.putBack(work[i+1:]) {
			return true
		}
	}
	s.flush()
	clear(work)
	s.spare = work[:0]
	if s.bg.Len() > 0 {
		s.work()
		s.flush()
	}
	return len(work) > 0
}

func (s *shard) step(ev *event) {
	switch ev.kind {
	case evOp:
		if s.moving > 0 || s.bg.Busy(s.since()) {
			s.served(ev.op)
		}
		s.clientOp(ev)
	case evRepOp:
		s.withPG(ev, (*pg).repOp)
	case evRepReply:
		s.withPG(ev, (*pg).repReply)
	case evPeering:
		s.flush()
		s.peeringMessage(ev)
	case evRecovery:
		s.flush()
		s.withPG(ev, (*pg).recoveryMessage)
	case evLease:
		s.withPG(ev, (*pg).leaseMessage)
	case evMaps:
		s.flush()
		s.newMaps(ev)
	case evDurable:
		s.durable(ev.batch)
	case evCall:
		s.flush()
		ev.call(s)
	case evReset:
		s.connReset(ev.sess)
	case evTick:
		s.flush()
		s.tick()
	}
}

// withPG gives a peer's message to its PG when the map is new enough; one for a PG that is not
// here is dropped, since its sender's interval has ended.
func (s *shard) withPG(ev *event, f func(*pg, *event)) {
	if s.waitMap(ev, ev.head.PG, ev.head.Epoch) {
		return
	}
	p := s.pgs[ev.head.PG]
	if p == nil || ev.head.MinEpoch < p.resetEpoch {
		ev.msg.Release()
		return
	}
	if _, primary := p.m.Acting(); p.primary || ev.head.From.OSD == primary {
		p.theirReset = max(p.theirReset, ev.head.MinEpoch)
	}
	f(p, ev)
}

// waitMap keeps an event until the map of epoch e is here, and everything for its PG behind it.
func (s *shard) waitMap(ev *event, id ceph.SPG, e ceph.Epoch) bool {
	if len(s.waiting) > 0 && len(s.waiting[id]) > 0 {
		s.waiting[id] = append(s.waiting[id], *ev)
		return true
	}
	if s.osdmap != nil && e <= s.osdmap.Epoch {
		return false
	}
	s.waiting[id] = append(s.waiting[id], *ev)
	have := uint64(0)
	if s.osdmap != nil {
		have = uint64(s.osdmap.Epoch)
	}
	s.d.post(func() { s.d.mon.Subscribe("osdmap", have+1, false) })
	return true
}

// resume runs what waited for a PG or a map again, in its order.
func (s *shard) resume(id ceph.SPG) {
	evs := s.waiting[id]
	if len(evs) == 0 {
		return
	}
	delete(s.waiting, id)
	for i := range evs {
		s.step(&evs[i])
	}
}

// submit adds a transaction to the batch.
func (s *shard) submit(p pending) { s.batch = append(s.batch, p) }

// flush submits the batch: every transaction becomes visible now, and durable later.
func (s *shard) flush() {
	if len(s.batch) == 0 {
		return
	}
	batch := s.batch
	s.batch = nil
	done := s.completion(batch)
	s.subs = s.subs[:0]
	for i := range batch {
		sub := objectstore.Submission{Transaction: batch[i].txn, Done: done.one}
		if batch[i].repop != nil {
			sub.Chain = &batch[i].pg.repops
		}
		s.subs = append(s.subs, sub)
	}
	errs := s.d.store.SubmitAll(s.subs)
	s.d.counters.Apply.Observe(s.d.now().Sub(done.start))
	refused := 0
	for i := range batch {
		var err error
		if i < len(errs) {
			err = errs[i]
		}
		if err != nil {
			refused++
			batch[i].txn = nil
		} else if p := batch[i].pg; p != nil {
			p.gate.Submitted()
		}
		s.taken(&batch[i], err)
	}
	clear(s.subs)
	done.submitted(refused)
}

// taken goes on with a transaction that the store has accepted or refused.
func (s *shard) taken(p *pending, err error) {
	if errors.Is(err, objectstore.ErrFailed) {
		s.d.fail(fmt.Errorf("submit: %w", err))
		return
	}
	switch {
	case p.write != nil:
		p.pg.writeTaken(p, err)
	case p.repop != nil:
		p.pg.repopTaken(p, err)
	case p.done != nil:
		p.done(err)
	case err != nil:
		s.d.fail(fmt.Errorf("submit for %v: %w", p.pg.id, err))
	}
}

// A completion counts the transactions of a batch that are not durable yet, and tells the shard
// when none is left.
type completion struct {
	s     *shard
	start time.Time
	batch []pending
	mu    sync.Mutex
	left  int
	err   error
}

func (s *shard) completion(batch []pending) *completion {
	s.d.backlog.Begin()
	return &completion{s: s, start: s.d.now(), batch: batch, left: len(batch) + 1}
}

// one runs on the store's goroutine.
func (c *completion) one(err error) {
	c.s.d.counters.Commit.Observe(c.s.d.now().Sub(c.start))
	c.finish(1, err)
}

// submitted accounts for the refused ones and for the call itself.
func (c *completion) submitted(refused int) { c.finish(1+refused, nil) }

func (c *completion) finish(n int, err error) {
	c.mu.Lock()
	c.left -= n
	if err != nil && c.err == nil {
		c.err = err
	}
	last, err := c.left == 0, c.err
	c.mu.Unlock()
	if !last {
		return
	}
	c.s.d.backlog.Done()
	if err != nil {
		c.s.d.fail(fmt.Errorf("store: %w", err))
		return
	}
	c.s.post(event{kind: evDurable, batch: c.batch})
}

// durable tells the PGs that a batch is on disk.
func (s *shard) durable(batch []pending) {
	for i := range batch {
		if p := batch[i].pg; p != nil && batch[i].txn != nil {
			p.gate.Synced()
		}
	}
	for i := range batch {
		p := &batch[i]
		switch {
		case p.txn == nil: // refused
		case p.write != nil:
			p.write.op.Mark(optrack.Committed, s.now)
			if p.epoch == p.pg.resetEpoch {
				p.pg.window.Ack(s.d.opt.ID, p.write.version)
			}
		case p.repop != nil:
			p.repop.msg.Release()
			if p.epoch == p.pg.resetEpoch {
				p.pg.ackTo = p.repop.version
				p.pg.ackNow = true
			}
		case p.durable != nil:
			p.durable()
		}
	}
	for i := range batch {
		if p := batch[i].pg; p != nil && batch[i].txn != nil {
			p.drain()
		}
	}
}
