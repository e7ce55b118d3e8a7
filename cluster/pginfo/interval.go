package pginfo

import (
	"slices"

	"glue/ceph"
	"glue/cluster/osdmap"
)

// A Placing is where a map puts a PG, as far as it matters for intervals.
type Placing struct {
	Map     *osdmap.Map
	Mapping osdmap.Mapping
}

// Place is a PG's placing by a map.
func Place(m *osdmap.Map, pg ceph.PGID) Placing { return Placing{m, m.PGMapping(pg)} }

// IsNewInterval says whether a PG's copies have to peer again between two consecutive maps
// (PastIntervals::is_new_interval). The pool's removal ends the last interval.
func IsNewInterval(pg ceph.PGID, was, is Placing) bool {
	a, b := was.Map.Pools[pg.Pool], is.Map.Pools[pg.Pool]
	if a == nil || b == nil {
		return a != nil
	}
	w, i := was.Mapping, is.Mapping
	return w.ActingPrimary != i.ActingPrimary || w.UpPrimary != i.UpPrimary ||
		!slices.Equal(w.Acting, i.Acting) || !slices.Equal(w.Up, i.Up) ||
		a.Size != b.Size || a.MinSize != b.MinSize ||
		a.PeeringBucketCount != b.PeeringBucketCount ||
		a.PeeringBucketTarget != b.PeeringBucketTarget ||
		a.PeeringBucketBarrier != b.PeeringBucketBarrier ||
		a.PeeringBucketMandatory != b.PeeringBucketMandatory ||
		Resized(pg, a, b) ||
		(was.Map.Flags^is.Map.Flags)&intervalFlags != 0
}

// intervalFlags are the cluster's flags that change how a PG peers.
const intervalFlags = osdmap.FlagSortBitwise | osdmap.FlagRecoveryDeletes

// Resized says whether a PG splits, merges, or is getting ready to merge between two states of its
// pool.
func Resized(pg ceph.PGID, a, b *osdmap.Pool) bool {
	return len(osdmap.SplitChildren(pg, a.PGNum, b.PGNum)) > 0 ||
		merges(pg, a.PGNum, b.PGNum) ||
		merges(pg, a.PGNumPending, b.PGNumPending) ||
		merges(pg, b.PGNumPending, a.PGNumPending)
}

// merges says whether a change of pg_num makes the PG a source or a target of a merge.
func merges(pg ceph.PGID, from, to uint32) bool {
	if pg.Seed < to {
		return len(osdmap.SplitChildren(pg, to, from)) > 0
	}
	return pg.Seed < from
}
