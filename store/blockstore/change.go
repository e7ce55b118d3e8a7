package blockstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"glue/ceph"
	"glue/store/kv"
	"glue/store/objectstore"
)

// change is one transaction under way: it edits the state in place, remembers what was there, and
// either becomes a batch and a journal entry, or puts everything back. State lock held throughout.
type change struct {
	s     *Store
	id    uint64 // attempt; marks what may be edited in place
	lsn   uint64
	index int // of the op
	batch *kv.Batch

	nodes  []savedNode
	shards []savedShard
	refs   []savedRefs
	logs   []savedLog
	undo   []func() // the rest, for rare changes

	freed   []uint64   // blocks that nothing refers to any more
	runs    []*dataRun // new data
	allocs  []run
	entries []logChange // for the journal
	uses    []poolUse   // what changes, by pool
	use     *use        // of the op's

	prep    []prepared // by op, if any; what is taken over is cleared
	omaps   []omapPairs
	again   bool // ops may meet a pair that another has changed
	buf     []byte
	scanErr error
}

type savedNode struct {
	o      *onode
	exists bool
	body   onodeBody
}

type savedShard struct {
	o     *onode
	index uint32
	old   *shard
}

type savedRefs struct {
	number uint64
	old    *refChunk
}

type savedLog struct {
	c   *collection
	old pgLog
}

// Reasons to try a transaction again after a checkpoint; never returned to a caller.
var (
	errReclaim     = errors.New("blocks must be reclaimed first")
	errJournalFull = errors.New("the journal must be trimmed first")
)

// handlers is the table from code to function.
var handlers [256]func(*change, *objectstore.Op) error

func init() {
	for code, f := range map[objectstore.OpCode]func(*change, *objectstore.Op) error{
		objectstore.OpTouch:       (*change).touchOp,
		objectstore.OpWrite:       (*change).writeOp,
		objectstore.OpZero:        (*change).zeroOp,
		objectstore.OpTruncate:    (*change).truncateOp,
		objectstore.OpRemove:      (*change).removeOp,
		objectstore.OpSetAttrs:    (*change).setAttrsOp,
		objectstore.OpRmAttr:      (*change).rmAttrOp,
		objectstore.OpRmAttrs:     (*change).rmAttrsOp,
		objectstore.OpClone:       (*change).cloneOp,
		objectstore.OpCloneRange:  (*change).cloneRangeOp,
		objectstore.OpMoveRename:  (*change).moveRenameOp,
		objectstore.OpOmapSet:     (*change).omapSetOp,
		objectstore.OpOmapRm:      (*change).omapRmOp,
		objectstore.OpOmapRmRange: (*change).omapRmRangeOp,
		objectstore.OpOmapClear:   (*change).omapClearOp,
		objectstore.OpOmapHeader:  (*change).omapHeaderOp,
		objectstore.OpMkColl:      (*change).mkCollOp,
		objectstore.OpRmColl:      (*change).rmCollOp,
		objectstore.OpSplitColl:   (*change).splitCollOp,
		objectstore.OpMergeColl:   (*change).mergeCollOp,
		objectstore.OpLogAppend:   (*change).logAppendOp,
		objectstore.OpLogTrim:     (*change).logTrimOp,
		objectstore.OpLogRewind:   (*change).logRewindOp,
		objectstore.OpPutMeta:     (*change).putMetaOp,
		objectstore.OpRmMeta:      (*change).rmMetaOp,
	} {
		handlers[code] = f
	}
}

// begin starts a transaction. An indexed batch lets copies of omaps, and the count of a range, see
// earlier changes of the same transaction.
func (c *change) begin(s *Store, t *objectstore.Transaction) {
	clear(c.nodes)
	clear(c.shards)
	clear(c.runs)
	clear(c.omaps)
	*c = change{
		s: s, id: c.id + 1, lsn: s.lastLSN + 1,
		nodes: c.nodes[:0], shards: c.shards[:0], freed: c.freed[:0], runs: c.runs[:0],
		allocs: c.allocs[:0], entries: c.entries[:0], logs: c.logs[:0], buf: c.buf,
		uses: c.uses[:0], omaps: c.omaps[:0],
	}
	var indexed bool
	if indexed, c.again = readsOmap(t.Ops); indexed {
		c.batch = s.kv.NewIndexedBatch()
	} else {
		c.batch = s.kv.NewBatch()
	}
}

// readsOmap says whether the ops must see in the batch what others of them do to an omap, and
// whether they may otherwise meet a pair that was changed.
func readsOmap(ops []objectstore.Op) (indexed, again bool) {
	sets := 0
	for i := range ops {
		switch ops[i].Code {
		case objectstore.OpClone, objectstore.OpMoveRename, objectstore.OpOmapRmRange:
			return true, false
		case objectstore.OpOmapSet:
			sets++
		case objectstore.OpOmapRm: // may name a key twice
			again = true
		}
	}
	return false, again || sets > 1
}

// run applies all ops to the state and completes the batch.
func (c *change) run(t *objectstore.Transaction) error {
	if err := t.Check(); err != nil {
		return err
	}
	for i := range t.Ops {
		op := &t.Ops[i]
		c.index = i
		c.charge(op.Coll.Pool)
		if err := handlers[op.Code](c, op); err != nil {
			return fmt.Errorf("op %d (%v): %w", i, op.Code, err)
		}
	}
	return c.encode()
}

// encode puts what was edited into the batch.
func (c *change) encode() error {
	for i := range c.nodes {
		n := &c.nodes[i]
		key := append(append(c.buf[:0], keyOnode), n.o.key...)
		at := len(key)
		c.buf = key
		var err error
		if n.o.exists {
			c.buf = n.o.body.encode(c.buf)
			err = c.batch.Set(c.buf[:at], c.buf[at:], nil)
		} else if n.exists {
			err = c.batch.Delete(key, nil)
		}
		if err == nil {
			err = c.encodeTags(n)
		}
		if err != nil {
			return err
		}
	}
	for i := range c.shards {
		if err := c.encodeShard(&c.shards[i]); err != nil {
			return err
		}
	}
	for _, r := range c.refs {
		if err := c.encodeRefs(r.number); err != nil {
			return err
		}
	}
	if err := c.encodeUses(); err != nil {
		return err
	}
	var lsn [8]byte
	binary.LittleEndian.PutUint64(lsn[:], c.lsn)
	if c.s.opts.sabotage.splitLSN {
		return nil
	}
	return c.batch.Set(sysLSN, lsn[:], nil)
}

func (c *change) encodeShard(v *savedShard) error {
	sh := v.o.shards[v.index]
	c.buf = shardKey(c.buf[:0], v.o.key, v.index)
	at := len(c.buf)
	c.buf = sh.encode(c.buf)
	switch {
	case len(c.buf) > at:
		return c.batch.Set(c.buf[:at], c.buf[at:], nil)
	case sh.stored:
		return c.batch.Delete(c.buf, nil)
	}
	return nil
}

func (c *change) encodeRefs(number uint64) error {
	key := numberKey(keyRefs, number)
	c.buf = c.s.refs[number].encode(c.buf[:0])
	if len(c.buf) == 0 {
		return c.batch.Delete(key, nil)
	}
	return c.batch.Set(key, c.buf, nil)
}

// rollback puts everything back as it was.
func (c *change) rollback() {
	for _, f := range slices.Backward(c.undo) {
		f()
	}
	for _, v := range slices.Backward(c.logs) {
		v.c.log = v.old
	}
	for _, v := range slices.Backward(c.shards) {
		if v.old == nil {
			delete(v.o.shards, v.index)
		} else {
			v.o.shards[v.index] = v.old
		}
	}
	for _, v := range slices.Backward(c.nodes) {
		v.o.exists, v.o.body = v.exists, v.body
		c.s.cache.recount(v.o)
	}
	for _, v := range slices.Backward(c.refs) {
		c.s.refs[v.number] = v.old
	}
	for _, r := range c.allocs {
		c.s.alloc.release(r)
	}
	for _, r := range c.runs {
		r.recycle()
	}
	c.batch.Close()
}

// settle takes over the edits once the transaction is queued.
func (c *change) settle() {
	for i := range c.shards {
		v := &c.shards[i]
		sh := v.o.shards[v.index]
		sh.stored = !sh.empty()
	}
	for i := range c.nodes {
		c.s.cache.recount(c.nodes[i].o)
	}
	for _, b := range c.freed {
		c.s.alloc.hold(b, c.lsn)
	}
	c.s.takeUses(c.uses)
	if c.s.opts.sabotage.earlyReuse {
		c.s.alloc.reclaim(c.lsn)
	}
	c.batch.Close()
	c.s.cache.trim()
	c.s.trimRefs()
}

// collection returns an existing collection.
func (c *change) collection(id ceph.SPG) (*collection, error) {
	coll, ok := c.s.colls[id]
	if !ok {
		return nil, ceph.ENOENT
	}
	return coll, nil
}

// lookup returns the object's onode, existing or not.
func (c *change) lookup(id ceph.SPG, h *ceph.HObject) (*onode, error) {
	coll, err := c.collection(id)
	if err != nil {
		return nil, err
	}
	c.s.scratch = appendObject(c.s.scratch[:0], coll.home(h.Hash), h)
	return c.s.onode(c.s.scratch)
}

// existing returns the onode of an object that must be there.
func (c *change) existing(id ceph.SPG, h *ceph.HObject) (*onode, error) {
	o, err := c.lookup(id, h)
	if err == nil && !o.exists {
		err = ceph.ENOENT
	}
	return o, err
}

// edit remembers the onode before its first change.
func (c *change) edit(o *onode) *onodeBody {
	if o.owner != c.id {
		o.owner = c.id
		c.nodes = append(c.nodes, savedNode{o, o.exists, o.body})
	}
	return &o.body
}

// make returns the body of an object to be changed, creating it if need be.
func (c *change) make(id ceph.SPG, h *ceph.HObject) (*onode, error) {
	o, err := c.lookup(id, h)
	if err != nil {
		return nil, err
	}
	c.edit(o)
	o.exists = true
	return o, nil
}

// change returns the body of an existing object to be changed.
func (c *change) change(id ceph.SPG, h *ceph.HObject) (*onode, error) {
	o, err := c.existing(id, h)
	if err != nil {
		return nil, err
	}
	c.edit(o)
	return o, nil
}

// editShard returns a mapping that may be changed in place.
func (c *change) editShard(o *onode, index uint32) (*shard, error) {
	if _, ok := o.shards[index]; !ok && o.complete {
		n := &shard{owner: c.id}
		o.shards[index] = n
		c.shards = append(c.shards, savedShard{o, index, nil})
		return n, nil
	}
	sh, err := c.s.shard(o, index)
	if err != nil || sh.owner == c.id {
		return sh, err
	}
	n := *sh
	n.owner = c.id
	o.shards[index] = &n
	c.shards = append(c.shards, savedShard{o, index, sh})
	return &n, nil
}
