package rbdspec

import (
	"glue/ceph"
	"glue/ceph/denc"
)

// A Group names a group of images (GroupSpec).
type Group struct {
	Pool int64 // negative: none
	ID   string
}

// Denc is version 1.
func (g *Group) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.I64(&g.Pool)
	c.Str(&g.ID)
	s.End()
}

// A GroupImage names an image of a group (GroupImageSpec).
type GroupImage struct {
	Image string // id
	Pool  int64
}

// Denc is version 1.
func (g *GroupImage) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.Str(&g.Image)
	c.I64(&g.Pool)
	s.End()
}

// States of the link between a group and an image (GROUP_IMAGE_LINK_STATE_*).
const (
	GroupImageAttached   = 0
	GroupImageIncomplete = 1
)

// A GroupMember is an image of a group with the state of the link (GroupImageStatus).
type GroupMember struct {
	GroupImage
	State uint8
}

// Denc is version 1.
func (g *GroupMember) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	g.GroupImage.Denc(c)
	c.U8(&g.State)
	s.End()
}

// States of a group's snapshot (GROUP_SNAPSHOT_STATE_*).
const (
	GroupSnapIncomplete = 0
	GroupSnapComplete   = 1
)

// A GroupSnap is a snapshot of a group (GroupSnapshot).
type GroupSnap struct {
	ID    string
	Name  string
	State uint8
	Snaps []ImageSnap
}

// Denc is version 1.
func (g *GroupSnap) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.Str(&g.ID)
	c.Str(&g.Name)
	c.U8(&g.State)
	denc.List(c, &g.Snaps)
	s.End()
}

// An ImageSnap names a snapshot of an image (ImageSnapshotSpec).
type ImageSnap struct {
	Pool  int64
	Image string      // id
	Snap  ceph.SnapID // NoSnap or 0 until it is made
}

// Denc is version 1.
func (i *ImageSnap) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.I64(&i.Pool)
	c.Str(&i.Image)
	i.Snap.Denc(c)
	s.End()
}
