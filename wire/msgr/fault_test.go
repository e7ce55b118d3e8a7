package msgr

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"glue/ceph"
	"glue/wire/message"
)

var errInjected = errors.New("injected socket failure")

// faults breaks sockets at random: one write or read in `every` ends the connection, a write after
// a part of the bytes.
type faults struct {
	every atomic.Int64
	count atomic.Int64
	mu    sync.Mutex
	rnd   *rand.Rand
}

func newFaults(seed uint64, every int64) *faults {
	f := &faults{rnd: rand.New(rand.NewPCG(seed, 1))}
	f.every.Store(every)
	return f
}

func (f *faults) hit() (cut float64, ok bool) {
	n := f.every.Load()
	if n == 0 {
		return 0, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rnd.Int64N(n) != 0 {
		return 0, false
	}
	f.count.Add(1)
	return f.rnd.Float64(), true
}

type faultyConn struct {
	net.Conn
	f *faults
}

func (c *faultyConn) Write(p []byte) (int, error) {
	if cut, ok := c.f.hit(); ok {
		c.Conn.Write(p[:int(cut*float64(len(p)))])
		c.Conn.Close()
		return 0, errInjected
	}
	return c.Conn.Write(p)
}

func (c *faultyConn) Read(p []byte) (int, error) {
	if _, ok := c.f.hit(); ok {
		c.Conn.Close()
		return 0, errInjected
	}
	return c.Conn.Read(p)
}

func (f *faults) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	c, err := dialTCP(ctx, to)
	if err != nil {
		return nil, err
	}
	return &faultyConn{c, f}, nil
}

// A stream checks that one direction of a session delivers each message once and in order.
type stream struct {
	t    *testing.T
	next atomic.Uint64
	bad  atomic.Bool
}

func (s *stream) take(h uint64) {
	if want := s.next.Load(); h != want && !s.bad.Swap(true) {
		s.t.Errorf("got message %d, expected %d", h, want)
	}
	s.next.Add(1)
}

// TestLossless sends both ways through sockets that keep failing.
func TestLossless(t *testing.T) {
	modes(t, func(t *testing.T, tune func(o *Options)) {
		const total = 6000
		f := newFaults(42, 60)
		with := func(o *Options) { tune(o); o.Dial = f.dial }
		a, b := newEndpoint(t, 0, with), newEndpoint(t, 1, with)
		toA, toB := &stream{t: t}, &stream{t: t}
		a.on = func(_ *Conn, m *message.Message) { toA.take(m.TID); m.Release() }
		b.on = func(_ *Conn, m *message.Message) { toB.take(m.TID); m.Release() }
		ca, cb := a.Connect(ceph.TypeMon, b.Addrs()), b.Connect(ceph.TypeMon, a.Addrs())
		send := func(c *Conn) {
			for i := range uint64(total) {
				m := msg(i)
				m.TID, m.Data = i, payload(i, int(i%5)*700)
				c.Send(m)
				if i%16 == 0 {
					time.Sleep(200 * time.Microsecond)
				}
			}
		}
		go send(ca)
		send(cb)
		a.until("all at a", func() bool { return toA.next.Load() == total })
		b.until("all at b", func() bool { return toB.next.Load() == total })
		if n := f.count.Load(); n < 10 {
			t.Fatalf("only %d failures were injected", n)
		}
		for _, e := range []*endpoint{a, b} {
			if n := e.seen("remote reset mon.0") + e.seen("remote reset mon.1"); n != 0 {
				t.Fatalf("%d sessions were lost: %v", n, e.events)
			}
		}
		t.Logf("%d failures", f.count.Load())
	})
}

// TestCrossing lets two peers connect to each other at the same moment, again and again.
func TestCrossing(t *testing.T) {
	for range 60 {
		func() {
			a, b := newEndpoint(t, 0, nil), newEndpoint(t, 1, nil)
			defer a.Close()
			defer b.Close()
			var start sync.WaitGroup
			start.Add(2)
			dial := func(e, to *endpoint) {
				start.Done()
				start.Wait()
				c := e.Connect(ceph.TypeOSD, to.Addrs())
				for i := range uint64(20) {
					c.Send(msg(i))
				}
			}
			go dial(a, b)
			go dial(b, a)
			want := func(e *endpoint) func() bool {
				return func() bool { return len(e.got) >= 20 }
			}
			a.until("a gets all", want(a))
			b.until("b gets all", want(b))
			for _, e := range []*endpoint{a, b} {
				e.mu.Lock()
				got := slices.Clone(e.got)
				e.mu.Unlock()
				for i, h := range got {
					if h != uint64(i) || len(got) != 20 {
						t.Fatalf("got %v", got)
					}
				}
				if n := len(e.Conns()); n != 1 {
					t.Fatalf("%d connections", n)
				}
			}
		}()
	}
}

// TestPeerRestart: a lossless peer that forgot the session is reported once, and the Conn goes on.
func TestPeerRestart(t *testing.T) {
	a := newEndpoint(t, 0, nil)
	b := newEndpoint(t, 1, func(o *Options) { o.Nonce = 7 })
	at := b.Addrs()[0].AddrPort
	c := a.Connect(ceph.TypeOSD, b.Addrs())
	c.Send(msg(1))
	b.until("first", func() bool { return len(b.got) == 1 })
	b.Close()
	b2 := &endpoint{t: t, changed: make(chan struct{}, 1)}
	name := ceph.AuthName{Type: ceph.TypeOSD, ID: "1"}
	b2.Messenger = New(Options{
		Entity: ceph.EntityName{Type: ceph.TypeOSD, Num: 1}, Nonce: 7,
		Server: noneAuth{name}, Client: noneAuth{name},
	})
	if err := b2.Bind(at); err != nil {
		t.Skip("the port was taken:", err)
	}
	b2.Start(b2)
	defer b2.Close()
	a.until("remote reset", func() bool { return a.count("remote reset osd.1") == 1 })
	c.Send(msg(3))
	b2.until("message of the new session", func() bool {
		return len(b2.got) > 0 && b2.got[len(b2.got)-1] == 3
	})
	if a.seen("reset osd.1") != 0 || c.Closed() {
		t.Fatalf("events %v", a.events)
	}
}

func lossy(o *Options) {
	o.Policy = func(ceph.EntityType) Policy { return LossyClient }
}

// TestLossyReset: each side of a lossy session hears of its end once, and nothing after it.
func TestLossyReset(t *testing.T) {
	a, b := newEndpoint(t, 0, lossy), newEndpoint(t, 1, lossy)
	c := a.Connect(ceph.TypeOSD, b.Addrs())
	c.Send(msg(1))
	b.until("message", func() bool { return len(b.got) == 1 })
	b.conns[0].Close()
	a.until("reset", func() bool { return a.count("reset osd.1") == 1 })
	c.Send(msg(2))
	c.Close()
	if a.Connect(ceph.TypeOSD, b.Addrs()) == c {
		t.Fatal("a dead connection is given out again")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count("reset osd.0") != 0 || len(b.got) != 1 {
		t.Fatalf("who closed hears of it: %v", b.events)
	}
}

// TestRefused: a lossy connection to nobody is reset, and trying again at once waits.
func TestRefused(t *testing.T) {
	a, b := newEndpoint(t, 0, lossy), newEndpoint(t, 1, nil)
	addrs := b.Addrs()
	b.Close()
	for i := range 5 {
		a.Connect(ceph.TypeOSD, addrs)
		a.until("reset", func() bool { return a.count("reset osd.?") == i+1 })
	}
	if d := a.dialDelay(addrs[0].AddrPort); d < 300*time.Millisecond {
		t.Fatalf("the sixth attempt would wait only %v", d)
	}
}

// TestCloseFlushes: what was sent before Close arrives.
func TestCloseFlushes(t *testing.T) {
	for range 20 {
		a, b := newEndpoint(t, 0, lossy), newEndpoint(t, 1, lossy)
		c := a.Connect(ceph.TypeOSD, b.Addrs())
		a.until("ready", func() bool { return a.count("connected osd.1") == 1 })
		for i := range uint64(500) {
			m := msg(i)
			m.Data = payload(i, 3000)
			c.Send(m)
		}
		if a.Close(); c.Ready() {
			t.Fatal("ready after Close")
		}
		b.until("all", func() bool { return len(b.got) == 500 })
		b.Close()
	}
}

// TestHalfOpen: a peer that has gone without a word is given up after the timeout, and a silent
// one that answers keepalives is not.
func TestHalfOpen(t *testing.T) {
	quick := func(o *Options) {
		o.KeepaliveInterval, o.KeepaliveTimeout = 150*time.Millisecond, 700*time.Millisecond
		lossy(o)
	}
	a, b := newEndpoint(t, 0, quick), newEndpoint(t, 1, quick)
	stuck := make(chan struct{})
	defer close(stuck)
	b.on = func(*Conn, *message.Message) { <-stuck }
	c := a.Connect(ceph.TypeOSD, b.Addrs())
	a.until("ready", func() bool { return a.count("connected osd.1") == 1 })
	time.Sleep(1500 * time.Millisecond)
	if !c.Ready() || c.LastKeepaliveAck().IsZero() {
		t.Fatalf("an answering peer was given up: %v", c.Err())
	}
	c.Send(msg(1)) // b's reader hangs from here on
	a.until("reset", func() bool { return a.count("reset osd.1") == 1 })
	if !errors.Is(c.Err(), errSilent) {
		t.Fatalf("got %v", c.Err())
	}
}

// TestThrottle: a reader stops while its throttle is used up, and goes on after a release.
func TestThrottle(t *testing.T) {
	for _, kind := range []string{"messages", "bytes"} {
		p := StatelessServer
		if kind == "messages" {
			p.Messages = NewThrottle(4)
		} else {
			p.Bytes = NewThrottle(4 * 1100)
		}
		a := newEndpoint(t, 0, lossy)
		b := newEndpoint(t, 1, func(o *Options) {
			o.Policy = func(ceph.EntityType) Policy { return p }
		})
		held := make(chan *message.Message, 100)
		b.on = func(_ *Conn, m *message.Message) { held <- m }
		c := a.Connect(ceph.TypeOSD, b.Addrs())
		for i := range uint64(40) {
			m := msg(i)
			m.Data = payload(i, 1024)
			c.Send(m)
		}
		b.until("some", func() bool { return len(b.got) >= 3 })
		time.Sleep(50 * time.Millisecond)
		if n := len(held); n > 4 {
			t.Fatalf("%s: %d messages are held", kind, n)
		}
		for range 40 {
			(<-held).Release()
		}
		if u := p.Messages; u != nil && u.Used() != 0 {
			t.Fatalf("%d left", u.Used())
		}
		if u := p.Bytes; u != nil && u.Used() != 0 {
			t.Fatalf("%d left", u.Used())
		}
	}
}
