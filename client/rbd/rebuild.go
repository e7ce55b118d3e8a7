package rbd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"glue/ceph"
	"glue/client/rados"
	"glue/client/rbd/objectmap"
	"glue/client/stripe"
)

// RebuildObjectMap makes the object maps of the image and of its snapshots anew by asking for every
// object.
func (i *Image) RebuildObjectMap(ctx context.Context, p Progress) error {
	h, data, m, done, err := i.alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	if m == nil {
		return fmt.Errorf("image %s has no object map: %w", i.name, ceph.EINVAL)
	}
	maps, err := h.survey(ctx, data, p)
	if err != nil {
		return fmt.Errorf("rebuild the object map of image %s: %w", i.name, err)
	}
	for n := range h.Snapshots {
		s := &h.Snapshots[n]
		if err := objectmap.SaveSnap(ctx, i.x, i.id, s.ID, &maps[n]); err != nil {
			return fmt.Errorf("save the object map of snapshot %s: %w", s.Name, err)
		}
	}
	if err := m.Save(ctx, &maps[len(h.Snapshots)]); err != nil {
		return err
	}
	for _, id := range append([]ceph.SnapID{ceph.NoSnap}, h.SnapIDs...) {
		err := i.setSnapFlags(ctx, h, id, 0, FlagObjectMapInvalid|FlagFastDiffInvalid)
		if err != nil {
			return err
		}
	}
	m.Trust(true)
	return i.reread(ctx)
}

// survey is what the object maps of the snapshots, oldest first, and of the image have to be.
func (h *header) survey(
	ctx context.Context, data *rados.IOCtx, p Progress,
) ([]objectmap.Vector, error) {
	maps := make([]objectmap.Vector, len(h.Snapshots)+1)
	total := h.Objects(h.Size)
	for n := range maps {
		size := h.Size
		if n < len(h.Snapshots) {
			size = h.Snapshots[n].Size
		}
		maps[n].Resize(h.Objects(size))
		total = max(total, maps[n].Len())
	}
	const window = 1 << 16
	s := steps{f: p, total: total}
	for begin := uint64(0); begin < total; begin += window {
		pieces := numbered(min(window, total-begin))
		sets := make([]rados.SnapSet, len(pieces))
		err := each(ctx, pieces, func(ctx context.Context, e stripe.Piece) error {
			defer s.add(1)
			var err error
			sets[e.Object], err = h.states(ctx, data, begin+e.Object)
			return err
		})
		if err != nil {
			return nil, err
		}
		for k, set := range sets {
			h.mark(maps, begin+uint64(k), set)
		}
	}
	return maps, nil
}

// states lists what there is of a data object, nothing if it never was.
func (h *header) states(
	ctx context.Context, data *rados.IOCtx, object uint64,
) (rados.SnapSet, error) {
	set, err := data.ListSnaps(ctx, h.ObjectName(object))
	if errors.Is(err, ceph.ENOENT) {
		return rados.SnapSet{}, nil
	}
	if err != nil {
		return set, fmt.Errorf("list the states of object %d: %w", object, err)
	}
	return set, nil
}

// mark sets one object in all maps.
func (h *header) mark(maps []objectmap.Vector, object uint64, set rados.SnapSet) {
	before := -1
	for n := range maps {
		id := ceph.NoSnap
		if n < len(h.Snapshots) {
			id = h.Snapshots[n].ID
		}
		at := stateAt(set, id)
		if at >= 0 {
			state := objectmap.Exists
			if at == before && h.Features.Has(FastDiff) {
				state = objectmap.Clean
			}
			maps[n].Set(object, state)
		}
		before = at
	}
}

// stateAt is the index of the state that a snapshot sees, or the head; -1 if there was no object.
func stateAt(set rados.SnapSet, id ceph.SnapID) int {
	return slices.IndexFunc(set.Clones, func(c rados.Clone) bool {
		if c.ID == ceph.NoSnap {
			return id > set.Seq
		}
		return len(c.Snaps) > 0 && slices.Min(c.Snaps) <= id && id <= c.ID
	})
}
