package osd

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/internal/version"
	"glue/wire/message"
)

// bootState is how far the OSD is on its way into the map; owned by the control goroutine.
type bootState struct {
	first    ceph.Epoch // in which this process was first up; 0 before
	asking   bool       // GetVersion is under way
	target   ceph.Epoch // the newest map when it was asked; 0 unknown
	sent     time.Time  // of the last MOSDBoot
	beacon   time.Time
	alive    ceph.Epoch // up_thru wanted
	aliveAt  time.Time
	rejoin   bool                  // wanted until this OSD is seen marked down
	rejoined time.Time             // when it was last asked for
	temp     map[ceph.PGID][]int32 // pg_temp wanted
	tempAt   time.Time             // of the last request for it
	fullAt   time.Time             // of the last MOSDFull
}

const (
	bootEvery = time.Second
	bootLimit = 5 * time.Second // for one question to the monitors
	tempEvery = 5 * time.Second
)

// tryBoot asks to be marked up once the maps are current.
func (d *Daemon) tryBoot() {
	b := &d.boot
	if d.booted.Load() || d.ending.Load() {
		return
	}
	if b.target == 0 {
		d.askVersion()
		return
	}
	m := d.osdmap.Load()
	if m == nil || m.Epoch < b.target || d.now().Sub(b.sent) < bootEvery {
		return
	}
	if !m.Exists(d.opt.ID) {
		d.fail(fmt.Errorf("osd.%d is not in the map of epoch %d: create it with \"osd new\"",
			d.opt.ID, m.Epoch))
		return
	}
	if !d.isMine(m) {
		return
	}
	b.sent, b.target = d.now(), 0 // ask again before the next attempt
	d.mon.Send(d.bootMessage(m))
}

func (d *Daemon) bootMessage(m *osdmap.Map) *message.MOSDBoot {
	addrs := d.addrs
	usage, _ := d.store.Usage()
	host := d.opt.Hostname
	if host == "" {
		host, _ = os.Hostname()
	}
	return &message.MOSDBoot{
		Paxos: message.Paxos{Version: uint64(m.Epoch)}, FSID: m.FSID, OSD: d.opt.ID,
		UUID: d.super.UUID, BootEpoch: d.boot.first, Oldest: d.super.Oldest,
		Newest: d.super.Newest, CleanFrom: m.Epoch, CleanTo: m.Epoch,
		Public: addrs, Cluster: addrs, HBBack: addrs, HBFront: addrs,
		Features: ceph.FeaturesAll, Bytes: usage.Total,
		Metadata: map[string]string{
			"hostname": host, "arch": runtime.GOARCH, "os": runtime.GOOS,
			"osd_objectstore": "glue", "ceph_release": "pacific",
			"ceph_version":       version.Long,
			"ceph_version_short": version.Ceph,
			"front_addr":         addrs.String(), "back_addr": addrs.String(),
			"hb_front_addr": addrs.String(), "hb_back_addr": addrs.String(),
		},
	}
}

// askVersion finds out which map is the newest.
func (d *Daemon) askVersion() {
	if d.boot.asking {
		return
	}
	d.boot.asking = true
	d.mon.AskVersion("osdmap", func(newest uint64, err error) {
		d.post(func() {
			d.boot.asking = false
			if err == nil {
				d.boot.target = max(ceph.Epoch(newest), 1)
				d.tryBoot()
			}
		})
	})
}

// checkMe looks at what a new map says of this OSD.
func (d *Daemon) checkMe(m *osdmap.Map) {
	id := d.opt.ID
	if m.FSID != d.opt.FSID {
		d.fail(fmt.Errorf("the monitors serve cluster %v, not %v", m.FSID, d.opt.FSID))
		return
	}
	if !m.Exists(id) {
		d.booted.Store(false)
		return
	}
	if d.booted.Load() && !d.isMine(m) {
		return
	}
	up := m.IsUp(id) && m.ClientAddrs[id].Equal(d.addrs)
	if !d.booted.Swap(up) && up {
		d.boot.first = cmp.Or(d.boot.first, m.Info[id].UpFrom)
		d.log.Info("up in the map", "epoch", m.Epoch,
			"after", d.now().Sub(d.start).Round(time.Millisecond))
	}
}

// isMine says whether the number still is this store's in a map; if not, the OSD ends. An old map
// on the way to the newest says nothing: in it the number may be that of a disk before this one.
func (d *Daemon) isMine(m *osdmap.Map) bool {
	u := m.UUIDs[d.opt.ID]
	if d.super.UUID.IsZero() {
		d.super.UUID = u
	}
	if u.IsZero() || u == d.super.UUID {
		return true
	}
	d.fail(fmt.Errorf("osd.%d is now OSD %v, this store belongs to %v", d.opt.ID, u, d.super.UUID))
	return false
}

// checkDown sees that this OSD was marked down while it runs. It comes back as another incarnation:
// others have ended their sessions with it, and what it sends on those would be lost.
func (d *Daemon) checkDown(m *osdmap.Map) {
	id := d.opt.ID
	if !d.booted.Load() || d.ending.Load() ||
		m.IsUp(id) && m.ClientAddrs[id].Equal(d.addrs) {
		return
	}
	d.log.Warn("marked down but running: booting again", "epoch", m.Epoch)
	d.boot.rejoin = false
	d.booted.Store(false)
	d.addrs = d.renew()
	d.boot.target, d.boot.sent = m.Epoch, time.Time{}
}

// rejoin has this OSD marked down, after which it boots again: every PG peers anew. It is what is
// left when messages were lost that a session should have kept.
func (d *Daemon) rejoin() {
	m := d.osdmap.Load()
	if !d.booted.Load() {
		return
	}
	d.boot.rejoin = true
	if d.now().Sub(d.boot.rejoined) < bootLimit {
		return // bootTick asks again
	}
	d.boot.rejoined = d.now()
	d.mon.Send(&message.MOSDMarkMeDown{FSID: m.FSID, OSD: d.opt.ID, Addrs: d.addrs,
		Epoch: m.Epoch})
}

// mapTaken goes on with boot and requests that a new map may have answered.
func (d *Daemon) mapTaken(m *osdmap.Map) {
	d.tryBoot()
	if d.boot.alive != 0 && m.Info[d.opt.ID].UpThru >= d.boot.alive {
		d.boot.alive = 0
	}
	d.closeDownPeers(m)
}

func (d *Daemon) bootTick(now time.Time) {
	d.tryBoot()
	if !d.booted.Load() {
		return
	}
	b := &d.boot
	if b.rejoin {
		d.rejoin()
	}
	if b.alive != 0 && now.Sub(b.aliveAt) > bootEvery {
		d.sendAlive()
	}
	if now.Sub(b.tempAt) > tempEvery {
		d.repeatTemp()
	}
	d.fullTick(now)
	every := d.config.Load().set.Duration("osd_beacon_report_interval")
	if now.Sub(b.beacon) >= every {
		b.beacon = now
		m := d.osdmap.Load()
		d.mon.Send(&message.MOSDBeacon{Paxos: message.Paxos{Version: uint64(m.Epoch)},
			OSD: d.opt.ID, MinLastEpochClean: d.reporter.minClean.Load()})
	}
}

// monSession repeats what a new monitor has not heard.
func (d *Daemon) monSession() {
	d.boot.sent, d.boot.target = time.Time{}, 0
	d.tryBoot()
	if d.boot.alive != 0 {
		d.sendAlive()
	}
	d.sendTemp(d.boot.temp)
}

// wantUpThru asks for up_thru of an epoch.
func (d *Daemon) wantUpThru(e ceph.Epoch) {
	if e > d.boot.alive {
		d.boot.alive = e
		d.sendAlive()
	}
}

func (d *Daemon) sendAlive() {
	d.boot.aliveAt = d.now()
	m := d.osdmap.Load()
	d.mon.Send(&message.MOSDAlive{Paxos: message.Paxos{Version: uint64(m.Epoch)},
		OSD: d.opt.ID, Want: max(d.boot.alive, m.Epoch)})
}

// wantTemp asks for another acting set of a PG; none forgets it.
func (d *Daemon) wantTemp(pg ceph.PGID, osds []int32) {
	if d.boot.temp == nil {
		d.boot.temp = map[ceph.PGID][]int32{}
	}
	d.boot.temp[pg] = osds
	d.sendTemp(map[ceph.PGID][]int32{pg: osds})
}

// repeatTemp asks again for acting sets that the map does not have yet.
func (d *Daemon) repeatTemp() {
	m := d.osdmap.Load()
	for pg, osds := range d.boot.temp {
		if m.Pools[pg.Pool] == nil || slices.Equal(m.PGTemp[pg], osds) {
			delete(d.boot.temp, pg)
		}
	}
	d.sendTemp(d.boot.temp)
}

func (d *Daemon) sendTemp(temp map[ceph.PGID][]int32) {
	m := d.osdmap.Load()
	if len(temp) == 0 || m == nil {
		return
	}
	d.boot.tempAt = d.now()
	d.mon.Send(&message.MOSDPGTemp{Paxos: message.Paxos{Version: uint64(m.Epoch)},
		OSD: d.opt.ID, MapEpoch: m.Epoch, Temp: maps.Clone(temp)})
}

// tempDone forgets a request for an acting set: the PG is in a new interval.
func (d *Daemon) tempDone(pg ceph.PGID) { delete(d.boot.temp, pg) }
