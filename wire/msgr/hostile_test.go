package msgr

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/ceph/denc"
	"glue/internal/crc32c"
	"glue/wire/message"
)

// hangsUp says whether the server closes a connection that sends b, within a while.
func hangsUp(t *testing.T, at netip.AddrPort, b []byte) bool {
	t.Helper()
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	c.Write(b)
	_, err = io.Copy(io.Discard, c)
	var timeout net.Error
	return !errors.As(err, &timeout) || !timeout.Timeout()
}

func TestGarbage(t *testing.T) {
	e := newEndpoint(t, 0, func(o *Options) { o.HandshakeTimeout = 300 * time.Millisecond })
	at := e.Addrs()[0].AddrPort
	noise := make([]byte, 4096)
	rand.Read(noise)
	features := func(n uint16, supported, required uint64) []byte {
		b := binary.LittleEndian.AppendUint16([]byte(banner), n)
		b = binary.LittleEndian.AppendUint64(b, supported)
		return binary.LittleEndian.AppendUint64(b, required)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "http": []byte("GET / HTTP/1.0\r\n\r\n"), "noise": noise,
		"msgr v1": []byte("ceph v027"), "half a banner": []byte(banner)[:3],
		"banner and no more": []byte(banner), "short features": features(8, 1, 0),
		"long features": features(60000, 1, 0), "msgr 2.0": features(16, 0, 0),
		"unknown requirement": features(16, 1, 4),
		"noise for a hello":   append(features(16, 1, 0), noise...),
	} {
		if !hangsUp(t, at, b) {
			t.Errorf("%s: the connection stays open", name)
		}
	}
	if n := e.unauthenticated.Load(); n != 0 {
		t.Errorf("%d connections are counted", n)
	}
}

// TestTooMany: connections that do not authenticate are bounded, and those that do get in again
// afterwards.
func TestTooMany(t *testing.T) {
	e := newEndpoint(t, 0, func(o *Options) {
		o.MaxUnauthenticated, o.HandshakeTimeout = 4, 500*time.Millisecond
	})
	at := e.Addrs()[0].AddrPort
	var open atomic.Int64
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			c, err := net.Dial("tcp", at.String())
			if err != nil {
				return
			}
			defer c.Close()
			c.SetReadDeadline(time.Now().Add(5 * time.Second))
			start := time.Now()
			io.Copy(io.Discard, c)
			if time.Since(start) > 300*time.Millisecond {
				open.Add(1)
			}
		})
	}
	all.Wait()
	if n := open.Load(); n > 4 || n == 0 {
		t.Fatalf("%d connections were kept waiting", n)
	}
	a := newEndpoint(t, 1, nil)
	a.Connect(ceph.TypeOSD, e.Addrs()).Send(msg(1))
	e.until("message", func() bool { return len(e.got) == 1 })
}

// A tap records what a client writes, and can change it on its way.
type tap struct {
	mu   sync.Mutex
	sent []byte
	flip int64 // index of the bit to change; negative: none
}

type tapConn struct {
	net.Conn
	t *tap
}

func (c tapConn) Write(p []byte) (int, error) {
	c.t.mu.Lock()
	at := int64(len(c.t.sent)) * 8
	c.t.sent = append(c.t.sent, p...)
	if i := c.t.flip - at; c.t.flip >= 0 && i >= 0 && i < int64(len(p))*8 {
		p = bytes.Clone(p)
		p[i/8] ^= 1 << (i % 8)
	}
	c.t.mu.Unlock()
	return c.Conn.Write(p)
}

func (t *tap) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	c, err := dialTCP(ctx, to)
	return tapConn{c, t}, err
}

// once sends one message over a lossy session through a tap and reports whether it arrived.
func once(t *testing.T, server *endpoint, tune func(o *Options), tp *tap) bool {
	a := newEndpoint(t, 9, func(o *Options) {
		tune(o)
		o.Dial, o.HandshakeTimeout = tp.dial, 5*time.Second
	})
	defer a.Close()
	before := len(server.got)
	c := a.Connect(ceph.TypeMon, server.Addrs())
	m := msg(4711)
	m.Data = payload(1, 300)
	c.Send(m)
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		server.mu.Lock()
		n := len(server.got)
		server.mu.Unlock()
		if n > before {
			return true
		}
		if c.Closed() {
			return false
		}
		time.Sleep(200 * time.Microsecond)
	}
	t.Fatal("neither arrived nor failed")
	return false
}

func lossyModes(t *testing.T, f func(t *testing.T, tune func(o *Options))) {
	modes(t, func(t *testing.T, tune func(o *Options)) {
		f(t, func(o *Options) { tune(o); lossy(o) })
	})
}

// TestFlippedBits changes one bit of what a client sends: nothing that was changed is dispatched.
func TestFlippedBits(t *testing.T) {
	lossyModes(t, func(t *testing.T, tune func(o *Options)) {
		b := newEndpoint(t, 1, tune)
		b.on = func(_ *Conn, m *message.Message) {
			g := m.Body.(*message.MMonGetVersion)
			if g.Handle != 4711 || g.What != "osdmap" || !bytes.Equal(m.Data, payload(1, 300)) {
				t.Errorf("a changed message was dispatched: %+v", g)
			}
		}
		whole := &tap{flip: -1}
		if !once(t, b, tune, whole) {
			t.Fatal("does not arrive unchanged")
		}
		bits := len(whole.sent) * 8
		arrived := 0
		for i := 0; i < bits; i += bits/150 + 1 {
			if once(t, b, tune, &tap{flip: int64(i)}) {
				arrived++
			}
		}
		if arrived > 0 {
			t.Errorf("%d changed connections carried a message", arrived)
		}
	})
}

// CVE-2020-25660: msgr2 let authorizers be replayed. The bytes of a whole session, sent again, open
// nothing.
func TestCVE2020_25660_ReplayedConnection(t *testing.T) {
	lossyModes(t, func(t *testing.T, tune func(o *Options)) {
		b := newEndpoint(t, 1, func(o *Options) {
			tune(o)
			o.HandshakeTimeout = 300 * time.Millisecond
		})
		tp := &tap{flip: -1}
		if !once(t, b, tune, tp) {
			t.Fatal("does not arrive")
		}
		step := len(tp.sent)/12 + 1
		var all sync.WaitGroup
		for n := len(tp.sent); n > 0; n -= step {
			all.Go(func() {
				if !hangsUp(t, b.Addrs()[0].AddrPort, tp.sent[:n]) {
					t.Errorf("the first %d bytes leave the connection open", n)
				}
			})
		}
		all.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.got) != 1 || b.count("accepted mon.9") != 1 {
			t.Fatalf("%d messages, events %v", len(b.got), b.events)
		}
	})
}

// TestImpersonation: what a peer calls itself must fit the key that it proves.
func TestImpersonation(t *testing.T) {
	key, _ := keyring.Generate(rand.Reader, time.Now())
	as := func(self ceph.EntityName, proven ceph.AuthName) func(o *Options) {
		return func(o *Options) {
			lossy(o)
			o.Entity = self
			a := osdAuth{name: proven, monKey: key}
			o.Server, o.Client = a, a
		}
	}
	named := func(t ceph.EntityType, n int64) ceph.EntityName {
		return ceph.EntityName{Type: t, Num: n}
	}
	keyOf := func(t ceph.EntityType, id string) ceph.AuthName {
		return ceph.AuthName{Type: t, ID: id}
	}
	osd := func(n int64) ceph.EntityName { return named(ceph.TypeOSD, n) }
	b := newEndpoint(t, 1, as(osd(1), ceph.AuthName{Type: ceph.TypeOSD, ID: "1"}))
	for name, c := range map[string]struct {
		self ceph.EntityName
		key  ceph.AuthName
		ok   bool
	}{
		"itself":          {osd(3), keyOf(ceph.TypeOSD, "3"), true},
		"as a client":     {named(ceph.TypeClient, 5), keyOf(ceph.TypeOSD, "3"), true},
		"another OSD":     {osd(4), keyOf(ceph.TypeOSD, "3"), false},
		"client as OSD":   {osd(3), keyOf(ceph.TypeClient, "3"), false},
		"OSD as a mon":    {named(ceph.TypeMon, 0), keyOf(ceph.TypeOSD, "0"), false},
		"client as a mgr": {named(ceph.TypeMgr, 5), keyOf(ceph.TypeClient, "x"), false},
	} {
		a := newEndpoint(t, 9, as(c.self, c.key))
		conn := a.Connect(ceph.TypeOSD, b.Addrs())
		a.until(name, func() bool { return len(a.events) > 0 })
		if ready := conn.Ready(); ready != c.ok {
			t.Errorf("%s: ready %v: %v", name, ready, conn.Err())
		}
		a.Close()
	}
}

// TestHostileLengths: a preamble that announces more than the limits is refused before memory is
// taken for it.
func TestHostileLengths(t *testing.T) {
	l := limits{control: controlBytes, front: 64 << 20, middle: 64 << 20, data: 256 << 20}
	huge := []int{0, 1, 41, controlBytes + 1, 64 << 20, 256 << 20, 1 << 30, 1<<31 - 1}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := 0
	for tg := range 22 {
		for segs := range 6 {
			for _, a := range huge {
				for _, b := range huge {
					p := preamble{tag: tag(tg), segments: min(segs, maxSegments)}
					for i := range p.segments {
						p.lens[i] = []int{a, b}[i%2]
					}
					raw := make([]byte, preambleBytes)
					p.put(raw)
					raw[1] = byte(segs)
					binary.LittleEndian.PutUint32(raw[28:], crc32c.Update(0, raw[:28]))
					readAll(raw, l, nil)
					n++
				}
			}
		}
	}
	runtime.ReadMemStats(&after)
	if per := (after.TotalAlloc - before.TotalAlloc) / uint64(n); per > 1<<20 {
		t.Fatalf("%d bytes are allocated for one preamble", per)
	}
}

// readAll reads frames until an error, as a connection does.
func readAll(raw []byte, l limits, rx *sealer) (messages int, err error) {
	f := &frameReader{
		src: bytes.NewReader(raw), buf: make([]byte, readBufferBytes), active: new(atomic.Bool),
		limits: l, rx: rx,
	}
	for {
		if err := f.next(); err != nil {
			return messages, err
		}
		if f.pre.tag != tagMessage {
			if _, err := f.control(); err != nil {
				return messages, err
			}
			continue
		}
		var head [messageHeadBytes]byte
		if err := f.head(head[:]); err != nil {
			return messages, err
		}
		s, err := f.tail()
		if err != nil {
			return messages, err
		}
		if len(s.front) != f.pre.lens[1] || len(s.middle) != f.pre.lens[2] ||
			len(s.data) != f.pre.lens[3] {
			return messages, errors.New("segments are not as long as announced")
		}
		messages++
	}
}

// frames encodes a few frames; tx nil is crc mode.
func frames(tx *sealer) []byte {
	w := &frameWriter{tx: tx}
	w.control(tagKeepalive2, denc.Marshal(&keepalive{ceph.Time{Sec: 1}}, 0))
	m := msg(7)
	m.Middle, m.Data = []byte("middle"), payload(1, 100)
	w.message(m, ceph.FeaturesAll, 3)
	w.message(msg(8), ceph.FeaturesAll, 3)
	w.message(message.New(&message.MMonGetMap{}), ceph.FeaturesAll, 3)
	w.control(tagServerIdent, denc.Marshal(&serverIdent{Addrs: ceph.AddrVec{{Nonce: 1}}}, 0))
	return bytes.Clone(w.bytes())
}

func sealerPair(t testing.TB) (tx, rx *sealer) {
	secret := make([]byte, secretBytes)
	rand.Read(secret)
	tx, _, err := newSealers(secret, false)
	if err != nil {
		t.Fatal(err)
	}
	_, rx, _ = newSealers(secret, true)
	return tx, rx
}

var wide = limits{control: controlBytes, front: 1 << 20, middle: 1 << 20, data: 1 << 20}

// TestCutFrames ends the stream at every byte: an error, and no message that was not whole.
func TestCutFrames(t *testing.T) {
	raw := frames(nil)
	if n, err := readAll(raw, wide, nil); n != 3 || err != io.EOF {
		t.Fatalf("whole: %d messages, %v", n, err)
	}
	for cut := range raw {
		if n, err := readAll(raw[:cut], wide, nil); n > 3 || err == nil {
			t.Fatalf("cut at %d: %d messages, %v", cut, n, err)
		}
	}
	tx, rx := sealerPair(t)
	sealed := frames(tx)
	again := *rx
	if n, err := readAll(bytes.Clone(sealed), wide, &again); n != 3 || err != io.EOF {
		t.Fatalf("whole: %d messages, %v", n, err)
	}
	for cut := range sealed {
		again := *rx
		if _, err := readAll(bytes.Clone(sealed[:cut]), wide, &again); err == nil {
			t.Fatalf("cut at %d", cut)
		}
	}
}

// CVE-2018-1129: messages could be changed on their way without the signature showing it. In secure
// mode no bit of a frame can be: none is read past the change. Crc mode has no such protection.
func TestCVE2018_1129_SealedBits(t *testing.T) {
	tx, rx := sealerPair(t)
	sealed := frames(tx)
	for i := range len(sealed) * 8 {
		b := bytes.Clone(sealed)
		b[i/8] ^= 1 << (i % 8)
		again := *rx
		if n, err := readAll(b, wide, &again); err == nil || err == io.EOF || n > 3 {
			t.Fatalf("bit %d: %d messages, %v", i, n, err)
		}
	}
	// A record that is repeated or left out does not open either.
	again := *rx
	if _, err := readAll(bytes.Clone(sealed[96:]), wide, &again); !errors.Is(err, errSealed) {
		t.Fatalf("first record left out: %v", err)
	}
	again = *rx
	twice := append(bytes.Clone(sealed[:96]), sealed...)
	if _, err := readAll(twice, wide, &again); !errors.Is(err, errSealed) {
		t.Fatalf("first record twice: %v", err)
	}
}

// CVE-2020-1759: secure mode used nonces again. Here none is used twice, in either direction, also
// across a wrap of 32 bits.
func TestCVE2020_1759_Nonces(t *testing.T) {
	secret := make([]byte, secretBytes)
	rand.Read(secret)
	binary.LittleEndian.PutUint64(secret[32:], 1<<32-50) // counter of the client's sending nonce
	ctx, crx, _ := newSealers(secret, false)
	stx, srx, _ := newSealers(secret, true)
	if ctx.nonce != srx.nonce || stx.nonce != crx.nonce || ctx.nonce == crx.nonce {
		t.Fatal("the two sides disagree, or both directions start alike")
	}
	seen := make(map[[12]byte]bool)
	for range 100 {
		for _, s := range []*sealer{ctx, stx} {
			if seen[s.nonce] {
				t.Fatal("a nonce is used twice")
			}
			seen[s.nonce] = true
			s.seal(make([]byte, 16, 64), 0)
		}
	}
	if n := binary.LittleEndian.Uint64(ctx.nonce[4:]); n != 1<<32+50 {
		t.Fatalf("after a hundred records from 2^32-50 on the counter is at %d", n)
	}
	if _, _, err := newSealers(secret[:39], true); err == nil {
		t.Fatal("a short secret is taken")
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(frames(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for at := 0; at+preambleBytes <= len(raw) && at < 200; at += preambleBytes {
			binary.LittleEndian.PutUint32(raw[at+28:], crc32c.Update(0, raw[at:at+28]))
		}
		readAll(raw, wide, nil)
	})
}

func FuzzHandshake(f *testing.F) {
	f.Add(denc.Marshal(&clientIdent{Addrs: ceph.AddrVec{{Nonce: 1}}}, 0))
	f.Add(denc.Marshal(&authRequest{Method: 2, Modes: []Mode{1}, Payload: []byte("x")}, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v := range []denc.Value{
			&hello{}, &authRequest{}, &authBadMethod{}, &authMore{}, &authDone{}, &authSignature{},
			&clientIdent{}, &serverIdent{}, &sessionReconnect{}, &number{}, &sessionReset{},
			&keepalive{},
		} {
			if denc.Unmarshal(b, v, ceph.FeaturesAll) == nil {
				denc.Marshal(v, ceph.FeaturesAll)
			}
		}
	})
}

// FuzzServer throws bytes at a listening messenger.
func FuzzServer(f *testing.F) {
	m := New(Options{
		Entity: ceph.EntityName{Type: ceph.TypeOSD}, HandshakeTimeout: 50 * time.Millisecond,
		Server: noneAuth{},
	})
	if err := m.Bind(loopback); err != nil {
		f.Fatal(err)
	}
	m.Start(benchDispatcher{func(*Conn, *message.Message) { panic("dispatched") }})
	hi := binary.LittleEndian.AppendUint16([]byte(banner), bannerFeatures)
	hi = binary.LittleEndian.AppendUint64(hi, 1)
	hi = binary.LittleEndian.AppendUint64(hi, 0)
	f.Add(hi)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := net.Dial("tcp", m.Addrs()[0].AddrPort.String())
		if err != nil {
			return
		}
		c.Write(b)
		c.Close()
	})
}

// TestAborted: a frame that its sender gave up is read to its end and dropped.
func TestAborted(t *testing.T) {
	e := newEndpoint(t, 1, lossy)
	p := dialRaw(t, e, "8", rawSelf(1))
	var id serverIdent
	p.ask(tagClientIdent, p.ident(e, 0), tagServerIdent, &id)
	m := msg(1)
	m.Seq, m.Data = 1, payload(1, 600)
	p.wr.message(m, ceph.FeaturesAll, 0)
	b := p.wr.bytes()
	b[len(b)-epilogueCRCBytes] = lateStatusAborted
	clear(b[len(b)-600-epilogueCRCBytes : len(b)-epilogueCRCBytes]) // as kernels do
	next := msg(2)
	next.Seq = 2
	p.wr.message(next, ceph.FeaturesAll, 0)
	if err := p.wr.flush(p.nc); err != nil {
		t.Fatal(err)
	}
	e.until("the next message", func() bool { return len(e.got) == 1 && e.got[0] == 2 })
}
