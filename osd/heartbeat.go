package osd

import (
	"maps"
	"slices"
	"sync"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/wire/message"
)

// heartbeats are what the control goroutine knows of other OSDs being alive.
type heartbeats struct {
	last  time.Time // of the last round of pings
	peers map[int32]*hbPeer

	mu    sync.Mutex
	names []int32 // of peers, for reports
}

type hbPeer struct {
	upFrom   ceph.Epoch
	first    time.Time // of the first ping without an answer; zero when none is due
	heard    time.Time
	reported time.Time // of the last failure report
	failed   bool
}

func (h *heartbeats) list() []int32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.names)
}

// maxHeartbeatPeers bounds how many others an OSD pings, nearest numbers first.
const maxHeartbeatPeers = 20

// heartbeatPeers are the OSDs to ping: neighbours by number, which makes a ring that covers all.
func (d *Daemon) heartbeatPeers(m *osdmap.Map) []int32 {
	var up []int32
	for o := range m.MaxOSD {
		if o != d.opt.ID && m.IsUp(o) {
			up = append(up, o)
		}
	}
	if len(up) > maxHeartbeatPeers {
		i, _ := slices.BinarySearch(up, d.opt.ID)
		ring := append(slices.Clone(up[i:]), up[:i]...)
		n := len(ring)
		up = append(ring[:maxHeartbeatPeers/2], ring[n-maxHeartbeatPeers/2:]...)
		slices.Sort(up)
	}
	return up
}

// heartbeatTick pings the peers and reports those that are silent or refuse connections.
func (d *Daemon) heartbeatTick(now time.Time) {
	m := d.osdmap.Load()
	if m == nil || !d.booted.Load() || d.ending.Load() {
		return
	}
	h := &d.hb
	set := d.config.Load().set
	round := now.Sub(h.last) >= set.Duration("osd_heartbeat_interval")
	if round {
		h.last = now
		d.refreshPeers(m, now)
	}
	grace := set.Duration("osd_heartbeat_grace")
	for _, o := range slices.Sorted(maps.Keys(h.peers)) {
		p := h.peers[o]
		if !m.IsUp(o) || m.Info[o].UpFrom != p.upFrom {
			delete(h.peers, o)
			continue
		}
		if round {
			d.ping(m, o, p, now)
		}
		d.judge(m, o, p, now, grace)
	}
}

func (d *Daemon) refreshPeers(m *osdmap.Map, now time.Time) {
	h := &d.hb
	names := d.heartbeatPeers(m)
	if h.peers == nil {
		h.peers = map[int32]*hbPeer{}
	}
	for _, o := range names {
		if p := h.peers[o]; p == nil || p.upFrom != m.Info[o].UpFrom {
			h.peers[o] = &hbPeer{upFrom: m.Info[o].UpFrom, heard: now}
		}
	}
	h.mu.Lock()
	h.names = names
	h.mu.Unlock()
}

func (d *Daemon) ping(m *osdmap.Map, o int32, p *hbPeer, now time.Time) {
	if p.first.IsZero() {
		p.first = now
	}
	d.sendTo(m, o, &message.MOSDPing{FSID: m.FSID, OSD: d.opt.ID, Epoch: m.Epoch,
		UpFrom: m.Info[d.opt.ID].UpFrom, Kind: message.PingPing, Stamp: ceph.TimeOf(now),
		MonoNS: int64(now.Sub(d.start))})
}

// judge reports a peer that does not answer; one whose address refuses connections is dead for
// certain.
func (d *Daemon) judge(m *osdmap.Map, o int32, p *hbPeer, now time.Time, grace time.Duration) {
	refused := d.refused(m.ClusterAddrs[o])
	silent := !p.first.IsZero() && now.Sub(p.first) > grace
	if !refused && !silent {
		if p.failed {
			p.failed = false
			d.reportFailure(m, o, message.FailureAlive, 0)
		}
		return
	}
	if now.Sub(p.reported) < bootEvery {
		return
	}
	p.reported, p.failed = now, true
	flags, age := uint8(message.FailureFailed), now.Sub(p.first)
	if refused {
		flags, age = message.FailureFailed|message.FailureImmediate, 0
	}
	d.log.Warn("peer does not answer", "osd", o, "refused", refused)
	d.reportFailure(m, o, flags, age)
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
		if p := d.hb.peers[b.OSD]; p != nil {
			p.first, p.heard = time.Time{}, d.now()
		}
	}
}
