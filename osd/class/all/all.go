// Package all puts every object class of Glue into one registry. It has no state and no behaviour;
// any goroutine may call it. The classes are those that stock 16.2 tools call.
package all

import (
	"glue/osd/class"
	"glue/osd/class/lock"
	"glue/osd/class/rbd"
)

// Classes are the tables of all classes.
var Classes = []class.Class{
	lock.Class,
	rbd.Class,
}

// Registry finds the methods of all classes.
func Registry() *class.Registry { return class.New(Classes...) }
