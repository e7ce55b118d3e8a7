package layout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd/class"
	"glue/cluster/rbdspec"
)

// What a snapshot is for.
const (
	SnapUser   = rbdspec.SnapUser
	SnapGroup  = rbdspec.SnapGroup
	SnapTrash  = rbdspec.SnapTrash // removed, but clones still need it
	SnapMirror = rbdspec.SnapMirror
)

// Protection of a snapshot (RBD_PROTECTION_STATUS_*).
const (
	Unprotected  = 0
	Unprotecting = 1
	Protected    = 2
)

// Operations that an image takes part in (RBD_OPERATION_FEATURE_*).
const (
	OpCloneParent = 1 << 0
	OpCloneChild  = 1 << 1
	OpGroup       = 1 << 2
	OpSnapTrash   = 1 << 3
)

// OperationNames lists the names of what an image takes part in.
func OperationNames(f uint64) []string {
	out := []string{}
	for bit, name := range []string{"clone-parent", "clone-child", "group", "snap-trash"} {
		if f&(1<<bit) != 0 {
			out = append(out, name)
		}
	}
	return out
}

// A Snapshot is a snapshot of an image.
type Snapshot struct {
	ID        ceph.SnapID
	Name      string
	Size      uint64
	Created   time.Time
	Kind      uint32 // SnapUser, …
	Protected bool
	Children  uint32 // clones of the second kind
	Flags     uint64

	Overlap    *uint64 // of the parent; nil without one
	Protection uint8   // Unprotected, …
	Space      rbdspec.SnapSpace
}

// DencInfo is SnapshotInfo.
func (s *Snapshot) DencInfo(c *denc.Coder) {
	var created ceph.Time
	sec := c.Begin(1, 1)
	s.ID.Denc(c)
	s.Space.Denc(c)
	c.Str(&s.Name)
	c.U64(&s.Size)
	created.Denc(c)
	c.U32(&s.Children)
	sec.End()
	s.Kind, s.Created = s.Space.Kind, created.Go()
}

// snapsAtATime is how many snapshots' records are read in one request.
const snapsAtATime = 16

// readSnaps reads the records of the snapshots in h.snaps; ENOENT if one was removed meanwhile.
func (h *Header) readSnaps(ctx context.Context, x *rados.IOCtx, oid string) error {
	h.Snapshots = make([]Snapshot, len(h.SnapIDs))
	for begin := 0; begin < len(h.SnapIDs); begin += snapsAtATime {
		end := min(begin+snapsAtATime, len(h.SnapIDs))
		var r rados.ReadOp
		answers := make([][4]*[]byte, end-begin)
		for n := range answers {
			id := class.U64(uint64(h.SnapIDs[begin+n]))
			for k, method := range []string{"snapshot_get", "get_flags", "get_protection_status",
				"parent_overlap_get"} {
				answers[n][k] = r.Exec("rbd", method, id)
			}
		}
		if err := x.OperateRead(ctx, oid, &r); err != nil {
			return fmt.Errorf("read the image's snapshots: %w", err)
		}
		for n, a := range answers {
			// The context lists the newest first, we the oldest.
			s := &h.Snapshots[len(h.SnapIDs)-1-begin-n]
			if err := errors.Join(
				class.Decode(*a[0], s.DencInfo),
				class.Decode(*a[1], func(c *denc.Coder) { c.U64(&s.Flags) }),
				class.Decode(*a[2], func(c *denc.Coder) { c.U8(&s.Protection) }),
				class.Decode(*a[3], func(c *denc.Coder) {
					denc.OptionalFunc(c, &s.Overlap, (*denc.Coder).U64)
				}),
			); err != nil {
				return fmt.Errorf("read snapshot %d of the image: %w", h.SnapIDs[begin+n], err)
			}
			s.Protected = s.Protection != Unprotected
		}
	}
	return nil
}

// OwnedByImage says whether a snapshot goes with its image: one for mirroring, or one whose removal
// was interrupted after its last clone was gone.
func (s *Snapshot) OwnedByImage() bool {
	return s.Kind == SnapMirror || s.Kind == SnapTrash && s.Children == 0
}
