package mgr

import (
	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/mgrmap"
	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
	"glue/wire/message"
	"glue/wire/msgr"
)

// Accepted takes every client that has a ticket; what it may do is checked per command.
func (m *Manager) Accepted(c *msgr.Conn) {
	s, err := newSession(c.Peer())
	if err != nil {
		m.log.Warn("caps of a session are not valid", "peer", c.Peer().AuthName, "err", err)
		c.Close()
		return
	}
	c.SetContext(s)
}

// Connected passes the monitor's session to the monitor client.
func (m *Manager) Connected(c *msgr.Conn) { m.client.Connected(c) }

// Reset passes the end of the monitor's session to the monitor client, and forgets what a daemon
// has told on a session of its own.
func (m *Manager) Reset(c *msgr.Conn) {
	if !m.client.Reset(c) {
		m.post(func(m *Manager) { m.state.forgetDaemon(c) })
	}
}

// RemoteReset needs nothing: all sessions are lossy.
func (m *Manager) RemoteReset(*msgr.Conn) {}

// Dispatch decodes on the reader's goroutine and leaves the rest to the loop.
func (m *Manager) Dispatch(c *msgr.Conn, msg *message.Message) {
	if m.client.Dispatch(c, msg) {
		return
	}
	switch b := msg.Body.(type) {
	case *message.MMgrMap:
		if c.PeerType() == ceph.TypeMon {
			m.onMgrMap(b)
		}
	case *message.MOSDMap:
		if c.PeerType() == ceph.TypeMon {
			m.post(func(m *Manager) { m.state.takeMaps(m, b) })
		}
	case *message.MPGStats:
		m.onPGStats(c, b)
	case *message.MMgrOpen:
		m.onOpen(c, b)
	case *message.MMgrClose:
		m.post(func(m *Manager) { m.state.closeService(c, b) })
		c.Send(msg.Reply(b))
	case *message.MMgrCommand:
		m.onAnyCommand(c, msg, b.FSID, b.Cmd, func(r int32, status string) message.Body {
			return &message.MMgrCommandReply{Result: r, Status: status}
		})
	case *message.MCommand:
		m.onAnyCommand(c, msg, b.FSID, b.Cmd, func(r int32, status string) message.Body {
			return &message.MCommandReply{Result: r, Status: status}
		})
	case *message.MMgrReport:
		m.onReport(c, b)
	case *message.MServiceMap:
		m.onServiceMap(c, b)
	case *message.MMgrDigest:
		// Nothing here uses it yet.
	default:
		m.log.Debug("message is not for a manager", "type", msg.Body.Type(), "peer", c.Peer().Name)
	}
}

// onAnyCommand tells a command to this manager from one about the cluster: the former names it.
func (m *Manager) onAnyCommand(
	c *msgr.Conn, msg *message.Message, fsid ceph.UUID, cmd []string,
	reply func(int32, string) message.Body,
) {
	switch {
	case fsid.IsZero():
		m.onCommand(c, msg, cmd, reply)
	case fsid != m.opt.FSID:
		c.Send(msg.Reply(reply(ceph.EPERM.Result(), "wrong fsid")))
	default:
		m.onTell(c, msg, cmd, reply)
	}
}

const defaultPeriod = 5 // seconds between a daemon's reports

func (m *Manager) onMgrMap(b *message.MMgrMap) {
	mm := &mgrmap.Map{}
	if err := denc.Unmarshal(b.Map, mm, ceph.FeaturesAll); err != nil {
		m.log.Error("manager map does not decode", "err", err)
		return
	}
	m.client.Got("mgrmap", uint64(mm.Epoch))
	m.post(func(m *Manager) { m.state.takeMgrMap(m, mm) })
}

// onPGStats takes an OSD's report. Only OSDs may report, and only of themselves.
func (m *Manager) onPGStats(c *msgr.Conn, b *message.MPGStats) {
	peer := c.Peer()
	if peer.Name.Type != ceph.TypeOSD {
		m.log.Warn("statistics from a peer that is no OSD", "peer", peer.AuthName)
		return
	}
	r := &osdReport{osd: int32(peer.Name.Num), pgs: map[ceph.PGID]*pgstat.PG{},
		pools: map[int64]pgstat.Statfs{}}
	if err := denc.Unmarshal(b.OSDStat, &r.stat, peer.Features); err != nil {
		m.log.Warn("OSD statistics do not decode", "peer", peer.Name, "err", err)
		return
	}
	ack := &message.MPGStatsAck{PGs: map[ceph.PGID]ceph.Eversion{}}
	for id, section := range b.PGs {
		pg := &pgstat.PG{}
		if err := denc.Unmarshal(section, pg, peer.Features); err != nil {
			m.log.Warn("PG statistics do not decode", "peer", peer.Name, "pg", id, "err", err)
			return
		}
		r.pgs[id] = pg
		ack.PGs[id] = ceph.Eversion{Version: pg.ReportedSeq, Epoch: pg.ReportedEpoch}
	}
	for id, section := range b.Pools {
		var f pgstat.Statfs
		if err := denc.Unmarshal(section, &f, peer.Features); err != nil {
			m.log.Warn("pool statistics do not decode", "peer", peer.Name, "pool", id, "err", err)
			return
		}
		r.pools[id] = f
	}
	m.post(func(m *Manager) { m.state.takeReport(m, r) })
	c.Send(message.New(ack))
}

// An osdReport is one OSD's statistics.
type osdReport struct {
	osd   int32
	stat  pgstat.OSD
	pgs   map[ceph.PGID]*pgstat.PG
	pools map[int64]pgstat.Statfs // space by pool
}

// applyMaps advances from cur by what a message carries, map by map; nil cur takes the newest full
// map.
func applyMaps(cur *osdmap.Map, b *message.MOSDMap, each func(*osdmap.Map)) (*osdmap.Map, error) {
	for {
		var next ceph.Epoch
		if cur != nil {
			next = cur.Epoch + 1
		}
		if inc, ok := b.Incrementals[next]; ok && cur != nil {
			i, err := osdmap.DecodeIncremental(inc)
			if err != nil {
				return cur, err
			}
			if cur, err = cur.Apply(i); err != nil {
				return cur, err
			}
			each(cur)
			continue
		}
		newest := ceph.Epoch(0)
		for e := range b.Maps {
			newest = max(newest, e)
		}
		if newest == 0 || cur != nil && newest <= cur.Epoch {
			return cur, nil
		}
		full, err := osdmap.Decode(b.Maps[newest])
		if err != nil {
			return cur, err
		}
		cur = full
		each(cur)
	}
}
