package msgr

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
)

// ErrOtherPeer is why no session is made where somebody else listens now, or another incarnation.
var ErrOtherPeer = errors.New("somebody else listens there")

// Reasons why an attempt to connect ended.
var (
	errSuperseded = errors.New("another socket took the session over")
	errWait       = errors.New("peer connects to us instead")
	errFeatures   = errors.New("peer needs features that we lack")
)

// waitDelay is how long a connection that lost a race waits for the winner.
const waitDelay = time.Second

// spawn starts connecting. Callers hold c.mu, or are the only ones to know c.
func (c *Conn) spawn() {
	c.state = stateConnecting
	c.turn++
	turn := c.turn
	c.m.wg.Go(func() { c.run(turn) })
}

// resume connects a session that has no socket. Callers hold c.mu.
func (c *Conn) resume() {
	if c.policy.Server {
		return
	}
	if c.serverCookie != 0 {
		c.connectSeq++
	}
	c.spawn()
}

// run makes attempts until one succeeds, and then reads from it.
func (c *Conn) run(turn uint64) {
	var delay time.Duration
	if c.policy.Lossy {
		if to, ok := sessionKey(c.target); ok {
			delay = c.m.dialDelay(to.AddrPort)
		}
	}
	for c.pause(turn, delay) {
		l, s, err := c.attempt(turn)
		if err == nil {
			c.serve(l, s.prev, s.reset, false)
			return
		}
		if l != nil {
			err = l.failed(err)
		}
		var again bool
		if delay, again = c.attemptFailed(turn, err); !again {
			return
		}
	}
}

// pause waits before an attempt; false when the attempt is not ours to make any more.
func (c *Conn) pause(turn uint64, d time.Duration) bool {
	if d > 0 {
		t := time.NewTimer(d)
		select {
		case <-c.kick:
		case <-t.C:
		}
		t.Stop()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.turn == turn
}

// attemptFailed ends a lossy session, or says how long a lossless one waits.
func (c *Conn) attemptFailed(turn uint64, err error) (time.Duration, bool) {
	c.mu.Lock()
	if c.turn != turn {
		c.mu.Unlock()
		return 0, false
	}
	c.link, c.err = nil, err
	c.attempts++
	c.m.log.Debug("attempt to connect failed", "peer", c.peer.Name, "err", err)
	if c.policy.Lossy {
		c.end(err)
		c.out = nil
		c.mu.Unlock()
		c.m.forget(c)
		c.m.d.Reset(c)
		return 0, false
	}
	defer c.mu.Unlock()
	if errors.Is(err, errWait) {
		return waitDelay, true
	}
	return backoff(c.attempts, c.m.opt.BackoffMin, c.m.opt.BackoffMax), true
}

// attempt dials and shakes hands. With an error, the link, if there is one, is still open.
func (c *Conn) attempt(turn uint64) (*link, settled, error) {
	to, _ := sessionKey(c.target)
	ctx, cancel := context.WithTimeout(context.Background(), c.m.opt.HandshakeTimeout)
	defer cancel()
	c.mu.Lock()
	if c.turn != turn {
		c.mu.Unlock()
		return nil, settled{}, errSuperseded
	}
	c.cancel = cancel
	c.mu.Unlock()
	nc, err := c.m.opt.Dial(ctx, to.AddrPort)
	if err != nil {
		c.m.dialed(to.AddrPort, false)
		return nil, settled{}, fmt.Errorf("connect to %v: %w", to, err)
	}
	l := newLink(nc, &c.m.opt)
	nc.SetDeadline(time.Now().Add(c.m.opt.HandshakeTimeout))
	if !c.adopt(turn, l) {
		l.close(errSuperseded)
		return l, settled{}, errSuperseded
	}
	var s settled
	if err = c.m.login(l, c.peerType, c.target); err == nil {
		s, err = c.identify(turn, l, to)
	}
	c.m.dialed(to.AddrPort, err == nil)
	if err != nil {
		err = fmt.Errorf("connect to %v: %w", to, err)
	}
	return l, s, err
}

// adopt makes a link the one that is closed when another takes the session over.
func (c *Conn) adopt(turn uint64, l *link) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turn != turn {
		return false
	}
	c.link = l
	return true
}

// settled is what an outgoing session has to do before it reads.
type settled struct {
	prev  *link // whose goroutines must have ended
	reset bool  // the peer forgot the previous session
}

// identify makes a new session or resumes the old one.
func (c *Conn) identify(turn uint64, l *link, to ceph.Addr) (settled, error) {
	var s settled
	gs := c.m.nextGlobalSeq(0)
	for {
		t, payload, err := c.introduce(turn, to, gs)
		if err != nil {
			return s, err
		}
		if err := l.send(t, payload); err != nil {
			return s, err
		}
		t, b, err := l.receive()
		if err != nil {
			return s, err
		}
		done, err := c.introduced(turn, l, to, t, b, &gs, &s)
		if done || err != nil {
			return s, err
		}
	}
}

// introduce makes the frame that offers or resumes a session.
func (c *Conn) introduce(turn uint64, to ceph.Addr, gs uint64) (tag, denc.Value, error) {
	addrs, num := c.m.Addrs(), c.m.Name().Num
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turn != turn {
		return 0, nil, errSuperseded
	}
	c.globalSeq = gs
	if c.serverCookie != 0 {
		return tagSessionReconnect, &sessionReconnect{
			Addrs: addrs, ClientCookie: c.clientCookie, ServerCookie: c.serverCookie,
			GlobalSeq: gs, ConnectSeq: c.connectSeq, MsgSeq: c.inSeq.Load(),
		}, nil
	}
	id := &clientIdent{
		Addrs: addrs, Target: to, Num: num, GlobalSeq: gs,
		Supported: c.policy.Supported, Required: c.policy.Required,
	}
	if c.policy.Lossy {
		id.Flags = flagLossy
	} else if c.clientCookie == 0 {
		c.clientCookie = cookie()
	}
	id.Cookie = c.clientCookie
	return tagClientIdent, id, nil
}

// introduced takes the answer; not done means to introduce ourselves again.
func (c *Conn) introduced(
	turn uint64, l *link, to ceph.Addr, t tag, b []byte, gs *uint64, s *settled,
) (done bool, err error) {
	c.mu.Lock()
	resuming := c.serverCookie != 0
	c.mu.Unlock()
	switch {
	case t == tagWait:
		return false, errWait
	case t == tagServerIdent && !resuming:
		return true, c.newSession(turn, l, to, b, s)
	case t == tagIdentMissing && !resuming:
		var n number
		err := decode(t, b, &n)
		return false, errors.Join(fmt.Errorf("%w: %#x", errFeatures, n.N), err)
	case t == tagSessionReconnectOK && resuming:
		return true, c.oldSession(turn, l, b, s)
	case t == tagSessionReset && resuming:
		return false, c.sessionReset(turn, b, s)
	case t == tagSessionRetry && resuming:
		var n number
		err := decode(t, b, &n)
		return false, c.change(turn, err, func() { c.connectSeq = n.N + 1 })
	case t == tagSessionRetryGlobal && resuming:
		var n number
		err := decode(t, b, &n)
		*gs = c.m.nextGlobalSeq(n.N)
		return false, err
	}
	return false, fmt.Errorf("%w: tag %d while a session is made", errFrame, t)
}

// change applies f under the lock unless the turn has passed.
func (c *Conn) change(turn uint64, err error, f func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && c.turn != turn {
		err = errSuperseded
	}
	if err == nil {
		f()
	}
	return err
}

// newSession takes SERVER_IDENT.
func (c *Conn) newSession(turn uint64, l *link, to ceph.Addr, b []byte, s *settled) error {
	var id serverIdent
	if err := decode(tagServerIdent, b, &id); err != nil {
		return err
	}
	if !contains(id.Addrs, to) {
		return fmt.Errorf("%w: peer is %v, not %v", ErrOtherPeer, id.Addrs, to)
	}
	if missing := c.policy.Required &^ id.Supported; missing != 0 {
		return fmt.Errorf("%w: peer lacks %#x", errFeatures, missing)
	}
	c.recv.Lock()
	defer c.recv.Unlock()
	return c.change(turn, nil, func() {
		c.serverCookie, c.peerGlobalSeq, c.connectSeq = id.Cookie, id.GlobalSeq, 0
		c.policy.Lossy = c.policy.Lossy || id.Flags&flagLossy != 0
		c.peer = l.peer
		c.peer.Name = ceph.EntityName{Type: c.peerType, Num: id.Num}
		c.peer.Addrs, c.peer.Features = id.Addrs, id.Supported&c.policy.Supported
		c.inSeq.Store(0)
		c.renew()
		c.install(l, s)
	})
}

// oldSession takes SESSION_RECONNECT_OK.
func (c *Conn) oldSession(turn uint64, l *link, b []byte, s *settled) error {
	var n number
	if err := decode(tagSessionReconnectOK, b, &n); err != nil {
		return err
	}
	c.recv.Lock()
	defer c.recv.Unlock()
	bad := false
	err := c.change(turn, nil, func() {
		c.peer.Mode, c.peer.Socket = l.peer.Mode, l.peer.Socket
		if bad = !c.plausible(n.N); bad {
			return
		}
		c.requeue(n.N)
		c.install(l, s)
	})
	if bad {
		return fmt.Errorf("%w: peer got message %d", errFrame, n.N)
	}
	return err
}

// sessionReset takes SESSION_RESET: the peer wants a new session, and has forgotten the old one if
// the reset is full.
func (c *Conn) sessionReset(turn uint64, b []byte, s *settled) error {
	var r sessionReset
	err := decode(tagSessionReset, b, &r)
	return c.change(turn, err, func() {
		if r.Full {
			c.dropQueue()
			c.clientCookie, c.peerGlobalSeq = 0, 0
			s.reset = true
		}
		c.serverCookie, c.connectSeq = 0, 0
	})
}

// install makes a link the session's. Callers hold c.recv and c.mu.
func (c *Conn) install(l *link, s *settled) {
	c.state, c.link, c.source = stateReady, l, l
	l.features, l.lossy = c.peer.Features, c.policy.Lossy
	c.attempts = 0
	s.prev, c.served = c.served, l
	c.control = pending{}
	c.ackDue.Store(0)
}

// renew begins the numbers of a new session: all that the peer is not known to have got goes out
// again. Callers hold c.mu.
func (c *Conn) renew() {
	c.out = slices.Concat(c.sent, c.out)
	for i := range c.out {
		c.out[i].seq = 0
	}
	c.sent, c.outSeq, c.maxSeq, c.gotSeq = nil, 0, 0, 0
}

// requeue resumes a session whose peer has got the messages up to got: of what was written, the
// rest goes out again, under the same numbers. Callers hold c.mu.
func (c *Conn) requeue(got uint64) {
	out := slices.Concat(c.sent, c.out)
	n := 0
	for n < len(out) && out[n].seq != 0 && out[n].seq <= got {
		n++
	}
	c.out, c.sent, c.outSeq, c.gotSeq = out[n:], nil, got, got
}

// plausible says whether the peer can have got exactly the messages up to got. A request to
// resume that comes late from a socket of long ago names fewer than the peer has got since.
// Callers hold c.mu.
func (c *Conn) plausible(got uint64) bool { return c.gotSeq <= got && got <= c.maxSeq }

// dropQueue forgets what was to be sent. Callers hold c.mu.
func (c *Conn) dropQueue() {
	c.out = nil
	c.sent = nil
	c.renew()
}

func contains(v ceph.AddrVec, a ceph.Addr) bool {
	a, _ = sessionKey(ceph.AddrVec{a})
	for _, x := range v {
		if k, _ := sessionKey(ceph.AddrVec{x}); k == a {
			return true
		}
	}
	return false
}

// cookie is a random number that is not 0.
func cookie() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:]) | 1
}
