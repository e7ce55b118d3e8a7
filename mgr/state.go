package mgr

import (
	"slices"
	"time"

	"glue/ceph"
	"glue/cluster/mgrmap"
	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
	"glue/internal/daemon"
	"glue/internal/options"
	"glue/mgr/rbdtask"
	"glue/mgr/schedule"
	"glue/wire/message"
)

// state is all that the manager knows; it belongs to the loop.
type state struct {
	name     string
	gid      uint64 // as in the last beacon
	conf     *daemon.Config
	set      options.Set // those of conf
	active   bool        // this manager is the one of the manager map
	mgrmap   *mgrmap.Map
	osdmap   *osdmap.Map
	pgs      *pgstat.PGMap
	dirty    bool // something changed that the monitors have not heard of
	beaconAt time.Time
	reportAt time.Time
	daemons  map[string]*daemonState // by name: osd.0, mon.a
	activeAt time.Time               // when this manager became the active one
	resize   resizing
	bal      balancing
	scale    autoscaling
	kept     kept
	tasks    *rbdtask.Queue // about images; its methods need no loop
	services services
	images   imagePerf
	purges   *schedule.Scheduler // of trashes
	mirrors  *schedule.Scheduler // of snapshots for mirroring
	ready    bool                // the statistics are those of all OSDs
}

func (s *state) init(name string, conf *daemon.Config) {
	s.name, s.conf = name, conf
	s.set = conf.Set()
	s.pgs = pgstat.NewPGMap()
	s.daemons = map[string]*daemonState{}
}

func (s *state) epoch() ceph.Epoch {
	if s.osdmap == nil {
		return 0
	}
	return s.osdmap.Epoch
}

// takeMgrMap learns whether this manager is the active one, and tells the monitors at once when
// it begins to serve.
func (s *state) takeMgrMap(m *Manager, mm *mgrmap.Map) {
	if s.mgrmap != nil && mm.Epoch <= s.mgrmap.Epoch {
		return
	}
	s.mgrmap = mm
	was := s.active
	s.active = mm.ActiveGID == m.client.GlobalID()
	switch {
	case s.active && !was:
		m.log.Info("this manager is active", "epoch", mm.Epoch)
		s.dirty, s.activeAt, s.ready = true, time.Now(), false
		s.tasks.Activate()
		s.purges.Activate()
		s.mirrors.Activate()
		m.client.Subscribe("servicemap", 0, true)
		m.beacon()
	case was && !s.active:
		m.log.Warn("another manager is active now", "active", mm.ActiveName)
		s.forget()
		s.mirrors.Deactivate()
		s.purges.Deactivate()
		s.tasks.Deactivate()
	case s.active && !mm.Available:
		m.beacon()
	}
}

// forget drops what OSDs have reported: they report to another manager now.
func (s *state) forget() {
	s.pgs, s.daemons = pgstat.NewPGMap(), map[string]*daemonState{}
	s.kept, s.services, s.images = kept{}, services{}, imagePerf{}
	if s.osdmap != nil {
		s.pgs.TakeMap(s.osdmap, ceph.TimeOf(time.Now()))
	}
}

// complete says whether the statistics are those of the cluster: a manager that has just become
// active has to hear of every OSD that is up, but does not wait for ever. Until then the monitors
// stay with what the manager before it has told (DaemonServer::send_report).
func (s *state) complete(now time.Time) bool {
	if s.ready {
		return true
	}
	if now.Sub(s.activeAt) < 4*s.set.Duration("mgr_stats_period") {
		if s.pgs.NumPGUnknown > 0 {
			return false
		}
		for _, id := range s.osdmap.OSDs() {
			if s.osdmap.IsUp(id) && s.pgs.OSDs[id] == nil {
				return false
			}
		}
	}
	s.ready = true
	return true
}

// takeMaps advances the OSD map; a gap is closed by asking for the rest.
func (s *state) takeMaps(m *Manager, b *message.MOSDMap) {
	now := ceph.TimeOf(time.Now())
	next, err := applyMaps(s.osdmap, b, func(m *osdmap.Map) { s.pgs.TakeMap(m, now) })
	if err != nil {
		m.log.Error("OSD map does not apply; asking for a full one", "epoch", s.epoch(), "err", err)
		s.osdmap = nil
		m.client.Subscribe("osdmap", 0, false)
		return
	}
	if next == nil || next == s.osdmap {
		return
	}
	s.osdmap = next
	m.client.Got("osdmap", uint64(next.Epoch))
	s.dirty = true
}

// takeReport takes an OSD's statistics.
func (s *state) takeReport(m *Manager, r *osdReport) {
	if s.osdmap == nil {
		return // the OSD repeats itself
	}
	s.pgs.TakeReport(r.osd, &r.stat, r.pgs, s.osdmap, ceph.TimeOf(time.Now()))
	s.pgs.TakePoolStatfs(r.osd, r.pools, s.osdmap)
	s.dirty = true
}

// tick does what is due by time.
func (s *state) tick(m *Manager, now time.Time) {
	if now.Sub(s.beaconAt) >= s.set.Duration("mgr_beacon_period") {
		m.beacon()
	}
	if s.active && s.osdmap != nil {
		m.resizePools(now)
		m.balanceTick(now)
		m.autoscaleTick(now)
		m.keptTick(now)
		m.pruneServices(now)
		m.imagesTick(now)
	}
	if s.active && now.Sub(s.reportAt) >= s.set.Duration("mgr_stats_period") {
		s.dirty = true
	}
}

// report tells the monitors the digest and the health checks of the statistics.
func (m *Manager) report(now time.Time) {
	s := &m.state
	s.dirty = false
	if !s.active || s.osdmap == nil {
		return
	}
	s.reportAt = now
	s.forgetSilent(now)
	digest, health := s.pgs.Report(s.osdmap, ceph.TimeOf(now), s.set,
		slices.Concat(s.daemonChecks(), s.autoscaleChecks(), s.crashChecks(now))...)
	m.client.Send(&message.MMonMgrReport{GID: m.client.GlobalID(), Digest: digest, Health: health,
		ServiceMap: s.services.publish(now), Partial: !s.complete(now),
		Progress: s.kept.progress.Report()})
	m.resizePools(now)
}
