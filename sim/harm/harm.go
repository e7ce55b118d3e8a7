// Package harm damages copies of objects behind a store's back, for the simulation.
package harm

import (
	"glue/ceph"
	"glue/store/objectstore"
)

// A Harm is what can be done to one copy of an object. It is certain to be known by itself, or by
// its being unlike two others.
type Harm struct {
	Name string
	Sure bool
	Do   func(t *objectstore.Transaction, c ceph.SPG, h ceph.HObject)
}

// All are the kinds.
var All = []Harm{
	{"other data", false, func(t *objectstore.Transaction, c ceph.SPG, h ceph.HObject) {
		t.Write(c, h, 0, []byte("?"))
	}},
	{"shorter", true, func(t *objectstore.Transaction, c ceph.SPG, h ceph.HObject) {
		t.Truncate(c, h, 1)
	}},
	{"longer", true, func(t *objectstore.Transaction, c ceph.SPG, h ceph.HObject) {
		t.Truncate(c, h, 9999)
	}},
	{"gone", true, func(t *objectstore.Transaction, c ceph.SPG, h ceph.HObject) {
		t.Remove(c, h)
	}},
	{"no info", true, func(t *objectstore.Transaction, c ceph.SPG, h ceph.HObject) {
		t.RmAttr(c, h, "_")
	}},
	{"garbage for info", true, func(t *objectstore.Transaction, c ceph.SPG, h ceph.HObject) {
		t.SetAttr(c, h, "_", []byte{1, 2, 3})
	}},
	{"strange attribute", false, func(t *objectstore.Transaction, c ceph.SPG, h ceph.HObject) {
		t.SetAttr(c, h, "_strange", []byte("v"))
	}},
	{"other omap", false, func(t *objectstore.Transaction, c ceph.SPG, h ceph.HObject) {
		t.OmapSet(c, h, map[string][]byte{"strange": []byte("v")})
	}},
}
