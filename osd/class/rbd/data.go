package rbd

import (
	"bytes"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
)

// copyup writes a parent's data into an object of a clone, unless it is there already.
func copyup(ctx class.Context, in []byte) ([]byte, error) {
	if exists(ctx) == nil {
		return nil, nil
	}
	return nil, ctx.Write(0, in)
}

// An extent is a run of bytes of a sparse copyup.
type extent struct{ off, len uint64 }

// sparseCopyup is copyup of the extents that hold data; none makes an empty object.
func sparseCopyup(ctx class.Context, in []byte) ([]byte, error) {
	var extents []extent
	var data []byte
	err := class.Decode(in, func(c *denc.Coder) {
		denc.ListFunc(c, &extents, func(c *denc.Coder, e *extent) {
			c.U64(&e.off)
			c.U64(&e.len)
		})
		c.Blob(&data)
	})
	if err != nil {
		return nil, err
	}
	if exists(ctx) == nil {
		return nil, nil
	}
	if len(extents) == 0 {
		return nil, ctx.Create(true)
	}
	for _, e := range extents {
		if e.len > uint64(len(data)) {
			return nil, ceph.EINVAL
		}
		if err := ctx.Write(e.off, data[:e.len]); err != nil {
			return nil, err
		}
		data = data[e.len:]
	}
	return nil, nil
}

// Conditions of assert_snapc_seq (ASSERT_SNAPC_SEQ_*).
const (
	snapcAbove = 0
	snapcNot   = 1
)

// assertSnapcSeq holds a writer to its snap context: ERANGE if the object has seen more, or less.
func assertSnapcSeq(ctx class.Context, in []byte) ([]byte, error) {
	var seq uint64
	var state uint8
	err := class.Decode(in, func(c *denc.Coder) {
		c.U64(&seq)
		c.U8(&state)
	})
	if err != nil {
		return nil, err
	}
	seen, err := ctx.SnapSetSeq()
	if err != nil && !class.IsMissing(err) {
		return nil, err
	}
	above := err != nil || seq > seen
	switch {
	case state > snapcNot:
		return nil, ceph.EOPNOTSUPP
	case above != (state == snapcAbove):
		return nil, ceph.ERANGE
	}
	return nil, nil
}

// sparsify rewrites an object without the units of zeros that it holds. One of zeros alone is
// removed, or emptied if it has to be there.
func sparsify(ctx class.Context, in []byte) ([]byte, error) {
	var unit uint64
	var removeEmpty bool
	err := class.Decode(in, func(c *denc.Coder) {
		c.U64(&unit)
		c.Bool(&removeEmpty)
	})
	if err != nil {
		return nil, err
	}
	if err := exists(ctx); err != nil {
		return nil, err
	}
	data, err := ctx.Read(0, 0)
	switch {
	case err != nil:
		return nil, err
	case isZero(data) && removeEmpty:
		return nil, ctx.Remove()
	case isZero(data) && len(data) == 0:
		return nil, nil
	case isZero(data):
		return nil, replace(ctx, 0, nil)
	case unit == 0:
		return nil, ceph.EINVAL
	}
	return nil, writeRuns(ctx, data, runs(data, unit))
}

// replace makes data at an offset all that the object holds.
func replace(ctx class.Context, off uint64, data []byte) error {
	if err := ctx.Truncate(0); err != nil {
		return err
	}
	return ctx.Write(off, data)
}

// runs finds the units that are not all zero, neighbours joined.
func runs(data []byte, unit uint64) []extent {
	var out []extent
	size := uint64(len(data))
	for off := uint64(0); off < size; {
		n := min(unit, size-off)
		if !isZero(data[off : off+n]) {
			if k := len(out); k > 0 && out[k-1].off+out[k-1].len == off {
				out[k-1].len += n
			} else {
				out = append(out, extent{off, n})
			}
		}
		off += n
	}
	return out
}

// writeRuns keeps only some parts of the data; keeping all of it is nothing to do.
func writeRuns(ctx class.Context, data []byte, keep []extent) error {
	if len(keep) == 1 && keep[0].len == uint64(len(data)) {
		return nil
	}
	for i, e := range keep {
		write := ctx.Write
		if i == 0 {
			write = func(off uint64, b []byte) error { return replace(ctx, off, b) }
		}
		if err := write(e.off, data[e.off:e.off+e.len]); err != nil {
			return err
		}
	}
	return nil
}

func isZero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }
