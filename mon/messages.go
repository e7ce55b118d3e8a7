package mon

import (
	"errors"
	"fmt"
	"runtime/debug"

	"glue/auth/caps"
	"glue/ceph"
	"glue/mon/osdmon"
	"glue/wire/message"
)

// handle does one event.
func (c *core) handle(e event) {
	switch {
	case e.run != nil:
		e.run()
	case e.s == nil:
	case e.end:
		c.end(e.s)
	case e.s.closed:
	default:
		c.message(e)
	}
}

// message handles a session's message. A message that has to wait for a commit is handled again,
// from the start.
func (c *core) message(e event) {
	defer c.survive(e)
	before := e.s.blocked
	if e.at.IsZero() {
		e.at = c.now()
	}
	c.route(e)
	if e.s.blocked == before {
		e.s.queued.Add(-1)
	}
}

// survive keeps a bug that one message brings out from taking the cluster's monitor down, again and
// again whenever the message is sent: what it prepared is dropped and the session is ended. State
// that is committed was not touched, since only Apply does that.
func (c *core) survive(e event) {
	if p := recover(); p != nil {
		c.log.Error("bug in the handling of a message", "type", e.m.Body.Type(),
			"peer", e.s.peer.AuthName, "panic", p, "stack", string(debug.Stack()))
		c.dropPrepared()
		e.s.conn.Close()
		c.end(e.s)
	}
}

// route finds a message's handler. What is in no case is not for monitors and is dropped.
func (c *core) route(e event) {
	if c.forwards(e) {
		c.forward(e)
		return
	}
	switch b := e.m.Body.(type) {
	case *message.MMonGetMap:
		c.sendMonMap(e.s)
	case *message.MMonSubscribe:
		c.subscribe(e.s, b)
	case *message.MMonGetVersion:
		c.getVersion(e, b)
	case *message.MMonCommand:
		c.command(e, b)
	case *message.MAuth:
		c.renew(e, b)
	case *message.MLog:
		c.takeLog(e, b)
	case *message.MGetConfig:
		c.getConfig(e, b)
	case *message.MStatfs:
		c.statfs(e, b)
	case *message.MGetPoolStats:
		c.poolStats(e, b)
	case *message.MPoolOp:
		c.poolOp(e, b)
	case *message.MMonGetOSDMap:
		c.getOSDMap(e, b)
	case *message.MMgrBeacon:
		c.mgrBeacon(e, b)
	case *message.MMonMgrReport:
		c.mgrReport(e, b)
	case *message.MMgrCommandReply:
		c.proxyReply(e, b)
	case *message.MMonRaft:
		c.fromPeer(e.s, b)
	case *message.MMonProbe:
		c.probe(e, b)
	case *message.MMonJoin:
		c.join(e, b)
	case *message.MTimeCheck2:
		c.timeCheck(e, b)
	case *message.MForward:
		c.forwarded(e, b)
	case *message.MRoute:
		c.routed(e, b)
	case *message.MMonGlobalID:
		c.globalIDs(e, b)
	case *message.MMgrReport:
		c.memberReport(e, b)
	case *message.MCommand:
		c.tell(e, b)
	case *message.MPing:
		c.pong(e)
	default:
		c.osdMessage(e)
	}
}

// osdMessage handles what OSDs say of themselves and of each other: each only as itself.
func (c *core) osdMessage(e event) {
	s := e.s
	now := c.now()
	switch b := e.m.Body.(type) {
	case *message.MOSDBoot:
		if s.isOSD(b.OSD) && b.FSID == c.fsid && !c.busy(e) {
			c.boot(e, b)
		}
	case *message.MOSDAlive:
		if s.isOSD(b.OSD) && !c.busy(e) {
			c.osd.Alive(now, b)
		}
	case *message.MOSDPGTemp:
		if s.isOSD(b.OSD) && !c.busy(e) {
			c.osd.PGTemp(now, b)
		}
	case *message.MOSDPGReadyToMerge:
		if s.isOSD(b.OSD) && !c.busy(e) {
			c.osd.ReadyToMerge(now, b)
		}
	case *message.MOSDBeacon:
		if s.isOSD(b.OSD) {
			c.osd.Beacon(now, b)
		}
	case *message.MOSDFull:
		if s.isOSD(b.OSD) && !c.busy(e) {
			c.osd.Fullness(now, b)
		}
	case *message.MOSDFailure:
		if s.isOSD(b.Reporter) && b.FSID == c.fsid && !c.busy(e) {
			c.osd.Failure(now, b)
		}
	case *message.MOSDMarkMeDown:
		if s.isOSD(b.OSD) && b.FSID == c.fsid && !c.busy(e) {
			c.markMeDown(e, b)
		}
	default:
		c.log.Debug("message is not for a monitor", "type", e.m.Body.Type(), "peer",
			s.peer.AuthName)
	}
}

func (c *core) boot(e event, b *message.MOSDBoot) {
	err := c.osd.Boot(c.now(), b)
	if errors.Is(err, osdmon.ErrBusy) {
		c.block(e)
		c.flow.urgent = true
		return
	}
	// The OSD needs the epochs that it lacks, whether it is up now or was before.
	c.await(event{}, func() { c.sendOSDMaps(e.s, ceph.Epoch(b.Version)+1) })
}

func (c *core) markMeDown(e event, b *message.MOSDMarkMeDown) {
	wait, err := c.osd.MarkMeDown(c.now(), b)
	if errors.Is(err, osdmon.ErrBusy) {
		c.block(e)
		c.flow.urgent = true
		return
	}
	answer := func() {
		if b.RequestAck {
			ack := *b
			ack.RequestAck, ack.Epoch = false, c.osd.Map().Epoch
			e.s.reply(e.m, &ack)
		}
	}
	if !wait {
		answer()
		return
	}
	c.await(e, answer)
}

func (c *core) getVersion(e event, b *message.MMonGetVersion) {
	var first, last uint64
	switch b.What {
	case "osdmap":
		lo, hi := c.osd.Range()
		first, last = uint64(lo), uint64(hi)
	case "monmap":
		lo, hi := c.mon.Range()
		first, last = uint64(lo), uint64(hi)
	case "mgrmap":
		last = uint64(c.mgr.Map().Epoch)
	case "mdsmap", "fsmap":
		last = uint64(fileSystems.Epoch)
	}
	svc, ok := map[string]string{"osdmap": "osd", "mgrmap": "mgr", "mdsmap": "mds"}[b.What]
	if !e.s.allowed("mon", caps.R) && (!ok || !e.s.allowed(svc, caps.R)) {
		return
	}
	if !c.node.Leading() {
		c.block(e)
		return
	}
	e.s.reply(e.m, &message.MMonGetVersionReply{Handle: b.Handle, Version: last, Oldest: first})
}

// renew gives new tickets, or a daemon its rotating keys.
func (c *core) renew(e event, b *message.MAuth) {
	r := &message.MAuthReply{Protocol: b.Protocol, GlobalID: e.s.peer.GlobalID}
	if a := e.s.auth(); a == nil {
		r.Result = ceph.EACCES.Result()
	} else if payload, err := a.Renew(c.now(), b.Payload); err != nil {
		r.Result = ceph.ResultOf(err)
	} else {
		r.Payload = payload
	}
	e.s.reply(e.m, r)
}

// takeLog takes a daemon's lines; it may only speak as itself.
func (c *core) takeLog(e event, b *message.MLog) {
	if b.FSID != c.fsid || !e.s.allowed("log", caps.W) || c.busy(e) {
		return
	}
	var last uint64
	for _, l := range b.Entries {
		l.Name = e.s.peer.AuthName
		last = max(last, l.Seq)
		c.logs.Add(l)
	}
	c.await(event{}, func() { e.s.reply(e.m, &message.MLogAck{FSID: c.fsid, Last: last}) })
}

// getConfig answers for the session's own entity only.
func (c *core) getConfig(e event, b *message.MGetConfig) {
	if b.Name != e.s.peer.AuthName {
		return
	}
	e.s.reply(e.m, &message.MConfig{Config: c.configFor(e.s)})
}

func (c *core) getOSDMap(e event, b *message.MMonGetOSDMap) {
	if !e.s.allowed("osd", caps.R) {
		return
	}
	from := b.IncFirst
	if from == 0 {
		from = b.FullFirst
	}
	c.sendOSDMaps(e.s, from)
}

func (c *core) mgrBeacon(e event, b *message.MMgrBeacon) {
	s := e.s
	if b.FSID != c.fsid || !s.allowed("mgr", caps.X) || s.peer.AuthName.Type != ceph.TypeMgr ||
		s.peer.AuthName.ID != b.Name || b.GID != s.peer.GlobalID || c.busy(e) {
		return
	}
	c.mgr.Beacon(c.now(), b)
	if c.mgr.Dirty() {
		c.flow.urgent = true
	}
	c.proxySend()
}

func (c *core) mgrReport(e event, b *message.MMonMgrReport) {
	m := c.mgr.Map()
	if !e.s.allowed("mgr", caps.X) || b.GID != m.ActiveGID || b.GID != e.s.peer.GlobalID {
		return
	}
	if err := c.stats.take(b); err != nil {
		c.log.Warn("manager's report is not valid", "err", fmt.Errorf("mgr.%s: %w", m.ActiveName,
			err))
		return
	}
	c.sendPGMap()
}
