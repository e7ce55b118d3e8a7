package rbd

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"glue/ceph"
	"glue/client/rbd/journal"
	"glue/client/rbd/layout"
	"glue/client/rbd/objectmap"
)

// An again does again what the image's journal has: the lock is held and nobody is inside.
type again struct {
	i *Image
	m *objectmap.Map
}

// Change does a change of data.
func (a again) Change(ctx context.Context, e journal.Event) error {
	h, data, err := a.i.fresh(ctx)
	if err != nil || e.Off >= h.Size || e.Len == 0 {
		return err
	}
	return (target{h, data, a.m}).replay(ctx, e, min(e.Len, h.Size-e.Off))
}

// Operate does an operation.
func (a again) Operate(ctx context.Context, e journal.Event) error {
	if err := a.i.refresh(ctx); err != nil {
		return err
	}
	h, data, err := a.i.fresh(ctx)
	if err == nil {
		err = a.i.redo(ctx, target{h, data, a.m}, e)
	}
	return cmp.Or(err, a.i.reread(ctx))
}

// replay does what an event says to length bytes.
func (t target) replay(ctx context.Context, e journal.Event, length uint64) error {
	pieces := t.h.Split(e.Off, length)
	switch e.Kind {
	case journal.Write:
		if uint64(len(e.Data)) < length {
			return fmt.Errorf("it has %d of %d bytes: %w", len(e.Data), length, ceph.EBADMSG)
		}
		return t.writeAll(ctx, pieces, e.Data[:length])
	case journal.Discard:
		whole := journal.WholeUnits(pieces, t.h.ObjectBytes(), uint64(e.Granularity))
		return each(ctx, whole, t.discard)
	case journal.WriteSame:
		if len(e.Data) == 0 {
			return fmt.Errorf("it has no data: %w", ceph.EBADMSG)
		}
		return t.writeSame(ctx, pieces, e.Data)
	case journal.CompareAndWrite:
		if uint64(len(e.Data)) < length || uint64(len(e.Compare)) < length || len(pieces) != 1 {
			return fmt.Errorf("it has %d bytes to compare and %d to write, of %d: %w",
				len(e.Compare), len(e.Data), length, ceph.EBADMSG)
		}
		return t.compareAt(ctx, pieces[0], e.Off, e.Compare[:length], e.Data[:length])
	}
	return nil // what is not known was of no use to librbd either
}

// redo does an operation that the journal has.
func (i *Image) redo(ctx context.Context, t target, e journal.Event) error {
	switch e.Kind {
	case journal.SnapCreate:
		_, err := i.makeSnap(ctx, t.h, t.data, t.m, e.Name, e.Space)
		return err
	case journal.Resize:
		if e.Number == t.h.Size {
			return nil
		}
		return i.resize(ctx, t.h, t.data, t.m, e.Number, nil)
	case journal.Flatten:
		return i.flattenAll(ctx, t)
	case journal.SnapLimit:
		return i.putSnapshotLimit(ctx, e.Number)
	case journal.MetadataSet:
		return i.putMetadata(ctx, e.Name, []byte(e.Value))
	case journal.MetadataRemove:
		return i.dropMetadata(ctx, e.Name)
	case journal.UpdateFeatures:
		return i.redoFeatures(ctx, t.h, Features(e.Number), e.Switched)
	case journal.Rename:
		return i.redoRename(ctx, e.Name)
	}
	return i.redoSnap(ctx, t, e)
}

// redoSnap does an operation with a snapshot that is there.
func (i *Image) redoSnap(ctx context.Context, t target, e journal.Event) error {
	n := slices.IndexFunc(t.h.Snapshots, func(s Snapshot) bool {
		if e.Kind == journal.SnapRename {
			return s.ID == e.SnapID || s.Kind == SnapUser && s.Name == e.OldName
		}
		return s.Name == e.Name && s.Space.Equal(&e.Space) || e.Kind == journal.SnapRemove &&
			s.Kind == SnapTrash && s.Space.OriginalName == e.Name && s.Children == 0 // half removed
	})
	if n < 0 {
		return fmt.Errorf("there is no snapshot %s: %w", e.Name, ceph.ENOENT)
	}
	s := &t.h.Snapshots[n]
	switch {
	case e.Kind == journal.SnapRemove && !s.Protected:
		return i.takeSnap(ctx, t.h, t.m, s)
	case e.Kind == journal.SnapRename && s.Name != e.Name:
		return i.changeName(ctx, t.h, s, e.Name)
	case e.Kind == journal.SnapProtect && !s.Protected:
		return i.setProtection(ctx, t.h, s, layout.Protected)
	case e.Kind == journal.SnapUnprotect && s.Protected:
		return i.unprotect(ctx, t.h, s)
	case e.Kind == journal.SnapRollback:
		return i.rollback(ctx, t.h, t.data, t.m, s, nil)
	}
	return nil
}
