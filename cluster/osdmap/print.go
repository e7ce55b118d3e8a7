package osdmap

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"glue/ceph"
	"glue/internal/cephjson"
)

// Text is the map as `ceph osd dump` prints it.
func (m *Map) Text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("epoch %d", m.Epoch)
	line("fsid %v", m.FSID)
	line("created %v", m.Created)
	line("modified %v", m.Modified)
	line("flags %v", m.Flags)
	line("crush_version %d", m.CrushVersion)
	line("full_ratio %s", plain(float64(m.FullRatio)))
	line("backfillfull_ratio %s", plain(float64(m.BackfillfullRatio)))
	line("nearfull_ratio %s", plain(float64(m.NearfullRatio)))
	if m.RequireMinCompatClient != ReleaseUnknown {
		line("require_min_compat_client %v", m.RequireMinCompatClient)
	}
	line("min_compat_client %v", m.MinCompatClient())
	if m.RequireOSDRelease != ReleaseUnknown {
		line("require_osd_release %v", m.RequireOSDRelease)
	}
	line("stretch_mode_enabled %v", m.Stretch.Enabled)
	if m.Stretch.Enabled {
		line("stretch_bucket_count %d", m.Stretch.BucketCount)
		line("degraded_stretch_mode %d", m.Stretch.Degraded)
		line("recovering_stretch_mode %d", m.Stretch.Recovering)
		line("stretch_mode_bucket %d", m.Stretch.Bucket)
	}
	if m.ClusterSnapshot != "" {
		line("cluster_snapshot %s", m.ClusterSnapshot)
	}
	b.WriteString(m.PoolsText())
	line("max_osd %d", m.MaxOSD)
	for _, osd := range m.OSDs() {
		b.WriteString(m.OSDText(osd))
	}
	b.WriteString(m.exceptionsText())
	return b.String()
}

// plain is a number as a C++ stream prints it by default.
func plain(v float64) string { return cephjson.FormatFloat(v, 6) }

// exceptionsText is what deviates from CRUSH, and the blocklists.
func (m *Map) exceptionsText() string {
	var b strings.Builder
	for _, pg := range sortedPGs(m.PGUpmap) {
		fmt.Fprintf(&b, "pg_upmap %v %s\n", pg, formatOSDs(m.PGUpmap[pg]))
	}
	for _, pg := range sortedPGs(m.PGUpmapItems) {
		var flat []int32
		for _, r := range m.PGUpmapItems[pg] {
			flat = append(flat, r.From, r.To)
		}
		fmt.Fprintf(&b, "pg_upmap_items %v %s\n", pg, formatOSDs(flat))
	}
	for _, pg := range sortedPGs(m.PGTemp) {
		fmt.Fprintf(&b, "pg_temp %v %s\n", pg, formatOSDs(m.PGTemp[pg]))
	}
	for _, pg := range sortedPGs(m.PrimaryTemp) {
		fmt.Fprintf(&b, "primary_temp %v %d\n", pg, m.PrimaryTemp[pg])
	}
	b.WriteString(blocklistText("blocklist ", m.Blocklist))
	b.WriteString(blocklistText("range blocklist ", m.RangeBlocklist))
	return b.String()
}

func blocklistText(word string, list map[ceph.Addr]ceph.Time) string {
	var b strings.Builder
	for _, a := range sortedAddrs(list) {
		fmt.Fprintf(&b, "%s%s expires %v\n", word, blocklistName(a), list[a])
	}
	return b.String()
}

func formatOSDs(osds []int32) string {
	parts := make([]string, len(osds))
	for i, osd := range osds {
		parts[i] = strconv.Itoa(int(osd))
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// OSDText is an OSD's line.
func (m *Map) OSDText(osd int32) string {
	var b strings.Builder
	fmt.Fprintf(&b, "osd.%d", osd)
	b.WriteString(choose(m.IsUp(osd), " up  ", " down") + choose(m.IsIn(osd), " in ", " out"))
	fmt.Fprintf(&b, " weight %s", plain(float64(weightf(m.Weight[osd]))))
	if a := m.Affinity(osd); a != WeightIn {
		fmt.Fprintf(&b, " primary_affinity %s", plain(float64(weightf(a))))
	}
	i := m.Info[osd]
	fmt.Fprintf(&b, " up_from %d up_thru %d down_at %d last_clean_interval [%d,%d)",
		i.UpFrom, i.UpThru, i.DownAt, i.LastCleanBegin, i.LastCleanEnd)
	if i.LostAt != 0 {
		fmt.Fprintf(&b, " lost_at %d", i.LostAt)
	}
	fmt.Fprintf(&b, " %s %s %v", addrsText(m.ClientAddrs[osd]), addrsText(m.ClusterAddrs[osd]),
		m.State[osd])
	if !m.UUIDs[osd].IsZero() {
		fmt.Fprintf(&b, " %v", m.UUIDs[osd])
	}
	b.WriteByte('\n')
	return b.String()
}

func choose(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

func addrsText(v ceph.AddrVec) string {
	if len(v) == 0 {
		return ""
	}
	return v.String()
}

// PoolsText is `ceph osd pool ls detail`.
func (m *Map) PoolsText() string {
	var b strings.Builder
	for _, id := range m.PoolIDs() {
		p := m.Pools[id]
		fmt.Fprintf(&b, "pool %d '%s' %v\n", id, m.PoolName(id), p)
		for _, s := range slices.Sorted(maps.Keys(p.Snaps)) {
			snap := p.Snaps[s]
			fmt.Fprintf(&b, "\tsnap %x '%s' %v\n", uint64(snap.ID), snap.Name, snap.Stamp)
		}
		if len(p.RemovedSnaps) > 0 {
			fmt.Fprintf(&b, "\tremoved_snaps %s\n", FormatSnaps(p.RemovedSnaps))
		}
		if q, ok := m.RemovedSnapsQueue[id]; ok {
			fmt.Fprintf(&b, "\tremoved_snaps_queue %s\n", FormatSnaps(q))
		}
	}
	return b.String()
}

var hashNames = map[uint8]string{1: "linux", 2: "rjenkins"}

// String is the pool's settings as `ceph osd dump` prints them.
func (p *Pool) String() string {
	var b strings.Builder
	put := func(on bool, format string, args ...any) {
		if on {
			fmt.Fprintf(&b, " "+format, args...)
		}
	}
	b.WriteString(p.Type.String())
	put(p.IsErasure(), "profile %s", p.ECProfile)
	put(true, "size %d min_size %d crush_rule %d", p.Size, p.MinSize, p.CrushRule)
	hash, ok := hashNames[p.ObjectHash]
	put(true, "object_hash %s", choose(ok, hash, "unknown"))
	put(true, "pg_num %d pgp_num %d", p.PGNum, p.PGPNum)
	put(p.PGNumTarget != p.PGNum, "pg_num_target %d", p.PGNumTarget)
	put(p.PGPNumTarget != p.PGPNum, "pgp_num_target %d", p.PGPNumTarget)
	put(p.PGNumPending != p.PGNum, "pg_num_pending %d", p.PGNumPending)
	put(p.Autoscale != 0xff, "autoscale_mode %v", p.Autoscale)
	put(true, "last_change %d", p.LastChange)
	put(p.LastForceResend|p.LastForceResendPrenautilus|p.LastForceResendPreluminous != 0,
		"lfor %d/%d/%d", p.LastForceResend, p.LastForceResendPrenautilus,
		p.LastForceResendPreluminous)
	put(p.AUID != 0, "owner %d", p.AUID)
	put(p.Flags != 0, "flags %v", p.Flags)
	put(p.QuotaMaxBytes != 0, "max_bytes %d", p.QuotaMaxBytes)
	put(p.QuotaMaxObjects != 0, "max_objects %d", p.QuotaMaxObjects)
	p.printTiers(put)
	put(p.MinReadRecency != 0, "min_read_recency_for_promote %d", p.MinReadRecency)
	put(p.MinWriteRecency != 0, "min_write_recency_for_promote %d", p.MinWriteRecency)
	put(true, "stripe_width %d", p.StripeWidth)
	put(p.ExpectedNumObjects != 0, "expected_num_objects %d", p.ExpectedNumObjects)
	put(p.FastRead, "fast_read 1")
	for _, d := range PoolOpts {
		v, ok := p.Opts[d.Opt]
		put(ok, "%s %v", d.Name, v)
	}
	put(len(p.Applications) > 0, "application %s",
		strings.Join(slices.Sorted(maps.Keys(p.Applications)), ","))
	return b.String()
}

func (p *Pool) printTiers(put func(bool, string, ...any)) {
	tiers := strings.Trim(strings.ReplaceAll(fmt.Sprint(p.Tiers), " ", ","), "[]")
	put(len(p.Tiers) > 0, "tiers %s", tiers)
	put(p.TierOf >= 0, "tier_of %d", p.TierOf)
	put(p.ReadTier >= 0, "read_tier %d", p.ReadTier)
	put(p.WriteTier >= 0, "write_tier %d", p.WriteTier)
	put(p.CacheMode != 0, "cache_mode %v", p.CacheMode)
	put(p.TargetMaxBytes != 0, "target_bytes %d", p.TargetMaxBytes)
	put(p.TargetMaxObjects != 0, "target_objects %d", p.TargetMaxObjects)
	put(p.HitSet.Type != hitSetNone, "hit_set %s %ds x%d decay_rate %d search_last_n %d",
		p.HitSet.String(), p.HitSetPeriod, p.HitSetCount, p.HitSetGradeDecay, p.HitSetSearchLastN)
}

// String is the kind and its parameters; stock leaves the first brace out where there are none.
func (h *HitSetParams) String() string {
	if h.Type == hitSetBloom {
		return fmt.Sprintf("bloom{false_positive_probability: %s, target_size: %d, seed: %d}",
			plain(h.fpp()), h.TargetSize, h.Seed)
	}
	return h.name() + choose(h.Type == hitSetNone, "}", "{}")
}

// String is the value as Ceph prints it.
func (v OptValue) String() string {
	switch v.Type {
	case OptInt:
		return strconv.FormatInt(v.Int, 10)
	case OptDouble:
		return plain(v.Float)
	}
	return v.Str
}

// A Stat is `ceph osd stat -f json` and the "osdmap" part of `ceph -s -f json`.
type Stat struct {
	Epoch       ceph.Epoch `json:"epoch"`
	NumOSDs     int        `json:"num_osds"`
	NumUp       int        `json:"num_up_osds"`
	UpSince     int64      `json:"osd_up_since"` // seconds since 1970
	NumIn       int        `json:"num_in_osds"`
	InSince     int64      `json:"osd_in_since"`
	NumRemapped int        `json:"num_remapped_pgs"`
}

// Stat sums up the map.
func (m *Map) Stat() Stat {
	n, up, in := m.Counts()
	return Stat{m.Epoch, n, up, int64(m.LastUpChange.Sec), in, int64(m.LastInChange.Sec),
		len(m.PGTemp)}
}

// StatText is the line of `ceph osd stat` (withEpoch) and of `ceph -s`, and a second one, begun
// with prefix, if there are flags that an operator should know of.
func (m *Map) StatText(now ceph.Time, prefix string, withEpoch bool) string {
	s := m.Stat()
	var b strings.Builder
	fmt.Fprintf(&b, "%d osds: %d up%s, %d in%s", s.NumOSDs, s.NumUp, since(now, m.LastUpChange),
		s.NumIn, since(now, m.LastInChange))
	if withEpoch {
		fmt.Fprintf(&b, "; epoch: e%d", m.Epoch)
	}
	if s.NumRemapped > 0 {
		fmt.Fprintf(&b, "; %d remapped pgs", s.NumRemapped)
	}
	b.WriteByte('\n')
	if f := m.Flags &^ semiHiddenFlags; f != 0 {
		fmt.Fprintf(&b, "%sflags %v\n", prefix, f)
	}
	return b.String()
}

func since(now, t ceph.Time) string {
	if t == (ceph.Time{}) {
		return ""
	}
	return " (since " + Timespan(now.Go().Sub(t.Go())) + ")"
}

// Timespan is a duration in one unit, as Ceph's summaries print ages.
func Timespan(d time.Duration) string {
	d = max(d, 0)
	if d < 2*time.Second {
		return plain(float64(float32(d.Nanoseconds())/1e9)) + "s"
	}
	n := int64(d / time.Second)
	for _, u := range []struct {
		limit, next int64
		unit        string
	}{
		{120, 60, "s"}, {120, 60, "m"}, {48, 24, "h"}, {14, 7, "d"},
	} {
		if n < u.limit {
			return fmt.Sprint(n) + u.unit
		}
		if u.unit != "d" {
			n /= u.next
		}
	}
	switch days := n; {
	case days/7 < 12:
		return fmt.Sprint(days/7) + "w"
	case days/30 < 24:
		return fmt.Sprint(days/30) + "M"
	default:
		return fmt.Sprint(days/365) + "y"
	}
}
