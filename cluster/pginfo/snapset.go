package pginfo

import (
	"glue/ceph"
	"glue/ceph/denc"
)

// A SnapSet is what an object's head knows of its snapshots (SnapSet). One that has been handed out
// is never changed. An object that was never written under a snapshot context has none.
type SnapSet struct {
	// Seq is the newest snapshot that a writer of the object knew of.
	Seq    ceph.SnapID
	Clones []Clone // ascending
}

// A Clone is the content of an object at some snapshots.
type Clone struct {
	ID      ceph.SnapID   // names the clone's object; the writer's Seq when it was made
	Size    uint64        // bytes
	Snaps   []ceph.SnapID // descending; which snapshots it is the content at
	Overlap []Range       // what it has in common with the next newer one, or the head
}

// Denc is a section of our own.
func (s *SnapSet) Denc(c *denc.Coder) {
	f := c.Begin(1, 1)
	s.Seq.Denc(c)
	denc.List(c, &s.Clones)
	f.End()
}

// Denc is the fields in a row.
func (n *Clone) Denc(c *denc.Coder) {
	n.ID.Denc(c)
	c.U64(&n.Size)
	denc.List(c, &n.Snaps)
	denc.ListFunc(c, &n.Overlap, dencRange)
}

func dencRange(c *denc.Coder, r *Range) {
	c.U64(&r.Begin)
	c.U64(&r.End)
}
