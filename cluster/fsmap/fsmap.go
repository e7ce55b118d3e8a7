// Package fsmap is the map of the file systems and their metadata servers. There are none yet: the
// map is the one of a cluster without file systems, which clients ask for before they tell a
// metadata server anything, and a map with some is refused.
//
// The formats are mds/FSMap.h's of Ceph 16.2.
package fsmap

import (
	"glue/ceph"
	"glue/ceph/denc"
)

// NoFilesystem is FS_CLUSTER_ID_NONE.
const NoFilesystem = -1

// A Map is one epoch of the file systems (FSMap).
type Map struct {
	Epoch          ceph.Epoch
	NextFilesystem uint64 // id of the next one that is made
	Legacy         int32  // the one that old clients mount, NoFilesystem for none
	Compat         Compat // what a new file system's metadata servers have to know
	Multiple       bool   // several file systems are allowed
	EverMultiple   bool   // and have ever been
}

// Compat is the on-disk features of metadata servers (CompatSet): number to name.
type Compat struct {
	Compat, ReadOnly, Incompat map[uint64]string
}

// Empty is the map of a new cluster.
func Empty() *Map {
	return &Map{
		Epoch: 1, NextFilesystem: 1, Legacy: NoFilesystem, Multiple: true, EverMultiple: true,
		Compat: Compat{Incompat: map[uint64]string{
			1: "base v0.20", 2: "client writeable ranges", 3: "default file layouts on dirs",
			4: "dir inode in separate object", 5: "mds uses versioned encoding",
			6: "dirfrag is stored in omap", 8: "no anchor table", 9: "file layout v2",
			10: "snaprealm v2",
		}},
	}
}

// Denc is FSMap version 7.
func (m *Map) Denc(c *denc.Coder) {
	s := c.Begin(7, 6)
	m.Epoch.Denc(c)
	c.U64(&m.NextFilesystem)
	c.I32(&m.Legacy)
	m.Compat.denc(c)
	c.Bool(&m.Multiple)
	none(c, "file systems")
	none(c, "roles of metadata servers")
	none(c, "standby metadata servers")
	none(c, "epochs of standby metadata servers")
	if s.V >= 7 {
		c.Bool(&m.EverMultiple)
	}
	s.End()
}

// none is a list or map of what there is nothing of.
func none(c *denc.Coder, what string) {
	if n := c.U32Const(0); n != 0 {
		c.Invalid("map of file systems with %d %s", n, what)
	}
}

func (p *Compat) denc(c *denc.Coder) {
	features(c, &p.Compat)
	features(c, &p.ReadOnly)
	features(c, &p.Incompat)
}

// features is CompatSet::FeatureSet: the numbers as bits, then the names.
func features(c *denc.Coder, p *map[uint64]string) {
	var mask uint64
	for n := range *p {
		mask |= 1 << n
	}
	c.U64(&mask)
	denc.MapFunc(c, p, (*denc.Coder).U64, (*denc.Coder).Str)
}

// A User is the map as clients that mount see it (FSMapUser).
type User struct{ Map *Map }

// Denc is FSMapUser version 1.
func (u User) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	u.Map.Epoch.Denc(c)
	c.I32(&u.Map.Legacy)
	none(c, "file systems")
	s.End()
}
