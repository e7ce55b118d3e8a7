package osdmon

import (
	"fmt"
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
	set := s.opt.Options()
	o := osdmap.DefaultHealthOptions()
	o.WarnNoRedundancy = set.Bool("mon_warn_on_pool_no_redundancy")
	for _, c := range s.m.Checks(o) {
		out[c.Code] = healthmon.Check{Severity: c.Severity, Summary: c.Summary, Count: c.Count,
			Detail: c.Detail}
	}
	if n, want := len(s.m.OSDs()), set.Int("osd_pool_default_size"); len(s.m.Pools) > 0 &&
		int64(n) < want {
		out.Add("TOO_FEW_OSDS", healthmon.Warn, want-int64(n),
			fmt.Sprintf("OSD count %d < osd_pool_default_size %d", n, want))
	}
}
