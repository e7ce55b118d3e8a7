package osdmap

import (
	"maps"
	"slices"

	"glue/ceph"
	"glue/cluster/crush"
)

// Clean completes an incremental that is about to be committed: it removes the temporary acting
// sets that its result has no use for, and the upmaps that are void there or would break the
// pool's rule (OSDMap::clean_temps, clean_pg_upmaps).
func (m *Map) Clean(inc *Incremental) error {
	next, err := m.apply(inc)
	if err != nil {
		return err
	}
	next.cleanTemps(m, inc)
	next.cleanUpmaps(m, inc)
	return nil
}

func set[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

// cleanTemps looks at the temps of the next map.
func (m *Map) cleanTemps(old *Map, inc *Incremental) {
	for pg, osds := range m.PGTemp {
		pool := m.Pools[pg.Pool]
		switch {
		case pool == nil || !slices.ContainsFunc(osds, m.IsUp):
			set(&inc.NewPGTemp, pg, nil)
		case len(osds) > int(pool.Size) || slices.Equal(m.rawUp(pg), osds):
			if _, ok := old.PGTemp[pg]; ok {
				set(&inc.NewPGTemp, pg, nil)
			} else {
				delete(inc.NewPGTemp, pg)
			}
		}
	}
	for pg, osd := range m.PrimaryTemp {
		if m.IsDown(osd) {
			set(&inc.NewPrimaryTemp, pg, -1)
			continue
		}
		with := m.PGMapping(pg).ActingPrimary
		if raw := m.rawUp(pg); with != m.rawPrimary(pg, raw) {
			continue
		}
		if _, ok := old.PrimaryTemp[pg]; ok {
			set(&inc.NewPrimaryTemp, pg, -1)
		} else {
			delete(inc.NewPrimaryTemp, pg)
		}
	}
}

// rawUp is where a PG would be without temps.
func (m *Map) rawUp(pg ceph.PGID) []int32 {
	p := m.Pools[pg.Pool]
	if p == nil {
		return nil
	}
	raw, seed := m.rawOSDs(p, pg)
	up := m.onlyUp(p, m.applyUpmap(pg, raw))
	up, _ = m.applyAffinity(p, seed, up, firstOSD(up))
	return up
}

// rawPrimary is the primary that a PG would have without temps.
func (m *Map) rawPrimary(pg ceph.PGID, up []int32) int32 {
	p := m.Pools[pg.Pool]
	if p == nil {
		return -1
	}
	_, primary := m.applyAffinity(p, p.placementSeed(pg), slices.Clone(up), firstOSD(up))
	return primary
}

// cleanUpmaps looks at the upmaps of the next map.
func (m *Map) cleanUpmaps(old *Map, inc *Incremental) {
	pgs := slices.Concat(slices.Collect(maps.Keys(m.PGUpmap)),
		slices.Collect(maps.Keys(m.PGUpmapItems)))
	slices.SortFunc(pgs, ceph.PGID.Compare)
	weights := map[int]map[int32]float32{}
	for _, pg := range slices.Compact(pgs) {
		items, keep := m.checkUpmap(pg, weights)
		switch {
		case !keep:
			m.cancelUpmap(old, inc, pg)
		case items != nil:
			set(&inc.NewPGUpmapItems, pg, items)
		}
	}
}

// cancelUpmap takes a PG's upmaps out, whether they are there already or only wished for.
func (m *Map) cancelUpmap(old *Map, inc *Incremental, pg ceph.PGID) {
	delete(inc.NewPGUpmap, pg)
	delete(inc.NewPGUpmapItems, pg)
	drop := func(list *[]ceph.PGID) {
		*list = append(*list, pg)
		slices.SortFunc(*list, ceph.PGID.Compare)
		*list = slices.Compact(*list)
	}
	if _, ok := old.PGUpmap[pg]; ok {
		drop(&inc.OldPGUpmap)
	}
	if _, ok := old.PGUpmapItems[pg]; ok {
		drop(&inc.OldPGUpmapItems)
	}
}

// checkUpmap says whether a PG's upmaps are to stay; items is what the items become if some of
// them are void, else nil.
func (m *Map) checkUpmap(pg ceph.PGID, weights map[int]map[int32]float32) (items []Remap,
	keep bool,
) {
	p := m.Pools[pg.Pool]
	if p == nil || pg.Seed >= p.PGNumPending || p.MergePending(pg) {
		return nil, false
	}
	rule := m.Crush.FindRule(int(p.CrushRule), int(p.Type), int(p.Size))
	raw, _ := m.rawOSDs(p, pg)
	up := m.applyUpmap(pg, slices.Clone(raw))
	if rule < 0 || !m.obeysRule(rule, int(p.Size), up) {
		return nil, false
	}
	if weights[rule] == nil {
		weights[rule] = m.Crush.RuleWeights(rule)
	}
	for _, osd := range up {
		w, ok := weights[rule][osd]
		if !ok || weightf(m.weightOf(osd))*w == 0 {
			return nil, false
		}
	}
	if to, ok := m.PGUpmap[pg]; ok && (slices.Equal(to, raw) || len(to) != int(p.Size)) {
		return nil, false
	}
	was, ok := m.PGUpmapItems[pg]
	if !ok {
		return nil, true
	}
	for _, r := range was {
		if slices.Contains(raw, r.From) && !m.marksOut(r.To) {
			items = append(items, r)
		}
	}
	switch {
	case len(items) == 0:
		return nil, false
	case slices.Equal(items, was):
		return nil, true
	}
	return items, true
}

// MergePending says whether a PG is about to be merged with another: it takes no requests.
func (p *Pool) MergePending(pg ceph.PGID) bool {
	return p.PGNumPending < p.PGNum &&
		(pg.Seed >= p.PGNumPending || len(SplitChildren(pg, p.PGNumPending, p.PGNum)) > 0)
}

// obeysRule says whether a mapping could have come from a rule: no two OSDs in one failure domain,
// all below what the rule takes (CrushWrapper::verify_upmap).
func (m *Map) obeysRule(rule, size int, up []int32) bool {
	root, cursor := int32(0), 0
	widths := map[int32]int{}
	for _, s := range m.Crush.Rule(rule).Steps {
		leaf := s.Op == crush.OpChooseLeafFirstN || s.Op == crush.OpChooseLeafIndep
		switch {
		case s.Op == crush.OpTake:
			root = s.Arg1
		case leaf || s.Op == crush.OpChooseFirstN || s.Op == crush.OpChooseIndep:
			n := int(s.Arg1)
			if n <= 0 {
				n += size
			}
			if _, ok := widths[s.Arg2]; !ok {
				widths[s.Arg2] = n
			}
			if s.Arg2 != 0 && !m.apart(rule, s.Arg2, up, leaf, n) {
				return false
			}
		case s.Op == crush.OpEmit:
			total := 1
			for _, n := range widths {
				total *= n
			}
			for c := 0; root < 0 && cursor < len(up) && c < total; c++ {
				if !m.Crush.Contains(root, up[cursor]) {
					return false
				}
				cursor++
			}
			root = 0
			clear(widths)
		}
	}
	return true
}

// apart says whether the OSDs are in different buckets of a type (each) or in at most n of them.
func (m *Map) apart(rule int, typ int32, up []int32, each bool, n int) bool {
	parents := map[int32]map[int32]bool{}
	for _, osd := range up {
		parent, ok := m.Crush.ParentOfType(osd, typ, rule)
		if !ok || parent >= 0 {
			continue
		}
		if parents[parent] == nil {
			parents[parent] = map[int32]bool{}
		}
		parents[parent][osd] = true
		if each && len(parents[parent]) > 1 {
			return false
		}
	}
	return each || len(parents) <= n
}
