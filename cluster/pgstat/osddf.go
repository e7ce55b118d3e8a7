package pgstat

import (
	"fmt"
	"math"
	"strings"

	"glue/cluster/crush"
	"glue/cluster/osdmap"
	"glue/internal/cephjson"
	"glue/internal/texttable"
)

// OSDDF is what `ceph osd df` shows (OSDUtilizationDumper).
type OSDDF struct {
	Rows, Stray    []OSDUse
	Total          OSD     // of the OSDs that are shown
	Average        float64 // utilization in percent
	MinVar, MaxVar float64 // -1 when there is none
	Dev            float64 // standard deviation of the utilization
	m              *osdmap.Map
	tree           bool
}

// OSDUse is one row.
type OSDUse struct {
	Node                 crush.Node
	Reweight             float32 // -1 for buckets
	KB, Used, Data, Omap int64   // in KiB, as the next two
	Meta, Avail          int64
	Utilization, Var     float64
	PGs                  int32
}

// space is a row's figures in KiB.
type space struct{ kb, used, data, omap, meta, avail int64 }

func (s *space) add(o space) {
	s.kb += o.kb
	s.used += o.used
	s.data += o.data
	s.omap += o.omap
	s.meta += o.meta
	s.avail += o.avail
}

// A dfFilter chooses what `ceph osd df` shows: the items below a CRUSH node or a pool's rule, or
// the OSDs of a class.
type dfFilter struct {
	items map[int32]bool // nil for all
	class string
}

func newDFFilter(m *osdmap.Map, name string) dfFilter {
	c := m.Crush
	below := func(roots ...int32) dfFilter {
		f := dfFilter{items: map[int32]bool{}}
		for _, r := range roots {
			for _, n := range c.Tree(crush.TreeOptions{Shadow: true, Root: c.Names[r]}) {
				f.items[n.ID] = true
			}
		}
		return f
	}
	if id, ok := c.ItemID(name); ok {
		return below(id)
	}
	if _, ok := c.ClassID(name); ok {
		return dfFilter{class: name}
	}
	id, ok := m.PoolByName(name)
	if !ok {
		return dfFilter{}
	}
	var roots []int32
	if rule := c.Rule(int(m.Pools[id].CrushRule)); rule != nil {
		for _, s := range rule.Steps {
			if s.Op == crush.OpTake {
				roots = append(roots, s.Arg1)
			}
		}
	}
	return below(roots...)
}

func (f *dfFilter) shows(m *osdmap.Map, id int32) bool {
	if f.items != nil && !f.items[id] {
		return false
	}
	return id < 0 || f.class == "" || m.Crush.ItemClass(id) == f.class
}

// NewOSDDF computes the rows; tree has buckets too; filter is the name of a CRUSH node, a device
// class or a pool, or empty.
func (p *PGMap) NewOSDDF(m *osdmap.Map, tree bool, filter string) *OSDDF {
	p.Refresh(m)
	d := &OSDDF{m: m, tree: tree, MinVar: -1, MaxVar: -1}
	f := newDFFilter(m, filter)
	d.Average = p.averageUse(m, &f)
	shown := map[int32]bool{}
	var weighted, weights float64
	row := func(list *[]OSDUse, n crush.Node) {
		if !tree && (n.ID < 0 || shown[n.ID]) || !f.shows(m, n.ID) {
			return
		}
		u := p.osdUse(m, &f, n, d.Average)
		*list = append(*list, u)
		if n.ID < 0 {
			return
		}
		shown[n.ID] = true
		if u.Reweight > 0 {
			d.noteVar(u.Var)
			dev := u.Utilization - d.Average
			weighted += float64(u.Reweight) * dev * dev
			weights += float64(u.Reweight)
		}
	}
	nodes, stray := m.TreeNodes(0, "")
	for _, n := range nodes {
		row(&d.Rows, n)
	}
	for _, n := range stray {
		row(&d.Stray, n)
	}
	if weights > 0 {
		d.Dev = math.Sqrt(weighted / weights)
	}
	all := f.items == nil && f.class == ""
	for osd, s := range p.OSDs {
		if all || shown[osd] {
			d.Total.Add(s)
		}
	}
	return d
}

func (d *OSDDF) noteVar(v float64) {
	if d.MinVar < 0 || v < d.MinVar {
		d.MinVar = v
	}
	if d.MaxVar < 0 || v > d.MaxVar {
		d.MaxVar = v
	}
}

func (p *PGMap) osdUse(m *osdmap.Map, f *dfFilter, n crush.Node, average float64) OSDUse {
	u := OSDUse{Node: n, Reweight: -1, Var: 1}
	if n.ID >= 0 {
		if m.Exists(n.ID) {
			u.Reweight = float32(m.Weight[n.ID]) / osdmap.WeightIn
		} else {
			u.Reweight = 0
		}
		c := p.ByOSD[n.ID]
		u.PGs = c.Acting + c.UpNotActing
	}
	if s, ok := p.spaceBelow(m, f, n.ID, 0); ok {
		u.KB, u.Used, u.Data, u.Omap, u.Meta, u.Avail =
			s.kb, s.used, s.data, s.omap, s.meta, s.avail
		if s.used != 0 && s.kb != 0 {
			u.Utilization = 100 * float64(s.used) / float64(s.kb)
		}
	}
	if average != 0 {
		u.Var = u.Utilization / average
	}
	return u
}

func (p *PGMap) osdSpace(osd int32) (space, bool) {
	s := p.OSDs[osd]
	if s == nil {
		return space{}, false
	}
	f := &s.Statfs
	return space{int64(f.Total >> 10), int64(f.UsedRaw() >> 10), f.Allocated >> 10,
		f.OmapAllocated >> 10, f.InternalMetadata >> 10, int64(f.Available >> 10)}, true
}

// maxDepth bounds the walk of a tree that may have been made by anyone.
const maxDepth = 64

// spaceBelow sums up the OSDs at and below an item; ok is false when one of them has no figures.
func (p *PGMap) spaceBelow(m *osdmap.Map, f *dfFilter, id int32, depth int) (sum space, ok bool) {
	if id >= 0 {
		if m.IsOut(id) || !f.shows(m, id) {
			return space{}, true
		}
		return p.osdSpace(id)
	}
	b := m.Crush.Bucket(id)
	if b == nil || depth > maxDepth {
		return space{}, true
	}
	for _, item := range b.Items {
		s, ok := p.spaceBelow(m, f, item, depth+1)
		if !ok {
			return space{}, false
		}
		sum.add(s)
	}
	return sum, true
}

func (p *PGMap) averageUse(m *osdmap.Map, f *dfFilter) float64 {
	var sum space
	for _, osd := range m.OSDs() {
		if s, ok := p.osdSpace(osd); ok && m.IsIn(osd) && f.shows(m, osd) {
			sum.add(s)
		}
	}
	if sum.kb == 0 {
		return 0
	}
	return 100 * float64(sum.used) / float64(sum.kb)
}

// osdUseDump is a row's fields after those of the CRUSH tree.
type osdUseDump struct {
	Reweight    cephjson.Float `json:"reweight"`
	KB          int64          `json:"kb"`
	Used        int64          `json:"kb_used"`
	Data        int64          `json:"kb_used_data"`
	Omap        int64          `json:"kb_used_omap"`
	Meta        int64          `json:"kb_used_meta"`
	Avail       int64          `json:"kb_avail"`
	Utilization cephjson.Float `json:"utilization"`
	Var         cephjson.Float `json:"var"`
	PGs         int32          `json:"pgs"`
	Status      string         `json:"status,omitempty"`
}

func (d *OSDDF) dumpRows(rows []OSDUse) []any {
	out := []any{}
	for _, u := range rows {
		item := d.m.Crush.TreeItem(u.Node, d.m.PoolNames)
		r := osdUseDump{cephjson.Float(u.Reweight), u.KB, u.Used, u.Data, u.Omap, u.Meta, u.Avail,
			cephjson.Float(u.Utilization), cephjson.Float(u.Var), u.PGs, ""}
		if u.Node.ID >= 0 {
			r.Status = d.m.Status(u.Node.ID)
		}
		out = append(out, struct {
			crush.TreeItem
			osdUseDump
			Children []int32 `json:"children,omitzero"` // last, instead of the item's
		}{item, r, item.Children})
	}
	return out
}

// Dump is `ceph osd df -f json`.
func (d *OSDDF) Dump() cephjson.Object {
	f := &d.Total.Statfs
	return cephjson.Object{
		{Key: "nodes", Value: d.dumpRows(d.Rows)}, {Key: "stray", Value: d.dumpRows(d.Stray)},
		{Key: "summary", Value: cephjson.Object{
			{Key: "total_kb", Value: f.Total >> 10},
			{Key: "total_kb_used", Value: f.UsedRaw() >> 10},
			{Key: "total_kb_used_data", Value: f.Allocated >> 10},
			{Key: "total_kb_used_omap", Value: f.OmapAllocated >> 10},
			{Key: "total_kb_used_meta", Value: f.InternalMetadata >> 10},
			{Key: "total_kb_avail", Value: f.Available >> 10},
			{Key: "average_utilization", Value: cephjson.Float(d.Average)},
			{Key: "min_var", Value: cephjson.Float(d.MinVar)},
			{Key: "max_var", Value: cephjson.Float(d.MaxVar)},
			{Key: "dev", Value: cephjson.Float(d.Dev)},
		}},
	}
}

// low prints with two decimals.
func low(v float64) string {
	switch f := float32(v); {
	case f < -0.01:
		return "-"
	case f < 0.001:
		return "0"
	default:
		return fmt.Sprintf("%.2f", f)
	}
}

// Text is `ceph osd df`.
func (d *OSDDF) Text() string {
	c := columns(number, "ID", "CLASS", "WEIGHT", "REWEIGHT", "SIZE", "RAW USE", "DATA", "OMAP",
		"META", "AVAIL", "%USE", "VAR", "PGS", "STATUS")
	if d.tree {
		c = append(c, left("TYPE NAME"))
	}
	t := texttable.New(c...)
	for _, list := range [][]OSDUse{d.Rows, d.Stray} {
		for _, u := range list {
			t.Row(d.textRow(&u)...)
		}
	}
	f := &d.Total.Statfs
	t.Row("", "", "", "TOTAL", FormatBytes(f.Total), FormatBytes(f.UsedRaw()),
		FormatBytes(uint64(f.Allocated)), FormatBytes(uint64(f.OmapAllocated)),
		FormatBytes(uint64(f.InternalMetadata)), FormatBytes(f.Available), low(d.Average), "")
	return fmt.Sprintf("%vMIN/MAX VAR: %s/%s  STDDEV: %s\n", t, low(d.MinVar), low(d.MaxVar),
		low(d.Dev))
}

func (d *OSDDF) textRow(u *OSDUse) []any {
	kb := func(n int64) string { return FormatBytes(uint64(n) << 10) }
	id := u.Node.ID
	row := []any{id, d.m.Crush.ItemClass(id), osdmap.WeightText(u.Node.Weight),
		osdmap.WeightText(u.Reweight), kb(u.KB), kb(u.Used), kb(u.Data), kb(u.Omap), kb(u.Meta),
		kb(u.Avail), low(u.Utilization), low(u.Var)}
	name := fmt.Sprintf("osd.%d", id)
	if b := d.m.Crush.Bucket(id); b != nil {
		row = append(row, "-", "")
		name = d.m.Crush.Types[int32(b.Type)] + " " + d.m.Crush.Names[id]
	} else {
		row = append(row, u.PGs, d.m.Status(id))
	}
	if d.tree {
		row = append(row, strings.Repeat("    ", u.Node.Depth)+name)
	}
	return row
}
