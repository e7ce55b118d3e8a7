// Package all puts every object class of Glue into one registry. It has no state and no behaviour;
// any goroutine may call it. The classes are those that stock 16.2 tools call.
package all

import (
	"glue/osd/class"
	"glue/osd/class/cas"
	"glue/osd/class/cephfs"
	"glue/osd/class/hello"
	"glue/osd/class/journal"
	"glue/osd/class/lock"
	"glue/osd/class/log"
	"glue/osd/class/numops"
	"glue/osd/class/rbd"
	"glue/osd/class/refcount"
	"glue/osd/class/timeindex"
	"glue/osd/class/user"
	"glue/osd/class/version"
)

// Classes are the tables of all classes.
var Classes = []class.Class{
	cas.Class,
	cephfs.Class,
	hello.Class,
	journal.Class,
	lock.Class,
	log.Class,
	numops.Class,
	rbd.Class,
	refcount.Class,
	timeindex.Class,
	user.Class,
	version.Class,
}

// Registry finds the methods of all classes.
func Registry() *class.Registry { return class.New(Classes...) }
