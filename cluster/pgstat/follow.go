package pgstat

import (
	"maps"
	"slices"

	"glue/ceph"
	"glue/cluster/osdmap"
)

// A horizon is from which epoch on reports of PGs tell of what maps have done to them. There are
// epochs of whole pools, for what was not followed map by map.
type horizon struct {
	pools map[int64]ceph.Epoch
	pgs   map[ceph.PGID]ceph.Epoch
}

func newHorizon() horizon {
	return horizon{map[int64]ceph.Epoch{}, map[ceph.PGID]ceph.Epoch{}}
}

func (h *horizon) of(pg ceph.PGID) ceph.Epoch { return max(h.pools[pg.Pool], h.pgs[pg]) }

func (h *horizon) drop(gone func(ceph.PGID) bool) {
	maps.DeleteFunc(h.pgs, func(pg ceph.PGID, _ ceph.Epoch) bool { return gone(pg) })
	maps.DeleteFunc(h.pools, func(id int64, _ ceph.Epoch) bool {
		return gone(ceph.PGID{Pool: id})
	})
}

// follow notes which PGs a map changes by other numbers of PGs. Only these have to report anew
// before the next step of their pool. That a PG has purged a snapshot stays true for as long as it
// exists; what is made of two PGs has purged what both have, and what is made of a part of one has
// purged what that has. After a gap in the maps nothing is known of pools that were changed in it.
func (p *PGMap) follow(m *osdmap.Map) {
	last := p.last
	p.last = m
	for id, is := range m.Pools {
		var was *osdmap.Pool
		if last != nil {
			was = last.Pools[id]
		}
		switch {
		case was != nil && sameNumbers(was, is) && is.LastForceResendPrenautilus <= last.Epoch:
		case was == nil || m.Epoch != last.Epoch+1:
			p.due.pools[id], p.words.pools[id] = is.LastChange, is.LastForceResendPrenautilus
			for seed := range is.PGNum {
				p.setPurged(ceph.PGID{Pool: id, Seed: seed}, nil)
			}
		default:
			p.resized(last, m, id)
		}
	}
}

func sameNumbers(a, b *osdmap.Pool) bool {
	return a.PGNum == b.PGNum && a.PGPNum == b.PGPNum && a.PGNumPending == b.PGNumPending
}

// resized notes what one map does to the PGs of a pool.
func (p *PGMap) resized(last, m *osdmap.Map, id int64) {
	was, is := last.Pools[id], m.Pools[id]
	for seed := range is.PGNum {
		pg := ceph.PGID{Pool: id, Seed: seed}
		children := osdmap.SplitChildren(pg, was.PGNum, is.PGNum)
		for _, c := range children {
			p.PGs[c] = unknownPG(m.Modified)
			p.setPurged(c, p.purged(pg))
		}
		if seed >= was.PGNum || len(children) > 0 || was.MergePending(pg) || is.MergePending(pg) ||
			was.PGPNum != is.PGPNum && moved(last, m, pg) {
			p.due.pgs[pg] = m.Epoch
		}
	}
	for seed := is.PGNum; seed < was.PGNum; seed++ {
		source := ceph.PGID{Pool: id, Seed: seed}
		target := osdmap.MergeTarget(source, is.PGNum)
		p.setPurged(target, osdmap.IntersectSnaps(p.purged(source), p.purged(target)))
		p.words.pgs[target] = m.Epoch
	}
}

// moved says whether a map gives a PG other OSDs.
func moved(last, m *osdmap.Map, pg ceph.PGID) bool {
	x, y := last.PGMapping(pg), m.PGMapping(pg)
	return !slices.Equal(x.Up, y.Up) || !slices.Equal(x.Acting, y.Acting) ||
		x.UpPrimary != y.UpPrimary || x.ActingPrimary != y.ActingPrimary
}

// purged is the snapshots that a PG is known to have no clones of.
func (p *PGMap) purged(pg ceph.PGID) []osdmap.SnapRange {
	if s := p.PGs[pg]; s != nil {
		return s.PurgedSnaps
	}
	return nil
}

func (p *PGMap) setPurged(pg ceph.PGID, list []osdmap.SnapRange) {
	if s := p.PGs[pg]; s != nil {
		next := *s
		next.PurgedSnaps = list
		p.PGs[pg] = &next
	}
}

// keepPurged adds what was known of a PG to a report. A primary says only what it has found in its
// present interval, and before that of a merge, what one of both PGs had purged.
func (p *PGMap) keepPurged(id ceph.PGID, pg *PG, m *osdmap.Map) {
	if pg.ReportedEpoch < p.words.of(id) {
		pg.PurgedSnaps = nil
	}
	if known := osdmap.IntersectSnaps(p.purged(id), m.RemovedSnapsQueue[id.Pool]); len(known) > 0 {
		pg.PurgedSnaps = osdmap.UnionSnaps(known, pg.PurgedSnaps)
	}
}
