// Package journal is the class "journal": the metadata of a journal that is spread over objects,
// which journaled images use, and the appends to its data objects. A journal's header object has
// omap keys for its shape, its clients and its tags. The methods are pure and run on the goroutine
// that executes the request. Specified by src/cls/journal of Ceph 16.2.
package journal

import (
	"errors"
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
)

const (
	rd   = class.RD
	rdwr = class.RD | class.WR
)

// Class is the table of methods.
var Class = class.Class{Name: "journal", Methods: []class.Method{
	// Methods of journal.ID.
	{Name: "create", Flags: rdwr, Func: create},
	{Name: "get_order", Flags: rd, Func: getter(orderKey, class.U8)},
	{Name: "get_splay_width", Flags: rd, Func: getter(widthKey, class.U8)},
	{Name: "get_pool_id", Flags: rd, Func: getter(poolKey, class.I64)},
	{Name: "get_minimum_set", Flags: rd, Func: getter(minimumKey, class.U64)},
	{Name: "set_minimum_set", Flags: rdwr, Func: setMinimum},
	{Name: "get_active_set", Flags: rd, Func: getter(activeKey, class.U64)},
	{Name: "set_active_set", Flags: rdwr, Func: setActive},
	{Name: "get_client", Flags: rd, Func: getClient},
	{Name: "client_register", Flags: rdwr, Func: clientRegister},
	{Name: "client_update_data", Flags: rdwr, Func: clientUpdateData},
	{Name: "client_update_state", Flags: rdwr, Func: clientUpdateState},
	{Name: "client_unregister", Flags: rdwr, Func: clientUnregister},
	{Name: "client_commit", Flags: rdwr, Func: clientCommit},
	{Name: "client_list", Flags: rd, Func: clientList},
	{Name: "get_next_tag_tid", Flags: rd, Func: getter(nextTagKey, class.U64)},
	{Name: "get_tag", Flags: rd, Func: getTag},
	{Name: "tag_create", Flags: rdwr, Func: tagCreate},
	{Name: "tag_list", Flags: rd, Func: tagList},

	// Methods of journal_data.POOL.ID.OBJECT.
	{Name: "guard_append", Flags: rdwr, Func: guardAppend},
	{Name: "append", Flags: rdwr, Func: appendData},
}}

const (
	orderKey     = "order"
	widthKey     = "splay_width"
	poolKey      = "pool_id"
	minimumKey   = "minimum_set"
	activeKey    = "active_set"
	nextTagKey   = "next_tag_tid"
	nextClassKey = "next_tag_class"
	clientPrefix = "client_"
	tagPrefix    = "tag_"
)

func tagKey(tid uint64) string { return fmt.Sprintf("%s%016x", tagPrefix, tid) }

// get reads a key; unlike other classes this one answers EINVAL to what does not decode.
func get[T any](ctx class.Context, key string, f class.Codec[T]) (T, error) {
	raw, err := ctx.OmapVal(key)
	if err != nil {
		var zero T
		return zero, err
	}
	return class.Input(raw, f)
}

// getter makes the method that reads one key.
func getter[T any](key string, f class.Codec[T]) class.Func {
	return func(ctx class.Context, _ []byte) ([]byte, error) {
		v, err := get(ctx, key, f)
		if err != nil {
			return nil, err
		}
		return class.Encoded(f, v), nil
	}
}

func create(ctx class.Context, in []byte) ([]byte, error) {
	var order, width uint8
	var pool int64
	err := class.Decode(in, func(c *denc.Coder) {
		c.U8(&order)
		c.U8(&width)
		c.I64(&pool)
	})
	if err != nil {
		return nil, err
	}
	if _, err := ctx.OmapVal(orderKey); err == nil {
		return nil, ceph.EEXIST
	} else if !class.IsMissing(err) {
		return nil, err
	}
	zero := class.Encoded(class.U64, 0)
	return nil, ctx.OmapSet(map[string][]byte{
		orderKey: {order}, widthKey: {width}, poolKey: class.Encoded(class.I64, pool),
		activeKey: zero, minimumKey: zero, nextTagKey: zero, nextClassKey: zero,
	})
}

// setMinimum drops the sets of objects before one, which the active set can't be.
func setMinimum(ctx class.Context, in []byte) ([]byte, error) {
	set, err := class.Input(in, class.U64)
	if err != nil {
		return nil, err
	}
	active, err := get(ctx, activeKey, class.U64)
	if err != nil {
		return nil, err
	}
	if active < set {
		return nil, ceph.EINVAL
	}
	return nil, advance(ctx, minimumKey, set)
}

func setActive(ctx class.Context, in []byte) ([]byte, error) {
	set, err := class.Input(in, class.U64)
	if err != nil {
		return nil, err
	}
	minimum, err := get(ctx, minimumKey, class.U64)
	if err != nil {
		return nil, err
	}
	if minimum > set {
		return nil, ceph.EINVAL
	}
	return nil, advance(ctx, activeKey, set)
}

// advance moves a number forward: ESTALE for backward.
func advance(ctx class.Context, key string, to uint64) error {
	now, err := get(ctx, key, class.U64)
	switch {
	case err != nil || to == now:
		return err
	case to < now:
		return ceph.ESTALE
	}
	return class.Put(ctx, key, class.U64, to)
}

// guardAppend is EOVERFLOW if a data object has its size already.
func guardAppend(ctx class.Context, in []byte) ([]byte, error) {
	limit, err := class.Input(in, class.U64)
	if err != nil {
		return nil, err
	}
	_, err = roomFor(ctx, limit)
	return nil, err
}

// roomFor is the size of a data object, 0 if it is not there; EOVERFLOW if that is too much.
func roomFor(ctx class.Context, limit uint64) (uint64, error) {
	size, _, err := ctx.Stat()
	if errors.Is(err, ceph.ENOENT) {
		return 0, nil
	}
	if err == nil && size >= limit {
		err = ceph.EOVERFLOW
	}
	return size, err
}

// octopus is the release whose clients know that entries may be followed by zeros.
const octopus = 15

// appendData appends entries, and zeros up to the store's unit if all clients understand them.
func appendData(ctx class.Context, in []byte) ([]byte, error) {
	var limit uint64
	var data []byte
	err := class.Decode(in, func(c *denc.Coder) {
		c.U64(&limit)
		c.Blob(&data)
	})
	if err != nil {
		return nil, err
	}
	size, err := roomFor(ctx, limit)
	if err == nil && size >= limit {
		err = ceph.EOVERFLOW // no object, and no room for any
	}
	if err != nil {
		return nil, err
	}
	if err := ctx.Write(size, data); err != nil || ctx.MinCompatClient() < octopus {
		return nil, err
	}
	unit := ctx.MinAllocSize()
	if unit == 0 {
		unit = 8
	}
	if w := ctx.StripeWidth(); w > 0 {
		unit = roundUp(unit, w)
	}
	end := size + uint64(len(data))
	if padded := roundUp(end, unit); padded != end {
		return nil, ctx.Truncate(padded)
	}
	return nil, nil
}

func roundUp(n, unit uint64) uint64 { return (n + unit - 1) / unit * unit }
