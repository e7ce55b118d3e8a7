package mon

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"glue/ceph"
	"glue/wire/message"
	"glue/wire/msgr"
)

// A monitor that follows a leader serves clients too: it authenticates them from its own copy of
// the keys, answers what is about itself, and passes everything else on to the leader, which keeps
// a session of its own for each client. So every answer about the cluster comes from the leader.
// When the leader changes, or the connection to it breaks, a follower ends the sessions that it
// passed on: the clients connect anew, here or elsewhere, and send again what was not answered.

// errNotFollowing ends a session that nobody can serve now.
var errNotFollowing = errors.New("no leader to pass the session on to")

// A following is the leader that a follower passes its clients on to.
type following struct {
	leader, term uint64
	conn         link // to the leader; nil before the first session is passed on
	sessions     map[uint64]*session
	last         uint64 // number of the newest session; none comes twice
	asked        uint64 // nonce of the question for global ids, 0 for none
	askedAt      time.Time
}

// follow takes up or gives up serving clients as a follower.
func (c *core) follow() {
	var leader, term uint64
	if c.dial != nil && c.node.Follows() && !c.learns() && c.Leader() >= 0 {
		leader, term = c.node.Leader(), c.node.CurrentTerm()
	}
	if leader == c.following.leader && term == c.following.term {
		return
	}
	if c.following.leader != 0 {
		c.dismiss()
	}
	// Numbers of sessions go on: an answer to an old one may still be on its way.
	c.following = following{leader: leader, term: term, sessions: map[uint64]*session{},
		last: c.following.last}
	c.gate.serve(c.node.Leads() || leader != 0)
	if leader != 0 {
		c.unblock() // what came from clients that were let in while there was no leader
	}
}

// forwards says whether a follower passes a message on. What another monitor sends, and what is
// about this monitor or the connection, it does not.
func (c *core) forwards(e event) bool {
	if c.following.leader == 0 || e.s.isMon() {
		return false
	}
	switch e.m.Body.(type) {
	case *message.MAuth, *message.MCommand, *message.MPing:
		return false
	}
	return true
}

// forward passes a client's message on to the leader.
func (c *core) forward(e event) {
	f := &c.following
	if f.conn == nil {
		f.conn = c.dial(c.mon.Map().Addrs(c.Leader()))
	}
	b := &message.MForward{Session: e.s.number, Inner: message.Wrap(e.m, ceph.FeaturesAll)}
	if b.Session == 0 {
		f.last++
		e.s.number, b.Session = f.last, f.last
		f.sessions[f.last] = e.s
		p := e.s.peer
		b.Open = &message.ForwardedPeer{Name: p.Name, Auth: p.AuthName, GlobalID: p.GlobalID,
			Addrs: p.Addrs, Socket: p.Socket.String(), Features: p.Features}
	}
	f.conn.Send(message.New(b))
}

// unforward tells the leader that a client has gone.
func (c *core) unforward(s *session) {
	if f := &c.following; s.number != 0 && f.sessions[s.number] == s {
		delete(f.sessions, s.number)
		f.conn.Send(message.New(&message.MForward{Session: s.number, Close: true}))
	}
}

// lost takes the end of a connection that this monitor has made.
func (c *core) lost(conn link) {
	f := &c.following
	if f.conn == nil || f.conn != conn {
		return
	}
	list := f.sessions
	f.conn, f.sessions = nil, map[uint64]*session{}
	for _, number := range slices.Sorted(maps.Keys(list)) {
		s := list[number]
		s.conn.Close()
		c.end(s)
	}
}

// routed passes what the leader says on to its client.
func (c *core) routed(e event, b *message.MRoute) {
	s := c.following.sessions[b.Session]
	if !e.s.isMon() || s == nil || e.s.conn != c.following.conn {
		return
	}
	if !b.Close {
		s.conn.Send(b.Inner.Pass())
		return
	}
	delete(c.following.sessions, b.Session)
	s.conn.Close()
	c.end(s)
}

// A carried link is the leader's end of a session that a follower passes on.
type carried struct {
	via    *session // the follower
	number uint64
	peer   msgr.Peer
}

func (l *carried) Peer() msgr.Peer { return l.peer }

// Send has the follower send a message.
func (l *carried) Send(m *message.Message) {
	l.via.conn.Send(message.New(&message.MRoute{Session: l.number,
		Inner: message.Wrap(m, l.peer.Features)}))
}

// Close has the follower end the session.
func (l *carried) Close() {
	l.via.conn.Send(message.New(&message.MRoute{Session: l.number, Close: true}))
}

// forwarded takes what a follower passes on. Only who has proven the monitors' own key may speak
// for others; what they may do is looked up here.
func (c *core) forwarded(e event, b *message.MForward) {
	if !e.s.isMon() {
		return
	}
	s := e.s.carries[b.Session]
	if b.Close {
		if s != nil {
			c.end(s)
		}
		return
	}
	var err error
	switch {
	case !c.node.Leads():
		err = errNotFollowing
	case s == nil && b.Open == nil:
		err = fmt.Errorf("session %d is not open", b.Session)
	case s == nil:
		s, err = c.open(e.s, b)
	}
	var m *message.Message
	if err == nil {
		m, err = b.Inner.Unwrap(ceph.FeaturesAll)
	}
	if err == nil && s.queued.Add(1) > maxQueued {
		err = errors.New("too many requests wait")
	}
	if err != nil {
		c.log.Debug("forwarded session ends", "by", e.s.peer.AuthName, "err", err)
		(&carried{via: e.s, number: b.Session}).Close()
		if s != nil {
			c.end(s)
		}
		return
	}
	c.handle(event{s: s, m: m})
}

// open begins a session that a follower passes on. Its caps are what the leader's own keys say.
func (c *core) open(via *session, b *message.MForward) (*session, error) {
	p := b.Open
	entry, ok := c.auth.Keys().Entity(p.Auth)
	if !ok {
		return nil, fmt.Errorf("there is no %v", p.Auth)
	}
	at, err := netip.ParseAddrPort(p.Socket)
	if err != nil {
		return nil, fmt.Errorf("address of %v: %w", p.Auth, err)
	}
	s, err := newSession(&carried{via: via, number: b.Session, peer: msgr.Peer{
		Name: p.Name, AuthName: p.Auth, GlobalID: p.GlobalID, Caps: entry.Caps["mon"],
		Addrs: p.Addrs, Socket: at, Features: p.Features,
	}})
	if err != nil {
		return nil, err
	}
	s.via, s.number = via, b.Session
	if via.carries == nil {
		via.carries = map[uint64]*session{}
	}
	via.carries[b.Session] = s
	c.begin(s)
	return s, nil
}

// wantIDs asks the leader for global ids before there are none left.
func (c *core) wantIDs(now time.Time) {
	f := &c.following
	if f.leader == 0 || !c.auth.Low() || f.asked != 0 && now.Sub(f.askedAt) < askAgain {
		return
	}
	if f.conn == nil {
		f.conn = c.dial(c.mon.Map().Addrs(c.Leader()))
	}
	c.nonce++
	f.asked, f.askedAt = c.nonce, now
	f.conn.Send(message.New(&message.MMonGlobalID{FSID: c.fsid, Nonce: f.asked}))
}

// askAgain is after how long a question for global ids counts as lost.
const askAgain = 5 * time.Second

// globalIDs takes a follower's question for global ids, or the leader's answer: at most one to each
// question.
func (c *core) globalIDs(e event, b *message.MMonGlobalID) {
	f := &c.following
	switch {
	case !e.s.isMon() || b.FSID != c.fsid:
	case b.Last != 0:
		if b.Nonce == f.asked && e.s.conn == f.conn {
			f.asked = 0
			c.gate.give(b.First, b.Last)
		}
	case c.busy(e):
	default:
		c.auth.Reserve(func(first, last uint64) {
			e.s.reply(e.m, &message.MMonGlobalID{FSID: c.fsid, Nonce: b.Nonce, First: first,
				Last: last})
		})
		c.flow.urgent = true
	}
}
