package rbdspec

import (
	"maps"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
)

// Kinds of snapshots (SNAPSHOT_NAMESPACE_TYPE_*).
const (
	SnapUser    uint32 = 0
	SnapGroup   uint32 = 1
	SnapTrash   uint32 = 2
	SnapMirror  uint32 = 3
	SnapUnknown uint32 = ^uint32(0)
)

// A SnapSpace says what a snapshot is for (SnapshotNamespace). Which fields count depends on the
// kind.
type SnapSpace struct {
	Kind uint32

	Group       Group // of a group's snapshot
	GroupSnapID string

	OriginalName string // before it went to the trash
	OriginalKind uint32

	Mirror MirrorSpace
}

// Denc is version 1.
func (p *SnapSpace) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.U32(&p.Kind)
	switch p.Kind {
	case SnapUser:
	case SnapGroup:
		c.I64(&p.Group.Pool)
		c.Str(&p.Group.ID)
		c.Str(&p.GroupSnapID)
	case SnapTrash:
		c.Str(&p.OriginalName)
		c.U32(&p.OriginalKind)
	case SnapMirror:
		p.Mirror.denc(c)
	default:
		if !c.Encoding() {
			p.Kind = SnapUnknown
		}
	}
	s.End()
}

// Equal compares as the names of snapshots are held apart: all trash is one namespace.
func (p *SnapSpace) Equal(q *SnapSpace) bool {
	if p.Kind != q.Kind {
		return false
	}
	switch p.Kind {
	case SnapGroup:
		return p.Group == q.Group && p.GroupSnapID == q.GroupSnapID
	case SnapMirror:
		return p.Mirror.equal(&q.Mirror)
	}
	return true
}

// A MirrorSpace is the state of a mirror snapshot (MirrorSnapshotNamespace).
type MirrorSpace struct {
	State            uint8 // MIRROR_SNAPSHOT_STATE_*
	Complete         bool
	Peers            []string // UUIDs of those that need it, ascending
	PrimaryUUID      string   // of a copy
	PrimarySnap      ceph.SnapID
	LastCopiedObject uint64
	SnapSeqs         map[uint64]uint64
}

func (m *MirrorSpace) denc(c *denc.Coder) {
	c.U8(&m.State)
	c.Bool(&m.Complete)
	denc.ListFunc(c, &m.Peers, (*denc.Coder).Str)
	c.Str(&m.PrimaryUUID)
	m.PrimarySnap.Denc(c)
	c.U64(&m.LastCopiedObject)
	denc.MapFunc(c, &m.SnapSeqs, (*denc.Coder).U64, (*denc.Coder).U64)
	if !c.Encoding() { // a set
		slices.Sort(m.Peers)
		m.Peers = slices.Compact(m.Peers)
	}
}

func (m *MirrorSpace) equal(o *MirrorSpace) bool {
	return m.State == o.State && m.Complete == o.Complete && slices.Equal(m.Peers, o.Peers) &&
		m.PrimaryUUID == o.PrimaryUUID && m.PrimarySnap == o.PrimarySnap &&
		m.LastCopiedObject == o.LastCopiedObject && maps.Equal(m.SnapSeqs, o.SnapSeqs)
}
