package striper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"glue/ceph"
	"glue/client/rados"
)

// Truncate makes the striped object size bytes long; ENOENT without it. What is added reads as
// zeros. If it fails or the context ends, what was to go may be gone in part and the size is as it
// was.
func (s *Striper) Truncate(ctx context.Context, name string, size uint64) error {
	return failed("truncate", name, s.truncate(ctx, name, size))
}

func (s *Striper) truncate(ctx context.Context, name string, size uint64) error {
	if size > math.MaxInt64 {
		return ceph.EFBIG
	}
	h, err := s.take(ctx, name, rados.LockExclusive, new(rados.WriteOp).AssertExists())
	if err != nil {
		return err
	}
	a, err := s.attrs(ctx, name)
	if err == nil {
		err = h.cut(ctx, a, size)
	}
	if err == nil && size != a.size {
		err = s.x.SetXattr(ctx, h.first(), sizeAttr, number(size))
	}
	unlock := h.release(ctx)
	return cmp.Or(err, unlock)
}

// cut removes what is beyond size from the objects, the last one first. The first one stays.
func (h *hold) cut(ctx context.Context, a attrs, size uint64) error {
	if size >= a.size {
		return nil
	}
	count := a.layout.StripeCount
	first := a.layout.Locate(size).Object / count * count
	for n := a.layout.Objects(a.size); n > first; n-- {
		w, keep := new(rados.WriteOp), a.layout.Part(n-1, size)
		switch {
		case keep == 0 && n > 1:
			w.Remove()
		case keep < a.layout.Part(n-1, a.size):
			w.Truncate(keep)
		default:
			continue
		}
		if err := h.change(ctx, n-1, w); err != nil {
			return fmt.Errorf("object %d: %w", n-1, err)
		}
	}
	return h.settle(ctx)
}

// Remove deletes the striped object; ENOENT without it. The first object goes last: until then it
// is there, and can be removed again. What lacks a layout or a size is removed up to the first
// object that is not there.
func (s *Striper) Remove(ctx context.Context, name string) error {
	h, err := s.take(ctx, name, rados.LockExclusive, new(rados.WriteOp).AssertExists())
	if err == nil {
		if err = h.remove(ctx); err != nil {
			h.release(ctx)
		}
	}
	return failed("remove", name, err)
}

func (h *hold) remove(ctx context.Context) error {
	n, err := h.objects(ctx)
	if err != nil {
		return err
	}
	for ; n > 1; n-- {
		if err := h.change(ctx, n-1, new(rados.WriteOp).Remove()); err != nil {
			return fmt.Errorf("object %d: %w", n-1, err)
		}
	}
	if err := h.settle(ctx); err != nil {
		return err
	}
	return h.s.x.Remove(ctx, h.first())
}

// objects is how many objects there may be.
func (h *hold) objects(ctx context.Context) (uint64, error) {
	a, err := h.s.attrs(ctx, h.name)
	if bad := (*LayoutError)(nil); !errors.As(err, &bad) {
		return a.layout.Objects(a.size), err
	}
	for n := uint64(1); ; n++ {
		if _, err := h.s.x.Stat(ctx, ObjectName(h.name, n)); errors.Is(err, ceph.ENOENT) {
			return n, nil
		} else if err != nil {
			return 0, err
		}
	}
}
