// Package pinger runs an OSD's heartbeats beside its other work: it pings peers over both
// networks, answers while nothing in this OSD hangs, reports the silent ones, and ends an OSD that
// hangs for too long. The rules are those of osd/heartbeat.
package pinger

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/internal/options"
	"glue/osd/heartbeat"
	"glue/wire/message"
)

// ErrHangs is why an OSD ends that has hung for too long.
var ErrHangs = errors.New("the OSD hangs")

// A Link is a connection: what is sent on it arrives in order or not at all.
type Link interface {
	Send(m *message.Message)
	Close()
}

// A Beat is a connection for pings, which is lossy.
type Beat interface {
	Link
	// Ended says whether it is gone, and whether that is because nothing listens there.
	Ended() (gone, refused bool)
}

// Monitors are what a Pinger asks of the client of the monitors.
type Monitors interface {
	Send(b message.Body)
	Subscribe(what string, start uint64, once bool)
}

// A Watched is something in the OSD that must not hang. Mark may be called from any goroutine.
type Watched struct {
	Name string
	Mark func() heartbeat.Mark
}

// Config is what a Pinger needs of its OSD. All functions may be called from any goroutine.
type Config struct {
	ID      int32
	Log     *slog.Logger
	Start   time.Time // pings carry the time since
	Now     func() time.Time
	Map     func() *osdmap.Map // the newest; nil for none yet
	Booted  func() bool        // the map has the OSD up, and it does not end
	Options func() options.Set
	Mon     func() Monitors
	// Connect gives a connection to a peer over a network; it never blocks.
	Connect func(over heartbeat.Net, to ceph.AddrVec) Beat
	Watched func() []Watched
	Fail    func(error) // the OSD can't go on
}

// A Pinger has the heartbeats of one OSD. All methods may be called from any goroutine.
type Pinger struct {
	c     Config
	nudge chan struct{}

	mu    sync.Mutex
	peers heartbeat.Peers
	edges map[int32]*[heartbeat.Nets]edge
	names []int32 // of peers, for reports
	// away: the OSD was marked down while it runs, and pings to find out whether it is well.
	away  bool
	asked bool // it has pinged since
	watch heartbeat.Watch
	hangs string // what hangs, "" for nothing
	dying bool
}

// An edge is the connection to a peer over one network.
type edge struct {
	conn    Beat
	addrs   ceph.AddrVec
	since   time.Time
	refused bool // since the peer was heard last
}

const (
	// TickEvery is how often Tick is wanted.
	TickEvery = 250 * time.Millisecond
	again     = time.Second // between two reports of the same failure
	// patience is how old a connection is, at least, when it is made anew as nothing comes back.
	patience = 5 * time.Second
)

// New makes a Pinger that does nothing by itself.
func New(c Config) *Pinger {
	return &Pinger{c: c, nudge: make(chan struct{}, 1), edges: map[int32]*[heartbeat.Nets]edge{}}
}

// Run calls Tick until stop is closed.
func (p *Pinger) Run(stop <-chan struct{}) {
	t := time.NewTicker(TickEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-p.nudge:
		case <-stop:
			return
		}
		p.Tick()
	}
}

// Tick does what is due. It is called every TickEvery.
func (p *Pinger) Tick() {
	now, m := p.c.Now(), p.c.Map()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lookInside(now)
	booted := p.c.Booted()
	if m == nil || !booted && !p.away {
		return
	}
	set := p.c.Options()
	r := heartbeat.Rules{Interval: set.Duration("osd_heartbeat_interval"),
		Grace: set.Duration("osd_heartbeat_grace"), Again: again}
	if !booted {
		r.Interval = min(r.Interval, again)
	}
	tasks, ring := p.peers.Tick(m, p.c.ID, now, r, func(o int32) bool { return p.look(m, o, now) })
	if ring != nil {
		p.names, p.asked = ring, true
	}
	for _, t := range tasks {
		p.do(t, m, now)
	}
}

// do does what is to be done about a peer.
func (p *Pinger) do(t heartbeat.Task, m *osdmap.Map, now time.Time) {
	switch t.What {
	case heartbeat.Ping:
		for n := range heartbeat.Nets {
			p.ping(m, t.OSD, n, now)
		}
	case heartbeat.Gone:
		p.drop(t.OSD)
	case heartbeat.Alive:
		p.c.Log.Info("peer answers again", "osd", t.OSD)
		p.report(m, t.OSD, message.FailureAlive, 0)
	case heartbeat.Silent:
		p.c.Log.Warn("peer does not answer", "osd", t.OSD, "refused", false,
			"network", t.Over.String(), "for", t.Age.Round(time.Millisecond))
		p.report(m, t.OSD, message.FailureFailed, t.Age)
		p.dialAnew(t, now)
	case heartbeat.Refused:
		p.c.Log.Warn("peer does not answer", "osd", t.OSD, "refused", true)
		p.report(m, t.OSD, message.FailureFailed|message.FailureImmediate, 0)
	}
}

// look sees to the connections to a peer, and says whether nothing listens at either end of them:
// a network that refuses in the place of a peer does not make it dead.
func (p *Pinger) look(m *osdmap.Map, osd int32, now time.Time) bool {
	all := true
	for n := range heartbeat.Nets {
		e := p.edge(m, osd, n, now)
		if gone, refused := e.conn.Ended(); gone {
			e.refused = e.refused || refused
			e.conn = p.c.Connect(n, e.addrs)
			e.since = now
		}
		all = all && e.refused
	}
	return all
}

// edge is the connection to a peer at its address in the map.
func (p *Pinger) edge(m *osdmap.Map, osd int32, over heartbeat.Net, now time.Time) *edge {
	pair := p.edges[osd]
	if pair == nil {
		pair = &[heartbeat.Nets]edge{}
		p.edges[osd] = pair
	}
	e, to := &pair[over], over.Addrs(m, osd)
	if e.conn == nil || !e.addrs.Equal(to) {
		if e.conn != nil {
			e.conn.Close()
		}
		*e = edge{conn: p.c.Connect(over, to), addrs: to, since: now}
	}
	return e
}

// drop ends the connections to a peer.
func (p *Pinger) drop(osd int32) {
	if pair := p.edges[osd]; pair != nil {
		for n := range pair {
			if pair[n].conn != nil {
				pair[n].conn.Close()
			}
		}
		delete(p.edges, osd)
	}
}

// dialAnew gives up connections on which nothing comes back: a new one finds its way sooner when
// the network is well again than what TCP sends again at ever longer intervals.
func (p *Pinger) dialAnew(t heartbeat.Task, now time.Time) {
	for n := range heartbeat.Nets {
		if e := &p.edges[t.OSD][n]; (t.Over == n || t.Over == heartbeat.Nets) &&
			now.Sub(e.since) > patience {
			e.conn.Close()
			e.conn, e.since = p.c.Connect(n, e.addrs), now
		}
	}
}

func (p *Pinger) ping(m *osdmap.Map, osd int32, over heartbeat.Net, now time.Time) {
	msg := message.New(&message.MOSDPing{FSID: m.FSID, OSD: p.c.ID, Epoch: m.Epoch,
		UpFrom: upFrom(m, p.c.ID), Kind: message.PingPing, Stamp: ceph.TimeOf(now),
		MonoNS: int64(now.Sub(p.c.Start))})
	msg.Priority = message.PriorityHigh
	p.edge(m, osd, over, now).conn.Send(msg)
}

func upFrom(m *osdmap.Map, osd int32) ceph.Epoch {
	if m.Exists(osd) {
		return m.Info[osd].UpFrom
	}
	return 0
}

func (p *Pinger) report(m *osdmap.Map, osd int32, flags uint8, age time.Duration) {
	if !p.c.Booted() {
		return // nobody believes an OSD that is down
	}
	p.c.Mon().Send(&message.MOSDFailure{Paxos: message.Paxos{Version: uint64(m.Epoch)},
		FSID: m.FSID, Reporter: p.c.ID, Target: osd, Addrs: m.ClientAddrs[osd], Flags: flags,
		Epoch: m.Epoch, FailedFor: int32(age / time.Second)})
}

// Heard answers a ping on the connection that it came on, unless something hangs here, or takes an
// answer that came over a network.
func (p *Pinger) Heard(over heartbeat.Net, c interface{ Send(*message.Message) },
	b *message.MOSDPing,
) {
	m := p.c.Map()
	if m == nil || b.FSID != m.FSID {
		return
	}
	if b.Epoch > m.Epoch {
		p.c.Mon().Subscribe("osdmap", uint64(m.Epoch)+1, false)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch b.Kind {
	case message.PingPing:
		if p.hangs != "" {
			p.c.Log.Debug("ping is not answered", "osd", b.OSD, "why", p.hangs)
			return
		}
		r := *b
		r.Kind, r.OSD, r.Epoch, r.Padding = message.PingReply, p.c.ID, m.Epoch, nil
		r.UpFrom = upFrom(m, p.c.ID)
		msg := message.New(&r)
		msg.Priority = message.PriorityHigh
		c.Send(msg)
	case message.PingReply:
		p.peers.Heard(b.OSD, over, p.c.Start.Add(time.Duration(b.MonoNS)))
		if pair := p.edges[b.OSD]; pair != nil {
			pair[over].refused = false
		}
	}
}

// lookInside finds out what hangs in this OSD.
func (p *Pinger) lookInside(now time.Time) {
	list := p.c.Watched()
	marks := make([]heartbeat.Mark, len(list))
	for i, w := range list {
		marks[i] = w.Mark()
	}
	which, stuck := p.watch.Look(now, marks)
	set := p.c.Options()
	timeout, suicide := set.Duration("osd_op_thread_timeout"),
		set.Duration("osd_op_thread_suicide_timeout")
	if timeout <= 0 || stuck <= timeout {
		if p.hangs != "" {
			p.c.Log.Warn("nothing hangs any more: pings are answered again", "was", p.hangs)
		}
		p.hangs = ""
	} else {
		if p.hangs == "" {
			p.c.Log.Error("pings are not answered, so that others report this OSD",
				"hangs", list[which].Name, "for", stuck.Round(time.Second),
				"osd_op_thread_timeout", timeout)
		}
		p.hangs = fmt.Sprintf("%s has made no progress for %v", list[which].Name,
			stuck.Round(time.Second))
	}
	if suicide > 0 && stuck > suicide && !p.dying {
		p.dying = true
		p.c.Fail(fmt.Errorf("%w: %s has made no progress for %v, more than "+
			"osd_op_thread_suicide_timeout (%v): see whether its disk answers", ErrHangs,
			list[which].Name, stuck.Round(time.Second), suicide))
	}
}

// Leave tells that the OSD was marked down although it runs, and has other addresses now. It pings
// its peers from there, and takes none of them for well before it has heard of it.
func (p *Pinger) Leave() {
	p.mu.Lock()
	p.away, p.asked = true, false
	p.peers = heartbeat.Peers{}
	for o := range p.edges {
		p.drop(o)
	}
	p.mu.Unlock()
	p.wake()
}

// Back tells that the map has the OSD up.
func (p *Pinger) Back() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = false
}

// Unfit says why the OSD must not be marked up now, "" if it may: something hangs, or, if it was
// marked down while it ran, it hears too few of its peers over both networks, who would report it
// again.
func (p *Pinger) Unfit() string {
	now, set := p.c.Now(), p.c.Options()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hangs != "" || !p.away {
		return p.hangs
	}
	if !p.asked {
		return "it was marked down and has not pinged its peers since"
	}
	healthy, all := p.peers.Healthy(now, set.Duration("osd_heartbeat_grace"))
	least := set.Float("osd_heartbeat_min_healthy_ratio")
	if float64(healthy) >= float64(all)*least {
		return ""
	}
	return fmt.Sprintf("only %d of %d peers answer over both networks, less than "+
		"osd_heartbeat_min_healthy_ratio (%v)", healthy, all, least)
}

// Names are the peers, in order.
func (p *Pinger) Names() []int32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.names)
}

// wake has Run call Tick soon.
func (p *Pinger) wake() {
	select {
	case p.nudge <- struct{}{}:
	default:
	}
}
