package pgstat

import (
	"fmt"
	"maps"
	"slices"

	"glue/cluster/osdmap"
	"glue/internal/cephjson"
	"glue/internal/texttable"
)

// A PoolUse is how much of the disks a pool uses and can use.
type PoolUse struct {
	Name                       string
	ID                         int64
	PGs                        uint32
	Stored, StoredData         uint64 // by users, without replication
	StoredOmap                 uint64
	Objects                    int64
	Used, UsedData, UsedOmap   uint64 // on disks
	PercentUsed                float32
	MaxAvail, StoredRaw        float32
	AvailRaw                   uint64
	Pool                       *osdmap.Pool
	Sum                        *Sum
	CompressedUsed, UnderCompr int64
}

// PoolUses lists the pools' use.
func (d *Digest) PoolUses(m *osdmap.Map) []PoolUse {
	var out []PoolUse
	for _, id := range m.PoolIDs() {
		if _, ok := d.Pools[id]; ok && id >= 0 {
			out = append(out, d.poolUse(m, id))
		}
	}
	return out
}

func (d *Digest) poolUse(m *osdmap.Map, id int64) PoolUse {
	pool, stat := m.Pools[id], d.Pools[id]
	s, store := &stat.Stats.Sum, &stat.Store
	rate := RawUsedRate(m, pool)
	if s.ObjectCopies > 0 {
		rate *= float32(s.ObjectCopies-s.ObjectsDegraded) / float32(s.ObjectCopies)
	}
	rule := m.Crush.FindRule(int(pool.CrushRule), int(pool.Type), int(pool.Size))
	u := PoolUse{
		Name: m.PoolName(id), ID: id, PGs: pool.PGNum, Objects: s.Objects, Pool: pool, Sum: s,
		AvailRaw:       uint64(d.RuleAvail(rule)),
		CompressedUsed: store.DataCompressedAllocated, UnderCompr: store.DataCompressedOriginal,
	}
	u.UsedData = uint64(s.Bytes + s.BytesHitSetArchive)
	u.StoredData = u.UsedData
	if d.perPool() {
		u.UsedData, u.StoredData = uint64(store.Allocated), perCopy(store.DataStored, rate)
	}
	u.UsedOmap, u.StoredOmap = uint64(s.OmapBytes), uint64(s.OmapBytes)
	if d.perPoolOmap() {
		u.UsedOmap, u.StoredOmap = uint64(store.OmapAllocated), perCopy(store.OmapAllocated, rate)
	}
	u.Used, u.Stored = u.UsedData+u.UsedOmap, u.StoredData+u.StoredOmap
	switch {
	case u.AvailRaw > 0:
		u.PercentUsed = float32(u.Used) / (float32(u.Used) + float32(u.AvailRaw))
	case u.Used > 0:
		u.PercentUsed = 1
	}
	if rate != 0 {
		u.MaxAvail = float32(u.AvailRaw) / rate
	}
	u.StoredRaw = float32(u.Stored) * rate
	return u
}

func perCopy(bytes int64, rate float32) uint64 {
	if rate == 0 {
		return 0
	}
	return uint64(float32(bytes) / rate)
}

// DF is `ceph df -f json`, with more fields for `ceph df detail`.
func (d *Digest) DF(m *osdmap.Map, detail bool) cephjson.Object {
	pools := []any{}
	for _, u := range d.PoolUses(m) {
		pools = append(pools, struct {
			Name  string          `json:"name"`
			ID    int64           `json:"id"`
			Stats cephjson.Object `json:"stats"`
		}{u.Name, u.ID, u.dump(detail)})
	}
	classes := cephjson.Object{}
	for _, class := range slices.Sorted(maps.Keys(d.OSDSumByClass)) {
		s := d.OSDSumByClass[class]
		classes = append(classes, cephjson.Member{Key: class, Value: spaceDump(&s.Statfs)})
	}
	total := append(spaceDump(&d.OSDSum.Statfs), cephjson.Object{
		{Key: "num_osds", Value: d.OSDSum.NumOSDs},
		{Key: "num_per_pool_osds", Value: d.OSDSum.NumPerPoolOSDs},
		{Key: "num_per_pool_omap_osds", Value: d.OSDSum.NumPerPoolOmapOSDs},
	}...)
	return cephjson.Object{
		{Key: "stats", Value: total}, {Key: "stats_by_class", Value: classes},
		{Key: "pools", Value: pools},
	}
}

func spaceDump(f *Statfs) cephjson.Object {
	return cephjson.Object{
		{Key: "total_bytes", Value: f.Total}, {Key: "total_avail_bytes", Value: f.Available},
		{Key: "total_used_bytes", Value: f.Used()},
		{Key: "total_used_raw_bytes", Value: f.UsedRaw()},
		{Key: "total_used_raw_ratio", Value: cephjson.Float(f.UsedRawRatio())},
	}
}

func (u *PoolUse) dump(detail bool) cephjson.Object {
	var o members
	more := func(key string, value any) {
		if detail {
			o.put(key, value)
		}
	}
	o.put("stored", u.Stored)
	more("stored_data", u.StoredData)
	more("stored_omap", u.StoredOmap)
	o.put("objects", u.Objects)
	o.put("kb_used", (u.Used+1023)>>10)
	o.put("bytes_used", u.Used)
	more("data_bytes_used", u.UsedData)
	more("omap_bytes_used", u.UsedOmap)
	o.put("percent_used", cephjson.Float(u.PercentUsed))
	o.put("max_avail", uint64(u.MaxAvail))
	more("quota_objects", u.Pool.QuotaMaxObjects)
	more("quota_bytes", u.Pool.QuotaMaxBytes)
	dirty := int64(0)
	if u.Pool.TierOf >= 0 {
		dirty = u.Sum.ObjectsDirty
	}
	more("dirty", dirty)
	more("rd", u.Sum.Reads)
	more("rd_bytes", u.Sum.ReadKB<<10)
	more("wr", u.Sum.Writes)
	more("wr_bytes", u.Sum.WriteKB<<10)
	more("compress_bytes_used", u.CompressedUsed)
	more("compress_under_bytes", u.UnderCompr)
	more("stored_raw", int64(u.StoredRaw))
	more("avail_raw", u.AvailRaw)
	return cephjson.Object(o)
}

func left(h string) texttable.Column { return texttable.Column{Heading: h} }

// right has its heading at the right too.
func right(h string) texttable.Column {
	return texttable.Column{Heading: h, HeadingSide: texttable.Right, CellSide: texttable.Right}
}

// number has its heading at the left and its cells at the right.
func number(h string) texttable.Column {
	return texttable.Column{Heading: h, CellSide: texttable.Right}
}

func columns(kind func(string) texttable.Column, headings ...string) []texttable.Column {
	out := make([]texttable.Column, len(headings))
	for i, h := range headings {
		out[i] = kind(h)
	}
	return out
}

// DFText is `ceph df` and `ceph df detail`.
func (d *Digest) DFText(m *osdmap.Map, detail bool) string {
	raw := texttable.New(append([]texttable.Column{left("CLASS")},
		columns(right, "SIZE", "AVAIL", "USED", "RAW USED", "%RAW USED")...)...)
	row := func(name string, f *Statfs) {
		raw.Row(name, FormatBytes(f.Total), FormatBytes(f.Available), FormatBytes(f.Used()),
			FormatBytes(f.UsedRaw()), percent(float32(float64(f.UsedRawRatio())*100)))
	}
	for _, class := range slices.Sorted(maps.Keys(d.OSDSumByClass)) {
		s := d.OSDSumByClass[class]
		row(class, &s.Statfs)
	}
	row("TOTAL", &d.OSDSum.Statfs)
	pools := texttable.New(poolColumns(detail)...)
	for _, u := range d.PoolUses(m) {
		pools.Row(u.row(detail)...)
	}
	return fmt.Sprintf("--- RAW STORAGE ---\n%v \n--- POOLS ---\n%v", raw, pools)
}

func poolColumns(detail bool) []texttable.Column {
	c := append([]texttable.Column{left("POOL")}, columns(right, "ID", "PGS", "STORED")...)
	split := columns(right, "(DATA)", "(OMAP)")
	if detail {
		c = append(c, split...)
	}
	c = append(c, columns(right, "OBJECTS", "USED")...)
	if detail {
		c = append(c, split...)
	}
	c = append(c, columns(right, "%USED", "MAX AVAIL")...)
	if detail {
		c = append(c, columns(right, "QUOTA OBJECTS", "QUOTA BYTES", "DIRTY", "USED COMPR",
			"UNDER COMPR")...)
	}
	return c
}

func (u *PoolUse) row(detail bool) []any {
	r := []any{u.Name, u.ID, u.PGs, FormatBytes(u.Stored)}
	if detail {
		r = append(r, FormatBytes(u.StoredData), FormatBytes(u.StoredOmap))
	}
	r = append(r, FormatCount(uint64(u.Objects)), FormatBytes(u.Used))
	if detail {
		r = append(r, FormatBytes(u.UsedData), FormatBytes(u.UsedOmap))
	}
	r = append(r, percent(u.PercentUsed*100), FormatBytes(uint64(u.MaxAvail)))
	if !detail {
		return r
	}
	objects, bytes, dirty := "N/A", "N/A", "N/A"
	if q := u.Pool.QuotaMaxObjects; q != 0 {
		objects = FormatCount(q)
	}
	if q := u.Pool.QuotaMaxBytes; q != 0 {
		bytes = FormatBytes(q)
	}
	if u.Pool.TierOf >= 0 {
		dirty = FormatCount(uint64(u.Sum.ObjectsDirty))
	}
	return append(r, objects, bytes, dirty, FormatBytes(uint64(u.CompressedUsed)),
		FormatBytes(uint64(u.UnderCompr)))
}
