package rbd

import (
	"context"
	"errors"
	"fmt"

	"glue/ceph"
	"glue/client/rados"
	"glue/client/rbd/journal"
	"glue/client/rbd/objectmap"
	"glue/client/stripe"
)

// Rollback makes the image what it was at a snapshot, its size too. Interrupted, it can be run
// again.
func (i *Image) Rollback(ctx context.Context, name string, p Progress) error {
	return i.withSnap(ctx, name, func(
		h *header, data *rados.IOCtx, m *objectmap.Map, s *Snapshot,
	) error {
		return i.operate(ctx, journal.Event{Kind: journal.SnapRollback, Name: name},
			func() error { return i.rollback(ctx, h, data, m, s, p) })
	})
}

func (i *Image) rollback(
	ctx context.Context, h *header, data *rados.IOCtx, m *objectmap.Map, s *Snapshot, p Progress,
) (err error) {
	id, name := s.ID, s.Name
	if s.Size != h.Size {
		if err := i.resize(ctx, h, data, m, s.Size, nil); err != nil {
			return err
		}
		if h, data, err = i.fresh(ctx); err != nil {
			return err
		}
		if s = h.ByID(id); s == nil {
			return fmt.Errorf("snapshot %s of image %s was removed: %w", name, i.name, ceph.ENOENT)
		}
	}
	past := h.at(s)
	if err := i.openParent(ctx, past); err != nil {
		return err
	}
	final, err := i.rollbackMap(ctx, h, past, m)
	if err != nil {
		return err
	}
	if err := i.rollbackObjects(ctx, h, past, data, p); err != nil {
		return fmt.Errorf("roll image %s back to snapshot %s: %w", i.name, name, err)
	}
	if m != nil {
		if err := m.Save(ctx, final); err != nil {
			return err
		}
	}
	return i.reread(ctx)
}

// rollbackMap makes the object map cover what exists before and after, and returns what it is to be
// at the end.
func (i *Image) rollbackMap(
	ctx context.Context, h, past *header, m *objectmap.Map,
) (*objectmap.Vector, error) {
	if m == nil {
		return nil, nil
	}
	old, err := i.existing(ctx, past)
	if err != nil {
		return nil, err
	}
	var final, both objectmap.Vector
	final.Resize(h.Objects(h.Size))
	both.Resize(final.Len())
	for n := range final.Len() {
		// An object that is rolled back is written, even if it was not changed since: it is not
		// clean. Without a map of the snapshot every one may be there, as may one that is filled
		// from the snapshot's parent.
		state := objectmap.Exists
		if old != nil && old.Get(n) == objectmap.Nonexistent && !h.lost(past, n) {
			state = objectmap.Nonexistent
		}
		final.Set(n, state)
		if state != objectmap.Nonexistent || m.Get(n) != objectmap.Nonexistent {
			both.Set(n, objectmap.Exists)
		}
	}
	return &final, m.Save(ctx, &both)
}

// lost says whether the image sees less of an object in the parent than it did in the past, because
// it was flattened or shrunk since.
func (h *header) lost(past *header, object uint64) bool {
	return bytesOf(past.inParent(object)) > bytesOf(h.inParent(object))
}

// rollbackObjects rolls every object back. What only the snapshot sees in the parent is filled from
// there.
func (i *Image) rollbackObjects(
	ctx context.Context, h, past *header, data *rados.IOCtx, p Progress,
) error {
	pieces := numbered(h.Objects(h.Size))
	s := steps{f: p, total: uint64(len(pieces))}
	return each(ctx, pieces, func(ctx context.Context, e stripe.Piece) error {
		defer s.add(1)
		oid := h.ObjectName(e.Object)
		err := data.Rollback(ctx, oid, past.Snap)
		if err != nil && !errors.Is(err, ceph.ENOENT) {
			return fmt.Errorf("object %d: %w", e.Object, err)
		}
		if h.lost(past, e.Object) {
			runs, err := past.parentData(ctx, past.inParent(e.Object))
			if err != nil || len(runs.Extents) == 0 {
				return err
			}
			if err := data.Operate(ctx, oid, sparseCopyup(new(rados.WriteOp), runs)); err != nil {
				return fmt.Errorf("fill object %d: %w", e.Object, err)
			}
		}
		return nil
	})
}

// numbered is one piece for each of the first n objects.
func numbered(n uint64) []stripe.Piece {
	out := make([]stripe.Piece, n)
	for k := range out {
		out[k].Object = uint64(k)
	}
	return out
}
