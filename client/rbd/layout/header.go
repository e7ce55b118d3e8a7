package layout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd/class"
	"glue/cluster/rbdspec"
)

// A Header is what the header object of an image says.
type Header struct {
	Striping
	Size       uint64
	Prefix     string
	Features   Features
	Flags      uint64
	Operations uint64
	SnapSeq    ceph.SnapID
	SnapIDs    []ceph.SnapID // newest first
	Snapshots  []Snapshot    // oldest first
	DataPool   int64         // -1: the image's own
	Created    time.Time
	Accessed   time.Time
	Modified   time.Time

	Parent      *rbdspec.Parent
	HeadOverlap uint64      // with the parent, of the image itself; 0 once it was flattened
	Overlap     uint64      // of what is open, the image or a snapshot
	Snap        ceph.SnapID // what is open, NoSnap for the image itself
}

// Read reads the header of an image by its id.
func Read(ctx context.Context, x *rados.IOCtx, id string) (*Header, error) {
	const tries = 10
	oid := HeaderPrefix + id
	for try := 1; ; try++ {
		h := &Header{DataPool: -1, Snap: ceph.NoSnap}
		if err := h.readFixed(ctx, x, oid); err != nil {
			return nil, err
		}
		if err := h.readMutable(ctx, x, oid); err != nil {
			return nil, err
		}
		err := h.readSnaps(ctx, x, oid)
		if errors.Is(err, ceph.ENOENT) && try < tries {
			continue // a snapshot was removed in between
		}
		if err != nil {
			return nil, err
		}
		return h, h.readOptional(ctx, x, oid)
	}
}

func (h *Header) readFixed(ctx context.Context, x *rados.IOCtx, oid string) error {
	var r rados.ReadOp
	prefix := r.Exec("rbd", "get_object_prefix", nil)
	if err := x.OperateRead(ctx, oid, &r); err != nil {
		return fmt.Errorf("read image header: %w", err)
	}
	return class.Decode(*prefix, func(c *denc.Coder) { c.Str(&h.Prefix) })
}

// readMutable reads what other clients may change.
func (h *Header) readMutable(ctx context.Context, x *rados.IOCtx, oid string) error {
	var r rados.ReadOp
	size := r.Exec("rbd", "get_size", class.Head())
	features := r.Exec("rbd", "get_features", class.Encode(func(c *denc.Coder) {
		c.U64Const(uint64(ceph.NoSnap))
		c.U8Const(0)
	}))
	flags := r.Exec("rbd", "get_flags", class.Head())
	snapc := r.Exec("rbd", "get_snapcontext", nil)
	operations := r.Exec("rbd", "op_features_get", nil)
	r.FailOK()
	overlap := r.Exec("rbd", "parent_overlap_get", class.Head())
	r.FailOK()
	if err := x.OperateRead(ctx, oid, &r); err != nil {
		return fmt.Errorf("read image header: %w", err)
	}
	return errors.Join(
		class.Decode(*size, func(c *denc.Coder) {
			c.U8(&h.Order)
			c.U64(&h.Size)
		}),
		class.Decode(*features, func(c *denc.Coder) { c.U64((*uint64)(&h.Features)) }),
		class.Decode(*flags, func(c *denc.Coder) { c.U64(&h.Flags) }),
		class.Decode(*snapc, func(c *denc.Coder) {
			h.SnapSeq.Denc(c)
			denc.List(c, &h.SnapIDs)
		}),
		optional(*operations, func(c *denc.Coder) { c.U64(&h.Operations) }),
		optional(*overlap, func(c *denc.Coder) {
			var n *uint64
			if denc.OptionalFunc(c, &n, (*denc.Coder).U64); n != nil {
				h.HeadOverlap, h.Overlap = *n, *n
			}
		}),
	)
}

// optional decodes an answer unless there is none.
func optional(b []byte, f func(*denc.Coder)) error {
	if len(b) == 0 {
		return nil
	}
	return class.Decode(b, f)
}

// readOptional reads what older images, or those without the feature, do not have.
func (h *Header) readOptional(ctx context.Context, x *rados.IOCtx, oid string) error {
	h.StripeUnit, h.StripeCount = h.ObjectBytes(), 1
	var r rados.ReadOp
	created := r.Exec("rbd", "get_create_timestamp", nil)
	r.FailOK()
	accessed := r.Exec("rbd", "get_access_timestamp", nil)
	r.FailOK()
	modified := r.Exec("rbd", "get_modify_timestamp", nil)
	r.FailOK()
	parent := r.Exec("rbd", "parent_get", nil)
	r.FailOK()
	if err := x.OperateRead(ctx, oid, &r); err != nil {
		return fmt.Errorf("read image header: %w", err)
	}
	for _, t := range []struct {
		raw []byte
		to  *time.Time
	}{{*created, &h.Created}, {*accessed, &h.Accessed}, {*modified, &h.Modified}} {
		if len(t.raw) > 0 {
			_ = class.Decode(t.raw, func(c *denc.Coder) { // a time stamp is not worth failing
				var v ceph.Time
				v.Denc(c)
				*t.to = v.Go()
			})
		}
	}
	var spec rbdspec.Parent
	if err := optional(*parent, spec.Denc); err != nil {
		return fmt.Errorf("parent of the image: %w", err)
	}
	if len(*parent) > 0 && spec.Pool >= 0 {
		h.Parent = &spec
	}
	return h.readPlacement(ctx, x, oid)
}

func (h *Header) readPlacement(ctx context.Context, x *rados.IOCtx, oid string) error {
	if h.Features.Has(DataPool) {
		if err := class.Call(ctx, x, oid, "get_data_pool", nil, func(c *denc.Coder) {
			c.I64(&h.DataPool)
		}); err != nil {
			return fmt.Errorf("data pool of the image: %w", err)
		}
	}
	if h.Features.Has(StripingV2) {
		err := class.Call(ctx, x, oid, "get_stripe_unit_count", nil, func(c *denc.Coder) {
			c.U64(&h.StripeUnit)
			c.U64(&h.StripeCount)
		})
		if err != nil {
			return fmt.Errorf("striping of the image: %w", err)
		}
	}
	if h.Order < MinOrder-4 || h.Order > 63 || h.StripeUnit == 0 || h.StripeCount == 0 ||
		h.ObjectBytes()%h.StripeUnit != 0 {
		return fmt.Errorf("image header makes no sense (order %d, striping %d × %d): %w",
			h.Order, h.StripeUnit, h.StripeCount, ceph.EINVAL)
	}
	return nil
}

// Find is the user's snapshot of a name.
func (h *Header) Find(image, name string) (*Snapshot, error) {
	for n := range h.Snapshots {
		if s := &h.Snapshots[n]; s.Kind == SnapUser && s.Name == name {
			return s, nil
		}
	}
	return nil, fmt.Errorf("image %s has no snapshot %q: %w", image, name, ceph.ENOENT)
}

// ByID is the snapshot of a number, nil without it.
func (h *Header) ByID(id ceph.SnapID) *Snapshot {
	for n := range h.Snapshots {
		if h.Snapshots[n].ID == id {
			return &h.Snapshots[n]
		}
	}
	return nil
}

// UserSnapshots lists the user's snapshots up to what is open, oldest first.
func (h *Header) UserSnapshots() (out []Snapshot) {
	for _, s := range h.Snapshots {
		if s.Kind == SnapUser && s.ID <= h.Snap {
			out = append(out, s)
		}
	}
	return out
}

// NeedsParent says whether the head, or a snapshot other than one, still reads from the parent.
func (h *Header) NeedsParent(but ceph.SnapID) bool {
	if h.HeadOverlap > 0 {
		return true
	}
	for _, s := range h.Snapshots {
		if s.ID != but && s.Overlap != nil {
			return true
		}
	}
	return false
}

// MirrorPrimary is the state of a mirror snapshot of which this cluster has the primary copy
// (MIRROR_SNAPSHOT_STATE_PRIMARY); the others are of copies, or of what was demoted.
const MirrorPrimary = 0

// Primary says whether the newest mirror snapshot makes this the primary copy.
func (h *Header) Primary() bool {
	for _, s := range slices.Backward(h.Snapshots) {
		if s.Kind == SnapMirror {
			return s.Space.Mirror.State == MirrorPrimary
		}
	}
	return false
}

// ObjectName is the name of a data object.
func (h *Header) ObjectName(object uint64) string {
	return fmt.Sprintf("%s.%016x", h.Prefix, object)
}
