package osd

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/osd/heartbeat"
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
	marked   heartbeat.Markdowns
	unfit    string                // why it waits to boot
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
	if d.booted.Load() || d.ending.Load() || d.dead.Load() {
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
	why := d.pinger.Unfit()
	if why != "" && b.unfit == "" {
		d.log.Warn("not healthy: waits to boot", "why", why)
	}
	if b.unfit = why; why != "" {
		return
	}
	b.sent, b.target = d.now(), 0 // ask again before the next attempt
	d.mon.Send(d.bootMessage(m))
}

func (d *Daemon) bootMessage(m *osdmap.Map) *message.MOSDBoot {
	addrs := d.addrs
	usage, _ := d.store.Usage()
	host, _ := os.Hostname()
	said := map[string]string{"hostname": host, "osd_objectstore": "glue",
		"front_addr": addrs.Public.String(), "back_addr": addrs.Cluster.String(),
		"hb_front_addr": addrs.Front.String(), "hb_back_addr": addrs.Back.String()}
	maps.Copy(said, d.opt.Metadata)
	return &message.MOSDBoot{
		Paxos: message.Paxos{Version: uint64(m.Epoch)}, FSID: m.FSID, OSD: d.opt.ID,
		UUID: d.super.UUID, BootEpoch: d.boot.first, Oldest: d.super.Oldest,
		Newest: d.super.Newest, CleanFrom: m.Epoch, CleanTo: m.Epoch,
		Public: addrs.Public, Cluster: addrs.Cluster, HBBack: addrs.Back, HBFront: addrs.Front,
		Features: ceph.FeaturesAll, Bytes: usage.Total,
		Metadata: said,
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
	up := m.IsUp(id) && m.ClientAddrs[id].Equal(d.addrs.Public)
	if !d.booted.Swap(up) && up {
		d.boot.first = cmp.Or(d.boot.first, m.Info[id].UpFrom)
		d.pinger.Back()
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
		m.IsUp(id) && m.ClientAddrs[id].Equal(d.addrs.Public) {
		return
	}
	d.booted.Store(false)
	if !d.boot.rejoin && d.markedTooOften() {
		return
	}
	d.log.Warn("marked down but running: booting again", "epoch", m.Epoch)
	d.boot.rejoin = false
	d.addrs = d.renew()
	d.pinger.Leave()
	d.boot.target, d.boot.sent = m.Epoch, time.Time{}
}

// ErrMarkedDown ends an OSD that others find dead again and again.
var ErrMarkedDown = errors.New("marked down too often")

// markedTooOften counts that this OSD was marked down, and ends it when that was once too often:
// every time costs all its PGs an interval.
func (d *Daemon) markedTooOften() bool {
	set := d.config.Load().set
	limit := int(set.Int("osd_max_markdown_count"))
	period := set.Duration("osd_max_markdown_period")
	n, often := d.boot.marked.Add(d.now(), limit, period)
	if often {
		d.fail(fmt.Errorf("%w: %d > osd_max_markdown_count %d in the last %v "+
			"(osd_max_markdown_period); see the cluster log for who reported osd.%d, look at its "+
			"networks and its disk, then start it again",
			ErrMarkedDown, n, limit, period, d.opt.ID))
	}
	return often
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
	d.mon.Send(&message.MOSDMarkMeDown{FSID: m.FSID, OSD: d.opt.ID, Addrs: d.addrs.Public,
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
