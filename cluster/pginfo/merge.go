package pginfo

import (
	"slices"

	"glue/ceph"
	"glue/cluster/osdmap"
)

// Readiness is the word of the primary of a pool's last PG and of the one that it is to be merged
// into: all copies of both have everything up to these versions, and write no more.
type Readiness struct {
	Source                           ceph.PGID
	Primary                          int32
	SourceSince, TargetSince         ceph.Epoch // when their intervals began
	SourceVersion, TargetVersion     ceph.Eversion
	LastEpochStarted, LastEpochClean ceph.Epoch
}

// Merged is the pool with one PG less, as of the epoch that follows m, if the word still holds:
// neither PG has been in another interval since, so that whoever serves them in m has everything.
func (r *Readiness) Merged(m *osdmap.Map, at func(ceph.Epoch) (*osdmap.Map, error)) *osdmap.Pool {
	p := m.Pools[r.Source.Pool]
	if p == nil || p.PGNumPending != p.PGNum-1 || r.Source.Seed != p.PGNumPending {
		return nil
	}
	target := osdmap.MergeTarget(r.Source, p.PGNumPending)
	if !unmoved(r.Source, r.Primary, r.SourceSince, m, at) ||
		!unmoved(target, r.Primary, r.TargetSince, m, at) || !Together(m, p, r.Source, target) {
		return nil
	}
	q := p.Clone()
	q.PGNum = q.PGNumPending
	q.LastForceResendPrenautilus = m.Epoch + 1
	q.LastPGMerge = osdmap.PGMerge{Source: r.Source, ReadyEpoch: m.Epoch,
		LastEpochStarted: r.LastEpochStarted, LastEpochClean: r.LastEpochClean,
		SourceVersion: r.SourceVersion, TargetVersion: r.TargetVersion}
	return q
}

// unmoved says whether an OSD has been the primary of a PG since an epoch, in one interval.
func unmoved(pg ceph.PGID, primary int32, since ceph.Epoch, m *osdmap.Map,
	at func(ceph.Epoch) (*osdmap.Map, error),
) bool {
	is := Place(m, pg)
	if is.Mapping.ActingPrimary != primary || since > m.Epoch || since == 0 {
		return false
	}
	for e := m.Epoch - 1; e >= since; e-- {
		old, err := at(e)
		if err != nil {
			return false
		}
		was := Place(old, pg)
		if IsNewInterval(pg, was, is) {
			return false
		}
		is = was
	}
	return true
}

// Together says whether two PGs of a pool have the same copies, as many as they should, in their
// places.
func Together(m *osdmap.Map, p *osdmap.Pool, a, b ceph.PGID) bool {
	x, y := m.PGMapping(a), m.PGMapping(b)
	return slices.Equal(x.Acting, y.Acting) && x.ActingPrimary == y.ActingPrimary &&
		slices.Equal(x.Up, x.Acting) && slices.Equal(y.Up, y.Acting) &&
		len(x.Acting) == int(p.Size) &&
		!slices.ContainsFunc(x.Acting, func(o int32) bool { return !m.IsUp(o) })
}

// AbandonMerges adds to a change of m that merges which have been announced are off where the PGs
// do not have the same copies any more: neither takes requests meanwhile.
func AbandonMerges(m *osdmap.Map, inc *osdmap.Incremental) error {
	pending := false
	for id, p := range m.Pools {
		q := inc.NewPools[id]
		pending = pending || p.PGNumPending < p.PGNum || q != nil && q.PGNumPending < q.PGNum
	}
	if !pending {
		return nil
	}
	trial := *inc
	next, _, err := m.Commit(&trial)
	if err != nil {
		return err
	}
	for id, p := range next.Pools {
		source := ceph.PGID{Pool: id, Seed: p.PGNumPending}
		if p.PGNumPending >= p.PGNum ||
			Together(next, p, source, osdmap.MergeTarget(source, p.PGNumPending)) {
			continue
		}
		q := p.Clone()
		q.PGNumPending = q.PGNum
		q.LastForceResendPrenautilus = inc.Epoch
		if inc.NewPools == nil {
			inc.NewPools = map[int64]*osdmap.Pool{}
		}
		inc.NewPools[id] = q
	}
	return nil
}
