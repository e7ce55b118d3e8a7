package blockstore

import (
	"encoding/binary"
	"fmt"

	"glue/store/objectstore"
)

// refBlocks is the number of disk blocks whose reference counts share a key.
const refBlocks = 64

// refChunk holds the counts of blocks that are, or once were, shared by several objects: 0 for
// blocks whose one reference does not carry the shared flag.
type refChunk struct {
	counts [refBlocks]uint32
	owner  uint64
	dirty  bool
}

// maxRefChunks bounds the cache of counts.
const maxRefChunks = 2048

func (r *refChunk) encode(b []byte) []byte {
	for i, n := range r.counts {
		if n > 0 {
			b = binary.AppendUvarint(append(b, byte(i)), uint64(n))
		}
	}
	return b
}

func (r *refChunk) decode(b []byte) error {
	rd := reader{b: b}
	for len(rd.b) > 0 {
		i := rd.bytes(1)
		n := rd.uvarint()
		if rd.bad || i[0] >= refBlocks || n == 0 || n > 1<<31 {
			return fmt.Errorf("reference counts %x: %w", b, objectstore.ErrCorrupt)
		}
		r.counts[i[0]] = uint32(n)
	}
	return rd.err("reference counts")
}

// refChunk returns the counts of the chunk that holds a block. State lock held.
func (s *Store) refChunk(number uint64) (*refChunk, error) {
	if r, ok := s.refs[number]; ok {
		return r, nil
	}
	r := new(refChunk)
	value, found, err := s.kv.Get(nil, numberKey(keyRefs, number))
	if err == nil && found {
		err = r.decode(value)
	}
	if err != nil {
		return nil, err
	}
	s.refs[number] = r
	return r, nil
}

// trimRefs keeps the cache of counts bounded; no transaction may be under way.
func (s *Store) trimRefs() {
	for number := range s.refs {
		if len(s.refs) <= maxRefChunks {
			return
		}
		delete(s.refs, number)
	}
}

// editRefs returns counts that the transaction may change.
func (c *change) editRefs(number uint64) (*refChunk, error) {
	r, err := c.s.refChunk(number)
	if err != nil || r.owner == c.id {
		return r, err
	}
	n := &refChunk{counts: r.counts, owner: c.id}
	c.s.refs[number] = n
	c.refs = append(c.refs, savedRefs{number, r})
	return n, nil
}

// share adds a reference to a mapped block and returns the mapping that both owners have.
func (c *change) share(m mapping) (mapping, error) {
	r, err := c.editRefs(m.block() / refBlocks)
	if err != nil {
		return m, err
	}
	n := &r.counts[m.block()%refBlocks]
	if !m.shared() {
		*n = 1
	}
	*n++
	m.phys |= sharedBit
	return m, nil
}

// unref drops one reference to a mapped block and frees it with the last.
func (c *change) unref(m mapping) error {
	if m.hole() {
		return nil
	}
	if m.shared() {
		r, err := c.editRefs(m.block() / refBlocks)
		if err != nil {
			return err
		}
		n := &r.counts[m.block()%refBlocks]
		if *n == 0 {
			return fmt.Errorf("block %d has no references left: %w",
				m.block(), objectstore.ErrCorrupt)
		}
		if *n--; *n > 0 {
			return nil
		}
	}
	c.freed = append(c.freed, m.block())
	c.use.blocks--
	return nil
}
