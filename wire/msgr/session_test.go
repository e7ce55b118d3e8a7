package msgr

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/wire/message"
)

// A rawPeer speaks the protocol frame by frame as an OSD, to put sessions into every state.
type rawPeer struct {
	*link
	t    *testing.T
	self ceph.Addr
}

// rawSelf is where the raw peer says that it listens.
func rawSelf(port uint16) ceph.Addr {
	ip := netip.MustParseAddr("127.0.0.1")
	return ceph.Addr{Type: ceph.AddrMsgr2, Nonce: 5, AddrPort: netip.AddrPortFrom(ip, port)}
}

// dialRaw opens an authenticated connection to e as osd.NUM.
func dialRaw(t *testing.T, e *endpoint, num string, self ceph.Addr) *rawPeer {
	t.Helper()
	nc, err := net.Dial("tcp", e.Addrs()[0].HostPort())
	if err != nil {
		t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	m := New(Options{
		Entity: ceph.EntityName{Type: ceph.TypeOSD, Num: 8},
		Client: noneAuth{ceph.AuthName{Type: ceph.TypeOSD, ID: num}},
	})
	p := &rawPeer{newLink(nc, &m.opt), t, self}
	t.Cleanup(func() { p.close(errClosed) })
	if err := m.login(p.link, ceph.TypeOSD, e.Addrs()); err != nil {
		t.Fatal(err)
	}
	return p
}

// ask sends a frame and wants a certain one back.
func (p *rawPeer) ask(send tag, v denc.Value, want tag, out denc.Value) {
	p.t.Helper()
	if err := p.send(send, v); err != nil {
		p.t.Fatal(err)
	}
	p.want(want, out)
}

func (p *rawPeer) want(want tag, out denc.Value) {
	p.t.Helper()
	if err := p.expect(want, out); err != nil {
		p.t.Fatal(err)
	}
}

// refused sends a frame and wants the connection to be closed.
func (p *rawPeer) refused(send tag, v denc.Value) {
	p.t.Helper()
	if err := p.send(send, v); err != nil {
		p.t.Fatal(err)
	}
	if t, _, err := p.receive(); err == nil {
		p.t.Fatalf("answered with tag %d", t)
	}
}

// nextMessage reads the header of the next message.
func (p *rawPeer) nextMessage() messageHead {
	p.t.Helper()
	for {
		if err := p.rd.next(); err != nil {
			p.t.Fatal(err)
		}
		if p.rd.pre.tag != tagMessage {
			if _, err := p.rd.control(); err != nil {
				p.t.Fatal(err)
			}
			continue
		}
		var h messageHead
		if err := p.rd.head(p.head[:]); err != nil {
			p.t.Fatal(err)
		}
		if _, err := p.rd.tail(); err != nil {
			p.t.Fatal(err)
		}
		h.parse(p.head[:])
		return h
	}
}

func (p *rawPeer) ident(e *endpoint, cookie uint64) *clientIdent {
	return &clientIdent{
		Addrs: ceph.AddrVec{p.self}, Target: e.Addrs()[0], Num: 8, GlobalSeq: 10,
		Supported: ceph.FeaturesAll, Required: ceph.FeaturesRequired, Cookie: cookie,
	}
}

const rawCookie = 0xc0ffee

// TestResume walks through the answers to SESSION_RECONNECT.
func TestResume(t *testing.T) {
	e := newEndpoint(t, 1, nil)
	self := rawSelf(1)
	p := dialRaw(t, e, "8", self)
	r := &sessionReconnect{Addrs: ceph.AddrVec{self}, ClientCookie: rawCookie, GlobalSeq: 1}
	var reset sessionReset
	if p.ask(tagSessionReconnect, r, tagSessionReset, &reset); !reset.Full {
		t.Fatal("no session: the reset is not full")
	}
	var id serverIdent
	p.ask(tagClientIdent, p.ident(e, rawCookie), tagServerIdent, &id)
	if id.Cookie == 0 || id.Flags != 0 || id.Num != 1 || !id.Addrs.Equal(e.Addrs()) {
		t.Fatalf("got %+v", id)
	}
	e.until("accepted", func() bool { return e.count("accepted osd.8") == 1 })
	c := e.Lookup(ceph.AddrVec{self})
	for i := range uint64(5) {
		c.Send(msg(i))
	}
	for i := range uint64(5) {
		if h := p.nextMessage(); h.seq != i+1 {
			t.Fatalf("message %d after %d", h.seq, i)
		}
	}
	p.close(errClosed)
	e.until("lost", func() bool { e.signal(); return !c.Ready() })

	again := func(change func(r *sessionReconnect)) (*rawPeer, *sessionReconnect) {
		r := &sessionReconnect{
			Addrs: ceph.AddrVec{self}, ClientCookie: rawCookie, ServerCookie: id.Cookie,
			GlobalSeq: 11, ConnectSeq: 5, MsgSeq: 3,
		}
		change(r)
		return dialRaw(t, e, "8", self), r
	}
	p, r = again(func(r *sessionReconnect) { r.ClientCookie++ })
	if p.ask(tagSessionReconnect, r, tagSessionReset, &reset); !reset.Full {
		t.Fatal("another cookie: the reset is not full")
	}
	var n number
	p, r = again(func(r *sessionReconnect) { r.GlobalSeq = 9 })
	if p.ask(tagSessionReconnect, r, tagSessionRetryGlobal, &n); n.N != 10 {
		t.Fatalf("retry above %d", n.N)
	}
	p, r = again(func(r *sessionReconnect) { r.ConnectSeq = 0 })
	if p.ask(tagSessionReconnect, r, tagSessionRetry, &n); n.N == 0 {
		t.Fatalf("retry above %d", n.N)
	}
	for _, impossible := range []uint64{6, 1 << 40} {
		p, r = again(func(r *sessionReconnect) { r.MsgSeq = impossible })
		p.refused(tagSessionReconnect, r)
	}
	p, r = again(func(*sessionReconnect) {})
	p.close(errClosed)
	p = dialRaw(t, e, "9", self) // another OSD's key, with the right cookies
	p.refused(tagSessionReconnect, r)

	p, r = again(func(*sessionReconnect) {})
	if p.ask(tagSessionReconnect, r, tagSessionReconnectOK, &n); n.N != 0 {
		t.Fatalf("it has got %d messages", n.N)
	}
	for _, want := range []uint64{4, 5} {
		if h := p.nextMessage(); h.seq != want {
			t.Fatalf("message %d, expected %d", h.seq, want)
		}
	}
	p, r = again(func(r *sessionReconnect) { r.GlobalSeq, r.ConnectSeq, r.MsgSeq = 12, 9, 2 })
	p.refused(tagSessionReconnect, r) // it had told us that it got 3
}

// TestIdentRefused: wrong targets, missing addresses and missing features.
func TestIdentRefused(t *testing.T) {
	e := newEndpoint(t, 1, nil)
	self := rawSelf(1)
	for name, change := range map[string]func(id *clientIdent){
		"nonce of a past life": func(id *clientIdent) { id.Target.Nonce++ },
		"another port":         func(id *clientIdent) { id.Target = rawSelf(9) },
		"no address":           func(id *clientIdent) { id.Addrs = nil },
		"blank address":        func(id *clientIdent) { id.Addrs = ceph.AddrVec{{}} },
		"another number":       func(id *clientIdent) { id.Num = 9 },
	} {
		t.Run(name, func(t *testing.T) {
			p := dialRaw(t, e, "8", self)
			id := p.ident(e, rawCookie)
			change(id)
			p.refused(tagClientIdent, id)
		})
	}
	p := dialRaw(t, e, "8", self)
	id := p.ident(e, rawCookie)
	id.Supported &^= ceph.FeatureMsgAddr2
	var n number
	if p.ask(tagClientIdent, id, tagIdentMissing, &n); n.N != ceph.FeatureMsgAddr2 {
		t.Fatalf("missing %#x", n.N)
	}
	p.refused(tagMessage, &number{})
	if n := len(e.Conns()); n != 0 {
		t.Fatalf("%d connections", n)
	}
}

// silent listens and never answers, so that a connection to it stays in its handshake.
func silent(t *testing.T) (ceph.Addr, net.Listener) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return rawSelf(uint16(ln.Addr().(*net.TCPAddr).Port)), ln
}

// TestRace: of two connections that cross, the one from the lower address survives.
func TestRace(t *testing.T) {
	for range 8 {
		e := newEndpoint(t, 1, nil)
		peer, _ := silent(t)
		e.Connect(ceph.TypeOSD, ceph.AddrVec{peer}).Send(msg(1))
		p := dialRaw(t, e, "8", peer)
		if compareAddrs(peer, e.Addrs()[0]) > 0 {
			p.ask(tagClientIdent, p.ident(e, rawCookie), tagWait, &empty{})
			e.Close()
			continue
		}
		var id serverIdent
		p.ask(tagClientIdent, p.ident(e, rawCookie), tagServerIdent, &id)
		if h := p.nextMessage(); h.seq != 1 {
			t.Fatalf("message %d", h.seq)
		}
		e.Close()
	}
}

// TestPartialReset: a peer that resumes a session whose SERVER_IDENT never reached us is asked to
// begin anew, and nothing is dropped.
func TestPartialReset(t *testing.T) {
	e := newEndpoint(t, 1, nil)
	peer, _ := silent(t)
	c := e.Connect(ceph.TypeOSD, ceph.AddrVec{peer})
	c.Send(msg(1))
	c.mu.Lock()
	c.clientCookie = rawCookie // as if CLIENT_IDENT had been sent
	c.mu.Unlock()
	p := dialRaw(t, e, "8", peer)
	r := &sessionReconnect{
		Addrs: ceph.AddrVec{peer}, ClientCookie: rawCookie, ServerCookie: 1, GlobalSeq: 1,
		ConnectSeq: 1,
	}
	var reset sessionReset
	if p.ask(tagSessionReconnect, r, tagSessionReset, &reset); reset.Full {
		t.Fatal("the reset is full")
	}
	var id serverIdent
	p.ask(tagClientIdent, p.ident(e, rawCookie), tagServerIdent, &id)
	if h := p.nextMessage(); h.seq != 1 || h.kind != uint16((*message.MMonGetVersion)(nil).Type()) {
		t.Fatalf("message %+v", h)
	}
	if e.seen("remote reset osd.8") != 0 {
		t.Fatalf("events %v", e.events)
	}
}

// TestNewCookie: a peer that comes with another cookie has forgotten the session.
func TestNewCookie(t *testing.T) {
	e := newEndpoint(t, 1, nil)
	self := rawSelf(1)
	p := dialRaw(t, e, "8", self)
	var id serverIdent
	p.ask(tagClientIdent, p.ident(e, rawCookie), tagServerIdent, &id)
	e.until("accepted", func() bool { return e.count("accepted osd.8") == 1 })
	c := e.Lookup(ceph.AddrVec{self})
	c.Send(msg(1))
	p.nextMessage()
	stale := dialRaw(t, e, "8", self)
	old := stale.ident(e, rawCookie+1)
	old.GlobalSeq = 3
	stale.refused(tagClientIdent, old)
	p2 := dialRaw(t, e, "8", self)
	p2.ask(tagClientIdent, p2.ident(e, rawCookie+2), tagServerIdent, &id)
	e.until("remote reset", func() bool { return e.count("remote reset osd.8") == 1 })
	e.until("connected", func() bool { return e.count("connected osd.8") == 1 })
	c.Send(msg(2))
	if h := p2.nextMessage(); h.seq != 1 {
		t.Fatalf("message %d", h.seq)
	}
	if e.seen("accepted osd.8") != 1 || e.Lookup(ceph.AddrVec{self}) != c {
		t.Fatalf("events %v", e.events)
	}
}

// Lookup is the connection to a peer at addrs, nil if there is none.
func (m *Messenger) Lookup(addrs ceph.AddrVec) *Conn {
	m.mu.Lock()
	defer m.mu.Unlock()
	key, _ := sessionKey(addrs)
	return m.sessions[key]
}
