package rbd

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"glue/ceph"
	"glue/client/rados"
)

// existing is the state of each object from the object map, nil if the image has no valid one.
func (i *Image) existing(ctx context.Context, h *header) (*bitVector, error) {
	if !h.features.Has(ObjectMap) || h.flags&FlagObjectMapInvalid != 0 {
		return nil, nil
	}
	return readObjectMap(ctx, i.x, i.id)
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
	if v != nil && h.features.Has(FastDiff) && h.flags&FlagFastDiffInvalid == 0 {
		for n := range min(v.n, h.objects(h.size)) {
			if s := v.get(n); s == objectExists || s == objectClean {
				used += i.span(h, n)
			}
		}
		return h.size, used, nil
	}
	err = i.Diff(ctx, false, func(e Extent) error {
		used += e.Len
		return nil
	})
	return h.size, used, err
}

// span is how many of the image's bytes an object holds.
func (i *Image) span(h *header, object uint64) uint64 {
	if !h.plain() {
		return h.objectBytes()
	}
	return min(h.objectBytes(), h.size-object<<h.order)
}

// Diff calls f with the extents that have ever been written and not discarded since, ascending.
// With whole they are whole objects, found by the object map alone.
func (i *Image) Diff(ctx context.Context, whole bool, f func(Extent) error) error {
	h, data, err := i.fresh(ctx)
	if err != nil {
		return err
	}
	v, err := i.existing(ctx, h)
	if err != nil {
		return err
	}
	const window = 4096
	total := h.objects(h.size)
	for begin := uint64(0); begin < total; begin += window {
		end := min(begin+window, total)
		sizes, err := objectSizes(ctx, h, data, v, begin, end, whole)
		if err != nil {
			return err
		}
		for n, size := range sizes {
			if err := i.extents(h, begin+uint64(n), size, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// extents reports the first size bytes of one object.
func (i *Image) extents(h *header, object, size uint64, f func(Extent) error) error {
	for off := uint64(0); off < size; {
		at := h.offset(object, off)
		n := size - off
		if !h.plain() {
			n = min(n, h.stripeUnit-off%h.stripeUnit)
		}
		if at < h.size {
			if err := f(Extent{Off: at, Len: min(n, h.size-at)}); err != nil {
				return err
			}
		}
		off += n
	}
	return nil
}

// objectSizes is the size of each object of a range, 0 for none.
func objectSizes(
	ctx context.Context, h *header, data *rados.IOCtx, v *bitVector, begin, end uint64, whole bool,
) ([]uint64, error) {
	sizes := make([]uint64, end-begin)
	var ask []piece
	for n := begin; n < end; n++ {
		switch {
		case v != nil && v.get(n) == objectNonexistent:
		case v != nil && whole:
			sizes[n-begin] = h.objectBytes()
		default:
			ask = append(ask, piece{object: n})
		}
	}
	if len(ask) == 0 {
		return sizes, nil
	}
	err := each(ctx, ask, func(ctx context.Context, e piece) error {
		s, err := data.Stat(ctx, h.objectName(e.object))
		switch {
		case errors.Is(err, ceph.ENOENT):
		case err != nil:
			return fmt.Errorf("stat object %d: %w", e.object, err)
		case whole:
			sizes[e.object-begin] = h.objectBytes()
		default:
			sizes[e.object-begin] = s.Size
		}
		return nil
	})
	return sizes, err
}

// RebuildObjectMap makes the object map anew by asking for every object.
func (i *Image) RebuildObjectMap(ctx context.Context, p Progress) error {
	h, data, m, leave, err := i.writable(ctx, 0, 0)
	if err != nil {
		return err
	}
	defer leave()
	if m == nil {
		return fmt.Errorf("image %s has no object map: %w", i.name, ceph.EINVAL)
	}
	total := h.objects(h.size)
	if err := m.resize(ctx, total); err != nil {
		return err
	}
	s := steps{f: p, total: total}
	pieces := make([]piece, total)
	for n := range pieces {
		pieces[n].object = uint64(n)
	}
	var mu sync.Mutex
	var wrong error
	err = each(ctx, pieces, func(ctx context.Context, e piece) error {
		defer s.add(1)
		state := objectExists
		_, err := data.Stat(ctx, h.objectName(e.object))
		if errors.Is(err, ceph.ENOENT) {
			state = objectNonexistent
		} else if err != nil {
			return fmt.Errorf("stat object %d: %w", e.object, err)
		}
		if err := m.mark(ctx, e.object, state, nil); err != nil {
			mu.Lock()
			wrong = err
			mu.Unlock()
		}
		return nil
	})
	if err = errors.Join(err, wrong); err != nil {
		return fmt.Errorf("rebuild the object map of image %s: %w", i.name, err)
	}
	if err := i.setFlags(ctx, h, 0, FlagObjectMapInvalid|FlagFastDiffInvalid); err != nil {
		return err
	}
	if err := i.refresh(ctx); err != nil {
		return err
	}
	notifyHeader(ctx, i.x, i.id)
	return nil
}
