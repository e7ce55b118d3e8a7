package osdmap

import (
	"fmt"
	"strings"

	"glue/cluster/crush"
	"glue/internal/cephjson"
	"glue/internal/texttable"
)

// A TreeFilter chooses the OSDs that `ceph osd tree` shows; none of them means all.
type TreeFilter uint8

// The filters; an OSD is shown if one of them fits.
const (
	TreeUp TreeFilter = 1 << iota
	TreeDown
	TreeIn
	TreeOut
	TreeDestroyed
)

// ParseTreeFilter reads the words that `osd tree` takes; ok is false for another word.
func ParseTreeFilter(words []string) (f TreeFilter, ok bool) {
	names := []string{"up", "down", "in", "out", "destroyed"}
	for _, w := range words {
		bit := TreeFilter(0)
		for i, name := range names {
			if w == name {
				bit = 1 << i
			}
		}
		if bit == 0 {
			return 0, false
		}
		f |= bit
	}
	return f, true
}

func (m *Map) fits(osd int32, f TreeFilter) bool {
	return f == 0 || f&TreeUp != 0 && m.IsUp(osd) || f&TreeDown != 0 && m.IsDown(osd) ||
		f&TreeIn != 0 && m.IsIn(osd) || f&TreeOut != 0 && m.IsOut(osd) ||
		f&TreeDestroyed != 0 && m.IsDestroyed(osd)
}

// A TreeItem is one row of `ceph osd tree -f json`; the fields after the first are only in rows
// of OSDs.
type TreeItem struct {
	crush.TreeItem
	Exists          *int            `json:"exists,omitempty"`
	Status          string          `json:"status,omitempty"`
	Reweight        *cephjson.Float `json:"reweight,omitempty"`
	PrimaryAffinity *cephjson.Float `json:"primary_affinity,omitempty"`
}

// A TreeDump is `ceph osd tree -f json`. Stray is nil, and left out, when there is a root.
type TreeDump struct {
	Nodes []TreeItem `json:"nodes"`
	Stray []TreeItem `json:"stray,omitzero"`
}

// TreeNodes are the rows of the CRUSH tree below a bucket, or of all of it for "", and the OSDs
// that are not in it.
func (m *Map) TreeNodes(f TreeFilter, root string) (nodes, stray []crush.Node) {
	nodes = m.Crush.Tree(crush.TreeOptions{
		Root: root, SkipEmpty: f != 0, Leaf: func(osd int32) bool { return m.fits(osd, f) },
	})
	seen := make(map[int32]bool, len(nodes))
	for _, n := range nodes {
		seen[n.ID] = true
	}
	if root != "" {
		return nodes, nil
	}
	for _, osd := range m.OSDs() {
		if !seen[osd] && m.fits(osd, f) {
			stray = append(stray, crush.Node{ID: osd})
		}
	}
	return nodes, stray
}

// TreeDump is `ceph osd tree -f json`.
func (m *Map) TreeDump(f TreeFilter, root string) TreeDump {
	nodes, stray := m.TreeNodes(f, root)
	d := TreeDump{Nodes: m.treeItems(nodes)}
	if root == "" {
		d.Stray = m.treeItems(stray)
	}
	return d
}

func (m *Map) treeItems(nodes []crush.Node) []TreeItem {
	out := []TreeItem{}
	for _, n := range nodes {
		it := TreeItem{TreeItem: m.Crush.TreeItem(n, m.PoolNames)}
		if n.ID >= 0 {
			exists := btoi(m.Exists(n.ID))
			weight := cephjson.Float(weightf(m.weightOf(n.ID)))
			affinity := cephjson.Float(weightf(m.Affinity(n.ID)))
			it.Exists, it.Status = &exists, m.Status(n.ID)
			it.Reweight, it.PrimaryAffinity = &weight, &affinity
		}
		out = append(out, it)
	}
	return out
}

func (m *Map) weightOf(osd int32) uint32 {
	if osd < 0 || osd >= m.MaxOSD {
		return 0
	}
	return m.Weight[osd]
}

// Status is up, down or destroyed.
func (m *Map) Status(osd int32) string {
	switch {
	case m.IsUp(osd):
		return "up"
	case m.IsDestroyed(osd):
		return "destroyed"
	}
	return "down"
}

// TreeText is `ceph osd tree`.
func (m *Map) TreeText(f TreeFilter, root string) string {
	right := func(h string) texttable.Column {
		return texttable.Column{Heading: h, CellSide: texttable.Right}
	}
	t := texttable.New(right("ID"), right("CLASS"), right("WEIGHT"),
		texttable.Column{Heading: "TYPE NAME"}, right("STATUS"), right("REWEIGHT"),
		right("PRI-AFF"))
	nodes, stray := m.TreeNodes(f, root)
	for _, n := range append(nodes, stray...) {
		row := []any{n.ID, m.Crush.ItemClass(n.ID), WeightText(n.Weight),
			strings.Repeat("    ", n.Depth) + m.nodeName(n.ID)}
		switch {
		case n.ID < 0:
		case !m.Exists(n.ID):
			row = append(row, "DNE", 0)
		default:
			row = append(row, m.Status(n.ID), WeightText(weightf(m.Weight[n.ID])),
				WeightText(weightf(m.Affinity(n.ID))))
		}
		t.Row(row...)
	}
	return t.String()
}

func (m *Map) nodeName(id int32) string {
	if b := m.Crush.Bucket(id); b != nil {
		return m.Crush.Types[int32(b.Type)] + " " + m.Crush.Names[id]
	}
	return fmt.Sprintf("osd.%d", id)
}

// WeightText is a weight with five decimals, as tables show it.
func WeightText(w float32) string {
	switch {
	case w < -0.01:
		return "-"
	case w < 0.000001:
		return "0"
	}
	return fmt.Sprintf("%.5f", w)
}
