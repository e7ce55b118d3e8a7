package osdmap

import (
	"slices"

	"glue/ceph"
	"glue/cluster/crush"
)

// RawAndUpmapped is where CRUSH puts a PG, and where upmaps then put it, whoever is up. Neither is
// to be changed.
func (m *Map) RawAndUpmapped(pg ceph.PGID) (raw, placed []int32) {
	p := m.Pools[pg.Pool]
	if p == nil {
		return nil, nil
	}
	raw, _ = m.rawOSDs(p, pg)
	return raw, m.applyUpmap(pg, slices.Clone(raw))
}

// UpmapItems are items that place a PG on the OSDs of want instead of raw, place by place; false
// if there are none that do.
func (m *Map) UpmapItems(raw, want []int32) ([]Remap, bool) {
	var items []Remap
	for i := range raw {
		if raw[i] != want[i] {
			items = append(items, Remap{raw[i], want[i]})
		}
	}
	// One that frees an OSD has to come before the one that takes it.
	for range items {
		if got := m.remap(slices.Clone(raw), items); slices.Equal(got, want) {
			return items, true
		}
		items = append(items[1:], items[0])
	}
	return items, len(items) == 0
}

// MayPlace says whether OSDs are all in, get data by the rule of a pool, and are where the rule
// might put them: in as many different buckets of each kind that it chooses as in was.
func (m *Map) MayPlace(p *Pool, was, osds []int32) bool {
	rule := m.Crush.FindRule(int(p.CrushRule), int(p.Type), int(p.Size))
	if rule < 0 || !m.obeysRule(rule, int(p.Size), osds) {
		return false
	}
	for _, s := range m.Crush.Rule(rule).Steps {
		switch s.Op {
		case crush.OpChooseFirstN, crush.OpChooseIndep, crush.OpChooseLeafFirstN,
			crush.OpChooseLeafIndep:
			if !slices.Equal(m.shape(rule, s.Arg2, was), m.shape(rule, s.Arg2, osds)) {
				return false
			}
		}
	}
	return true
}

// shape is how many of the OSDs are in each bucket of a type, ascending.
func (m *Map) shape(rule int, typ int32, osds []int32) []int {
	n := map[int32]int{}
	for _, o := range osds {
		if typ == 0 {
			n[o]++
		} else if parent, ok := m.Crush.ParentOfType(o, typ, rule); ok {
			n[parent]++
		}
	}
	var out []int
	for _, c := range n {
		out = append(out, c)
	}
	slices.Sort(out)
	return out
}
