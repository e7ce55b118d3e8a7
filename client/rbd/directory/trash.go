package directory

import (
	"context"
	"errors"
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd/class"
	"glue/client/rbd/layout"
	"glue/cluster/rbdspec"
)

// States and sources of an image in the trash.
const (
	TrashNormal    = 0
	TrashMoving    = 1
	TrashRemoving  = 2
	TrashRestoring = 3

	// Sources: a user, a migration, and a user as a parent whose clones need it.
	TrashByUser    = 0
	TrashMigration = 2
	TrashParent    = 4
)

// A TrashEntry is an image in the trash.
type TrashEntry struct {
	ID string
	rbdspec.TrashImage
}

// AddToTrash writes down that an image is in the trash; EEXIST if it is.
func AddToTrash(ctx context.Context, x *rados.IOCtx, e TrashEntry) error {
	return class.Change(ctx, x, layout.TrashObject, "trash_add", class.Encode(func(c *denc.Coder) {
		c.Str(&e.ID)
		e.Denc(c)
	}))
}

// SetTrashState brings an image in the trash from one state to another; EPERM if it has neither.
func SetTrashState(ctx context.Context, x *rados.IOCtx, id string, from, to uint8) error {
	in := class.Encode(func(c *denc.Coder) {
		c.Str(&id)
		c.U8(&to)
		c.U8(&from)
	})
	err := class.Change(ctx, x, layout.TrashObject, "trash_state_set", in)
	if err != nil && !errors.Is(err, ceph.EOPNOTSUPP) {
		return fmt.Errorf("image id %s in the trash: %w", id, err)
	}
	return nil
}

// FindInTrash finds the id of an image of a name in the trash; the error if none of those is.
func FindInTrash(
	ctx context.Context, x *rados.IOCtx, name string, not error, is func(TrashEntry) bool,
) (string, error) {
	list, err := TrashList(ctx, x)
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
func TrashList(ctx context.Context, x *rados.IOCtx) ([]TrashEntry, error) {
	out, err := class.Pages(ctx, x, layout.TrashObject, "trash_list",
		func(c *denc.Coder, last *TrashEntry) { c.Str(&last.ID) },
		func(c *denc.Coder, e *TrashEntry) {
			c.Str(&e.ID)
			e.Denc(c)
		})
	if err = class.UnlessGone(err); err != nil {
		return nil, fmt.Errorf("list the trash: %w", err)
	}
	return out, nil
}

// TrashGet is an image in the trash by its id; ENOENT without it.
func TrashGet(ctx context.Context, x *rados.IOCtx, id string) (TrashEntry, error) {
	e := TrashEntry{ID: id}
	err := class.Call(ctx, x, layout.TrashObject, "trash_get", class.Str(id), e.Denc)
	if err != nil {
		return e, fmt.Errorf("image id %s is not in the trash: %w", id, err)
	}
	return e, nil
}

// RemoveFromTrash removes the trash's entry of an image, if there is one.
func RemoveFromTrash(ctx context.Context, x *rados.IOCtx, id string) error {
	return class.UnlessGone(class.Change(ctx, x, layout.TrashObject, "trash_remove", class.Str(id)))
}
