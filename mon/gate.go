package mon

import (
	"crypto/rand"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"glue/auth/caps"
	"glue/auth/cephx"
	"glue/auth/keyring"
	"glue/ceph"
	"glue/cluster/monmap"
	"glue/mon/authmon"
	"glue/wire/msgr"
)

// A gate authenticates who connects. Messenger goroutines use it; what it reads is published by
// the loop.
type gate struct {
	name string      // the monitor's id
	lead atomic.Bool // this monitor leads or follows, and so serves
	keys atomic.Pointer[authmon.Keys]
	conf atomic.Pointer[gateConf]
	// monmap is the newest one
	monmap atomic.Pointer[monmap.Map]
	mu     sync.Mutex
	next   uint64        // global ids
	last   uint64        // one past
	news   chan struct{} // closed when something has changed that a client may wait for
}

// patience is how long a client that connects while there is no quorum is kept waiting for one: a
// little less than stock clients wait before they try all monitors again, which is
// mon_client_hunt_interval.
const patience = 2500 * time.Millisecond

// changed wakes who waits for the gate to open.
func (g *gate) changed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.news != nil {
		close(g.news)
		g.news = nil
	}
}

// wait is a channel that the next change closes.
func (g *gate) wait() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.news == nil {
		g.news = make(chan struct{})
	}
	return g.news
}

// open waits until clients are served here; false when that takes too long. Whoever connects in the
// middle of an election is served at its end, and does not come back at a time of its own.
func (g *gate) open() bool {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		news := g.wait()
		if g.ready(time.Now()) {
			return true
		}
		select {
		case <-news:
		case <-limit.C:
			return false
		}
	}
}

// gateConf is the options that authentication depends on.
type gateConf struct {
	authTTL, serviceTTL time.Duration
	insecureReclaim     bool
	option              func(name string) string
}

// modes are the connection modes with a type of peer, as configured.
func (g *gate) modes(peer ceph.EntityType) []msgr.Mode {
	option := g.conf.Load().option
	if option == nil { // before the first configuration
		option = func(string) string { return "" }
	}
	return msgr.ConfiguredModes(ceph.TypeMon, option)(peer)
}

// publish takes the keys as they are now.
func (g *gate) publish(k *authmon.Keys) {
	g.keys.Store(k)
	g.changed()
}

// serve says whether clients are served here from now on.
func (g *gate) serve(yes bool) {
	g.lead.Store(yes)
	g.changed()
}

// give adds a range of global ids.
func (g *gate) give(first, last uint64) {
	defer g.changed()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.last != first {
		g.next = first // what is left of an older range is not ours any more for certain
	}
	g.last = last
}

func (g *gate) left() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last - g.next
}

func (g *gate) newGlobalID() (uint64, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next == g.last {
		return 0, false
	}
	g.next++
	return g.next - 1, true
}

// Methods is cephx for everybody.
func (g *gate) Methods(ceph.EntityType) []uint32 { return []uint32{cephx.MethodCephx} }

// Accept starts the authentication of a connection.
func (g *gate) Accept(ceph.EntityType, netip.AddrPort) msgr.ServerHandshake {
	return g.accept()
}

func (g *gate) accept() *handshake {
	keys, conf := g.keys.Load(), g.conf.Load()
	var monKey keyring.Key
	if e, ok := keys.Entity(monName); ok {
		monKey = e.Key
	}
	return &handshake{gate: g, server: cephx.NewMonServer(cephx.MonOptions{
		Keys: published{g}, Rand: rand.Reader, NewGlobalID: g.newGlobalID,
		AuthTTL: conf.authTTL, ServiceTTL: conf.serviceTTL,
		AllowInsecureReclaim: conf.insecureReclaim, MonKey: monKey,
	})}
}

// published is the newest keys, also for a session that lives longer than they do.
type published struct{ g *gate }

func (p published) Entity(n ceph.AuthName) (keyring.Entry,
	bool) {
	return p.g.keys.Load().Entity(n)
}

func (p published) Rotating(t ceph.EntityType) cephx.Rotating { return p.g.keys.Load().Rotating(t) }

// A handshake is one connection's authentication.
type handshake struct {
	gate   *gate
	server *cephx.MonServer
	peer   bool // another monitor
}

// ready says whether what tickets are made of is there: a monitor that has just started has no
// service keys that are valid now until it has heard from the quorum.
func (g *gate) ready(now time.Time) bool {
	keys := g.keys.Load()
	if !g.lead.Load() || keys == nil || g.conf.Load().authTTL == 0 || g.left() == 0 {
		return false
	}
	for _, t := range []ceph.EntityType{ceph.TypeAuth, ceph.TypeMon, ceph.TypeOSD, ceph.TypeMgr} {
		if _, ok := keys.Rotating(t).Issue(now); !ok {
			return false
		}
	}
	return true
}

// Step passes a payload on. EBUSY ends the connection without a refusal, so that the peer comes
// back.
func (h *handshake) Step(method uint32, payload []byte, secretBytes int) (msgr.AuthStep, error) {
	if len(payload) > 0 && payload[0] == cephx.ModeAuthorizer {
		h.peer = true // only other monitors come with a ticket; the server checks it
	}
	if !h.peer && !h.gate.open() {
		return msgr.AuthStep{}, ceph.EBUSY
	}
	out, err := h.server.Step(time.Now(), method, payload, secretBytes)
	if err != nil {
		return msgr.AuthStep{}, err
	}
	if out.Done && !h.peer {
		if _, err := caps.ParseMon(out.Ticket.Caps); err != nil {
			return msgr.AuthStep{}, ceph.EACCES // said at once: its session would only be closed
		}
	}
	return msgr.AuthStep{
		Done: out.Done, Reply: out.Reply, SessionKey: out.SessionKey, Secret: out.Secret,
		Name: out.Ticket.Name, GlobalID: out.Ticket.GlobalID, Caps: out.Ticket.Caps,
		AllowAll: out.Ticket.AllowAll, Auth: h.server,
	}, nil
}
