package msgr

import (
	"net/netip"

	"glue/ceph"
	"glue/wire/message"
)

// A Dispatcher takes what comes from connections. Dispatch runs on the connection's reading
// goroutine and must not block; messages of one connection arrive in order.
type Dispatcher interface {
	// Accepted reports an incoming connection, authenticated, before its first message. Refuse
	// it with c.Close.
	Accepted(c *Conn)
	// Connected reports that an outgoing connection is ready, each time that its session is
	// established or resumed.
	Connected(c *Conn)
	// Dispatch takes a message; whoever is done with its buffers calls m.Release.
	Dispatch(c *Conn, m *message.Message)
	// Reset reports the end of a lossy session that we did not close: exactly once, nothing
	// comes after it.
	Reset(c *Conn)
	// RemoteReset reports that the peer has forgotten a lossless session: what was queued and
	// not acknowledged is dropped, and the Conn goes on with a new session.
	RemoteReset(c *Conn)
}

// A Messenger is one entity's endpoint.
type Messenger struct{ opt Options }

// New makes a messenger that neither listens nor connects yet.
func New(opt Options) *Messenger { return &Messenger{opt: opt} }

// Bind listens at an address; port 0 picks a free one. Call it before Start.
func (m *Messenger) Bind(at netip.AddrPort) error { return nil }

// BindRange listens at the first free port of lo..hi.
func (m *Messenger) BindRange(ip netip.Addr, lo, hi uint16) error { return nil }

// Addrs is our own address with its nonce, as it must stand in the maps. Before Bind it is of
// type any with port 0.
func (m *Messenger) Addrs() ceph.AddrVec { return nil }

// SetName changes our name: a client's or manager's number is its global id, known only once it
// has authenticated. It applies to connections made after it.
func (m *Messenger) SetName(n ceph.EntityName) {}

// Name is our name.
func (m *Messenger) Name() ceph.EntityName { return m.opt.Entity }

// Start begins to accept and to dispatch.
func (m *Messenger) Start(d Dispatcher) {}

// Connect is the connection to a peer at addrs, made if there is none. It never blocks: messages
// can be sent at once and go out when the session is ready.
func (m *Messenger) Connect(peer ceph.EntityType, addrs ceph.AddrVec) *Conn { return nil }

// Lookup is the connection to a peer at addrs, nil if there is none.
func (m *Messenger) Lookup(addrs ceph.AddrVec) *Conn { return nil }

// Close flushes what is queued on ready connections, waiting at most a second, then closes all. No
// callback runs after it has returned.
func (m *Messenger) Close() error { return nil }
