package blockstore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"glue/store/kv"
	"glue/store/objectstore"
)

// How much each pool takes is counted as transactions change it. The blocks follow from the
// mappings, which are read at mount anyhow; the other counts are kept in memory and in the journal
// and stored by checkpoints, as PG logs are: each batch carries a note of what it changes, which
// the database ignores, and replay adds the notes from the stored LSN on. A store without stored
// counts, or with batches without a note, is of a release that did not count; it is recounted.

// use is what objects take.
type use struct {
	blocks int64 // in use, one that objects share counted once
	stored int64 // bytes of mapped blocks, up to the object's end, once for each object
	omap   int64 // bytes of keys and values
}

func (u *use) add(o use) {
	u.blocks += o.blocks
	u.stored += o.stored
	u.omap += o.omap
}

// poolUse is what a transaction changes of a pool's use.
type poolUse struct {
	pool int64
	use
}

// uses counts by pool. The store's state lock guards them.
type uses struct {
	pools map[int64]*use
	lsn   uint64 // they were last stored at
	known bool   // what is stored, with the notes of the journal, is right
}

func newUses() uses { return uses{pools: map[int64]*use{}} }

func (u *uses) of(pool int64) *use {
	p := u.pools[pool]
	if p == nil {
		p = new(use)
		u.pools[pool] = p
	}
	return p
}

// noteVersion begins a batch's note; pools with their changes follow.
const noteVersion = 1

func appendUse(b []byte, pool int64, u *use) []byte {
	b = binary.AppendVarint(b, pool)
	b = binary.AppendVarint(b, u.stored)
	return binary.AppendVarint(b, u.omap)
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// addFrom adds what appendUse has written.
func (u *uses) addFrom(r *reader) error {
	for len(r.b) > 0 {
		pool, change := r.varint(), use{stored: r.varint(), omap: r.varint()}
		if !r.bad {
			u.of(pool).add(change)
		}
	}
	return r.err("use of pools")
}

// charge has the transaction count what follows for a pool.
func (c *change) charge(pool int64) {
	for i := range c.uses {
		if c.uses[i].pool == pool {
			c.use = &c.uses[i].use
			return
		}
	}
	c.uses = append(c.uses, poolUse{pool: pool})
	c.use = &c.uses[len(c.uses)-1].use
}

// encodeUses puts the note into the batch.
func (c *change) encodeUses() error {
	c.buf = append(c.buf[:0], noteVersion)
	for i := range c.uses {
		u := &c.uses[i]
		if (u.stored != 0 || u.omap != 0) && !c.s.opts.sabotage.noUses {
			c.buf = appendUse(c.buf, u.pool, &u.use)
		}
	}
	return c.batch.LogData(c.buf, nil)
}

// takeUses adds what a transaction has changed.
func (s *Store) takeUses(list []poolUse) {
	for i := range list {
		if list[i].use != (use{}) {
			s.uses.of(list[i].pool).add(list[i].use)
		}
	}
}

// span is how much of a block lies within the object.
func (o *onodeBody) span(block uint64) int64 {
	at := block * blockBytes
	if at >= o.size {
		return 0
	}
	return int64(min(o.size-at, blockBytes))
}

// resize sets an object's size and counts what its last block, old or new, gains or loses.
func (c *change) resize(o *onode, size uint64) error {
	old := o.body.size
	o.body.size = size
	lo, hi := min(old, size), max(old, size)
	if lo == hi || lo%blockBytes == 0 {
		return nil
	}
	index := lo / blockBytes
	sh, err := c.s.shard(o, uint32(index/shardBlocks))
	if err != nil || sh.blocks[index%shardBlocks].hole() {
		return err
	}
	n := int64(min(hi, (index+1)*blockBytes) - lo)
	if size < old {
		n = -n
	}
	c.use.stored += n
	return nil
}

// grow is resize to at least size.
func (c *change) grow(o *onode, size uint64) error {
	if size <= o.body.size {
		return nil
	}
	return c.resize(o, size)
}

// loadUses reads the stored counts, before the journal is replayed.
func (s *Store) loadUses() error {
	v, found, err := s.kv.Get(nil, sysUses)
	if err != nil || !found {
		return err
	}
	r := reader{b: v}
	s.uses.lsn = r.u64()
	s.uses.known = true
	return s.uses.addFrom(&r)
}

// replayUses adds what a batch of the journal notes.
func (s *Store) replayUses(lsn uint64, repr []byte) error {
	if lsn <= s.uses.lsn || !s.uses.known {
		return nil
	}
	note, found, err := kv.Note(repr)
	if err != nil {
		return err
	}
	if !found || len(note) == 0 || note[0] != noteVersion {
		s.uses.known = false
		return nil
	}
	return s.uses.addFrom(&reader{b: note[1:]})
}

// cidPools maps collection ids to pools.
func (s *Store) cidPools() map[uint64]int64 {
	m := map[uint64]int64{}
	for id, c := range s.colls {
		for _, p := range c.parts {
			m[p.cid] = id.Pool
		}
	}
	return m
}

// checkUses takes the counts over after replay, or counts anew. The blocks are counted already.
func (s *Store) checkUses() error {
	if s.uses.known && s.uses.lsn+1 >= s.q.ring.tail.LSN {
		return nil
	}
	s.opts.Log.Info("counting what each pool takes: the store is of a release that did not")
	u := newUses() // not known: the next checkpoint stores them
	for pool, p := range s.uses.pools {
		u.of(pool).blocks = p.blocks
	}
	pools := s.cidPools()
	err := s.eachKey(keyOnode, func(key, value []byte) error {
		pool, ok := pools[cidOf(key)]
		if !ok {
			return nil
		}
		var body onodeBody
		if err := s.decodeOnode(&body, string(key), value); err != nil {
			return err
		}
		u.of(pool).omap += body.omap
		return s.scanShards(string(key), func(index uint32, sh *shard) {
			u.of(pool).stored += body.stored(index, sh)
		})
	})
	s.uses = u
	return err
}

// stored is how much of the object is in mapped blocks of one shard.
func (o *onodeBody) stored(index uint32, sh *shard) (n int64) {
	for i, m := range sh.blocks {
		if !m.hole() {
			n += o.span(uint64(index)*shardBlocks + uint64(i))
		}
	}
	return n
}

func cidOf(key []byte) uint64 {
	if len(key) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(key)
}

// eachKey calls f for every key with the prefix, without it, until f fails.
func (s *Store) eachKey(prefix byte, f func(key, value []byte) error) error {
	it, err := s.kv.NewIter([]byte{prefix}, []byte{prefix + 1})
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		err = f(it.Key()[1:], it.Value())
	}
	return firstError(err, it.Close())
}

// saveUses stores the counts of now with their LSN, as part of a checkpoint.
func (s *Store) saveUses() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := &s.uses
	if u.lsn == s.lastLSN && u.known {
		return nil
	}
	value := binary.LittleEndian.AppendUint64(nil, s.lastLSN)
	for _, pool := range slices.Sorted(maps.Keys(u.pools)) {
		if p := u.pools[pool]; p.stored != 0 || p.omap != 0 {
			value = appendUse(value, pool, p)
		}
	}
	b := s.kv.NewBatch()
	defer b.Close()
	if err := firstError(b.Set(sysUses, value, nil), s.kv.Apply(b)); err != nil {
		return err
	}
	u.lsn, u.known = s.lastLSN, true
	return nil
}

// PoolUsage is exact, for each pool that has a collection here.
func (s *Store) PoolUsage() (map[int64]objectstore.PoolUsage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed.Load() != nil {
		return nil, objectstore.ErrFailed
	}
	out := map[int64]objectstore.PoolUsage{}
	for id := range s.colls {
		out[id.Pool] = s.uses.of(id.Pool).usage()
	}
	return out, nil
}

// String is for reports of differences.
func (u use) String() string {
	return fmt.Sprintf("%d blocks, %d bytes stored, %d bytes of omap", u.blocks, u.stored, u.omap)
}

func (u use) usage() objectstore.PoolUsage {
	return objectstore.PoolUsage{
		Allocated: uint64(u.blocks) * blockBytes, Stored: uint64(u.stored), Omap: uint64(u.omap),
	}
}

// useOf is the recount of the pool that a key belongs to, nil if it belongs to none.
func (f *fsck) useOf(key []byte) *use {
	pool, ok := f.pools[cidOf(key)]
	if !ok {
		return nil
	}
	return f.uses.of(pool)
}

// enter loads the object whose mappings come next; false if there is none.
func (f *fsck) enter(key []byte) bool {
	if f.of != nil && string(key) == string(f.of) {
		return true
	}
	f.of, f.body = nil, onodeBody{}
	value, found, err := f.s.kv.Get(nil, prefixed(keyOnode, string(key)))
	if err != nil || !found {
		return false
	}
	f.of = bytes.Clone(key)
	_, _ = f.body.decode(value) // an error has been reported with the onodes
	return true
}

// omap counts the bytes of an object's omap and compares them with what the onode says.
func (f *fsck) omap(key []byte, body *onodeBody, counted bool) {
	n, err := f.s.countOmap(string(key))
	if err != nil {
		f.r.errorf("omap of %q: %v", key, err)
		return
	}
	if u := f.useOf(key); u != nil {
		u.omap += n
	}
	if counted && n != body.omap {
		f.r.errorf("omap of %q: %d bytes, the onode says %d", key, n, body.omap)
		f.miscount[string(key)] = n
	}
}

// compareUses compares what transactions have counted with the recount, which is taken.
func (f *fsck) compareUses() {
	s := f.s
	pools := slices.Collect(maps.Keys(s.uses.pools))
	pools = slices.AppendSeq(pools, maps.Keys(f.uses.pools))
	slices.Sort(pools)
	for _, pool := range slices.Compact(pools) {
		kept, counted := s.uses.of(pool), f.uses.of(pool)
		if *kept == *counted {
			continue
		}
		f.r.errorf("use of pool %d: kept as %v; it is %v, which is kept now", pool, kept, counted)
		f.r.Miscounts = append(f.r.Miscounts, Miscount{pool, kept.usage(), counted.usage()})
		*kept = *counted
		s.uses.known = false
		s.checkpoint.request()
	}
}

// mendOnodes stores the right count of bytes with objects whose omap was counted wrong.
func (f *fsck) mendOnodes() error {
	s := f.s
	for key, n := range f.miscount {
		cid, object, err := decodeObject([]byte(key))
		if err != nil {
			continue // an error of its own
		}
		s.mu.Lock()
		var t objectstore.Transaction
		for _, c := range s.homes()[cid] {
			if c.owns([]byte(key)) {
				t.Touch(c.id, object)
			}
		}
		o, err := s.onode([]byte(key))
		if err == nil {
			o.body.omap = n
		}
		s.mu.Unlock()
		if err == nil {
			err = s.Submit(&t, func(error) {})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
