package rbd

import (
	"context"
	"errors"
	"fmt"
	"math"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rbd/class"
	"glue/client/rbd/journal"
	"glue/client/rbd/layout"
)

// NoSnapshotLimit is the limit of an image that has none.
const NoSnapshotLimit = math.MaxUint64

// SnapshotLimit is how many snapshots the image may have.
func (i *Image) SnapshotLimit(ctx context.Context) (limit uint64, err error) {
	err = class.Call(ctx, i.x, layout.HeaderPrefix+i.id, "snapshot_get_limit", nil,
		func(c *denc.Coder) { c.U64(&limit) })
	if err != nil {
		return 0, fmt.Errorf("snapshot limit of image %s: %w", i.name, err)
	}
	return limit, nil
}

// SetSnapshotLimit sets how many snapshots the image may have; ERANGE if it has more already.
func (i *Image) SetSnapshotLimit(ctx context.Context, limit uint64) error {
	return i.changeMeta(ctx, journal.Event{Kind: journal.SnapLimit, Number: limit},
		func() error { return i.putSnapshotLimit(ctx, limit) })
}

func (i *Image) putSnapshotLimit(ctx context.Context, limit uint64) error {
	err := class.Change(ctx, i.x, layout.HeaderPrefix+i.id, "snapshot_set_limit", class.U64(limit))
	if err != nil {
		return fmt.Errorf("set the snapshot limit of image %s to %d: %w", i.name, limit, err)
	}
	return nil
}

// ClearSnapshotLimit lets the image have any number of snapshots.
func (i *Image) ClearSnapshotLimit(ctx context.Context) error {
	return i.SetSnapshotLimit(ctx, NoSnapshotLimit)
}

// overLimit says what an EDQUOT of a new snapshot means.
func overLimit(err error) error {
	if errors.Is(err, ceph.EDQUOT) {
		return fmt.Errorf("it has as many snapshots as its limit allows (glue rbd snap limit): %w",
			err)
	}
	return err
}
