package rbd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/rbdspec"
)

// States and sources of an image in the trash.
const (
	trashNormal    = 0
	trashMoving    = 1
	trashRemoving  = 2
	trashRestoring = 3

	// Sources: a user, a migration, and a user as a parent whose clones need it.
	trashByUser    = 0
	trashMigration = 2
	trashParent    = 4
)

// A TrashEntry is an image in the trash.
type TrashEntry struct {
	ID string
	rbdspec.TrashImage
}

// TrashMove takes an image out of the directory and keeps it in the trash for at least a while. It
// is not mirrored any more then: EINVAL if it is a copy of a mirrored image, EOPNOTSUPP if it is
// mirrored by its journal; EBUSY if another client has it open. A move that was interrupted is
// carried on.
func (s *Store) TrashMove(ctx context.Context, name string, keep time.Duration) error {
	id, err := s.id(ctx, name)
	if errors.Is(err, ceph.ENOENT) {
		id, err = s.trashed(ctx, name, err, func(e TrashEntry) bool {
			return e.Source == trashByUser && e.State == trashMoving
		})
		if err == nil {
			return s.trashState(ctx, id, trashMoving, trashNormal)
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
	e := rbdspec.TrashImage{Name: name, Source: trashByUser, Deleted: now,
		Deferred: now.Add(keep), State: trashMoving}
	err = change(ctx, s.x, trashObject, "trash_add", encode(func(c *denc.Coder) {
		c.Str(&id)
		e.Denc(c)
	}))
	if errors.Is(err, ceph.EEXIST) {
		err = s.trashState(ctx, id, trashMoving, trashMoving)
	}
	if err != nil {
		return fmt.Errorf("move image %s to the trash: %w", name, err)
	}
	if err := s.dropName(ctx, name, id); err != nil {
		return fmt.Errorf("move image %s to the trash: %w", name, err)
	}
	return s.trashState(ctx, id, trashMoving, trashNormal)
}

func (s *Store) trashState(ctx context.Context, id string, from, to uint8) error {
	err := change(ctx, s.x, trashObject, "trash_state_set", encode(func(c *denc.Coder) {
		c.Str(&id)
		c.U8(&to)
		c.U8(&from)
	}))
	if err != nil && !errors.Is(err, ceph.EOPNOTSUPP) {
		return fmt.Errorf("image id %s in the trash: %w", id, err)
	}
	return nil
}

// trashed finds the id of an image of a name in the trash; the error if none of those is.
func (s *Store) trashed(
	ctx context.Context, name string, not error, is func(TrashEntry) bool,
) (string, error) {
	list, err := s.TrashList(ctx)
	if err != nil {
		return "", err
	}
	for _, e := range list {
		if e.Name == name && is(e) {
			return e.ID, nil
		}
	}
	return "", not
}

// TrashList lists the images in the trash by id.
func (s *Store) TrashList(ctx context.Context) ([]TrashEntry, error) {
	out, err := pages(ctx, s.x, trashObject, "trash_list",
		func(c *denc.Coder, last *TrashEntry) { c.Str(&last.ID) },
		func(c *denc.Coder, e *TrashEntry) {
			c.Str(&e.ID)
			e.Denc(c)
		})
	if err = unlessGone(err); err != nil {
		return nil, fmt.Errorf("list the trash: %w", err)
	}
	return out, nil
}

func (s *Store) TrashGet(ctx context.Context, id string) (TrashEntry, error) {
	e := TrashEntry{ID: id}
	if err := call(ctx, s.x, trashObject, "trash_get", strArg(id), e.Denc); err != nil {
		return e, fmt.Errorf("image id %s is not in the trash: %w", id, err)
	}
	return e, nil
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
	if err := checkName(name); err != nil {
		return err
	}
	if err := s.trashState(ctx, id, trashNormal, trashRestoring); err != nil {
		return err
	}
	if err := s.addName(ctx, name, id); err != nil {
		_ = s.trashState(context.WithoutCancel(ctx), id, trashRestoring, trashNormal)
		return fmt.Errorf("restore image %s: %w", name, err)
	}
	if err := change(ctx, s.x, trashObject, "trash_remove", strArg(id)); err != nil {
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
	if err := s.trashState(ctx, id, trashNormal, trashRemoving); err != nil {
		return err
	}
	if err := s.removeID(ctx, e.Name, id, p); err != nil {
		_ = s.trashState(context.WithoutCancel(ctx), id, trashRemoving, trashNormal)
		return err
	}
	if err := change(ctx, s.x, trashObject, "trash_remove", strArg(id)); err != nil {
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
			if entry.Source != trashByUser && entry.Source != trashParent ||
				entry.Deferred.After(until) || entry.State == trashMoving {
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
