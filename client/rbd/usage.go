package rbd

import (
	"context"
	"errors"

	"glue/ceph"
	"glue/client/rbd/objectmap"
)

// existing is the state of each object from the object map, nil if the image, or the snapshot that
// is open, has no valid one, or it is missing.
func (i *Image) existing(ctx context.Context, h *header) (*objectmap.Vector, error) {
	if !h.Features.Has(ObjectMap) || h.Flags&FlagObjectMapInvalid != 0 {
		return nil, nil
	}
	v, err := objectmap.Read(ctx, i.x, i.id, h.Snap)
	if errors.Is(err, ceph.ENOENT) {
		return nil, nil
	}
	return v, err
}

// Usage is the image's size and how many bytes of it have objects: counted by the object map where
// there is one, as whole objects, else by asking for every object's size.
func (i *Image) Usage(ctx context.Context) (provisioned, used uint64, err error) {
	h, _, err := i.fresh(ctx)
	if err != nil {
		return 0, 0, err
	}
	v, err := i.existing(ctx, h)
	if err != nil {
		return 0, 0, err
	}
	if v != nil && h.Features.Has(FastDiff) && h.Flags&FlagFastDiffInvalid == 0 {
		for n := range min(v.Len(), h.Objects(h.Size)) {
			if s := v.Get(n); s == objectmap.Exists || s == objectmap.Clean {
				used += i.span(h, n)
			}
		}
		return h.Size, used, nil
	}
	for e, err := range i.DiffIterate(ctx, DiffOptions{NoParent: true}) {
		if err != nil {
			return 0, 0, err
		}
		if e.Exists {
			used += e.Len
		}
	}
	return h.Size, used, nil
}

// span is how many of the image's bytes an object holds.
func (i *Image) span(h *header, object uint64) uint64 {
	if !h.Plain() {
		return h.ObjectBytes()
	}
	return min(h.ObjectBytes(), h.Size-object<<h.Order)
}
