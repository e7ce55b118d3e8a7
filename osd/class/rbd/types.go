package rbd

import (
	"cmp"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/rbdspec"
)

// Features of an image (RBD_FEATURE_*).
const (
	featLayering      uint64 = 1 << 0
	featStripingV2    uint64 = 1 << 1
	featExclusiveLock uint64 = 1 << 2
	featObjectMap     uint64 = 1 << 3
	featFastDiff      uint64 = 1 << 4
	featDeepFlatten   uint64 = 1 << 5
	featJournaling    uint64 = 1 << 6
	featDataPool      uint64 = 1 << 7
	featOperations    uint64 = 1 << 8
	featMigrating     uint64 = 1 << 9
	featNonPrimary    uint64 = 1 << 10
	featDirtyCache    uint64 = 1 << 11

	featAll          uint64 = 1<<12 - 1
	featInternal            = featOperations | featMigrating
	featIncompatible        = featLayering | featStripingV2 | featDataPool | featDirtyCache
	// featRWIncompatible are those that a writer has to know.
	featRWIncompatible = featIncompatible | featExclusiveLock | featObjectMap | featFastDiff |
		featDeepFlatten | featJournaling | featOperations | featMigrating | featNonPrimary
	featMutable = featExclusiveLock | featObjectMap | featFastDiff | featJournaling |
		featNonPrimary | featDirtyCache
	featDisableOnly = featDeepFlatten
)

// Features that operations turn on and off (RBD_OPERATION_FEATURE_*).
const (
	opFeatCloneParent uint64 = 1 << 0
	opFeatCloneChild  uint64 = 1 << 1
	opFeatGroup       uint64 = 1 << 2
	opFeatSnapTrash   uint64 = 1 << 3
	opFeatAll                = opFeatCloneParent | opFeatCloneChild | opFeatGroup | opFeatSnapTrash
)

// Protection of a snapshot (RBD_PROTECTION_STATUS_*).
const (
	unprotected    = 0
	protectionLast = 3
)

// A parent links an image to what it was cloned from (cls_rbd_parent).
type parent struct {
	rbdspec.Parent
	Overlap *uint64 // of the head, in bytes; nil once the head is flattened
}

// noParent is what an image without a parent has.
func noParent() parent { return parent{Parent: rbdspec.Parent{Pool: -1, Snap: ceph.NoSnap}} }

func (p *parent) exists() bool {
	return p.Pool >= 0 && p.Image != "" && p.Snap != ceph.NoSnap
}

func (p *parent) overlap() uint64 {
	if p.Overlap == nil {
		return 0
	}
	return *p.Overlap
}

// Denc is cls_rbd_parent version 2, and reads version 1.
func (p *parent) Denc(c *denc.Coder) {
	s := c.Begin(2, 2)
	c.I64(&p.Pool)
	if s.V >= 2 {
		c.Str(&p.Namespace)
	}
	c.Str(&p.Image)
	p.Snap.Denc(c)
	if s.V >= 2 {
		denc.OptionalFunc(c, &p.Overlap, (*denc.Coder).U64)
	} else {
		p.Overlap = new(uint64)
		c.U64(p.Overlap)
	}
	s.End()
}

// A snap is the record of a snapshot in an image's header (cls_rbd_snap).
type snap struct {
	ID            ceph.SnapID
	Name          string
	Size          uint64
	Protection    uint8
	Flags         uint64
	Timestamp     ceph.Time
	Space         rbdspec.SnapSpace
	Children      uint32
	ParentOverlap *uint64
}

// Denc is cls_rbd_snap version 8. Records of earlier versions were written by OSDs before 14.
func (s *snap) Denc(c *denc.Coder) {
	sec := c.Begin(8, 8)
	s.ID.Denc(c)
	c.Str(&s.Name)
	c.U64(&s.Size)
	c.U8(&s.Protection)
	c.U64(&s.Flags)
	s.Space.Denc(c)
	s.Timestamp.Denc(c)
	c.U32(&s.Children)
	denc.OptionalFunc(c, &s.ParentOverlap, (*denc.Coder).U64)
	sec.End()
}

// dencInfo is SnapshotInfo, what clients get to see.
func (s *snap) dencInfo(c *denc.Coder) {
	sec := c.Begin(1, 1)
	s.ID.Denc(c)
	s.Space.Denc(c)
	c.Str(&s.Name)
	c.U64(&s.Size)
	s.Timestamp.Denc(c)
	c.U32(&s.Children)
	sec.End()
}

// A child is an image cloned from a snapshot.
type child = rbdspec.Child

func compareChildren(a, b child) int {
	return cmp.Or(cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.Namespace, b.Namespace),
		cmp.Compare(a.Image, b.Image))
}

// children are the clones of a snapshot, ascending and without duplicates.
type children []child

// Denc is set<ChildImageSpec>.
func (h *children) Denc(c *denc.Coder) {
	denc.List(c, (*[]child)(h))
	if !c.Encoding() {
		slices.SortFunc(*h, compareChildren)
		*h = slices.Compact(*h)
	}
}
