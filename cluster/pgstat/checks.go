package pgstat

import (
	"fmt"
	"slices"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/health"
	"glue/cluster/osdmap"
	"glue/internal/options"
)

// The severities of checks.
const (
	Warn  = health.Warn
	Error = health.Error
)

// A Check is one thing that is not as it should be.
type Check = health.Check

// Checks are checks in the order of their codes.
type Checks = health.Checks

// Limits are the options that checks depend on, under the names of Ceph's options.
type Limits struct {
	MaxDetail           int           // mon_health_max_detail
	StuckThreshold      time.Duration // mon_pg_stuck_threshold
	MaxPGPerOSD         int64         // mon_max_pg_per_osd; 0 turns the check off
	MinPGPerOSD         int64         // mon_pg_warn_min_per_osd
	DefaultSize         int64         // osd_pool_default_size
	WarnTooFewOSDs      bool          // mon_warn_on_too_few_osds
	WarnNoApp           bool          // mon_warn_on_pool_no_app
	WarnMisplaced       bool          // mon_warn_on_misplaced
	QuotaWarn           float32       // mon_pool_quota_warn_threshold / 100
	QuotaCrit           float32       // mon_pool_quota_crit_threshold / 100
	CacheFullWarn       float64       // mon_cache_target_full_warn_ratio
	MinObjects          int64         // mon_pg_warn_min_objects
	MinPoolObjects      int64         // mon_pg_warn_min_pool_objects
	MaxObjectSkew       float32       // mon_pg_warn_max_object_skew
	NotScrubbedRatio    float64       // mon_warn_pg_not_scrubbed_ratio
	NotDeepRatio        float64       // mon_warn_pg_not_deep_scrubbed_ratio
	ScrubMaxInterval    float64       // osd_scrub_max_interval, seconds
	DeepScrubInterval   float64       // osd_deep_scrub_interval, seconds
	SnapTrimQueueWarn   uint32        // mon_osd_snap_trim_queue_warn_on
	WarnRepairedReads   uint64        // mon_osd_warn_num_repaired
	SlowPingMicrosecond float64       // from mon_warn_on_slow_ping_time and _ratio
}

const week = 7 * 24 * 3600.0

// DefaultLimits are the defaults of 16.2.
func DefaultLimits() Limits {
	return Limits{
		MaxDetail: 50, StuckThreshold: time.Minute, MaxPGPerOSD: 250, DefaultSize: 3,
		WarnTooFewOSDs: true, WarnNoApp: true, CacheFullWarn: 0.66, MinObjects: 10000,
		MinPoolObjects: 1000, MaxObjectSkew: 10, NotScrubbedRatio: 0.5, NotDeepRatio: 0.75,
		ScrubMaxInterval: week, DeepScrubInterval: week, SnapTrimQueueWarn: 32768,
		WarnRepairedReads: 10, SlowPingMicrosecond: 1e6,
	}
}

// LimitsFrom is the limits that a daemon's options give; what has no option yet has its default.
func LimitsFrom(set options.Set) Limits {
	l := DefaultLimits()
	l.MaxPGPerOSD = set.Int("mon_max_pg_per_osd")
	l.WarnNoApp = set.Bool("mon_warn_on_pool_no_app")
	l.DefaultSize = set.Int("osd_pool_default_size")
	l.WarnTooFewOSDs = set.Bool("mon_warn_on_too_few_osds")
	return l
}

// Report is what goes to the monitors: the encoded Digest and Checks, with those that others have
// made. It ends an interval of the rates.
func (p *PGMap) Report(
	m *osdmap.Map, now ceph.Time, set options.Set, more ...Check,
) (digest, checks []byte) {
	p.Roll(m, now)
	c := append(p.Checks(m, now, LimitsFrom(set)), more...)
	c.Sort()
	return denc.Marshal(&p.Digest, ceph.FeaturesAll), denc.Marshal(&c, ceph.FeaturesAll)
}

// Checks are the health checks about PGs, pools' space and what OSDs report
// (PGMap::get_health_checks).
func (p *PGMap) Checks(m *osdmap.Map, now ceph.Time, l Limits) Checks {
	p.Refresh(m)
	var c Checks
	p.checkStates(&c, m, now, l)
	p.checkObjects(&c, l)
	p.checkCounts(&c, m, l)
	p.checkPools(&c, m, l)
	p.checkCaches(&c, m, l)
	p.checkQuotas(&c, m, l)
	p.checkOSDs(&c, l)
	p.checkScrubs(&c, m, now, l)
	p.checkTrims(&c, l)
	c.Sort()
	return c
}

// checkObjects looks at the sums over all objects.
func (p *PGMap) checkObjects(c *Checks, l Limits) {
	s := &p.Sum.Stats.Sum
	if n := s.ScrubErrors; n != 0 {
		c.Add("OSD_SCRUB_ERRORS", Error, n, nil, "%d scrub errors", n)
	}
	if n := s.ObjectsMisplaced; n != 0 && s.ObjectCopies > 0 && l.WarnMisplaced {
		c.Add("OBJECT_MISPLACED", Warn, n, nil, "%d/%d objects misplaced (%.3f%%)", n,
			s.ObjectCopies, float64(n)/float64(s.ObjectCopies)*100)
	}
	if n := s.ObjectsUnfound; n != 0 && s.Objects != 0 {
		var detail []string
		for _, id := range p.sortedPGs() {
			if u := p.PGs[id].Stats.Sum.ObjectsUnfound; u != 0 {
				detail = append(detail, fmt.Sprintf("pg %v has %d unfound objects", id, u))
				if len(detail) > l.MaxDetail {
					detail = append(detail, "(additional pgs left out for brevity)")
					break
				}
			}
		}
		c.Add("OBJECT_UNFOUND", Warn, n, detail, "%d/%d objects unfound (%.3f%%)", n, s.Objects,
			float64(n)/float64(s.Objects)*100)
	}
}

// sortedPGs lists the PGs in order.
func (p *PGMap) sortedPGs() []ceph.PGID {
	out := make([]ceph.PGID, 0, len(p.PGs))
	for id := range p.PGs {
		out = append(out, id)
	}
	slices.SortFunc(out, ceph.PGID.Compare)
	return out
}

// checkCounts compares the numbers of PGs and OSDs.
func (p *PGMap) checkCounts(c *Checks, m *osdmap.Map, l Limits) {
	exist, _, in := m.Counts()
	up := max(int64(p.sumUp()), int64(len(p.PGs)))
	if in > 0 && len(m.Pools) > 0 {
		per := up / int64(in)
		if per < l.MinPGPerOSD && per > 0 {
			c.Add("TOO_FEW_PGS", Warn, l.MinPGPerOSD-per, nil,
				"too few PGs per OSD (%d < min %d)", per, l.MinPGPerOSD)
		}
	}
	if in > 0 && l.MaxPGPerOSD > 0 {
		if per := up / int64(in); per > l.MaxPGPerOSD {
			c.Add("TOO_MANY_PGS", Warn, per-l.MaxPGPerOSD, nil,
				"too many PGs per OSD (%d > max %d)", per, l.MaxPGPerOSD)
		}
	}
	if l.WarnTooFewOSDs && int64(exist) < l.DefaultSize {
		c.Add("TOO_FEW_OSDS", Warn, l.DefaultSize-int64(exist), nil,
			"OSD count %d < osd_pool_default_size %d", exist, l.DefaultSize)
	}
}

func (p *PGMap) sumUp() int {
	n := 0
	for _, pg := range p.PGs {
		n += len(pg.Up)
	}
	return n
}

// checkPools looks at each pool's settings and objects.
func (p *PGMap) checkPools(c *Checks, m *osdmap.Map, l Limits) {
	var pgp, many, noApp, omap []string
	average := int64(0)
	if len(p.PGs) > 0 {
		average = p.Sum.Stats.Sum.Objects / int64(len(p.PGs))
	}
	for _, id := range m.PoolIDs() {
		pool, name, stat := m.Pools[id], m.PoolName(id), p.Pools[id]
		s := &stat.Stats.Sum
		if pool.PGNumTarget > pool.PGPNumTarget {
			pgp = append(pgp, fmt.Sprintf("pool %s pg_num %d > pgp_num %d", name,
				pool.PGNumTarget, pool.PGPNumTarget))
		}
		if average > 0 && pool.PGNumTarget > 0 && p.Sum.Stats.Sum.Objects >= l.MinObjects &&
			s.Objects >= l.MinPoolObjects {
			per := s.Objects / int64(pool.PGNumTarget)
			if ratio := float32(per) / float32(average); l.MaxObjectSkew > 0 &&
				ratio > l.MaxObjectSkew {
				many = append(many, fmt.Sprintf("pool %s objects per pg (%d) is more than %s"+
					" times cluster average (%d)", name, per, plain(float64(ratio)), average))
			}
		}
		if s.Objects > 0 && len(pool.Applications) == 0 && pool.TierOf < 0 {
			noApp = append(noApp, fmt.Sprintf("application not enabled on pool '%s'", name))
		}
		if n := s.LargeOmapObjects; n != 0 {
			omap = append(omap, fmt.Sprintf("%d large objects found in pool '%s'", n, name))
		}
	}
	if n := int64(len(pgp)); n > 0 {
		c.Add("SMALLER_PGP_NUM", Warn, n, pgp, "%d pools have pg_num > pgp_num", n)
	}
	if n := int64(len(many)); n > 0 {
		c.Add("MANY_OBJECTS_PER_PG", Warn, n, many,
			"%d pools have many more objects per pg than average", n)
	}
	if n := int64(len(noApp)); n > 0 && l.WarnNoApp {
		c.Add("POOL_APP_NOT_ENABLED", Warn, n, append(noApp, "use 'ceph osd pool application "+
			"enable <pool-name> <app-name>', where <app-name> is 'cephfs', 'rbd', 'rgw', or "+
			"freeform for custom applications."), "%d pool(s) do not have an application enabled",
			n)
	}
	if n := p.Sum.Stats.Sum.LargeOmapObjects; n != 0 && len(omap) > 0 {
		c.Add("LARGE_OMAP_OBJECTS", Warn, n, append(omap, "Search the cluster log for 'Large omap"+
			" object found' for more details."), "%d large omap objects", n)
	}
}

// checkCaches compares cache pools with their target size.
func (p *PGMap) checkCaches(c *Checks, m *osdmap.Map, l Limits) {
	var detail []string
	pools := int64(0)
	for _, id := range m.PoolIDs() {
		pool, stat := m.Pools[id], p.Pools[id]
		s, name := &stat.Stats.Sum, m.PoolName(id)
		full := float64(pool.CacheTargetFullRatioMicro)
		ratio := float64(uint64(full+(1e6-full)*l.CacheFullWarn)) / 1e6
		before := len(detail)
		if t := pool.TargetMaxObjects; t != 0 &&
			float64(s.Objects-s.ObjectsHitSetArchive) > float64(t)*ratio {
			detail = append(detail, fmt.Sprintf("cache pool '%s' with %s objects at/near target "+
				"max %s objects", name, FormatCount(uint64(s.Objects)), FormatCount(t)))
		}
		if t := pool.TargetMaxBytes; t != 0 &&
			float64(s.Bytes-s.BytesHitSetArchive) > float64(t)*ratio {
			detail = append(detail, fmt.Sprintf("cache pool '%s' with %s at/near target max %s",
				name, FormatBytes(uint64(s.Bytes)), FormatBytes(t)))
		}
		if len(detail) > before {
			pools++
		}
	}
	if pools > 0 {
		c.Add("CACHE_POOL_NEAR_FULL", Warn, pools, detail,
			"%d cache pools at or near target size", pools)
	}
}

// checkQuotas compares pools with their quotas; a quota that is reached is a flag of the pool and
// the monitors' business.
func (p *PGMap) checkQuotas(c *Checks, m *osdmap.Map, l Limits) {
	var full, near []string
	fullPools, nearPools := int64(0), int64(0)
	for _, id := range m.PoolIDs() {
		pool, stat, name := m.Pools[id], p.Pools[id], m.PoolName(id)
		fulls, nears := len(full), len(near)
		judge := func(have int64, quota uint64, text string) {
			q := float32(quota)
			switch {
			case quota == 0 || uint64(have) >= quota:
			case l.QuotaCrit > 0 && float32(have) >= q*l.QuotaCrit:
				full = append(full, text)
			case l.QuotaWarn > 0 && float32(have) >= q*l.QuotaWarn:
				near = append(near, text)
			}
		}
		s := &stat.Stats.Sum
		judge(s.Objects, pool.QuotaMaxObjects, fmt.Sprintf("pool '%s' has %d objects (max %d)",
			name, s.Objects, pool.QuotaMaxObjects))
		judge(s.Bytes, pool.QuotaMaxBytes, fmt.Sprintf("pool '%s' has %s (max %s)", name,
			FormatBytes(uint64(s.Bytes)), FormatBytes(pool.QuotaMaxBytes)))
		if len(full) > fulls {
			fullPools++
		}
		if len(near) > nears {
			nearPools++
		}
	}
	if fullPools > 0 {
		c.Add("POOL_FULL", Error, fullPools, full, "%d pools full", fullPools)
	}
	if nearPools > 0 {
		c.Add("POOL_NEAR_FULL", Warn, nearPools, near, "%d pools nearfull", nearPools)
	}
}
