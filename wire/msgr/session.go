package msgr

import (
	"fmt"
	"strconv"

	"glue/ceph"
	"glue/ceph/denc"
)

// A verdict is what becomes of an incoming connection that introduces itself.
type verdict struct {
	tag     tag // the answer
	payload denc.Value
	conn    *Conn // the session is established; nil: the peer may introduce itself again
	fresh   bool  // conn is new
	old     *link // to be closed, since this one replaces it
	settled
}

// maxIntroductions bounds how often one connection may introduce itself.
const maxIntroductions = 16

// establish turns an authenticated link into a session, new or resumed.
func (m *Messenger) establish(l *link) (verdict, error) {
	for range maxIntroductions {
		t, b, err := l.receive()
		if err != nil {
			return verdict{}, err
		}
		var v verdict
		switch t {
		case tagClientIdent:
			var id clientIdent
			if err = decode(t, b, &id); err == nil {
				v, err = m.clientIdent(l, &id)
			}
		case tagSessionReconnect:
			var r sessionReconnect
			if err = decode(t, b, &r); err == nil {
				v, err = m.reconnect(l, &r)
			}
		default:
			err = fmt.Errorf("%w: tag %d instead of an introduction", errFrame, t)
		}
		if err != nil {
			return v, err
		}
		if v.old != nil {
			v.old.close(errSuperseded)
		}
		err = l.send(v.tag, v.payload)
		if v.conn != nil {
			if err != nil {
				l.close(err) // serve finds out
			}
			return v, nil
		}
		if err != nil {
			return v, err
		}
	}
	return verdict{}, fmt.Errorf("%w: too many introductions", errFrame)
}

// clientIdent decides about a peer that wants a new session.
func (m *Messenger) clientIdent(l *link, id *clientIdent) (verdict, error) {
	if err := m.checkIdent(l, id); err != nil {
		return verdict{}, err
	}
	policy := m.opt.Policy(l.peer.Name.Type)
	if missing := policy.Required &^ id.Supported; missing != 0 {
		return verdict{tag: tagIdentMissing, payload: &number{missing}}, nil
	}
	l.peer.Addrs = id.Addrs
	l.peer.Features = id.Supported & policy.Supported
	gs := m.nextGlobalSeq(0)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return verdict{}, errClosed
	}
	c := m.newConn(l.peer.Name.Type, policy)
	v := verdict{conn: c, fresh: true}
	if policy.Lossy {
		c.policy.Server = true
	} else if key, _ := sessionKey(id.Addrs); m.sessions[key] != nil {
		ex := m.sessions[key]
		ex.recv.Lock()
		defer ex.recv.Unlock()
		ex.mu.Lock()
		defer ex.mu.Unlock()
		keep, err := m.meetExisting(ex, id, &v)
		if err != nil || v.tag != 0 {
			v.conn = nil
			return v, err
		}
		if keep {
			v.conn, v.fresh, v.old = ex, false, ex.link
			ex.supersede()
			return m.begin(l, id, v, gs), nil
		}
	}
	if !policy.Lossy {
		key, _ := sessionKey(id.Addrs)
		c.target = id.Addrs
		m.sessions[key] = c
	}
	m.conns[c] = struct{}{}
	c.recv.Lock()
	defer c.recv.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	return m.begin(l, id, v, gs), nil
}

// checkIdent checks who the peer says that it is and whom it wants, and takes its number.
func (m *Messenger) checkIdent(l *link, id *clientIdent) error {
	if len(id.Addrs) == 0 || id.Addrs[0] == (ceph.Addr{}) {
		return fmt.Errorf("%w: peer has no address", errFrame)
	}
	if self := m.Addrs(); !contains(self, id.Target) {
		return fmt.Errorf("%w: peer wants %v, this is %v", errFrame, id.Target, self)
	}
	p := &l.peer
	switch p.Name.Type {
	case ceph.TypeClient, ceph.TypeMgr:
		p.Name.Num = id.Num
		if p.GlobalID != 0 {
			p.Name.Num = int64(p.GlobalID)
		}
	case ceph.TypeOSD:
		if n, err := strconv.ParseInt(p.AuthName.ID, 10, 64); err != nil || n != id.Num {
			return fmt.Errorf("%w: %v introduces itself as osd.%d", errRefused, p.AuthName, id.Num)
		}
		p.Name.Num = id.Num
	default:
		p.Name.Num = id.Num
	}
	return nil
}

// meetExisting decides what a new session means for the one that exists with the same peer. keep
// means that the existing Conn goes on with the new socket; a tag in v is an answer without a
// session. Callers hold the locks of m and ex.
func (m *Messenger) meetExisting(ex *Conn, id *clientIdent, v *verdict) (keep bool, err error) {
	switch {
	case ex.state == stateClosed:
		return false, nil
	case ex.peerGlobalSeq > id.GlobalSeq:
		return false, fmt.Errorf("%w: connection is older than the session", errSuperseded)
	case ex.policy.Lossy:
		// Our own lossy connection to it goes its way; this one gets a session of its own.
		return false, nil
	case ex.serverCookie != 0 && ex.clientCookie != 0 && ex.clientCookie != id.Cookie:
		ex.dropQueue() // the peer has forgotten the session
		v.reset = true
		return true, nil
	case ex.clientCookie == id.Cookie, ex.state == stateReady, ex.state == stateStandby:
		return true, nil
	case m.incomingWins(ex, id.Addrs):
		return true, nil
	}
	ex.kickLocked() // our own attempt is the one that counts
	v.tag, v.payload = tagWait, &empty{}
	return false, nil
}

// incomingWins resolves a race of two peers that connect to each other: the connection of the one
// with the lower address survives.
func (m *Messenger) incomingWins(ex *Conn, peer ceph.AddrVec) bool {
	theirs, _ := sessionKey(peer)
	return ex.policy.Server || compareAddrs(theirs, m.self) < 0
}

// compareAddrs orders addresses as the peers' tie break does: by type, then by the bytes of the
// socket address, then by nonce. Both ends only have to agree.
func compareAddrs(a, b ceph.Addr) int {
	if a.AddrPort != b.AddrPort {
		return a.AddrPort.Compare(b.AddrPort)
	}
	return a.Compare(b)
}

// begin installs a link as a new session and makes SERVER_IDENT. Callers hold the locks of the
// messenger and of the Conn.
func (m *Messenger) begin(l *link, id *clientIdent, v verdict, gs uint64) verdict {
	c := v.conn
	c.clientCookie, c.serverCookie, c.connectSeq = id.Cookie, 0, 0
	c.peerGlobalSeq = id.GlobalSeq
	c.peer = l.peer
	c.inSeq.Store(0)
	c.renew()
	ident := &serverIdent{
		Addrs: m.addrs(), Num: m.name.Num, GlobalSeq: gs,
		Supported: c.policy.Supported, Required: c.policy.Required,
	}
	if c.policy.Lossy {
		ident.Flags = flagLossy
	} else {
		c.serverCookie = cookie()
	}
	ident.Cookie = c.serverCookie
	c.install(l, &v.settled)
	v.tag, v.payload = tagServerIdent, ident
	return v
}

// reconnect decides about a peer that wants its session back.
func (m *Messenger) reconnect(l *link, r *sessionReconnect) (verdict, error) {
	key, ok := sessionKey(r.Addrs)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return verdict{}, errClosed
	}
	ex := m.sessions[key]
	if !ok || ex == nil {
		return verdict{tag: tagSessionReset, payload: &sessionReset{Full: true}}, nil
	}
	ex.recv.Lock()
	defer ex.recv.Unlock()
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if v := m.mayResume(ex, r); v.tag != 0 {
		return v, nil
	}
	if !samePeer(&ex.peer, &l.peer) {
		return verdict{}, fmt.Errorf("%w: %v resumes a session of %v",
			errRefused, l.peer.AuthName, ex.peer.AuthName)
	}
	if !ex.plausible(r.MsgSeq) {
		return verdict{}, fmt.Errorf("%w: peer got message %d", errFrame, r.MsgSeq)
	}
	v := verdict{conn: ex, old: ex.link}
	ex.supersede()
	ex.connectSeq, ex.peerGlobalSeq = r.ConnectSeq, r.GlobalSeq
	ex.peer.Mode, ex.peer.Socket, ex.peer.Auth = l.peer.Mode, l.peer.Socket, l.peer.Auth
	ex.requeue(r.MsgSeq)
	ex.install(l, &v.settled)
	v.tag, v.payload = tagSessionReconnectOK, &number{ex.inSeq.Load()}
	return v, nil
}

// samePeer says whether a session may be handed to whoever has just authenticated. A session that
// we began knows no key's name.
func samePeer(old, now *Peer) bool {
	switch {
	case old.Name.Type != now.Name.Type:
		return false
	case old.AuthName != ceph.AuthName{}:
		return old.AuthName == now.AuthName
	case old.Name.Type == ceph.TypeOSD:
		return now.AuthName.ID == strconv.FormatInt(old.Name.Num, 10)
	}
	return true
}

// mayResume answers a peer whose session can't be resumed as it asks. Callers hold the locks.
func (m *Messenger) mayResume(ex *Conn, r *sessionReconnect) verdict {
	switch {
	case ex.state == stateClosed || ex.policy.Lossy || ex.clientCookie != r.ClientCookie:
		return verdict{tag: tagSessionReset, payload: &sessionReset{Full: true}}
	case ex.serverCookie == 0:
		// We connected and never got the answer that the peer's session began with.
		return verdict{tag: tagSessionReset, payload: &sessionReset{}}
	case ex.peerGlobalSeq > r.GlobalSeq:
		return verdict{tag: tagSessionRetryGlobal, payload: &number{ex.peerGlobalSeq}}
	case ex.connectSeq > r.ConnectSeq:
		return verdict{tag: tagSessionRetry, payload: &number{ex.connectSeq}}
	case ex.connectSeq == r.ConnectSeq && ex.state == stateConnecting &&
		!m.incomingWins(ex, r.Addrs):
		ex.kickLocked()
		return verdict{tag: tagWait, payload: &empty{}}
	}
	return verdict{}
}

// supersede takes the session away from a goroutine that connects for it. Callers hold c.mu.
func (c *Conn) supersede() {
	c.turn++
	if c.cancel != nil {
		c.cancel()
		c.cancel = nil
	}
	c.kickLocked()
	c.idle = false
}

// kickLocked ends a wait before the next attempt. Callers hold c.mu.
func (c *Conn) kickLocked() {
	if c.state == stateClosed {
		return
	}
	select {
	case c.kick <- struct{}{}:
	default:
	}
}
