package snaps

import (
	"testing"

	"glue/ceph"
)

// names is a Lister of them.
type names []ceph.HObject

func (n names) List(_ ceph.SPG, from ceph.HObject, limit int) (
	list []ceph.HObject, next ceph.HObject, err error,
) {
	for _, o := range n {
		if o.Compare(from) < 0 {
			continue
		}
		if len(list) == limit {
			return list, o, nil
		}
		list = append(list, o)
	}
	return list, ceph.MaxHObject(), nil
}

// TestListKeepsFamiliesTogether: wherever a listing ends, no clone of an object and no clone that
// may yet be made of it is on the other side than its head.
func TestListKeepsFamiliesTogether(t *testing.T) {
	var all names
	for _, name := range []string{"a", "b", "c", "d"} {
		for s := ceph.SnapID(1); s < ceph.SnapID(len(all)%4+2); s++ {
			all = append(all, ceph.HObject{Pool: 1, Name: name, Snap: s})
		}
		all = append(all, ceph.HObject{Pool: 1, Name: name, Snap: ceph.NoSnap})
	}
	for n := 1; n < len(all)+2; n++ {
		got := 0
		for from := (ceph.HObject{}); !from.Max; {
			list, next, err := List(all, ceph.SPG{}, from, n)
			if err != nil || len(list) == 0 {
				t.Fatalf("from %v: %v %v", from, list, err)
			}
			got += len(list)
			for _, o := range all {
				for s := range ceph.SnapID(9) { // and clones that are not there
					clone := o
					clone.Snap = s
					if (clone.Compare(next) < 0) != (o.Head().Compare(next) < 0) {
						t.Fatalf("%d: %v and its head are apart at %v", n, clone, next)
					}
				}
			}
			from = next
		}
		if got != len(all) {
			t.Errorf("%d at a time: %d of %d", n, got, len(all))
		}
	}
}
