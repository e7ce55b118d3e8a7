package resize

import (
	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/wire/message"
)

// Changes says whether any of consecutive maps after old changes the number of PGs of a pool.
func Changes(old *osdmap.Map, epochs []*osdmap.Map) bool {
	for _, m := range epochs {
		for id, p := range m.Pools {
			if was := old.Pools[id]; was != nil && was.PGNum != p.PGNum {
				return true
			}
		}
		old = m
	}
	return false
}

// A Word is what a primary says of a PG that is to be merged.
type Word struct {
	Since           ceph.Epoch    // when its interval began
	Version         ceph.Eversion // that all copies have
	Started, Clean  ceph.Epoch
	Ready, Hopeless bool // Hopeless: it won't be ready
}

// Merges are the words of this OSD's PGs.
type Merges map[ceph.PGID]Word

// Say takes a word and returns what the monitors are to be told, nil for nothing yet: both PGs of a
// merge are ready, or one won't be.
func (ms Merges) Say(osd int32, pool *osdmap.Pool, pg ceph.PGID, w Word,
) *message.MOSDPGReadyToMerge {
	if pool == nil || !pool.MergePending(pg) {
		delete(ms, pg)
		return nil
	}
	ms[pg] = w
	source := ceph.PGID{Pool: pg.Pool, Seed: pool.PGNumPending}
	a, b := ms[source], ms[osdmap.MergeTarget(source, pool.PGNumPending)]
	if !w.Hopeless && (!a.Ready || !b.Ready) {
		return nil
	}
	delete(ms, pg) // until its next word
	return &message.MOSDPGReadyToMerge{OSD: osd, Source: source,
		SourceSince: a.Since, TargetSince: b.Since, SourceVersion: a.Version,
		TargetVersion: b.Version, LastEpochStarted: max(a.Started, b.Started),
		LastEpochClean: max(a.Clean, b.Clean), Ready: !w.Hopeless}
}
