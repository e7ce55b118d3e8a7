package crush

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"glue/internal/cephjson"
	"glue/internal/texttable"
)

// maxRows bounds a tree walk: with linked buckets a small map can have endless many paths.
const maxRows = 1 << 20

// A Node is one row of a tree walk.
type Node struct {
	ID     int32
	Parent int32 // 0 for a root
	Depth  int
	Weight float32 // as its parent holds it; a root's own
	// Children are the rows directly below, the last first, as stock lists them.
	Children []int32
}

// TreeOptions choose the rows of Tree.
type TreeOptions struct {
	Shadow    bool             // shadow trees too
	Root      string           // only at and below this item
	Leaf      func(int32) bool // which devices; nil: all
	SkipEmpty bool             // leave out buckets with no chosen device below
}

// Tree is the depth-first walk behind `osd tree`, `osd crush tree` and `osd df tree`
// (CrushTreeDumper): roots ascending by id, below each the devices by class and number and the
// buckets by name.
func (m *Map) Tree(o TreeOptions) []Node {
	t := treeWalk{m: m, o: o, shown: map[int32]bool{}}
	roots := m.Roots(o.Shadow)
	if o.Root != "" {
		roots = nil
		if id, ok := m.ids[o.Root]; ok {
			roots = []int32{id}
		}
	}
	for _, id := range roots {
		if !t.show(id) {
			continue
		}
		weight := float32(0)
		if b := m.Bucket(id); b != nil {
			weight = toFloat(b.Weight)
		}
		t.visit(Node{ID: id, Weight: weight})
	}
	return t.rows
}

// toFloat is a 16.16 weight as a float, with stock's precision.
func toFloat(w uint32) float32 { return float32(w) / 0x10000 }

type treeWalk struct {
	m     *Map
	o     TreeOptions
	shown map[int32]bool // buckets: whether something chosen is below
	rows  []Node
}

// show says whether an item gets a row.
func (t *treeWalk) show(id int32) bool {
	if id >= 0 {
		return t.o.Leaf == nil || t.o.Leaf(id)
	}
	if !t.o.SkipEmpty {
		return true
	}
	if v, ok := t.shown[id]; ok {
		return v
	}
	b := t.m.Bucket(id)
	v := b != nil && slices.ContainsFunc(b.Items, t.show)
	t.shown[id] = v
	return v
}

// visit adds a row and those below it.
func (t *treeWalk) visit(n Node) {
	if len(t.rows) >= maxRows {
		return
	}
	at := len(t.rows)
	t.rows = append(t.rows, n)
	b := t.m.Bucket(n.ID)
	if b == nil {
		return
	}
	type child struct {
		key string
		pos int
	}
	kids := make([]child, 0, len(b.Items))
	for i, id := range b.Items {
		if t.show(id) {
			kids = append(kids, child{t.sortKey(id), i})
		}
	}
	slices.SortStableFunc(kids, func(a, b child) int { return strings.Compare(a.key, b.key) })
	kids = slices.CompactFunc(kids, func(a, b child) bool { return a.key == b.key })
	for _, k := range slices.Backward(kids) {
		t.rows[at].Children = append(t.rows[at].Children, b.Items[k.pos])
	}
	for _, k := range kids {
		t.visit(Node{
			ID: b.Items[k.pos], Parent: n.ID, Depth: n.Depth + 1,
			Weight: toFloat(b.ItemWeight(k.pos)),
		})
	}
}

// sortKey orders the rows below a bucket.
func (t *treeWalk) sortKey(id int32) string {
	if id >= 0 {
		return fmt.Sprintf("%s_osd.%08d", t.m.ItemClass(id), id)
	}
	return "_" + t.m.itemName(id)
}

// A TreeItem is one row as the JSON of `osd crush tree` and, with more after it, of `osd tree`
// has it.
type TreeItem struct {
	ID          int32           `json:"id"`
	Class       string          `json:"device_class,omitempty"`
	Name        string          `json:"name"`
	Type        string          `json:"type"`
	TypeID      int32           `json:"type_id"`
	CrushWeight *cephjson.Float `json:"crush_weight,omitempty"` // of devices
	Depth       *int            `json:"depth,omitempty"`        // of devices
	PoolWeights cephjson.Object `json:"pool_weights,omitzero"`  // set -> weights; nil for roots
	Children    []int32         `json:"children,omitzero"`      // nil for devices
}

// TreeItem is a row's JSON form; setNames name the choose_args by pool.
func (m *Map) TreeItem(n Node, setNames map[int64]string) TreeItem {
	it := TreeItem{ID: n.ID, Class: m.ItemClass(n.ID)}
	if b := m.Bucket(n.ID); b != nil {
		it.Name, it.TypeID = m.itemName(n.ID), int32(b.Type)
		it.Children = append([]int32{}, n.Children...)
	} else {
		weight, depth := cephjson.Float(n.Weight), n.Depth
		it.Name = fmt.Sprintf("osd.%d", n.ID)
		it.CrushWeight, it.Depth = &weight, &depth
	}
	it.Type = m.typeName(it.TypeID)
	if n.Parent < 0 {
		it.PoolWeights = cephjson.Object{}
		for _, key := range slices.Sorted(maps.Keys(m.ChooseArgs)) {
			if w := m.argWeights(m.ChooseArgs[key], n.Parent, n.ID); w != nil {
				member := cephjson.Member{Key: SetName(key, setNames), Value: w}
				it.PoolWeights = append(it.PoolWeights, member)
			}
		}
	}
	return it
}

// SetName is how a set of choose_args is called in listings.
func SetName(key int64, setNames map[int64]string) string {
	if key == DefaultArgs {
		return "(compat)"
	}
	if name, ok := setNames[key]; ok {
		return name
	}
	return fmt.Sprint(key)
}

// argWeights are an item's weights in its parent's sets, or nil.
func (m *Map) argWeights(args map[int32]*ChooseArg, parent, id int32) []cephjson.Float {
	a, b := args[parent], m.Bucket(parent)
	if a == nil || b == nil {
		return nil
	}
	pos := slices.Index(b.Items, id)
	var out []cephjson.Float
	for _, set := range a.WeightSets {
		if pos >= 0 && pos < len(set) {
			out = append(out, cephjson.Float(toFloat(set[pos])))
		}
	}
	return out
}

// TreeDump is the JSON of `osd crush tree`.
type TreeDump struct {
	Nodes []TreeItem `json:"nodes"`
	Stray []TreeItem `json:"stray"`
}

// TreeDump lists the tree and the named devices that are not in it.
func (m *Map) TreeDump(shadow bool, setNames map[int64]string) TreeDump {
	d := TreeDump{Nodes: []TreeItem{}, Stray: []TreeItem{}}
	seen := map[int32]bool{}
	for _, n := range m.Tree(TreeOptions{Shadow: shadow}) {
		d.Nodes = append(d.Nodes, m.TreeItem(n, setNames))
		seen[n.ID] = true
	}
	for id := range m.MaxDevices {
		if _, ok := m.Names[id]; ok && !seen[id] {
			d.Stray = append(d.Stray, m.TreeItem(Node{ID: id}, setNames))
		}
	}
	return d
}

// weightText is a weight as stock's tables print it.
func weightText(w float32) string {
	switch {
	case w < -0.01:
		return "-"
	case w < 0.000001:
		return "0"
	}
	return fmt.Sprintf("%.5f", w)
}

// TreeTable is the text of `osd crush tree`; setNames name the choose_args by pool.
func (m *Map) TreeTable(shadow bool, setNames map[int64]string) string {
	number := func(name string) texttable.Column {
		return texttable.Column{Heading: name, CellSide: texttable.Right}
	}
	sets := slices.Sorted(maps.Keys(m.ChooseArgs))
	columns := []texttable.Column{number("ID"), number("CLASS"), number("WEIGHT")}
	for _, key := range sets {
		columns = append(columns, number(SetName(key, setNames)))
	}
	table := texttable.New(append(columns, texttable.Column{Heading: "TYPE NAME"})...)
	for _, n := range m.Tree(TreeOptions{Shadow: shadow}) {
		cells := []any{n.ID, m.ItemClass(n.ID), weightText(n.Weight)}
		for _, key := range sets {
			cell := ""
			if w := m.argWeights(m.ChooseArgs[key], n.Parent, n.ID); len(w) > 0 {
				cell = weightText(float32(w[0]))
			}
			cells = append(cells, cell)
		}
		name := fmt.Sprintf("osd.%d", n.ID)
		if b := m.Bucket(n.ID); b != nil {
			name = m.typeName(int32(b.Type)) + " " + m.itemName(n.ID)
		}
		table.Row(append(cells, strings.Repeat("    ", n.Depth)+name)...)
	}
	return table.String()
}
