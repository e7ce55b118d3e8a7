// Package balancer evens out how PGs lie on OSDs: it finds upmap items that bring every OSD within
// a number of PGs of its share, for each pool and for all pools of a root together, and it scores
// distributions. What it computes depends on its arguments alone; the manager carries it out.
//
// Invariants: a move never puts two copies into one failure domain or onto a device that the rule
// does not use, and each makes the distribution that it is made for more even, so that optimizing
// again and again comes to an end. The aim is that of OSDMap::calc_pg_upmaps, the commands are
// those of Ceph's balancer module.
package balancer

import (
	"cmp"
	"fmt"
	"slices"

	"glue/ceph"
	"glue/cluster/crush"
	"glue/cluster/osdmap"
)

// Options bound a plan.
type Options struct {
	Pools        []int64 // nil is all
	MaxDeviation float64 // PGs by which an OSD may differ from its share
	MaxMoves     int     // copies of PGs to move
}

// A Change is what a PG's upmap items become; without items they are removed.
type Change struct {
	PG    ceph.PGID
	Items []osdmap.Remap
}

// A scope is a set of PGs whose copies are to be spread evenly: a pool, or all pools of a root.
type scope struct {
	pools []int64
	share map[int32]float64 // of all copies, by weight; sums to 1
	count map[int32]float64 // copies by OSD
	total float64
}

func (s *scope) dev(osd int32) float64 { return s.count[osd] - s.share[osd]*s.total }

// worst is the largest deviation of all OSDs that have a share.
func (s *scope) worst() float64 {
	w := 0.0
	for osd := range s.share {
		w = max(w, s.dev(osd), -s.dev(osd))
	}
	return w
}

// A placement is where the copies of a PG are.
type placement struct {
	raw, now []int32
	changed  bool
}

// A search is one optimization under way.
type search struct {
	m      *osdmap.Map
	o      Options
	pgs    map[ceph.PGID]*placement
	by     map[int64][]ceph.PGID // of each pool, ascending
	pools  map[int64]*scope
	roots  map[int64]*scope // of each pool
	scopes []*scope
	tries  int
}

// maxTries bounds the placements that are looked at for one plan.
const maxTries = 2_000_000

// Optimize finds changes that make the distribution more even; none if it is even enough or can't
// be improved.
func Optimize(m *osdmap.Map, o Options) []Change {
	s := newSearch(m, o)
	for moves := 0; moves < o.MaxMoves && s.tries < maxTries; moves++ {
		if !slices.ContainsFunc(s.scopes, s.improve) {
			break
		}
	}
	return s.changes()
}

func newSearch(m *osdmap.Map, o Options) *search {
	s := &search{m: m, o: o, pgs: map[ceph.PGID]*placement{}, by: map[int64][]ceph.PGID{},
		pools: map[int64]*scope{}, roots: map[int64]*scope{}}
	byRoot := map[string]*scope{}
	var roots []*scope
	for _, id := range m.PoolIDs() {
		p := m.Pools[id]
		if len(o.Pools) > 0 && !slices.Contains(o.Pools, id) || p.PGNum != p.PGNumTarget ||
			p.PGPNum != p.PGPNumTarget {
			continue
		}
		share := shares(m, p)
		if len(share) == 0 {
			continue
		}
		pool := &scope{pools: []int64{id}, share: share, count: map[int32]float64{}}
		key := fmt.Sprint(share)
		root := byRoot[key]
		if root == nil {
			root = &scope{share: share, count: map[int32]float64{}}
			byRoot[key], roots = root, append(roots, root)
		}
		root.pools = append(root.pools, id)
		s.pools[id], s.roots[id] = pool, root
		s.scopes = append(s.scopes, pool)
		s.load(id, p)
	}
	for _, r := range roots {
		if len(r.pools) > 1 {
			s.scopes = append(s.scopes, r)
		}
	}
	return s
}

// load counts the copies of a pool.
func (s *search) load(id int64, p *osdmap.Pool) {
	for seed := range p.PGNum {
		pg := ceph.PGID{Pool: id, Seed: seed}
		raw, now := s.m.RawAndUpmapped(pg)
		s.pgs[pg] = &placement{raw: raw, now: now}
		s.by[id] = append(s.by[id], pg)
		for _, osd := range now {
			if osd == crush.None {
				continue
			}
			for _, sc := range []*scope{s.pools[id], s.roots[id]} {
				sc.count[osd]++
				sc.total++
			}
		}
	}
}

// shares are the parts of a pool's copies that each OSD is to have, by CRUSH weight and reweight.
func shares(m *osdmap.Map, p *osdmap.Pool) map[int32]float64 {
	rule := m.Crush.FindRule(int(p.CrushRule), int(p.Type), int(p.Size))
	if rule < 0 {
		return nil
	}
	out, sum := map[int32]float64{}, 0.0
	for osd, w := range m.Crush.RuleWeights(rule) {
		if m.IsIn(osd) && w > 0 {
			out[osd] = float64(w) * float64(m.Weight[osd]) / osdmap.WeightIn
			sum += out[osd]
		}
	}
	for osd := range out {
		out[osd] /= sum
	}
	return out
}

// improve makes the best move that it finds in a scope that needs one.
func (s *search) improve(sc *scope) bool {
	if sc.worst() <= s.o.MaxDeviation {
		return false
	}
	var osds []int32
	for osd := range sc.share {
		osds = append(osds, osd)
	}
	slices.SortFunc(osds, func(a, b int32) int {
		return cmp.Or(cmp.Compare(sc.dev(b), sc.dev(a)), cmp.Compare(a, b))
	})
	on := s.copies(sc)
	for _, from := range osds {
		if sc.dev(from) <= 0 {
			return false
		}
		for _, back := range []bool{true, false} { // taking upmaps away comes first
			for _, pg := range on[from] {
				if s.moveAway(sc, pg, from, osds, back) {
					return true
				}
			}
		}
	}
	return false
}

// copies are the PGs of a scope by OSD.
func (s *search) copies(sc *scope) map[int32][]ceph.PGID {
	out := map[int32][]ceph.PGID{}
	for _, id := range sc.pools {
		for _, pg := range s.by[id] {
			for _, osd := range s.pgs[pg].now {
				out[osd] = append(out[osd], pg)
			}
		}
	}
	return out
}

// moveAway moves a PG's copy to the emptiest OSD that may have it. With back it only goes to where
// CRUSH has put it.
func (s *search) moveAway(sc *scope, pg ceph.PGID, from int32, osds []int32, back bool) bool {
	p := s.pgs[pg]
	if _, whole := s.m.PGUpmap[pg]; whole {
		return false // somebody has said where exactly it is to be
	}
	at := slices.Index(p.now, from)
	if back {
		return p.raw[at] != from && s.try(sc, pg, at, p.raw[at])
	}
	for _, to := range slices.Backward(osds) {
		if sc.dev(from)-sc.dev(to) <= 1 {
			return false
		}
		if s.try(sc, pg, at, to) {
			return true
		}
	}
	return false
}

// try moves the copy at a place to another OSD, if that is allowed and helps.
func (s *search) try(sc *scope, pg ceph.PGID, at int, to int32) bool {
	p, pool := s.pgs[pg], s.m.Pools[pg.Pool]
	from := p.now[at]
	if sc.share[to] == 0 || slices.Contains(p.now, to) || !s.m.IsUp(to) ||
		sc.dev(from)-sc.dev(to) <= 1 ||
		sc.dev(from) <= s.o.MaxDeviation && sc.dev(to) >= -s.o.MaxDeviation {
		return false
	}
	for _, other := range []*scope{s.pools[pg.Pool], s.roots[pg.Pool]} {
		if other != sc && !s.harmless(other, from, to) {
			return false
		}
	}
	s.tries++
	want := slices.Clone(p.now)
	want[at] = to
	if !s.m.MayPlace(pool, p.now, want) {
		return false
	}
	if _, ok := s.m.UpmapItems(p.raw, want); !ok {
		return false
	}
	p.now, p.changed = want, true
	for _, c := range []*scope{s.pools[pg.Pool], s.roots[pg.Pool]} {
		c.count[from]--
		c.count[to]++
	}
	return true
}

// harmless says whether a move makes another scope no less even, or leaves it even enough.
func (s *search) harmless(sc *scope, from, to int32) bool {
	a, b := sc.dev(from), sc.dev(to)
	return a-b >= 1 || a-1 >= -s.o.MaxDeviation && b+1 <= s.o.MaxDeviation
}

func (s *search) changes() []Change {
	var out []Change
	for pg, p := range s.pgs {
		if !p.changed {
			continue
		}
		items, _ := s.m.UpmapItems(p.raw, p.now)
		if !slices.Equal(items, s.m.PGUpmapItems[pg]) {
			out = append(out, Change{pg, items})
		}
	}
	slices.SortFunc(out, func(a, b Change) int { return a.PG.Compare(b.PG) })
	return out
}

// Apply is the map after changes.
func Apply(m *osdmap.Map, changes []Change) *osdmap.Map {
	n := m.Clone()
	if n.PGUpmapItems == nil {
		n.PGUpmapItems = map[ceph.PGID][]osdmap.Remap{}
	}
	for _, c := range changes {
		if delete(n.PGUpmapItems, c.PG); len(c.Items) > 0 {
			n.PGUpmapItems[c.PG] = c.Items
		}
	}
	return n
}

// Worst is the largest deviation of any OSD from its share, of any pool, and of all pools of a
// root together.
func Worst(m *osdmap.Map, pools []int64) (pool, root float64) {
	s := newSearch(m, Options{Pools: pools})
	for _, sc := range s.pools {
		pool = max(pool, sc.worst())
	}
	for _, sc := range s.roots {
		root = max(root, sc.worst())
	}
	return pool, root
}
