package monc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"glue/auth/cephx"
	"glue/auth/keyring"
	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/monmap"
	"glue/wire/message"
	"glue/wire/msgr"
)

// ErrClosed is the answer to everything after Close.
var ErrClosed = errors.New("monitor client is closed")

// Options is what a Client is made of.
type Options struct {
	Name  ceph.AuthName
	Key   keyring.Key    // zero: authentication method none
	Seeds []ceph.AddrVec // monitors to begin with; the monmap replaces them
	FSID  ceph.UUID      // refuse another cluster's monitors; zero: take any
	// Want is the set of services whose tickets are needed; zero: mon, osd and mgr.
	Want     ceph.EntityType
	Hostname string
	Log      *slog.Logger // nil: none

	// Rotating keeps the keys of the daemon's own service, for ServerAuth.
	Rotating bool

	// Handlers, called in order from the connection's reading goroutine; they must not block.
	OnMonmap func(*monmap.Map)
	OnConfig func(map[string]string)
	// OnActive reports each new session with a monitor, after subscriptions and requests went out.
	OnActive func()
}

// A Client is one entity's session with the monitors.
type Client struct {
	opt  Options
	log  *slog.Logger
	wake chan struct{}
	done chan struct{}
	ran  chan struct{} // closed when the loop has ended

	mu       sync.Mutex
	net      *msgr.Messenger
	auth     *cephx.Client
	monmap   *monmap.Map
	config   map[string]string
	attempts map[string]*attempt // connections to monitors, by address
	active   *attempt            // the session; nil while hunting
	changed  chan struct{}       // closed and replaced when the state below Authenticate changes
	refused  error               // why a monitor refused us last
	lastErr  error               // why the last attempt failed
	hunt     huntState
	subs     map[string]*sub
	pending  map[uint64]*request
	tid      uint64
	renewal  renewalState
	rotating cephx.Rotating
	closed   bool
}

// New makes a client that does nothing before Start.
func New(opt Options) *Client {
	if opt.Want == 0 {
		opt.Want = ceph.TypeMon | ceph.TypeOSD | ceph.TypeMgr
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	c := &Client{
		opt: opt, log: opt.Log,
		wake: make(chan struct{}, 1), done: make(chan struct{}), ran: make(chan struct{}),
		auth: cephx.NewClient(cephx.ClientOptions{
			Name: opt.Name, Key: opt.Key, Rand: rand.Reader, Want: opt.Want,
		}),
		attempts: map[string]*attempt{},
		changed:  make(chan struct{}),
		subs:     map[string]*sub{},
		pending:  map[uint64]*request{},
	}
	c.Subscribe("monmap", 0, false)
	c.Subscribe("config", 0, false)
	return c
}

// Start begins to look for a monitor through m, which must have been made with this client as
// ClientAuth and be started.
func (c *Client) Start(m *msgr.Messenger) {
	c.mu.Lock()
	c.net = m
	c.mu.Unlock()
	go c.run()
}

// Close ends the session and fails what is pending with ErrClosed. The Messenger stays open.
func (c *Client) Close() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	close(c.done)
	started := c.net != nil
	for _, a := range c.attempts {
		a.conn.Close()
	}
	c.attempts, c.active = map[string]*attempt{}, nil
	for tid, r := range c.pending {
		delete(c.pending, tid)
		r.finish(nil, ErrClosed)
	}
	c.notify()
	c.mu.Unlock()
	if started {
		<-c.ran
	}
}

// notify wakes who waits for a change of state; c.mu is held.
func (c *Client) notify() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// poke makes the loop look at its timers now.
func (c *Client) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Client) run() {
	defer close(c.ran)
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-c.wake:
		case <-t.C:
		}
		t.Reset(c.tick(time.Now()))
	}
}

// tick does what is due and returns how long nothing will be.
func (c *Client) tick(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return time.Hour
	}
	if c.active == nil {
		return c.huntStep(now)
	}
	return c.renewStep(now)
}

// Authenticate waits until there is a session with a monitor and its monmap is known. It fails
// at once if a monitor refuses the key (a ceph.Errno) or belongs to another cluster.
func (c *Client) Authenticate(ctx context.Context) error {
	for {
		c.mu.Lock()
		ready := c.active != nil && c.monmap != nil
		refused, changed, closed := c.refused, c.changed, c.closed
		c.mu.Unlock()
		switch {
		case closed:
			return ErrClosed
		case refused != nil:
			return refused
		case ready:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return c.unreachable(ctx.Err())
		}
	}
}

// unreachable explains why there is no session.
func (c *Client) unreachable(cause error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active != nil {
		return fmt.Errorf("wait for the monitor's map: %w", cause)
	}
	if c.lastErr != nil {
		return fmt.Errorf("no monitor answers at %v (%v): is the cluster up? %w",
			c.targets(), c.lastErr, cause)
	}
	return fmt.Errorf("no monitor answers at %v: is the cluster up? %w", c.targets(), cause)
}

// FSID is the cluster's id, zero before the first monmap.
func (c *Client) FSID() ceph.UUID {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.monmap == nil {
		return c.opt.FSID
	}
	return c.monmap.FSID
}

// GlobalID is the id that the monitors gave us, 0 before that.
func (c *Client) GlobalID() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.auth.GlobalID()
}

// Monmap is the newest monmap, nil before the first.
func (c *Client) Monmap() *monmap.Map {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.monmap
}

// Config is the options that the central configuration sets for us, nil before the first MConfig.
func (c *Client) Config() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.config
}

// Dispatch takes a message that belongs to the monitor client and says whether it did. Maps other
// than the monmap, and what only a daemon understands, are left to the owner.
// What monitors say is taken from monitors only: a daemon has connections from clients as well.
func (c *Client) Dispatch(conn *msgr.Conn, m *message.Message) bool {
	if conn.PeerType() != ceph.TypeMon {
		return false
	}
	switch b := m.Body.(type) {
	case *message.MMonMap:
		c.handleMonmap(b)
	case *message.MConfig:
		c.handleConfig(b)
	case *message.MAuthReply:
		c.handleAuthReply(conn, b)
	case *message.MMonGetVersionReply:
		c.answer(b.Handle, m)
	case *message.MMonCommandAck, *message.MStatfsReply, *message.MGetPoolStatsReply,
		*message.MPoolOpReply:
		c.answer(m.TID, m)
	case *message.MCommandReply:
		return c.answerFrom(conn, m)
	case *message.MPing:
		return c.answerPing(conn, m)
	case *message.MMonSubscribeAck:
	default:
		return false
	}
	return true
}

func (c *Client) handleMonmap(b *message.MMonMap) {
	mm := new(monmap.Map)
	if err := denc.Unmarshal(b.Map, mm, ceph.FeaturesAll); err != nil {
		c.log.Error("monmap does not decode", "err", err)
		return
	}
	c.mu.Lock()
	if !c.opt.FSID.IsZero() && mm.FSID != c.opt.FSID {
		c.refused = fmt.Errorf("monitors are of cluster %v, not of %v: %w",
			mm.FSID, c.opt.FSID, ceph.EINVAL)
		c.notify()
		c.mu.Unlock()
		return
	}
	if c.monmap == nil || mm.Epoch > c.monmap.Epoch {
		c.monmap = mm
	}
	c.got("monmap", uint64(mm.Epoch))
	c.notify()
	c.mu.Unlock()
	if c.opt.OnMonmap != nil {
		c.opt.OnMonmap(mm)
	}
}

func (c *Client) handleConfig(b *message.MConfig) {
	c.mu.Lock()
	c.config = b.Config
	if c.config == nil {
		c.config = map[string]string{}
	}
	c.notify()
	c.mu.Unlock()
	if c.opt.OnConfig != nil {
		c.opt.OnConfig(b.Config)
	}
}

// Ready says whether there is a session with a monitor.
func (c *Client) Ready() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.active != nil
}

// Send sends a message to the monitor of the present session; it is dropped if there is none.
// For reports that are repeated anyway: beacons, boot, failures. OnActive tells when to repeat.
func (c *Client) Send(b message.Body) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active != nil {
		c.active.conn.Send(message.New(b))
	}
}
