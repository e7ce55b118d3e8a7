package msgr

import (
	"net/netip"
	"time"

	"glue/ceph"
	"glue/wire/message"
)

// A Peer is who is at the other end of a connection.
type Peer struct {
	Name     ceph.EntityName // type and number as the peer says; the type is what it authenticated as
	AuthName ceph.AuthName   // whose key it proved; empty for outgoing connections
	GlobalID uint64
	Caps     string // caps text towards us
	AllowAll bool
	Addrs    ceph.AddrVec
	Socket   netip.AddrPort // where its packets come from
	Features uint64         // what both sides have
	Mode     Mode
	Auth     any // see AuthStep
}

// A Conn is a session with a peer.
type Conn struct{}

// Send queues a message. It never blocks. On a connection that has ended it does nothing. The
// message belongs to the connection afterwards; its body is not changed.
func (c *Conn) Send(m *message.Message) {}

// Close ends the session without a Reset: what is queued is flushed if the connection is ready,
// and no message is dispatched that was not begun.
func (c *Conn) Close() {}

// Peer is who is at the other end. Of an outgoing connection it is complete once Connected.
func (c *Conn) Peer() Peer { return Peer{} }

// Ready says whether messages can flow now.
func (c *Conn) Ready() bool { return false }

// Err is why the last socket or attempt ended, nil if none did.
func (c *Conn) Err() error { return nil }

// Keepalive sends a KEEPALIVE2 now.
func (c *Conn) Keepalive() {}

// LastKeepaliveAck is the time stamp of the last KEEPALIVE2 that the peer has echoed.
func (c *Conn) LastKeepaliveAck() time.Time { return time.Time{} }

// SetContext attaches a value to the connection, such as the session of the daemon.
func (c *Conn) SetContext(v any) {}

// Context is what SetContext attached, or nil.
func (c *Conn) Context() any { return nil }
