package osdmon

import (
	"fmt"
	"strings"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/mon/healthmon"
)

// fenceFor is how long a failed daemon's addresses stay blocklisted (mon_mgr_blocklist_interval).
const fenceFor = 24 * time.Hour

// Fence blocklists addresses, so that a daemon that was failed can't go on writing.
func (s *Service) Fence(now time.Time, addrs ceph.AddrVec) {
	for _, a := range addrs {
		put(&s.inc(now).NewBlocklist, a, ceph.TimeOf(now.Add(fenceFor)))
	}
}

// Checks adds the health checks about OSDs and pools (OSDMap::check_health).
func (s *Service) Checks(now time.Time, out healthmon.Checks) {
	s.checkDown(out)
	s.checkFlags(out)
	s.checkPools(out)
	if len(s.m.Pools) > 0 && len(s.m.OSDs()) < int(s.opt.Options().Int("osd_pool_default_size")) {
		n, want := len(s.m.OSDs()), s.opt.Options().Int("osd_pool_default_size")
		out.Add("TOO_FEW_OSDS", healthmon.Warn, want-int64(n),
			fmt.Sprintf("OSD count %d < osd_pool_default_size %d", n, want))
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// checkDown counts OSDs that are in and not up, and hosts and roots with none that is up.
func (s *Service) checkDown(out healthmon.Checks) {
	var down, lines []string
	in := 0
	for _, id := range s.m.OSDs() {
		if s.m.IsIn(id) {
			in++
		}
		if !s.m.IsDown(id) || s.m.IsOut(id) || s.m.State[id].Has(osdmap.OSDNew) {
			continue
		}
		down = append(down, fmt.Sprintf("osd.%d", id))
		var where []string
		for _, at := range s.m.Crush.FullLocation(id) {
			where = append([]string{at.Type + "=" + at.Name}, where...)
		}
		lines = append(lines, fmt.Sprintf("osd.%d (%s) is down", id, strings.Join(where, ",")))
	}
	if n := len(down); n > 0 {
		out.Add("OSD_DOWN", healthmon.Warn, int64(n), fmt.Sprintf("%d %s down", n,
			plural(n, "osds", "osds")), lines...)
	}
	s.checkHosts(out)
}

// checkHosts names the buckets of which all OSDs that are in are down.
func (s *Service) checkHosts(out healthmon.Checks) {
	typ, ok := s.m.Crush.TypeID("host")
	if !ok {
		return
	}
	var lines []string
	osds := 0
	for id := range s.m.Crush.Names {
		b := s.m.Crush.Bucket(id)
		if b == nil || int32(b.Type) != typ || s.m.Crush.IsShadow(id) {
			continue
		}
		inDown, up := 0, 0
		for _, leaf := range s.m.Crush.Leaves(id) {
			switch {
			case s.m.IsUp(leaf):
				up++
			case s.m.IsIn(leaf):
				inDown++
			}
		}
		if up == 0 && inDown > 0 {
			osds += inDown
			lines = append(lines, fmt.Sprintf("host %s (root=default) (%d osds) is down",
				s.m.Crush.Names[id], inDown))
		}
	}
	if n := len(lines); n > 0 {
		out.Add("OSD_HOST_DOWN", healthmon.Warn, int64(n), fmt.Sprintf("%d %s (%d osds) down", n,
			plural(n, "host", "hosts"), osds), lines...)
	}
}

// warnFlags are the cluster flags that an operator should not forget.
const warnFlags = osdmap.FlagPauseRD | osdmap.FlagPauseWR | osdmap.FlagPauseRec |
	osdmap.FlagNoUp | osdmap.FlagNoDown | osdmap.FlagNoIn | osdmap.FlagNoOut |
	osdmap.FlagNoBackfill | osdmap.FlagNoRecover | osdmap.FlagNoScrub | osdmap.FlagNoDeepScrub |
	osdmap.FlagNoTierAgent | osdmap.FlagNoSnapTrim | osdmap.FlagNoRebalance

func (s *Service) checkFlags(out healthmon.Checks) {
	if f := s.m.Flags & warnFlags; f != 0 {
		out.Add("OSDMAP_FLAGS", healthmon.Warn, 1, f.String()+" flag(s) set")
	}
	if s.m.Flags.Has(osdmap.FlagFull) {
		out.Add("OSD_FULL", healthmon.Err, 1, "full flag set")
	}
}

func (s *Service) checkPools(out healthmon.Checks) {
	var single, full []string
	set := s.opt.Options()
	for _, id := range s.m.PoolIDs() {
		p := s.m.Pool(id)
		if p.Type == osdmap.Replicated && p.Size == 1 &&
			set.Bool("mon_warn_on_pool_no_redundancy") {
			single = append(single, fmt.Sprintf("pool '%s' has no replicas configured",
				s.m.PoolName(id)))
		}
		if p.Flags.Has(osdmap.PoolFull) {
			full = append(full, fmt.Sprintf("pool '%s' is full", s.m.PoolName(id)))
		}
	}
	if n := len(single); n > 0 {
		out.Add("POOL_NO_REDUNDANCY", healthmon.Warn, int64(n),
			fmt.Sprintf("%d pool(s) have no replicas configured", n), single...)
	}
	if n := len(full); n > 0 {
		out.Add("POOL_FULL", healthmon.Warn, int64(n), fmt.Sprintf("%d pool(s) full", n), full...)
	}
}
