package osd

import (
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/bench"
	"glue/osd/pglog"
	"glue/store/objectstore"
)

// What follows is for osd/offline, which looks at the stores of daemons that do not run.

// A StoredPG is what the store keeps of a PG copy besides its log and missing set.
type StoredPG = stored

// A Superblock is what a store says of the OSD that it belongs to.
type Superblock = superblock

// InfoKey is where the store has a StoredPG.
func InfoKey(id ceph.SPG) string { return infoKey(id) }

// MissingPrefix is where the store has the pglog.MissingItems of a PG copy.
func MissingPrefix(id ceph.SPG) string { return missingPrefix(id) }

// MetaPG begins all keys about PG copies.
const MetaPG = metaPG

// IsPG says whether a collection is a copy of a PG.
func IsPG(id ceph.SPG) bool { return id != bench.Coll }

// ReadSuperblock reads a store's superblock; ENOENT for a store that no daemon has opened yet.
func ReadSuperblock(store objectstore.Store) (Superblock, error) {
	var s superblock
	raw, err := store.Meta(metaSuper)
	if err == nil {
		err = denc.Unmarshal(raw, &s, ceph.FeaturesAll)
	}
	if err != nil {
		return s, fmt.Errorf("superblock of the OSD: %w", err)
	}
	return s, nil
}

// ReadMap reads the encoded OSD map of an epoch.
func ReadMap(store objectstore.Store, e ceph.Epoch) ([]byte, error) {
	return store.Meta(mapKey(metaFull, e))
}

// ImportKey marks a PG copy that is being imported: a daemon removes it, since it is not whole.
func ImportKey(id ceph.SPG) string { return "import/" + id.String() }

// removeImport removes a PG copy whose import was interrupted; it says whether there is one.
func (d *Daemon) removeImport(id ceph.SPG) (bool, error) {
	if _, err := d.store.Meta(ImportKey(id)); err != nil {
		return false, nil
	}
	d.log.Warn("removing a PG whose import was interrupted", "pg", id)
	var t objectstore.Transaction
	t.RmColl(id)
	t.RmMeta(ImportKey(id))
	return true, d.store.Submit(&t, d.storeDone)
}

// Lost is the key and value that say that a PG copy misses an object of a version.
func Lost(id ceph.SPG, o ceph.HObject, need ceph.Eversion) (key string, value []byte) {
	v := pglog.MissingItem{Object: o, Item: pglog.Item{Need: need}}
	return missingKey(id, o), denc.Marshal(&v, ceph.FeaturesAll)
}
