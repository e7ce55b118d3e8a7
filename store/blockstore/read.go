package blockstore

import (
	"fmt"
	"iter"
	"slices"

	"glue/ceph"
	"glue/internal/crc32c"
	"glue/store/kv"
	"glue/store/objectstore"
)

// A CorruptError says which block of an object does not match its checksum.
type CorruptError struct {
	Object ceph.HObject
	Off    uint64 // within the object
	Block  uint64 // on disk
}

// Error names the place.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("object %v at %d: disk block %d does not match its checksum",
		e.Object, e.Off, e.Block)
}

// Unwrap makes it an objectstore.ErrCorrupt.
func (e *CorruptError) Unwrap() error { return objectstore.ErrCorrupt }

// readOne reads and checks one block. State lock held.
func (s *Store) readOne(m mapping, dst []byte) error {
	s.q.mu.Lock()
	ok := s.q.pendingBlock(m.block(), dst)
	s.q.mu.Unlock()
	if ok {
		return nil
	}
	if err := s.readData(dst, m.block()); err != nil {
		return err
	}
	if crcOf(dst) != m.crc {
		return fmt.Errorf("disk block %d: %w", m.block(), objectstore.ErrCorrupt)
	}
	return nil
}

// readData reads whole blocks. What the disk can't read is as good as damaged: there may be another
// copy, and writing it anew lets the disk replace the sectors.
func (s *Store) readData(dst []byte, block uint64) error {
	err := s.file.ReadAt(dst, s.sb.dataStart()+int64(block)*blockBytes)
	if err != nil {
		s.opts.Log.Error("object store can't read its disk", "block", block, "err", err)
		return fmt.Errorf("%w: %w", objectstore.ErrCorrupt, err)
	}
	return nil
}

// readPlan is a read of whole blocks that has been looked up.
type readPlan struct {
	buf   []byte
	parts []readPart
	skip  uint64 // bytes of buf before those asked for
	n     uint64 // bytes asked for
	inner uint32 // checksum of the blocks that are asked for whole
}

// data is what was asked for.
func (p *readPlan) data() []byte { return p.buf[p.skip : p.skip+p.n : p.skip+p.n] }

// whole is which of the blocks are asked for whole.
func (p *readPlan) whole() (first, end uint64) {
	return blocksOf(p.skip), (p.skip + p.n) / blockBytes
}

// sum is the checksum of what was asked for.
func (p *readPlan) sum() uint32 {
	first, end := p.whole()
	if first >= end {
		return crc32c.Update(0, p.data())
	}
	sum := crc32c.Update(0, p.buf[p.skip:first*blockBytes])
	sum = crc32c.Zeros(sum, int(end-first)*blockBytes) ^ p.inner
	return crc32c.Update(sum, p.buf[end*blockBytes:p.skip+p.n])
}

// readPart is contiguous blocks to be read from the disk.
type readPart struct {
	at   int // block within the plan
	run  run
	crcs []uint32
}

// Read returns bytes of the object.
func (s *Store) Read(c ceph.SPG, o ceph.HObject, off, length uint64) ([]byte, error) {
	p, err := s.read(c, o, off, length, unzeroed)
	if err != nil {
		return nil, err
	}
	return p.data(), nil
}

// Lend is Read into a pooled buffer.
func (s *Store) Lend(c ceph.SPG, o ceph.HObject, off, length uint64) (objectstore.Loan, error) {
	p, err := s.read(c, o, off, length, getBuffer)
	if err != nil || p.n == 0 {
		return objectstore.Loan{Done: func() {}}, err
	}
	buf := p.buf
	return objectstore.Loan{Data: p.data(), Sum: p.sum(), Done: func() { putBuffer(buf) }}, nil
}

// read reads into a buffer of any content that alloc makes.
func (s *Store) read(
	c ceph.SPG, o ceph.HObject, off, length uint64, alloc func(n int) []byte,
) (readPlan, error) {
	s.reuse.RLock()
	defer s.reuse.RUnlock()
	p, err := s.plan(c, &o, off, length, alloc)
	if err != nil {
		return p, err
	}
	for _, part := range p.parts {
		buf := p.buf[part.at*blockBytes : (part.at+int(part.run.n))*blockBytes]
		if err := s.readData(buf, part.run.at); err != nil {
			return p, fmt.Errorf("object %v: %w", o, err)
		}
		for i, want := range part.crcs {
			if crcOf(buf[i*blockBytes:(i+1)*blockBytes]) != want {
				return p, &CorruptError{o,
					off - p.skip + uint64(part.at+i)*blockBytes, part.run.at + uint64(i)}
			}
		}
	}
	return p, nil
}

// plan looks up what a read needs, and copies what is not on disk yet.
func (s *Store) plan(
	c ceph.SPG, h *ceph.HObject, off, length uint64, alloc func(n int) []byte,
) (p readPlan, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.find(c, h)
	if err != nil || off >= o.body.size {
		return p, err
	}
	p.skip, p.n = off%blockBytes, o.body.size-off
	if length > 0 {
		p.n = min(p.n, length)
	}
	if p.n > maxReadBytes {
		return p, fmt.Errorf("read of %d bytes: %w", p.n, ceph.E2BIG)
	}
	first, end := off/blockBytes, blocksOf(off+p.n)
	if end-first > 4*shardBlocks {
		if err := s.loadShards(o); err != nil {
			return p, err
		}
	}
	for i := first / shardBlocks; i <= (end-1)/shardBlocks; i++ {
		if _, err := s.shard(o, uint32(i)); err != nil {
			return p, err
		}
	}
	p.buf = alloc(int(end-first) * blockBytes)
	p.fill(s, o, first, end)
	s.cache.trim()
	return p, nil
}

// fill copies what is not on disk yet, and plans what is: after that every block of the buffer has
// its content. State lock held.
func (p *readPlan) fill(s *Store, o *onode, first, end uint64) {
	wholeFirst, wholeEnd := p.whole()
	s.q.mu.Lock()
	defer s.q.mu.Unlock()
	for b := first; b < end; b++ {
		at := b - first
		m := o.shards[uint32(b/shardBlocks)].blocks[b%shardBlocks]
		whole := at >= wholeFirst && at < wholeEnd
		switch {
		case m.hole():
			clear(p.buf[at*blockBytes : (at+1)*blockBytes])
			if whole {
				p.inner = crc32c.AddZeroBlock(p.inner)
			}
			continue
		case whole:
			p.inner = crc32c.AddBlock(p.inner, m.crc)
		}
		p.add(&s.q, int(at), m)
	}
}

// maxReadBytes bounds the memory of one read.
const maxReadBytes = 1 << 30

// add plans block at of the buffer. Queue lock held.
func (p *readPlan) add(q *queue, at int, m mapping) {
	b := m.block()
	if q.pendingBlock(b, p.buf[at*blockBytes:(at+1)*blockBytes]) {
		return
	}
	if n := len(p.parts); n > 0 {
		last := &p.parts[n-1]
		if last.at+int(last.run.n) == at && last.run.at+last.run.n == b {
			last.run.n++
			last.crcs = append(last.crcs, m.crc)
			return
		}
	}
	p.parts = append(p.parts, readPart{at: at, run: run{b, 1}, crcs: []uint32{m.crc}})
}

// Extents returns the blocks that are not holes.
func (s *Store) Extents(
	c ceph.SPG, h ceph.HObject, off, length uint64,
) (list []objectstore.Extent, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.find(c, &h)
	if err != nil || off >= o.body.size || length == 0 {
		return nil, err
	}
	end := off + min(length, o.body.size-off)
	if err := s.loadShards(o); err != nil {
		return nil, err
	}
	indexes := make([]uint32, 0, len(o.shards))
	for i := range o.shards {
		indexes = append(indexes, i)
	}
	slices.Sort(indexes)
	for _, i := range indexes {
		for j, m := range o.shards[i].blocks {
			at := (uint64(i)*shardBlocks + uint64(j)) * blockBytes
			if lo, hi := max(at, off), min(at+blockBytes, end); !m.hole() && lo < hi {
				list = appendExtent(list, lo, hi)
			}
		}
	}
	s.cache.trim()
	return list, nil
}

func appendExtent(list []objectstore.Extent, lo, hi uint64) []objectstore.Extent {
	if n := len(list); n > 0 && list[n-1].Off+list[n-1].Len == lo {
		list[n-1].Len += hi - lo
		return list
	}
	return append(list, objectstore.Extent{Off: lo, Len: hi - lo})
}

// object runs f on the metadata of an existing object, with the state lock held.
func (s *Store) object(c ceph.SPG, h *ceph.HObject, f func(*onode) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.find(c, h)
	if err != nil {
		return err
	}
	err = f(o)
	s.cache.trim()
	return err
}

// Stat returns the object's shape.
func (s *Store) Stat(c ceph.SPG, h ceph.HObject) (st objectstore.Stat, err error) {
	err = s.object(c, &h, func(o *onode) error {
		st = objectstore.Stat{Size: o.body.size, HasOmap: o.body.hasOmap}
		return nil
	})
	return st, err
}

// GetAttr returns one attribute.
func (s *Store) GetAttr(c ceph.SPG, h ceph.HObject, name string) (value []byte, err error) {
	err = s.object(c, &h, func(o *onode) error {
		i, found := o.body.find(name)
		if !found {
			return ceph.ENODATA
		}
		value = o.body.attrs[i].value
		return nil
	})
	return value, err
}

// GetAttrs returns all attributes.
func (s *Store) GetAttrs(c ceph.SPG, h ceph.HObject) (attrs map[string][]byte, err error) {
	err = s.object(c, &h, func(o *onode) error {
		attrs = make(map[string][]byte, len(o.body.attrs))
		for _, a := range o.body.attrs {
			attrs[a.name] = a.value
		}
		return nil
	})
	return attrs, err
}

// OmapHeader returns the header, nil if there is none.
func (s *Store) OmapHeader(c ceph.SPG, h ceph.HObject) (header []byte, err error) {
	err = s.object(c, &h, func(o *onode) error {
		if !o.body.hasOmap {
			return nil
		}
		v, found, err := s.kv.Get(nil, prefixed(keyHeader, o.key))
		if found {
			header = v
		}
		return err
	})
	return header, err
}

// OmapGet returns those of keys that exist.
func (s *Store) OmapGet(
	c ceph.SPG, h ceph.HObject, keys []string,
) (values map[string][]byte, err error) {
	values = make(map[string][]byte)
	err = s.object(c, &h, func(o *onode) error {
		if !o.body.hasOmap {
			return nil
		}
		for _, k := range keys {
			v, found, err := s.kv.Get(nil, omapKey(nil, o.key, k))
			if err != nil {
				return err
			}
			if found {
				values[k] = v
			}
		}
		return nil
	})
	return values, err
}

// OmapScan yields the pairs from the given key on, as they were when the scan began.
func (s *Store) OmapScan(
	c ceph.SPG, h ceph.HObject, from string,
) iter.Seq2[objectstore.OmapPair, error] {
	return func(yield func(objectstore.OmapPair, error) bool) {
		var it *kv.Iter
		skip := 0
		err := s.object(c, &h, func(o *onode) (err error) {
			if o.body.hasOmap {
				skip = len(o.key) + 2
				it, err = s.kv.NewIter(omapKey(nil, o.key, from), omapEnd(o.key))
			}
			return err
		})
		yieldPairs(it, skip, err, yield)
	}
}

// yieldPairs walks an iterator, which may be nil, and closes it.
func yieldPairs(
	it *kv.Iter, skip int, err error, yield func(objectstore.OmapPair, error) bool,
) {
	if it != nil {
		for ok := it.First(); ok; ok = it.Next() {
			pair := objectstore.OmapPair{Key: string(it.Key()[skip:]), Value: it.Value()}
			if !yield(pair, nil) {
				it.Close()
				return
			}
		}
		err = it.Close()
	}
	if err != nil {
		yield(objectstore.OmapPair{}, err)
	}
}

// minObject sorts before every object.
var minObject = ceph.HObject{Pool: -1 << 63}

// List pages through a collection.
func (s *Store) List(
	c ceph.SPG, from ceph.HObject, limit int,
) (list []ceph.HObject, next ceph.HObject, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next = ceph.MaxHObject()
	if s.failed.Load() != nil {
		return nil, next, objectstore.ErrFailed
	}
	coll, ok := s.colls[c]
	if !ok {
		return nil, next, ceph.ENOENT
	}
	if from.Max {
		return nil, next, nil
	}
	var bad error
	err = s.scan(coll, from, func(key []byte) bool {
		_, o, err := decodeObject(key)
		if err != nil {
			bad = err
			return false
		}
		if len(list) >= limit {
			next = o
			return false
		}
		list = append(list, o)
		return true
	})
	return list, next, firstError(err, bad)
}

// Collections returns all collections, ascending.
func (s *Store) Collections() ([]ceph.SPG, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed.Load() != nil {
		return nil, objectstore.ErrFailed
	}
	var list []ceph.SPG
	for id := range s.colls {
		list = append(list, id)
	}
	slices.SortFunc(list, ceph.SPG.Compare)
	return list, nil
}

// Meta returns a value of the OSD's table.
func (s *Store) Meta(key string) ([]byte, error) {
	if s.failed.Load() != nil {
		return nil, objectstore.ErrFailed
	}
	v, found, err := s.kv.Get(nil, prefixed(keyMeta, key))
	if err == nil && !found {
		err = ceph.ENOENT
	}
	return v, err
}

// MetaScan yields the pairs of the OSD's table with the prefix.
func (s *Store) MetaScan(prefix string) iter.Seq2[objectstore.OmapPair, error] {
	return func(yield func(objectstore.OmapPair, error) bool) {
		if s.failed.Load() != nil {
			yield(objectstore.OmapPair{}, objectstore.ErrFailed)
			return
		}
		lo := prefixed(keyMeta, prefix)
		it, err := s.kv.NewIter(lo, keyAfter(lo))
		yieldPairs(it, 1, err, yield)
	}
}

// Usage is exact for data; what was freed but may not be reused yet counts as available.
func (s *Store) Usage() (objectstore.Usage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed.Load() != nil {
		return objectstore.Usage{}, objectstore.ErrFailed
	}
	var all use
	for _, u := range s.uses.pools {
		all.add(*u)
	}
	a := s.alloc
	free := a.free + a.heldCount
	return objectstore.Usage{
		Total:     a.total * blockBytes,
		Available: s.hostLimit((free - min(free, s.reserve)) * blockBytes),
		Data:      a.live() * blockBytes,
		Stored:    uint64(all.stored),
		Omap:      uint64(all.omap),
		Metadata:  s.kv.DiskBytes(),
	}, nil
}
