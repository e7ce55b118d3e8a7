package pgstat

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/internal/cephjson"
)

// The files under testdata are what a stock 16.2.15 cluster answered, all at rest: the OSD map and
// the output of each command. The statistics are read back from its `pg dump`.

func load(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

type stockMap struct {
	Map struct {
		Version uint64           `json:"version"`
		Stamp   string           `json:"stamp"`
		PGs     []PGDump         `json:"pg_stats"`
		OSDs    []OSDStatDump    `json:"osd_stats"`
		Statfs  []PoolStatfsDump `json:"pool_statfs"`
		Delta   struct {
			Span string `json:"stamp_delta"`
		} `json:"pg_stats_delta"`
	} `json:"pg_map"`
}

func parseTime(t testing.TB, s string) ceph.Time {
	t.Helper()
	if s == "0.000000" {
		return ceph.Time{}
	}
	v, err := time.Parse("2006-01-02T15:04:05.000000-0700", s)
	if err != nil {
		t.Fatal(err)
	}
	return ceph.TimeOf(v)
}

func parseVersion(t testing.TB, s string) ceph.Eversion {
	t.Helper()
	v, err := ceph.ParseEversion(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func parseState(t testing.TB, s string) State {
	t.Helper()
	var out State
	for _, name := range strings.Split(s, "+") {
		bit, ok := ParseState(name)
		if !ok {
			t.Fatalf("state %q", name)
		}
		out |= bit
	}
	return out
}

func (d *PGBody) restore(t testing.TB) *PG {
	tm := func(s string) ceph.Time { return parseTime(t, s) }
	pg := &PG{
		Version: parseVersion(t, d.Version), ReportedSeq: d.ReportedSeq,
		ReportedEpoch: d.ReportedEpoch, State: parseState(t, d.State),
		LastFresh: tm(d.LastFresh), LastChange: tm(d.LastChange), LastActive: tm(d.LastActive),
		LastPeered: tm(d.LastPeered), LastClean: tm(d.LastClean),
		LastBecameActive: tm(d.LastBecameActive), LastBecamePeered: tm(d.LastBecamePeered),
		LastUnstale: tm(d.LastUnstale), LastUndegraded: tm(d.LastUndegraded),
		LastFullsized: tm(d.LastFullsized), MappingEpoch: d.MappingEpoch,
		LogStart: parseVersion(t, d.LogStart), OndiskLogStart: parseVersion(t, d.OndiskLogStart),
		Created: d.Created, LastEpochClean: d.LastEpochClean, ParentSplitBits: d.ParentSplitBits,
		LastScrub: parseVersion(t, d.LastScrub), LastScrubStamp: tm(d.LastScrubStamp),
		LastDeepScrub:       parseVersion(t, d.LastDeepScrub),
		LastDeepScrubStamp:  tm(d.LastDeepScrubStamp),
		LastCleanScrubStamp: tm(d.LastCleanScrubStamp), LogSize: d.LogSize,
		OndiskLogSize: d.OndiskLogSize, ManifestStatsInvalid: d.ManifestStatsInvalid,
		SnapTrimQueueLen: d.SnapTrimQueueLen, Stats: Collection{d.Sum}, Up: d.Up,
		Acting: d.Acting, BlockedBy: d.BlockedBy, UpPrimary: d.UpPrimary,
		ActingPrimary: d.ActingPrimary,
	}
	for _, s := range d.AvailNoMissing {
		pg.AvailNoMissing = append(pg.AvailNoMissing, parseShard(s))
	}
	for _, r := range d.PurgedSnaps {
		var x osdmap.SnapRange
		fmt.Sscanf(r.Start+" "+r.Length, "%x %x", &x.Start, &x.Len)
		pg.PurgedSnaps = append(pg.PurgedSnaps, x)
	}
	for _, l := range d.ObjectLocationCounts {
		c := LocationCount{Objects: l.Objects}
		for _, s := range strings.Split(l.Shards, ",") {
			c.Shards = append(c.Shards, parseShard(s))
		}
		pg.ObjectLocationCounts = append(pg.ObjectLocationCounts, c)
	}
	return pg
}

func parseShard(s string) ceph.PGShard {
	out := ceph.PGShard{Shard: ceph.NoShard}
	if n, _ := fmt.Sscanf(s, "%d(%d)", &out.OSD, &out.Shard); n == 2 {
		return out
	}
	fmt.Sscanf(s, "%d", &out.OSD)
	return out
}

func (d *OSDBody) restore() *OSD {
	o := &OSD{
		Statfs: d.Statfs, HBPeers: d.HBPeers, UpFrom: d.UpFrom, Seq: d.Seq, NumPGs: d.NumPGs,
		NumOSDs: d.NumOSDs, NumPerPoolOSDs: d.NumPerPoolOSDs,
		NumPerPoolOmapOSDs: d.NumPerPoolOmapOSDs, CommitLatencyNS: d.Perf.CommitNS,
		ApplyLatencyNS: d.Perf.ApplyNS, OpQueueAgeHist: d.OpQueueAge.Histogram,
		PingTimes: map[int32]PingTimes{},
	}
	us := func(t PingTriple) [3]uint32 {
		return [3]uint32{uint32(t.One*1000 + .5), uint32(t.Five*1000 + .5),
			uint32(t.Fifteen*1000 + .5)}
	}
	for _, p := range d.PingTimes {
		at, _ := time.Parse("Mon Jan _2 15:04:05 2006", p.LastUpdate)
		t := PingTimes{LastUpdate: uint32(at.Unix())}
		b := p.Interfaces[0]
		t.Back, t.BackMin, t.BackMax = us(b.Average), us(b.Min), us(b.Max)
		t.BackLast = uint32(b.Last*1000 + .5)
		if len(p.Interfaces) > 1 {
			f := p.Interfaces[1]
			t.Front, t.FrontMin, t.FrontMax = us(f.Average), us(f.Min), us(f.Max)
			t.FrontLast = uint32(f.Last*1000 + .5)
		}
		o.PingTimes[p.OSD] = t
	}
	return o
}

// stock is the captured cluster's statistics.
func stock(t testing.TB) (*PGMap, *osdmap.Map) { return stockIn(t, "") }

// stockIn is that of a folder under testdata.
func stockIn(t testing.TB, dir string) (*PGMap, *osdmap.Map) {
	t.Helper()
	m, err := osdmap.Decode([]byte(load(t, dir+"map")))
	if err != nil {
		t.Fatal(err)
	}
	var s stockMap
	if err := json.Unmarshal([]byte(load(t, dir+"dump.all.json")), &s); err != nil {
		t.Fatal(err)
	}
	p := NewPGMap()
	p.TakeMap(m, m.Modified)
	for _, d := range s.Map.PGs {
		id, err := ceph.ParsePGID(d.PGID)
		if err != nil {
			t.Fatal(err)
		}
		p.PGs[id] = d.restore(t)
	}
	for _, d := range s.Map.OSDs {
		p.OSDs[d.OSD] = d.restore()
	}
	for _, d := range s.Map.Statfs {
		p.PoolStatfs[PoolOSD{d.Pool, d.OSD}] = d.Statfs
	}
	p.Version, p.Stamp = s.Map.Version, parseTime(t, s.Map.Stamp)
	var span float64
	fmt.Sscan(s.Map.Delta.Span, &span)
	p.Delta.Span = time.Duration(span*1e6+.5) * time.Microsecond
	p.stale = true
	p.Refresh(m)
	return p, m
}

// differ reports the first differing line; the order of lines that begin with a digit is a hash
// table's in stock and not compared, nor are blank lines.
func differ(t *testing.T, name, got, want string) {
	t.Helper()
	g, w := tidy(got), tidy(want)
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			t.Errorf("%s, line %d:\n got %q\nwant %q", name, i+1, a, b)
			return
		}
	}
}

func tidy(s string) []string {
	var lines []string
	for _, l := range strings.Split(s, "\n") {
		if l != "" {
			lines = append(lines, l)
		}
	}
	digit := func(l string) bool {
		l = strings.TrimLeft(l, " ")
		return l != "" && l[0] >= '0' && l[0] <= '9'
	}
	for i := 0; i < len(lines); i++ {
		j := i
		for j < len(lines) && digit(lines[j]) {
			j++
		}
		sort.Strings(lines[i:j])
		i = max(i, j-1)
	}
	return lines
}

func TestTextsAreStock(t *testing.T) {
	p, m := stock(t)
	for _, part := range []string{"all", "sum", "pools", "osds", "pgs", "pgs_brief", "delta"} {
		differ(t, "pg dump "+part, p.DumpText([]string{part}), load(t, "dump."+part+".txt"))
	}
	stuck, ok := p.Stuck([]string{"unclean"}, time.Minute, p.Stamp)
	if !ok {
		t.Error("unclean is not a word")
	}
	differ(t, "pg dump_stuck", p.DumpStuckText(stuck), load(t, "stuck.txt"))
	var pools []int64
	pools = append(pools, m.PoolIDs()...)
	for name, got := range map[string]string{
		"df.plain": p.DFText(m, false), "dfdetail.plain": p.DFText(m, true),
		"osddf.plain":     p.NewOSDDF(m, false, "").Text(),
		"osddftree.plain": p.NewOSDDF(m, true, "").Text(),
		"perf.plain":      p.OSDPerfText(), "blockedby.plain": p.OSDBlockedByText(),
		"poolstats.plain": p.PoolStatsText(m, pools),
	} {
		differ(t, name, got, load(t, name))
	}
	now := ceph.TimeOf(p.Stamp.Go().Add(4 * time.Second))
	differ(t, "pg ls", p.LsText(Filter{All: true, Pool: -1, OSD: -1}, now), load(t, "ls.txt"))
	status := load(t, "status.plain")
	status = status[strings.Index(status, "    pools:"):]
	status, _, _ = strings.Cut(status, " \n")
	differ(t, "status", p.StatusText(), status)
}

func TestDumpsAreStock(t *testing.T) {
	p, m := stock(t)
	pools := m.PoolIDs()
	for name, got := range map[string]any{
		"dump.all.json": p.Dump(nil), "dump.sum.json": p.Dump([]string{"sum"}),
		"dump.pgs_brief.json": p.Dump([]string{"pgs_brief"}),
		"df.json-pretty":      p.DF(m, false), "dfdetail.json-pretty": p.DF(m, true),
		"osddf.json-pretty":     p.NewOSDDF(m, false, "").Dump(),
		"osddftree.json-pretty": p.NewOSDDF(m, true, "").Dump(),
		"perf.json-pretty":      p.OSDPerf(), "blockedby.json-pretty": p.OSDBlockedBy(),
		"poolstats.json-pretty": p.PoolStats(m, pools), "pgstat.json-pretty": p.Stat(),
	} {
		want := load(t, name)
		compareJSON(t, name, canonical(t, string(cephjson.Marshal(got, false))),
			canonical(t, want))
	}
	var status struct {
		PGMap json.RawMessage `json:"pgmap"`
	}
	if err := json.Unmarshal([]byte(load(t, "status.json-pretty")), &status); err != nil {
		t.Fatal(err)
	}
	compareJSON(t, "status", canonical(t, string(cephjson.Marshal(p.Status(), false))),
		canonical(t, string(status.PGMap)))
}

// One of three OSDs is down, for 75 seconds.
func TestDegradedIsStock(t *testing.T) {
	p, m := stockIn(t, "down/")
	now := ceph.TimeOf(p.Stamp.Go().Add(4 * time.Second))
	stuck, _ := p.Stuck([]string{"undersized", "degraded"}, time.Minute, p.Stamp)
	all := Filter{All: true, Pool: -1, OSD: -1}
	for name, got := range map[string]string{
		"ls.txt": p.LsText(all, now), "brief.txt": p.DumpText([]string{"pgs_brief"}),
		"stuck.txt": p.DumpStuckText(stuck), "dfdetail.plain": p.DFText(m, true),
		"osddf.plain":     p.NewOSDDF(m, false, "").Text(),
		"poolstats.plain": p.PoolStatsText(m, m.PoolIDs()),
	} {
		differ(t, name, ageless(got), ageless(load(t, "down/"+name)))
	}
	status := load(t, "down/status.plain")
	status, _, _ = strings.Cut(status[strings.Index(status, "    pools:"):], " \n")
	differ(t, "status", p.StatusText(), status)
	var health struct {
		Checks map[string]struct {
			Severity string
			Summary  struct {
				Message string
				Count   int64
			}
			Detail []struct{ Message string }
		}
	}
	if err := json.Unmarshal([]byte(load(t, "down/health.json")), &health); err != nil {
		t.Fatal(err)
	}
	l := DefaultLimits()
	l.WarnNoApp = false // as this cluster is configured
	checks := append(p.Checks(m, p.Stamp, l), m.Checks(osdmap.DefaultHealthOptions())...)
	if len(checks) != len(health.Checks) {
		t.Errorf("%d checks, want %d", len(checks), len(health.Checks))
	}
	for _, c := range checks {
		w := health.Checks[c.Code]
		if c.Severity != w.Severity || c.Summary != w.Summary.Message ||
			c.Count != w.Summary.Count {
			t.Errorf("%+v, want %+v", c, w)
		}
		var want []string
		for _, d := range w.Detail {
			want = append(want, d.Message)
		}
		differ(t, c.Code, ageless(strings.Join(c.Detail, "\n")),
			ageless(strings.Join(want, "\n")))
	}
}

var ages = regexp.MustCompile(` +[0-9]+[sm]\b`)

// ageless takes out how long something lasts.
func ageless(s string) string { return ages.ReplaceAllString(s, " AGE") }

func compareJSON(t *testing.T, name, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Errorf("%s, line %d:\n got %s\nwant %s", name, i+1, strings.Join(g[max(0, i-2):i+1],
				"\n"), strings.Join(w[max(0, i-2):i+1], "\n"))
			return
		}
	}
	t.Errorf("%s: %d lines, want %d", name, len(g), len(w))
}

// canonical reprints JSON with its keys in their order and the elements of the lists that stock
// takes from hash tables sorted.
func canonical(t *testing.T, text string) string {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var b strings.Builder
	reprint(t, dec, &b, "")
	return b.String()
}

func reprint(t *testing.T, dec *json.Decoder, b *strings.Builder, key string) {
	tok, err := dec.Token()
	if err != nil {
		t.Fatal(err)
	}
	switch tok {
	case json.Delim('{'):
		b.WriteString("{\n")
		for dec.More() {
			k, _ := dec.Token()
			fmt.Fprintf(b, "%v: ", k)
			reprint(t, dec, b, k.(string))
		}
		dec.Token()
		b.WriteString("}\n")
	case json.Delim('['):
		var items []string
		for dec.More() {
			var item strings.Builder
			reprint(t, dec, &item, key)
			items = append(items, item.String())
		}
		dec.Token()
		switch key {
		case "pg_stats", "osd_stats", "pool_stats", "osd_perf_infos", "num_pg_by_state",
			"pgs_by_state", "network_ping_times", "pool_statfs":
			sort.Strings(items)
		}
		b.WriteString("[\n" + strings.Join(items, "") + "]\n")
	default:
		fmt.Fprintf(b, "%v\n", tok)
	}
}
