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
	if _, err := ctx.OmapVal("object_prefix"); !isMissing(err) {
		return nil, ceph.EEXIST
	}
	now := encoded(of[ceph.Time], ctx.Now())
	pairs := map[string][]byte{
		"size":             encoded(u64, size),
		"order":            encoded(u8, order),
		"features":         encoded(u64, features),
		"object_prefix":    encoded(str, prefix),
		"snap_seq":         encoded(u64, 0),
		"create_timestamp": now,
		"access_timestamp": now,
		"modify_timestamp": now,
	}
	if features&featOperations != 0 || (features&featDataPool != 0) != (dataPool != -1) {
		return nil, ceph.EINVAL
	}
	if dataPool != -1 {
		pairs["data_pool_id"] = encoded(i64, dataPool)
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
	features, err := get(ctx, "features", u64)
	if err != nil {
		return nil, err
	}
	mask := featRWIncompatible
	if readOnly {
		mask = featIncompatible
	}
	return append(encoded(u64, features), encoded(u64, features&mask)...), nil
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
	old, err := getOr(ctx, "features", u64, 0)
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
	return nil, put(ctx, "features", u64, old&^mask|features&mask)
}

// getSize gives order and size of the head or a snapshot.
func getSize(ctx class.Context, in []byte) ([]byte, error) {
	id, err := input(in, u64)
	if err != nil {
		return nil, err
	}
	order, err := get(ctx, "order", u8)
	if err != nil {
		return nil, err
	}
	var size uint64
	if ceph.SnapID(id) == ceph.NoSnap {
		size, err = get(ctx, "size", u64)
	} else {
		var s snap
		s, err = get(ctx, snapKey(ceph.SnapID(id)), of[snap])
		size = s.Size
	}
	if err != nil {
		return nil, err
	}
	return append([]byte{order}, encoded(u64, size)...), nil
}

// setSize changes the size; shrinking cuts what is seen of the parent.
func setSize(ctx class.Context, in []byte) ([]byte, error) {
	size, err := input(in, u64)
	if err != nil {
		return nil, err
	}
	old, err := get(ctx, "size", u64)
	if err != nil {
		return nil, err
	}
	if err := put(ctx, "size", u64, size); err != nil {
		return nil, err
	}
	if size >= old {
		return nil, nil
	}
	p, err := getOr(ctx, "parent", of[parent], noParent())
	if err != nil {
		return nil, err
	}
	if p.exists() && p.overlap() > size {
		p.Overlap = &size
		return nil, put(ctx, "parent", of[parent], p)
	}
	return nil, nil
}

// requireFeature is ENOEXEC if the image lacks a feature.
func requireFeature(ctx class.Context, need uint64) error {
	features, err := get(ctx, "features", u64)
	if isMissing(err) || (err == nil && features&need != need) {
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
	unit, err := get(ctx, "stripe_unit", u64)
	if isMissing(err) { // the default is the object size
		order, orderErr := get(ctx, "order", u8)
		if orderErr != nil {
			return nil, ceph.EIO
		}
		unit, err = 1<<(order&63), nil
	}
	if err != nil {
		return nil, err
	}
	count, err := getOr(ctx, "stripe_count", u64, 1)
	if err != nil {
		return nil, err
	}
	return append(encoded(u64, unit), encoded(u64, count)...), nil
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
	order, err := get(ctx, "order", u8)
	if err != nil {
		return nil, err
	}
	if object := uint64(1) << (order & 63); object%unit != 0 || unit > object {
		return nil, ceph.EINVAL
	}
	return nil, ctx.OmapSet(map[string][]byte{
		"stripe_unit": encoded(u64, unit), "stripe_count": encoded(u64, count)})
}

// timestampGetter makes the method that reads one of an image's times, zero if it has none.
func timestampGetter(key string) class.Func {
	return func(ctx class.Context, _ []byte) ([]byte, error) {
		t, err := getOr(ctx, key, of[ceph.Time], ceph.Time{})
		if err != nil {
			return nil, err
		}
		return encoded(of[ceph.Time], t), nil
	}
}

// timestampSetter makes the method that sets one of an image's times to now.
func timestampSetter(key string) class.Func {
	return func(ctx class.Context, _ []byte) ([]byte, error) {
		if err := exists(ctx); err != nil {
			return nil, err
		}
		return nil, put(ctx, key, of[ceph.Time], ctx.Now())
	}
}

func getFlags(ctx class.Context, in []byte) ([]byte, error) {
	id, err := input(in, u64)
	if err != nil {
		return nil, err
	}
	var flags uint64
	if ceph.SnapID(id) == ceph.NoSnap {
		flags, err = getOr(ctx, "flags", u64, 0)
	} else {
		var s snap
		s, err = get(ctx, snapKey(ceph.SnapID(id)), of[snap])
		flags = s.Flags
	}
	if err != nil {
		return nil, err
	}
	return encoded(u64, flags), nil
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
		old, err := getOr(ctx, "flags", u64, 0)
		if err != nil {
			return nil, err
		}
		return nil, put(ctx, "flags", u64, old&^mask|flags&mask)
	}
	key := snapKey(ceph.SnapID(id))
	s, err := get(ctx, key, of[snap])
	if err != nil {
		return nil, err
	}
	s.Flags = s.Flags&^mask | flags&mask
	return nil, put(ctx, key, of[snap], s)
}

func getOpFeatures(ctx class.Context, _ []byte) ([]byte, error) {
	v, err := getOr(ctx, "op_features", u64, 0)
	if err != nil {
		return nil, err
	}
	return encoded(u64, v), nil
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
	oldFeatures, err := get(ctx, "features", u64)
	if err != nil {
		return err
	}
	old, err := getOr(ctx, "op_features", u64, 0)
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
		err = remove(ctx, "op_features")
	} else {
		err = put(ctx, "op_features", u64, opFeatures)
	}
	if err != nil || features == oldFeatures {
		return err
	}
	return put(ctx, "features", u64, features)
}

// getSnapContext gives the newest snapshot id ever and the ids that exist, newest first.
func getSnapContext(ctx class.Context, _ []byte) ([]byte, error) {
	var ids []ceph.SnapID
	err := scanSnapKeys(ctx, func(key string) { ids = append(ids, snapIDOf(key)) })
	if err != nil {
		return nil, err
	}
	seq, err := get(ctx, "snap_seq", u64)
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

// getter makes the method that reads one key as it is.
func getter[T any](key string, f codec[T]) class.Func {
	return func(ctx class.Context, _ []byte) ([]byte, error) {
		v, err := get(ctx, key, f)
		if err != nil {
			return nil, err
		}
		return encoded(f, v), nil
	}
}

func getDataPool(ctx class.Context, _ []byte) ([]byte, error) {
	pool, err := getOr(ctx, "data_pool_id", i64, -1)
	if err != nil {
		return nil, err
	}
	return encoded(i64, pool), nil
}

func getAllFeatures(class.Context, []byte) ([]byte, error) { return encoded(u64, featAll), nil }

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
	id, err := input(raw, str)
	if err != nil {
		return nil, ceph.EIO
	}
	return encoded(str, id), nil
}

func setID(ctx class.Context, in []byte) ([]byte, error) {
	size, _, err := ctx.Stat()
	if err != nil {
		return nil, err
	}
	id, err := input(in, str)
	if err != nil {
		return nil, err
	}
	if !validID(id) {
		return nil, ceph.EINVAL
	}
	if size != 0 {
		return nil, ceph.EEXIST
	}
	return nil, ctx.Write(0, encoded(str, id))
}
