package mon

import (
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/cluster/monmap"
	"glue/cluster/osdmap"
	"glue/mon/quorum"
	"glue/wire/message"
	"glue/wire/msgr"
)

// A Member is a monitor without sockets and goroutines, under clocks and on a file system of its
// owner's, who steps it by hand from one goroutine: how simulations run monitors. It is the core
// that a Monitor runs, stepped in the same way: an error of any step is final, and the owner has to
// drop the member as if its process had ended.
type Member struct{ c *core }

// Edges are the outside of a Member.
type Edges struct {
	FS   vfs.FS                     // of the store; nil: the operating system's
	Seal [keyring.SealKeyBytes]byte // as MkfsOn gave it
	Now  func() time.Time
	// Monotonic is the clock of leases; it never goes back. nil: the operating system's.
	Monotonic func() time.Duration
	// Arm asks for a call of Settle after a time. One at a time: the last replaces the others.
	Arm func(time.Duration)
	// Carry sends a message to another monitor; it may be lost.
	Carry func(to ceph.AddrVec, b message.Body)
	// Dial gives the connection to another monitor, which clients are passed on on: one that is
	// there or a new one. nil: a monitor that does not lead serves nobody.
	Dial func(to ceph.AddrVec) Link
}

// A Link is the connection of a session: what is sent on it arrives in order or not at all.
type Link = link

// A Session is a peer's session with a Member.
type Session struct{ s *session }

// MkfsOn creates the store of a new monitor in dir of a file system, and gives the key that its
// secrets are sealed with.
func MkfsOn(fs vfs.FS, dir string, b Bootstrap) (seal [keyring.SealKeyBytes]byte, err error) {
	ring, seal, err := b.check()
	if err != nil {
		return seal, err
	}
	if err := fs.MkdirAll(dir, 0o750); err != nil {
		return seal, fmt.Errorf("make mon.%s: %w", b.Name, err)
	}
	return seal, b.create(fs, dir, seal, ring)
}

// MkfsJoinOn is MkfsOn for a monitor that will be added to a quorum.
func MkfsJoinOn(fs vfs.FS, dir string, j Joining) (seal [keyring.SealKeyBytes]byte, err error) {
	b, err := j.bootstrap()
	if err != nil {
		return seal, err
	}
	return MkfsOn(fs, dir, b)
}

// OpenMember opens a monitor's store. It does nothing until Settle or Tick is called.
func OpenMember(o Options, e Edges) (*Member, error) {
	c, err := openCore(o, e)
	if err != nil {
		return nil, fmt.Errorf("open mon.%s: %w", o.Name, err)
	}
	return &Member{c}, nil
}

// Tick takes up that another quorum.TickEvery has gone by.
func (m *Member) Tick() error {
	if err := m.c.tick(); err != nil {
		return err
	}
	return m.Settle()
}

// Settle does all that is due now. The error is ErrRemoved when the quorum has removed this
// monitor.
func (m *Member) Settle() error {
	if err := m.c.settle(); err != nil {
		return err
	}
	return m.c.gone
}

// Ready says whether the member lets clients authenticate now; those of one that does not have to
// try another.
func (m *Member) Ready() bool { return m.c.gate.ready(m.c.now()) }

// GlobalID is an id for who has just authenticated, which no other ever had; false: none now.
func (m *Member) GlobalID() (uint64, bool) { return m.c.gate.newGlobalID() }

// Accept begins the session of an authenticated peer.
func (m *Member) Accept(l Link) (*Session, error) {
	s, err := newSession(l)
	if err != nil {
		return nil, err
	}
	m.c.begin(s)
	return &Session{s}, nil
}

// Deliver hands over messages that have come on a session, then does what is due.
func (m *Member) Deliver(s *Session, list ...*message.Message) error {
	for _, b := range list {
		s.s.queued.Add(1)
		m.c.handle(event{s: s.s, m: b})
	}
	return m.Settle()
}

// End tells that a session's connection is gone.
func (m *Member) End(s *Session) error {
	m.c.handle(event{s: s.s, end: true})
	return m.Settle()
}

// Dialed is the session of what comes back on a connection that Dial has made. It may be called
// from within Dial.
func (m *Member) Dialed(l Link) *Session { return &Session{dialed(l)} }

// Broken tells that a connection that Dial has made is gone.
func (m *Member) Broken(l Link, s *Session) error {
	m.c.end(s.s)
	m.c.lost(l)
	return m.Settle()
}

// Leads says whether the member takes itself for the leader.
func (m *Member) Leads() bool { return m.c.node.Leads() }

// Leading says whether the member certainly leads: it answers clients now.
func (m *Member) Leading() bool { return m.c.node.Leading() }

// Term is the term that the member leads in, 0 when it does not.
func (m *Member) Term() uint64 { return m.c.node.Term() }

// Applied is the index of the last entry of the log that is in the state.
func (m *Member) Applied() uint64 { return m.c.node.Applied() }

// ID is the member's id: of its store, not of its name.
func (m *Member) ID() uint64 { return m.c.node.ID() }

// Log is what the member holds of the log.
func (m *Member) Log() (quorum.Log, error) { return m.c.node.Log() }

// Voters are the ids of the members whose majority decides.
func (m *Member) Voters() []uint64 { return m.c.node.Voters() }

// View reads the replicated state.
func (m *Member) View() quorum.View { return m.c.node.View() }

// OSDMap is the newest OSD map; it must not be changed.
func (m *Member) OSDMap() *osdmap.Map { return m.c.osd.Map() }

// MonMap is the newest monitor map; it must not be changed.
func (m *Member) MonMap() *monmap.Map { return m.c.mon.Map() }

// Close flushes and closes the store.
func (m *Member) Close() error { return m.c.node.Close() }

var _ Link = (*msgr.Conn)(nil)
