package pgstat

import (
	"maps"
	"slices"

	"glue/ceph"
	"glue/cluster/osdmap"
)

// A PoolStep is a pool's next pg_num (PGP false) or pgp_num.
type PoolStep struct {
	Pool int64
	PGP  bool
	To   uint32
}

// Done says whether a map has it, or has no such pool.
func (s PoolStep) Done(m *osdmap.Map) bool {
	pool := m.Pools[s.Pool]
	switch {
	case pool == nil:
		return true
	case s.PGP:
		return pool.PGPNum == s.To
	}
	return pool.PGNumPending == s.To
}

// A PoolPace bounds how far a pool goes at once towards the numbers of PGs that it is to have.
type PoolPace struct {
	Misplaced float64 // the share of object copies that may be out of place
	PGs       uint32  // by how much pg_num may be ahead of pgp_num
}

// ResizeSteps are what to do now for pools to have the PGs that they should
// (DaemonServer::adjust_pgs). The sums have to be fresh. Nothing is done while PGs are unknown, or
// have not reported what the last step did to them.
func (p *PGMap) ResizeSteps(m *osdmap.Map, pace PoolPace) (out []PoolStep) {
	for _, id := range slices.Sorted(maps.Keys(m.Pools)) {
		pool := m.Pools[id]
		if pool.PGNum == pool.PGNumTarget && pool.PGPNum == pool.PGPNumTarget ||
			pool.Flags.Has(osdmap.PoolNoPGChange) || pool.PGNum != pool.PGNumPending ||
			!p.present(id, pool) {
			continue
		}
		settled := p.settled(id, pool)
		if to := p.nextPGNum(m, id, pace, settled); to != pool.PGNum {
			out = append(out, PoolStep{id, false, to})
		} else if to := p.nextPGPNum(id, pool, pace); settled && to != pool.PGPNum {
			out = append(out, PoolStep{id, true, to})
		}
	}
	return out
}

// present says whether every PG of a pool was active when it was last heard of.
func (p *PGMap) present(id int64, pool *osdmap.Pool) bool {
	for seed := range pool.PGNum {
		pg := p.PGs[ceph.PGID{Pool: id, Seed: seed}]
		if pg == nil || !pg.State.Has(Active) && !pg.State.Has(Peered) || pg.State.Has(Stale) {
			return false
		}
	}
	return true
}

// settled says whether every PG of a pool has reported what the last step did to it.
func (p *PGMap) settled(id int64, pool *osdmap.Pool) bool {
	for seed := range pool.PGNum {
		if !p.heard(ceph.PGID{Pool: id, Seed: seed}) {
			return false
		}
	}
	return true
}

func (p *PGMap) heard(pg ceph.PGID) bool { return p.PGs[pg].ReportedEpoch >= p.due.of(pg) }

// nextPGNum grows when everything has settled. Two PGs may be merged when both have, whatever the
// others do.
func (p *PGMap) nextPGNum(m *osdmap.Map, id int64, pace PoolPace, settled bool) uint32 {
	pool := m.Pools[id]
	if pool.PGNumTarget > pool.PGNum && !settled {
		return pool.PGNum
	}
	if pool.PGNumTarget > pool.PGNum {
		gap := pool.PGNum - pool.PGPNum
		return min(pool.PGNumTarget, pool.PGNum+max(pace.PGs, gap)-gap)
	}
	if pool.PGNumTarget == pool.PGNum || pool.PGPNum >= pool.PGNum {
		return pool.PGNum
	}
	source := ceph.PGID{Pool: id, Seed: pool.PGNum - 1}
	target := osdmap.MergeTarget(source, pool.PGNum-1)
	x, y := m.PGMapping(source), m.PGMapping(target)
	if !p.heard(source) || !p.heard(target) ||
		!p.PGs[source].State.Has(Clean) || !p.PGs[target].State.Has(Clean) ||
		!slices.Equal(x.Acting, y.Acting) || x.ActingPrimary != y.ActingPrimary {
		return pool.PGNum
	}
	return pool.PGNum - 1
}

// nextPGPNum moves no more than half of what may be out of place, as far as what is now leaves
// room for it.
func (p *PGMap) nextPGPNum(id int64, pool *osdmap.Pool, pace PoolPace) uint32 {
	to := min(pool.PGPNumTarget, pool.PGNum)
	if to == pool.PGPNum {
		return to
	}
	if p.Pools[id].Stats.Sum.Objects <= int64(to) {
		return to
	}
	sum := &p.Sum.Stats.Sum
	if p.NumPGUnknown > 0 || p.NumPGActive < p.NumPG || sum.ObjectsDegraded > 0 {
		return pool.PGPNum
	}
	misplaced := float64(sum.ObjectsMisplaced) / float64(max(sum.ObjectCopies, 1))
	if misplaced > pace.Misplaced {
		return pool.PGPNum
	}
	room := min(pace.Misplaced-misplaced, pace.Misplaced/2)
	most := max(uint32(float64(p.NumPG)*room), 1)
	if to > pool.PGPNum {
		return min(to, pool.PGPNum+most)
	}
	return max(to, pool.PGPNum-min(most, pool.PGPNum))
}
