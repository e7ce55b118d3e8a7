package msgr

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"glue/auth/cephx"
	"glue/auth/keyring"
	"glue/ceph"
	"glue/internal/crc32c"
	"glue/wire/message"
	"glue/wire/msgr1"
)

// A rawClient speaks msgr v1 from the client's side.
type rawClient struct {
	*link
	t    *testing.T
	seq  uint64
	got  incoming1
	last segments // of the message in got
}

// newLegacy is an endpoint that serves msgr v1 for clients that have the key.
func newLegacy(t *testing.T, tune func(o *Options)) (e *endpoint, key keyring.Key) {
	key, err := keyring.Generate(rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{Entity: ceph.EntityName{Type: ceph.TypeMon}, Server: osdAuth{monKey: key}}
	if tune != nil {
		tune(&opt)
	}
	e = &endpoint{Messenger: New(opt), t: t, changed: make(chan struct{}, 1)}
	for _, err := range []error{e.Bind(loopback), e.BindLegacy(loopback)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	e.Start(e)
	t.Cleanup(func() { e.Close() })
	return e, key
}

func dialLegacy(t *testing.T, e *endpoint) *rawClient {
	t.Helper()
	nc, err := net.Dial("tcp", e.Addrs().Of(ceph.AddrLegacy).HostPort())
	if err != nil {
		t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	var opt Options
	opt.defaults()
	p := &rawClient{link: newLink(nc, &opt), t: t}
	p.rd.record = nil
	p.legacy = &legacy{self: ceph.EntityName{Type: ceph.TypeClient, Num: 4}}
	p.wr.legacy = p.legacy
	t.Cleanup(func() { p.close(errClosed) })
	p.write(msgr1.AppendAddr([]byte(msgr1.Banner), ceph.Addr{Nonce: 77}))
	b := p.read(len(msgr1.Banner) + 2*msgr1.AddrBytes)
	server, err := msgr1.ParseAddr(b[len(msgr1.Banner):])
	if err != nil || server != e.Addrs().Of(ceph.AddrLegacy) {
		t.Fatalf("the server is %v, %v", server, err)
	}
	seen, err := msgr1.ParseAddr(b[len(msgr1.Banner)+msgr1.AddrBytes:])
	if want := nc.LocalAddr().(*net.TCPAddr).AddrPort(); err != nil || seen.AddrPort != want {
		t.Fatalf("the server sees %v, %v", seen, err)
	}
	return p
}

func (p *rawClient) write(b []byte) { p.nc.Write(b) }

func (p *rawClient) read(n int) []byte {
	p.t.Helper()
	b := make([]byte, n)
	if err := p.rd.full(b); err != nil {
		p.t.Fatal(err)
	}
	return b
}

// connect introduces the client and returns the answer.
func (p *rawClient) connect(c msgr1.Connect, authorizer []byte) msgr1.Reply {
	p.t.Helper()
	c.AuthorizerBytes = len(authorizer)
	p.write(append(c.Append(nil), authorizer...))
	r, n := msgr1.ParseReply(p.read(msgr1.ReplyBytes))
	r.Authorizer = p.read(n)
	return r
}

var goodConnect = msgr1.Connect{Features: ceph.FeaturesAll, Host: ceph.TypeClient, Protocol: 15,
	Method: cephx.MethodCephx, GlobalSeq: 1}

func newAuthorizer(t *testing.T, key keyring.Key) *cephx.Authorizer {
	name := ceph.AuthName{Type: ceph.TypeClient, ID: "x"}
	az, err := cephx.NewMonAuthorizer(name, key, time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return az
}

// authenticate runs the whole handshake.
func (p *rawClient) authenticate(key keyring.Key) {
	p.t.Helper()
	az := newAuthorizer(p.t, key)
	r := p.connect(goodConnect, az.Request())
	if r.Tag != msgr1.TagChallenge {
		p.t.Fatalf("tag %d instead of a challenge", r.Tag)
	}
	again, err := az.More(r.Authorizer)
	if err != nil {
		p.t.Fatal(err)
	}
	r = p.connect(goodConnect, again)
	if r.Tag != msgr1.TagReady || r.Flags != msgr1.FlagLossy || r.ConnectSeq != 1 ||
		r.Features&ceph.FeaturesRequired != ceph.FeaturesRequired {
		p.t.Fatalf("got %+v", r)
	}
	session, _, err := az.Done(r.Authorizer)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.proven(AuthStep{SessionKey: session}, true); err != nil {
		p.t.Fatal(err)
	}
}

// bytes is a message as it goes out.
func (p *rawClient) bytes(m *message.Message) []byte {
	p.seq++
	m.Seq = p.seq
	p.wr.message(m, ceph.FeaturesAll, 0)
	var b bytes.Buffer
	p.wr.cut()
	p.wr.pieces.WriteTo(&b)
	p.wr.arena, p.wr.pieces, p.wr.mark, p.wr.size = p.wr.arena[:0], nil, 0, 0
	return b.Bytes()
}

// next reads what comes next; messages are checked with their signatures.
func (p *rawClient) next() msgr1.Tag {
	p.t.Helper()
	err := p.next1(&p.got)
	if err == nil && p.got.tag == msgr1.TagMessage {
		p.last, err = p.tail1(&p.got.head)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return p.got.tag
}

// closed says whether the server ends the connection.
func (p *rawClient) closed() bool {
	_, err := io.Copy(io.Discard, p.nc)
	var timeout net.Error
	return !errors.As(err, &timeout) || !timeout.Timeout()
}

func TestLegacyExchange(t *testing.T) {
	e, key := newLegacy(t, nil)
	big := payload(9, 100_000)
	e.on = func(c *Conn, m *message.Message) {
		answer := m.Reply(&message.MMonGetVersionReply{})
		answer.Data = append([]byte(nil), m.Data...)
		if len(m.Data) == len(big) {
			sum := crc32c.Update(0, m.Data)
			answer.Sum = &sum
		}
		c.Send(answer)
	}
	p := dialLegacy(t, e)
	p.authenticate(key)
	for n, size := range []int{0, 300, len(big)} {
		m := msg(uint64(n))
		m.TID, m.Data = uint64(n)+5, big[:size]
		p.write(p.bytes(m))
		if tag := p.next(); tag != msgr1.TagMessage {
			t.Fatalf("tag %d", tag)
		}
		if h := p.got.head; h.TID != uint64(n)+5 || h.Seq != uint64(n)+1 ||
			h.Source.Type != ceph.TypeMon || !bytes.Equal(p.last.data, big[:size]) {
			t.Fatalf("got %+v", h)
		}
	}
	p.write(append([]byte{byte(msgr1.TagKeepalive), byte(msgr1.TagKeepalive2)}, "stamp678"...))
	if tag := p.next(); tag != msgr1.TagKeepalive2Ack || string(p.got.word[:]) != "stamp678" {
		t.Fatalf("tag %d, %q", tag, p.got.word)
	}
	p.write(append([]byte{byte(msgr1.TagAck)}, "12345678"...))
	old := msg(100) // a number that was there before is dropped
	p.seq = 1
	p.write(p.bytes(old))
	p.seq = 10 // a gap is not
	p.write(p.bytes(msg(101)))
	e.until("the message after a gap", func() bool { return len(e.got) == 4 && e.got[3] == 101 })
	c := e.conns[0]
	want := ceph.Addr{Type: ceph.AddrLegacy, Nonce: 77,
		AddrPort: netip.AddrPortFrom(c.Peer().Socket.Addr(), 0)}
	if q := c.Peer(); q.AuthName.ID != "x" || q.Name.Type != ceph.TypeClient || q.Addrs[0] != want {
		t.Errorf("the peer is %+v", q)
	}
	p.write([]byte{byte(msgr1.TagClose)})
	e.until("reset", func() bool { return e.count("reset client.0") == 1 })
	if !c.Closed() {
		t.Error("the connection is not closed")
	}
}

// TestLegacyRefused: who proves nothing gets no session, and can try again.
func TestLegacyRefused(t *testing.T) {
	e, key := newLegacy(t, func(o *Options) { o.HandshakeTimeout = 2 * time.Second })
	wrong, _ := keyring.Generate(rand.Reader, time.Now())
	with := func(f func(c *msgr1.Connect)) msgr1.Connect {
		c := goodConnect
		f(&c)
		return c
	}
	for _, c := range []struct {
		name    string
		connect msgr1.Connect
		proof   []byte
		want    msgr1.Tag
	}{
		{"a wrong key", goodConnect, newAuthorizer(t, wrong).Request(), msgr1.TagBadAuthorizer},
		{"no authorizer", with(func(c *msgr1.Connect) { c.Method = 0 }), nil,
			msgr1.TagBadAuthorizer},
		{"an empty authorizer", goodConnect, nil, msgr1.TagBadAuthorizer},
		{"method none", with(func(c *msgr1.Connect) { c.Method = cephx.MethodNone }),
			newAuthorizer(t, key).Request(), msgr1.TagBadAuthorizer},
		{"noise", goodConnect, payload(1, 200), msgr1.TagBadAuthorizer},
		{"no signatures", with(func(c *msgr1.Connect) { c.Features &^= 1 << 23 }),
			newAuthorizer(t, key).Request(), msgr1.TagFeatures},
		{"no challenges", with(func(c *msgr1.Connect) { c.Features &^= 1 << 61 }),
			newAuthorizer(t, key).Request(), msgr1.TagFeatures},
		{"old encodings", with(func(c *msgr1.Connect) { c.Features &^= ceph.FeatureMsgAddr2 }),
			newAuthorizer(t, key).Request(), msgr1.TagFeatures},
		{"another protocol", with(func(c *msgr1.Connect) { c.Protocol = 24 }),
			newAuthorizer(t, key).Request(), msgr1.TagBadProtocol},
		{"a session of before", with(func(c *msgr1.Connect) { c.ConnectSeq = 1 }),
			newAuthorizer(t, key).Request(), msgr1.TagResetSession},
	} {
		p := dialLegacy(t, e)
		if r := p.connect(c.connect, c.proof); r.Tag != c.want || len(r.Authorizer) != 0 {
			t.Errorf("%s: tag %d, want %d", c.name, r.Tag, c.want)
		}
		p.authenticate(key) // on the same connection
	}
	for name, c := range map[string]msgr1.Connect{
		"an OSD":            with(func(c *msgr1.Connect) { c.Host = ceph.TypeOSD }),
		"a long authorizer": with(func(c *msgr1.Connect) { c.AuthorizerBytes = 4097 }),
		"a type of nothing": with(func(c *msgr1.Connect) { c.Host = 0 }),
	} {
		p := dialLegacy(t, e)
		p.write(c.Append(nil))
		if !p.closed() {
			t.Errorf("%s: the connection stays open", name)
		}
	}
	p := dialLegacy(t, e)
	for range maxConnects {
		p.connect(goodConnect, nil)
	}
	if !p.closed() {
		t.Error("a peer may try for ever")
	}
	if len(e.got) != 0 {
		t.Errorf("%d messages", len(e.got))
	}
}

// TestLegacyReplay: the answer to the challenge of another connection is worth nothing.
func TestLegacyReplay(t *testing.T) {
	e, key := newLegacy(t, nil)
	az := newAuthorizer(t, key)
	recorded, err := az.More(dialLegacy(t, e).connect(goodConnect, az.Request()).Authorizer)
	if err != nil {
		t.Fatal(err)
	}
	p := dialLegacy(t, e)
	for _, want := range []msgr1.Tag{msgr1.TagChallenge, msgr1.TagBadAuthorizer} {
		if r := p.connect(goodConnect, recorded); r.Tag != want {
			t.Errorf("tag %d, want %d", r.Tag, want)
		}
	}
}

// TestLegacyFlippedBits: no bit of a signed message can be changed.
func TestLegacyFlippedBits(t *testing.T) {
	e, key := newLegacy(t, nil)
	for bit := 0; ; bit += 7 {
		p := dialLegacy(t, e)
		p.authenticate(key)
		m := msg(4711)
		m.Data = payload(1, 30)
		b := p.bytes(m)
		if bit >= len(b)*8 {
			p.write(b)
			e.until("the message that is whole", func() bool { return len(e.got) == 1 })
			return
		}
		b[bit/8] ^= 1 << (bit % 8)
		p.write(b)
		p.nc.(*net.TCPConn).CloseWrite()
		if !p.closed() || len(e.got) != 0 {
			t.Fatalf("bit %d of %d: %d messages", bit, len(b)*8, len(e.got))
		}
	}
}

// TestLegacyUnsigned: where signatures are off, they are neither made nor asked for.
func TestLegacyUnsigned(t *testing.T) {
	e, key := newLegacy(t, func(o *Options) { o.Sign = func() bool { return false } })
	e.on = func(c *Conn, m *message.Message) { c.Send(m.Reply(&message.MMonGetVersionReply{})) }
	p := dialLegacy(t, e)
	p.authenticate(key)
	p.legacy.in, p.legacy.out = nil, nil
	p.write(p.bytes(msg(1)))
	if p.next() != msgr1.TagMessage {
		t.Error("no answer")
	}
	e, key = newLegacy(t, nil)
	p = dialLegacy(t, e)
	p.authenticate(key)
	p.legacy.out = nil
	p.write(p.bytes(msg(1)))
	if !p.closed() || len(e.got) != 0 {
		t.Error("a message without a signature is taken")
	}
}

func TestLegacyGarbage(t *testing.T) {
	e, key := newLegacy(t, func(o *Options) {
		o.HandshakeTimeout = 300 * time.Millisecond
		o.MaxFront, o.MaxMiddle, o.MaxData = 1000, 100, 10_000
	})
	at := e.Addrs().Of(ceph.AddrLegacy).AddrPort
	hello := msgr1.AppendAddr([]byte(msgr1.Banner), ceph.Addr{})
	noise := payload(3, 4096)
	badAddr := bytes.Clone(hello)
	badAddr[len(msgr1.Banner)+8] = 99
	for name, b := range map[string][]byte{
		"nothing": nil, "http": []byte("GET / HTTP/1.0\r\n\r\n"), "noise": noise,
		"msgr2": []byte(banner), "half a banner": hello[:4], "no address": hello[:9],
		"an odd address": badAddr, "noise for an introduction": append(hello, noise...),
	} {
		if !hangsUp(t, at, b) {
			t.Errorf("%s: the connection stays open", name)
		}
	}
	for name, h := range map[string]msgr1.Header{
		"front": {Front: 1001}, "middle": {Middle: 101}, "data": {Data: 10_001},
		"all": {Front: 1<<32 - 1, Middle: 1<<32 - 1, Data: 1<<32 - 1},
	} {
		p := dialLegacy(t, e)
		p.authenticate(key)
		b := make([]byte, 1+msgr1.HeaderBytes)
		b[0] = byte(msgr1.TagMessage)
		h.Put(b[1:])
		p.write(b)
		if !p.closed() {
			t.Errorf("%s: the connection stays open", name)
		}
	}
	for _, tag := range []msgr1.Tag{0, msgr1.TagReady, msgr1.TagChallenge, 13, 255} {
		p := dialLegacy(t, e)
		p.authenticate(key)
		p.write([]byte{byte(tag)})
		if !p.closed() {
			t.Errorf("tag %d in a session: the connection stays open", tag)
		}
	}
	if n := e.unauthenticated.Load(); n != 0 {
		t.Errorf("%d connections are counted", n)
	}
}

// wordAuth is a monitor that wants a word.
type wordAuth struct{ osdAuth }

func (wordAuth) Login(netip.AddrPort) ServerLogin { return wordAuth{} }

func (wordAuth) Auth(m *message.MAuth) (s LoginStep, err error) {
	r := &message.MAuthReply{}
	s.Replies = []message.Body{r}
	switch string(m.Payload) {
	case "open":
		s.Done, s.GlobalID, r.GlobalID = true, 12, 12
		s.Name = ceph.AuthName{Type: ceph.TypeClient, ID: "x"}
	case "nobody":
		s.Done = true
	case "busy":
		err = ceph.EBUSY
	default:
		s.Refused, r.Result = ceph.EACCES, ceph.EACCES.Result()
	}
	return s, err
}

func auth(word string) *message.Message {
	return message.New(&message.MAuth{Payload: []byte(word)})
}

// TestLegacyLogin: a monitor's client authenticates by messages; nothing else is dispatched before.
func TestLegacyLogin(t *testing.T) {
	e, _ := newLegacy(t, func(o *Options) {
		o.Server, o.HandshakeTimeout = wordAuth{}, time.Second
	})
	e.on = func(c *Conn, m *message.Message) { c.Send(m.Reply(&message.MMonGetVersionReply{})) }
	ready := func() *rawClient {
		p := dialLegacy(t, e)
		c := goodConnect
		c.Method = 0
		if r := p.connect(c, nil); r.Tag != msgr1.TagReady {
			t.Fatalf("tag %d", r.Tag)
		}
		return p
	}
	result := func(p *rawClient) int32 {
		t.Helper()
		if p.next() != msgr1.TagMessage {
			t.Fatalf("tag %d", p.got.tag)
		}
		m := message.Message{Version: p.got.head.Version}
		err := m.Decode(message.Type(p.got.head.Type), p.last.front, ceph.FeaturesAll)
		if err != nil {
			t.Fatal(err)
		}
		return m.Body.(*message.MAuthReply).Result
	}
	p := ready()
	p.write(append([]byte{byte(msgr1.TagKeepalive2)}, "stamp678"...))
	if p.next() != msgr1.TagKeepalive2Ack {
		t.Fatalf("tag %d", p.got.tag)
	}
	p.write(p.bytes(msg(666))) // too early
	p.write(p.bytes(auth("sesame")))
	if r := result(p); r != ceph.EACCES.Result() {
		t.Fatalf("result %d", r)
	}
	p.write(p.bytes(auth("open")))
	if r := result(p); r != 0 || p.got.head.Seq != 2 {
		t.Fatalf("result %d, number %d", r, p.got.head.Seq)
	}
	p.write(p.bytes(msg(7)))
	if p.next() != msgr1.TagMessage || p.got.head.Seq != 3 {
		t.Fatalf("got %+v", p.got)
	}
	e.until("one message", func() bool { return len(e.got) == 1 && e.got[0] == 7 })
	if n := e.conns[0].Peer().Name.Num; n != 12 {
		t.Errorf("the peer is client.%d", n)
	}

	long, data := auth(string(payload(1, controlBytes+1))), auth("open")
	data.Data = []byte("x")
	for name, list := range map[string][]*message.Message{
		"a long request": {long}, "a request with data": {data}, "a busy monitor": {auth("busy")},
		"a message before": {msg(1)}, "nobody": {auth("nobody")},
		"guesses": {auth("a"), auth("b"), auth("c"), auth("d")},
	} {
		p := ready()
		for _, m := range list {
			p.write(p.bytes(m))
		}
		if !p.closed() {
			t.Errorf("%s: the connection stays open", name)
		}
	}
	if len(e.got) != 1 || e.seen("accepted client.12") != 1 || len(e.conns) != 1 {
		t.Errorf("%d messages, %v", len(e.got), e.events)
	}
}

// FuzzLegacyServer throws bytes at a listening messenger, from the introduction on.
func FuzzLegacyServer(f *testing.F) {
	m := New(Options{
		Entity: ceph.EntityName{Type: ceph.TypeMon}, HandshakeTimeout: 50 * time.Millisecond,
		Server: wordAuth{},
	})
	if err := m.BindLegacy(loopback); err != nil {
		f.Fatal(err)
	}
	m.Start(benchDispatcher{func(*Conn, *message.Message) { panic("dispatched") }})
	at := m.Addrs().Of(ceph.AddrLegacy).HostPort()
	c := goodConnect
	f.Add(c.Append(nil))
	p := &rawClient{link: &link{legacy: &legacy{}}}
	p.wr.legacy = p.legacy
	f.Add(append(c.Append(nil), p.bytes(auth("sesame"))...))
	hello := msgr1.AppendAddr([]byte(msgr1.Banner), ceph.Addr{})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := net.Dial("tcp", at)
		if err != nil {
			return
		}
		c.Write(append(bytes.Clone(hello), b...))
		c.Close()
	})
}

// TestBindAll: without a port an address takes one of the range of the options, whichever protocol
// it is for; monitors, which are found by their ports, take no other.
func TestBindAll(t *testing.T) {
	options := map[string]string{"ms_bind_msgr1": "true", "ms_bind_port_min": "24800",
		"ms_bind_port_max": "24999"}
	option := func(name string) string { return options[name] }
	v1 := ceph.Addr{Type: ceph.AddrLegacy, AddrPort: loopback}
	v2 := ceph.Addr{Type: ceph.AddrMsgr2, AddrPort: loopback}
	for _, addrs := range []ceph.AddrVec{{v2}, {v1, v2}} {
		m := New(Options{Entity: ceph.EntityName{Type: ceph.TypeOSD}, Server: osdAuth{}})
		defer m.Close()
		if err := m.BindAll(addrs, option, true); err != nil {
			t.Fatal(err)
		}
		got := m.Addrs()
		for _, a := range got {
			if port := a.AddrPort.Port(); port < 24800 || port > 24999 {
				t.Errorf("%v: %v is outside of the range", addrs, a)
			}
		}
		if len(got) != 2 || got[0].Type != addrs[0].Type {
			t.Errorf("%v: bound to %v", addrs, got)
		}
		taken := New(Options{Entity: ceph.EntityName{Type: ceph.TypeMon}, Server: osdAuth{}})
		defer taken.Close()
		if err := taken.BindAll(got, option, false); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("bound to %v twice: %v", got, err)
		}
	}
}
