package objecter

import (
	"sync"
	"time"

	"glue/ceph"
	"glue/wire/message"
	"glue/wire/msgr"
)

// laggyAfter is for how long a request waits before a newer map is asked for.
const laggyAfter = 2 * time.Second

// Pauses before a lost connection to an OSD that the map says is up is made again.
const (
	reopenMin = 20 * time.Millisecond
	reopenMax = time.Second
)

// A session is the requests at one OSD and the connection to it. conn and what depends on it
// changes only with Objecter.mu held for writing; ops with mu.
type session struct {
	osd int32

	mu       sync.Mutex
	conn     *msgr.Conn // nil while there is none
	addrs    ceph.AddrVec
	ops      map[uint64]*Op
	backoffs map[ceph.SPG]map[uint64]*message.MOSDBackoff
	pause    time.Duration
}

func newSession(osd int32) *session {
	return &session{osd: osd, ops: map[uint64]*Op{}}
}

// add gives a request a number and sends it if nothing holds it back. Objecter.mu is held.
func (s *session) add(o *Objecter, op *Op) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if op.tid == 0 {
		op.tid = o.tid.Add(1)
	}
	op.sess, op.sent = s, false
	s.ops[op.tid] = op
	s.send(o, op)
}

// send sends a request unless it is paused, backed off, or the OSD has no connection. Objecter.mu
// and s.mu are held.
func (s *session) send(o *Objecter, op *Op) {
	if s.conn == nil || op.sent || op.target.paused || s.backedOff(op) {
		return
	}
	op.sent = true
	s.conn.Send(op.message(o.state.m.Epoch))
}

func (s *session) backedOff(op *Op) bool {
	if len(s.backoffs) == 0 {
		return false
	}
	list := s.backoffs[op.target.pl.spg]
	if len(list) == 0 {
		return false
	}
	h := op.hobject()
	for _, b := range list {
		if covers(b, h) {
			return true
		}
	}
	return false
}

func covers(b *message.MOSDBackoff, h ceph.HObject) bool {
	if b.Begin.Compare(b.End) == 0 {
		return h.Compare(b.Begin) == 0
	}
	return h.Compare(b.Begin) >= 0 && h.Compare(b.End) < 0
}

// drain empties the session.
func (s *session) drain() []*Op {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.list()
	s.ops = map[uint64]*Op{}
	return out
}

// list is the requests in order; s.mu is held.
func (s *session) list() []*Op {
	out := make([]*Op, 0, len(s.ops))
	for _, op := range s.ops {
		out = append(out, op)
	}
	sortByTID(out)
	return out
}

// waiting says whether a request has waited long.
func (s *session) waiting(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, op := range s.ops {
		if now.Sub(op.begun) > laggyAfter {
			return true
		}
	}
	return false
}

// openSession makes the session of an OSD and its connection.
func (o *Objecter) openSession(osd int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.sessions[osd] != nil {
		return
	}
	s := newSession(osd)
	o.sessions[osd] = s
	o.dial(s)
}

// dial connects a session to where the map says that its OSD is. o.mu is held for writing.
func (o *Objecter) dial(s *session) {
	if o.net == nil || o.state == nil || !o.state.m.IsUp(s.osd) {
		return
	}
	addrs := o.state.m.Addrs(s.osd)
	if a := addrs.Of(ceph.AddrMsgr2); !a.IsBlank() {
		addrs = ceph.AddrVec{a}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addrs = addrs
	s.conn = o.net.Connect(ceph.TypeOSD, addrs)
	s.conn.SetContext(s)
	s.backoffs = nil
}

// sessionOf is the session that a connection belongs to. dial holds o.mu until it has said so.
func (o *Objecter) sessionOf(conn *msgr.Conn) *session {
	if s, ok := conn.Context().(*session); ok {
		return s
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	s, _ := conn.Context().(*session)
	return s
}

// Connected takes the report of an outgoing connection and says whether it was an OSD's.
func (o *Objecter) Connected(conn *msgr.Conn) bool {
	if s := o.sessionOf(conn); s != nil {
		s.mu.Lock()
		s.pause = 0
		s.mu.Unlock()
		return true
	}
	return o.managerConnected(conn)
}

// Reset takes the report of a lossy connection's end and says whether it was an OSD's or the
// manager's. Requests go out again on a new connection.
func (o *Objecter) Reset(conn *msgr.Conn) bool {
	s := o.sessionOf(conn)
	if s == nil {
		return o.managerReset(conn)
	}
	o.mu.Lock()
	if s.conn != conn || o.closed {
		o.mu.Unlock()
		return true
	}
	s.mu.Lock()
	s.conn, s.backoffs = nil, nil
	for tid, op := range s.ops {
		op.sent = false
		if op.fixed {
			delete(s.ops, tid)
		}
	}
	s.pause = min(max(2*s.pause, reopenMin), reopenMax)
	pause := s.pause
	s.mu.Unlock()
	o.mu.Unlock()
	o.log.Debug("connection to an OSD lost", "peer", s.osd, "err", conn.Err())
	o.failCommands(conn, conn.Err())
	o.requestMap()
	time.AfterFunc(pause, func() { o.reopen(s) })
	return true
}

// reopen connects a session again and sends everything that waits there.
func (o *Objecter) reopen(s *session) {
	o.mu.Lock()
	if o.closed || s.conn != nil || o.sessions[s.osd] != s {
		o.mu.Unlock()
		return
	}
	o.dial(s)
	connected := s.conn != nil
	if connected {
		o.kick(s)
	}
	o.mu.Unlock()
	if connected {
		o.reconnectLingers(s.osd)
	}
}

// kick sends what was not sent on the present connection; o.mu is held.
func (o *Objecter) kick(s *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, op := range s.list() {
		s.send(o, op)
	}
}

// handleBackoff stops or restarts the requests for a range of objects.
func (o *Objecter) handleBackoff(conn *msgr.Conn, b *message.MOSDBackoff) {
	s := o.sessionOf(conn)
	if s == nil {
		return
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != conn {
		return
	}
	switch b.Action {
	case message.BackoffBlock:
		s.block(b)
		ack := *b
		ack.Action = message.BackoffAckBlock
		conn.Send(message.New(&ack))
	case message.BackoffUnblock:
		delete(s.backoffs[b.PG], b.ID)
		for _, op := range s.list() {
			if op.target.pl != nil && op.target.pl.spg == b.PG && covers(b, op.hobject()) {
				op.sent = false
				s.send(o, op)
			}
		}
	}
}

func (s *session) block(b *message.MOSDBackoff) {
	if s.backoffs == nil {
		s.backoffs = map[ceph.SPG]map[uint64]*message.MOSDBackoff{}
	}
	if s.backoffs[b.PG] == nil {
		s.backoffs[b.PG] = map[uint64]*message.MOSDBackoff{}
	}
	s.backoffs[b.PG][b.ID] = b
}
