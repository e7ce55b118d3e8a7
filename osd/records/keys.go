package records

import (
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/pglog"
	"glue/store/objectstore"
)

// Keys of the store's own table.
const (
	SuperblockKey = "osd/superblock"
	MetaPG        = "pg/" // begins all keys about PG copies

	fullMaps = "osdmap/full/" // + epoch, 8 hexadecimal digits
	incMaps  = "osdmap/inc/"
)

// InfoKey is where the store has a PG.
func InfoKey(id ceph.SPG) string { return MetaPG + id.String() + "/info" }

// MissingPrefix is where the store has the pglog.MissingItems of a PG copy.
func MissingPrefix(id ceph.SPG) string { return MetaPG + id.String() + "/missing/" }

// MissingKey is where the store has that of one object.
func MissingKey(id ceph.SPG, o ceph.HObject) string {
	return MissingPrefix(id) + string(denc.Marshal(&o, ceph.FeaturesAll))
}

// ImportKey marks a PG copy that is being imported: a daemon removes it, since it is not whole.
func ImportKey(id ceph.SPG) string { return "import/" + id.String() }

// MapKey is where the store has the OSD map of an epoch.
func MapKey(e ceph.Epoch) string { return fmt.Sprintf("%s%08x", fullMaps, uint32(e)) }

// IncrementalKey is where the store has what changed with an epoch.
func IncrementalKey(e ceph.Epoch) string { return fmt.Sprintf("%s%08x", incMaps, uint32(e)) }

// ReadSuperblock reads a store's superblock; ENOENT for a store that no daemon has opened yet.
func ReadSuperblock(store objectstore.Store) (Superblock, error) {
	var s Superblock
	raw, err := store.Meta(SuperblockKey)
	if err == nil {
		err = denc.Unmarshal(raw, &s, ceph.FeaturesAll)
	}
	if err != nil {
		return s, fmt.Errorf("superblock of the OSD: %w", err)
	}
	return s, nil
}

// ReadMap reads the encoded OSD map of an epoch.
func ReadMap(store objectstore.Store, e ceph.Epoch) ([]byte, error) { return store.Meta(MapKey(e)) }

// Lost is the key and value that say that a PG copy misses an object of a version.
func Lost(id ceph.SPG, o ceph.HObject, need ceph.Eversion) (key string, value []byte) {
	v := pglog.MissingItem{Object: o, Item: pglog.Item{Need: need}}
	return MissingKey(id, o), denc.Marshal(&v, ceph.FeaturesAll)
}
