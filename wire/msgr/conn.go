package msgr

import (
	"sync"
	"sync/atomic"
	"time"

	"glue/ceph"
	"glue/wire/message"
	"net/netip"
)

// A Peer is who is at the other end of a connection.
type Peer struct {
	// Name is the peer's session name. The type is what it calls itself, which for a daemon is
	// what it proved. A client's or manager's number is its authenticated global id.
	Name     ceph.EntityName
	AuthName ceph.AuthName // whose key it proved; empty for outgoing connections
	GlobalID uint64        // of the client's side of the connection
	Caps     string        // caps text towards us
	AllowAll bool
	Addrs    ceph.AddrVec
	Socket   netip.AddrPort // where its packets come from
	Features uint64         // what both sides have
	Mode     Mode
	Auth     any // see AuthStep
}

// IsOSD says whether the peer has proven to be an OSD, or nobody has to prove anything.
func (p *Peer) IsOSD() bool {
	return p.Name.Type == ceph.TypeOSD &&
		(p.AuthName.Type == ceph.TypeOSD || p.AuthName.ID == "")
}

type connState int

const (
	stateConnecting connState = iota // a goroutine dials, waits to dial or shakes hands
	stateStandby                     // lossless, without a socket and without need of one
	stateReady
	stateClosed
)

// A Conn is a session with a peer.
type Conn struct {
	m        *Messenger
	peerType ceph.EntityType
	target   ceph.AddrVec // where we connect to
	policy   Policy
	context  atomic.Pointer[any]

	// recv is held by whoever changes which link may deliver, and by a reader while it takes a
	// message from its link into the session.
	recv   sync.Mutex
	source *link
	inSeq  atomic.Uint64 // last message taken; written under recv

	mu    sync.Mutex
	state connState
	// turn counts who owns the session: a connecting goroutine stops when it has changed.
	turn   uint64
	link   *link  // current socket: of the session, or of the attempt to connect
	served *link  // the last one that had a reader and a writer
	cancel func() // ends a dial; nil if none was begun
	// kick wakes a connecting goroutine that waits before its next attempt.
	kick chan struct{}
	peer Peer
	err  error

	out     []outgoing   // to be written; after a lost socket some of it once more
	sent    []outgoing   // written, not acknowledged; lossless only
	outSeq  uint64       // last number given
	maxSeq  uint64       // highest number ever given in this session
	gotSeq  uint64       // what the peer is known to have got
	ackDue  atomic.Int64 // bytes received and not acknowledged
	control pending
	idle    bool // the writer waits for wake
	wake    chan struct{}
	closing bool // flush, then close

	clientCookie, serverCookie uint64
	globalSeq, peerGlobalSeq   uint64
	connectSeq                 uint64
	attempts                   int // failed in a row

	keepaliveAck atomic.Int64
}

// An outgoing message has a number once it was written in this session.
type outgoing struct {
	m   *message.Message
	seq uint64
}

// pending is what the writer sends besides messages.
type pending struct {
	keepalive bool
	echo      bool // answer the peer's keepalive of stamp
	stamp     ceph.Time
	ack       bool
}

// Send queues a message. It never blocks. On a connection that has ended it does nothing. The
// message belongs to the connection afterwards: its body and data are not changed, and on a
// lossless connection not before the peer has acknowledged it.
func (c *Conn) Send(m *message.Message) {
	c.mu.Lock()
	if c.state == stateClosed || c.closing {
		c.mu.Unlock()
		return
	}
	c.out = append(c.out, outgoing{m: m})
	wake := c.idle
	c.idle = false
	if c.state == stateStandby {
		c.resume()
	}
	c.mu.Unlock()
	if wake {
		c.wakeWriter()
	}
}

func (c *Conn) wakeWriter() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// poke wakes the writer for control frames.
func (c *Conn) poke(f func(p *pending)) {
	c.mu.Lock()
	f(&c.control)
	wake := c.idle
	c.idle = false
	c.mu.Unlock()
	if wake {
		c.wakeWriter()
	}
}

// Close ends the session without a Reset: what is queued is flushed if the connection is ready,
// and no message is dispatched that was not begun.
func (c *Conn) Close() { c.shut(true) }

func (c *Conn) shut(flush bool) {
	c.recv.Lock()
	c.source = nil
	c.recv.Unlock()
	c.mu.Lock()
	if c.state == stateClosed {
		c.mu.Unlock()
		return
	}
	l, ready := c.link, c.state == stateReady
	c.end(nil)
	if flush && ready {
		c.closing = true // the writer closes the link
		c.idle = false
		l.nc.SetWriteDeadline(time.Now().Add(closeTimeout))
	} else {
		c.out = nil
	}
	c.mu.Unlock()
	c.m.forget(c)
	if flush && ready {
		c.wakeWriter()
	} else if l != nil {
		l.close(errClosed)
	}
}

// closeTimeout bounds the flush of a closed connection.
const closeTimeout = time.Second

// end makes the session closed. Callers hold c.mu.
func (c *Conn) end(err error) {
	c.state = stateClosed
	c.turn++
	if err != nil {
		c.err = err
	}
	c.sent = nil
	if c.cancel != nil {
		c.cancel()
	}
	close(c.kick)
}

// Peer is who is at the other end. Of an outgoing connection it is complete once Connected.
func (c *Conn) Peer() Peer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peer
}

// PeerType is what the peer is: for an outgoing connection what we took it for and authenticated
// it as, for an incoming one what it has proven to be, or a client. It never changes.
func (c *Conn) PeerType() ceph.EntityType { return c.peerType }

// Ready says whether messages can flow now.
func (c *Conn) Ready() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == stateReady
}

// Closed says whether the session has ended.
func (c *Conn) Closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == stateClosed
}

// Err is why the last socket or attempt ended, nil if none did.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Keepalive sends a KEEPALIVE2 now.
func (c *Conn) Keepalive() { c.poke(func(p *pending) { p.keepalive = true }) }

// LastKeepaliveAck is the time stamp of the last KEEPALIVE2 that the peer has echoed.
func (c *Conn) LastKeepaliveAck() time.Time {
	if n := c.keepaliveAck.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

// SetContext attaches a value to the connection, such as the session of the daemon.
func (c *Conn) SetContext(v any) { c.context.Store(&v) }

// Context is what SetContext attached, or nil.
func (c *Conn) Context() any {
	if p := c.context.Load(); p != nil {
		return *p
	}
	return nil
}
