package msgr

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"glue/auth/cephx"
	"glue/auth/keyring"
	"glue/ceph"
	"glue/wire/message"
)

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

// noneAuth lets everybody in by method none; it is the server's and the client's side.
type noneAuth struct{ name ceph.AuthName }

func (noneAuth) Methods(ceph.EntityType) []uint32 { return []uint32{cephx.MethodNone} }

func (noneAuth) Accept(ceph.EntityType, netip.AddrPort) ServerHandshake {
	return serviceShake{cephx.NewServiceServer(cephx.ServiceOptions{AllowNone: true})}
}

func (a noneAuth) Connect(ceph.EntityType, ceph.AddrVec) (ClientHandshake, error) {
	c := cephx.NewClient(cephx.ClientOptions{Name: a.name})
	az, err := c.NewAuthorizer(ceph.TypeOSD, time.Now())
	return &authorizerShake{az}, err
}

type serviceShake struct{ s *cephx.ServiceServer }

func (h serviceShake) Step(method uint32, payload []byte, secret int) (AuthStep, error) {
	out, err := h.s.Step(time.Now(), method, payload, secret)
	return AuthStep{
		Done: out.Done, Reply: out.Reply, SessionKey: out.SessionKey, Secret: out.Secret,
		Name: out.Ticket.Name, GlobalID: out.Ticket.GlobalID, Caps: out.Ticket.Caps,
		AllowAll: out.Ticket.AllowAll,
	}, err
}

type authorizerShake struct{ a *cephx.Authorizer }

func (h *authorizerShake) Request() (uint32, []byte, error) {
	return h.a.Method(), h.a.Request(), nil
}

func (h *authorizerShake) BadMethod(_ uint32, result int32, _ []uint32, _ []Mode) error {
	return ceph.ErrorOf(result)
}

func (h *authorizerShake) More(p []byte) ([]byte, error) { return h.a.More(p) }

func (h *authorizerShake) Done(_ uint64, _ Mode, p []byte) ([]byte, []byte, error) {
	return h.a.Done(p)
}

// osdAuth authenticates OSDs to each other with tickets of one shared generation of keys.
type osdAuth struct {
	name     ceph.AuthName
	rotating *cephx.Rotating
	monKey   keyring.Key
}

func (osdAuth) Methods(ceph.EntityType) []uint32 { return []uint32{cephx.MethodCephx} }

// Accept uses the monitors' self-made tickets, which need no keys database.
func (a osdAuth) Accept(ceph.EntityType, netip.AddrPort) ServerHandshake {
	return monShake{cephx.NewMonServer(cephx.MonOptions{MonKey: a.monKey, Rand: rand.Reader})}
}

func (a osdAuth) Connect(ceph.EntityType, ceph.AddrVec) (ClientHandshake, error) {
	az, err := cephx.NewMonAuthorizer(a.name, a.monKey, time.Now(), rand.Reader)
	return &authorizerShake{az}, err
}

type monShake struct{ s *cephx.MonServer }

func (h monShake) Step(method uint32, payload []byte, secret int) (AuthStep, error) {
	out, err := h.s.Step(time.Now(), method, payload, secret)
	return AuthStep{
		Done: out.Done, Reply: out.Reply, SessionKey: out.SessionKey, Secret: out.Secret,
		Name: out.Ticket.Name, GlobalID: out.Ticket.GlobalID, Auth: h.s,
	}, err
}

// An endpoint is a messenger with a dispatcher that notes all that happens.
type endpoint struct {
	*Messenger
	t  *testing.T
	on func(c *Conn, m *message.Message)

	mu      sync.Mutex
	events  []string
	got     []uint64 // handles of MMonGetVersions
	changed chan struct{}
	conns   []*Conn
}

func newEndpoint(t *testing.T, num int64, tune func(o *Options)) *endpoint {
	name := ceph.AuthName{Type: ceph.TypeOSD, ID: fmt.Sprint(num)}
	opt := Options{
		Entity: ceph.EntityName{Type: ceph.TypeOSD, Num: num},
		Server: noneAuth{name}, Client: noneAuth{name},
		BackoffMin: time.Millisecond, BackoffMax: 20 * time.Millisecond,
	}
	if tune != nil {
		tune(&opt)
	}
	e := &endpoint{Messenger: New(opt), t: t, changed: make(chan struct{}, 1)}
	if err := e.Bind(loopback); err != nil {
		t.Fatal(err)
	}
	e.Start(e)
	t.Cleanup(func() { e.Close() })
	return e
}

func (e *endpoint) note(format string, args ...any) {
	e.mu.Lock()
	e.events = append(e.events, fmt.Sprintf(format, args...))
	e.mu.Unlock()
	e.signal()
}

func (e *endpoint) signal() {
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

func (e *endpoint) Accepted(c *Conn) {
	e.mu.Lock()
	e.conns = append(e.conns, c)
	e.mu.Unlock()
	e.note("accepted %v", c.Peer().Name)
}

func (e *endpoint) Connected(c *Conn)   { e.note("connected %v", c.Peer().Name) }
func (e *endpoint) Reset(c *Conn)       { e.note("reset %v", c.Peer().Name) }
func (e *endpoint) RemoteReset(c *Conn) { e.note("remote reset %v", c.Peer().Name) }

func (e *endpoint) Dispatch(c *Conn, m *message.Message) {
	if e.on != nil {
		e.on(c, m)
	}
	if b, ok := m.Body.(*message.MMonGetVersion); ok {
		e.mu.Lock()
		e.got = append(e.got, b.Handle)
		e.mu.Unlock()
		e.signal()
	}
}

// until waits for a condition that the dispatcher's notes make true.
func (e *endpoint) until(what string, cond func() bool) {
	e.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		e.mu.Lock()
		ok := cond()
		e.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-e.changed:
		case <-deadline:
			e.mu.Lock()
			defer e.mu.Unlock()
			e.t.Fatalf("%s: not reached; %d messages, events %v", what, len(e.got), e.events)
		}
	}
}

// seen is count for who does not hold the lock.
func (e *endpoint) seen(event string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.count(event)
}

// count is how often something was reported, in a condition of until.
func (e *endpoint) count(event string) int {
	n := 0
	for _, x := range e.events {
		if x == event {
			n++
		}
	}
	return n
}

func msg(n uint64) *message.Message {
	return message.New(&message.MMonGetVersion{Handle: n, What: "osdmap"})
}

func payload(n uint64, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(uint64(i)*7 + n)
	}
	return b
}

func modes(t *testing.T, f func(t *testing.T, tune func(o *Options))) {
	key, err := keyring.Generate(rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []Mode{ModeCRC, ModeSecure} {
		t.Run(fmt.Sprint("mode ", mode), func(t *testing.T) {
			f(t, func(o *Options) {
				o.Entity.Type = ceph.TypeMon
				a := osdAuth{
					name:   ceph.AuthName{Type: ceph.TypeMon, ID: fmt.Sprint(o.Entity.Num)},
					monKey: key,
				}
				o.Server, o.Client = a, a
				only := func(ceph.EntityType) []Mode { return []Mode{mode} }
				o.ClientModes, o.ServerModes = only, only
			})
		})
	}
}

func TestExchange(t *testing.T) {
	modes(t, func(t *testing.T, tune func(o *Options)) {
		a, b := newEndpoint(t, 0, tune), newEndpoint(t, 1, tune)
		b.on = func(c *Conn, m *message.Message) {
			r := m.Reply(m.Body)
			r.Middle, r.Data = m.Middle, bytes.Clone(m.Data)
			c.Send(r)
			m.Release()
		}
		sizes := []int{
			0, 1, 15, 16, 17, 100, 1024, 1025, 4096, 5000, 65536, 1 << 20, 8 << 20, 20<<20 + 3,
		}
		bad := make(chan string, 100)
		a.on = func(_ *Conn, m *message.Message) {
			h := m.Body.(*message.MMonGetVersion).Handle
			if want := payload(h, sizes[h]); !bytes.Equal(m.Data, want) || m.TID != h+100 {
				bad <- fmt.Sprintf("reply %d: %d bytes, tid %d", h, len(m.Data), m.TID)
			}
			if len(m.Data) > 0 && misaligned(m.Data) != 0 {
				bad <- fmt.Sprintf("reply %d is not aligned", h)
			}
			if (h%2 == 1) != bytes.Equal(m.Middle, []byte("middle")) {
				bad <- fmt.Sprintf("reply %d: middle %q", h, m.Middle)
			}
			m.Release()
		}
		c := a.Connect(ceph.TypeMon, b.Addrs())
		for i, n := range sizes {
			m := msg(uint64(i))
			m.TID, m.Data = uint64(i)+100, payload(uint64(i), n)
			if i%2 == 1 {
				m.Middle = []byte("middle")
			}
			c.Send(m)
		}
		a.until("all replies", func() bool { return len(a.got) == len(sizes) })
		select {
		case s := <-bad:
			t.Fatal(s)
		default:
		}
		if p := c.Peer(); p.Name.Num != 1 || !p.Addrs.Equal(b.Addrs()) || p.Features == 0 {
			t.Fatalf("peer %+v", p)
		}
		if p := b.conns[0].Peer(); p.Name.Num != 0 || p.AuthName.ID != "0" {
			t.Fatalf("peer %+v", p)
		}
	})
}

func TestWrongKey(t *testing.T) {
	key1, _ := keyring.Generate(rand.Reader, time.Now())
	key2, _ := keyring.Generate(rand.Reader, time.Now())
	with := func(k keyring.Key) func(o *Options) {
		return func(o *Options) {
			o.Entity.Type = ceph.TypeMon
			o.Policy = func(ceph.EntityType) Policy { return LossyClient }
			a := osdAuth{name: ceph.AuthName{Type: ceph.TypeMon, ID: "x"}, monKey: k}
			o.Server, o.Client = a, a
		}
	}
	a, b := newEndpoint(t, 0, with(key1)), newEndpoint(t, 1, with(key2))
	c := a.Connect(ceph.TypeMon, b.Addrs())
	a.until("reset", func() bool { return a.count("reset mon.?") == 1 })
	if !errors.Is(c.Err(), ceph.EACCES) || !c.Closed() {
		t.Fatalf("got %v", c.Err())
	}
	c.Send(msg(1)) // does nothing
}

func TestConfiguredModes(t *testing.T) {
	values := map[string]string{
		"ms_mon_cluster_mode": "secure", "ms_mon_service_mode": "crc", "ms_client_mode": "x",
		"ms_service_mode": "secure, crc", "ms_cluster_mode": "",
	}
	option := func(name string) string { return values[name] }
	for _, c := range []struct {
		self, peer ceph.EntityType
		want       []Mode
	}{
		{ceph.TypeMon, ceph.TypeMon, []Mode{ModeSecure}},
		{ceph.TypeOSD, ceph.TypeMgr, []Mode{ModeSecure}},
		{ceph.TypeMon, ceph.TypeClient, []Mode{ModeCRC}},
		{ceph.TypeMgr, ceph.TypeOSD, []Mode{ModeCRC}},
		{ceph.TypeOSD, ceph.TypeClient, []Mode{ModeSecure, ModeCRC}},
		{ceph.TypeOSD, ceph.TypeOSD, []Mode{ModeCRC, ModeSecure}},
		{ceph.TypeClient, ceph.TypeOSD, []Mode{ModeCRC, ModeSecure}},
		{ceph.TypeClient, ceph.TypeMon, []Mode{ModeSecure, ModeCRC}},
	} {
		if got := ConfiguredModes(c.self, option)(c.peer); !slices.Equal(got, c.want) {
			t.Errorf("%v with %v: %v", c.self, c.peer, got)
		}
	}
}

// TestNoCommonMode: a peer that offers only what is not accepted is refused at once.
func TestNoCommonMode(t *testing.T) {
	only := func(m Mode) func(o *Options) {
		return func(o *Options) {
			lossy(o)
			o.ClientModes = func(ceph.EntityType) []Mode { return []Mode{m} }
			o.ServerModes = o.ClientModes
		}
	}
	a, b := newEndpoint(t, 0, only(ModeCRC)), newEndpoint(t, 1, only(ModeSecure))
	c := a.Connect(ceph.TypeOSD, b.Addrs())
	a.until("reset", func() bool { return a.count("reset osd.?") == 1 })
	if !errors.Is(c.Err(), ceph.EOPNOTSUPP) {
		t.Fatalf("got %v", c.Err())
	}
}
