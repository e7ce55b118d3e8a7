package rbd

import (
	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
)

// maxObjects is the largest object map.
const maxObjects = 256000000

// loadMap reads the object map in the object's data; an empty object has none.
func loadMap(ctx class.Context) (bitVector, error) {
	var v bitVector
	size, _, err := ctx.Stat()
	if err != nil {
		return v, err
	}
	if size == 0 {
		return v, ceph.ENOENT
	}
	raw, err := ctx.Read(0, size)
	if err != nil {
		return v, err
	}
	return v, class.DecodeValue(raw, &v)
}

func objectMapLoad(ctx class.Context, _ []byte) ([]byte, error) {
	v, err := loadMap(ctx)
	if err != nil {
		return nil, err
	}
	v.crcs = false // the message has a CRC
	return class.EncodeValue(&v), nil
}

func objectMapSave(ctx class.Context, in []byte) ([]byte, error) {
	var v bitVector
	if err := class.DecodeValue(in, &v); err != nil {
		return nil, err
	}
	v.crcs = true
	return nil, ctx.WriteFull(class.EncodeValue(&v))
}

// objectMapResize makes the map fit an image of some objects. Objects that go away have to be in
// the default state: ESTALE otherwise.
func objectMapResize(ctx class.Context, in []byte) ([]byte, error) {
	var count uint64
	var state uint8
	err := class.Decode(in, func(c *denc.Coder) {
		c.U64(&count)
		c.U8(&state)
	})
	if err != nil {
		return nil, err
	}
	if count > maxObjects {
		return nil, ceph.EINVAL
	}
	v, err := loadMap(ctx)
	if class.IsMissing(err) {
		v = bitVector{crcs: true}
	} else if err != nil {
		return nil, err
	}
	if count < v.size {
		for i := count; i < v.size; i++ {
			if v.at(i) != state {
				return nil, ceph.ESTALE
			}
		}
		v.shrink(count)
	} else {
		v.grow(count, state)
	}
	return nil, ctx.WriteFull(class.EncodeValue(&v))
}

// A mapUpdate is the input of object_map_update: objects [Start, End) that are in the state
// Current, if given, become New.
type mapUpdate struct {
	Start, End uint64
	New        uint8
	Current    *uint8
}

func (u *mapUpdate) Denc(c *denc.Coder) {
	c.U64(&u.Start)
	c.U64(&u.End)
	c.U8(&u.New)
	denc.OptionalFunc(c, &u.Current, (*denc.Coder).U8)
}

// applies says whether an object in a state changes.
func (u *mapUpdate) applies(state uint8) bool {
	if state == u.New {
		return false
	}
	return u.Current == nil || state == *u.Current ||
		(*u.Current == objectExists && state == objectExistsClean)
}

// objectMapUpdate changes a run of objects; it reads and writes the blocks concerned only.
func objectMapUpdate(ctx class.Context, in []byte) ([]byte, error) {
	var u mapUpdate
	if err := class.DecodeValue(in, &u); err != nil {
		return nil, err
	}
	bytes, _, err := ctx.Stat()
	if err != nil {
		return nil, err
	}
	raw, err := ctx.Read(0, headerBytes)
	if err != nil {
		return nil, err
	}
	var size uint64
	err = class.Decode(raw, func(c *denc.Coder) { size = readHeader(c) })
	if err != nil || dataBytes(size) > bytes {
		return nil, ceph.EINVAL
	}
	if u.Start >= u.End || u.End > size {
		return nil, ceph.ERANGE
	}
	return nil, u.apply(ctx, windowOf(size, u.Start, u.End))
}

func (u *mapUpdate) apply(ctx class.Context, w window) error {
	crcs, err := ctx.Read(w.crcOff, w.crcLen)
	if err != nil {
		return err
	}
	data, err := ctx.Read(w.dataOff, w.dataLen)
	if err != nil {
		return err
	}
	if uint64(len(data)) != w.dataLen {
		return ceph.EINVAL
	}
	if err := verify(data, crcs); err != nil {
		return err
	}
	part := bitVector{data: data}
	changed := false
	for i := u.Start - w.first; i < u.End-w.first; i++ {
		if u.applies(part.at(i)) {
			part.set(i, u.New)
			changed = true
		}
	}
	if !changed {
		return nil
	}
	if err := ctx.Write(w.dataOff, data); err != nil {
		return err
	}
	return ctx.Write(w.crcOff, class.Encode(func(c *denc.Coder) {
		for _, b := range blocks(data) {
			c.U32Const(crc(b))
		}
	}))
}

// objectMapSnapAdd marks what exists as unchanged since the snapshot that is being taken.
func objectMapSnapAdd(ctx class.Context, _ []byte) ([]byte, error) {
	v, err := loadMap(ctx)
	if err != nil {
		return nil, err
	}
	return nil, changeMap(ctx, &v, func(_ uint64, state uint8) uint8 {
		if state == objectExists {
			return objectExistsClean
		}
		return state
	})
}

// objectMapSnapRemove takes the map of a snapshot that goes away: what changed in it now counts
// as changed in the head.
func objectMapSnapRemove(ctx class.Context, in []byte) ([]byte, error) {
	var old bitVector
	if err := class.DecodeValue(in, &old); err != nil {
		return nil, err
	}
	v, err := loadMap(ctx)
	if err != nil {
		return nil, err
	}
	return nil, changeMap(ctx, &v, func(i uint64, state uint8) uint8 {
		if state == objectExistsClean && (i >= old.size || old.at(i) == objectExists) {
			return objectExists
		}
		return state
	})
}

// changeMap applies f to every object and writes the map if anything changed.
func changeMap(ctx class.Context, v *bitVector, f func(i uint64, state uint8) uint8) error {
	changed := false
	for i := range v.size {
		if old := v.at(i); f(i, old) != old {
			v.set(i, f(i, old))
			changed = true
		}
	}
	if !changed {
		return nil
	}
	return ctx.WriteFull(class.EncodeValue(v))
}
