package rbd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"glue/ceph"
	"glue/client/rbd/class"
	"glue/client/rbd/directory"
	"glue/client/rbd/journal"
	"glue/client/rbd/layout"
	"glue/client/rbd/mirroring"
	"glue/client/rbd/objectmap"
)

// Remove deletes an image with its data, its journal and what it is mirrored by. EBUSY if another
// client has it open, ENOTEMPTY if it has snapshots, EMLINK if it is in a group, EINVAL if it is a
// copy of a mirrored image, EOPNOTSUPP if it is mirrored by its journal. It goes to the trash
// instead, as with TrashMove, if rbd_move_to_trash_on_remove is set.
func (s *Store) Remove(ctx context.Context, name string, p Progress) error {
	options, err := s.Config().Read(ctx)
	if err != nil {
		return err
	}
	text := cmp.Or(options.Get("rbd_move_to_trash_on_remove"), "false")
	move, err := strconv.ParseBool(text)
	if err != nil {
		return fmt.Errorf("rbd_move_to_trash_on_remove is %q: %w", text, ceph.EINVAL)
	}
	if !move {
		return s.remove(ctx, name, p)
	}
	text = cmp.Or(options.Get("rbd_move_to_trash_on_remove_expire_seconds"), "0")
	seconds, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return fmt.Errorf("rbd_move_to_trash_on_remove_expire_seconds is %q: %w", text, ceph.EINVAL)
	}
	return s.TrashMove(ctx, name, time.Duration(seconds)*time.Second)
}

// remove is Remove for ever.
func (s *Store) remove(ctx context.Context, name string, p Progress) error {
	id, err := directory.ID(ctx, s.x, name)
	if err != nil {
		return err
	}
	if err := s.removeID(ctx, name, id, p); err != nil {
		return err
	}
	return directory.Drop(ctx, s.x, name, id)
}

// openToRemove opens an image to take it apart, one with a journal too: nothing is written that
// would belong there.
func (s *Store) openToRemove(ctx context.Context, name, id string) (*Image, error) {
	i := newImage(s, name, id, false)
	i.removing = true
	return i, i.begin(ctx)
}

// removeID deletes an image's data and metadata, but not its name.
func (s *Store) removeID(ctx context.Context, name, id string, p Progress) error {
	i, err := s.openToRemove(ctx, name, id)
	if errors.Is(err, ceph.ENOENT) {
		return nil // an earlier removal came this far
	}
	if err != nil {
		return err
	}
	defer i.Close(ctx)
	if err := i.destroy(ctx, p); err != nil {
		return fmt.Errorf("remove image %s: %w", name, err)
	}
	return nil
}

// destroy deletes the image's data and metadata and closes it.
func (i *Image) destroy(ctx context.Context, p Progress) error {
	if err := i.unused(ctx); err != nil {
		return err
	}
	if err := i.disableMirroring(ctx); err != nil {
		return err
	}
	if err := i.removeOwnSnaps(ctx); err != nil {
		return err
	}
	h, data, m, leave, err := i.writable(ctx, 0, 0)
	if err != nil {
		return err
	}
	if len(h.SnapIDs) > 0 { // taken since, or a clone came to need one
		leave()
		return i.snapshotsLeft(len(h.SnapIDs))
	}
	if h.Size > 0 {
		err = target{h, data, m}.trim(ctx, 0, p)
	}
	if err == nil && h.HeadOverlap > 0 {
		err = i.detachChild(ctx, h)
	}
	leave()
	if err != nil {
		return err
	}
	if err := i.Close(ctx); err != nil {
		return err
	}
	if err := journal.Remove(ctx, i.x, i.id); err != nil {
		return err
	}
	for _, oid := range []string{objectmap.Name(i.id, ceph.NoSnap), layout.HeaderPrefix + i.id} {
		if err := i.x.Remove(ctx, oid); err != nil && !errors.Is(err, ceph.ENOENT) {
			return err
		}
	}
	return nil
}

// unused fails if the image has snapshots that its removal does not end, is in a group, or another
// client has it open.
func (i *Image) unused(ctx context.Context) error {
	h, _, err := i.fresh(ctx)
	if err != nil {
		return err
	}
	n := 0
	for _, s := range h.Snapshots {
		if !s.OwnedByImage() {
			n++
		}
	}
	if n > 0 {
		return i.snapshotsLeft(n)
	}
	group, err := i.store.GroupOf(ctx, i.id)
	if err != nil {
		return err
	}
	if group != "" {
		return fmt.Errorf("image %s is in group %s; take it out first (rbd group image remove): %w",
			i.name, group, ceph.EMLINK)
	}
	return i.unwatched(ctx)
}

func (i *Image) snapshotsLeft(n int) error {
	return fmt.Errorf("image %s has %d snapshots: %w", i.name, n, ceph.ENOTEMPTY)
}

// unwatched fails if another client has the image open. What mirrors the pool does not count: it
// closes the image when that is not mirrored any more.
func (i *Image) unwatched(ctx context.Context) error {
	list, err := i.Watchers(ctx)
	if err != nil {
		return err
	}
	me := i.me()
	mirrors := map[string]bool{}
	if len(list) > 1 {
		daemons, err := i.x.Watchers(ctx, mirroring.Object)
		if err := class.UnlessGone(err); err != nil {
			return err
		}
		for _, w := range daemons {
			mirrors[w.Addr.LegacyString()] = true
		}
	}
	for _, w := range list {
		if w.Cookie == me.Handle && uint64(w.Name.Num) == me.GID {
			continue
		}
		if addr := w.Addr.LegacyString(); !mirrors[addr] {
			return fmt.Errorf("image %s is open at %s (%v): %w", i.name, addr, w.Name, ceph.EBUSY)
		}
	}
	return nil
}
