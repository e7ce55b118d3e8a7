package pginfo

import (
	"glue/ceph"
	"glue/ceph/denc"
)

// A SnapSet is the clones of an object (SnapSet).
type SnapSet struct {
	Seq    ceph.SnapID
	Snaps  []ceph.SnapID // descending
	Clones []Clone       // ascending
}

// A Clone is the content of an object at some snapshots.
type Clone struct {
	ID      ceph.SnapID // of the newest snapshot that it stands for
	Size    uint64
	Snaps   []ceph.SnapID // descending; which snapshots it stands for
	Overlap []Extent      // what it has in common with the next newer one
}

// An Extent is a run of bytes.
type Extent struct{ Offset, Length uint64 }

// Denc is a section of our own.
func (s *SnapSet) Denc(c *denc.Coder) {
	f := c.Begin(1, 1)
	s.Seq.Denc(c)
	denc.List(c, &s.Snaps)
	denc.List(c, &s.Clones)
	f.End()
}

// Denc is the fields in a row.
func (n *Clone) Denc(c *denc.Coder) {
	n.ID.Denc(c)
	c.U64(&n.Size)
	denc.List(c, &n.Snaps)
	denc.List(c, &n.Overlap)
}

// Denc is the offset and the length.
func (e *Extent) Denc(c *denc.Coder) {
	c.U64(&e.Offset)
	c.U64(&e.Length)
}
