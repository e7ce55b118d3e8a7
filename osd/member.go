package osd

import (
	"context"
	"time"

	"glue/ceph"
	"glue/client/monc"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
	"glue/cluster/pgstat"
	"glue/osd/endpoints"
	"glue/osd/heartbeat"
	"glue/osd/pglog"
	"glue/osd/pinger"
	"glue/osd/scrub"
	"glue/wire/message"
	"glue/wire/msgr"
)

// A Link is a connection: what is sent on it arrives in order or not at all.
type Link = pinger.Link

// Monitors are what an OSD asks of its client of the monitors. All methods return at once.
type Monitors interface {
	Send(b message.Body)
	Subscribe(what string, start uint64, once bool)
	Got(what string, have uint64)
	// AskVersion has done called with the newest version of a kind of map, some time later.
	AskVersion(what string, done func(newest uint64, err error))
}

// monitorClient is the client that real daemons have.
type monitorClient struct{ *monc.Client }

// AskVersion asks on a goroutine of its own, for bootLimit at most.
func (m monitorClient) AskVersion(what string, done func(uint64, error)) {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), bootLimit)
		defer cancel()
		newest, _, err := m.GetVersion(ctx, what)
		done(newest, err)
	}()
}

// A Member is an OSD without sockets and goroutines, on a clock and a store of its owner's, who
// steps it by hand from one goroutine: how simulations run OSDs. It is the Daemon as Start runs it.
// What it does by itself is in lanes, which real daemons run side by side: lane 0 is control, the
// others are shards. Whatever has been called, lanes may be ready afterwards; in what order they
// are turned is the owner's choice.
type Member struct{ d *Daemon }

// Edges are the outside of a Member.
type Edges struct {
	Now   func() time.Time
	Addrs endpoints.Addrs        // where it listens at first
	Renew func() endpoints.Addrs // and from now on: all its connections to OSDs are gone
	Mon   Monitors
	// Connect gives a connection to a manager or another OSD. Between OSDs it is lossless for as
	// long as both are the incarnations that they were, and neither has closed it.
	Connect func(t ceph.EntityType, to ceph.AddrVec) Link
	// Beat gives a connection for pings to another OSD over a network, which is lossy.
	Beat func(over heartbeat.Net, to ceph.AddrVec) pinger.Beat
}

// A Session is a peer's session with a Member.
type Session struct{ s *session }

// memberInbox is how much may be posted to lane 0 before it is turned.
const memberInbox = 1 << 16

// OpenMember makes an OSD of a store and lets it begin to boot. OnFatal of the options is not
// called; see Err.
func OpenMember(o Options, e Edges) (*Member, error) {
	o.OnFatal = nil
	d, err := newDaemon(o, e.Now)
	if err != nil {
		return nil, err
	}
	d.inbox = make(chan func(), memberInbox)
	d.mon, d.addrs, d.connect, d.beat = e.Mon, e.Addrs, e.Connect, e.Beat
	d.send = d.sendPeer
	d.renew = func() endpoints.Addrs {
		d.forgetPeers()
		return e.Renew()
	}
	d.begun()
	return &Member{d}, nil
}

// Lanes is how many lanes there are.
func (m *Member) Lanes() int { return 1 + len(m.d.shards) }

// Ready says whether a lane has something to do now; if not, wait is when it has by the clock, 0
// for never.
func (m *Member) Ready(lane int) (ready bool, wait time.Duration) {
	if lane == 0 {
		return len(m.d.inbox) > 0, 0
	}
	s := m.d.shards[lane-1]
	return len(s.in) > 0 && !s.stopped || len(s.wake) > 0, s.again
}

// Turn lets a lane do one round of what it has to do.
func (m *Member) Turn(lane int) {
	if lane == 0 {
		if len(m.d.inbox) > 0 {
			(<-m.d.inbox)()
		}
		return
	}
	s := m.d.shards[lane-1]
	if len(s.wake) > 0 {
		<-s.wake
	}
	s.turn()
}

// Tick takes up that another ControlTick has gone by.
func (m *Member) Tick() {
	m.d.pinger.Tick()
	m.d.tick(m.d.now())
}

// Beat hands over a ping, or the answer to one, that came over a network. Answers go to l.
func (m *Member) Beat(over heartbeat.Net, l Link, b *message.MOSDPing) {
	m.d.pinger.Heard(over, l, b)
}

// ControlTick is how often a Member wants Tick.
const ControlTick = controlTick

// MonSession tells that the client of the monitors has a session with another one.
func (m *Member) MonSession() { m.d.post(m.d.monSession) }

// Accept begins the session of an authenticated peer; an error refuses it.
func (m *Member) Accept(l Link, p msgr.Peer) (*Session, error) {
	s, err := m.d.newSession(l, p)
	if err != nil {
		return nil, err
	}
	return &Session{s}, nil
}

// Deliver hands over what a peer has sent: on its session, or nil on a connection that the OSD has
// made itself, or of a monitor. Answers go to l.
func (m *Member) Deliver(l Link, p msgr.Peer, s *Session, msg *message.Message) {
	if s == nil {
		m.d.dispatch(l, p, nil, msg)
		return
	}
	m.d.dispatch(l, p, s.s, msg)
}

// End tells that a session's connection is gone.
func (m *Member) End(s *Session) { m.d.endSession(s.s) }

// Broken tells that a connection to a manager is gone.
func (m *Member) Broken(l Link) { m.d.post(func() { m.d.mgrReset(l) }) }

// Err is why the OSD can't go on, nil while it can. Its owner has to drop it then.
func (m *Member) Err() error { return m.d.failure }

// OSDMap is the newest map that the OSD has; nil for none. It must not be changed.
func (m *Member) OSDMap() *osdmap.Map { return m.d.osdmap.Load() }

// Booted says whether the map has the OSD up at its present address.
func (m *Member) Booted() bool { return m.d.booted.Load() }

// A PGCopy is what an OSD has of a PG.
type PGCopy struct {
	ID      ceph.SPG
	Primary bool
	State   pgstat.State // as the primary reports it
	Clean   bool
	Up      []int32
	Acting  []int32
	Stats   pginfo.Stats
	Info    *pginfo.Info // not to be changed, like the next two
	Log     *pglog.Log
	Scrub   *scrub.Scrubber
	Missing int
	Lacks   func(o ceph.HObject) bool // that it has to get an object, as it knows
}

// PGs are the copies that the OSD has, in their order, lane by lane.
func (m *Member) PGs() []PGCopy {
	var out []PGCopy
	for _, s := range m.d.shards {
		s.now = m.d.now()
		for _, p := range s.sorted() {
			c := PGCopy{ID: p.id, Primary: p.primary, Clean: p.primary && p.m.IsClean(),
				Stats: p.stats, Info: p.m.Info(), Log: p.m.Log(), Scrub: &p.scrub,
				Missing: p.m.Missing().Len(), Lacks: p.m.Missing().Has}
			c.Up, _ = p.m.Up()
			c.Acting, _ = p.m.Acting()
			if p.primary {
				c.State = p.state()
			}
			out = append(out, c)
		}
	}
	return out
}

// Slots are how many recovery slots are held or waited for, own and lent, and how many objects are
// on their way.
func (m *Member) Slots() (own, lent, moving int) {
	sl := &m.d.slots
	lg, lw := sl.local.Len()
	rg, rw := sl.remote.Len()
	return lg + lw, rg + rw + len(sl.bringing), int(sl.active.Load())
}
