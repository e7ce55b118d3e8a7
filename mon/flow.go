package mon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/mon/quorum"
	"glue/mon/service"
)

// The steps of Raft's time, how long daemons' wishes are gathered, and how long lines of the
// cluster log are.
const (
	tickEvery   = quorum.TickEvery
	gatherFor   = 50 * time.Millisecond
	gatherLogs  = time.Second
	maxBlocked  = 10_000 // events that wait for a commit
	maxOneBatch = 64 << 20
)

// A flow is the proposal under way and what waits for it.
type flow struct {
	id       uint64 // of the last proposal of ours
	inflight bool
	applied  bool        // the proposal in flight has been applied
	waiting  []waiter    // to be told when it has
	next     []waiter    // of what is prepared and not proposed
	blocked  []event     // to be handled once nothing is in flight
	since    time.Time   // since when something is prepared that is not urgent
	urgent   bool        // something is prepared that somebody waits for
	timer    *time.Timer // fires when gathering is over
	changed  map[string]bool
}

// A waiter is told that what it prepared is committed, or has its event handled again if the
// proposal was lost.
type waiter struct {
	ev     event
	done   func()
	failed func(error) // the change can't be made at all; nil: the peer will come again
}

func errJoin(errs ...error) error { return errors.Join(errs...) }

// loop runs until ctx ends or something fails that can't be mended.
func (c *core) loop(ctx context.Context) error {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	c.flow.timer = time.NewTimer(time.Hour)
	defer c.flow.timer.Stop()
	for {
		if err := c.settle(); err != nil {
			return err
		}
		if c.gone != nil {
			return c.gone
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := c.tick(); err != nil {
				return err
			}
		case <-c.flow.timer.C:
		case <-c.inbox.wake:
			for _, e := range c.inbox.take() {
				c.handle(e)
			}
		}
	}
}

// tick takes up that a step of Raft's time has gone by.
func (c *core) tick() error {
	c.node.Tick()
	c.speak(c.now())
	c.wantIDs(c.now())
	return c.housekeeping(c.now())
}

// settle proposes, persists and applies until nothing is left to do now.
func (c *core) settle() error {
	for {
		c.propose()
		if err := c.node.Work(); err != nil {
			return err
		}
		c.leadership()
		if !c.landed() {
			return nil
		}
	}
}

// landed takes up an applied proposal: publishes, tells who waits, and handles what was blocked. It
// says whether there may be more to propose.
func (c *core) landed() bool {
	f := &c.flow
	c.publish()
	if f.inflight && !f.applied {
		return false
	}
	did := f.inflight
	f.inflight, f.applied = false, false
	waiting := f.waiting
	f.waiting = nil
	for _, w := range waiting {
		if w.done != nil {
			w.done()
		}
	}
	if n := len(f.blocked); n > 0 && c.node.Leading() {
		c.unblock()
		did = did || len(f.blocked) < n
	}
	return did
}

// unblock handles what waited, in order, until something has to wait again.
func (c *core) unblock() {
	list := c.flow.blocked
	c.flow.blocked = nil
	for i, e := range list {
		if c.flow.inflight {
			c.flow.blocked = append(c.flow.blocked, list[i:]...)
			return
		}
		c.handle(e)
		if c.flow.urgent {
			c.propose()
		}
	}
}

func (c *core) dirty() bool {
	return slices.ContainsFunc(c.all, service.Service.Dirty)
}

// conflicting says whether something is prepared that a command must not be prepared on top of.
func (c *core) conflicting() bool {
	return slices.ContainsFunc(c.all, func(s service.Service) bool {
		return s != service.Service(c.logs) && s.Dirty()
	})
}

// busy says whether wishes can't be prepared now; the event is kept and handled later.
func (c *core) busy(e event) bool {
	if !c.flow.inflight && c.node.Leading() {
		return false
	}
	c.block(e)
	return true
}

func (c *core) block(e event) {
	if len(c.flow.blocked) >= maxBlocked {
		if e.s != nil {
			e.s.conn.Close() // the client will come back; better than memory without bound
			c.end(e.s)
		}
		return
	}
	if e.s != nil {
		e.s.blocked++
	}
	c.flow.blocked = append(c.flow.blocked, e)
}

// await has done called when everything prepared so far is committed.
func (c *core) await(e event, done func()) {
	c.flow.next = append(c.flow.next, waiter{ev: e, done: done})
}

// propose proposes what is prepared, if it is due.
func (c *core) propose() {
	f := &c.flow
	if f.inflight || !c.node.Leads() {
		return
	}
	if !c.dirty() {
		f.since, f.urgent = time.Time{}, false
		done := f.next
		f.next = nil
		for _, w := range done { // nothing was to be changed after all
			w.done()
		}
		return
	}
	if !f.urgent && !c.due() {
		return
	}
	p := service.Proposal{ID: c.proposalID(), Changes: map[string][]byte{}}
	step := c.mon.Step()
	for _, s := range c.all {
		if !s.Dirty() {
			continue
		}
		b, err := s.Change()
		if err != nil {
			c.reject(s.Name(), err)
			return
		}
		p.Changes[s.Name()] = b
	}
	f.since, f.urgent = time.Time{}, false
	propose := c.node.Propose
	if step != nil {
		propose = func(b []byte) error { return c.node.ProposeStep(step.Kind, step.ID, b) }
	}
	if err := propose(denc.Marshal(&p, ceph.FeaturesAll)); err != nil {
		c.log.Warn("proposal refused", "err", err)
		c.abandon(f.next)
		return
	}
	f.id, f.inflight, f.applied = p.ID, true, false
	f.waiting, f.next = f.next, nil
}

// reject gives up what is prepared, of which a service could not make a change.
func (c *core) reject(service string, err error) {
	c.log.Error("a change can't be made", "service", service, "err", err)
	c.dropPrepared()
	waiting := c.flow.next
	c.flow.next, c.flow.since, c.flow.urgent = nil, time.Time{}, false
	for _, w := range waiting {
		if w.failed != nil {
			w.failed(err)
		}
	}
}

// seal proposes what a command has prepared at once, so that no daemon's wish gets on top of it: a
// command may touch OSDs without claiming them. done is called when it is committed, failed when
// it can't be made.
func (c *core) seal(e event, done func(), failed func(error)) {
	c.flow.next = append(c.flow.next, waiter{e, done, failed})
	c.flow.urgent = true
	c.propose()
}

// proposalID is unique among all proposals of all leaders: the term and a count.
func (c *core) proposalID() uint64 { return max(c.flow.id, c.node.Term()<<32) + 1 }

// due says whether gathering is over; else it sets the timer.
func (c *core) due() bool {
	f := &c.flow
	now := c.now()
	if f.since.IsZero() {
		f.since = now
	}
	wait := gatherFor
	if !c.conflicting() {
		wait = gatherLogs
	}
	left := wait - now.Sub(f.since)
	if left <= 0 {
		return true
	}
	c.arm(left)
	return false
}

// Apply carries out one proposal of the log: quorum.Machine.
func (c *core) Apply(_ uint64, data []byte, w *quorum.Batch) error {
	var p service.Proposal
	if err := denc.Unmarshal(data, &p, ceph.FeaturesAll); err != nil {
		return fmt.Errorf("decode proposal: %w", err)
	}
	c.own = c.flow.inflight && p.ID == c.flow.id
	for _, name := range slices.Sorted(maps.Keys(p.Changes)) {
		s := c.byName[name]
		if s == nil {
			return fmt.Errorf("%w: %q", errNoService, name)
		}
		if err := s.Apply(p.Changes[name], w); err != nil {
			return err
		}
		if c.flow.changed == nil {
			c.flow.changed = map[string]bool{}
		}
		c.flow.changed[name] = true
	}
	if c.own {
		c.flow.applied = true
	}
	return nil
}

// leadership takes up or gives up the lead, or following another.
func (c *core) leadership() {
	c.follow()
	switch term := c.node.Term(); {
	case c.node.Leads() && c.ledTerm != term:
		c.ledTerm, c.ledSince = term, c.now()
		c.gate.serve(true)
		c.log.Info("leading the quorum", "term", term)
		c.clusterLog(1, fmt.Sprintf("mon.%s is new leader, mons %s in quorum (ranks %s)",
			c.opt.Name, c.opt.Name, joinInts(c.Members())))
		c.lastTick = time.Time{}
		c.unblock()
	case !c.node.Leads() && c.ledTerm != 0:
		c.ledTerm = 0
		c.gate.serve(c.following.leader != 0)
		defer c.dismiss()
		c.proxying = proxying{} // their clients ask the next leader
		c.log.Warn("lost the lead of the quorum")
		for _, s := range c.all {
			s.Discard()
		}
		f := &c.flow
		lost := append(f.waiting, f.next...)
		f.inflight, f.applied, f.waiting, f.next = false, false, nil, nil
		c.abandon(lost)
	}
}

// abandon has the events of lost proposals handled again.
func (c *core) abandon(lost []waiter) {
	c.flow.next = nil
	for _, w := range lost {
		if w.ev.s != nil || w.ev.run != nil {
			c.block(w.ev)
		}
	}
}

// housekeeping does what time asks for.
func (c *core) housekeeping(now time.Time) error {
	if c.flow.inflight || now.Sub(c.lastTick) < c.set.Duration("mon_tick_interval") {
		return nil
	}
	c.lastTick = now
	if !c.node.Leads() {
		c.introduce()
		return nil
	}
	c.mon.SetMetadata(c.opt.Name, c.metadata())
	if err := c.auth.Tick(now, c.set.Duration("auth_service_ticket_ttl")); err != nil {
		return err
	}
	if c.auth.Dirty() {
		c.flow.urgent = true
	}
	c.osd.Tick(now)
	c.mgr.Tick(now, c.set.Duration("mon_mgr_beacon_grace"))
	c.health.Tick(now)
	c.noteHealth(now)
	c.digestToManager()
	c.proxySend()
	return nil
}
