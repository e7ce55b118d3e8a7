package rbd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
)

// encode is an argument list of a class method.
func encode(f func(*denc.Coder)) []byte {
	c := denc.NewEncoder(nil, ceph.FeaturesAll)
	f(c)
	return c.Bytes()
}

func decode(b []byte, f func(*denc.Coder)) error {
	c := denc.NewDecoder(b, ceph.FeaturesAll)
	f(c)
	return c.Err()
}

func u64Arg(v uint64) []byte { return encode(func(c *denc.Coder) { c.U64(&v) }) }
func strArg(s ...string) []byte {
	return encode(func(c *denc.Coder) {
		for i := range s {
			c.Str(&s[i])
		}
	})
}

// head is the snapshot id that means the image itself.
func head() []byte { return u64Arg(uint64(ceph.NoSnap)) }

// call runs one method of class rbd for its result.
func call(
	ctx context.Context, x *rados.IOCtx, oid, method string, in []byte, f func(*denc.Coder),
) error {
	out, err := x.Exec(ctx, oid, "rbd", method, in)
	if err != nil {
		return err
	}
	if err := decode(out, f); err != nil {
		return fmt.Errorf("answer of rbd.%s: %w", method, err)
	}
	return nil
}

// change runs one method of class rbd that changes an object.
func change(ctx context.Context, x *rados.IOCtx, oid, method string, in []byte) error {
	return x.Operate(ctx, oid, new(rados.WriteOp).Exec("rbd", method, in))
}

// A header is what the header object of an image says.
type header struct {
	striping
	size       uint64
	prefix     string
	features   Features
	flags      uint64
	opFeatures uint64
	snapSeq    ceph.SnapID
	snaps      []ceph.SnapID // newest first
	snapshots  []Snapshot    // oldest first
	dataPool   int64         // -1: the image's own
	created    time.Time
	accessed   time.Time
	modified   time.Time

	parent      *parentSpec
	headOverlap uint64      // with the parent, of the image itself; 0 once it was flattened
	overlap     uint64      // of what is open, the image or a snapshot
	from        *Image      // the parent, open, if there is an overlap
	snap        ceph.SnapID // what is open, NoSnap for the image itself
}

// readHeader reads the header of an image by its id.
func readHeader(ctx context.Context, x *rados.IOCtx, id string) (*header, error) {
	const tries = 10
	oid := headerPrefix + id
	for try := 1; ; try++ {
		h := &header{dataPool: -1, snap: ceph.NoSnap}
		if err := h.readFixed(ctx, x, oid); err != nil {
			return nil, err
		}
		if err := h.readMutable(ctx, x, oid); err != nil {
			return nil, err
		}
		err := h.readSnaps(ctx, x, oid)
		if errors.Is(err, ceph.ENOENT) && try < tries {
			continue // a snapshot was removed in between
		}
		if err != nil {
			return nil, err
		}
		return h, h.readOptional(ctx, x, oid)
	}
}

func (h *header) readFixed(ctx context.Context, x *rados.IOCtx, oid string) error {
	var r rados.ReadOp
	prefix := r.Exec("rbd", "get_object_prefix", nil)
	if err := x.OperateRead(ctx, oid, &r); err != nil {
		return fmt.Errorf("read image header: %w", err)
	}
	return decode(*prefix, func(c *denc.Coder) { c.Str(&h.prefix) })
}

// readMutable reads what other clients may change.
func (h *header) readMutable(ctx context.Context, x *rados.IOCtx, oid string) error {
	var r rados.ReadOp
	size := r.Exec("rbd", "get_size", head())
	features := r.Exec("rbd", "get_features", encode(func(c *denc.Coder) {
		c.U64Const(uint64(ceph.NoSnap))
		c.U8Const(0)
	}))
	flags := r.Exec("rbd", "get_flags", head())
	snapc := r.Exec("rbd", "get_snapcontext", nil)
	operations := r.Exec("rbd", "op_features_get", nil)
	r.FailOK()
	overlap := r.Exec("rbd", "parent_overlap_get", head())
	r.FailOK()
	if err := x.OperateRead(ctx, oid, &r); err != nil {
		return fmt.Errorf("read image header: %w", err)
	}
	return errors.Join(
		decode(*size, func(c *denc.Coder) {
			c.U8(&h.order)
			c.U64(&h.size)
		}),
		decode(*features, func(c *denc.Coder) { c.U64((*uint64)(&h.features)) }),
		decode(*flags, func(c *denc.Coder) { c.U64(&h.flags) }),
		decode(*snapc, func(c *denc.Coder) {
			h.snapSeq.Denc(c)
			denc.List(c, &h.snaps)
		}),
		optional(*operations, func(c *denc.Coder) { c.U64(&h.opFeatures) }),
		optional(*overlap, func(c *denc.Coder) {
			var n *uint64
			if denc.OptionalFunc(c, &n, (*denc.Coder).U64); n != nil {
				h.headOverlap, h.overlap = *n, *n
			}
		}),
	)
}

// optional decodes an answer unless there is none.
func optional(b []byte, f func(*denc.Coder)) error {
	if len(b) == 0 {
		return nil
	}
	return decode(b, f)
}

// readOptional reads what older images, or those without the feature, do not have.
func (h *header) readOptional(ctx context.Context, x *rados.IOCtx, oid string) error {
	h.stripeUnit, h.stripeCount = h.objectBytes(), 1
	var r rados.ReadOp
	created := r.Exec("rbd", "get_create_timestamp", nil)
	r.FailOK()
	accessed := r.Exec("rbd", "get_access_timestamp", nil)
	r.FailOK()
	modified := r.Exec("rbd", "get_modify_timestamp", nil)
	r.FailOK()
	parent := r.Exec("rbd", "parent_get", nil)
	r.FailOK()
	if err := x.OperateRead(ctx, oid, &r); err != nil {
		return fmt.Errorf("read image header: %w", err)
	}
	for _, t := range []struct {
		raw []byte
		to  *time.Time
	}{{*created, &h.created}, {*accessed, &h.accessed}, {*modified, &h.modified}} {
		if len(t.raw) > 0 {
			_ = decode(t.raw, func(c *denc.Coder) { // a time stamp is not worth failing
				var v ceph.Time
				v.Denc(c)
				*t.to = v.Go()
			})
		}
	}
	var spec parentSpec
	if err := optional(*parent, spec.Denc); err != nil {
		return fmt.Errorf("parent of the image: %w", err)
	}
	if len(*parent) > 0 && spec.Pool >= 0 {
		h.parent = &spec
	}
	return h.readPlacement(ctx, x, oid)
}

func (h *header) readPlacement(ctx context.Context, x *rados.IOCtx, oid string) error {
	if h.features.Has(DataPool) {
		if err := call(ctx, x, oid, "get_data_pool", nil, func(c *denc.Coder) {
			c.I64(&h.dataPool)
		}); err != nil {
			return fmt.Errorf("data pool of the image: %w", err)
		}
	}
	if h.features.Has(StripingV2) {
		err := call(ctx, x, oid, "get_stripe_unit_count", nil, func(c *denc.Coder) {
			c.U64(&h.stripeUnit)
			c.U64(&h.stripeCount)
		})
		if err != nil {
			return fmt.Errorf("striping of the image: %w", err)
		}
	}
	if h.order < minOrder-4 || h.order > 63 || h.stripeUnit == 0 || h.stripeCount == 0 ||
		h.objectBytes()%h.stripeUnit != 0 {
		return fmt.Errorf("image header makes no sense (order %d, striping %d × %d): %w",
			h.order, h.stripeUnit, h.stripeCount, ceph.EINVAL)
	}
	return nil
}
