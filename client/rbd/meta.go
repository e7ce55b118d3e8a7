package rbd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd/class"
	"glue/client/rbd/config"
	"glue/client/rbd/journal"
	"glue/client/rbd/layout"
	"glue/client/rbd/notice"
	"glue/client/rbd/objectmap"
)

// Metadata is the image's pairs of key and value.
func (i *Image) Metadata(ctx context.Context) (map[string][]byte, error) {
	out, err := class.Metadata(ctx, i.x, layout.HeaderPrefix+i.id, "")
	if err != nil {
		return nil, fmt.Errorf("metadata of image %s: %w", i.name, err)
	}
	return out, nil
}

// SetMetadata sets one value.
func (i *Image) SetMetadata(ctx context.Context, key string, value []byte) error {
	e := journal.Event{Kind: journal.MetadataSet, Name: key, Value: string(value)}
	return i.changeMeta(ctx, e, func() error { return i.putMetadata(ctx, key, value) })
}

// changeMeta lets do change what needs no lock of an image without a journal.
func (i *Image) changeMeta(ctx context.Context, e journal.Event, do func() error) error {
	h, _, err := i.changeable(ctx)
	switch {
	case err != nil:
		return err
	case !i.journaling(h):
		return do()
	}
	_, _, _, leave, err := i.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return i.operate(ctx, e, do)
}

func (i *Image) putMetadata(ctx context.Context, key string, value []byte) error {
	pairs := map[string][]byte{key: value}
	err := class.Change(ctx, i.x, layout.HeaderPrefix+i.id, "metadata_set",
		class.Pairs(pairs))
	if err != nil {
		return fmt.Errorf("set metadata %s of image %s: %w", key, i.name, err)
	}
	notice.HeaderChanged(ctx, i.x, i.id)
	return nil
}

// SetAllMetadata sets several values.
func (i *Image) SetAllMetadata(ctx context.Context, meta map[string][]byte) error {
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		if err := i.SetMetadata(ctx, key, meta[key]); err != nil {
			return err
		}
	}
	return nil
}

// RemoveMetadata removes a key; ENOENT without it.
func (i *Image) RemoveMetadata(ctx context.Context, key string) error {
	if _, _, err := i.changeable(ctx); err != nil {
		return err
	}
	m, err := i.Metadata(ctx)
	if err != nil {
		return err
	}
	if _, ok := m[key]; !ok {
		return fmt.Errorf("image %s has no metadata %s: %w", i.name, key, ceph.ENOENT)
	}
	e := journal.Event{Kind: journal.MetadataRemove, Name: key}
	return i.changeMeta(ctx, e, func() error { return i.dropMetadata(ctx, key) })
}

func (i *Image) dropMetadata(ctx context.Context, key string) error {
	err := class.Change(ctx, i.x, layout.HeaderPrefix+i.id, "metadata_remove", class.Str(key))
	if err != nil {
		return fmt.Errorf("remove metadata %s of image %s: %w", key, i.name, err)
	}
	notice.HeaderChanged(ctx, i.x, i.id)
	return nil
}

// Config is the options that the image has of its own, over those of its pool.
func (i *Image) Config() config.Config { return config.OfImage(i.x, layout.HeaderPrefix+i.id, i) }

// setFlags changes the flags in mask; the lock is held if the image has one.
func (i *Image) setFlags(ctx context.Context, h *header, flags, mask uint64) error {
	return i.setSnapFlags(ctx, h, ceph.NoSnap, flags, mask)
}

// setSnapFlags is setFlags for a snapshot, or the image itself.
func (i *Image) setSnapFlags(
	ctx context.Context, h *header, id ceph.SnapID, flags, mask uint64,
) error {
	op := i.guard(h).Exec("rbd", "set_flags", class.Encode(func(c *denc.Coder) {
		c.U64(&flags)
		c.U64(&mask)
		id.Denc(c)
	}))
	if err := i.x.Operate(ctx, layout.HeaderPrefix+i.id, op); err != nil {
		return fmt.Errorf("set the flags of image %s: %w", i.name, err)
	}
	return nil
}

// Lockers lists the holders of the image's lock, taken by users or by clients on their own.
func (i *Image) Lockers(ctx context.Context) (rados.LockInfo, error) {
	info, err := i.x.LockInfo(ctx, layout.HeaderPrefix+i.id, objectmap.LockName)
	if errors.Is(err, ceph.ENOENT) {
		return rados.LockInfo{}, nil
	}
	return info, err
}

// AddLock takes the image's lock for a user, under an id; with a tag it is shared among those
// who use the same tag.
func (i *Image) AddLock(ctx context.Context, id, tag string) error {
	l := rados.Lock{Name: objectmap.LockName, Cookie: id, Tag: tag, Kind: rados.LockExclusive}
	if tag != "" {
		l.Kind = rados.LockShared
	}
	return i.x.Lock(ctx, layout.HeaderPrefix+i.id, l)
}

// BreakLock takes a lock away from its holder, which is kept from writing by a blocklist entry
// first if it is not this client.
func (i *Image) BreakLock(ctx context.Context, id string, locker ceph.EntityName) error {
	info, err := i.Lockers(ctx)
	if err != nil {
		return err
	}
	for _, l := range info.Lockers {
		if l.Name != locker || l.Cookie != id {
			continue
		}
		return i.fence(ctx, l)
	}
	return fmt.Errorf("%v does not hold lock %q of image %s: %w", locker, id, i.name, ceph.ENOENT)
}
