package peering

import (
	"slices"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
	"glue/osd/pglog"
)

// Split takes one child out of a copy that has just got to the map which has more PGs, and returns
// the child's state (PeeringState::split_into). It is a function of the copy and the map alone, so
// that all copies, whenever they learn of the map, are split into copies that agree. live are the
// counts of the whole, which are shared among parts PGs.
func (ma *Machine) Split(child ceph.SPG, live pginfo.Stats, parts int) Copy {
	mask := uint32(1)<<osdmap.SplitBits(child.Seed, ma.pool.PGNum) - 1
	moves := func(o ceph.HObject) bool { return o.Hash&mask == child.Seed }
	ma.info.History.LastEpochSplit = ma.osdmap.Epoch
	ma.info.Stats = live
	c := Copy{Info: ma.info, Past: ma.past, Log: ma.log.Split(moves),
		Missing: ma.missing.Split(moves)}
	c.Info.PGID = child
	c.Info.Stats = ma.info.Stats.Share(parts)
	ma.info.LastComplete = pglog.LastComplete(ma.log, ma.missing)
	c.Info.LastComplete = pglog.LastComplete(c.Log, c.Missing)
	h := &c.Info.History
	h.EpochCreated = ma.osdmap.Epoch
	up, upP, _, primary := place(ma.osdmap, child)
	if !slices.Equal(up, ma.up) || upP != ma.upPrimary {
		h.SameUpSince = ma.osdmap.Epoch
	}
	if primary != ma.primary {
		h.SamePrimarySince = ma.osdmap.Epoch
	}
	ma.dirtyInfo = true
	return c
}

// Whole says whether a copy has everything up to a version and nothing beyond.
func (ma *Machine) Whole(v ceph.Eversion) bool {
	return ma.info.LastUpdate == v && ma.missing.Len() == 0 && ma.info.LastBackfill.Max
}

// Unite takes other PGs, whose objects are now in this copy's collection, into a copy that has just
// got to the map which has fewer PGs (PeeringState::merge_from). whole says that all of them were
// what their primary said was ready to be merged; a copy that is not whole has to be filled anew.
// History and past intervals stay those of this PG: the sources had the same copies since before
// they were ready. live are the counts of all together, keep how many requests are remembered.
func (ma *Machine) Unite(sources []*Machine, whole bool, live pginfo.Stats, keep int) {
	head, logs := ma.info.LastUpdate, []*pglog.Log{ma.log}
	for _, s := range sources {
		head.Epoch = max(head.Epoch, s.info.LastUpdate.Epoch)
		head.Version = max(head.Version, s.info.LastUpdate.Version)
		ma.info.LastUserVersion = max(ma.info.LastUserVersion, s.info.LastUserVersion)
		logs = append(logs, s.log)
	}
	ma.log = pglog.Unite(logs, head, keep)
	ma.info.LastUpdate, ma.info.LastComplete, ma.info.LogTail = head, head, head
	ma.info.Stats = live
	if !whole {
		ma.missing.Clear()
		ma.info.LastBackfill = ceph.HObject{}
	}
	ma.dirtyInfo = true
}
