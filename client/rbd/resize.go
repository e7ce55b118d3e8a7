package rbd

import (
	"context"
	"fmt"
	"sync/atomic"

	"glue/ceph"
	"glue/client/rados"
	"glue/client/rbd/class"
	"glue/client/rbd/journal"
	"glue/client/rbd/layout"
	"glue/client/rbd/objectmap"
	"glue/client/stripe"
)

// A Progress is told how far a long operation is; it may be nil and may be called from several
// goroutines.
type Progress func(done, total uint64)

// steps counts finished steps for a Progress.
type steps struct {
	f     Progress
	done  atomic.Uint64
	total uint64
}

func (s *steps) add(n uint64) {
	done := s.done.Add(n)
	if s.f != nil {
		s.f(done, s.total)
	}
}

// guard begins an op on the header that only the lock's holder may do.
func (i *Image) guard(h *header) *rados.WriteOp {
	op := new(rados.WriteOp)
	if h.Features.Has(ExclusiveLock) {
		i.lock.mu.Lock()
		cookie := i.lock.cookie
		i.lock.mu.Unlock()
		op.AssertLocked(objectmap.LockName, rados.LockExclusive, cookie, lockTag)
	}
	return op
}

// Resize sets the image's size. To cut data off, shrink must be true.
func (i *Image) Resize(ctx context.Context, size uint64, shrink bool, p Progress) error {
	h, data, m, done, err := i.alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	if size < h.Size && !shrink {
		return fmt.Errorf("shrinking image %s from %d to %d bytes would cut data off: %w",
			i.name, h.Size, size, ceph.EINVAL)
	}
	e := journal.Event{Kind: journal.Resize, Number: size}
	return i.operate(ctx, e, func() error { return i.resize(ctx, h, data, m, size, p) })
}

// resize sets the size; no write happens next to it.
func (i *Image) resize(
	ctx context.Context, h *header, data *rados.IOCtx, m *objectmap.Map, size uint64, p Progress,
) error {
	if size < h.Size {
		if err := (target{h, data, m}).trim(ctx, size, p); err != nil {
			return err
		}
	}
	if m != nil && size > h.Size {
		if err := m.Resize(ctx, h.Objects(size)); err != nil {
			return err
		}
	}
	op := i.guard(h).Exec("rbd", "set_size", class.U64(size))
	if err := i.x.Operate(ctx, layout.HeaderPrefix+i.id, op); err != nil {
		return fmt.Errorf("resize image %s: %w", i.name, err)
	}
	if m != nil && size < h.Size {
		if err := m.Resize(ctx, h.Objects(size)); err != nil {
			return err
		}
	}
	return i.reread(ctx)
}

// trim removes what lies beyond size. Snapshots that will have to live without the parent one day
// get their copy of what goes.
func (t target) trim(ctx context.Context, size uint64, p Progress) error {
	pieces := t.h.beyond(size)
	s := steps{f: p, total: uint64(len(pieces))}
	return each(ctx, pieces, func(ctx context.Context, e stripe.Piece) error {
		defer s.add(1)
		if t.deep() {
			if err := t.fill(ctx, e.Object); err != nil {
				return err
			}
		}
		return t.cut(ctx, e)
	})
}

// beyond is what an image loses that becomes size bytes long: the ends of the objects that stay
// in part, and all that come after.
func (h *header) beyond(size uint64) []stripe.Piece {
	var out []stripe.Piece
	keep, full := h.Objects(size), h.ObjectBytes()
	set := full * h.StripeCount
	end := min((size+set-1)/set*set, h.Size)
	cut := map[uint64]uint64{} // where the objects that stay end
	for _, e := range h.Split(size, end-min(size, end)) {
		if at, ok := cut[e.Object]; e.Object < keep && (!ok || e.Off < at) {
			cut[e.Object] = e.Off
		}
	}
	for object, off := range cut {
		out = append(out, stripe.Piece{Object: object, Off: off, Len: full - off})
	}
	for n := keep; n < h.Objects(h.Size); n++ {
		out = append(out, stripe.Piece{Object: n, Len: full})
	}
	return out
}
