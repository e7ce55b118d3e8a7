package rbd

import (
	"fmt"
	"strconv"
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
)

// Prefixes of keys in a header object.
const (
	snapPrefix         = "snapshot_"
	snapChildrenPrefix = "snap_children_"
	metadataPrefix     = "metadata_"
)

// stringSet is the codec of set<string>.
func stringSet(c *denc.Coder, v *map[string]struct{}) {
	denc.SetFunc(c, v, (*denc.Coder).Str)
}

// exists is ENOENT if the object is not there.
func exists(ctx class.Context) error {
	_, _, err := ctx.Stat()
	return err
}

func snapKey(id ceph.SnapID) string { return fmt.Sprintf("%s%016x", snapPrefix, uint64(id)) }

func snapChildrenKey(id ceph.SnapID) string {
	return fmt.Sprintf("%s%016x", snapChildrenPrefix, uint64(id))
}

// snapIDOf reads the id out of a snapshot's key; what is no number is 0.
func snapIDOf(key string) ceph.SnapID {
	id, err := strconv.ParseUint(strings.TrimPrefix(key, snapPrefix), 16, 64)
	if err != nil {
		return 0
	}
	return ceph.SnapID(id)
}
