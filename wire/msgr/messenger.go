package msgr

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"glue/ceph"
	"glue/wire/message"
)

// A Dispatcher takes what comes from connections. Dispatch runs on the connection's reading
// goroutine and must not block; messages of one connection arrive in order.
type Dispatcher interface {
	// Accepted reports an incoming connection, authenticated, before its first message. Refuse
	// it with c.Close.
	Accepted(c *Conn)
	// Connected reports that an outgoing connection is ready, and each time that a lossless
	// session is resumed, whichever side connected.
	Connected(c *Conn)
	// Dispatch takes a message; whoever is done with its buffers calls m.Release.
	Dispatch(c *Conn, m *message.Message)
	// Reset reports the end of a lossy session that we did not close, or that an outgoing lossy
	// connection could not be made (Conn.Err says why): exactly once, nothing comes after it.
	Reset(c *Conn)
	// RemoteReset reports that the peer has forgotten a lossless session: what was queued and
	// not acknowledged is dropped, and the Conn goes on with a new session.
	RemoteReset(c *Conn)
}

// A Messenger is one entity's endpoint.
type Messenger struct {
	opt Options
	d   Dispatcher
	log *slog.Logger

	// mu guards the registry. It is taken before a Conn's locks, never the other way round.
	mu       sync.Mutex
	name     ceph.EntityName
	self     ceph.Addr
	listener net.Listener
	// legacyListener is for clients that speak msgr v1, at legacyAt; nil: they are not served
	legacyListener net.Listener
	legacyAt       netip.AddrPort
	legacyFirst    bool
	conns          map[*Conn]struct{}
	sessions       map[ceph.Addr]*Conn // by peer: outgoing ones, and incoming lossless ones
	shaking        map[*link]struct{}  // accepted and not yet part of a Conn
	failures       map[netip.AddrPort]failure
	globalSeq      uint64
	closed         bool

	unauthenticated atomic.Int64
	stop            chan struct{}
	wg              sync.WaitGroup
}

// New makes a messenger that neither listens nor connects yet.
func New(opt Options) *Messenger {
	opt.defaults()
	if opt.Nonce == 0 && opt.Entity.Type != ceph.TypeMon {
		var b [4]byte
		rand.Read(b[:])
		opt.Nonce = binary.LittleEndian.Uint32(b[:]) | 1
	}
	return &Messenger{
		opt: opt, log: opt.Log, name: opt.Entity,
		self:     ceph.Addr{Type: ceph.AddrAny, Nonce: opt.Nonce},
		conns:    make(map[*Conn]struct{}),
		sessions: make(map[ceph.Addr]*Conn),
		shaking:  make(map[*link]struct{}),
		failures: make(map[netip.AddrPort]failure),
		stop:     make(chan struct{}),
	}
}

// Bind listens at an address, which must not be the unspecified one, since it goes into the maps;
// port 0 picks a free one. Call it before Start.
func (m *Messenger) Bind(at netip.AddrPort) error {
	ln, at, err := m.open(at)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.listener = ln
	m.self.Type, m.self.AddrPort = ceph.AddrMsgr2, at
	return nil
}

// open listens, and says where when the port was 0.
func (m *Messenger) open(at netip.AddrPort) (net.Listener, netip.AddrPort, error) {
	if !at.Addr().IsValid() || at.Addr().IsUnspecified() {
		return nil, at, fmt.Errorf("bind to %v: peers need an address that they can connect to", at)
	}
	if m.opt.Server == nil {
		return nil, at, fmt.Errorf("bind to %v: no way to authenticate peers", at)
	}
	ln, err := m.opt.Listen(at)
	if err != nil {
		return nil, at, fmt.Errorf("listen at %v: %w", at, err)
	}
	if a, ok := ln.Addr().(*net.TCPAddr); ok && at.Port() == 0 {
		at = netip.AddrPortFrom(at.Addr(), uint16(a.Port))
	}
	return ln, at, nil
}

// BindRange listens at the first free port of lo..hi.
func (m *Messenger) BindRange(ip netip.Addr, lo, hi uint16) error {
	return bindRange(m.Bind, ip, lo, hi)
}

func bindRange(bind func(netip.AddrPort) error, ip netip.Addr, lo, hi uint16) error {
	var last error
	for port := int(lo); port <= int(hi); port++ {
		if last = bind(netip.AddrPortFrom(ip, uint16(port))); last == nil {
			return nil
		}
	}
	return fmt.Errorf("no free port in %d-%d: %w", lo, hi, last)
}

// Addrs is our own addresses with their nonce, as they must stand in the maps: of msgr2 and, if
// that is served, msgr v1, in the order of Bind and BindLegacy. Before Bind it is one of type any
// with port 0; a client learns its IP from the first peer.
func (m *Messenger) Addrs() ceph.AddrVec {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.addrs()
}

// addrs is Addrs. Callers hold m.mu.
func (m *Messenger) addrs() ceph.AddrVec {
	if m.legacyListener == nil {
		return ceph.AddrVec{m.self}
	}
	v1 := ceph.Addr{Type: ceph.AddrLegacy, Nonce: m.self.Nonce, AddrPort: m.legacyAt}
	if m.legacyFirst {
		return ceph.AddrVec{v1, m.self}
	}
	return ceph.AddrVec{m.self, v1}
}

// Renew makes us a new incarnation at the same port: another nonce, and no session with a peer of
// this type is left. A daemon that was marked down while it ran comes back so, since its peers may
// have forgotten their sessions with it.
func (m *Messenger) Renew(peers ceph.EntityType) {
	var b [4]byte
	rand.Read(b[:])
	m.mu.Lock()
	m.self.Nonce = binary.LittleEndian.Uint32(b[:]) | 1
	m.mu.Unlock()
	for _, c := range m.Conns() {
		if c.peerType == peers {
			c.Close()
		}
	}
}

// learnAddr takes our own IP from how a peer sees us.
func (m *Messenger) learnAddr(seen ceph.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.listener == nil && m.self.IsBlank() && !seen.IsBlank() {
		m.self.AddrPort = netip.AddrPortFrom(seen.AddrPort.Addr().Unmap(), 0)
	}
}

// SetName changes our name: a client's or manager's number is its global id, known only once it
// has authenticated. It applies to connections made after it.
func (m *Messenger) SetName(n ceph.EntityName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.name = n
}

// Name is our name.
func (m *Messenger) Name() ceph.EntityName {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.name
}

// nextGlobalSeq counts attempts to connect, so that a peer can tell a new one from an old.
func (m *Messenger) nextGlobalSeq(above uint64) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.globalSeq = max(m.globalSeq, above) + 1
	return m.globalSeq
}

// Start begins to accept and to dispatch.
func (m *Messenger) Start(d Dispatcher) {
	m.d = d
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wg.Go(m.tick)
	if m.listener != nil {
		m.wg.Go(func() { m.listen(m.listener, m.incoming) })
	}
	if m.legacyListener != nil {
		m.wg.Go(func() { m.listen(m.legacyListener, m.incomingLegacy) })
	}
}

// sessionKey is the address that a peer's session is found by.
func sessionKey(addrs ceph.AddrVec) (ceph.Addr, bool) {
	if len(addrs) == 0 {
		return ceph.Addr{}, false
	}
	key := addrs.Of(ceph.AddrMsgr2)
	if key == (ceph.Addr{}) {
		key = addrs[0]
	}
	ap := key.AddrPort
	key.AddrPort = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	return key, true
}

// Connect is the connection to a peer at addrs, made if there is none. It never blocks: messages
// can be sent at once and go out when the session is ready. Without a usable address, or after
// Close, it gives a connection that has ended.
func (m *Messenger) Connect(peer ceph.EntityType, addrs ceph.AddrVec) *Conn {
	m.mu.Lock()
	defer m.mu.Unlock()
	key, ok := sessionKey(addrs)
	if c := m.sessions[key]; ok && c != nil {
		return c
	}
	policy := m.opt.Policy(peer)
	if policy.Lossy {
		policy.Server = false
	}
	c := m.newConn(peer, policy)
	c.target, c.peer = addrs, Peer{Name: ceph.EntityName{Type: peer, Num: -1}, Addrs: addrs}
	if !ok || key.IsBlank() || m.closed || m.opt.Client == nil {
		c.end(errClosed)
		return c
	}
	m.conns[c] = struct{}{}
	m.sessions[key] = c
	if !policy.Server {
		c.spawn()
	}
	return c
}

func (m *Messenger) newConn(peer ceph.EntityType, policy Policy) *Conn {
	return &Conn{
		m: m, peerType: peer, policy: policy, state: stateStandby,
		kick: make(chan struct{}, 1), wake: make(chan struct{}, 1),
	}
}

// Conns are the connections that have not ended.
func (m *Messenger) Conns() []*Conn {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]*Conn, 0, len(m.conns))
	for c := range m.conns {
		list = append(list, c)
	}
	return list
}

// forget takes a closed connection out of the registry.
func (m *Messenger) forget(c *Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgetLocked(c)
}

func (m *Messenger) forgetLocked(c *Conn) {
	delete(m.conns, c)
	if key, ok := sessionKey(c.target); ok && m.sessions[key] == c {
		delete(m.sessions, key)
	}
}

// Close flushes what is queued on ready connections, waiting at most a second, then closes all. No
// callback runs after it has returned, so it must not be called from one.
func (m *Messenger) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	close(m.stop)
	for _, ln := range []net.Listener{m.listener, m.legacyListener} {
		if ln != nil {
			ln.Close()
		}
	}
	for l := range m.shaking {
		l.close(errClosed)
	}
	m.mu.Unlock()
	for _, c := range m.Conns() {
		c.Close()
	}
	m.wg.Wait()
	return nil
}

// listen accepts sockets until the listener is closed.
func (m *Messenger) listen(ln net.Listener, serve func(*link)) {
	for {
		nc, err := ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			m.log.Warn("accept failed", "err", err)
			select {
			case <-time.After(100 * time.Millisecond): // out of descriptors, perhaps
				continue
			case <-m.stop:
				return
			}
		}
		if m.unauthenticated.Add(1) > int64(m.opt.MaxUnauthenticated) {
			m.unauthenticated.Add(-1)
			nc.Close()
			continue
		}
		l := newLink(nc, &m.opt)
		nc.SetDeadline(time.Now().Add(m.opt.HandshakeTimeout))
		if !m.track(l) {
			nc.Close()
			return
		}
		m.wg.Go(func() { serve(l) })
	}
}

// track registers a link that shakes hands; false when the messenger is closed.
func (m *Messenger) track(l *link) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.shaking[l] = struct{}{}
	return true
}

func (m *Messenger) untrack(l *link) {
	m.unauthenticated.Add(-1)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.shaking, l)
}

// incoming runs one accepted socket to its end.
func (m *Messenger) incoming(l *link) {
	err := m.accept(l)
	var v verdict
	if err == nil {
		v, err = m.establish(l)
	}
	m.begun(l, v, err)
}

// incomingLegacy is incoming for msgr v1.
func (m *Messenger) incomingLegacy(l *link) {
	v, err := m.acceptLegacy(l)
	m.begun(l, v, err)
}

// begun serves the session that a handshake has led to.
func (m *Messenger) begun(l *link, v verdict, err error) {
	m.untrack(l)
	if err != nil {
		m.log.Debug("incoming connection failed", "peer", l.peer.Socket, "err", err)
		l.close(err)
		return
	}
	v.conn.serve(l, v.prev, v.reset, v.fresh)
}

// A failure is when a connection to an address failed, and how often in a row.
type failure struct {
	at    time.Time
	count int
}

// dialed notes how an attempt ended.
func (m *Messenger) dialed(to netip.AddrPort, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ok {
		delete(m.failures, to)
		return
	}
	now := time.Now()
	for a, f := range m.failures {
		if now.Sub(f.at) > time.Minute {
			delete(m.failures, a)
		}
	}
	m.failures[to] = failure{at: now, count: m.failures[to].count + 1}
}

// dialDelay is how long to wait before an address is tried again, so that whoever connects anew
// at each Reset does not spin.
func (m *Messenger) dialDelay(to netip.AddrPort) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.failures[to]
	if !ok {
		return 0
	}
	return backoff(f.count, 50*time.Millisecond, time.Second) - time.Since(f.at)
}

// backoff doubles from lo with every failure, up to hi.
func backoff(failures int, lo, hi time.Duration) time.Duration {
	return min(lo<<min(max(failures-1, 0), 16), hi)
}

func dialTCP(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", to.String())
}

func listenTCP(at netip.AddrPort) (net.Listener, error) {
	return net.Listen("tcp", at.String())
}
