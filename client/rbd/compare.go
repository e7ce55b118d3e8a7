package rbd

import (
	"context"
	"errors"
	"fmt"

	"glue/ceph"
	"glue/client/rados"
	"glue/client/rbd/journal"
	"glue/client/stripe"
)

// A MismatchError says that an image does not hold what CompareAndWrite was to find. It is EILSEQ
// to errors.Is.
type MismatchError struct {
	Off uint64 // in the image, of the first byte that differs
}

// Error says where.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("the image's data differ at byte %d: %v", e.Off, e.Unwrap())
}

// Unwrap is EILSEQ.
func (e *MismatchError) Unwrap() error { return ceph.EILSEQ }

// CompareAndWrite puts data at off if the image has old there, and is a MismatchError otherwise. It
// is one step whatever other clients do, and durable. EINVAL if old and data are empty or of
// different lengths, or if the range is not within one stripe unit (without striping: one object).
func (i *Image) CompareAndWrite(ctx context.Context, off uint64, old, data []byte) error {
	if len(old) != len(data) || len(old) == 0 {
		return fmt.Errorf("compare %d bytes and write %d: %w", len(old), len(data), ceph.EINVAL)
	}
	length := uint64(len(data))
	pieces := i.head().Split(off, length)
	if len(pieces) > 1 {
		return fmt.Errorf("compare and write %d bytes at %d, not within a stripe unit: %w",
			length, off, ceph.EINVAL)
	}
	e := journal.Event{Kind: journal.CompareAndWrite, Off: off, Len: length, Compare: old,
		Data: data}
	return i.changeRange(ctx, e, func(t target) error {
		return t.compareAt(ctx, pieces[0], off, old, data)
	}, nil)
}

// compareAt compares and writes one piece, which is at off in the image.
func (t target) compareAt(ctx context.Context, e stripe.Piece, off uint64, old, data []byte) error {
	err := t.absent(ctx, e.Object, off, old)
	if err == nil {
		err = t.compareAndWrite(ctx, e, old, data)
	}
	var differs *rados.MismatchError
	switch {
	case errors.As(err, &differs):
		return &MismatchError{Off: off + differs.Off}
	case err != nil:
		return fmt.Errorf("compare and write object %d: %w", e.Object, err)
	}
	return nil
}

// absent compares what the image has at off if the object map knows that the object is not there:
// it must not be announced if it is not going to be written.
func (t target) absent(ctx context.Context, object, off uint64, old []byte) error {
	if t.m == nil || t.m.MayExist(object) {
		return nil
	}
	have := make([]byte, len(old))
	if err := t.h.readParent(ctx, off, have); err != nil {
		return err
	}
	for n := range old {
		if old[n] != have[n] {
			return &rados.MismatchError{Off: uint64(n)}
		}
	}
	return nil
}

// compareAndWrite compares and writes a part of an object. A vector compares with what was there
// before it: the parent's data are copied in one of their own.
func (t target) compareAndWrite(ctx context.Context, e stripe.Piece, old, data []byte) error {
	state, err := t.announce(ctx, e.Object)
	if err != nil {
		return err
	}
	change := func(op *rados.WriteOp) { op.CompareExtent(old, e.Off).Write(data, e.Off) }
	if covered := t.h.inParent(e.Object); len(covered) > 0 {
		if err := t.ifThere(ctx, e.Object, state, change); !errors.Is(err, ceph.ENOENT) {
			return err
		}
		if err := t.copyUp(ctx, e.Object, covered, nil); err != nil {
			return err
		}
	}
	op := new(rados.WriteOp)
	change(op)
	return t.data.Operate(ctx, t.h.ObjectName(e.Object), op)
}
