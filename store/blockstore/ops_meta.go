package blockstore

import (
	"bytes"
	"encoding/binary"
	"slices"

	"glue/ceph"
	"glue/store/objectstore"
)

func (c *change) touchOp(op *objectstore.Op) error {
	_, err := c.make(op.Coll, &op.Object)
	return err
}

func (c *change) setAttrsOp(op *objectstore.Op) error {
	o, err := c.make(op.Coll, &op.Object)
	if err != nil {
		return err
	}
	attrs := make([]attr, len(o.body.attrs), len(o.body.attrs)+len(op.Pairs))
	copy(attrs, o.body.attrs)
	o.body.attrs = attrs
	for name, value := range op.Pairs {
		i, found := o.body.find(name)
		v := attr{name, bytes.Clone(value)}
		if found {
			o.body.attrs[i] = v
		} else {
			o.body.attrs = slices.Insert(o.body.attrs, i, v)
		}
	}
	return nil
}

func (c *change) rmAttrOp(op *objectstore.Op) error {
	o, err := c.change(op.Coll, &op.Object)
	if err != nil {
		return err
	}
	if i, found := o.body.find(op.Name); found {
		o.body.attrs = slices.Delete(slices.Clone(o.body.attrs), i, i+1)
	}
	return nil
}

func (c *change) rmAttrsOp(op *objectstore.Op) error {
	o, err := c.change(op.Coll, &op.Object)
	if err == nil {
		o.body.attrs = nil
	}
	return err
}

func (c *change) omapSetOp(op *objectstore.Op) error {
	o, err := c.make(op.Coll, &op.Object)
	if err != nil || len(op.Pairs) == 0 {
		return err
	}
	if err := c.room(0); err != nil {
		return err
	}
	p := c.openOmap(o)
	for k, v := range op.Pairs {
		c.buf = omapKey(c.buf[:0], o.key, k)
		if err := c.resizePair(p, c.buf, k, int64(len(k)+len(v))); err != nil {
			return err
		}
		if err := c.batch.Set(c.buf, v, nil); err != nil {
			return err
		}
	}
	return nil
}

func (c *change) omapRmOp(op *objectstore.Op) error {
	o, err := c.change(op.Coll, &op.Object)
	if err != nil || !o.body.hasOmap {
		return err
	}
	p := c.openOmap(o)
	for _, k := range op.Keys {
		c.buf = omapKey(c.buf[:0], o.key, k)
		if err := c.resizePair(p, c.buf, k, 0); err != nil {
			return err
		}
		if err := c.batch.Delete(c.buf, nil); err != nil {
			return err
		}
	}
	return nil
}

func (c *change) omapRmRangeOp(op *objectstore.Op) error {
	o, err := c.change(op.Coll, &op.Object)
	if err != nil || !o.body.hasOmap || op.Name >= op.End {
		return err
	}
	lo, hi := omapKey(nil, o.key, op.Name), omapKey(nil, o.key, op.End)
	it, err := c.s.kv.BatchIter(c.batch, lo, hi)
	if err != nil {
		return err
	}
	n, err := omapBytes(it, len(lo)-len(op.Name))
	if err != nil {
		return err
	}
	c.addOmap(o, -n)
	return c.batch.DeleteRange(lo, hi, nil)
}

func (c *change) omapClearOp(op *objectstore.Op) error {
	o, err := c.change(op.Coll, &op.Object)
	if err != nil {
		return err
	}
	return c.clearOmap(o)
}

func (c *change) clearOmap(o *onode) error {
	if !o.body.hasOmap {
		return nil
	}
	o.body.hasOmap = false
	c.addOmap(o, -o.body.omap)
	err := c.batch.DeleteRange(omapKey(nil, o.key, ""), omapEnd(o.key), nil)
	if err == nil {
		err = c.batch.Delete(prefixed(keyHeader, o.key), nil)
	}
	return err
}

func (c *change) omapHeaderOp(op *objectstore.Op) error {
	o, err := c.make(op.Coll, &op.Object)
	if err != nil {
		return err
	}
	if err := c.room(0); err != nil {
		return err
	}
	c.openOmap(o)
	return c.batch.Set(prefixed(keyHeader, o.key), op.Data, nil)
}

// copyOmap gives dest, which has none, the omap of o.
func (c *change) copyOmap(o, dest *onode) error {
	if !o.body.hasOmap {
		return nil
	}
	dest.body.hasOmap = true
	c.addOmap(dest, o.body.omap)
	header, found, err := c.s.kv.BatchGet(c.batch, nil, prefixed(keyHeader, o.key))
	if found && err == nil {
		err = c.batch.Set(prefixed(keyHeader, dest.key), header, nil)
	}
	if err != nil {
		return err
	}
	lo := omapKey(nil, o.key, "")
	it, err := c.s.kv.BatchIter(c.batch, lo, omapEnd(o.key))
	if err != nil {
		return err
	}
	var pairs []objectstore.OmapPair // the batch must not change under its iterator
	for ok := it.First(); ok; ok = it.Next() {
		pairs = append(pairs, objectstore.OmapPair{
			Key: string(it.Key()[len(lo):]), Value: bytes.Clone(it.Value()),
		})
	}
	if err := it.Close(); err != nil {
		return err
	}
	for _, p := range pairs {
		if err := c.batch.Set(omapKey(nil, dest.key, p.Key), p.Value, nil); err != nil {
			return err
		}
	}
	return nil
}

func (c *change) putMetaOp(op *objectstore.Op) error {
	c.buf = append(append(c.buf[:0], keyMeta), op.Name...)
	return c.batch.Set(c.buf, op.Data, nil)
}

func (c *change) rmMetaOp(op *objectstore.Op) error {
	return c.batch.Delete(prefixed(keyMeta, op.Name), nil)
}

// newCID takes a collection id.
func (c *change) newCID() (uint64, error) {
	s := c.s
	cid := s.nextCID
	s.nextCID++
	c.undo = append(c.undo, func() { s.nextCID = cid })
	return cid, c.batch.Set(sysCID, binary.LittleEndian.AppendUint64(nil, s.nextCID), nil)
}

// putColl stores a new value of a collection; the old one is kept for rollback.
func (c *change) putColl(coll *collection) error {
	colls, old := c.s.colls, c.s.colls[coll.id]
	colls[coll.id] = coll
	c.undo = append(c.undo, func() {
		if old == nil {
			delete(colls, coll.id)
		} else {
			colls[coll.id] = old
		}
	})
	return c.batch.Set(appendColl(nil, coll.id), coll.encode(), nil)
}

func (c *change) mkCollOp(op *objectstore.Op) error {
	if _, ok := c.s.colls[op.Coll]; ok {
		return ceph.EEXIST
	}
	cid, err := c.newCID()
	if err != nil {
		return err
	}
	return c.putColl(&collection{id: op.Coll, cid: cid, parts: []segment{{0, cid}}})
}

func (c *change) splitCollOp(op *objectstore.Op) error {
	src, err := c.collection(op.Coll)
	if err != nil {
		return err
	}
	dest, err := c.collection(op.DestColl)
	if err != nil {
		return err
	}
	if busy, err := c.hasObjects(dest, func(uint64) bool { return true }); err != nil || busy {
		if err == nil {
			err = ceph.ENOTEMPTY
		}
		return err
	}
	lo, hi := splitRange(op.DestColl.Seed, op.Bits)
	cid, err := c.newCID()
	if err != nil {
		return err
	}
	// The logs stay; each value owns its log state, so both are copied with it.
	newSrc, newDest := *src, *dest
	newSrc.parts, newDest.parts = split(src.parts, dest.parts, lo, hi, cid)
	if err := c.putColl(&newSrc); err != nil {
		return err
	}
	return c.putColl(&newDest)
}

// splitRange is the reversed hashes whose low bits are those of seed.
func splitRange(seed, bits uint32) (lo, hi uint64) {
	mask := uint32(uint64(1)<<bits - 1)
	lo = uint64(reverse(seed & mask))
	return lo, lo + hashEnd>>bits
}
