package monc

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"glue/auth/cephx"
	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/monmap"
	"glue/wire/message"
	"glue/wire/msgr"
)

var fsid = ceph.UUID{1, 2, 3}

// A fakeMon is a monitor of one process: it lets everybody in and answers what it is told to.
type fakeMon struct {
	t    *testing.T
	net  *msgr.Messenger
	mute bool   // answers no commands
	deny error  // refuses the handshake
	mm   []byte // the monmap to answer with

	mu   sync.Mutex
	seen []message.Body
	cons []*msgr.Conn
}

// newFakeMon listens at a free port of the loopback.
func newFakeMon(t *testing.T) *fakeMon {
	t.Helper()
	m := &fakeMon{t: t}
	m.net = msgr.New(msgr.Options{Entity: ceph.EntityName{Type: ceph.TypeMon}, Server: m})
	if err := m.net.Bind(netip.MustParseAddrPort("127.0.0.1:0")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.net.Close() })
	return m
}

func (m *fakeMon) start(others ...*fakeMon) *fakeMon {
	mm := monmap.New(fsid, ceph.Time{})
	mm.Epoch = 1
	for i, f := range append([]*fakeMon{m}, others...) {
		mm.Add(monmap.Mon{Name: fmt.Sprint("m", i), Addrs: f.net.Addrs()})
	}
	m.mm = denc.Marshal(mm, ceph.FeaturesAll)
	m.net.Start(m)
	return m
}

func (m *fakeMon) Methods(ceph.EntityType) []uint32 { return []uint32{cephx.MethodNone} }
func (m *fakeMon) Accept(ceph.EntityType, netip.AddrPort) msgr.ServerHandshake {
	return m
}

// Step lets everybody in, or nobody.
func (m *fakeMon) Step(uint32, []byte, int) (msgr.AuthStep, error) {
	m.mu.Lock()
	deny := m.deny
	m.mu.Unlock()
	if deny != nil {
		return msgr.AuthStep{}, deny
	}
	return msgr.AuthStep{Done: true, GlobalID: 4711,
		Name: ceph.AuthName{Type: ceph.TypeClient, ID: "test"}}, nil
}

func (m *fakeMon) Accepted(c *msgr.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cons = append(m.cons, c)
}
func (m *fakeMon) Connected(*msgr.Conn)   {}
func (m *fakeMon) Reset(*msgr.Conn)       {}
func (m *fakeMon) RemoteReset(*msgr.Conn) {}

func (m *fakeMon) Dispatch(c *msgr.Conn, in *message.Message) {
	m.mu.Lock()
	m.seen = append(m.seen, in.Body)
	mute := m.mute
	m.mu.Unlock()
	switch b := in.Body.(type) {
	case *message.MMonSubscribe:
		if _, ok := b.What["monmap"]; ok {
			c.Send(message.New(&message.MMonMap{Map: m.mm}))
		}
	case *message.MMonCommand:
		if !mute {
			r := in.Reply(&message.MMonCommandAck{Status: b.Cmd[0], Result: -2})
			r.Data = []byte("out")
			c.Send(r)
		}
	case *message.MMonGetVersion:
		c.Send(in.Reply(&message.MMonGetVersionReply{Handle: b.Handle, Version: 9, Oldest: 3}))
	case *message.MCommand:
		c.Send(in.Reply(&message.MCommandReply{Status: "told"}))
	}
}

// drop closes all connections, as a monitor does that goes away.
func (m *fakeMon) drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.cons {
		c.Close()
	}
	m.cons = nil
}

func (m *fakeMon) setMute(v bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mute = v
}

// subscriptions are all items ever asked for, in order.
func (m *fakeMon) subscriptions(what string) (out []message.SubscribeItem) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.seen {
		if s, ok := b.(*message.MMonSubscribe); ok {
			if item, ok := s.What[what]; ok {
				out = append(out, item)
			}
		}
	}
	return out
}

// An owner passes everything to the client, as a program that has nothing else.
type owner struct{ c *Client }

func (owner) Accepted(*msgr.Conn)                         {}
func (o owner) Connected(c *msgr.Conn)                    { o.c.Connected(c) }
func (o owner) Dispatch(c *msgr.Conn, m *message.Message) { o.c.Dispatch(c, m) }
func (o owner) Reset(c *msgr.Conn)                        { o.c.Reset(c) }
func (o owner) RemoteReset(c *msgr.Conn)                  { o.c.Reset(c) }
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func client(t *testing.T, opt Options, seeds ...ceph.AddrVec) *Client {
	t.Helper()
	opt.Name = ceph.AuthName{Type: ceph.TypeClient, ID: "test"}
	opt.Seeds = seeds
	c := New(opt)
	net := msgr.New(msgr.Options{
		Entity: ceph.EntityName{Type: ceph.TypeClient, Num: -1}, Client: c,
	})
	net.Start(owner{c})
	c.Start(net)
	t.Cleanup(func() {
		c.Close()
		net.Close()
	})
	return c
}

// closedPort is an address at which nobody listens.
func closedPort(t *testing.T) ceph.AddrVec {
	m := newFakeMon(t)
	v := m.net.Addrs()
	m.net.Close()
	return v
}

func TestFindsTheMonitorThatAnswers(t *testing.T) {
	m := newFakeMon(t).start()
	c := client(t, Options{}, closedPort(t), m.net.Addrs(), closedPort(t))
	if err := c.Authenticate(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	if c.GlobalID() != 4711 || c.FSID() != fsid || len(c.Monmap().Ranks) != 1 {
		t.Errorf("global id %d, fsid %v, monmap %+v", c.GlobalID(), c.FSID(), c.Monmap())
	}
}

func TestSaysThatNobodyAnswers(t *testing.T) {
	c := client(t, Options{}, closedPort(t))
	err := c.Authenticate(within(t, 300*time.Millisecond))
	if !errors.Is(err, context.DeadlineExceeded) ||
		!strings.Contains(err.Error(), "is the cluster up?") ||
		!strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}

func TestRefusalIsToldAtOnce(t *testing.T) {
	m := newFakeMon(t)
	m.deny = ceph.EACCES
	m.start()
	c := client(t, Options{}, m.net.Addrs())
	if err := c.Authenticate(within(t, 10*time.Second)); !errors.Is(err, ceph.EACCES) {
		t.Errorf("got %v", err)
	}
}

func TestForeignClusterIsRefused(t *testing.T) {
	m := newFakeMon(t).start()
	c := client(t, Options{FSID: ceph.UUID{9}}, m.net.Addrs())
	err := c.Authenticate(within(t, 10*time.Second))
	if !errors.Is(err, ceph.EINVAL) || !strings.Contains(err.Error(), fsid.String()) {
		t.Errorf("got %v", err)
	}
}

func TestCommandAndVersion(t *testing.T) {
	m := newFakeMon(t).start()
	c := client(t, Options{}, m.net.Addrs())
	ctx := within(t, 10*time.Second)
	r, err := c.Command(ctx, map[string]any{"prefix": "x"}, nil)
	var ce *CommandError
	if !errors.Is(err, ceph.ENOENT) || !errors.As(err, &ce) || ce.Status != `{"prefix":"x"}` ||
		string(r.Output) != "out" {
		t.Errorf("got %+v, %v", r, err)
	}
	newest, oldest, err := c.GetVersion(ctx, "osdmap")
	if newest != 9 || oldest != 3 || err != nil {
		t.Errorf("version %d, %d, %v", newest, oldest, err)
	}
	for _, name := range []string{"m0", "0"} {
		if r, err := c.TellMon(ctx, name, "{}", nil); err != nil || r.Status != "told" {
			t.Errorf("tell %s: %+v, %v", name, r, err)
		}
	}
	if _, err := c.TellMon(ctx, "nobody", "{}", nil); !errors.Is(err, ceph.ENOENT) {
		t.Errorf("tell nobody: %v", err)
	}
}

// What was asked for and not answered is asked again of the next monitor.
func TestNewSessionGetsEverythingAgain(t *testing.T) {
	a, b := newFakeMon(t), newFakeMon(t)
	a.start(b)
	b.start(a)
	a.setMute(true)
	c := client(t, Options{}, a.net.Addrs())
	ctx := within(t, 20*time.Second)
	c.Subscribe("osdmap", 5, false)
	c.Subscribe("mgrmap", 0, true)
	if err := c.Authenticate(ctx); err != nil {
		t.Fatal(err)
	}
	c.Got("osdmap", 7)
	c.Got("mgrmap", 1)
	answered := make(chan error, 1)
	go func() {
		_, err := c.Command(ctx, "{}", nil)
		answered <- err
	}()
	for !commandSeen(a) {
		time.Sleep(time.Millisecond)
	}
	a.setMute(false)
	b.setMute(false)
	a.drop()
	if err := <-answered; !errors.Is(err, ceph.ENOENT) {
		t.Fatalf("the command got %v", err)
	}
	subs := append(a.subscriptions("osdmap"), b.subscriptions("osdmap")...)
	if len(subs) != 2 || subs[0].Start != 5 || subs[1].Start != 8 {
		t.Errorf("subscriptions to the osdmap: %+v", subs)
	}
	once := append(a.subscriptions("mgrmap"), b.subscriptions("mgrmap")...)
	if len(once) != 1 || once[0].Flags != message.SubscribeOnce {
		t.Errorf("subscriptions to the mgrmap: %+v", once)
	}
}

// TestLeavesSilentMonitor: a monitor that says nothing any more, as its host is gone, is left for
// another one long before its connection is given up.
func TestLeavesSilentMonitor(t *testing.T) {
	t.Parallel()
	a, b := newFakeMon(t), newFakeMon(t)
	a.start(b)
	b.start(a)
	c := client(t, Options{}, a.net.Addrs())
	if err := c.Authenticate(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	a.mu.Lock() // it stays with the next message and lets nobody in
	defer a.mu.Unlock()
	_, err := c.Command(within(t, 20*time.Second), "{}", nil)
	if !errors.Is(err, ceph.ENOENT) {
		t.Fatalf("the command got %v", err)
	}
}

func commandSeen(m *fakeMon) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.seen {
		if _, ok := b.(*message.MMonCommand); ok {
			return true
		}
	}
	return false
}

func TestCloseFailsWhatIsPending(t *testing.T) {
	m := newFakeMon(t)
	m.mute = true
	m.start()
	c := client(t, Options{}, m.net.Addrs())
	ctx := within(t, 10*time.Second)
	if err := c.Authenticate(ctx); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := c.Command(ctx, "{}", nil)
		answered <- err
	}()
	for !commandSeen(m) {
		time.Sleep(time.Millisecond)
	}
	c.Close()
	if err := <-answered; !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Command(ctx, "{}", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestSubscribeOnlyMovesForward(t *testing.T) {
	c := New(Options{})
	c.Subscribe("osdmap", 7, false)
	c.subs["osdmap"].sent = true
	c.Subscribe("osdmap", 3, true)
	if s := c.subs["osdmap"]; s.start != 7 || s.once || !s.sent {
		t.Errorf("%+v", s)
	}
	c.Subscribe("osdmap", 9, true)
	if s := c.subs["osdmap"]; s.start != 9 || s.once || s.sent {
		t.Errorf("%+v", s)
	}
}
