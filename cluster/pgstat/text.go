package pgstat

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/internal/texttable"
)

// omapNote ends the listings with figures of omap data.
const omapNote = "\n* NOTE: Omap statistics are gathered during deep scrub and may be inaccurate" +
	" soon afterwards depending on utilization. See http://docs.ceph.com/en/latest/dev/" +
	"placement-group/#omap-statistics for further details.\n"

var sumHeadings = []string{"OBJECTS", "MISSING_ON_PRIMARY", "DEGRADED", "MISPLACED", "UNFOUND",
	"BYTES", "OMAP_BYTES*", "OMAP_KEYS*", "LOG", "DISK_LOG"}

func sumRow(name any, s *Sum, log, disk int64) []any {
	return []any{name, s.Objects, s.ObjectsMissingOnPrimary, s.ObjectsDegraded,
		s.ObjectsMisplaced, s.ObjectsUnfound, s.Bytes, s.OmapBytes, s.OmapKeys, log, disk}
}

// sumTable is a table of sums; without headings it continues one above it.
func sumTable(first string, headings bool) *texttable.Table {
	names := sumHeadings
	if !headings {
		first, names = "", make([]string, len(sumHeadings))
	}
	return texttable.New(append([]texttable.Column{left(first)}, columns(number, names...)...)...)
}

func (p *PGMap) basicText() string {
	return fmt.Sprintf("version %d\nstamp %v\nlast_osdmap_epoch 0\nlast_pg_scan 0\n",
		p.Version, p.Stamp)
}

func (p *PGMap) pgsText() string {
	headings := append(slices.Clone(sumHeadings), "STATE", "STATE_STAMP", "VERSION", "REPORTED",
		"UP", "UP_PRIMARY", "ACTING", "ACTING_PRIMARY", "LAST_SCRUB", "SCRUB_STAMP",
		"LAST_DEEP_SCRUB", "DEEP_SCRUB_STAMP", "SNAPTRIMQ_LEN")
	t := texttable.New(append([]texttable.Column{left("PG_STAT")},
		columns(number, headings...)...)...)
	for _, id := range p.sortedPGs() {
		g := p.PGs[id]
		t.Row(append(sumRow(id, &g.Stats.Sum, g.LogSize, g.OndiskLogSize), g.State, g.LastChange,
			g.Version, g.reported(), FormatOSDs(g.Up), g.UpPrimary, FormatOSDs(g.Acting),
			g.ActingPrimary, g.LastScrub, g.LastScrubStamp, g.LastDeepScrub,
			g.LastDeepScrubStamp, g.SnapTrimQueueLen)...)
	}
	return t.String()
}

func (p *PG) reported() string { return fmt.Sprintf("%d:%d", p.ReportedEpoch, p.ReportedSeq) }

// briefText is the short table of PGs, of `pg dump pgs_brief` and `pg dump_stuck`.
func (p *PGMap) briefText(pgs []ceph.PGID) string {
	t := texttable.New(append([]texttable.Column{left("PG_STAT")},
		columns(number, "STATE", "UP", "UP_PRIMARY", "ACTING", "ACTING_PRIMARY")...)...)
	for _, id := range pgs {
		g := p.PGs[id]
		t.Row(id, g.State, formatRaw(g.Up), g.UpPrimary, formatRaw(g.Acting), g.ActingPrimary)
	}
	return t.String()
}

func (p *PGMap) poolsText(headings bool) string {
	t := sumTable("POOLID", headings)
	for _, id := range slices.Sorted(maps.Keys(p.Pools)) {
		s := p.Pools[id]
		t.Row(sumRow(id, &s.Stats.Sum, s.LogSize, s.OndiskLogSize)...)
	}
	return t.String()
}

func (p *PGMap) sumText(headings bool) string {
	t := sumTable("PG_STAT", headings)
	t.Row(sumRow("sum", &p.Sum.Stats.Sum, p.Sum.LogSize, p.Sum.OndiskLogSize)...)
	return t.String()
}

func spaceRow(name any, f *Statfs) []any {
	return []any{name, FormatBytes(f.Used()), FormatBytes(f.Available), FormatBytes(f.UsedRaw()),
		FormatBytes(f.Total)}
}

func (p *PGMap) osdsText() string {
	t := texttable.New(append([]texttable.Column{left("OSD_STAT")}, columns(number, "USED",
		"AVAIL", "USED_RAW", "TOTAL", "HB_PEERS", "PG_SUM", "PRIMARY_PG_SUM")...)...)
	for _, osd := range p.sortedOSDs() {
		s, n := p.OSDs[osd], p.ByOSD[osd]
		t.Row(append(spaceRow(osd, &s.Statfs), FormatOSDs(s.HBPeers), n.Acting+n.UpNotActing,
			n.Primary)...)
	}
	t.Row(spaceRow("sum", &p.OSDSum.Statfs)...)
	return t.String()
}

func (p *PGMap) osdSumText() string {
	t := texttable.New(append([]texttable.Column{left("OSD_STAT")},
		columns(number, "USED", "AVAIL", "USED_RAW", "TOTAL")...)...)
	t.Row(spaceRow("sum", &p.OSDSum.Statfs)...)
	return t.String()
}

// DumpText is `ceph pg dump`; without words it is all.
func (p *PGMap) DumpText(what []string) string {
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(what, w) })
	}
	switch {
	case len(what) == 0 || has("all"):
		return p.basicText() + p.pgsText() + p.poolsText(false) + p.sumText(false) +
			p.osdsText() + omapNote
	case has("summary", "sum"):
		return p.basicText() + p.sumText(true) + p.osdSumText() + omapNote
	}
	var b strings.Builder
	if has("pgs_brief") {
		b.WriteString(p.briefText(p.sortedPGs()))
	}
	if has("pgs") {
		b.WriteString(p.pgsText())
	}
	if has("pools") {
		b.WriteString(p.poolsText(!has("pgs")))
	}
	if has("osds") {
		b.WriteString(p.osdsText())
	}
	if has("pgs", "pools") {
		b.WriteString(omapNote)
	}
	return b.String()
}

// LsText is `ceph pg ls` and its kin; nothing when no PG is chosen.
func (p *PGMap) LsText(f Filter, now ceph.Time) string {
	pgs := p.Filter(f)
	if len(pgs) == 0 {
		return ""
	}
	t := texttable.New(append([]texttable.Column{left("PG")}, columns(number, "OBJECTS",
		"DEGRADED", "MISPLACED", "UNFOUND", "BYTES", "OMAP_BYTES*", "OMAP_KEYS*", "LOG", "STATE",
		"SINCE", "VERSION", "REPORTED", "UP", "ACTING", "SCRUB_STAMP", "DEEP_SCRUB_STAMP")...)...)
	for _, id := range pgs {
		g := p.PGs[id]
		s := &g.Stats.Sum
		t.Row(id, s.Objects, s.ObjectsDegraded, s.ObjectsMisplaced, s.ObjectsUnfound, s.Bytes,
			s.OmapBytes, s.OmapKeys, g.LogSize, g.State,
			osdmap.Timespan(now.Go().Sub(g.LastChange.Go())), g.Version, g.reported(),
			fmt.Sprintf("%sp%d", FormatOSDs(g.Up), g.UpPrimary),
			fmt.Sprintf("%sp%d", FormatOSDs(g.Acting), g.ActingPrimary),
			g.LastScrubStamp, g.LastDeepScrubStamp)
	}
	return t.String() + omapNote
}

// DumpStuckText is `ceph pg dump_stuck` for what Stuck found; nothing when that is nothing.
func (p *PGMap) DumpStuckText(pgs []ceph.PGID) string {
	if len(pgs) == 0 {
		return ""
	}
	return p.briefText(pgs)
}

// OSDPerfText is `ceph osd perf`.
func (p *PGMap) OSDPerfText() string {
	t := texttable.New(columns(number, "osd", "commit_latency(ms)", "apply_latency(ms)")...)
	for _, osd := range p.sortedOSDs() {
		s := p.OSDs[osd]
		t.Row(osd, s.CommitLatencyNS/1e6, s.ApplyLatencyNS/1e6)
	}
	return t.String()
}

// OSDBlockedByText is `ceph osd blocked-by`.
func (p *PGMap) OSDBlockedByText() string {
	t := texttable.New(columns(number, "osd", "num_blocked")...)
	for _, osd := range slices.Sorted(maps.Keys(p.BlockedBy)) {
		t.Row(osd, p.BlockedBy[osd])
	}
	return t.String()
}

// PoolStatsText is `ceph osd pool stats` for some pools.
func (d *Digest) PoolStatsText(m *osdmap.Map, pools []int64) string {
	var b strings.Builder
	for _, id := range pools {
		stat, delta := d.Pools[id], d.PoolDeltas[id]
		fmt.Fprintf(&b, "pool %s id %d\n", m.PoolName(id), id)
		before := b.Len()
		for _, l := range recoveryLines(&stat.Stats.Sum) {
			b.WriteString("  " + l + "\n")
		}
		if r := recoveryRate(delta); r != "" {
			b.WriteString("  recovery io " + r + "\n")
		}
		if r := clientRate(delta); r != "" {
			b.WriteString("  client io " + r + "\n")
		}
		if pool := m.Pools[id]; pool != nil && pool.TierOf >= 0 {
			if r := cacheRate(delta); r != "" {
				b.WriteString("  cache tier io " + r + "\n")
			}
		}
		if b.Len() == before {
			b.WriteString("  nothing is going on\n")
		}
		b.WriteByte('\n')
	}
	return b.String()
}
