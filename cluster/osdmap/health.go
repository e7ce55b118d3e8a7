package osdmap

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"glue/cluster/crush"
	"glue/cluster/health"
)

// HealthOptions are the options that the map's checks depend on.
type HealthOptions struct {
	FailsafeFullRatio  float32 // osd_failsafe_full_ratio
	WarnNoRedundancy   bool    // mon_warn_on_pool_no_redundancy
	WarnNotPowerOfTwo  bool    // mon_warn_on_pool_pg_num_not_power_of_two
	WarnCacheNoHitSets bool    // mon_warn_on_cache_pools_without_hit_sets
}

// DefaultHealthOptions are the defaults of 16.2.
func DefaultHealthOptions() HealthOptions {
	return HealthOptions{FailsafeFullRatio: .97, WarnNoRedundancy: true,
		WarnNotPowerOfTwo: true, WarnCacheNoHitSets: true}
}

// Checks are the health checks that the map alone gives (OSDMap::check_health), sorted by code.
func (m *Map) Checks(o HealthOptions) health.Checks {
	var c health.Checks
	m.checkDown(&c)
	m.checkOrphans(&c)
	m.checkRatios(&c, o)
	m.checkFull(&c)
	m.checkFlags(&c)
	m.checkOSDFlags(&c)
	m.checkTunables(&c)
	m.checkPoolFlags(&c)
	m.checkPoolSettings(&c, o)
	m.checkStretch(&c)
	c.Sort()
	return c
}

// downWalk finds the OSDs that are in but down, and the subtrees that are down as a whole.
type downWalk struct {
	m      *Map
	downIn map[int32]bool
	upIn   map[int32]bool
	up     map[int32]bool           // buckets that are not down
	down   map[int32]map[int32]bool // type -> buckets
}

// isDown says whether everything below an item is down; it notes what it sees.
func (w *downWalk) isDown(id int32, typ int32) bool {
	m := w.m
	if id >= 0 {
		if m.IsIn(id) {
			if m.IsDown(id) {
				w.downIn[id] = true
			} else {
				w.upIn[id] = true
			}
		}
		return m.IsDown(id)
	}
	if w.down[typ][id] {
		return true
	}
	b := m.Crush.Bucket(id)
	if b == nil {
		return true
	}
	for _, child := range b.Items {
		t := int32(0)
		if c := m.Crush.Bucket(child); c != nil {
			t = int32(c.Type)
		}
		if !w.isDown(child, t) {
			w.up[id] = true
			return false
		}
	}
	if w.down[typ] == nil {
		w.down[typ] = map[int32]bool{}
	}
	w.down[typ][id] = true
	return true
}

// climb follows a down OSD upwards for as long as whole subtrees are down.
func (w *downWalk) climb(osd int32) {
	current := osd
	for range maxClimb {
		parent, ok := w.m.Crush.Parent(current)
		if !ok || w.up[parent] {
			return
		}
		b := w.m.Crush.Bucket(parent)
		if b == nil || !w.isDown(parent, int32(b.Type)) {
			return
		}
		current = parent
	}
}

// maxClimb bounds the climb in a hierarchy that anyone may have made.
const maxClimb = 64

func (m *Map) checkDown(c *health.Checks) {
	w := downWalk{m, map[int32]bool{}, map[int32]bool{}, map[int32]bool{},
		map[int32]map[int32]bool{}}
	for _, osd := range m.OSDs() {
		if m.IsOut(osd) || m.HasState(osd, OSDNew) || w.downIn[osd] || w.upIn[osd] {
			continue
		}
		if m.IsDown(osd) {
			w.downIn[osd] = true
			w.climb(osd)
		}
	}
	if len(w.downIn) == 0 {
		return
	}
	m.checkSubtrees(c, &w)
	var detail []string
	for _, osd := range slices.Sorted(maps.Keys(w.downIn)) {
		detail = append(detail, fmt.Sprintf("osd.%d (%s) is down", osd, m.Location(osd)))
	}
	c.Add("OSD_DOWN", health.Warn, int64(len(detail)), detail, "%d osds down", len(detail))
}

// Location is an item's place in the CRUSH map from the root down: "root=default,host=a".
func (m *Map) Location(id int32) string {
	var parts []string
	for _, at := range slices.Backward(m.Crush.FullLocation(id)) {
		parts = append(parts, at.Type+"="+at.Name)
	}
	return strings.Join(parts, ",")
}

// checkSubtrees reports the buckets that are down, the widest kind first.
func (m *Map) checkSubtrees(c *health.Checks, w *downWalk) {
	types := slices.Sorted(maps.Keys(m.Crush.Types))
	if len(types) == 0 {
		return
	}
	top := types[len(types)-1]
	osds := map[int32]int{}
	for _, t := range types {
		for _, id := range slices.Sorted(maps.Keys(w.down[t])) {
			for _, child := range m.Crush.Bucket(id).Items {
				if child >= 0 {
					osds[id]++
				} else {
					osds[id] += osds[child]
				}
			}
		}
	}
	for _, t := range types {
		ids := slices.Sorted(maps.Keys(w.down[t]))
		if t == 0 || len(ids) == 0 {
			continue
		}
		slices.Reverse(ids)
		name, sum := m.Crush.Types[t], 0
		var detail []string
		for _, id := range ids {
			sum += osds[id]
			where := ""
			if t != top {
				where = " (" + m.Location(id) + ")"
			}
			detail = append(detail, fmt.Sprintf("%s %s%s (%d osds) is down", name,
				m.Crush.Names[id], where, osds[id]))
		}
		c.Add("OSD_"+strings.ToUpper(name)+"_DOWN", health.Warn, int64(len(ids)), detail,
			"%d %s%s (%d osds) down", len(ids), name, choose(len(ids) > 1, "s", ""), sum)
	}
}

func (m *Map) checkOrphans(c *health.Checks) {
	var detail []string
	for osd := range m.MaxOSD {
		if _, ok := m.Crush.Names[osd]; ok && !m.Exists(osd) {
			detail = append(detail,
				fmt.Sprintf("osd.%d exists in crush map but not in osdmap", osd))
		}
	}
	if n := len(detail); n > 0 {
		c.Add("OSD_ORPHAN", health.Warn, int64(n), detail,
			"%d osds exist in the crush map but not in the osdmap", n)
	}
}

// checkRatios compares each ratio with the one before it, as raised by that.
func (m *Map) checkRatios(c *health.Checks, o HealthOptions) {
	var detail []string
	below := func(name string, v float32, than string, w float32) float32 {
		if v >= w {
			return v
		}
		detail = append(detail, fmt.Sprintf("%s (%s) < %s (%s), increased", name,
			plain(float64(v)), than, plain(float64(w))))
		return w
	}
	b := below("backfillfull_ratio", m.BackfillfullRatio, "nearfull_ratio", m.NearfullRatio)
	f := below("full_ratio", m.FullRatio, "backfillfull_ratio", b)
	below("osd_failsafe_full_ratio", o.FailsafeFullRatio, "full_ratio", f)
	if len(detail) > 0 {
		c.Add("OSD_OUT_OF_ORDER_FULL", health.Error, 0, detail, "full ratio(s) out of order")
	}
}

func (m *Map) checkFull(c *health.Checks) {
	for _, k := range []struct {
		state      State
		instead    State // this one counts instead
		code, sev  string
		word, text string
	}{
		{OSDFull, 0, "OSD_FULL", health.Error, "full", "full"},
		{OSDBackfillfull, OSDFull, "OSD_BACKFILLFULL", health.Warn, "backfillfull",
			"backfill full"},
		{OSDNearfull, OSDFull | OSDBackfillfull, "OSD_NEARFULL", health.Warn, "nearfull",
			"near full"},
	} {
		var detail []string
		for _, osd := range m.OSDs() {
			if s := m.State[osd]; m.IsUp(osd) && m.IsIn(osd) && s.Has(k.state) &&
				s&k.instead == 0 {
				detail = append(detail, fmt.Sprintf("osd.%d is %s", osd, k.text))
			}
		}
		if n := len(detail); n > 0 {
			c.Add(k.code, k.sev, int64(n), detail, "%d %s osd(s)", n, k.word)
		}
	}
}

// warnFlags are the flags that an operator should not forget.
const warnFlags = FlagPauseRD | FlagPauseWR | FlagPauseRec | FlagNoUp | FlagNoDown | FlagNoIn |
	FlagNoOut | FlagNoBackfill | FlagNoRecover | FlagNoScrub | FlagNoDeepScrub |
	FlagNoTierAgent | FlagNoSnapTrim | FlagNoRebalance

func (m *Map) checkFlags(c *health.Checks) {
	if f := m.Flags & warnFlags; f != 0 {
		c.Add("OSDMAP_FLAGS", health.Warn, int64(len(f.String())), nil, "%v flag(s) set", f)
	}
	if !m.Flags.Has(FlagSortBitwise) {
		c.Add("OSD_NO_SORTBITWISE", health.Warn, 0, nil, "'sortbitwise' flag is not set")
	}
}

func (m *Map) checkOSDFlags(c *health.Checks) {
	const flags = OSDNoUp | OSDNoDown | OSDNoIn | OSDNoOut
	var detail []string
	for osd := range m.MaxOSD {
		if s := m.State[osd] & flags; s != 0 {
			detail = append(detail, fmt.Sprintf("osd.%d has flags %v", osd, s))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.CrushNodeFlags)) {
		name, ok := m.Crush.Names[id]
		if f := m.CrushNodeFlags[id]; ok && f != 0 {
			typ := int32(0)
			if b := m.Crush.Bucket(id); b != nil {
				typ = int32(b.Type)
			}
			word, ok := m.Crush.Types[typ]
			detail = append(detail, fmt.Sprintf("%s %s has flags %v", choose(ok, word, "node"),
				name, State(f)))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.DeviceClassFlags)) {
		if name, ok := m.Crush.ClassNames[id]; ok && m.DeviceClassFlags[id] != 0 {
			detail = append(detail, fmt.Sprintf("device class '%s' has flags %v", name,
				State(m.DeviceClassFlags[id])))
		}
	}
	if n := len(detail); n > 0 {
		c.Add("OSD_FLAGS", health.Warn, int64(n), detail, "%d OSDs or CRUSH {nodes, "+
			"device-classes} have {NOUP,NODOWN,NOIN,NOOUT} flags set", n)
	}
}

const tunablesHelp = "see http://docs.ceph.com/en/latest/rados/operations/crush-map/#tunables"

func (m *Map) checkTunables(c *health.Checks) {
	k := m.Crush
	stableRule := slices.ContainsFunc(k.Rules, func(r *crush.Rule) bool {
		return r != nil && slices.ContainsFunc(r.Steps, func(s crush.Step) bool {
			return s.Op == crush.OpSetChooseLeafStable
		})
	})
	straw2 := slices.ContainsFunc(k.Buckets, func(b *crush.Bucket) bool {
		return b != nil && b.Alg == crush.Straw2
	})
	need := "argonaut"
	switch {
	case stableRule || k.ChooseleafStable != 0 || straw2:
		need = ""
	case k.ChooseleafVaryR != 0:
		need = "firefly"
	case k.ChooseleafDescendOnce != 0 || k.ChooseLocalTries != 2 ||
		k.ChooseLocalFallbackTries != 5 || k.ChooseTotalTries != 19:
		need = "bobtail"
	}
	if need != "" {
		c.Add("OLD_CRUSH_TUNABLES", health.Warn, 0, []string{tunablesHelp},
			"crush map has legacy tunables (require %s, min is hammer)", need)
	}
	if k.StrawCalcVersion == 0 {
		c.Add("OLD_CRUSH_STRAW_CALC_VERSION", health.Warn, 0, []string{tunablesHelp},
			"crush map has straw_calc_version=0")
	}
}

func (m *Map) checkPoolFlags(c *health.Checks) {
	var full, backfillfull, nearfull, scrub []string
	var all PoolFlags
	for _, id := range m.PoolIDs() {
		p, name := m.Pools[id], m.PoolName(id)
		all |= p.Flags
		if p.Flags.Has(PoolNoScrub) {
			scrub = append(scrub, "Pool "+name+" has noscrub flag")
		}
		if p.Flags.Has(PoolNoDeepScrub) {
			scrub = append(scrub, "Pool "+name+" has nodeep-scrub flag")
		}
		switch {
		case p.Flags.Has(PoolFull):
			full = append(full, fmt.Sprintf("pool '%s' is full (%s)", name,
				choose(p.Flags.Has(PoolFullQuota), "running out of quota", "no space")))
		case p.Flags.Has(PoolBackfillfull):
			backfillfull = append(backfillfull, fmt.Sprintf("pool '%s' is backfillfull", name))
		case p.Flags.Has(PoolNearfull):
			nearfull = append(nearfull, fmt.Sprintf("pool '%s' is nearfull", name))
		}
	}
	if f := all & (PoolNoScrub | PoolNoDeepScrub); f != 0 {
		c.Add("POOL_SCRUB_FLAGS", health.OK, 0, scrub, "Some pool(s) have the %s flag(s) set",
			strings.ReplaceAll(f.String(), ",", ", "))
	}
	some := func(code string, detail []string, word string) {
		if n := len(detail); n > 0 {
			c.Add(code, health.Warn, int64(n), detail, "%d pool(s) %s", n, word)
		}
	}
	some("POOL_FULL", full, "full")
	some("POOL_BACKFILLFULL", backfillfull, "backfillfull")
	some("POOL_NEARFULL", nearfull, "nearfull")
}

// needsHitSet says whether a cache mode decides by what was accessed before.
func (m CacheMode) needsHitSet() bool { return m == 1 || m == 4 || m == 5 }

func (m *Map) checkPoolSettings(c *health.Checks, o HealthOptions) {
	var odd, single, blind []string
	for _, id := range m.PoolIDs() {
		p, name := m.Pools[id], m.PoolName(id)
		if bits.OnesCount32(p.PGNumTarget) != 1 {
			odd = append(odd, fmt.Sprintf("pool '%s' pg_num %d is not a power of two", name,
				p.PGNumTarget))
		}
		if p.Size == 1 {
			single = append(single, fmt.Sprintf("pool '%s' has no replicas configured", name))
		}
		if p.CacheMode.needsHitSet() && p.HitSet.Type == hitSetNone {
			blind = append(blind, fmt.Sprintf("pool '%s' with cache_mode %v needs hit_set_type "+
				"to be set but it is not", name, p.CacheMode))
		}
	}
	some := func(on bool, code string, detail []string, format string) {
		if n := len(detail); n > 0 && on {
			c.Add(code, health.Warn, int64(n), detail, format, n)
		}
	}
	some(o.WarnNotPowerOfTwo, "POOL_PG_NUM_NOT_POWER_OF_TWO", odd,
		"%d pool(s) have non-power-of-two pg_num")
	some(o.WarnNoRedundancy, "POOL_NO_REDUNDANCY", single,
		"%d pool(s) have no replicas configured")
	some(o.WarnCacheNoHitSets, "CACHE_POOL_NO_HIT_SET", blind,
		"%d cache pools are missing hit_sets")
}

func (m *Map) checkStretch(c *health.Checks) {
	s := m.Stretch
	if s.Enabled {
		m.checkSites(c)
	}
	switch {
	case s.Recovering != 0:
		c.Add("RECOVERING_STRETCH_MODE", health.Warn, 0, nil, "We are recovering stretch mode "+
			"buckets, only requiring %d of %d buckets to peer", s.Degraded, s.BucketCount)
	case s.Degraded != 0:
		c.Add("DEGRADED_STRETCH_MODE", health.Warn, 0, nil, "We are missing stretch mode "+
			"buckets, only requiring %d of %d buckets to peer", s.Degraded, s.BucketCount)
	}
}

// checkSites wants two sites of one weight.
func (m *Map) checkSites(c *health.Checks) {
	var sites []*crush.Bucket
	for _, b := range m.Crush.Buckets {
		if b != nil && int32(b.Type) == m.Stretch.Bucket && !m.Crush.IsShadow(b.ID) {
			sites = append(sites, b)
		}
	}
	switch {
	case len(sites) != 2:
		c.Add("INCORRECT_NUM_BUCKETS_STRETCH_MODE", health.Warn, 0, nil,
			"Stretch mode buckets != 2")
	case sites[0].Weight != sites[1].Weight:
		c.Add("UNEVEN_WEIGHTS_STRETCH_MODE", health.Warn, 0, nil,
			"Stretch mode buckets have different weights!")
	}
}
