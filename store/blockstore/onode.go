package blockstore

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"glue/ceph"
	"glue/store/objectstore"
)

// onode is the metadata of one object: what is in memory of it equals the key-value store, apart
// from a transaction under way. The store's state lock guards it.
type onode struct {
	key    string // object key
	exists bool   // false remembers that there is none
	body   onodeBody

	shards    map[uint32]*shard
	complete  bool // shards holds all there are
	owner     uint64
	cost      int64 // what the cache has counted for it
	lruBefore *onode
	lruAfter  *onode
}

// onodeBody is the part with a stored form.
type onodeBody struct {
	size    uint64
	hasOmap bool
	omap    int64  // bytes of keys and values
	attrs   []attr // sorted; replaced, never changed in place
}

// attr is one attribute; the value is never changed.
type attr struct {
	name  string
	value []byte
}

const onodeVersion = 1

func (o *onodeBody) encode(b []byte) []byte {
	b = append(b, onodeVersion, boolByte(o.hasOmap))
	b = binary.AppendUvarint(b, o.size)
	b = binary.AppendUvarint(b, uint64(len(o.attrs)))
	for _, a := range o.attrs {
		b = binary.AppendUvarint(b, uint64(len(a.name)))
		b = append(b, a.name...)
		b = binary.AppendUvarint(b, uint64(len(a.value)))
		b = append(b, a.value...)
	}
	if o.hasOmap {
		b = binary.AppendUvarint(b, uint64(o.omap))
	}
	return b
}

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// reader cuts fields off a stored value; the first error sticks.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) err(what string) error {
	if r.bad {
		return fmt.Errorf("%s: %w", what, objectstore.ErrCorrupt)
	}
	return nil
}

// decode keeps parts of b. counted is false if the omap's bytes are not in it: older releases
// did not count them, and ignore what follows the attributes.
func (o *onodeBody) decode(b []byte) (counted bool, err error) {
	r := reader{b: b}
	head := r.bytes(2)
	if len(head) < 2 || head[0] != onodeVersion {
		return false, fmt.Errorf("onode: %w", objectstore.ErrCorrupt)
	}
	o.hasOmap = head[1] != 0
	o.size = r.uvarint()
	n := r.uvarint()
	for range n {
		name := string(r.bytes(r.uvarint()))
		value := r.bytes(r.uvarint())
		if r.bad {
			break
		}
		o.attrs = append(o.attrs, attr{name, value})
	}
	counted = !o.hasOmap || len(r.b) > 0
	if counted && o.hasOmap {
		o.omap = int64(r.uvarint())
	}
	return counted, r.err("onode")
}

func (o *onodeBody) find(name string) (int, bool) {
	return slices.BinarySearchFunc(o.attrs, name,
		func(a attr, name string) int { return strings.Compare(a.name, name) })
}

// bytes estimates the memory of an onode.
func (o *onode) bytes() int64 {
	n := int64(len(o.key)) + 256 + int64(len(o.shards))*(shardBlocks*16+64)
	for _, a := range o.body.attrs {
		n += int64(len(a.name)+len(a.value)) + 48
	}
	return n
}

// onodeCache is bounded by an estimate of its memory, least recently used first out.
type onodeCache struct {
	limit int64
	used  int64
	table map[string]*onode
	root  onode // of the ring; lruAfter is the most recently used
}

func newOnodeCache(limit int64) *onodeCache {
	c := &onodeCache{limit: limit, table: map[string]*onode{}}
	c.root.lruAfter, c.root.lruBefore = &c.root, &c.root
	return c
}

func (o *onode) unlink() {
	o.lruBefore.lruAfter = o.lruAfter
	o.lruAfter.lruBefore = o.lruBefore
}

func (c *onodeCache) front(o *onode) {
	o.lruBefore, o.lruAfter = &c.root, c.root.lruAfter
	o.lruAfter.lruBefore = o
	c.root.lruAfter = o
}

func (c *onodeCache) get(key []byte) *onode {
	o := c.table[string(key)]
	if o != nil && c.root.lruAfter != o {
		o.unlink()
		c.front(o)
	}
	return o
}

func (c *onodeCache) put(o *onode) {
	c.table[o.key] = o
	c.front(o)
	c.recount(o)
}

func (c *onodeCache) drop(o *onode) {
	delete(c.table, o.key)
	o.unlink()
	c.used -= o.cost
	o.cost = 0
}

// trim evicts down to the limit; no transaction may be under way.
func (c *onodeCache) trim() {
	for c.used > c.limit && c.root.lruBefore != &c.root {
		c.drop(c.root.lruBefore)
	}
}

// recount corrects the estimate after o changed.
func (c *onodeCache) recount(o *onode) {
	n := o.bytes()
	c.used += n - o.cost
	o.cost = n
}

// onode returns the metadata of the object with the key, which is scratch. State lock held.
func (s *Store) onode(key []byte) (*onode, error) {
	if o := s.cache.get(key); o != nil {
		return o, nil
	}
	o := &onode{key: string(key), shards: map[uint32]*shard{}}
	value, found, err := s.kv.Get(nil, prefixed(keyOnode, o.key))
	if err != nil {
		return nil, err
	}
	if found {
		if err := s.decodeOnode(&o.body, o.key, value); err != nil {
			return nil, err
		}
	}
	o.exists, o.complete = found, !found
	s.cache.put(o)
	return o, nil
}

// find returns an existing object's metadata, ENOENT if there is none. State lock held.
func (s *Store) find(c ceph.SPG, h *ceph.HObject) (*onode, error) {
	if s.failed.Load() != nil {
		return nil, objectstore.ErrFailed
	}
	coll, ok := s.colls[c]
	if !ok || h.Max {
		return nil, ceph.ENOENT
	}
	s.scratch = appendObject(s.scratch[:0], coll.home(h.Hash), h)
	o, err := s.onode(s.scratch)
	if err != nil {
		return nil, err
	}
	if !o.exists {
		return nil, ceph.ENOENT
	}
	return o, nil
}

// shard returns the mapping of one part of the object, not to be changed. State lock held.
func (s *Store) shard(o *onode, index uint32) (*shard, error) {
	if sh, ok := o.shards[index]; ok {
		return sh, nil
	}
	sh := new(shard)
	if !o.complete {
		var err error
		s.keyBuf = shardKey(s.keyBuf[:0], o.key, index)
		s.valueBuf, sh.stored, err = s.kv.Get(s.valueBuf[:0], s.keyBuf)
		if err != nil {
			return nil, err
		}
		if sh.stored {
			if err := sh.decode(s.valueBuf, s.alloc.total); err != nil {
				return nil, err
			}
		}
	}
	o.shards[index] = sh
	s.cache.recount(o)
	return sh, nil
}

// loadShards brings all of the object's mapping into memory. State lock held.
func (s *Store) loadShards(o *onode) error {
	if o.complete {
		return nil
	}
	err := s.scanShards(o.key, func(index uint32, sh *shard) {
		if _, ok := o.shards[index]; !ok {
			o.shards[index] = sh
		}
	})
	s.cache.recount(o)
	o.complete = err == nil
	return err
}

// scanShards calls f for each stored mapping of an object.
func (s *Store) scanShards(key string, f func(uint32, *shard)) error {
	lo := prefixed(keyShard, key)
	it, err := s.kv.NewIter(lo, keyAfter(lo))
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		k := it.Key()
		if len(k) != len(lo)+4 {
			err = fmt.Errorf("extent key %q: %w", k, objectstore.ErrCorrupt)
			break
		}
		sh := &shard{stored: true}
		if err = sh.decode(it.Value(), s.alloc.total); err == nil {
			f(binary.BigEndian.Uint32(k[len(lo):]), sh)
		}
	}
	if err2 := it.Close(); err == nil {
		err = err2
	}
	return err
}

func (r *reader) u8() byte {
	if b := r.bytes(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.bytes(4); len(b) == 4 {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.bytes(8); len(b) == 8 {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}
