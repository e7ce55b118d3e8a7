package osd

import (
	"slices"
	"sync"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/osd/heartbeat"
	"glue/wire/message"
)

// heartbeats are what the control goroutine knows of other OSDs being alive.
type heartbeats struct {
	peers heartbeat.Peers

	mu    sync.Mutex
	names []int32 // of peers, for reports
}

func (h *heartbeats) list() []int32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.names)
}

// heartbeatTick pings the peers and reports those that are silent or refuse connections.
func (d *Daemon) heartbeatTick(now time.Time) {
	m := d.osdmap.Load()
	if m == nil || !d.booted.Load() || d.ending.Load() {
		return
	}
	set := d.config.Load().set
	tasks, ring := d.hb.peers.Tick(m, d.opt.ID, now, heartbeat.Rules{
		Interval: set.Duration("osd_heartbeat_interval"),
		Grace:    set.Duration("osd_heartbeat_grace"), Again: bootEvery},
		func(o int32) bool { return d.refused(m.ClusterAddrs[o]) })
	if ring != nil {
		d.hb.mu.Lock()
		d.hb.names = ring
		d.hb.mu.Unlock()
	}
	for _, t := range tasks {
		switch t.What {
		case heartbeat.Ping:
			d.ping(m, t.OSD, now)
		case heartbeat.Alive:
			d.reportFailure(m, t.OSD, message.FailureAlive, 0)
		case heartbeat.Silent:
			d.log.Warn("peer does not answer", "osd", t.OSD, "refused", false)
			d.reportFailure(m, t.OSD, message.FailureFailed, t.Age)
		case heartbeat.Refused:
			d.log.Warn("peer does not answer", "osd", t.OSD, "refused", true)
			d.reportFailure(m, t.OSD, message.FailureFailed|message.FailureImmediate, 0)
		}
	}
}

func (d *Daemon) ping(m *osdmap.Map, o int32, now time.Time) {
	d.sendTo(m, o, &message.MOSDPing{FSID: m.FSID, OSD: d.opt.ID, Epoch: m.Epoch,
		UpFrom: m.Info[d.opt.ID].UpFrom, Kind: message.PingPing, Stamp: ceph.TimeOf(now),
		MonoNS: int64(now.Sub(d.start))})
}

func (d *Daemon) reportFailure(m *osdmap.Map, o int32, flags uint8, age time.Duration) {
	d.mon.Send(&message.MOSDFailure{Paxos: message.Paxos{Version: uint64(m.Epoch)},
		FSID: m.FSID, Reporter: d.opt.ID, Target: o, Addrs: m.ClientAddrs[o], Flags: flags,
		Epoch: m.Epoch, FailedFor: int32(age / time.Second)})
}

// handlePing answers a ping, or takes an answer.
func (d *Daemon) handlePing(c link, b *message.MOSDPing) {
	m := d.osdmap.Load()
	if m == nil || b.FSID != m.FSID {
		return
	}
	if b.Epoch > m.Epoch {
		d.mon.Subscribe("osdmap", uint64(m.Epoch)+1, false)
	}
	switch b.Kind {
	case message.PingPing:
		r := *b
		r.Kind, r.OSD, r.Epoch, r.Padding = message.PingReply, d.opt.ID, m.Epoch, nil
		if m.Exists(d.opt.ID) {
			r.UpFrom = m.Info[d.opt.ID].UpFrom
		}
		c.Send(message.New(&r))
	case message.PingReply:
		d.hb.peers.Heard(b.OSD)
	}
}
