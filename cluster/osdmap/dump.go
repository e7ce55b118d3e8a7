package osdmap

import (
	"fmt"
	"maps"
	"slices"

	"glue/ceph"
	"glue/cluster/crush"
	"glue/internal/cephjson"
)

// A Dump is `ceph osd dump -f json`; the fields have the stock names and order.
type Dump struct {
	Epoch                  ceph.Epoch     `json:"epoch"`
	FSID                   string         `json:"fsid"`
	Created                string         `json:"created"`
	Modified               string         `json:"modified"`
	LastUpChange           string         `json:"last_up_change"`
	LastInChange           string         `json:"last_in_change"`
	Flags                  string         `json:"flags"`
	FlagsNum               Flags          `json:"flags_num"`
	FlagsSet               []string       `json:"flags_set"`
	CrushVersion           uint32         `json:"crush_version"`
	FullRatio              cephjson.Float `json:"full_ratio"`
	BackfillfullRatio      cephjson.Float `json:"backfillfull_ratio"`
	NearfullRatio          cephjson.Float `json:"nearfull_ratio"`
	ClusterSnapshot        string         `json:"cluster_snapshot"`
	PoolMax                int32          `json:"pool_max"`
	MaxOSD                 int32          `json:"max_osd"`
	RequireMinCompatClient string         `json:"require_min_compat_client"`
	MinCompatClient        string         `json:"min_compat_client"`
	RequireOSDRelease      string         `json:"require_osd_release"`

	Pools        []PoolDump     `json:"pools"`
	OSDs         []OSDDump      `json:"osds"`
	OSDXInfo     []XInfoDump    `json:"osd_xinfo"`
	PGUpmap      []PGOSDsDump   `json:"pg_upmap"`
	PGUpmapItems []PGRemapsDump `json:"pg_upmap_items"`
	PGTemp       []PGOSDsDump   `json:"pg_temp"`
	PrimaryTemp  []any          `json:"primary_temp"` // PG and OSD in turn, as stock has it

	Blocklist      cephjson.Object              `json:"blocklist"`
	RangeBlocklist cephjson.Object              `json:"range_blocklist"`
	ECProfiles     map[string]map[string]string `json:"erasure_code_profiles"`

	RemovedSnapsQueue []PoolSnapsDump     `json:"removed_snaps_queue"`
	NewRemovedSnaps   []PoolSnapsDump     `json:"new_removed_snaps"`
	NewPurgedSnaps    []PoolSnapsDump     `json:"new_purged_snaps"`
	CrushNodeFlags    cephjson.Object     `json:"crush_node_flags"`
	DeviceClassFlags  map[string][]string `json:"device_class_flags"`
	StretchMode       StretchDump         `json:"stretch_mode"`
}

// OSDDump is one element of "osds".
type OSDDump struct {
	OSD             int32          `json:"osd"`
	UUID            string         `json:"uuid"`
	Up              int            `json:"up"`
	In              int            `json:"in"`
	Weight          cephjson.Float `json:"weight"`
	PrimaryAffinity cephjson.Float `json:"primary_affinity"`
	LastCleanBegin  ceph.Epoch     `json:"last_clean_begin"`
	LastCleanEnd    ceph.Epoch     `json:"last_clean_end"`
	UpFrom          ceph.Epoch     `json:"up_from"`
	UpThru          ceph.Epoch     `json:"up_thru"`
	DownAt          ceph.Epoch     `json:"down_at"`
	LostAt          ceph.Epoch     `json:"lost_at"`
	PublicAddrs     ceph.AddrVec   `json:"public_addrs"`
	ClusterAddrs    ceph.AddrVec   `json:"cluster_addrs"`
	HBBackAddrs     ceph.AddrVec   `json:"heartbeat_back_addrs"`
	HBFrontAddrs    ceph.AddrVec   `json:"heartbeat_front_addrs"`
	PublicAddr      string         `json:"public_addr"`
	ClusterAddr     string         `json:"cluster_addr"`
	HBBackAddr      string         `json:"heartbeat_back_addr"`
	HBFrontAddr     string         `json:"heartbeat_front_addr"`
	State           []string       `json:"state"`
}

// XInfoDump is one element of "osd_xinfo".
type XInfoDump struct {
	OSD                  int32          `json:"osd"`
	DownStamp            string         `json:"down_stamp"`
	LaggyProbability     cephjson.Float `json:"laggy_probability"`
	LaggyInterval        int32          `json:"laggy_interval"`
	Features             int64          `json:"features"`
	OldWeight            uint32         `json:"old_weight"`
	LastPurgedSnapsScrub string         `json:"last_purged_snaps_scrub"`
	DeadEpoch            int32          `json:"dead_epoch"`
}

// PGOSDsDump is a PG and a list of OSDs.
type PGOSDsDump struct {
	PGID string  `json:"pgid"`
	OSDs []int32 `json:"osds"`
}

// PGRemapsDump is a PG and the replacements in its mapping.
type PGRemapsDump struct {
	PGID     string      `json:"pgid"`
	Mappings []RemapDump `json:"mappings"`
}

// RemapDump is one replacement.
type RemapDump struct {
	From int32 `json:"from"`
	To   int32 `json:"to"`
}

// PoolSnapsDump is a pool and ranges of its snapshots.
type PoolSnapsDump struct {
	Pool  int64           `json:"pool"`
	Snaps []SnapRangeDump `json:"snaps"`
}

// SnapRangeDump is one range.
type SnapRangeDump struct {
	Begin  uint64 `json:"begin"`
	Length uint64 `json:"length"`
}

// StretchDump is "stretch_mode".
type StretchDump struct {
	Enabled     bool   `json:"stretch_mode_enabled"`
	BucketCount uint32 `json:"stretch_bucket_count"`
	Degraded    uint32 `json:"degraded_stretch_mode"`
	Recovering  uint32 `json:"recovering_stretch_mode"`
	Bucket      int32  `json:"stretch_mode_bucket"`
}

// Dump is the map as `ceph osd dump -f json` shows it.
func (m *Map) Dump() Dump {
	d := Dump{
		Epoch: m.Epoch, FSID: m.FSID.String(), Created: m.Created.String(),
		Modified: m.Modified.String(), LastUpChange: m.LastUpChange.String(),
		LastInChange: m.LastInChange.String(), Flags: m.Flags.String(), FlagsNum: m.Flags,
		FlagsSet: m.Flags.Set(), CrushVersion: m.CrushVersion,
		FullRatio:         cephjson.Float(m.FullRatio),
		BackfillfullRatio: cephjson.Float(m.BackfillfullRatio),
		NearfullRatio:     cephjson.Float(m.NearfullRatio), ClusterSnapshot: m.ClusterSnapshot,
		PoolMax: m.PoolMax, MaxOSD: m.MaxOSD,
		RequireMinCompatClient: m.RequireMinCompatClient.String(),
		MinCompatClient:        m.MinCompatClient().String(),
		RequireOSDRelease:      m.RequireOSDRelease.String(),
		Pools:                  []PoolDump{}, OSDs: []OSDDump{}, OSDXInfo: []XInfoDump{},
		PGUpmap: dumpPGs(m.PGUpmap), PGTemp: dumpPGs(m.PGTemp),
		PGUpmapItems: m.dumpRemaps(), PrimaryTemp: []any{},
		Blocklist: dumpBlocklist(m.Blocklist), RangeBlocklist: dumpBlocklist(m.RangeBlocklist),
		ECProfiles:        map[string]map[string]string{},
		RemovedSnapsQueue: dumpSnaps(m.RemovedSnapsQueue),
		NewRemovedSnaps:   dumpSnaps(m.NewRemovedSnaps),
		NewPurgedSnaps:    dumpSnaps(m.NewPurgedSnaps),
		CrushNodeFlags:    m.dumpNodeFlags(), DeviceClassFlags: m.dumpClassFlags(),
		StretchMode: StretchDump(m.Stretch),
	}
	for name, p := range m.ECProfiles {
		if p == nil {
			p = map[string]string{}
		}
		d.ECProfiles[name] = p
	}
	for _, id := range m.PoolIDs() {
		d.Pools = append(d.Pools, m.DumpPool(id))
	}
	for _, osd := range m.OSDs() {
		d.OSDs = append(d.OSDs, m.DumpOSD(osd))
		d.OSDXInfo = append(d.OSDXInfo, m.DumpXInfo(osd))
	}
	for _, pg := range sortedPGs(m.PrimaryTemp) {
		d.PrimaryTemp = append(d.PrimaryTemp, pg.String(), m.PrimaryTemp[pg])
	}
	return d
}

// DumpOSD is an OSD's element of "osds".
func (m *Map) DumpOSD(osd int32) OSDDump {
	i := m.Info[osd]
	return OSDDump{
		OSD: osd, UUID: m.UUIDs[osd].String(), Up: btoi(m.IsUp(osd)), In: btoi(m.IsIn(osd)),
		Weight:          cephjson.Float(weightf(m.Weight[osd])),
		PrimaryAffinity: cephjson.Float(weightf(m.Affinity(osd))),
		LastCleanBegin:  i.LastCleanBegin, LastCleanEnd: i.LastCleanEnd,
		UpFrom: i.UpFrom, UpThru: i.UpThru, DownAt: i.DownAt, LostAt: i.LostAt,
		PublicAddrs: m.ClientAddrs[osd], ClusterAddrs: m.ClusterAddrs[osd],
		HBBackAddrs: m.HBBackAddrs[osd], HBFrontAddrs: m.HBFrontAddrs[osd],
		PublicAddr:  m.ClientAddrs[osd].Legacy().LegacyString(),
		ClusterAddr: m.ClusterAddrs[osd].Legacy().LegacyString(),
		HBBackAddr:  m.HBBackAddrs[osd].Legacy().LegacyString(),
		HBFrontAddr: m.HBFrontAddrs[osd].Legacy().LegacyString(),
		State:       m.State[osd].Set(),
	}
}

// DumpXInfo is an OSD's element of "osd_xinfo".
func (m *Map) DumpXInfo(osd int32) XInfoDump {
	x := m.XInfo[osd]
	return XInfoDump{
		OSD: osd, DownStamp: x.DownStamp.String(),
		LaggyProbability: cephjson.Float(x.LaggyProbability),
		LaggyInterval:    int32(x.LaggyInterval), Features: int64(x.Features),
		OldWeight: x.OldWeight, LastPurgedSnapsScrub: x.LastPurgedSnapsScrub.String(),
		DeadEpoch: int32(x.DeadEpoch),
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// weightf is a 16.16 number in single precision.
func weightf(w uint32) float32 { return float32(w) / WeightIn }

func sortedPGs[V any](m map[ceph.PGID]V) []ceph.PGID {
	return slices.SortedFunc(maps.Keys(m), ceph.PGID.Compare)
}

func dumpPGs(m map[ceph.PGID][]int32) []PGOSDsDump {
	out := []PGOSDsDump{}
	for _, pg := range sortedPGs(m) {
		out = append(out, PGOSDsDump{pg.String(), notNil(m[pg])})
	}
	return out
}

func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func (m *Map) dumpRemaps() []PGRemapsDump {
	out := []PGRemapsDump{}
	for _, pg := range sortedPGs(m.PGUpmapItems) {
		d := PGRemapsDump{PGID: pg.String(), Mappings: []RemapDump{}}
		for _, r := range m.PGUpmapItems[pg] {
			d.Mappings = append(d.Mappings, RemapDump(r))
		}
		out = append(out, d)
	}
	return out
}

// sortedAddrs orders a blocklist for people: by address, port and nonce.
func sortedAddrs(m map[ceph.Addr]ceph.Time) []ceph.Addr {
	return slices.SortedFunc(maps.Keys(m), func(a, b ceph.Addr) int {
		if c := a.AddrPort.Compare(b.AddrPort); c != 0 {
			return c
		}
		return a.Compare(b)
	})
}

// blocklistName is an address as blocklists show it: of all types only ranges have a prefix.
func blocklistName(a ceph.Addr) string {
	if a.Type == ceph.AddrAny {
		return a.LegacyString()
	}
	return a.String()
}

func dumpBlocklist(m map[ceph.Addr]ceph.Time) cephjson.Object {
	o := cephjson.Object{}
	for _, a := range sortedAddrs(m) {
		o = append(o, cephjson.Member{Key: blocklistName(a), Value: m[a].String()})
	}
	return o
}

func dumpSnaps(m map[int64][]SnapRange) []PoolSnapsDump {
	out := []PoolSnapsDump{}
	for _, pool := range slices.Sorted(maps.Keys(m)) {
		d := PoolSnapsDump{Pool: pool, Snaps: []SnapRangeDump{}}
		for _, r := range m[pool] {
			d.Snaps = append(d.Snaps, SnapRangeDump{uint64(r.Start), r.Len})
		}
		out = append(out, d)
	}
	return out
}

func (m *Map) dumpNodeFlags() cephjson.Object {
	o := cephjson.Object{}
	for _, id := range slices.Sorted(maps.Keys(m.CrushNodeFlags)) {
		name, ok := m.Crush.Names[id]
		if !ok {
			name = fmt.Sprint(id)
		}
		o = append(o, cephjson.Member{Key: name, Value: State(m.CrushNodeFlags[id]).Set()})
	}
	return o
}

func (m *Map) dumpClassFlags() map[string][]string {
	out := map[string][]string{}
	for id, flags := range m.DeviceClassFlags {
		name, ok := m.Crush.ClassNames[id]
		if !ok {
			name = fmt.Sprint(id)
		}
		out[name] = State(flags).Set()
	}
	return out
}

// MinCompatClient is the oldest release whose clients can use the map (get_min_compat_client).
func (m *Map) MinCompatClient() Release {
	c := m.Crush
	switch {
	case len(m.PGUpmap)+len(m.PGUpmapItems) > 0 || incompatArgs(c):
		return Luminous
	case c.ChooseleafStable != 0 || m.usesStep(crush.OpSetChooseLeafStable):
		return Jewel
	case slices.ContainsFunc(c.Buckets, func(b *crush.Bucket) bool {
		return b != nil && b.Alg == crush.Straw2
	}):
		return releaseHammer
	case m.affects() || c.ChooseleafVaryR != 0 || m.tiered() ||
		m.usesStep(crush.OpSetChooseLeafVaryR):
		return releaseFirefly
	case c.ChooseleafDescendOnce != 0 || m.hashesPools():
		return releaseDumpling
	}
	return releaseArgonaut
}

const (
	releaseArgonaut Release = 1
	releaseDumpling Release = 4
	releaseFirefly  Release = 6
	releaseHammer   Release = 8
)

// incompatArgs says whether there are weight sets beyond the one that can be merged into weights.
func incompatArgs(c *crush.Map) bool {
	if len(c.ChooseArgs) == 0 {
		return false
	}
	if _, ok := c.ChooseArgs[crush.DefaultArgs]; !ok || len(c.ChooseArgs) > 1 {
		return true
	}
	for _, a := range c.ChooseArgs[crush.DefaultArgs] {
		if a != nil && (len(a.WeightSets) > 1 || len(a.IDs) > 0) {
			return true
		}
	}
	return false
}

// usesStep says whether a pool's rule has such a step.
func (m *Map) usesStep(op crush.Op) bool {
	for _, p := range m.Pools {
		r := m.Crush.FindRule(int(p.CrushRule), int(p.Type), int(p.Size))
		if r < 0 {
			continue
		}
		for _, s := range m.Crush.Rule(r).Steps {
			if s.Op == op {
				return true
			}
		}
	}
	return false
}

// affects says whether any OSD has another affinity than the default.
func (m *Map) affects() bool {
	return slices.ContainsFunc(m.PrimaryAffinity, func(a uint32) bool { return a != WeightIn })
}

func (m *Map) tiered() bool {
	for _, p := range m.Pools {
		if len(p.Tiers) > 0 || p.TierOf >= 0 {
			return true
		}
	}
	return false
}

func (m *Map) hashesPools() bool {
	for _, p := range m.Pools {
		if p.Flags.Has(PoolHashPSPool) {
			return true
		}
	}
	return false
}
