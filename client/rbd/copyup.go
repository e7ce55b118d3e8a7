package rbd

import (
	"context"
	"errors"
	"fmt"
	"io"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd/blocks"
	"glue/client/rbd/class"
	"glue/client/rbd/layout"
	"glue/client/rbd/objectmap"
	"glue/wire/message"
)

// inParent is what of an object lies within the overlap with the parent; none without a parent.
func (h *header) inParent(object uint64) []layout.Span {
	if h.from == nil {
		return nil
	}
	return h.Spans(object, h.Overlap)
}

// readParent fills into with the image's bytes at off as the parent has them.
func (h *header) readParent(ctx context.Context, off uint64, into []byte) error {
	n := 0
	if h.from != nil && off < h.Overlap {
		n = int(min(uint64(len(into)), h.Overlap-off))
		var err error
		n, err = h.from.Read(ctx, into[:n], int64(off))
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the parent: %w", err)
		}
	}
	clear(into[n:])
	return nil
}

// parentData is what the parent holds for an object, without its zeros.
func (h *header) parentData(ctx context.Context, covered []layout.Span) (rados.Sparse, error) {
	var out rados.Sparse
	for _, s := range covered {
		err := h.from.Sparse(ctx, s.At, s.Len, func(at uint64, p []byte) error {
			for _, e := range blocks.Data(p) {
				out.Extents = append(out.Extents,
					message.Extent{Off: s.Off + at - s.At + e.Off, Len: e.Len})
				out.Data = append(out.Data, p[e.Off:e.Off+e.Len]...)
			}
			return nil
		})
		if err != nil {
			return out, fmt.Errorf("read the parent: %w", err)
		}
	}
	return out, nil
}

// sparseCopyup makes an object from runs, unless it is there.
func sparseCopyup(op *rados.WriteOp, runs rados.Sparse) *rados.WriteOp {
	return op.Exec("rbd", "sparse_copyup", class.Encode(func(c *denc.Coder) {
		denc.List(c, &runs.Extents)
		c.Blob(&runs.Data)
	}))
}

// A target is where a change of a data object goes.
type target struct {
	h    *header
	data *rados.IOCtx
	m    *objectmap.Map // nil without
}

// announce notes in the object map that an object is about to exist, and returns what the map said
// before, objectmap.Nonexistent or something else.
func (t target) announce(ctx context.Context, object uint64) (state uint8, err error) {
	if t.m == nil {
		return objectmap.Pending, nil // not known
	}
	state = t.m.Get(object)
	return state, t.m.Mark(ctx, object, objectmap.Exists, nil)
}

// ifThere changes one object of which the map said state, ENOENT without it.
func (t target) ifThere(
	ctx context.Context, object uint64, state uint8, change func(*rados.WriteOp),
) error {
	if state == objectmap.Nonexistent {
		return ceph.ENOENT
	}
	// Another writer may have marked the object and not made it yet: always ask.
	op := new(rados.WriteOp).AssertExists()
	change(op)
	return t.data.Operate(ctx, t.h.ObjectName(object), op)
}

// put changes one object. What the object shows of the parent is copied into it first, unless the
// change leaves nothing of that; with snapshots they have to keep it nevertheless.
func (t target) put(
	ctx context.Context, object uint64, whole bool, change func(*rados.WriteOp),
) error {
	state, err := t.announce(ctx, object)
	if err != nil {
		return err
	}
	covered := t.h.inParent(object)
	if len(covered) == 0 || whole && len(t.h.SnapIDs) == 0 {
		op := new(rados.WriteOp)
		if state != objectmap.Exists {
			op.AllocHint(t.h.ObjectBytes(), t.h.ObjectBytes(), 0)
		}
		change(op)
		return t.data.Operate(ctx, t.h.ObjectName(object), op)
	}
	if err := t.ifThere(ctx, object, state, change); !errors.Is(err, ceph.ENOENT) {
		return err
	}
	return t.copyUp(ctx, object, covered, change)
}

// copyUp makes an object with the parent's data and changes it. If the image's snapshots are to
// become free of the parent by a flatten, the copy is made as if it was older than they are.
func (t target) copyUp(
	ctx context.Context, object uint64, covered []layout.Span, change func(*rados.WriteOp),
) error {
	runs, err := t.h.parentData(ctx, covered)
	if err != nil {
		return err
	}
	oid := t.h.ObjectName(object)
	op := new(rados.WriteOp)
	switch {
	case len(runs.Extents) == 0:
	case t.deep():
		if err := t.markSnaps(ctx, object); err != nil {
			return err
		}
		old := t.data.WithSnapContext(0, nil)
		if err := old.Operate(ctx, oid, sparseCopyup(new(rados.WriteOp), runs)); err != nil {
			return fmt.Errorf("copy object %d from the parent: %w", object, err)
		}
	default:
		sparseCopyup(op, runs)
	}
	if change != nil {
		change(op)
	}
	if op.Len() == 0 {
		return nil
	}
	return t.data.Operate(ctx, oid, op)
}

// deep says whether a copy from the parent is for the snapshots as well.
func (t target) deep() bool { return len(t.h.SnapIDs) > 0 && t.h.Features.Has(DeepFlatten) }

// markSnaps notes in the object maps of the snapshots that an object is about to exist in them.
func (t target) markSnaps(ctx context.Context, object uint64) error {
	if t.m == nil {
		return nil
	}
	state := objectmap.Exists
	for n := range t.h.Snapshots {
		s := &t.h.Snapshots[n]
		if object >= t.h.Objects(s.Size) {
			continue
		}
		if err := t.markSnap(ctx, s, object, state); err != nil {
			return err
		}
		if t.h.Features.Has(FastDiff) {
			state = objectmap.Clean // from here on nothing changes it
		}
	}
	return nil
}

// markSnap notes in the object map of a snapshot that an object is about to exist in it.
func (t target) markSnap(ctx context.Context, s *Snapshot, object uint64, state uint8) error {
	if object >= t.h.Objects(s.Size) {
		return nil
	}
	if err := t.m.MarkSnap(ctx, s.ID, object, state); err != nil {
		return fmt.Errorf("object map of snapshot %s: %w", s.Name, err)
	}
	return nil
}

// fill copies an object from the parent unless it exists.
func (t target) fill(ctx context.Context, object uint64) error {
	covered := t.h.inParent(object)
	if len(covered) == 0 {
		return nil
	}
	// The map may say so of an object whose maker died first: what exists is asked for.
	if t.m == nil || t.m.MayExist(object) {
		_, err := t.data.Stat(ctx, t.h.ObjectName(object))
		if !errors.Is(err, ceph.ENOENT) {
			return err
		}
	}
	runs, err := t.h.parentData(ctx, covered)
	if err != nil || len(runs.Extents) == 0 {
		return err
	}
	if t.m != nil {
		state := objectmap.Exists
		if t.deep() && t.h.Features.Has(FastDiff) {
			state = objectmap.Clean
		}
		if err := t.m.Mark(ctx, object, state, nil); err != nil {
			return err
		}
	}
	data := t.data
	if t.deep() {
		if err := t.markSnaps(ctx, object); err != nil {
			return err
		}
		data = data.WithSnapContext(0, nil)
	}
	err = data.Operate(ctx, t.h.ObjectName(object), sparseCopyup(new(rados.WriteOp), runs))
	if err != nil {
		return fmt.Errorf("copy object %d from the parent: %w", object, err)
	}
	return nil
}
