package pgstat

import (
	"maps"
	"slices"
	"strings"
	"time"

	"glue/ceph"
	"glue/cluster/crush"
	"glue/cluster/osdmap"
	"glue/internal/cephjson"
)

// PGBrief is a PG in `ceph pg dump pgs_brief -f json`.
type PGBrief struct {
	PGID          string  `json:"pgid"`
	State         string  `json:"state"`
	Up            []int32 `json:"up"`
	Acting        []int32 `json:"acting"`
	UpPrimary     int32   `json:"up_primary"`
	ActingPrimary int32   `json:"acting_primary"`
}

// PGDump is a PG in `ceph pg dump -f json`.
type PGDump struct {
	PGID string `json:"pgid"`
	PGBody
}

// PGBody is a PG's statistics as they are in dumps (pg_stat_t::dump).
type PGBody struct {
	Version                 string         `json:"version"`
	ReportedSeq             uint64         `json:"reported_seq"`
	ReportedEpoch           ceph.Epoch     `json:"reported_epoch"`
	State                   string         `json:"state"`
	LastFresh               string         `json:"last_fresh"`
	LastChange              string         `json:"last_change"`
	LastActive              string         `json:"last_active"`
	LastPeered              string         `json:"last_peered"`
	LastClean               string         `json:"last_clean"`
	LastBecameActive        string         `json:"last_became_active"`
	LastBecamePeered        string         `json:"last_became_peered"`
	LastUnstale             string         `json:"last_unstale"`
	LastUndegraded          string         `json:"last_undegraded"`
	LastFullsized           string         `json:"last_fullsized"`
	MappingEpoch            ceph.Epoch     `json:"mapping_epoch"`
	LogStart                string         `json:"log_start"`
	OndiskLogStart          string         `json:"ondisk_log_start"`
	Created                 ceph.Epoch     `json:"created"`
	LastEpochClean          ceph.Epoch     `json:"last_epoch_clean"`
	Parent                  string         `json:"parent"`
	ParentSplitBits         uint32         `json:"parent_split_bits"`
	LastScrub               string         `json:"last_scrub"`
	LastScrubStamp          string         `json:"last_scrub_stamp"`
	LastDeepScrub           string         `json:"last_deep_scrub"`
	LastDeepScrubStamp      string         `json:"last_deep_scrub_stamp"`
	LastCleanScrubStamp     string         `json:"last_clean_scrub_stamp"`
	LogSize                 int64          `json:"log_size"`
	OndiskLogSize           int64          `json:"ondisk_log_size"`
	StatsInvalid            bool           `json:"stats_invalid"`
	DirtyStatsInvalid       bool           `json:"dirty_stats_invalid"`
	OmapStatsInvalid        bool           `json:"omap_stats_invalid"`
	HitsetStatsInvalid      bool           `json:"hitset_stats_invalid"`
	HitsetBytesStatsInvalid bool           `json:"hitset_bytes_stats_invalid"`
	PinStatsInvalid         bool           `json:"pin_stats_invalid"`
	ManifestStatsInvalid    bool           `json:"manifest_stats_invalid"`
	SnapTrimQueueLen        uint32         `json:"snaptrimq_len"`
	Sum                     Sum            `json:"stat_sum"`
	Up                      []int32        `json:"up"`
	Acting                  []int32        `json:"acting"`
	AvailNoMissing          []string       `json:"avail_no_missing"`
	ObjectLocationCounts    []LocationDump `json:"object_location_counts"`
	BlockedBy               []int32        `json:"blocked_by"`
	UpPrimary               int32          `json:"up_primary"`
	ActingPrimary           int32          `json:"acting_primary"`
	PurgedSnaps             []IntervalDump `json:"purged_snaps"`
}

// LocationDump is one element of "object_location_counts".
type LocationDump struct {
	Shards  string `json:"shards"`
	Objects int32  `json:"objects"`
}

// IntervalDump is one element of "purged_snaps".
type IntervalDump struct {
	Start  string `json:"start"`
	Length string `json:"length"`
}

func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// Dump is the statistics as dumps have them.
func (p *PG) Dump() PGBody {
	d := PGBody{
		Version: p.Version.String(), ReportedSeq: p.ReportedSeq, ReportedEpoch: p.ReportedEpoch,
		State: p.State.String(), LastFresh: p.LastFresh.String(),
		LastChange: p.LastChange.String(), LastActive: p.LastActive.String(),
		LastPeered: p.LastPeered.String(), LastClean: p.LastClean.String(),
		LastBecameActive: p.LastBecameActive.String(),
		LastBecamePeered: p.LastBecamePeered.String(), LastUnstale: p.LastUnstale.String(),
		LastUndegraded: p.LastUndegraded.String(), LastFullsized: p.LastFullsized.String(),
		MappingEpoch: p.MappingEpoch, LogStart: p.LogStart.String(),
		OndiskLogStart: p.OndiskLogStart.String(), Created: p.Created,
		LastEpochClean: p.LastEpochClean, Parent: p.Parent.String(),
		ParentSplitBits: p.ParentSplitBits, LastScrub: p.LastScrub.String(),
		LastScrubStamp: p.LastScrubStamp.String(), LastDeepScrub: p.LastDeepScrub.String(),
		LastDeepScrubStamp:  p.LastDeepScrubStamp.String(),
		LastCleanScrubStamp: p.LastCleanScrubStamp.String(), LogSize: p.LogSize,
		OndiskLogSize: p.OndiskLogSize, StatsInvalid: p.StatsInvalid,
		DirtyStatsInvalid: p.DirtyStatsInvalid, OmapStatsInvalid: p.OmapStatsInvalid,
		HitsetStatsInvalid:      p.HitsetStatsInvalid,
		HitsetBytesStatsInvalid: p.HitsetBytesStatsInvalid, PinStatsInvalid: p.PinStatsInvalid,
		ManifestStatsInvalid: p.ManifestStatsInvalid, SnapTrimQueueLen: p.SnapTrimQueueLen,
		Sum: p.Stats.Sum, Up: notNil(p.Up), Acting: notNil(p.Acting),
		AvailNoMissing: []string{}, ObjectLocationCounts: []LocationDump{},
		BlockedBy: notNil(p.BlockedBy), UpPrimary: p.UpPrimary, ActingPrimary: p.ActingPrimary,
		PurgedSnaps: []IntervalDump{},
	}
	for _, s := range p.AvailNoMissing {
		d.AvailNoMissing = append(d.AvailNoMissing, s.String())
	}
	for _, l := range p.ObjectLocationCounts {
		var shards []string
		for _, s := range l.Shards {
			shards = append(shards, s.String())
		}
		d.ObjectLocationCounts = append(d.ObjectLocationCounts,
			LocationDump{strings.Join(shards, ","), l.Objects})
	}
	for _, r := range p.PurgedSnaps {
		d.PurgedSnaps = append(d.PurgedSnaps,
			IntervalDump{ceph.SnapID(r.Start).String(), ceph.SnapID(r.Len).String()})
	}
	return d
}

func (p *PG) brief(id ceph.PGID) PGBrief {
	return PGBrief{id.String(), p.State.String(), notNil(p.Up), notNil(p.Acting), p.UpPrimary,
		p.ActingPrimary}
}

// PoolDump is a sum over PGs as dumps have it (pool_stat_t::dump).
type PoolDump struct {
	Sum           Sum    `json:"stat_sum"`
	Store         Statfs `json:"store_stats"`
	LogSize       int64  `json:"log_size"`
	OndiskLogSize int64  `json:"ondisk_log_size"`
	Up            int32  `json:"up"`
	Acting        int32  `json:"acting"`
	NumStoreStats int32  `json:"num_store_stats"`
}

// Dump is the sum as dumps have it.
func (p *Pool) Dump() PoolDump {
	return PoolDump{p.Stats.Sum, p.Store, p.LogSize, p.OndiskLogSize, p.Up, p.Acting,
		p.NumStoreStats}
}

// PoolStatDump is one element of "pool_stats".
type PoolStatDump struct {
	Pool  int64 `json:"poolid"`
	NumPG int32 `json:"num_pg"`
	PoolDump
}

// OSDBody is an OSD's statistics as dumps have them (osd_stat_t::dump).
type OSDBody struct {
	UpFrom             ceph.Epoch  `json:"up_from"`
	Seq                uint64      `json:"seq"`
	NumPGs             uint32      `json:"num_pgs"`
	NumOSDs            uint32      `json:"num_osds"`
	NumPerPoolOSDs     uint32      `json:"num_per_pool_osds"`
	NumPerPoolOmapOSDs uint32      `json:"num_per_pool_omap_osds"`
	KB                 uint64      `json:"kb"`
	KBUsed             uint64      `json:"kb_used"`
	KBUsedData         int64       `json:"kb_used_data"`
	KBUsedOmap         int64       `json:"kb_used_omap"`
	KBUsedMeta         int64       `json:"kb_used_meta"`
	KBAvail            uint64      `json:"kb_avail"`
	Statfs             Statfs      `json:"statfs"`
	HBPeers            []int32     `json:"hb_peers"`
	SnapTrimQueueLen   int32       `json:"snap_trim_queue_len"`
	NumSnapTrimming    int32       `json:"num_snap_trimming"`
	NumShardsRepaired  uint64      `json:"num_shards_repaired"`
	OpQueueAge         HistDump    `json:"op_queue_age_hist"`
	Perf               PerfDump    `json:"perf_stat"`
	Alerts             []any       `json:"alerts"`
	PingTimes          []PeerPings `json:"network_ping_times"`
}

// HistDump is a histogram by powers of two.
type HistDump struct {
	Histogram  []int32 `json:"histogram"`
	UpperBound uint64  `json:"upper_bound"`
}

// PerfDump is a store's latencies.
type PerfDump struct {
	CommitMS cephjson.Float `json:"commit_latency_ms"`
	ApplyMS  cephjson.Float `json:"apply_latency_ms"`
	CommitNS uint64         `json:"commit_latency_ns"`
	ApplyNS  uint64         `json:"apply_latency_ns"`
}

// PeerPings is one element of "network_ping_times".
type PeerPings struct {
	OSD        int32           `json:"osd"`
	LastUpdate string          `json:"last update"`
	Interfaces []InterfacePing `json:"interfaces"`
}

// InterfacePing is the times over one network, in milliseconds.
type InterfacePing struct {
	Interface string         `json:"interface"`
	Average   PingTriple     `json:"average"`
	Min       PingTriple     `json:"min"`
	Max       PingTriple     `json:"max"`
	Last      cephjson.Float `json:"last"`
}

// PingTriple is over one, five and fifteen minutes.
type PingTriple struct {
	One     cephjson.Float `json:"1min"`
	Five    cephjson.Float `json:"5min"`
	Fifteen cephjson.Float `json:"15min"`
}

func triple(t [3]uint32) PingTriple {
	return PingTriple{millis(t[0]), millis(t[1]), millis(t[2])}
}

func millis(micros uint32) cephjson.Float { return cephjson.Float(float64(micros) / 1000) }

// Dump is the statistics as dumps have them.
func (o *OSD) Dump() OSDBody {
	f := &o.Statfs
	d := OSDBody{
		UpFrom: o.UpFrom, Seq: o.Seq, NumPGs: o.NumPGs, NumOSDs: o.NumOSDs,
		NumPerPoolOSDs: o.NumPerPoolOSDs, NumPerPoolOmapOSDs: o.NumPerPoolOmapOSDs,
		KB: f.Total >> 10, KBUsed: f.UsedRaw() >> 10, KBUsedData: f.Allocated >> 10,
		KBUsedOmap: f.OmapAllocated >> 10, KBUsedMeta: f.InternalMetadata >> 10,
		KBAvail: f.Available >> 10, Statfs: *f, HBPeers: notNil(o.HBPeers),
		SnapTrimQueueLen: o.SnapTrimQueueLen, NumSnapTrimming: o.NumSnapTrimming,
		NumShardsRepaired: o.NumShardsRepaired,
		OpQueueAge:        HistDump{notNil(o.OpQueueAgeHist), 1 << len(o.OpQueueAgeHist)},
		Perf:              o.perf(), Alerts: []any{}, PingTimes: []PeerPings{},
	}
	for _, osd := range slices.Sorted(maps.Keys(o.Alerts)) {
		for _, code := range slices.Sorted(maps.Keys(o.Alerts[osd])) {
			d.Alerts = append(d.Alerts, struct {
				OSD   int32  `json:"osd"`
				Alert string `json:"alert"`
				Text  string `json:"text"`
			}{osd, code, o.Alerts[osd][code]})
		}
	}
	for _, osd := range slices.Sorted(maps.Keys(o.PingTimes)) {
		t := o.PingTimes[osd]
		d.PingTimes = append(d.PingTimes, t.dump(osd))
	}
	return d
}

func (o *OSD) perf() PerfDump {
	return PerfDump{cephjson.Float(float64(o.CommitLatencyNS) / 1e6),
		cephjson.Float(float64(o.ApplyLatencyNS) / 1e6), o.CommitLatencyNS, o.ApplyLatencyNS}
}

func (p *PingTimes) dump(osd int32) PeerPings {
	d := PeerPings{
		OSD:        osd,
		LastUpdate: time.Unix(int64(p.LastUpdate), 0).UTC().Format("Mon Jan _2 15:04:05 2006"),
		Interfaces: []InterfacePing{{"back", triple(p.Back), triple(p.BackMin),
			triple(p.BackMax), millis(p.BackLast)}},
	}
	if p.Front[0] != 0 {
		d.Interfaces = append(d.Interfaces, InterfacePing{"front", triple(p.Front),
			triple(p.FrontMin), triple(p.FrontMax), millis(p.FrontLast)})
	}
	return d
}

// OSDStatDump is one element of "osd_stats".
type OSDStatDump struct {
	OSD int32 `json:"osd"`
	OSDBody
}

// PoolStatfsDump is one element of "pool_statfs".
type PoolStatfsDump struct {
	Pool int64 `json:"poolid"`
	OSD  int32 `json:"osd"`
	Statfs
}

// basic is what every dump of the whole map begins with.
func (p *PGMap) basic() members {
	var o members
	o.put("version", p.Version)
	o.put("stamp", p.Stamp.String())
	o.put("last_osdmap_epoch", 0) // nothing sets it in 16.2
	o.put("last_pg_scan", 0)
	o.put("pg_stats_sum", p.Sum.Dump())
	o.put("osd_stats_sum", p.OSDSum.Dump())
	return append(o, p.delta()...)
}

func (p *PGMap) delta() members {
	sum := Pool{Stats: Collection{Sum: p.Delta.Sum}}
	var o members
	o.put("pg_stats_delta", struct {
		PoolDump
		Span string `json:"stamp_delta"`
	}{sum.Dump(), ceph.TimeSpan(p.Delta.Span).String()})
	return o
}

func (p *PGMap) dumpPGs() []PGDump {
	out := []PGDump{}
	for _, id := range p.sortedPGs() {
		out = append(out, PGDump{id.String(), p.PGs[id].Dump()})
	}
	return out
}

func (p *PGMap) dumpPools() []PoolStatDump {
	out := []PoolStatDump{}
	for _, id := range slices.Sorted(maps.Keys(p.Pools)) {
		pool := p.Pools[id]
		out = append(out, PoolStatDump{id, p.PoolPGs[id], pool.Dump()})
	}
	return out
}

func (p *PGMap) sortedOSDs() []int32 { return slices.Sorted(maps.Keys(p.OSDs)) }

func (p *PGMap) dumpOSDs() members {
	osds := []OSDStatDump{}
	for _, osd := range p.sortedOSDs() {
		osds = append(osds, OSDStatDump{osd, p.OSDs[osd].Dump()})
	}
	statfs := []PoolStatfsDump{}
	for k, s := range p.PoolStatfs {
		statfs = append(statfs, PoolStatfsDump{k.Pool, k.OSD, s})
	}
	slices.SortFunc(statfs, func(a, b PoolStatfsDump) int {
		if a.Pool != b.Pool {
			return int(a.Pool - b.Pool)
		}
		return int(a.OSD - b.OSD)
	})
	var o members
	o.put("osd_stats", osds)
	o.put("pool_statfs", statfs)
	return o
}

// DumpParts are the words that `ceph pg dump` takes.
var DumpParts = []string{"all", "summary", "sum", "delta", "pools", "osds", "pgs", "pgs_brief"}

// Dump is `ceph pg dump -f json`; without words it is all. Refresh first, as for all listings.
func (p *PGMap) Dump(what []string) cephjson.Object {
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(what, w) })
	}
	o := members(ready())
	switch {
	case len(what) == 0 || has("all"):
		all := p.basic()
		all.put("pg_stats", p.dumpPGs())
		all.put("pool_stats", p.dumpPools())
		o.put("pg_map", cephjson.Object(append(all, p.dumpOSDs()...)))
		return cephjson.Object(o)
	case has("summary", "sum"):
		o.put("pg_map", cephjson.Object(p.basic()))
		return cephjson.Object(o)
	}
	if has("pools") {
		o.put("pool_stats", p.dumpPools())
	}
	if has("osds") {
		o = append(o, p.dumpOSDs()...)
	}
	if has("pgs") {
		o.put("pg_stats", p.dumpPGs())
	}
	if has("pgs_brief") {
		brief := []PGBrief{}
		for _, id := range p.sortedPGs() {
			brief = append(brief, p.PGs[id].brief(id))
		}
		o.put("pg_stats", brief)
	}
	if has("delta") {
		o.put("delta", cephjson.Object(p.delta()))
	}
	return cephjson.Object(o)
}

// A Filter chooses PGs.
type Filter struct {
	All     bool  // any state
	States  State // else one of these, or with 0 the unknown ones
	Pool    int64 // -1 for any
	OSD     int32 // -1 for any
	Primary bool  // OSD is the primary, not just in the acting set
}

// Filter lists the PGs that f chooses, in order.
func (p *PGMap) Filter(f Filter) []ceph.PGID {
	var out []ceph.PGID
	for _, id := range p.sortedPGs() {
		pg := p.PGs[id]
		switch {
		case f.Pool >= 0 && id.Pool != f.Pool:
		case f.OSD >= 0 && f.Primary && pg.ActingPrimary != f.OSD:
		case f.OSD >= 0 && (f.OSD == crush.None || !slices.Contains(pg.Acting, f.OSD)):
		case f.All || pg.State.Any(f.States) || f.States == 0 && pg.State == 0:
			out = append(out, id)
		}
	}
	return out
}

// Ls is `ceph pg ls -f json` and its kin.
func (p *PGMap) Ls(f Filter) cephjson.Object {
	out := []PGDump{}
	for _, id := range p.Filter(f) {
		out = append(out, PGDump{id.String(), p.PGs[id].Dump()})
	}
	return ready(cephjson.Member{Key: "pg_stats", Value: out})
}

// stuckTests are the words of `ceph pg dump_stuck`.
var stuckTests = map[string]struct {
	test  func(State) bool
	since func(*PG) ceph.Time
}{
	"inactive": {func(s State) bool { return !s.Has(Active) },
		func(p *PG) ceph.Time { return p.LastActive }},
	"unclean": {func(s State) bool { return !s.Has(Clean) },
		func(p *PG) ceph.Time { return p.LastClean }},
	"degraded": {func(s State) bool { return s.Has(Degraded) },
		func(p *PG) ceph.Time { return p.LastUndegraded }},
	"undersized": {func(s State) bool { return s.Has(Undersized) },
		func(p *PG) ceph.Time { return p.LastFullsized }},
	"stale": {func(s State) bool { return s.Has(Stale) },
		func(p *PG) ceph.Time { return p.LastUnstale }},
}

// Stuck lists the PGs that have been in one of the states (inactive, unclean, degraded, undersized,
// stale) since before now-threshold; ok is false for another word.
func (p *PGMap) Stuck(words []string, threshold time.Duration, now ceph.Time,
) (pgs []ceph.PGID, ok bool) {
	cutoff := ceph.TimeOf(now.Go().Add(-threshold))
	for _, w := range words {
		if _, ok := stuckTests[w]; !ok {
			return nil, false
		}
	}
	for _, id := range p.sortedPGs() {
		pg := p.PGs[id]
		if slices.ContainsFunc(words, func(w string) bool {
			t := stuckTests[w]
			return t.test(pg.State) && t.since(pg).Compare(cutoff) < 0
		}) {
			pgs = append(pgs, id)
		}
	}
	return pgs, true
}

// DumpStuck is `ceph pg dump_stuck -f json` for what Stuck found.
func (p *PGMap) DumpStuck(pgs []ceph.PGID) cephjson.Object {
	out := []PGDump{}
	for _, id := range pgs {
		out = append(out, PGDump{id.String(), p.PGs[id].Dump()})
	}
	return ready(cephjson.Member{Key: "stuck_pg_stats", Value: out})
}

// OSDPerf is `ceph osd perf -f json`.
func (p *PGMap) OSDPerf() cephjson.Object {
	list := []any{}
	for _, osd := range p.sortedOSDs() {
		list = append(list, struct {
			ID   int32    `json:"id"`
			Perf PerfDump `json:"perf_stats"`
		}{osd, p.OSDs[osd].perf()})
	}
	return ready(cephjson.Member{
		Key: "osdstats", Value: cephjson.Object{{Key: "osd_perf_infos", Value: list}},
	})
}

// OSDBlockedBy is `ceph osd blocked-by -f json`.
func (p *PGMap) OSDBlockedBy() cephjson.Object {
	list := []any{}
	for _, osd := range slices.Sorted(maps.Keys(p.BlockedBy)) {
		list = append(list, struct {
			ID  int32 `json:"id"`
			Num int32 `json:"num_blocked"`
		}{osd, p.BlockedBy[osd]})
	}
	return ready(cephjson.Member{
		Key: "osd_blocked_by", Value: cephjson.Object{{Key: "osd_blocked_by_infos", Value: list}},
	})
}

// PoolStats is `ceph osd pool stats -f json` for some pools.
func (d *Digest) PoolStats(m *osdmap.Map, pools []int64) []cephjson.Object {
	out := []cephjson.Object{}
	for _, id := range pools {
		stat, delta := d.Pools[id], d.PoolDeltas[id]
		o := cephjson.Object{
			{Key: "pool_name", Value: m.PoolName(id)}, {Key: "pool_id", Value: id},
			{Key: "recovery", Value: object(recoveryDump(&stat.Stats.Sum))},
			{Key: "recovery_rate", Value: object(recoveryRateDump(delta))},
			{Key: "client_io_rate", Value: object(clientRateDump(delta))},
		}
		if pool := m.Pools[id]; pool != nil && pool.TierOf >= 0 {
			o = append(o, cephjson.Member{
				Key: "cache_io_rate", Value: object(cacheRateDump(delta)),
			})
		}
		out = append(out, o)
	}
	return out
}

// object is never nil, so that it prints as an empty object.
func object(m members) cephjson.Object { return append(cephjson.Object{}, m...) }
