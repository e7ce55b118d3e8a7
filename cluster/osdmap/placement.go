package osdmap

import (
	"math/bits"
	"slices"

	"glue/ceph"
	"glue/cluster/crush"
)

// A Mapping is where a PG is placed. Up is what CRUSH, upmap and affinity give among the OSDs that
// are up; Acting is who serves now. Erasure-coded PGs have crush.None at the places of shards
// that are missing. A primary is -1 when there is none.
type Mapping struct {
	Up, Acting               []int32
	UpPrimary, ActingPrimary int32
}

// ObjectPG is the raw PG of an object: the seed is the full hash. ENOENT without the pool.
func (m *Map) ObjectPG(pool int64, name, key, namespace string) (ceph.PGID, error) {
	p := m.Pools[pool]
	if p == nil {
		return ceph.PGID{}, ceph.ENOENT
	}
	if key == "" {
		key = name
	}
	return ceph.PGID{Pool: pool, Seed: p.HashKey(key, namespace)}, nil
}

// HashKey is the hash that places an object key of a namespace.
func (p *Pool) HashKey(key, namespace string) uint32 {
	if namespace != "" {
		key = namespace + "\x1f" + key
	}
	if p.ObjectHash == crush.StringHashLinux {
		return crush.HashStringLinux(key)
	}
	return crush.HashString(key)
}

// StableMod folds x into 0..n-1 such that raising n moves only what goes to the new numbers; mask
// is the next power of two above n-1, minus 1 (ceph_stable_mod).
func StableMod(x, n, mask uint32) uint32 {
	if x&mask < n {
		return x & mask
	}
	return x & (mask >> 1)
}

func maskFor(n uint32) uint32 { return 1<<bits.Len32(n-1) - 1 }

// FoldSeed is the PG seed that a full hash belongs to.
func (p *Pool) FoldSeed(hash uint32) uint32 { return StableMod(hash, p.PGNum, maskFor(p.PGNum)) }

// placementSeed is CRUSH's input for a PG.
func (p *Pool) placementSeed(pg ceph.PGID) uint32 {
	seed := StableMod(pg.Seed, p.PGPNum, maskFor(p.PGPNum))
	if p.Flags.Has(PoolHashPSPool) {
		return crush.Hash2(seed, uint32(pg.Pool))
	}
	return seed + uint32(pg.Pool)
}

// CanShift says whether the place in the acting set has no meaning, so that gaps close.
func (p *Pool) CanShift() bool { return p.Type != Erasure }

// IsErasure says whether the pool is erasure coded.
func (p *Pool) IsErasure() bool { return p.Type == Erasure }

// RawToPG folds a raw PG to the PG that stores it; without the pool it is returned as it is.
func (m *Map) RawToPG(raw ceph.PGID) ceph.PGID {
	if p := m.Pools[raw.Pool]; p != nil {
		raw.Seed = p.FoldSeed(raw.Seed)
	}
	return raw
}

// PGToUpActing places a PG (OSDMap::pg_to_up_acting_osds). Without the pool or beyond its pg_num
// the sets are nil and the primaries -1.
func (m *Map) PGToUpActing(pg ceph.PGID) (up []int32, upPrimary int32,
	acting []int32, actingPrimary int32) {
	w := m.PGMapping(pg)
	return w.Up, w.UpPrimary, w.Acting, w.ActingPrimary
}

// PGMapping is PGToUpActing as one value. Up and Acting may be the same slice: don't change them.
func (m *Map) PGMapping(pg ceph.PGID) Mapping {
	p := m.Pools[pg.Pool]
	if p == nil || pg.Seed >= p.PGNum {
		return Mapping{UpPrimary: -1, ActingPrimary: -1}
	}
	var w Mapping
	w.Acting, w.ActingPrimary = m.tempOSDs(p, pg)
	raw, seed := m.rawOSDs(p, pg)
	raw = m.applyUpmap(pg, raw)
	w.Up = m.onlyUp(p, raw)
	w.UpPrimary = firstOSD(w.Up)
	w.Up, w.UpPrimary = m.applyAffinity(p, seed, w.Up, w.UpPrimary)
	if len(w.Acting) == 0 {
		w.Acting = w.Up
		if w.ActingPrimary == -1 {
			w.ActingPrimary = w.UpPrimary
		}
	}
	return w
}

// RawOSDs is what CRUSH alone gives for a PG, without OSDs that don't exist.
func (m *Map) RawOSDs(pg ceph.PGID) []int32 {
	p := m.Pools[pg.Pool]
	if p == nil {
		return nil
	}
	raw, _ := m.rawOSDs(p, pg)
	return raw
}

func (m *Map) rawOSDs(p *Pool, pg ceph.PGID) ([]int32, uint32) {
	seed := p.placementSeed(pg)
	var raw []int32
	if r := m.Crush.FindRule(int(p.CrushRule), int(p.Type), int(p.Size)); r >= 0 {
		raw = m.Crush.Do(r, seed, int(p.Size), m.Weight, pg.Pool)
	}
	return m.keep(p, raw, m.Exists), seed
}

// keep drops the OSDs that ok refuses: gaps close, or stay as None in erasure-coded pools.
func (m *Map) keep(p *Pool, osds []int32, ok func(int32) bool) []int32 {
	out := make([]int32, 0, len(osds))
	for _, osd := range osds {
		if ok(osd) {
			out = append(out, osd)
		} else if !p.CanShift() {
			out = append(out, crush.None)
		}
	}
	return out
}

func (m *Map) onlyUp(p *Pool, raw []int32) []int32 { return m.keep(p, raw, m.IsUp) }

// marksOut says whether an upmap target is a known OSD that is out, so that the entry is ignored.
func (m *Map) marksOut(osd int32) bool {
	return osd != crush.None && osd >= 0 && osd < m.MaxOSD && m.Weight[osd] == 0
}

func (m *Map) applyUpmap(pg ceph.PGID, raw []int32) []int32 {
	if to, ok := m.PGUpmap[pg]; ok {
		if slices.ContainsFunc(to, m.marksOut) {
			return raw
		}
		raw = slices.Clone(to)
	}
	return m.remap(raw, m.PGUpmapItems[pg])
}

// remap carries out upmap items on raw.
func (m *Map) remap(raw []int32, items []Remap) []int32 {
	for _, r := range items {
		if slices.Contains(raw, r.To) || m.marksOut(r.To) {
			continue
		}
		if i := slices.Index(raw, r.From); i >= 0 {
			raw[i] = r.To
		}
	}
	return raw
}

func firstOSD(osds []int32) int32 {
	for _, osd := range osds {
		if osd != crush.None {
			return osd
		}
	}
	return -1
}

// applyAffinity picks the primary such that OSDs of low affinity are chosen for that share of the
// PGs only; in replicated pools it moves to the front.
func (m *Map) applyAffinity(p *Pool, seed uint32, up []int32, primary int32) ([]int32, int32) {
	affects := func(osd int32) bool {
		return osd != crush.None && m.PrimaryAffinity[osd] != WeightIn
	}
	if m.PrimaryAffinity == nil || !slices.ContainsFunc(up, affects) {
		return up, primary
	}
	pos := -1
	for i, osd := range up {
		if osd == crush.None {
			continue
		}
		a := m.PrimaryAffinity[osd]
		if a < WeightIn && crush.Hash2(seed, uint32(osd))>>16 >= a {
			if pos < 0 {
				pos = i // the fallback when all refuse
			}
			continue
		}
		pos = i
		break
	}
	if pos < 0 {
		return up, primary
	}
	primary = up[pos]
	if p.CanShift() && pos > 0 {
		copy(up[1:pos+1], up[:pos])
		up[0] = primary
	}
	return up, primary
}

// tempOSDs is what pg_temp and primary_temp say.
func (m *Map) tempOSDs(p *Pool, pg ceph.PGID) ([]int32, int32) {
	var osds []int32
	if temp, ok := m.PGTemp[pg]; ok {
		osds = m.keep(p, temp, m.IsUp)
	}
	if primary, ok := m.PrimaryTemp[pg]; ok {
		return osds, primary
	}
	return osds, firstOSD(osds)
}

// PrimaryShard is the copy of a PG that its acting primary holds.
func (m *Map) PrimaryShard(pg ceph.PGID) (ceph.SPG, int32) {
	w := m.PGMapping(pg)
	p := m.Pools[pg.Pool]
	if p == nil || p.CanShift() {
		return ceph.SPG{PGID: pg, Shard: ceph.NoShard}, w.ActingPrimary
	}
	shard := slices.Index(w.Acting, w.ActingPrimary)
	return ceph.SPG{PGID: pg, Shard: ceph.Shard(shard)}, w.ActingPrimary
}

// Role is the place of a copy in an acting set, 0 for the first, or -1 (calc_pg_role). For
// replicated PGs the shard is NoShard.
func Role(who ceph.PGShard, acting []int32) int {
	for i, osd := range acting {
		if osd == who.OSD && (who.Shard == ceph.NoShard || int(who.Shard) == i) {
			return i
		}
	}
	return -1
}

// SplitChildren lists the PGs that take objects from pg when pg_num grows (pg_t::is_split).
func SplitChildren(pg ceph.PGID, oldNum, newNum uint32) []ceph.PGID {
	if pg.Seed >= oldNum || newNum <= oldNum {
		return nil
	}
	var children []ceph.PGID
	step := uint64(1) << (bits.Len32(oldNum) - 1)
	mask := uint32(1)<<bits.Len32(oldNum) - 1
	for next := step; ; next += step {
		s := next | uint64(pg.Seed)
		if s >= uint64(newNum) {
			break
		}
		child := ceph.PGID{Pool: pg.Pool, Seed: uint32(s)}
		if child.Seed >= oldNum && StableMod(child.Seed, oldNum, mask) == pg.Seed &&
			!slices.Contains(children, child) {
			children = append(children, child)
		}
	}
	return children
}

// SplitBits is how many low bits of the hash select a PG (pg_t::get_split_bits).
func SplitBits(seed, pgNum uint32) int {
	if pgNum <= 1 {
		return 0
	}
	p := bits.Len32(pgNum)
	if mask := uint32(1)<<(p-1) - 1; seed&mask < pgNum&mask {
		return p
	}
	return p - 1
}

// MergeTarget is the PG that pg's objects belong to when there are only num PGs (pg_t::get_parent);
// pg itself if it stays.
func MergeTarget(pg ceph.PGID, num uint32) ceph.PGID {
	return ceph.PGID{Pool: pg.Pool, Seed: StableMod(pg.Seed, num, maskFor(num))}
}
