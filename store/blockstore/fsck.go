package blockstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"glue/ceph"
	"glue/store/objectstore"
)

// A Report is what Fsck found. A store without Errors is sound.
type Report struct {
	Objects, Blocks, SharedBlocks uint64
	Errors                        []string
	// Damaged are objects of which some data does not match its checksum.
	Damaged []DamagedObject
	// Miscounts are pools of which the store had counted the space wrong; each is among Errors too.
	// The recount has been taken.
	Miscounts []Miscount
}

// A Miscount is what the store had counted for a pool and what was counted now.
type Miscount struct {
	Pool          int64
	Kept, Counted objectstore.PoolUsage
}

// A DamagedObject is to be repaired from another copy.
type DamagedObject struct {
	Coll   ceph.SPG
	Object ceph.HObject
	Off    uint64
}

// maxReportErrors bounds a report.
const maxReportErrors = 1000

func (r *Report) errorf(format string, args ...any) {
	if len(r.Errors) < maxReportErrors {
		r.Errors = append(r.Errors, fmt.Sprintf(format, args...))
	}
}

// Fsck recounts all references, compares them with the stored counts and the allocator, and looks
// for metadata that belongs to no object. With deep it also reads all data. It holds the store's
// lock but for reading data: run it on a store that is not busy.
func (s *Store) Fsck(ctx context.Context, deep bool) (*Report, error) {
	return s.FsckProgress(ctx, deep, func(uint64) {})
}

// FsckProgress is Fsck that calls read now and then with how many bytes it has read of all data.
func (s *Store) FsckProgress(
	ctx context.Context, deep bool, read func(bytes uint64),
) (*Report, error) {
	r := new(Report)
	f := &fsck{s: s, r: r, refs: map[uint64]uint32{}, progress: read, uses: newUses()}
	s.mu.Lock()
	err := f.metadata(ctx)
	s.mu.Unlock()
	if err == nil {
		err = f.mendOnodes()
	}
	if err != nil || !deep {
		return r, err
	}
	return r, f.data(ctx)
}

// fsck is one check under way.
type fsck struct {
	s    *Store
	r    *Report
	refs map[uint64]uint32 // references to blocks whose mappings carry the shared flag
	used bitset

	pools    map[uint64]int64 // by collection id
	uses     uses             // the recount
	of       []byte           // the object whose mappings are being looked at
	body     onodeBody
	miscount map[string]int64 // objects whose omap was counted wrong, and how much it is

	read     uint64 // bytes
	progress func(uint64)
}

type bitset []uint64

func (b bitset) has(n uint64) bool { return b[n/64]&(1<<(n%64)) != 0 }
func (b bitset) set(n uint64)      { b[n/64] |= 1 << (n % 64) }

// homes maps collection ids to the collections that use them.
func (s *Store) homes() map[uint64][]*collection {
	m := map[uint64][]*collection{}
	for _, c := range s.colls {
		for _, p := range c.parts {
			m[p.cid] = append(m[p.cid], c)
		}
	}
	return m
}

func (f *fsck) metadata(ctx context.Context) error {
	s := f.s
	if s.failed.Load() != nil {
		return objectstore.ErrFailed
	}
	f.used = make(bitset, len(s.alloc.words))
	f.pools, f.miscount = s.cidPools(), map[string]int64{}
	homes := s.homes()
	owned := func(key []byte) bool {
		if len(key) < 20 {
			return false
		}
		for _, c := range homes[binary.BigEndian.Uint64(key)] {
			if c.owns(key) {
				return true
			}
		}
		return false
	}
	if err := f.onodes(ctx, owned); err != nil {
		return err
	}
	if err := f.tags(ctx); err != nil {
		return err
	}
	if err := f.extents(ctx); err != nil {
		return err
	}
	for _, prefix := range []byte{keyOmap, keyHeader} {
		if err := f.attached(ctx, prefix); err != nil {
			return err
		}
	}
	if err := f.counts(); err != nil {
		return err
	}
	if err := f.logs(ctx); err != nil {
		return err
	}
	f.allocator()
	f.compareUses()
	return ctx.Err()
}

// each calls fn for every key with the prefix.
func (f *fsck) each(ctx context.Context, prefix byte, fn func(key, value []byte)) error {
	return f.s.eachKey(prefix, func(key, value []byte) error {
		fn(key, value)
		return ctx.Err()
	})
}

func (f *fsck) onodes(ctx context.Context, owned func([]byte) bool) error {
	return f.each(ctx, keyOnode, func(key, value []byte) {
		f.r.Objects++
		var body onodeBody
		counted, err := body.decode(value)
		if err != nil {
			f.r.errorf("onode %q: %v", key, err)
		}
		if err == nil && body.hasOmap {
			f.omap(key, &body, counted)
		}
		for id := range slices.Chunk(body.tags(), 8) {
			_, found, err := f.s.kv.Get(nil, tagKey(nil, string(key), id))
			if !found || err != nil {
				f.r.errorf("tag %x of onode %q is not in the index (%v)", id, key, err)
			}
		}
		if _, _, err := decodeObject(key); err != nil || !owned(key) {
			f.r.errorf("onode %q is in no collection (%v)", key, err)
		}
		if o := f.s.cache.table[string(key)]; o != nil && !o.exists {
			f.r.errorf("onode %q is stored and cached as absent", key)
		}
	})
}

// tags looks for keys of the index that are of no object's attribute.
func (f *fsck) tags(ctx context.Context) error {
	return f.each(ctx, keyTag, func(key, _ []byte) {
		id, object, ok := cutTag(key)
		var body onodeBody
		if ok {
			value, found, err := f.s.kv.Get(nil, prefixed(keyOnode, string(object)))
			if ok = found && err == nil; ok {
				_, err = body.decode(value)
				ok = err == nil
			}
		}
		if !ok || !hasTag(body.tags(), id) {
			f.r.errorf("tag key %q is of no object that has it", key)
		}
	})
}

func (f *fsck) hasOnode(key []byte) bool {
	_, found, err := f.s.kv.Get(nil, append([]byte{keyOnode}, key...))
	return found && err == nil
}

func (f *fsck) extents(ctx context.Context) error {
	return f.each(ctx, keyShard, func(key, value []byte) {
		if len(key) < 4 || !f.enter(key[:len(key)-4]) {
			f.r.errorf("extents %q belong to no object", key)
		}
		var sh shard
		if err := sh.decode(value, f.s.alloc.total); err != nil {
			f.r.errorf("extents %q: %v", key, err)
			return
		}
		if u := f.useOf(key); u != nil && f.of != nil {
			u.stored += f.body.stored(binary.BigEndian.Uint32(key[len(key)-4:]), &sh)
		}
		for _, m := range sh.blocks {
			if !m.hole() {
				f.reference(key, m)
			}
		}
	})
}

func (f *fsck) reference(key []byte, m mapping) {
	b := m.block()
	switch seen := f.used.has(b); {
	case m.shared():
		if seen && f.refs[b] == 0 {
			f.r.errorf("block %d is shared by %q and owned by another", b, key)
		}
		f.refs[b]++
	case seen:
		f.r.errorf("block %d belongs to %q and to another", b, key)
	}
	if !f.used.has(b) {
		f.used.set(b)
		f.r.Blocks++
		if u := f.useOf(key); u != nil {
			u.blocks++
		}
	}
	if !f.s.alloc.used(b) {
		f.r.errorf("block %d of %q is free to the allocator", b, key)
	}
}

// attached looks for omap keys and headers without an object.
func (f *fsck) attached(ctx context.Context, prefix byte) error {
	var last []byte
	return f.each(ctx, prefix, func(key, _ []byte) {
		if prefix == keyOmap {
			key = key[:objectKeyLen(key)]
		}
		if string(key) == string(last) {
			return
		}
		last = append(last[:0], key...)
		if !f.hasOnode(key) {
			f.r.errorf("%c key %q belongs to no object", prefix, key)
		}
	})
}

// objectKeyLen is how much of an omap key names the object.
func objectKeyLen(b []byte) int {
	at := 20
	skip := func() {
		for at+1 < len(b) {
			if b[at] == 0 && b[at+1] == 0 {
				at += 2
				return
			}
			if b[at] == 0 {
				at++
			}
			at++
		}
	}
	skip()
	skip()
	if at < len(b) && b[at] != nameIsKey {
		at++
		skip()
	} else {
		at++
	}
	return min(at+8, len(b))
}

// counts compares the stored reference counts with what was counted.
func (f *fsck) counts() error {
	err := f.each(context.Background(), keyRefs, func(key, value []byte) {
		var r refChunk
		if err := r.decode(value); err != nil || len(key) != 8 {
			f.r.errorf("reference counts %q: %v", key, err)
			return
		}
		first := binary.BigEndian.Uint64(key) * refBlocks
		for i, n := range r.counts {
			b := first + uint64(i)
			if n != f.refs[b] {
				f.r.errorf("block %d: %d references stored, %d counted", b, n, f.refs[b])
			}
			if n > 0 {
				f.r.SharedBlocks++
				delete(f.refs, b)
			}
		}
	})
	for b, n := range f.refs {
		f.r.errorf("block %d: no references stored, %d counted", b, n)
	}
	return err
}

// logs decodes the stored chunks of every PG log, which belong to a collection each and ascend.
func (f *fsck) logs(ctx context.Context) error {
	cids := map[uint64]bool{}
	for _, c := range f.s.colls {
		cids[c.cid] = true
	}
	known := func(key []byte, n int) bool {
		return len(key) == n && cids[binary.BigEndian.Uint64(key)]
	}
	var last ceph.Eversion
	var cid uint64
	err := f.each(ctx, keyLog, func(key, value []byte) {
		list, err := decodeChunk(value)
		if err != nil || !known(key, 16) {
			f.r.errorf("PG log chunk %x is in no collection (%v)", key, err)
			return
		}
		if n := binary.BigEndian.Uint64(key); n != cid {
			cid, last = n, ceph.Eversion{}
		}
		for _, e := range list {
			if !last.Less(e.Version) && !last.IsZero() && !f.s.rewound(cid) {
				f.r.errorf("PG log chunk %x: %v follows %v", key, e.Version, last)
			}
			last = e.Version
		}
	})
	return firstError(err, f.each(ctx, keyLogTip, func(key, _ []byte) {
		if !known(key, 8) {
			f.r.errorf("PG log state %x is in no collection", key)
		}
	}))
}

// rewound says whether the log has chunks that the next checkpoint changes.
func (s *Store) rewound(cid uint64) bool {
	for _, c := range s.colls {
		if c.cid == cid {
			return c.log.cut != nil || len(c.log.dropped) > 0
		}
	}
	return false
}

// allocator compares it with the extents: used, held until reusable, or free.
func (f *fsck) allocator() {
	a := f.s.alloc
	for _, h := range a.held {
		for b := h.at; b < h.at+h.n; b++ {
			if f.used.has(b) {
				f.r.errorf("block %d was freed and is in use", b)
			}
		}
	}
	if f.r.Blocks != a.live() {
		f.r.errorf("%d blocks are in use, the allocator says %d", f.r.Blocks, a.live())
	}
}

// data reads every object.
func (f *fsck) data(ctx context.Context) error {
	colls, err := f.s.Collections()
	if err != nil {
		return err
	}
	for _, c := range colls {
		for from := (ceph.HObject{}); !from.Max; {
			var list []ceph.HObject
			if list, from, err = f.s.List(c, from, 100); err != nil {
				return err
			}
			for _, o := range list {
				if err := f.object(ctx, c, o); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// readStep is how much of an object is read at a time.
const readStep = 4 << 20

// object reads one object's extents.
func (f *fsck) object(ctx context.Context, c ceph.SPG, o ceph.HObject) error {
	extents, err := f.s.Extents(c, o, 0, ^uint64(0))
	if err == ceph.ENOENT { // removed meanwhile
		return nil
	}
	for _, e := range extents {
		for at := e.Off; at < e.Off+e.Len && err == nil; {
			n := min(readStep, e.Off+e.Len-at)
			if _, err2 := f.s.Read(c, o, at, n); isCorrupt(err2) {
				f.r.Damaged = append(f.r.Damaged, DamagedObject{c, o, at})
				f.r.errorf("%v %v at %d: %v", c, o, at, err2)
			} else if err2 != ceph.ENOENT {
				err = err2
			}
			at += n
			f.read += n
			f.progress(f.read)
			err = firstError(err, ctx.Err())
		}
	}
	return err
}

func isCorrupt(err error) bool { return errors.Is(err, objectstore.ErrCorrupt) }
