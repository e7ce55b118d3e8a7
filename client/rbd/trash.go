package rbd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"glue/ceph"
	"glue/client/rbd/class"
	"glue/client/rbd/directory"
	"glue/client/rbd/layout"
	"glue/cluster/rbdspec"
)

// A TrashEntry is an image in the trash.
type TrashEntry = directory.TrashEntry

// TrashList lists the images in the trash by id.
func (s *Store) TrashList(ctx context.Context) ([]TrashEntry, error) {
	return directory.TrashList(ctx, s.x)
}

// TrashGet is an image in the trash by its id; ENOENT without it.
func (s *Store) TrashGet(ctx context.Context, id string) (TrashEntry, error) {
	return directory.TrashGet(ctx, s.x, id)
}

func (s *Store) trashState(ctx context.Context, id string, from, to uint8) error {
	return directory.SetTrashState(ctx, s.x, id, from, to)
}

// TrashMove takes an image out of the directory and keeps it in the trash for at least a while. It
// is not mirrored any more then: EINVAL if it is a copy of a mirrored image, EOPNOTSUPP if it is
// mirrored by its journal; EBUSY if another client has it open. A move that was interrupted is
// carried on.
func (s *Store) TrashMove(ctx context.Context, name string, keep time.Duration) error {
	id, err := directory.ID(ctx, s.x, name)
	if errors.Is(err, ceph.ENOENT) {
		id, err = directory.FindInTrash(ctx, s.x, name, err, func(e TrashEntry) bool {
			return e.Source == directory.TrashByUser && e.State == directory.TrashMoving
		})
		if err == nil {
			return s.trashState(ctx, id, directory.TrashMoving, directory.TrashNormal)
		}
	}
	if err != nil {
		return err
	}
	i, err := s.openToRemove(ctx, name, id)
	if err != nil {
		return err
	}
	if err = i.unwatched(ctx); err == nil {
		err = i.disableMirroring(ctx)
	}
	if err = errors.Join(err, i.Close(ctx)); err != nil {
		return fmt.Errorf("move image %s to the trash: %w", name, err)
	}
	now := time.Now()
	err = directory.AddToTrash(ctx, s.x, TrashEntry{ID: id, TrashImage: rbdspec.TrashImage{
		Name: name, Source: directory.TrashByUser, Deleted: now, Deferred: now.Add(keep),
		State: directory.TrashMoving}})
	if errors.Is(err, ceph.EEXIST) {
		err = s.trashState(ctx, id, directory.TrashMoving, directory.TrashMoving)
	}
	if err != nil {
		return fmt.Errorf("move image %s to the trash: %w", name, err)
	}
	if err := directory.Drop(ctx, s.x, name, id); err != nil {
		return fmt.Errorf("move image %s to the trash: %w", name, err)
	}
	return s.trashState(ctx, id, directory.TrashMoving, directory.TrashNormal)
}

// TrashRestore brings an image back, under its old name or another.
func (s *Store) TrashRestore(ctx context.Context, id, name string) error {
	e, err := s.TrashGet(ctx, id)
	if err != nil {
		return err
	}
	if name == "" {
		name = e.Name
	}
	if err := directory.CheckName(name); err != nil {
		return err
	}
	if err := s.trashState(ctx, id, directory.TrashNormal, directory.TrashRestoring); err != nil {
		return err
	}
	if err := directory.Add(ctx, s.x, name, id); err != nil {
		_ = s.trashState(context.WithoutCancel(ctx), id,
			directory.TrashRestoring, directory.TrashNormal)
		return fmt.Errorf("restore image %s: %w", name, err)
	}
	err = class.Change(ctx, s.x, layout.TrashObject, "trash_remove", class.Str(id))
	if err != nil {
		return fmt.Errorf("restore image %s: %w", name, err)
	}
	return nil
}

// TrashRemove deletes an image in the trash for ever; EPERM before its time unless forced.
func (s *Store) TrashRemove(ctx context.Context, id string, force bool, p Progress) error {
	e, err := s.TrashGet(ctx, id)
	if err != nil {
		return err
	}
	if !force && time.Now().Before(e.Deferred) {
		return fmt.Errorf("image %s (id %s) is to be kept until %s; remove it with --force: %w",
			e.Name, id, e.Deferred.Format(time.DateTime), ceph.EPERM)
	}
	if err := s.trashState(ctx, id, directory.TrashNormal, directory.TrashRemoving); err != nil {
		return err
	}
	if err := s.removeID(ctx, e.Name, id, p); err != nil {
		_ = s.trashState(context.WithoutCancel(ctx), id,
			directory.TrashRemoving, directory.TrashNormal)
		return err
	}
	err = class.Change(ctx, s.x, layout.TrashObject, "trash_remove", class.Str(id))
	if err != nil {
		return fmt.Errorf("remove image id %s from the trash: %w", id, err)
	}
	return nil
}

// TrashPurge deletes the images in the trash that need not be kept until a time, and returns how
// many it has deleted. One that can't be deleted does not keep the others; an image whose clones
// are in the trash too goes after them.
func (s *Store) TrashPurge(ctx context.Context, until time.Time) (removed int, err error) {
	for more := true; more && ctx.Err() == nil; {
		list, e := s.TrashList(ctx)
		if e != nil {
			return removed, e
		}
		more, err = false, nil
		for _, entry := range list {
			if entry.Source != directory.TrashByUser && entry.Source != directory.TrashParent ||
				entry.Deferred.After(until) || entry.State == directory.TrashMoving {
				continue // what is migrating, or mirrored, is in use
			}
			switch e := s.TrashRemove(ctx, entry.ID, true, nil); {
			case e == nil:
				removed++
				more = true
			case !errors.Is(e, ceph.ENOENT):
				err = errors.Join(err, e)
			}
		}
		more = more && err != nil
	}
	return removed, errors.Join(err, ctx.Err())
}
