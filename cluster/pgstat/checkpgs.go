package pgstat

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/internal/cephjson"
)

func plain(v float64) string { return cephjson.FormatFloat(v, 6) }

// A consequence is what the state of PGs means for their data.
type consequence struct {
	code, severity, summary string
}

var (
	unavailable  = &consequence{"PG_AVAILABILITY", Warn, "Reduced data availability: "}
	degraded     = &consequence{"PG_DEGRADED", Warn, "Degraded data redundancy: "}
	backfillFull = &consequence{"PG_BACKFILL_FULL", Warn, "Low space hindering backfill " +
		"(add storage if this doesn't resolve itself): "}
	damaged      = &consequence{"PG_DAMAGED", Error, "Possible data damage: "}
	recoveryFull = &consequence{"PG_RECOVERY_FULL", Error, "Full OSDs blocking recovery: "}
)

// responses says for each state, in ascending order, what it means, and for those that only matter
// when they last, since when.
var responses = []struct {
	state State
	means *consequence
	since func(*PG) ceph.Time
	not   bool // the state is missing
}{
	{Active, unavailable, func(p *PG) ceph.Time { return p.LastActive }, true},
	{Down, unavailable, nil, false},
	{RecoveryUnfound, damaged, nil, false},
	{BackfillUnfound, damaged, nil, false},
	{Degraded, degraded, nil, false},
	{Inconsistent, damaged, nil, false},
	{Peering, unavailable, func(p *PG) ceph.Time { return p.LastPeered }, false},
	{Incomplete, unavailable, nil, false},
	{Stale, unavailable, func(p *PG) ceph.Time { return p.LastUnstale }, false},
	{BackfillToofull, backfillFull, nil, false},
	{Undersized, degraded, func(p *PG) ceph.Time { return p.LastFullsized }, false},
	{RecoveryToofull, recoveryFull, nil, false},
	{SnapTrimError, damaged, nil, false},
}

func responseName(s State) string {
	if s == Active {
		return "inactive"
	}
	return s.String()
}

type causes struct {
	states map[State]int64
	detail map[ceph.PGID]string
}

// checkStates looks at the states of all PGs.
func (p *PGMap) checkStates(c *Checks, m *osdmap.Map, now ceph.Time, l Limits) {
	cutoff := ceph.TimeOf(now.Go().Add(-l.StuckThreshold))
	found := map[*consequence]*causes{}
	for _, id := range p.sortedPGs() {
		pg := p.PGs[id]
		for _, r := range responses {
			if pg.State.Has(r.state) == r.not {
				continue
			}
			if r.since != nil && !stuck(pg, r.since(pg), cutoff) {
				continue
			}
			f := found[r.means]
			if f == nil {
				f = &causes{map[State]int64{}, map[ceph.PGID]string{}}
				found[r.means] = f
			}
			f.states[r.state]++
			if len(f.detail) > l.MaxDetail {
				continue
			}
			var since *ceph.Time
			if r.since != nil {
				t := r.since(pg)
				since = &t
			}
			f.detail[id] = stateDetail(m, id, pg, r.state, since, now)
		}
	}
	for means, f := range found {
		p.addStates(c, means, f)
	}
}

// stuck says whether a state has lasted since before cutoff.
func stuck(pg *PG, since, cutoff ceph.Time) bool {
	if since == (ceph.Time{}) && pg.LastChange.Compare(cutoff) >= 0 {
		return false
	}
	return since.Compare(cutoff) < 0
}

func stateDetail(m *osdmap.Map, id ceph.PGID, pg *PG, s State, since *ceph.Time,
	now ceph.Time,
) string {
	var b strings.Builder
	switch {
	case since == nil:
		fmt.Fprintf(&b, "pg %v is %v, acting %s", id, pg.State, formatRaw(pg.Acting))
		if n := pg.Stats.Sum.ObjectsUnfound; n != 0 {
			fmt.Fprintf(&b, ", %d unfound", n)
		}
	case *since == ceph.Time{}:
		fmt.Fprintf(&b, "pg %v is stuck %s since forever", id, responseName(s))
	default:
		fmt.Fprintf(&b, "pg %v is stuck %s for %s", id, responseName(s),
			osdmap.Timespan(now.Go().Sub(since.Go())))
	}
	if since != nil {
		fmt.Fprintf(&b, ", current state %v, last acting %s", pg.State, formatRaw(pg.Acting))
	}
	if pool := m.Pools[id.Pool]; pg.State.Has(Incomplete) && pool != nil && pool.MinSize > 1 {
		fmt.Fprintf(&b, " (reducing pool %s min_size from %d may help; search ceph.com/docs for"+
			" 'incomplete')", m.PoolName(id.Pool), pool.MinSize)
	}
	return b.String()
}

func (p *PGMap) addStates(c *Checks, means *consequence, f *causes) {
	summary := means.summary
	s := &p.Sum.Stats.Sum
	if means == degraded && s.ObjectsDegraded != 0 && s.ObjectCopies > 0 {
		summary += fmt.Sprintf("%d/%d objects degraded (%.3f%%), ", s.ObjectsDegraded,
			s.ObjectCopies, float64(s.ObjectsDegraded)/float64(s.ObjectCopies)*100)
	}
	var parts []string
	count := int64(0)
	for _, state := range slices.Sorted(maps.Keys(f.states)) {
		n := f.states[state]
		count += n
		word := "pg"
		if n > 1 {
			word = "pgs"
		}
		parts = append(parts, fmt.Sprintf("%d %s %s", n, word, responseName(state)))
	}
	var detail []string
	for _, id := range slices.SortedFunc(maps.Keys(f.detail), ceph.PGID.Compare) {
		detail = append(detail, f.detail[id])
	}
	c.Add(means.code, means.severity, count, detail, "%s", summary+strings.Join(parts, ", "))
}

// alertTexts say what an OSD's alert means; other alerts have no more than their code.
var alertTexts = map[string]string{
	"BLUEFS_SPILLOVER":               " experiencing BlueFS spillover",
	"BLUESTORE_NO_COMPRESSION":       " have broken BlueStore compression",
	"BLUESTORE_LEGACY_STATFS":        " reporting legacy (not per-pool) BlueStore stats",
	"BLUESTORE_NO_PER_PG_OMAP":       " reporting legacy (not per-pg) BlueStore omap",
	"BLUESTORE_NO_PER_POOL_OMAP":     " reporting legacy (not per-pool) BlueStore omap usage stats",
	"BLUESTORE_SPURIOUS_READ_ERRORS": " have spurious read errors",
	"BLUESTORE_DISK_SIZE_MISMATCH": " have dangerous mismatch between BlueStore block device" +
		" and free list sizes",
}

// checkOSDs looks at what OSDs say about their stores.
func (p *PGMap) checkOSDs(c *Checks, l Limits) {
	var repaired []string
	alerts := map[string][]string{}
	for _, osd := range slices.Sorted(maps.Keys(p.OSDs)) {
		s := p.OSDs[osd]
		if s.NumShardsRepaired > l.WarnRepairedReads {
			repaired = append(repaired, fmt.Sprintf("osd.%d had %d reads repaired", osd,
				s.NumShardsRepaired))
		}
		for _, of := range slices.Sorted(maps.Keys(s.Alerts)) {
			for _, code := range slices.Sorted(maps.Keys(s.Alerts[of])) {
				alerts[code] = append(alerts[code],
					fmt.Sprintf(" osd.%d %s", of, s.Alerts[of][code]))
			}
		}
	}
	if n := int64(len(repaired)); n > 0 {
		c.Add("OSD_TOO_MANY_REPAIRS", Warn, n, repaired, "Too many repaired reads on %d OSDs", n)
	}
	for code, detail := range alerts {
		c.Add(code, Warn, int64(len(detail)), detail, "%d OSD(s)%s", len(detail),
			alertTexts[code])
	}
	p.checkPings(c, l, "back", func(t *PingTimes) [3]uint32 { return t.Back })
	p.checkPings(c, l, "front", func(t *PingTimes) [3]uint32 { return t.Front })
}

type slowPing struct {
	micros    uint32
	from, to  int32
	improving bool
}

func (p *PGMap) checkPings(c *Checks, l Limits, side string, of func(*PingTimes) [3]uint32) {
	var slow []slowPing
	for from, s := range p.OSDs {
		for to, times := range s.PingTimes {
			t := of(&times)
			worst := max(t[0], t[1], t[2])
			if l.SlowPingMicrosecond > 0 && float64(worst) > l.SlowPingMicrosecond {
				slow = append(slow, slowPing{worst, from, to, t[0] < t[1] && t[1] < t[2]})
			}
		}
	}
	if len(slow) == 0 {
		return
	}
	slices.SortFunc(slow, func(a, b slowPing) int {
		return cmp.Or(cmp.Compare(b.micros, a.micros), cmp.Compare(b.from, a.from),
			cmp.Compare(b.to, a.to))
	})
	var detail []string
	for i, s := range slow {
		if i == 10 {
			detail = append(detail, "Truncated long network list.  Use ceph daemon mgr.# "+
				"dump_osd_network for more information")
			break
		}
		line := fmt.Sprintf("Slow OSD heartbeats on %s from osd.%d [] to osd.%d [] %.3f msec",
			side, s.from, s.to, float64(s.micros)/1000)
		if s.improving {
			line += " possibly improving"
		}
		detail = append(detail, line)
	}
	c.Add("OSD_SLOW_PING_TIME_"+strings.ToUpper(side), Warn, int64(len(slow)), detail,
		"Slow OSD heartbeats on %s (longest %.3fms)", side, float64(slow[0].micros)/1000)
}

// checkScrubs looks for PGs that have not been scrubbed for too long.
func (p *PGMap) checkScrubs(c *Checks, m *osdmap.Map, now ceph.Time, l Limits) {
	for _, kind := range []struct {
		code, word string
		ratio      float64
		interval   float64
		opt        osdmap.PoolOpt
		stamp      func(*PG) ceph.Time
	}{
		{"PG_NOT_SCRUBBED", "scrubbed", l.NotScrubbedRatio, l.ScrubMaxInterval,
			osdmap.OptScrubMaxInterval, func(pg *PG) ceph.Time { return pg.LastScrubStamp }},
		{"PG_NOT_DEEP_SCRUBBED", "deep-scrubbed", l.NotDeepRatio, l.DeepScrubInterval,
			osdmap.OptDeepScrubInterval, func(pg *PG) ceph.Time { return pg.LastDeepScrubStamp }},
	} {
		if kind.ratio == 0 {
			continue
		}
		var detail []string
		total := 0
		for _, id := range p.sortedPGs() {
			pool := m.Pools[id.Pool]
			if pool == nil {
				continue
			}
			interval := kind.interval
			if v := pool.Opts[kind.opt].Float; v > 0 {
				interval = v
			}
			stamp := kind.stamp(p.PGs[id])
			if float64(now.Sec)-float64(stamp.Sec) <= interval*(1+kind.ratio) {
				continue
			}
			if total++; total <= l.MaxDetail {
				detail = append(detail, fmt.Sprintf("pg %v not %s since %v", id, kind.word, stamp))
			}
		}
		if total > l.MaxDetail {
			detail = append(detail, fmt.Sprintf("%d more pgs... ", total-l.MaxDetail))
		}
		if total > 0 {
			c.Add(kind.code, Warn, int64(total), detail, "%d pgs not %s in time", total, kind.word)
		}
	}
}

// checkTrims looks for PGs that don't keep up with the removal of snapshots.
func (p *PGMap) checkTrims(c *Checks, l Limits) {
	var detail []string
	n, longest := int64(0), uint32(0)
	var worst ceph.PGID
	for _, id := range p.sortedPGs() {
		q := p.PGs[id].SnapTrimQueueLen
		if l.SnapTrimQueueWarn == 0 || q < l.SnapTrimQueueWarn {
			continue
		}
		n++
		if q >= longest {
			longest, worst = q, id
		}
		switch {
		case len(detail) < l.MaxDetail-1:
			detail = append(detail, fmt.Sprintf("snap trim queue for pg %v at %d", id, q))
		case len(detail) < l.MaxDetail:
			detail = append(detail, "...more pgs affected")
		}
	}
	if n == 0 {
		return
	}
	detail = append(detail, fmt.Sprintf("longest queue on pg %v at %d", worst, longest),
		`try decreasing "osd snap trim sleep" and/or increasing `+
			`"osd pg max concurrent snap trims".`)
	c.Add("PG_SLOW_SNAP_TRIMMING", Warn, n, detail,
		"snap trim queue for %d pg(s) >= %d (mon_osd_snap_trim_queue_warn_on)", n,
		l.SnapTrimQueueWarn)
}
