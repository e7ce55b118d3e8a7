package rbd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"glue/ceph"
	"glue/client/rados"
	"glue/client/rbd/journal"
	"glue/client/rbd/objectmap"
	"glue/client/stripe"
	"glue/wire/message"
)

// parallel is how many objects one call works on at a time (rbd_concurrent_management_ops).
const parallel = 10

// each runs f for every piece, several at a time.
func each(
	ctx context.Context, pieces []stripe.Piece, f func(context.Context, stripe.Piece) error,
) error {
	if len(pieces) == 1 {
		return f(ctx, pieces[0])
	}
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, p := range pieces {
		if inner.Err() != nil {
			break
		}
		g.Go(func() error { return f(inner, p) })
	}
	return cmp.Or(g.Wait(), ctx.Err())
}

// Read fills p from off on. At the end of the image it is short with io.EOF.
func (i *Image) Read(ctx context.Context, p []byte, off int64) (int, error) {
	if c := i.cache.Load(); c != nil {
		if _, _, err := i.fresh(ctx); err != nil {
			return 0, err
		}
		return c.Read(ctx, p, off)
	}
	return i.readDirect(ctx, p, off)
}

func (i *Image) readDirect(ctx context.Context, p []byte, off int64) (int, error) {
	h, data, err := i.fresh(ctx)
	if err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, fmt.Errorf("read at %d: %w", off, ceph.EINVAL)
	}
	if uint64(off) >= h.Size {
		return 0, io.EOF
	}
	n := min(uint64(len(p)), h.Size-uint64(off))
	err = each(ctx, h.Split(uint64(off), n), func(ctx context.Context, e stripe.Piece) error {
		into := p[e.At : e.At+e.Len]
		b, err := data.Read(ctx, h.ObjectName(e.Object), e.Off, e.Len)
		if errors.Is(err, ceph.ENOENT) {
			return h.readParent(ctx, uint64(off)+e.At, into)
		}
		if err != nil {
			return fmt.Errorf("read object %d: %w", e.Object, err)
		}
		clear(into[copy(into, b):])
		return nil
	})
	switch {
	case err != nil:
		return 0, err
	case n < uint64(len(p)):
		return int(n), io.EOF
	}
	return int(n), nil
}

// ReadAt is Read without a context (io.ReaderAt).
func (i *Image) ReadAt(p []byte, off int64) (int, error) {
	return i.Read(context.Background(), p, off)
}

// enter is the header, under the lock if the image has one. Call the returned function at the end.
func (i *Image) enter(
	ctx context.Context,
) (*header, *rados.IOCtx, *objectmap.Map, func(), error) {
	h, data, err := i.changeable(ctx)
	if err != nil || !h.Features.Has(ExclusiveLock) {
		return h, data, nil, func() {}, err
	}
	const tries = 3
	for try := 1; ; try++ {
		m, err := i.lock.enter(ctx, i)
		if err != nil {
			return nil, nil, nil, nil, err
		}
		h, data, err = i.changeable(ctx)
		if err == nil && i.journaling(h) == (i.journal() != nil) {
			return h, data, m, i.lock.leave, nil
		}
		i.lock.leave()
		if err == nil { // the journal was switched on or off since
			err = i.lock.release(ctx, i, false)
		}
		if err == nil && try == tries {
			err = fmt.Errorf("the journal of image %s comes and goes: %w", i.name, ceph.EAGAIN)
		}
		if err != nil {
			return nil, nil, nil, nil, err
		}
	}
}

// writable is enter for a write to [off, off+length).
func (i *Image) writable(
	ctx context.Context, off int64, length uint64,
) (*header, *rados.IOCtx, *objectmap.Map, func(), error) {
	_, _, m, leave, err := i.enter(ctx)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	i.io.RLock()
	done := func() {
		i.io.RUnlock()
		leave()
	}
	h, data, err := i.changeable(ctx)
	if err == nil && (off < 0 || uint64(off) > h.Size || length > h.Size-uint64(off)) {
		err = fmt.Errorf("write of %d bytes at %d to an image of %d: %w", length, off, h.Size,
			ceph.EINVAL)
	}
	if err != nil {
		done()
		return nil, nil, nil, nil, err
	}
	return h, data, m, done, nil
}

// Write puts p at off; it must lie within the image. When it returns nil the data are durable, with
// a cache (StartCache) once Flush has returned nil.
func (i *Image) Write(ctx context.Context, p []byte, off int64) (int, error) {
	if c := i.cache.Load(); c != nil {
		return c.Write(ctx, p, off)
	}
	return i.writeDirect(ctx, p, off)
}

// WriteDurable is Write that returns when the data are durable, with a cache too (FUA).
func (i *Image) WriteDurable(ctx context.Context, p []byte, off int64) (int, error) {
	if c := i.cache.Load(); c != nil {
		return c.WriteDurable(ctx, p, off)
	}
	return i.writeDirect(ctx, p, off)
}

func (i *Image) writeDirect(ctx context.Context, p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	h, data, m, leave, err := i.writable(ctx, off, uint64(len(p)))
	if err != nil {
		return 0, err
	}
	defer leave()
	return i.write(ctx, target{h, data, m}, p, off)
}

// write writes what was found to be within the image.
func (i *Image) write(ctx context.Context, t target, p []byte, off int64) (int, error) {
	at, n := uint64(off), uint64(len(p))
	err := i.record(ctx, at, n, func(j *journal.Journal) []journal.Event {
		return j.Writes(at, p)
	}, func() error { return t.writeAll(ctx, t.h.Split(at, n), p) })
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (t target) writeAll(ctx context.Context, pieces []stripe.Piece, p []byte) error {
	return each(ctx, pieces, func(ctx context.Context, e stripe.Piece) error {
		return t.write(ctx, e.Object, []chunk{{e.Off, p[e.At : e.At+e.Len]}})
	})
}

// write writes some places of an object, all or none.
func (t target) write(ctx context.Context, object uint64, list []chunk) error {
	whole := uint64(len(list[0].p)) == t.h.ObjectBytes()
	err := t.put(ctx, object, whole, func(op *rados.WriteOp) {
		if whole {
			op.WriteFull(list[0].p)
			return
		}
		for _, c := range list {
			op.Write(c.p, c.off)
		}
	})
	if err != nil {
		return fmt.Errorf("write object %d: %w", object, err)
	}
	return nil
}

// WriteAt is Write without a context (io.WriterAt).
func (i *Image) WriteAt(p []byte, off int64) (int, error) {
	return i.Write(context.Background(), p, off)
}

// changeRange lets do change a range that is within the image, as e says. A cache has fill do the
// same to what it holds; see cache.Change.
func (i *Image) changeRange(
	ctx context.Context, e journal.Event, change func(target) error,
	fill func(p []byte, at uint64),
) error {
	off, length := e.Off, e.Len
	do := func(t target) error {
		return i.record(ctx, off, length, event(e), func() error { return change(t) })
	}
	if c := i.cache.Load(); c != nil {
		return c.Change(ctx, off, length, func() error {
			t, err := cachedDisk{i}.target(ctx)
			if err != nil {
				return err
			}
			return do(t)
		}, fill)
	}
	h, data, m, leave, err := i.writable(ctx, int64(off), length)
	if err != nil {
		return err
	}
	defer leave()
	return do(target{h, data, m})
}

// zero is what Discard and WriteZeroes do to memory.
func zero(p []byte, _ uint64) { clear(p) }

// Discard makes length bytes at off read as zero and frees their space.
func (i *Image) Discard(ctx context.Context, off, length uint64) error {
	if length == 0 {
		return nil
	}
	e := journal.Event{Kind: journal.Discard, Off: off, Len: length}
	return i.changeRange(ctx, e, func(t target) error {
		return t.discardAll(ctx, off, length)
	}, zero)
}

func (t target) discardAll(ctx context.Context, off, length uint64) error {
	return each(ctx, t.h.Split(off, length), t.discard)
}

// discard makes a part of an object read as zero. Where the parent would show an object must stay.
func (t target) discard(ctx context.Context, e stripe.Piece) error {
	if len(t.h.inParent(e.Object)) == 0 {
		return t.cut(ctx, e)
	}
	whole := e.Len == t.h.ObjectBytes()
	err := t.put(ctx, e.Object, whole, func(op *rados.WriteOp) {
		switch {
		case whole:
			op.Create(false).Truncate(0)
		case e.Off+e.Len == t.h.ObjectBytes():
			op.Truncate(e.Off)
		default:
			op.Zero(e.Off, e.Len)
		}
	})
	if err != nil {
		return fmt.Errorf("discard object %d: %w", e.Object, err)
	}
	return nil
}

// cut removes, cuts or zeroes one object that the parent does not matter to.
func (t target) cut(ctx context.Context, e stripe.Piece) error {
	h, data, m := t.h, t.data, t.m
	if m != nil && !m.MayExist(e.Object) {
		return nil
	}
	whole := e.Off == 0 && e.Len == h.ObjectBytes()
	op := new(rados.WriteOp).AssertExists()
	switch {
	case whole:
		if m != nil {
			if err := m.Mark(ctx, e.Object, objectmap.Pending, nil); err != nil {
				return err
			}
		}
		op = new(rados.WriteOp).Remove()
	case e.Off+e.Len == h.ObjectBytes():
		op.Truncate(e.Off)
	default:
		op.Zero(e.Off, e.Len)
	}
	if m != nil && !whole { // no longer as the last snapshot has it
		clean := objectmap.Clean
		if err := m.Mark(ctx, e.Object, objectmap.Exists, &clean); err != nil {
			return err
		}
	}
	err := data.Operate(ctx, h.ObjectName(e.Object), op)
	if err != nil && !errors.Is(err, ceph.ENOENT) {
		return fmt.Errorf("discard object %d: %w", e.Object, err)
	}
	if whole && m != nil {
		pending := objectmap.Pending
		return m.Mark(ctx, e.Object, objectmap.Nonexistent, &pending)
	}
	return nil
}

// An Extent is a run of an image's bytes.
type Extent = message.Extent

// A chunk is some bytes at their place in the image, or in an object.
type chunk struct {
	off uint64
	p   []byte
}

// Sparse returns the parts of [off, off+length) that hold data, ascending, and calls sink with
// the bytes of each in order. What it leaves out reads as zero.
func (i *Image) Sparse(
	ctx context.Context, off, length uint64, sink func(off uint64, p []byte) error,
) error {
	if err := i.drain(ctx); err != nil {
		return err
	}
	h, data, err := i.fresh(ctx)
	if err != nil {
		return err
	}
	if off >= h.Size {
		return nil
	}
	pieces := h.Split(off, min(length, h.Size-off))
	parts := make([][]chunk, len(pieces))
	err = each(ctx, number(pieces), func(ctx context.Context, n stripe.Piece) error {
		var err error
		parts[n.At], err = h.sparse(ctx, data, off, pieces[n.At])
		return err
	})
	if err != nil {
		return err
	}
	for _, chunks := range parts {
		for _, c := range chunks {
			if err := sink(c.off, c.p); err != nil {
				return err
			}
		}
	}
	return nil
}

// sparse reads what one piece of a range that begins at base holds.
func (h *header) sparse(
	ctx context.Context, data *rados.IOCtx, base uint64, e stripe.Piece,
) (out []chunk, err error) {
	var r rados.ReadOp
	got := r.SparseRead(e.Off, e.Len)
	err = data.OperateRead(ctx, h.ObjectName(e.Object), &r)
	at := base + e.At
	if errors.Is(err, ceph.ENOENT) {
		if h.from == nil || at >= h.Overlap {
			return nil, nil
		}
		err = h.from.Sparse(ctx, at, min(e.Len, h.Overlap-at), func(off uint64, p []byte) error {
			out = append(out, chunk{off, p})
			return nil
		})
		return out, err
	}
	if err != nil {
		return nil, fmt.Errorf("read object %d: %w", e.Object, err)
	}
	bytes := got.Data
	for _, x := range got.Extents {
		if x.Len > uint64(len(bytes)) || x.Off < e.Off || x.Off+x.Len > e.Off+e.Len {
			return nil, fmt.Errorf("sparse read of object %d: %w", e.Object, ceph.EIO)
		}
		out = append(out, chunk{at + x.Off - e.Off, bytes[:x.Len]})
		bytes = bytes[x.Len:]
	}
	return out, nil
}

// number gives pieces whose position is their index.
func number(pieces []stripe.Piece) []stripe.Piece {
	out := make([]stripe.Piece, len(pieces))
	for n := range pieces {
		out[n] = stripe.Piece{At: uint64(n)}
	}
	return out
}
