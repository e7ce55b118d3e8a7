package rbd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rbd/blocks"
	"glue/client/rbd/class"
	"glue/client/rbd/directory"
	"glue/client/rbd/layout"
	"glue/client/rbd/notice"
	"glue/client/stripe"
	"glue/cluster/rbdspec"
)

// What the state of a migration that is being aborted is described with. It tells who goes on
// after an interruption what the destination's objects mean: where there is none the source shows
// through, or it was removed after everything had been copied, or they are all in the source again
// and some of the destination are gone.
const (
	abortCopied   = "aborting after the copy"
	abortReverted = "data reverted"
)

// MigrationCommit makes the destination of an executed migration an image of its own and removes
// the source. The name is that of either end. EINVAL if there is no such migration.
func (s *Store) MigrationCommit(ctx context.Context, name string, p Progress) error {
	m, err := s.orInterrupted(ctx, name, rbdspec.MigrationExecuted)
	if err != nil {
		return err
	}
	if m.State != rbdspec.MigrationExecuted {
		return fmt.Errorf("the migration of image %s was not executed: %w", name, ceph.EINVAL)
	}
	if err := m.Supported(ctx); err != nil {
		return err
	}
	// From here on it cannot be aborted any more.
	if err := m.end(ctx, m.To); err != nil {
		return err
	}
	if err := m.removeSource(ctx, p); err != nil {
		return fmt.Errorf("remove the source of image %s: %w", m.To.Image, err)
	}
	return nil
}

// orInterrupted is Migration, also of what was interrupted in a state in which one end, or its
// name, may be gone already.
func (s *Store) orInterrupted(
	ctx context.Context, name string, state rbdspec.MigrationState,
) (*Migration, error) {
	m, err := s.Migration(ctx, name)
	if errors.Is(err, ceph.EINVAL) || errors.Is(err, ceph.ENOENT) {
		before, e := s.interrupted(ctx, name, state)
		if before != nil || e != nil {
			return before, e
		}
	}
	return m, err
}

// removeSource deletes the source with its snapshots.
func (m *Migration) removeSource(ctx context.Context, p Progress) error {
	src, err := m.open(ctx, m.From)
	if err == nil {
		err = src.removeSnapshots(ctx)
		if err == nil {
			err = src.destroy(ctx, p)
		}
		err = errors.Join(err, src.Close(ctx))
	}
	if err != nil && !errors.Is(err, ceph.ENOENT) {
		return err
	}
	return m.emptyTrash(ctx)
}

// emptyTrash removes the source's entry in the trash, also when ctx is over: nothing else is left.
func (m *Migration) emptyTrash(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closePatience)
	defer cancel()
	if err := directory.RemoveFromTrash(ctx, m.store(m.From).x, m.From.ImageID); err != nil {
		return fmt.Errorf("take image %s out of the trash: %w", m.From.Image, err)
	}
	return nil
}

// removeSnapshots removes a user's snapshots, the newest first, protected or not; EBUSY if there
// are others.
func (i *Image) removeSnapshots(ctx context.Context) error {
	list, err := i.Snapshots(ctx)
	if err != nil {
		return err
	}
	for _, s := range slices.Backward(list) {
		if s.Kind == SnapTrash { // an earlier removal came this far, if it has no clones
			if err := i.purgeTrashed(ctx, s.ID); err != nil {
				return err
			}
			continue
		}
		if s.Kind != SnapUser {
			return fmt.Errorf("snapshot %s is not a user's: %w", s.Name, ceph.EBUSY)
		}
		if s.Protected {
			if err := i.UnprotectSnapshot(ctx, s.Name); err != nil {
				return err
			}
		}
		if err := i.RemoveSnapshot(ctx, s.Name); err != nil {
			return err
		}
	}
	return nil
}

// MigrationAbort makes the source of a migration the image again, with what was written to the
// destination since, and removes the destination with the snapshots that were taken there. The name
// is that of either end. EINVAL if the image is not migrating, EBUSY if a client has the
// destination open.
func (s *Store) MigrationAbort(ctx context.Context, name string, p Progress) error {
	m, err := s.orInterrupted(ctx, name, rbdspec.MigrationAborting)
	if err != nil {
		return err
	}
	if err := m.Supported(ctx); err != nil {
		return err
	}
	src, err := m.open(ctx, m.From)
	if err != nil {
		return err
	}
	if !m.gone {
		err = m.undo(ctx, src, p)
	}
	if err = errors.Join(err, src.Close(ctx)); err != nil {
		return fmt.Errorf("abort the migration of image %s: %w", m.From.Image, err)
	}
	if err := m.forget(ctx); err != nil {
		return err
	}
	if err := directory.PutBack(ctx, m.store(m.From).x, m.From.Image, m.From.ImageID); err != nil {
		return err
	}
	// In this order, as the entry in the trash is what an interruption is found by.
	if err := m.end(ctx, m.From); err != nil {
		return err
	}
	return m.emptyTrash(ctx)
}

// undo brings what the destination has back into the source and removes it.
func (m *Migration) undo(ctx context.Context, src *Image, p Progress) error {
	dst, err := m.open(ctx, m.To)
	if err != nil {
		return err
	}
	defer dst.Close(ctx)
	if err := dst.unwatched(ctx); err != nil {
		return err
	}
	description := m.Description
	if m.State != rbdspec.MigrationAborting {
		switch description = ""; m.State {
		case rbdspec.MigrationExecuted:
			description = abortCopied
		case rbdspec.MigrationPreparing: // nobody could write to it
			description = abortReverted
		}
	}
	if err := m.setBoth(ctx, rbdspec.MigrationAborting, description); err != nil {
		return err
	}
	if description != abortReverted {
		if err := m.revert(ctx, src, dst, description == abortCopied, p); err != nil {
			return err
		}
		if err := m.setBoth(ctx, rbdspec.MigrationAborting, abortReverted); err != nil {
			return err
		}
	}
	if err := m.relink(ctx, src, dst, true); err != nil {
		return err
	}
	if err := m.regroup(ctx, m.To, m.From); err != nil {
		return err
	}
	if err := dst.removeSnapshots(ctx); err != nil {
		return err
	}
	return dst.destroy(ctx, p)
}

// forget gives the name of the destination back, unless it is another image's.
func (m *Migration) forget(ctx context.Context) error {
	s, e := m.store(m.To), m.To
	if id, err := directory.ID(ctx, s.x, e.Image); err != nil || id != e.ImageID {
		return class.UnlessGone(err)
	}
	return directory.Drop(ctx, s.x, e.Image, e.ImageID)
}

// revert writes to the source what the destination shows otherwise. Where the destination has no
// object it shows the source, unless all was copied.
func (m *Migration) revert(
	ctx context.Context, src, dst *Image, copied bool, p Progress,
) error {
	h, data, err := dst.fresh(ctx)
	if err != nil {
		return err
	}
	if h.Size > src.Size() { // it was enlarged
		if err := src.Resize(ctx, h.Size, false, nil); err != nil {
			return err
		}
	}
	s := steps{f: p, total: h.Objects(h.Size)}
	for first := uint64(0); first < s.total; first += flattenAtOnce {
		pieces := numbered(min(flattenAtOnce, s.total-first))
		err := each(ctx, pieces, func(ctx context.Context, e stripe.Piece) error {
			defer s.add(1)
			set, err := h.states(ctx, data, first+e.Object)
			if err != nil || !copied && stateAt(set, ceph.NoSnap) < 0 {
				return err
			}
			return revertObject(ctx, src, dst, h.Spans(first+e.Object, h.Size))
		})
		if err != nil {
			return fmt.Errorf("bring data back into the source: %w", err)
		}
	}
	return nil
}

// revertObject gives the source what the destination shows at the places of one of its objects.
func revertObject(ctx context.Context, src, dst *Image, places []layout.Span) error {
	h := dst.head()
	want, err := dst.contents(ctx, h, places)
	if err != nil {
		return err
	}
	have, err := src.contents(ctx, h, places)
	if err != nil {
		return err
	}
	for _, s := range places {
		a, b := have[s.Off:s.Off+s.Len], want[s.Off:s.Off+s.Len]
		write, zero := blocks.Differences(a, b)
		for _, e := range zero {
			if err := src.Discard(ctx, s.At+e.Off, e.Len); err != nil {
				return err
			}
		}
		for _, e := range write {
			_, err := src.Write(ctx, b[e.Off:e.Off+e.Len], int64(s.At+e.Off))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// relink gives the clones of the source's snapshots to the destination, or back. It may have been
// interrupted anywhere.
func (m *Migration) relink(ctx context.Context, src, dst *Image, back bool) error {
	for _, id := range slices.Sorted(maps.Keys(m.spec.SnapSeqs)) {
		from, to := m.From.at(ceph.SnapID(id)), m.To.at(ceph.SnapID(m.spec.SnapSeqs[id]))
		had, gets := src, dst
		if back {
			from, to, had, gets = to, from, dst, src
		}
		list, err := had.clones(ctx, from.Snap)
		if err != nil {
			return err
		}
		moved, err := gets.clones(ctx, to.Snap)
		if err != nil {
			return err
		}
		for n, child := range append(list, moved...) {
			attached := n >= len(list)
			if attached && slices.Contains(list, child) {
				continue
			}
			if err := m.relinkChild(ctx, child, from, to, attached); err != nil {
				return fmt.Errorf("clone id %s: %w", child.Image, err)
			}
		}
	}
	return nil
}

// relinkChild gives a clone the other parent, and the parents the clone; attached says that the
// new one lists it already.
func (m *Migration) relinkChild(
	ctx context.Context, child childSpec, from, to parentSpec, attached bool,
) error {
	x := m.s.at(child.Pool, child.Namespace).x
	h, err := readHeader(ctx, x, child.Image)
	if err != nil {
		return err
	}
	if h.Parent == nil || *h.Parent != from && *h.Parent != to {
		return fmt.Errorf("it is a clone of something else: %w", ceph.ESTALE)
	}
	if *h.Parent == from {
		overlap := h.HeadOverlap
		if len(h.Snapshots) > 0 && h.Snapshots[0].Overlap != nil {
			overlap = *h.Snapshots[0].Overlap
		}
		err := class.Change(ctx, x, layout.HeaderPrefix+child.Image, "parent_attach",
			class.Encode(func(c *denc.Coder) {
				reattach := true
				to.Denc(c)
				c.U64(&overlap)
				c.Bool(&reattach)
			}))
		if err != nil {
			return err
		}
	}
	if !attached {
		err = m.listChild(ctx, h, child, from, to)
	}
	notice.HeaderChanged(ctx, x, child.Image)
	return err
}

// listChild moves a clone from the list of one parent to that of another.
func (m *Migration) listChild(
	ctx context.Context, h *header, child childSpec, from, to parentSpec,
) error {
	if h.Operations&layout.OpCloneChild == 0 {
		x := m.s.at(child.Pool, child.Namespace).x
		err := class.Change(ctx, x, layout.ChildrenObject, "add_child", oldArg(&to, child.Image))
		if err != nil && !errors.Is(err, ceph.EEXIST) {
			return err
		}
		return class.UnlessGone(class.Change(ctx, x, layout.ChildrenObject, "remove_child",
			oldArg(&from, child.Image)))
	}
	entry := func(p parentSpec) []byte {
		return class.Encode(func(c *denc.Coder) {
			p.Snap.Denc(c)
			child.Denc(c)
		})
	}
	err := class.Change(ctx, m.s.at(to.Pool, to.Namespace).x, layout.HeaderPrefix+to.Image,
		"child_attach", entry(to))
	if err != nil && !errors.Is(err, ceph.EEXIST) {
		return err
	}
	return class.UnlessGone(class.Change(ctx, m.s.at(from.Pool, from.Namespace).x,
		layout.HeaderPrefix+from.Image, "child_detach", entry(from)))
}
