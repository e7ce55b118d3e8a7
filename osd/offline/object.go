package offline

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"glue/ceph"
	"glue/store/objectstore"
)

// FindObject is the object of a PG that is called name: its name alone if only one has it, or its
// row of Objects as JSON, by which an object may be named that is not there yet.
func FindObject(store objectstore.Store, pg ceph.SPG, name string) (ceph.HObject, error) {
	if strings.HasPrefix(name, "{") {
		return parseRow(pg, name)
	}
	var found []ceph.HObject
	err := eachObject(store, pg, func(o ceph.HObject) error {
		if o.Name == name {
			found = append(found, o)
		}
		return nil
	})
	switch {
	case err != nil:
		return ceph.HObject{}, err
	case len(found) == 0:
		return ceph.HObject{}, fmt.Errorf("PG %v has no object %q here: %w", pg, name, ceph.ENOENT)
	case len(found) > 1:
		return ceph.HObject{}, fmt.Errorf("%d objects are called %q; name one by its line of "+
			"\"glue store list\": %w", len(found), name, ceph.EINVAL)
	}
	return found[0], nil
}

func parseRow(pg ceph.SPG, row string) (ceph.HObject, error) {
	var r Object
	if err := json.Unmarshal([]byte(row), &r); err != nil {
		return ceph.HObject{}, fmt.Errorf("%q is no line of \"glue store list\": %w", row, err)
	}
	o := ceph.HObject{Pool: pg.Pool, Name: r.Name, Key: r.Key, Namespace: r.Namespace,
		Hash: r.Hash, Snap: ceph.NoSnap}
	if r.Name == "" {
		return o, fmt.Errorf("%q has no oid: %w", row, ceph.EINVAL)
	}
	if r.Snap != o.Snap.String() {
		id, err := strconv.ParseUint(r.Snap, 16, 64)
		if err != nil {
			return o, fmt.Errorf("snapid %q of %q: %w", r.Snap, row, ceph.EINVAL)
		}
		o.Snap = ceph.SnapID(id)
	}
	return o, nil
}

// Change carries out a transaction on a store and waits until it is durable.
func Change(store objectstore.Store, t *objectstore.Transaction) error { return do(store, t) }
