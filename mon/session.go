package mon

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"

	"glue/auth/caps"
	"glue/auth/cephx"
	"glue/ceph"
	"glue/cluster/commands"
	"glue/mon/service"
	"glue/wire/message"
	"glue/wire/msgr"
)

// maxQueued is how many messages of one session may wait for the loop, and maxFromMon how many of
// another monitor, which speaks for many clients.
const (
	maxQueued  = 1024
	maxFromMon = 64 * maxQueued
)

// A link is what the loop needs of a connection.
type link interface {
	Send(*message.Message)
	Close()
	Peer() msgr.Peer
}

// A session is one peer's connection with what it is allowed and what it wants to hear.
type session struct {
	conn    link
	peer    msgr.Peer
	caps    *caps.Mon
	queued  atomic.Int32
	closed  bool
	blocked int // how often a message had to wait
	host    string
	subs    map[string]*subscription
	sent    map[string]string // configuration that the peer has; nil before the first

	number  uint64              // of a session that is passed on; 0 for none
	via     *session            // at the leader, the follower that passes it on
	carries map[uint64]*session // of a follower at the leader
}

// dispatcher hands what connections bring to the loop.
type dispatcher struct{ c *core }

// Accepted begins a session.
func (d dispatcher) Accepted(conn *msgr.Conn) {
	s, err := newSession(conn)
	if err != nil {
		d.c.log.Warn("session refused", "peer", conn.Peer().AuthName, "err", err)
		conn.Close()
		return
	}
	conn.SetContext(s)
	d.c.post(event{run: func() { d.c.begin(s) }})
}

func newSession(conn link) (*session, error) {
	p := conn.Peer()
	parsed, err := caps.ParseMon(p.Caps)
	if err != nil {
		return nil, fmt.Errorf("caps of %v: %w", p.AuthName, err)
	}
	return &session{conn: conn, peer: p, caps: parsed, subs: map[string]*subscription{}}, nil
}

// Connected begins the session with a monitor that we have connected to: it has proven that it has
// the monitors' own key.
func (d dispatcher) Connected(conn *msgr.Conn) {
	conn.SetContext(dialed(conn))
}

// dialed is the session with a monitor that we have connected to.
func dialed(conn link) *session {
	p := conn.Peer()
	p.AuthName, p.AllowAll = monName, true
	return &session{conn: conn, peer: p, caps: &caps.Mon{}, subs: map[string]*subscription{}}
}

// Dispatch queues a message for the loop. A peer with too many is dropped.
func (d dispatcher) Dispatch(conn *msgr.Conn, m *message.Message) {
	s, ok := conn.Context().(*session)
	if !ok {
		conn.Close()
		return
	}
	limit := int32(maxQueued)
	if s.isMon() {
		limit = maxFromMon
	}
	if s.queued.Add(1) > limit {
		d.c.log.Warn("session dropped: too many requests wait", "peer", s.peer.AuthName)
		conn.Close()
		d.Reset(conn)
		return
	}
	d.c.post(event{s: s, m: m})
}

// Reset ends a session.
func (d dispatcher) Reset(conn *msgr.Conn) {
	s, _ := conn.Context().(*session)
	d.c.post(event{run: func() {
		if s != nil {
			d.c.end(s)
		}
		d.c.lost(conn)
	}})
}

// RemoteReset does nothing: subscriptions come again.
func (d dispatcher) RemoteReset(*msgr.Conn) {}

// begin takes up a session.
func (c *core) begin(s *session) {
	c.serial++
	c.sessions[s] = c.serial
}

// ordered are the sessions in the order in which they began, so that all that is done for each is
// done in the same order whenever the same has happened.
func (c *core) ordered() []*session {
	return slices.SortedFunc(maps.Keys(c.sessions), func(a, b *session) int {
		return cmp.Compare(c.sessions[a], c.sessions[b])
	})
}

// end forgets a session, and those that it carries.
func (c *core) end(s *session) {
	s.closed = true
	delete(c.sessions, s)
	c.unforward(s)
	if s.via != nil {
		delete(s.via.carries, s.number)
	}
	for _, other := range s.carries {
		other.closed = true
		delete(c.sessions, other)
	}
	s.carries = nil
}

// allowed says whether the session's caps give it something on a service.
func (s *session) allowed(svc string, need caps.Perm) bool {
	return s.permits(caps.MonQuery{Service: svc, Need: need})
}

func (s *session) permits(q caps.MonQuery) bool {
	q.Entity, q.Peer = s.peer.AuthName, s.ip()
	return s.peer.AllowAll || s.caps.Allowed(q)
}

func (s *session) ip() netip.Addr { return s.peer.Socket.Addr().Unmap() }

// perms reads "rwx".
func perms(text string) caps.Perm {
	var p caps.Perm
	for _, ch := range text {
		switch ch {
		case 'r':
			p |= caps.R
		case 'w':
			p |= caps.W
		case 'x':
			p |= caps.X
		}
	}
	return p
}

// allowedCommand checks a command by its description.
func (s *session) allowedCommand(d *commands.Descriptor, cmd *commands.Command) bool {
	return s.permits(caps.MonQuery{
		Service: d.Module, Command: cmd.Prefix, Args: cmd.Args(), Need: perms(d.Perm),
	})
}

// caller is the session as handlers see it.
func (s *session) caller() service.Caller {
	return service.Caller{
		Entity: s.peer.Name, Auth: s.peer.AuthName, Addrs: s.peer.Addrs,
		Allowed: func(svc, need string) bool { return s.allowed(svc, perms(need)) },
	}
}

// isOSD says whether the session is that OSD's own.
func (s *session) isOSD(id int32) bool {
	return s.peer.AuthName == ceph.AuthName{Type: ceph.TypeOSD, ID: fmt.Sprint(id)} &&
		s.allowed("osd", caps.X)
}

// auth is the authentication state of the session.
func (s *session) auth() *cephx.MonServer {
	m, _ := s.peer.Auth.(*cephx.MonServer)
	return m
}

// reply answers a message.
func (s *session) reply(m *message.Message, b message.Body) { s.conn.Send(m.Reply(b)) }
