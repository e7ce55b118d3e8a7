package rbd

import (
	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
)

// create writes the header of a new image: size, order, features, prefix and perhaps data pool.
func create(ctx class.Context, in []byte) ([]byte, error) {
	var size, features uint64
	var order uint8
	var prefix string
	dataPool := int64(-1)
	err := class.Decode(in, func(c *denc.Coder) {
		c.U64(&size)
		c.U8(&order)
		c.U64(&features)
		c.Str(&prefix)
		if c.Remaining() > 0 {
			c.I64(&dataPool)
		}
	})
	if err != nil {
		return nil, err
	}
	if features&^featAll != 0 {
		return nil, ceph.ENOSYS
	}
	if prefix == "" {
		return nil, ceph.EINVAL
	}
	if _, err := ctx.OmapVal("object_prefix"); !class.IsMissing(err) {
		return nil, ceph.EEXIST
	}
	now := class.Encoded(class.Of[ceph.Time], ctx.Now())
	pairs := map[string][]byte{
		"size":             class.Encoded(class.U64, size),
		"order":            class.Encoded(class.U8, order),
		"features":         class.Encoded(class.U64, features),
		"object_prefix":    class.Encoded(class.Str, prefix),
		"snap_seq":         class.Encoded(class.U64, 0),
		"create_timestamp": now,
		"access_timestamp": now,
		"modify_timestamp": now,
	}
	if features&featOperations != 0 || (features&featDataPool != 0) != (dataPool != -1) {
		return nil, ceph.EINVAL
	}
	if dataPool != -1 {
		pairs["data_pool_id"] = class.Encoded(class.I64, dataPool)
	}
	return nil, ctx.OmapSet(pairs)
}

// getFeatures gives the features and those that the client has to know.
func getFeatures(ctx class.Context, in []byte) ([]byte, error) {
	var snapID uint64
	var readOnly bool
	err := class.Decode(in, func(c *denc.Coder) {
		c.U64(&snapID)
		if c.Remaining() > 0 {
			c.Bool(&readOnly)
		}
	})
	if err != nil {
		return nil, err
	}
	features, err := class.Get(ctx, "features", class.U64)
	if err != nil {
		return nil, err
	}
	mask := featRWIncompatible
	if readOnly {
		mask = featIncompatible
	}
	known := class.Encoded(class.U64, features&mask)
	return append(class.Encoded(class.U64, features), known...), nil
}

func setFeatures(ctx class.Context, in []byte) ([]byte, error) {
	var features, mask uint64
	err := class.Decode(in, func(c *denc.Coder) {
		c.U64(&features)
		c.U64(&mask)
	})
	if err != nil {
		return nil, err
	}
	old, err := class.GetOr(ctx, "features", class.U64, 0)
	if err != nil {
		return nil, err
	}
	if mask&featInternal != 0 {
		return nil, ceph.EINVAL
	}
	mask &= featAll // a newer client may clear what we don't know
	if features&mask&^featMutable != 0 || ^features&mask&^(featMutable|featDisableOnly) != 0 {
		return nil, ceph.EINVAL
	}
	return nil, class.Put(ctx, "features", class.U64, old&^mask|features&mask)
}

// getSize gives order and size of the head or a snapshot.
func getSize(ctx class.Context, in []byte) ([]byte, error) {
	id, err := class.Input(in, class.U64)
	if err != nil {
		return nil, err
	}
	order, err := class.Get(ctx, "order", class.U8)
	if err != nil {
		return nil, err
	}
	var size uint64
	if ceph.SnapID(id) == ceph.NoSnap {
		size, err = class.Get(ctx, "size", class.U64)
	} else {
		var s snap
		s, err = class.Get(ctx, snapKey(ceph.SnapID(id)), class.Of[snap])
		size = s.Size
	}
	if err != nil {
		return nil, err
	}
	return append([]byte{order}, class.Encoded(class.U64, size)...), nil
}

// setSize changes the size; shrinking cuts what is seen of the parent.
func setSize(ctx class.Context, in []byte) ([]byte, error) {
	size, err := class.Input(in, class.U64)
	if err != nil {
		return nil, err
	}
	old, err := class.Get(ctx, "size", class.U64)
	if err != nil {
		return nil, err
	}
	if err := class.Put(ctx, "size", class.U64, size); err != nil {
		return nil, err
	}
	if size >= old {
		return nil, nil
	}
	p, err := class.GetOr(ctx, "parent", class.Of[parent], noParent())
	if err != nil {
		return nil, err
	}
	if p.exists() && p.overlap() > size {
		p.Overlap = &size
		return nil, class.Put(ctx, "parent", class.Of[parent], p)
	}
	return nil, nil
}

// requireFeature is ENOEXEC if the image lacks a feature.
func requireFeature(ctx class.Context, need uint64) error {
	features, err := class.Get(ctx, "features", class.U64)
	if class.IsMissing(err) || (err == nil && features&need != need) {
		return ceph.ENOEXEC
	}
	return err
}

func getStripe(ctx class.Context, _ []byte) ([]byte, error) {
	if err := exists(ctx); err != nil {
		return nil, err
	}
	if err := requireFeature(ctx, featStripingV2); err != nil {
		return nil, err
	}
	unit, err := class.Get(ctx, "stripe_unit", class.U64)
	if class.IsMissing(err) { // the default is the object size
		order, orderErr := class.Get(ctx, "order", class.U8)
		if orderErr != nil {
			return nil, ceph.EIO
		}
		unit, err = 1<<(order&63), nil
	}
	if err != nil {
		return nil, err
	}
	count, err := class.GetOr(ctx, "stripe_count", class.U64, 1)
	if err != nil {
		return nil, err
	}
	return append(class.Encoded(class.U64, unit), class.Encoded(class.U64, count)...), nil
}

func setStripe(ctx class.Context, in []byte) ([]byte, error) {
	var unit, count uint64
	err := class.Decode(in, func(c *denc.Coder) {
		c.U64(&unit)
		c.U64(&count)
	})
	if err != nil {
		return nil, err
	}
	if unit == 0 || count == 0 {
		return nil, ceph.EINVAL
	}
	if err := exists(ctx); err != nil {
		return nil, err
	}
	if err := requireFeature(ctx, featStripingV2); err != nil {
		return nil, err
	}
	order, err := class.Get(ctx, "order", class.U8)
	if err != nil {
		return nil, err
	}
	if object := uint64(1) << (order & 63); object%unit != 0 || unit > object {
		return nil, ceph.EINVAL
	}
	return nil, ctx.OmapSet(map[string][]byte{
		"stripe_unit":  class.Encoded(class.U64, unit),
		"stripe_count": class.Encoded(class.U64, count)})
}

// timestampGetter makes the method that reads one of an image's times, zero if it has none.
func timestampGetter(key string) class.Func {
	return func(ctx class.Context, _ []byte) ([]byte, error) {
		t, err := class.GetOr(ctx, key, class.Of[ceph.Time], ceph.Time{})
		if err != nil {
			return nil, err
		}
		return class.Encoded(class.Of[ceph.Time], t), nil
	}
}

// timestampSetter makes the method that sets one of an image's times to now.
func timestampSetter(key string) class.Func {
	return func(ctx class.Context, _ []byte) ([]byte, error) {
		if err := exists(ctx); err != nil {
			return nil, err
		}
		return nil, class.Put(ctx, key, class.Of[ceph.Time], ctx.Now())
	}
}

func getFlags(ctx class.Context, in []byte) ([]byte, error) {
	id, err := class.Input(in, class.U64)
	if err != nil {
		return nil, err
	}
	var flags uint64
	if ceph.SnapID(id) == ceph.NoSnap {
		flags, err = class.GetOr(ctx, "flags", class.U64, 0)
	} else {
		var s snap
		s, err = class.Get(ctx, snapKey(ceph.SnapID(id)), class.Of[snap])
		flags = s.Flags
	}
	if err != nil {
		return nil, err
	}
	return class.Encoded(class.U64, flags), nil
}

func setFlags(ctx class.Context, in []byte) ([]byte, error) {
	var flags, mask uint64
	id := uint64(ceph.NoSnap)
	err := class.Decode(in, func(c *denc.Coder) {
		c.U64(&flags)
		c.U64(&mask)
		if c.Remaining() > 0 {
			c.U64(&id)
		}
	})
	if err != nil {
		return nil, err
	}
	if ceph.SnapID(id) == ceph.NoSnap {
		old, err := class.GetOr(ctx, "flags", class.U64, 0)
		if err != nil {
			return nil, err
		}
		return nil, class.Put(ctx, "flags", class.U64, old&^mask|flags&mask)
	}
	key := snapKey(ceph.SnapID(id))
	s, err := class.Get(ctx, key, class.Of[snap])
	if err != nil {
		return nil, err
	}
	s.Flags = s.Flags&^mask | flags&mask
	return nil, class.Put(ctx, key, class.Of[snap], s)
}

func getOpFeatures(ctx class.Context, _ []byte) ([]byte, error) {
	v, err := class.GetOr(ctx, "op_features", class.U64, 0)
	if err != nil {
		return nil, err
	}
	return class.Encoded(class.U64, v), nil
}

func setOpFeaturesMethod(ctx class.Context, in []byte) ([]byte, error) {
	var features, mask uint64
	err := class.Decode(in, func(c *denc.Coder) {
		c.U64(&features)
		c.U64(&mask)
	})
	if err != nil {
		return nil, err
	}
	if mask&^opFeatAll != 0 {
		return nil, ceph.EINVAL
	}
	return nil, setOpFeatures(ctx, features, mask)
}

// setOpFeatures changes the operation features under a mask; the image feature "operations" is on
// as long as any is.
func setOpFeatures(ctx class.Context, opFeatures, mask uint64) error {
	oldFeatures, err := class.Get(ctx, "features", class.U64)
	if err != nil {
		return err
	}
	old, err := class.GetOr(ctx, "op_features", class.U64, 0)
	if err != nil {
		return err
	}
	opFeatures = old&^mask | opFeatures&mask
	if opFeatures == old {
		return nil
	}
	features := oldFeatures | featOperations
	if opFeatures == 0 {
		features = oldFeatures &^ featOperations
		err = class.Remove(ctx, "op_features")
	} else {
		err = class.Put(ctx, "op_features", class.U64, opFeatures)
	}
	if err != nil || features == oldFeatures {
		return err
	}
	return class.Put(ctx, "features", class.U64, features)
}

// getSnapContext gives the newest snapshot id ever and the ids that exist, newest first.
func getSnapContext(ctx class.Context, _ []byte) ([]byte, error) {
	var ids []ceph.SnapID
	err := scanSnapKeys(ctx, func(key string) { ids = append(ids, snapIDOf(key)) })
	if err != nil {
		return nil, err
	}
	seq, err := class.Get(ctx, "snap_seq", class.U64)
	if err != nil {
		return nil, err
	}
	return class.Encode(func(c *denc.Coder) {
		c.U64(&seq)
		c.U32Const(uint32(len(ids)))
		for i := len(ids) - 1; i >= 0; i-- {
			ids[i].Denc(c)
		}
	}), nil
}

func getDataPool(ctx class.Context, _ []byte) ([]byte, error) {
	pool, err := class.GetOr(ctx, "data_pool_id", class.I64, -1)
	if err != nil {
		return nil, err
	}
	return class.Encoded(class.I64, pool), nil
}

func getAllFeatures(class.Context, []byte) ([]byte, error) {
	return class.Encoded(class.U64, featAll), nil
}

// validID says whether an image may have an id: letters and digits.
func validID(id string) bool {
	for i := range len(id) {
		c := id[i]
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return false
		}
	}
	return id != ""
}

// getID reads the id that the object rbd_id.NAME holds.
func getID(ctx class.Context, _ []byte) ([]byte, error) {
	size, _, err := ctx.Stat()
	if err != nil {
		return nil, err
	}
	if size == 0 {
		return nil, ceph.ENOENT
	}
	raw, err := ctx.Read(0, size)
	if err != nil {
		return nil, err
	}
	id, err := class.Input(raw, class.Str)
	if err != nil {
		return nil, ceph.EIO
	}
	return class.Encoded(class.Str, id), nil
}

func setID(ctx class.Context, in []byte) ([]byte, error) {
	size, _, err := ctx.Stat()
	if err != nil {
		return nil, err
	}
	id, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	if !validID(id) {
		return nil, ceph.EINVAL
	}
	if size != 0 {
		return nil, ceph.EEXIST
	}
	return nil, ctx.Write(0, class.Encoded(class.Str, id))
}
