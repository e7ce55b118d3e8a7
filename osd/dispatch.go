package osd

import (
	"errors"
	"fmt"

	"glue/auth/caps"
	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/osd/heartbeat"
	"glue/osd/peermsg"
	"glue/wire/message"
	"glue/wire/msgr"
)

// Accepted makes the session of an incoming connection.
func (d *Daemon) Accepted(c *msgr.Conn) {
	s, err := d.newSession(c, c.Peer())
	if err != nil {
		d.log.Warn("connection refused", "peer", c.Peer().AuthName, "err", err)
		c.Close()
		return
	}
	c.SetContext(s)
}

func (d *Daemon) newSession(c link, p msgr.Peer) (*session, error) {
	s := &session{conn: c, peer: p}
	if p.Name.Type == ceph.TypeClient || p.Name.Type == ceph.TypeMgr ||
		p.Name.Type == ceph.TypeMDS || p.Name.Type == ceph.TypeMon {
		text := p.Caps
		if p.AllowAll {
			text = "allow *"
		}
		parsed, err := caps.ParseOSD(text)
		if err != nil {
			return nil, fmt.Errorf("caps: %w", err)
		}
		s.caps, s.all = parsed, parsed.AllowAll()
	} else if !p.IsOSD() {
		return nil, errors.New("it claims to be an OSD")
	}
	return s, nil
}

// Connected passes the news on to the monitor client.
func (d *Daemon) Connected(c *msgr.Conn) { d.monc.Connected(c) }

// Dispatch routes a message: to the shard of its PG, or to the control goroutine.
func (d *Daemon) Dispatch(c *msgr.Conn, m *message.Message) {
	if d.monc.Dispatch(c, m) {
		return
	}
	if b, ok := m.Body.(*message.MCommand); ok {
		d.handleCommand(c, m, b)
		return
	}
	sess, _ := c.Context().(*session)
	d.dispatch(c, c.Peer(), sess, m)
}

// dispatch routes a message of a peer, whose session may be nil if it was we who connected.
func (d *Daemon) dispatch(c link, peer msgr.Peer, sess *session, m *message.Message) {
	if !d.keeps(c, peer, sess, m) {
		m.Release()
	}
}

// keeps routes a message and says whether it is somebody else's now, who releases it. Of others
// only what is in the front is used later, which stays.
func (d *Daemon) keeps(c link, peer msgr.Peer, sess *session, m *message.Message) bool {
	if !peermsg.MayTell(peer.Name.Type, m.Body) {
		d.log.Warn("message refused", "peer", peer.AuthName, "type", m.Body.Type())
		return false
	}
	switch b := m.Body.(type) {
	case *message.MOSDOp:
		d.route(b.PG, event{kind: evOp, sess: sess, msg: m})
		return true
	case *message.MOSDPing:
		d.pinger.Heard(heartbeat.Back, c, b) // of an OSD that has one port for all
	case *message.MOSDCopyGet:
		d.copyGet(b)
	case *message.MOSDCopyPiece:
		d.copyPiece(b)
		return true // left to the collector: it counts for nothing, and its data lives on
	case *message.MOSDMap:
		d.post(func() { d.handleMaps(b) })
	case *message.MMgrMap:
		d.post(func() { d.handleMgrMap(b) })
	case *message.MMgrConfigure:
		d.counters.Images.Enable(len(b.Queries) > 0)
	case *message.MOSDForceRecovery:
		d.forceRecovery(b)
	case *message.MOSDScrub2:
		d.scrubRequest(b)
	case *message.MOSDBackoff, *message.MPing, *message.MPGStatsAck, *message.MMgrOpen,
		*message.MOSDMarkMeDown, *message.MLogAck: // there is nothing to be done
	default:
		if peer.Name.Type == ceph.TypeOSD && d.deliverPeer(m) {
			return true
		}
		d.log.Warn("message is not for an OSD", "peer", peer.Name, "type", m.Body.Type())
	}
	return false
}

// deliverPeer routes what OSDs send each other about one PG; false if it is something else.
func (d *Daemon) deliverPeer(m *message.Message) bool {
	b, ok := m.Body.(interface{ Head() *message.PGHead })
	if !ok {
		return false
	}
	ev := event{kind: evRecovery, msg: m, head: b.Head()}
	switch m.Body.(type) {
	case *message.MOSDRepOp:
		ev.kind = evRepOp
	case *message.MOSDRepOpReply:
		ev.kind = evRepReply
	case *message.MOSDPGQuery2, *message.MOSDPGNotify2, *message.MOSDPGInfo2, *message.MOSDPGLog,
		*message.MOSDPGRemove:
		ev.kind = evPeering
	case *message.MOSDPGLease, *message.MOSDPGLeaseAck:
		ev.kind = evLease
	}
	d.route(ev.head.PG, ev)
	return true
}

func (d *Daemon) route(pg ceph.SPG, ev event) { d.shardOf(pg).post(ev) }

func (d *Daemon) shardOf(pg ceph.SPG) *shard {
	h := (uint64(pg.Pool)*0x9e3779b97f4a7c15 + uint64(pg.Seed)*0xbf58476d1ce4e5b9) >> 32
	return d.shards[h%uint64(len(d.shards))]
}

// Reset ends a client's session: its watches wait for its return.
func (d *Daemon) Reset(c *msgr.Conn) {
	if d.monc.Reset(c) {
		return
	}
	if s, ok := c.Context().(*session); ok {
		d.endSession(s)
	}
	d.post(func() { d.mgrReset(c) })
}

func (d *Daemon) endSession(s *session) {
	s.closed.Store(true)
	for _, sh := range d.shards {
		sh.post(event{kind: evReset, sess: s})
	}
}

// RemoteReset is an OSD that has forgotten our session: it restarted, and a new map will say so.
func (d *Daemon) RemoteReset(c *msgr.Conn) {
	d.log.Debug("session was reset", "peer", c.Peer().Name)
}

// A peerConn is the connection to an OSD of one incarnation.
type peerConn struct {
	conn  Link
	addrs ceph.AddrVec
}

// sendTo sends a message to an OSD at its address in m. Any goroutine may call it.
func (d *Daemon) sendTo(m *osdmap.Map, osd int32, b message.Body) {
	if m.IsUp(osd) && d.booted.Load() {
		d.send(m, osd, b)
	}
}

func (d *Daemon) sendPeer(m *osdmap.Map, osd int32, b message.Body) {
	d.peer(m, osd).Send(message.New(b))
}

func (d *Daemon) peer(m *osdmap.Map, osd int32) Link {
	d.sendMu.Lock()
	defer d.sendMu.Unlock()
	addrs := m.ClusterAddrs[osd]
	p := d.peers[osd]
	if p == nil || !p.addrs.Equal(addrs) {
		p = &peerConn{conn: d.connect(ceph.TypeOSD, addrs), addrs: addrs}
		d.peers[osd] = p
	}
	return p.conn
}

// forgetPeers forgets connections that have been closed.
func (d *Daemon) forgetPeers() {
	d.sendMu.Lock()
	defer d.sendMu.Unlock()
	clear(d.peers)
}

// closeDownPeers ends the connections to OSDs that are down or have moved.
func (d *Daemon) closeDownPeers(m *osdmap.Map) {
	d.sendMu.Lock()
	defer d.sendMu.Unlock()
	for o, p := range d.peers {
		if !m.IsUp(o) || !m.ClusterAddrs[o].Equal(p.addrs) {
			p.conn.Close()
			delete(d.peers, o)
		}
	}
}
