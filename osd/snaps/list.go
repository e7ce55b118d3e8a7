package snaps

import "glue/ceph"

// A Lister is the part of a store that lists objects.
type Lister interface {
	List(c ceph.SPG, from ceph.HObject, max int) ([]ceph.HObject, ceph.HObject, error)
}

// List is the Lister's, but never ends between objects of one name: clones come right before their
// head, and all that there are, or will be, are on the same side of where it goes on.
func List(l Lister, c ceph.SPG, from ceph.HObject, n int) ([]ceph.HObject, ceph.HObject, error) {
	list, next, err := l.List(c, from, n)
	for err == nil && !next.Max && len(list) > 0 && next.Head() == list[len(list)-1].Head() {
		var more []ceph.HObject
		more, next, err = l.List(c, next, 1)
		list = append(list, more...)
	}
	return list, First(next), err
}

// First is where the clones of an object begin.
func First(o ceph.HObject) ceph.HObject {
	if !o.Max {
		o.Snap = 0
	}
	return o
}
