package rbd

import (
	"context"
	"errors"
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd/class"
	"glue/client/rbd/directory"
	"glue/client/rbd/journal"
	"glue/client/rbd/layout"
	"glue/client/rbd/notice"
	"glue/client/rbd/objectmap"
	"glue/cluster/rbdspec"
)

// at is the header as a snapshot sees the image.
func (h *header) at(s *Snapshot) *header {
	v := *h
	v.Snap, v.Size, v.Flags, v.Overlap = s.ID, s.Size, s.Flags, 0
	if s.Overlap != nil {
		v.Overlap = *s.Overlap
	}
	return &v
}

// Snapshots lists the image's snapshots, oldest first.
func (i *Image) Snapshots(ctx context.Context) ([]Snapshot, error) {
	h, _, err := i.fresh(ctx)
	if err != nil {
		return nil, err
	}
	return append([]Snapshot(nil), h.Snapshots...), nil
}

// UserSnapshots lists the user's snapshots up to what is open, oldest first.
func (i *Image) UserSnapshots(ctx context.Context) ([]Snapshot, error) {
	h, _, err := i.fresh(ctx)
	if err != nil {
		return nil, err
	}
	return h.UserSnapshots(), nil
}

// AtSnapshot is the snapshot that is open; false for the image itself.
func (i *Image) AtSnapshot() (Snapshot, bool) {
	h := i.head()
	if s := h.ByID(h.Snap); s != nil {
		return *s, true
	}
	return Snapshot{}, false
}

// Snapshot finds a snapshot by name.
func (i *Image) Snapshot(ctx context.Context, name string) (Snapshot, error) {
	h, _, err := i.fresh(ctx)
	if err != nil {
		return Snapshot{}, err
	}
	s, err := h.Find(i.name, name)
	if err != nil {
		return Snapshot{}, err
	}
	return *s, nil
}

// alone is writable for what no write may happen next to: it waits for this client's, and the lock
// keeps others away.
func (i *Image) alone(
	ctx context.Context,
) (*header, *rados.IOCtx, *objectmap.Map, func(), error) {
	h, data, m, leave, err := i.enter(ctx)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	i.io.Lock()
	done := func() {
		i.stale.Store(true) // a change whose answer did not come may have been made
		i.io.Unlock()
		leave()
	}
	if err = i.drain(ctx); err == nil {
		h, data, err = i.changeable(ctx)
	}
	if err != nil {
		done()
		return nil, nil, nil, nil, err
	}
	return h, data, m, done, nil
}

// withSnap calls f alone, with a snapshot by its name.
func (i *Image) withSnap(
	ctx context.Context, name string,
	f func(h *header, data *rados.IOCtx, m *objectmap.Map, s *Snapshot) error,
) error {
	h, data, m, done, err := i.alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	s, err := h.Find(i.name, name)
	if err != nil {
		return err
	}
	return f(h, data, m, s)
}

// reread takes in a change that this client has made to the header and tells the others.
func (i *Image) reread(ctx context.Context) error {
	err := i.refresh(ctx)
	notice.HeaderChanged(ctx, i.x, i.id)
	return err
}

// changeSnap changes the header under the lock.
func (i *Image) changeSnap(
	ctx context.Context, h *header, what, name, method string, in []byte,
) error {
	op := i.guard(h).Exec("rbd", method, in)
	if err := i.x.Operate(ctx, layout.HeaderPrefix+i.id, op); err != nil {
		return fmt.Errorf("%s snapshot %s of image %s: %w", what, name, i.name, err)
	}
	return nil
}

// CreateSnapshot keeps the image as it is now under a name; EEXIST if that is taken. Writes that
// have returned are in it, those under way in this client are waited for.
func (i *Image) CreateSnapshot(ctx context.Context, name string) error {
	return i.CreateQuietSnapshot(ctx, name, QuiesceDefault)
}

// CreateQuietSnapshot is CreateSnapshot with a word on what the image's other clients do meanwhile.
// If they are required to become quiet, the errors are those of a client that can't, and ETIMEDOUT.
func (i *Image) CreateQuietSnapshot(ctx context.Context, name string, how Quiesce) error {
	if err := directory.CheckName(name); err != nil {
		return err
	}
	if err := i.noSnapshot(ctx, name); err != nil { // nobody is to be disturbed for that
		return err
	}
	q, err := i.quiesce(ctx, how)
	if err != nil {
		return err
	}
	defer q.end()
	h, data, m, done, err := i.alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := errors.Join(q.lasts(), i.noSnapshot(ctx, name)); err != nil {
		return err
	}
	id, err := i.keepSnap(ctx, h, data, m, name, rbdspec.SnapSpace{})
	if err != nil {
		err = fmt.Errorf("create snapshot %s of image %s: %w", name, i.name, err)
	}
	if id == 0 {
		return err
	}
	return errors.Join(err, i.reread(ctx))
}

// noSnapshot fails with EEXIST if there is a snapshot of the name.
func (i *Image) noSnapshot(ctx context.Context, name string) error {
	h, _, err := i.changeable(ctx)
	if err != nil {
		return err
	}
	if _, err := h.Find(i.name, name); err == nil {
		return fmt.Errorf("image %s has a snapshot %s already: %w", i.name, name, ceph.EEXIST)
	}
	return nil
}

// keepSnap records a snapshot of the image as it is now; space is what it is for. There is one
// if the number is not 0, also with an error.
func (i *Image) keepSnap(
	ctx context.Context, h *header, data *rados.IOCtx, m *objectmap.Map, name string,
	space rbdspec.SnapSpace,
) (id ceph.SnapID, err error) {
	e := journal.Event{Kind: journal.SnapCreate, Name: name, Space: space}
	err = i.operate(ctx, e, func() (err error) {
		id, err = i.makeSnap(ctx, h, data, m, name, space)
		return err
	})
	return id, err
}

func (i *Image) makeSnap(
	ctx context.Context, h *header, data *rados.IOCtx, m *objectmap.Map, name string,
	space rbdspec.SnapSpace,
) (ceph.SnapID, error) {
	id, err := i.addSnap(ctx, h, data, name, space)
	if err != nil || m == nil {
		return id, err
	}
	if e := m.SnapAdd(ctx, id, h.Features.Has(FastDiff)); e != nil {
		err = errors.Join(e, i.invalidate(ctx, h, id), i.invalidate(ctx, h, ceph.NoSnap))
	}
	return id, err
}

// addSnap allocates a number and records the snapshot under it. The number is given back only if
// it is certain that there is no record of it, which would lose its data: not if the answer did not
// come.
func (i *Image) addSnap(
	ctx context.Context, h *header, data *rados.IOCtx, name string, space rbdspec.SnapSpace,
) (ceph.SnapID, error) {
	for {
		id, err := data.CreateSnapID(ctx)
		if err != nil {
			return 0, err
		}
		err = i.x.Operate(ctx, layout.HeaderPrefix+i.id, i.guard(h).Exec("rbd", "snapshot_add",
			class.Encode(func(c *denc.Coder) {
				c.Str(&name)
				id.Denc(c)
				space.Denc(c)
			})))
		if err == nil {
			return id, nil
		}
		if !errors.Is(err, ceph.ESTALE) && !errors.Is(err, ceph.EEXIST) &&
			!errors.Is(err, ceph.EDQUOT) {
			return 0, err
		}
		if e := data.DeleteSnapID(context.WithoutCancel(ctx), id); e != nil {
			return 0, errors.Join(err, e)
		}
		if !errors.Is(err, ceph.ESTALE) { // a client with a newer number was first
			return 0, overLimit(err)
		}
	}
}

// invalidate marks an object map as not to be trusted.
func (i *Image) invalidate(ctx context.Context, h *header, id ceph.SnapID) error {
	const invalid = FlagObjectMapInvalid | FlagFastDiffInvalid
	return i.setSnapFlags(ctx, h, id, invalid, invalid)
}

// RemoveSnapshot removes a snapshot: EBUSY if it is protected. One that clones of the second kind
// need is kept out of sight until the last of them is gone.
func (i *Image) RemoveSnapshot(ctx context.Context, name string) error {
	return i.withSnap(ctx, name, func(
		h *header, _ *rados.IOCtx, m *objectmap.Map, s *Snapshot,
	) error {
		return i.removeSnap(ctx, h, m, s)
	})
}

// removeSnap removes a snapshot, or what an interrupted removal has left of it.
func (i *Image) removeSnap(ctx context.Context, h *header, m *objectmap.Map, s *Snapshot) error {
	if s.Protected {
		return fmt.Errorf("snapshot %s of image %s is protected: %w", s.Name, i.name, ceph.EBUSY)
	}
	return i.operate(ctx, journal.Event{Kind: journal.SnapRemove, Name: s.Name, Space: s.Space},
		func() error { return i.takeSnap(ctx, h, m, s) })
}

func (i *Image) takeSnap(ctx context.Context, h *header, m *objectmap.Map, s *Snapshot) error {
	// In the trash it cannot get clones while it is taken apart.
	id, mirror := s.ID, s.Kind == SnapMirror
	if s.Kind != SnapTrash {
		err := i.changeSnap(ctx, h, "remove", s.Name, "snapshot_trash_add", class.U64(uint64(id)))
		if err != nil {
			return err
		}
	}
	if err := i.refresh(ctx); err != nil {
		return err
	}
	h, data, err := i.fresh(ctx)
	if err != nil {
		return err
	}
	if mirror {
		if err := i.removeMirrorState(ctx, id); err != nil {
			return err
		}
	}
	if s = h.ByID(id); s != nil && s.Children == 0 {
		err = i.dropSnap(ctx, h, data, m, s)
	}
	return errors.Join(err, i.reread(ctx))
}

// dropSnap removes a snapshot that has no clones.
func (i *Image) dropSnap(
	ctx context.Context, h *header, data *rados.IOCtx, m *objectmap.Map, s *Snapshot,
) error {
	if s.Overlap != nil && !h.NeedsParent(s.ID) {
		if err := i.detachChild(ctx, h); err != nil {
			return err
		}
	}
	if h.Features.Has(ObjectMap) && m != nil {
		var later []ceph.SnapID
		for k := range h.Snapshots {
			if h.Snapshots[k].ID > s.ID {
				later = append(later, h.Snapshots[k].ID)
			}
		}
		wrong, e := m.SnapRemove(ctx, s.ID, append(later, ceph.NoSnap),
			h.Features.Has(FastDiff))
		if e != nil {
			if err := i.invalidate(ctx, h, wrong); err != nil {
				return errors.Join(e, err)
			}
		}
	}
	if err := data.DeleteSnapID(ctx, s.ID); err != nil {
		return fmt.Errorf("give back the number of snapshot %s of image %s: %w", s.Name, i.name,
			err)
	}
	return i.changeSnap(ctx, h, "remove", s.Name, "snapshot_remove", class.U64(uint64(s.ID)))
}

// RenameSnapshot gives a snapshot another name; EEXIST if that is taken.
func (i *Image) RenameSnapshot(ctx context.Context, from, to string) error {
	if err := directory.CheckName(to); err != nil {
		return err
	}
	return i.withSnap(ctx, from, func(
		h *header, _ *rados.IOCtx, _ *objectmap.Map, s *Snapshot,
	) error {
		if _, err := h.Find(i.name, to); err == nil {
			return fmt.Errorf("image %s has a snapshot %s already: %w", i.name, to, ceph.EEXIST)
		}
		e := journal.Event{Kind: journal.SnapRename, SnapID: s.ID, OldName: from, Name: to}
		if err := i.operate(ctx, e, func() error {
			return i.changeName(ctx, h, s, to)
		}); err != nil {
			return err
		}
		return i.reread(ctx)
	})
}

func (i *Image) changeName(ctx context.Context, h *header, s *Snapshot, to string) error {
	return i.changeSnap(ctx, h, "rename", s.Name, "snapshot_rename",
		class.Encode(func(c *denc.Coder) {
			s.ID.Denc(c)
			c.Str(&to)
		}))
}

func (i *Image) setProtection(ctx context.Context, h *header, s *Snapshot, to uint8) error {
	return i.changeSnap(ctx, h, "protect or unprotect", s.Name, "set_protection_status",
		class.Encode(func(c *denc.Coder) {
			s.ID.Denc(c)
			c.U8(&to)
		}))
}

// ProtectSnapshot keeps a snapshot from being removed; EBUSY if it is protected already.
func (i *Image) ProtectSnapshot(ctx context.Context, name string) error {
	return i.withSnap(ctx, name, func(
		h *header, _ *rados.IOCtx, _ *objectmap.Map, s *Snapshot,
	) error {
		if s.Protected {
			return fmt.Errorf("snapshot %s of image %s is protected already: %w", name, i.name,
				ceph.EBUSY)
		}
		err := i.operate(ctx, journal.Event{Kind: journal.SnapProtect, Name: name},
			func() error { return i.setProtection(ctx, h, s, layout.Protected) })
		if err != nil {
			return err
		}
		return i.reread(ctx)
	})
}

// UnprotectSnapshot lets a snapshot be removed: EINVAL if it is not protected, EBUSY if clones of
// the first kind need it.
func (i *Image) UnprotectSnapshot(ctx context.Context, name string) error {
	return i.withSnap(ctx, name, func(
		h *header, _ *rados.IOCtx, _ *objectmap.Map, s *Snapshot,
	) error {
		if !s.Protected {
			return fmt.Errorf("snapshot %s of image %s is not protected: %w", name, i.name,
				ceph.EINVAL)
		}
		return i.operate(ctx, journal.Event{Kind: journal.SnapUnprotect, Name: name},
			func() error { return i.unprotect(ctx, h, s) })
	})
}

func (i *Image) unprotect(ctx context.Context, h *header, s *Snapshot) error {
	// While it is marked so nobody makes a clone that the search would miss.
	if err := i.setProtection(ctx, h, s, layout.Unprotecting); err != nil {
		return err
	}
	notice.HeaderChanged(ctx, i.x, i.id)
	list, err := i.oldChildren(ctx, s.ID)
	to := uint8(layout.Unprotected)
	if err == nil && len(list) > 0 {
		err = fmt.Errorf("snapshot %s of image %s has %d clones: %w", s.Name, i.name, len(list),
			ceph.EBUSY)
	}
	if err != nil {
		to = layout.Protected
	}
	return errors.Join(err, i.setProtection(context.WithoutCancel(ctx), h, s, to), i.reread(ctx))
}
