package striper

import (
	"cmp"
	"context"
	"errors"
	"math"

	"glue/ceph"
	"glue/client/rados"
	"glue/wire/message"
)

// Limits in bytes: of one request to an object, and of what one Read returns.
const (
	requestBytes = 8 << 20
	maxReadBytes = 1 << 30
)

// An extent is a run of one object's bytes, which are in one or more places of a buffer.
type extent struct {
	object, off, len uint64
	places           []place
}

type place struct{ at, len uint64 }

// extents is where the bytes [off, off+length) are: one extent an object, or more of large ones.
func extents(l Layout, off, length uint64) []*extent {
	var all []*extent
	last := map[uint64]*extent{}
	for p := range l.Split(off, length) {
		for done := uint64(0); done < p.Len; {
			n := min(p.Len-done, requestBytes)
			e := last[p.Object]
			if e == nil || e.len+n > requestBytes {
				e = &extent{object: p.Object, off: p.Off + done}
				last[p.Object] = e
				all = append(all, e)
			}
			e.places = append(e.places, place{p.At + done, n})
			e.len += n
			done += n
		}
	}
	return all
}

// gather is an extent's bytes in a row.
func (e *extent) gather(from []byte) []byte {
	if len(e.places) == 1 {
		return from[e.places[0].at:][:e.len]
	}
	b := make([]byte, 0, e.len)
	for _, p := range e.places {
		b = append(b, from[p.at:p.at+p.len]...)
	}
	return b
}

// scatter puts what an object has of an extent where it belongs, and zeros for what it has not.
func (e *extent) scatter(to, b []byte) {
	for _, p := range e.places {
		into := to[p.at : p.at+p.len]
		n := copy(into, b)
		clear(into[n:])
		b = b[n:]
	}
}

// reach is where length bytes at off end. EFBIG if no striped object can be that large.
func reach(off uint64, length int) (uint64, error) {
	if off > math.MaxInt64-uint64(length) {
		return 0, ceph.EFBIG
	}
	return off + uint64(length), nil
}

// Write puts data at off, and makes the striped object if it is not there. Without data it is as
// long as off at least.
func (s *Striper) Write(ctx context.Context, name string, data []byte, off uint64) error {
	return failed("write", name, s.write(ctx, name, data, off))
}

func (s *Striper) write(ctx context.Context, name string, data []byte, off uint64) error {
	end, err := reach(off, len(data))
	if err != nil {
		return err
	}
	return s.writing(ctx, name, end, func(h *hold, a attrs, _ bool) error {
		if err := h.grow(ctx, a, end); err != nil {
			return err
		}
		return h.write(ctx, a.layout, data, off)
	})
}

// writing runs f under the shared lock, and says whether the striped object was made for it, of
// the size.
func (s *Striper) writing(
	ctx context.Context, name string, size uint64, f func(h *hold, a attrs, created bool) error,
) error {
	h, created, err := s.takeForWrite(ctx, name, size)
	if err != nil {
		return err
	}
	a := attrs{layout: s.layout, size: size}
	if !created {
		a, err = s.attrs(ctx, name)
	}
	if err == nil {
		err = f(h, a, created)
	}
	unlock := h.release(ctx)
	return cmp.Or(err, unlock)
}

// grow makes the size end unless it is larger: others may grow it as well, but nobody shrinks it
// while we have the lock.
func (h *hold) grow(ctx context.Context, a attrs, end uint64) error {
	if a.size >= end {
		return nil
	}
	err := h.s.x.Operate(ctx, h.first(), new(rados.WriteOp).
		CompareXattrU64(sizeAttr, message.CmpGT, end).SetXattr(sizeAttr, number(end)))
	if errors.Is(err, ceph.ECANCELED) {
		return nil
	}
	return err
}

// write writes data at off, several objects at a time.
func (h *hold) write(ctx context.Context, l Layout, data []byte, off uint64) error {
	for _, e := range extents(l, off, uint64(len(data))) {
		err := h.change(ctx, e.object, new(rados.WriteOp).Write(e.gather(data), e.off))
		if err != nil {
			return err
		}
	}
	return h.settle(ctx)
}

// Append puts data at the end, and makes the striped object if it is not there.
func (s *Striper) Append(ctx context.Context, name string, data []byte) error {
	err := s.writing(ctx, name, uint64(len(data)), func(h *hold, a attrs, created bool) error {
		if created {
			return h.write(ctx, a.layout, data, 0)
		}
		off, err := h.extend(ctx, a, len(data))
		if err != nil {
			return err
		}
		return h.write(ctx, a.layout, data, off)
	})
	return failed("append to", name, err)
}

// extend makes the size n bytes larger and returns what it was: these bytes are ours.
func (h *hold) extend(ctx context.Context, a attrs, n int) (uint64, error) {
	for {
		end, err := reach(a.size, n)
		if err != nil {
			return 0, err
		}
		err = h.s.x.Operate(ctx, h.first(), new(rados.WriteOp).
			CompareXattr(sizeAttr, message.CmpEQ, a.asSize).SetXattr(sizeAttr, number(end)))
		if !errors.Is(err, ceph.ECANCELED) {
			return a.size, err
		}
		if a, err = h.s.attrs(ctx, h.name); err != nil {
			return 0, err
		}
	}
}

// WriteFull makes data the whole of the striped object, which it makes if it is not there; else it
// keeps its layout and attributes. It is a Truncate and then a Write: in between others see it
// empty.
func (s *Striper) WriteFull(ctx context.Context, name string, data []byte) error {
	err := s.truncate(ctx, name, 0)
	if err == nil || errors.Is(err, ceph.ENOENT) {
		err = s.write(ctx, name, data, 0)
	}
	return failed("write", name, err)
}

// Read returns length bytes at off, fewer at the end; length 0 reads to the end. EFBIG if that is
// more than 1 GiB.
func (s *Striper) Read(ctx context.Context, name string, off, length uint64) ([]byte, error) {
	var b []byte
	err := s.read(ctx, name, off, func(left uint64) ([]byte, error) {
		if length != 0 {
			left = min(left, length)
		}
		if left > maxReadBytes {
			return nil, ceph.EFBIG
		}
		b = make([]byte, left)
		return b, nil
	})
	return b, failed("read", name, err)
}

// read fills the buffer that room returns when it is told how many bytes there are from off on; it
// asks for no more. At a snapshot nothing changes: there is no lock, and can't be one.
func (s *Striper) read(
	ctx context.Context, name string, off uint64, room func(left uint64) ([]byte, error),
) error {
	h, err := s.take(ctx, name, rados.LockShared, new(rados.WriteOp).AssertExists())
	if errors.Is(err, ceph.EROFS) {
		return s.readLocked(ctx, name, off, room)
	}
	if err != nil {
		return err
	}
	err = s.readLocked(ctx, name, off, room)
	unlock := h.release(ctx)
	return cmp.Or(err, unlock)
}

func (s *Striper) readLocked(
	ctx context.Context, name string, off uint64, room func(left uint64) ([]byte, error),
) error {
	a, err := s.attrs(ctx, name)
	if err != nil {
		return err
	}
	p, err := room(a.size - min(off, a.size))
	if err != nil {
		return err
	}
	type started struct {
		e    *extent
		p    *rados.Pending
		data *[]byte
	}
	var all []started
	finish := func(r started) error {
		err := r.p.Wait(ctx)
		if err != nil && !errors.Is(err, ceph.ENOENT) {
			return err
		}
		r.e.scatter(p, *r.data)
		return nil
	}
	for _, e := range extents(a.layout, off, uint64(len(p))) {
		if len(all) == inFlight {
			if err := finish(all[0]); err != nil {
				return err
			}
			all = all[1:]
		}
		var r rados.ReadOp
		data := r.Read(e.off, e.len)
		pending, err := s.x.StartRead(ctx, ObjectName(name, e.object), &r)
		if err != nil {
			return err
		}
		all = append(all, started{e, pending, data})
	}
	for _, r := range all {
		if err := finish(r); err != nil {
			return err
		}
	}
	return nil
}
