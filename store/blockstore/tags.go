package blockstore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"glue/ceph"
	"glue/store/objectstore"
)

// The index of objectstore.TagAttr follows from the onodes: its keys are written where an onode is
// encoded, in the same batch, and nowhere else.

// tags are the ids of an object's tag attribute, as stored; nil for none.
func (o *onodeBody) tags() []byte {
	if len(o.attrs) == 0 {
		return nil
	}
	i, found := o.find(objectstore.TagAttr)
	if !found {
		return nil
	}
	v := o.attrs[i].value
	return v[: len(v)/8*8 : len(v)]
}

func hasTag(tags, id []byte) bool {
	for ; len(tags) >= 8; tags = tags[8:] {
		if bytes.Equal(tags[:8], id) {
			return true
		}
	}
	return false
}

// tagKey is the collection id, the tag, then the rest of the object's key.
func tagKey(dst []byte, object string, id []byte) []byte {
	dst = append(append(append(dst, keyTag), object[:8]...), id...)
	return append(dst, object[8:]...)
}

// encodeTags brings the index up to date with an onode that was changed.
func (c *change) encodeTags(n *savedNode) error {
	var was, is []byte
	if n.exists {
		was = n.body.tags()
	}
	if n.o.exists {
		is = n.o.body.tags()
	}
	if bytes.Equal(was, is) {
		return nil
	}
	for id := range slices.Chunk(was, 8) {
		if !hasTag(is, id) {
			if err := c.batch.Delete(tagKey(nil, n.o.key, id), nil); err != nil {
				return err
			}
		}
	}
	for id := range slices.Chunk(is, 8) {
		if !hasTag(was, id) {
			if err := c.batch.Set(tagKey(nil, n.o.key, id), nil, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// cutTag splits what follows the prefix of an index key into the tag and the object's key.
func cutTag(key []byte) (id, object []byte, ok bool) {
	if len(key) < 28 {
		return nil, nil, false
	}
	return key[8:16], append(slices.Clone(key[:8]), key[16:]...), true
}

// dropTags removes the index of a collection that is removed with all its objects.
func (c *change) dropTags(coll *collection) error {
	var cids []uint64
	for _, p := range coll.parts {
		if slices.Contains(cids, p.cid) {
			continue
		}
		cids = append(cids, p.cid)
		lo := numberKey(keyTag, p.cid)
		it, err := c.s.kv.NewIter(lo, keyAfter(lo))
		if err != nil {
			return err
		}
		for ok := it.First(); ok && err == nil; ok = it.Next() {
			if _, object, ok := cutTag(it.Key()[1:]); ok && coll.owns(object) {
				err = c.batch.Delete(bytes.Clone(it.Key()), nil)
			}
		}
		if err := firstError(it.Close(), err); err != nil {
			return err
		}
	}
	return nil
}

// Tagged lists objects by an id of their tag attribute.
func (s *Store) Tagged(id ceph.SPG, tag uint64, from ceph.HObject, limit int) (
	list []ceph.HObject, err error,
) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed.Load() != nil {
		return nil, objectstore.ErrFailed
	}
	coll, ok := s.colls[id]
	if !ok {
		return nil, ceph.ENOENT
	}
	from.Pool = id.Pool
	for i := range coll.parts {
		lo, hi := coll.keyRange(keyTag, i, id.Pool)
		first := appendObject([]byte{keyTag}, coll.parts[i].cid, &from)
		lo, hi, first = withTag(lo, tag), withTag(hi, tag), withTag(first, tag)
		if bytes.Compare(lo, first) < 0 {
			lo = first
		}
		more, err := s.taggedPart(lo, hi, limit, &list)
		if err != nil || !more {
			return list, err
		}
	}
	return list, nil
}

// withTag puts a tag behind the collection id of a bound of object keys.
func withTag(key []byte, tag uint64) []byte {
	out := binary.BigEndian.AppendUint64(slices.Clone(key[:9]), tag)
	return append(out, key[9:]...)
}

func (s *Store) taggedPart(lo, hi []byte, limit int, list *[]ceph.HObject) (bool, error) {
	if bytes.Compare(lo, hi) >= 0 {
		return true, nil
	}
	it, err := s.kv.NewIter(lo, hi)
	if err != nil {
		return false, err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		if len(*list) >= limit {
			return false, it.Close()
		}
		var o ceph.HObject
		if _, key, ok := cutTag(it.Key()[1:]); !ok {
			err = fmt.Errorf("tag key %q: %w", it.Key(), objectstore.ErrCorrupt)
		} else if _, o, err = decodeObject(key); err == nil {
			*list = append(*list, o)
		}
	}
	return true, firstError(err, it.Close())
}
