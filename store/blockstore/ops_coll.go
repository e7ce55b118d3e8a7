package blockstore

import (
	"encoding/binary"
	"math/bits"

	"glue/ceph"
	"glue/store/objectstore"
)

func reverse(v uint32) uint32 { return bits.Reverse32(v) }

// owns says whether an object key lies in the collection.
func (c *collection) owns(key []byte) bool {
	if len(key) < 20 {
		return false
	}
	i := c.part(uint64(binary.BigEndian.Uint32(key[16:])))
	return c.parts[i].cid == binary.BigEndian.Uint64(key)
}

// hasObjects looks at what is stored and at what the transaction made or removed; in says which
// bit-reversed hashes count.
func (c *change) hasObjects(coll *collection, in func(uint64) bool) (found bool, err error) {
	counts := func(key []byte) bool { return in(uint64(binary.BigEndian.Uint32(key[16:]))) }
	for i := range c.nodes {
		o := c.nodes[i].o
		if o.exists && coll.owns([]byte(o.key)) && counts([]byte(o.key)) {
			return true, nil
		}
	}
	err = c.s.scan(coll, minObject, func(key []byte) bool {
		o := c.s.cache.table[string(key)]
		found = (o == nil || o.exists) && counts(key)
		return !found
	})
	return found, err
}

// mergeCollOp hands the key ranges of a collection to another and forgets the rest of it.
func (c *change) mergeCollOp(op *objectstore.Op) error {
	src, err := c.collection(op.Coll)
	if err != nil {
		return err
	}
	dest, err := c.collection(op.DestColl)
	if err != nil {
		return err
	}
	lo, hi := splitRange(op.Coll.Seed, op.Bits)
	moves := func(v uint64) bool { return lo <= v && v < hi }
	busy, err := c.hasObjects(dest, moves)
	if err == nil && !busy {
		busy, err = c.hasObjects(src, func(v uint64) bool { return !moves(v) })
	}
	if err != nil || busy {
		if err == nil {
			err = ceph.ENOTEMPTY
		}
		return err
	}
	newDest := *dest
	newDest.parts = overlay(dest.parts, src.parts, lo, hi)
	if err := c.putColl(&newDest); err != nil {
		return err
	}
	return c.forgetCollection(src)
}

// rmCollOp removes every object. Callers empty large collections first, since all of it is one
// transaction.
func (c *change) rmCollOp(op *objectstore.Op) error {
	coll, err := c.collection(op.Coll)
	if err != nil {
		return err
	}
	var cached []*onode
	for key, o := range c.s.cache.table {
		if coll.owns([]byte(key)) {
			cached = append(cached, o)
		}
	}
	for _, o := range cached {
		if o.exists {
			if err := c.remove(o); err != nil {
				return err
			}
		}
	}
	err = c.s.scan(coll, minObject, func(key []byte) bool {
		if _, ok := c.s.cache.table[string(key)]; ok {
			return true
		}
		c.scanFail(c.dropObject(string(key)))
		return c.scanErr == nil
	})
	if err == nil {
		err = c.scanErr
	}
	if err != nil {
		return err
	}
	return c.dropCollection(coll)
}

// dropObject gives back what an object takes that is not in memory.
func (c *change) dropObject(key string) error {
	var body onodeBody
	value, _, err := c.s.kv.Get(nil, prefixed(keyOnode, key))
	if err != nil {
		return err
	}
	if err := c.s.decodeOnode(&body, key, value); err != nil {
		return err
	}
	c.use.omap -= body.omap
	return c.s.scanShards(key, func(index uint32, sh *shard) {
		c.use.stored -= body.stored(index, sh)
		for _, m := range sh.blocks {
			c.scanFail(c.unref(m))
		}
	})
}

// scanFail keeps the first error of a scan's callbacks.
func (c *change) scanFail(err error) {
	if c.scanErr == nil {
		c.scanErr = err
	}
}

// dropCollection removes the keys and the log.
func (c *change) dropCollection(coll *collection) error {
	pools, err := c.s.pools(coll)
	if err == nil {
		err = c.dropTags(coll)
	}
	if err != nil {
		return err
	}
	for _, pool := range pools {
		for i := range coll.parts {
			for _, prefix := range []byte{keyOnode, keyShard, keyOmap, keyHeader} {
				lo, hi := coll.keyRange(prefix, i, pool)
				if err := c.batch.DeleteRange(lo, hi, nil); err != nil {
					return err
				}
			}
		}
	}
	return c.forgetCollection(coll)
}

// forgetCollection removes all but the objects.
func (c *change) forgetCollection(coll *collection) error {
	s := c.s
	delete(s.colls, coll.id)
	c.undo = append(c.undo, func() { s.colls[coll.id] = coll })
	lo := numberKey(keyLog, coll.cid)
	if err := c.batch.DeleteRange(lo, keyAfter(lo), nil); err != nil {
		return err
	}
	if err := c.batch.Delete(numberKey(keyLogTip, coll.cid), nil); err != nil {
		return err
	}
	return c.batch.Delete(appendColl(nil, coll.id), nil)
}
