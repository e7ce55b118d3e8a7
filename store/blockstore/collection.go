package blockstore

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"glue/ceph"
	"glue/store/objectstore"
)

// collection is one PG copy. Its objects are keyed by collection ids, not by the collection, so
// that a split hands over ranges of ids and hashes and rewrites no object.
type collection struct {
	id    ceph.SPG
	cid   uint64    // its first and own id; keys its log
	parts []segment // ascending, covering all bit-reversed hashes
	log   pgLog
}

// segment says that objects with bit-reversed hashes in [lo, next segment's lo) have keys that
// begin with cid.
type segment struct {
	lo  uint64
	cid uint64
}

const hashEnd = uint64(1) << 32

// home is the collection id of an object with this hash.
func (c *collection) home(hash uint32) uint64 {
	i := c.part(uint64(bits.Reverse32(hash)))
	return c.parts[i].cid
}

func (c *collection) part(reversed uint64) int {
	if len(c.parts) == 1 {
		return 0
	}
	i, found := slices.BinarySearchFunc(c.parts, reversed,
		func(s segment, v uint64) int { return int(int64(s.lo) - int64(v)) })
	if !found {
		i--
	}
	return i
}

// end is the first reversed hash after part i.
func (c *collection) end(i int) uint64 {
	if i+1 < len(c.parts) {
		return c.parts[i+1].lo
	}
	return hashEnd
}

const collVersion = 1

func (c *collection) encode() []byte {
	b := []byte{collVersion}
	b = binary.AppendUvarint(b, c.cid)
	b = binary.AppendUvarint(b, uint64(len(c.parts)))
	for _, p := range c.parts {
		b = binary.AppendUvarint(b, p.lo)
		b = binary.AppendUvarint(b, p.cid)
	}
	return b
}

func decodeCollection(id ceph.SPG, b []byte) (*collection, error) {
	c := &collection{id: id}
	r := reader{b: b}
	if v := r.bytes(1); len(v) == 0 || v[0] != collVersion {
		return nil, fmt.Errorf("collection %v: %w", id, objectstore.ErrCorrupt)
	}
	c.cid = r.uvarint()
	for range r.uvarint() {
		p := segment{lo: r.uvarint(), cid: r.uvarint()}
		if r.bad {
			break
		}
		c.parts = append(c.parts, p)
	}
	if len(c.parts) == 0 || c.parts[0].lo != 0 {
		r.bad = true
	}
	return c, r.err(fmt.Sprintf("collection %v", id))
}

// split is how the parts of src and dest look after the hashes in [lo, hi) moved: dest has src's
// keys there, and src has fresh ids in their place.
func split(src, dest []segment, lo, hi uint64, fresh uint64) (newSrc, newDest []segment) {
	newSrc = overlay(src, []segment{{lo, fresh}}, lo, hi)
	newDest = overlay(dest, src, lo, hi)
	return newSrc, newDest
}

// overlay replaces what base says about [lo, hi) by what top says.
func overlay(base, top []segment, lo, hi uint64) (out []segment) {
	add := func(p segment) {
		if n := len(out); n > 0 && out[n-1].cid == p.cid {
			return
		}
		out = append(out, p)
	}
	cut := func(list []segment, from, to uint64) {
		for i, p := range list {
			end := hashEnd
			if i+1 < len(list) {
				end = list[i+1].lo
			}
			if a, b := max(p.lo, from), min(end, to); a < b {
				add(segment{a, p.cid})
			}
		}
	}
	cut(base, 0, lo)
	cut(top, lo, hi)
	cut(base, hi, hashEnd)
	return out
}

// keyRange is the bounds of the object keys of part i for one prefix and pool.
func (c *collection) keyRange(prefix byte, i int, pool int64) (lo, hi []byte) {
	bound := func(reversed uint64) []byte {
		b := numberKey(prefix, c.parts[i].cid)
		b = binary.BigEndian.AppendUint64(b, uint64(pool)^1<<63)
		if reversed == hashEnd {
			return keyAfter(b)
		}
		return binary.BigEndian.AppendUint32(b, uint32(reversed))
	}
	return bound(c.parts[i].lo), bound(c.end(i))
}

// pools lists the pools that objects of the collection name, ascending.
func (s *Store) pools(c *collection) ([]int64, error) {
	var list []int64
	var cids []uint64
	for _, p := range c.parts {
		if !slices.Contains(cids, p.cid) {
			cids = append(cids, p.cid)
		}
	}
	for _, cid := range cids {
		lo := numberKey(keyOnode, cid)
		it, err := s.kv.NewIter(lo, keyAfter(lo))
		if err != nil {
			return nil, err
		}
		for ok := it.First(); ok; {
			k := it.Key()
			if len(k) < 17 {
				break
			}
			biased := binary.BigEndian.Uint64(k[9:])
			list = append(list, int64(biased^1<<63))
			if biased == ^uint64(0) {
				break
			}
			ok = it.SeekGE(binary.BigEndian.AppendUint64(slices.Clone(lo), biased+1))
		}
		if err := it.Close(); err != nil {
			return nil, err
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// scan calls f with the keys of the collection's objects from the given one on, in order, until f
// returns false. State lock held.
func (s *Store) scan(c *collection, from ceph.HObject, f func(key []byte) bool) error {
	pools, err := s.pools(c)
	if err != nil {
		return err
	}
	start := c.part(uint64(bits.Reverse32(from.Hash)))
	for _, pool := range pools {
		if from.IsMin() {
			from.Pool = pool
		}
		if pool < from.Pool {
			continue
		}
		for i := range c.parts {
			lo, hi := c.keyRange(keyOnode, i, pool)
			if pool == from.Pool {
				if i < start {
					continue
				}
				if i == start {
					lo = appendObject([]byte{keyOnode}, c.parts[i].cid, &from)
				}
			}
			more, err := s.scanRange(lo, hi, f)
			if err != nil || !more {
				return err
			}
		}
	}
	return nil
}

func (s *Store) scanRange(lo, hi []byte, f func(key []byte) bool) (more bool, err error) {
	it, err := s.kv.NewIter(lo, hi)
	if err != nil {
		return false, err
	}
	more = true
	for ok := it.First(); ok && more; ok = it.Next() {
		more = f(it.Key()[1:])
	}
	return more, it.Close()
}
