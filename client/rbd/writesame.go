package rbd

import (
	"context"
	"fmt"
	"strconv"

	"glue/ceph"
	"glue/client/rados"
	"glue/client/rbd/blocks"
	"glue/client/rbd/journal"
	"glue/client/stripe"
)

// zeroPattern is what thick zeros are repeated from.
var zeroPattern = make([]byte, 512)

// WriteSame repeats pattern over length bytes at off, durably. Where whole patterns lie within an
// object the OSDs repeat it. EINVAL unless length is a multiple of the pattern's. Zeros are as of
// WriteZeroes, thick if rbd_discard_on_zeroed_write_same is false.
func (i *Image) WriteSame(ctx context.Context, off, length uint64, pattern []byte) error {
	n := uint64(len(pattern))
	if n == 0 || length%n != 0 {
		return fmt.Errorf("repeat %d bytes over %d: %w", n, length, ceph.EINVAL)
	}
	if blocks.IsZero(pattern) {
		thin, err := strconv.ParseBool(i.x.Cluster().Option("rbd_discard_on_zeroed_write_same"))
		return i.WriteZeroes(ctx, off, length, err == nil && !thin)
	}
	return i.writeSame(ctx, off, length, pattern, repeat(pattern))
}

// WriteZeroes makes length bytes at off read as zero, durably: as Discard does, or thick, so that
// they take space.
func (i *Image) WriteZeroes(ctx context.Context, off, length uint64, thick bool) error {
	if !thick {
		return i.Discard(ctx, off, length)
	}
	return i.writeSame(ctx, off, length, zeroPattern, zero)
}

// writeSame writes what fill makes of memory, which is a pattern over and over.
func (i *Image) writeSame(
	ctx context.Context, off, length uint64, pattern []byte, fill func(p []byte, at uint64),
) error {
	if length == 0 {
		return nil
	}
	e := journal.Event{Kind: journal.WriteSame, Off: off, Len: length, Data: pattern}
	return i.changeRange(ctx, e, func(t target) error {
		return t.writeSame(ctx, t.h.Split(off, length), pattern)
	}, fill)
}

// writeSame repeats a pattern over pieces.
func (t target) writeSame(ctx context.Context, pieces []stripe.Piece, pattern []byte) error {
	n := uint64(len(pattern))
	return each(ctx, pieces, func(ctx context.Context, e stripe.Piece) error {
		if e.At%n != 0 || e.Len%n != 0 {
			p := make([]byte, e.Len)
			repeat(pattern)(p, e.At)
			return t.write(ctx, e.Object, []chunk{{e.Off, p}})
		}
		whole := e.Len == t.h.ObjectBytes()
		err := t.put(ctx, e.Object, whole, func(op *rados.WriteOp) {
			op.WriteSame(pattern, e.Off, e.Len)
		})
		if err != nil {
			return fmt.Errorf("write object %d: %w", e.Object, err)
		}
		return nil
	})
}

// repeat fills memory with a pattern that began at bytes before it.
func repeat(pattern []byte) func(p []byte, at uint64) {
	return func(p []byte, at uint64) {
		for k := range p {
			p[k] = pattern[(at+uint64(k))%uint64(len(pattern))]
		}
	}
}
