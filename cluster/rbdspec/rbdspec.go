// Package rbdspec has the records of images that the methods of class rbd keep and clients read and
// write. They are specified by cls/rbd of Ceph (cls_rbd_types.h); zero values encode.
package rbdspec

import (
	"time"

	"glue/ceph"
	"glue/ceph/denc"
)

// A Parent names the snapshot that an image was cloned from (ParentImageSpec).
type Parent struct {
	Pool      int64
	Namespace string
	Image     string // id
	Snap      ceph.SnapID
}

// Denc is version 1.
func (p *Parent) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.I64(&p.Pool)
	c.Str(&p.Namespace)
	c.Str(&p.Image)
	p.Snap.Denc(c)
	s.End()
}

// A Child names a clone (ChildImageSpec).
type Child struct {
	Pool      int64
	Namespace string
	Image     string // id
}

// Denc is version 2.
func (h *Child) Denc(c *denc.Coder) {
	s := c.Begin(2, 1)
	c.I64(&h.Pool)
	c.Str(&h.Image)
	if s.V >= 2 {
		c.Str(&h.Namespace)
	}
	s.End()
}

// A TrashImage is an image in the trash (TrashImageSpec).
type TrashImage struct {
	Name     string
	Source   uint8 // TRASH_IMAGE_SOURCE_*
	Deleted  time.Time
	Deferred time.Time // not to be removed before
	State    uint8     // TRASH_IMAGE_STATE_*
}

// Denc is version 2.
func (t *TrashImage) Denc(c *denc.Coder) {
	s := c.Begin(2, 1)
	deleted, deferred := ceph.TimeOf(t.Deleted), ceph.TimeOf(t.Deferred)
	c.U8(&t.Source)
	c.Str(&t.Name)
	deleted.Denc(c)
	deferred.Denc(c)
	if s.V >= 2 {
		c.U8(&t.State)
	}
	if !c.Encoding() {
		t.Deleted, t.Deferred = deleted.Go(), deferred.Go()
	}
	s.End()
}

// A MirrorImage says how an image is mirrored.
type MirrorImage struct {
	GlobalID string // the same in all clusters
	State    uint8  // MIRROR_IMAGE_STATE_*
	Mode     uint8  // MIRROR_IMAGE_MODE_*
}

// Denc is version 2.
func (m *MirrorImage) Denc(c *denc.Coder) {
	s := c.Begin(2, 1)
	c.Str(&m.GlobalID)
	c.U8(&m.State)
	if s.V >= 2 {
		c.U8(&m.Mode)
	}
	s.End()
}

// Directions of a peer (MIRROR_PEER_DIRECTION_*), as this cluster sees it.
const (
	PeerRX   = 0 // this cluster only receives from it
	PeerTX   = 1
	PeerRXTX = 2
)

// A MirrorPeer is another cluster.
type MirrorPeer struct {
	UUID       string
	Direction  uint8
	Site       string
	Client     string
	MirrorUUID string
	LastSeen   ceph.Time
}

// Denc is version 2; version 1 knew no direction.
func (p *MirrorPeer) Denc(c *denc.Coder) {
	s := c.Begin(2, 1)
	c.Str(&p.UUID)
	c.Str(&p.Site)
	c.Str(&p.Client)
	c.U64Const(^uint64(0)) // a pool, once
	if s.V >= 2 {
		c.U8(&p.Direction)
		c.Str(&p.MirrorUUID)
		p.LastSeen.Denc(c)
	} else {
		p.Direction = PeerRXTX
	}
	s.End()
}

// Ends of a migration (MIGRATION_HEADER_TYPE_*).
const (
	MigrationSource      = 1
	MigrationDestination = 2
)

// A MigrationState is how far a migration is (MIGRATION_STATE_*).
type MigrationState uint8

// The states.
const (
	MigrationError     MigrationState = 0
	MigrationPreparing MigrationState = 1
	MigrationPrepared  MigrationState = 2
	MigrationExecuting MigrationState = 3
	MigrationExecuted  MigrationState = 4
	MigrationAborting  MigrationState = 5
)

// A Migration is where an image is going to or coming from (MigrationSpec).
type Migration struct {
	HeaderType       uint8 // which end this is
	Pool             int64 // of the other end, like what follows
	Namespace        string
	ImageName        string
	ImageID          string            // empty: in the format before the present one
	SnapSeqs         map[uint64]uint64 // of the destination: its snapshot for each of the source's
	Overlap          uint64            // how much of the source it shows
	Flatten          bool
	Mirroring        bool
	State            MigrationState
	StateDescription string
	MirrorImageMode  uint8
	SourceSpec       string // of a source that is no image of this cluster
}

// Denc is version 3; readers of version 1 understand it without a source spec.
func (m *Migration) Denc(c *denc.Coder) {
	compat := uint8(1)
	if m.SourceSpec != "" {
		compat = 3
	}
	s := c.Begin(3, compat)
	c.U8(&m.HeaderType)
	c.I64(&m.Pool)
	c.Str(&m.Namespace)
	c.Str(&m.ImageName)
	c.Str(&m.ImageID)
	denc.MapFunc(c, &m.SnapSeqs, (*denc.Coder).U64, (*denc.Coder).U64)
	c.U64(&m.Overlap)
	c.Bool(&m.Flatten)
	c.Bool(&m.Mirroring)
	c.U8((*uint8)(&m.State))
	c.Str(&m.StateDescription)
	if s.V >= 2 {
		c.U8(&m.MirrorImageMode)
	}
	if s.V >= 3 {
		c.Str(&m.SourceSpec)
	}
	s.End()
}
