package blockstore

import (
	"glue/ceph"
	"glue/store/disk"
	"glue/store/objectstore"
)

func blocksOf(n uint64) uint64 { return (n + blockBytes - 1) / blockBytes }

func (c *change) writeOp(op *objectstore.Op) error {
	o, err := c.make(op.Coll, &op.Object)
	if err != nil || len(op.Data) == 0 {
		return err
	}
	first, last := op.Off/blockBytes, (op.Off+op.Len-1)/blockBytes
	if err := c.room(last - first + 1); err != nil {
		return err
	}
	if c.prep != nil && c.prep[c.index].buf != nil {
		if err := c.grow(o, op.Off+op.Len); err != nil {
			return err
		}
		p := c.prep[c.index]
		c.prep[c.index] = prepared{}
		return c.place(o, first, p)
	}
	return c.write(o, op.Off, op.Data)
}

// room refuses what would eat into the reserve that deletes need.
func (c *change) room(n uint64) error {
	a := c.s.alloc
	switch {
	case c.s.kvFull.Load(), a.free+a.heldCount < n+c.s.reserve:
		return ceph.ENOSPC
	case a.free < n+c.s.reserve && n > 0:
		return errReclaim
	}
	return nil
}

// write puts data at off into new blocks, reading the edges of what it covers in part.
func (c *change) write(o *onode, off uint64, data []byte) error {
	end := off + uint64(len(data))
	first, n := off/blockBytes, blocksOf(end)-off/blockBytes
	if err := c.grow(o, end); err != nil {
		return err
	}
	buf := data
	pooled := off%blockBytes != 0 || end%blockBytes != 0 || n < wholeMin || !disk.IsAligned(data)
	if pooled {
		buf = getBuffer(int(n) * blockBytes)
		if err := c.fillEdges(o, off, end, buf); err != nil {
			putBuffer(buf)
			return err
		}
		copy(buf[off%blockBytes:], data)
	}
	return c.place(o, first, prepared{buf: buf, pooled: pooled})
}

// fillEdges reads the blocks that [off, end) covers only in part; buf begins at off's block.
func (c *change) fillEdges(o *onode, off, end uint64, buf []byte) error {
	first, last := off/blockBytes, (end-1)/blockBytes
	head, tail := off%blockBytes != 0, end%blockBytes != 0
	if head || tail && first == last {
		if err := c.readBlock(o, first, buf[:blockBytes]); err != nil {
			return err
		}
	}
	if tail && first != last {
		return c.readBlock(o, last, buf[(last-first)*blockBytes:])
	}
	return nil
}

// readBlock fills one block's bytes with the object's present content.
func (c *change) readBlock(o *onode, index uint64, buf []byte) error {
	sh, err := c.s.shard(o, uint32(index/shardBlocks))
	if err != nil {
		return err
	}
	m := sh.blocks[index%shardBlocks]
	if m.hole() {
		clear(buf[:blockBytes])
		return nil
	}
	for _, r := range c.runs { // written by this very transaction
		if b := m.block(); b >= r.at && b < r.at+r.n {
			copy(buf[:blockBytes], r.buf[(b-r.at)*blockBytes:])
			return nil
		}
	}
	return c.s.readOne(m, buf[:blockBytes])
}

// place allocates blocks for a buffer, which begins at object block first, and maps them.
func (c *change) place(o *onode, first uint64, p prepared) error {
	at := len(c.allocs)
	var ok bool
	if c.allocs, ok = c.s.alloc.alloc(uint64(len(p.buf))/blockBytes, c.allocs); !ok {
		if p.pooled {
			putBuffer(p.buf)
		}
		if c.s.alloc.heldCount > 0 {
			return errReclaim
		}
		return ceph.ENOSPC
	}
	c.use.blocks += int64(len(p.buf) / blockBytes)
	// All runs are made before anything can fail, so that a rollback finds each part's buffer.
	made := len(c.runs)
	c.runs = appendRuns(c.runs, c.allocs[at:], p)
	for _, d := range c.runs[made:] {
		if err := c.s.hostRoom(d.run); err != nil {
			return err
		}
		if err := c.mapRun(o, first, d); err != nil {
			return err
		}
		first += d.n
	}
	return nil
}

// appendRuns makes a run of data for each allocated part.
func appendRuns(runs []*dataRun, parts []run, p prepared) []*dataRun {
	var shared *sharedBuffer
	if len(parts) > 1 {
		shared = newSharedBuffer(p.buf, p.pooled, len(parts))
	}
	for _, r := range parts {
		d := &dataRun{run: r, shared: shared, pooled: p.pooled}
		d.buf, p.buf = p.buf[:r.n*blockBytes], p.buf[r.n*blockBytes:]
		if p.crcs != nil {
			d.crcs, p.crcs = p.crcs[:r.n], p.crcs[r.n:]
		} else {
			d.checksum()
		}
		runs = append(runs, d)
	}
	return runs
}

// mapRun maps a run of new blocks and drops what was mapped there.
func (c *change) mapRun(o *onode, first uint64, d *dataRun) error {
	for i := range d.n {
		index := first + i
		sh, err := c.editShard(o, uint32(index/shardBlocks))
		if err != nil {
			return err
		}
		m := &sh.blocks[index%shardBlocks]
		if m.hole() {
			c.use.stored += o.body.span(index)
		}
		if err := c.unref(*m); err != nil {
			return err
		}
		*m = mapped(d.at+i, d.crcs[i])
	}
	return nil
}

// punch makes holes of the object's blocks [first, end).
func (c *change) punch(o *onode, first, end uint64) error {
	if first >= end {
		return nil
	}
	if end-first > 4*shardBlocks {
		if err := c.s.loadShards(o); err != nil {
			return err
		}
	}
	if o.complete {
		return c.punchLoaded(o, first, end)
	}
	for index := first; index < end; index++ {
		if err := c.punchShard(o, uint32(index/shardBlocks), first, end); err != nil {
			return err
		}
		index |= shardBlocks - 1
	}
	return nil
}

// punchLoaded visits only the mappings that are there.
func (c *change) punchLoaded(o *onode, first, end uint64) error {
	for index := range o.shards {
		lo := uint64(index) * shardBlocks
		if lo < end && lo+shardBlocks > first {
			if err := c.punchShard(o, index, first, end); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *change) punchShard(o *onode, index uint32, first, end uint64) error {
	sh, err := c.s.shard(o, index)
	if err != nil || sh.empty() {
		return err
	}
	if sh, err = c.editShard(o, index); err != nil {
		return err
	}
	lo := uint64(index) * shardBlocks
	for i := range sh.blocks {
		if b := lo + uint64(i); b >= first && b < end {
			if sh.blocks[i].hole() {
				continue
			}
			if err := c.unref(sh.blocks[i]); err != nil {
				return err
			}
			c.use.stored -= o.body.span(b)
			sh.blocks[i] = mapping{}
		}
	}
	return nil
}

// clearRange makes [off, end) read as zero: whole blocks become holes, edges are rewritten.
func (c *change) clearRange(o *onode, off, end uint64) error {
	if off >= end {
		return nil
	}
	first, last := blocksOf(off), end/blockBytes
	if first > last { // within one block
		return c.zeroPart(o, off, end)
	}
	if err := c.zeroPart(o, off, first*blockBytes); err != nil {
		return err
	}
	if err := c.zeroPart(o, last*blockBytes, end); err != nil {
		return err
	}
	return c.punch(o, first, last)
}

// zeroPart zeroes bytes within one block, which may be a hole.
func (c *change) zeroPart(o *onode, off, end uint64) error {
	if off >= end {
		return nil
	}
	index := off / blockBytes
	sh, err := c.s.shard(o, uint32(index/shardBlocks))
	if err != nil || sh.blocks[index%shardBlocks].hole() {
		return err
	}
	buf := getBuffer(blockBytes)
	if err := c.readBlock(o, index, buf); err != nil {
		putBuffer(buf)
		return err
	}
	clear(buf[off%blockBytes : (end-1)%blockBytes+1])
	return c.place(o, index, prepared{buf: buf, pooled: true})
}

func (c *change) zeroOp(op *objectstore.Op) error {
	o, err := c.make(op.Coll, &op.Object)
	if err != nil || op.Len == 0 {
		return err
	}
	end := op.Off + op.Len
	if end >= o.body.size { // what is behind the end goes too, so the last block can
		end = blocksOf(o.body.size) * blockBytes
	}
	if op.Off < o.body.size {
		if err := c.clearRange(o, op.Off, end); err != nil {
			return err
		}
	}
	return c.grow(o, op.Off+op.Len)
}

func (c *change) truncateOp(op *objectstore.Op) error {
	o, err := c.make(op.Coll, &op.Object)
	if err != nil {
		return err
	}
	if op.Off < o.body.size {
		end := blocksOf(o.body.size) * blockBytes
		if err := c.clearRange(o, op.Off, end); err != nil {
			return err
		}
	}
	return c.resize(o, op.Off)
}

func (c *change) removeOp(op *objectstore.Op) error {
	o, err := c.existing(op.Coll, &op.Object)
	if err != nil {
		return err
	}
	return c.remove(o)
}

// remove frees all that the object has.
func (c *change) remove(o *onode) error {
	c.edit(o)
	if err := c.clearOmap(o); err != nil {
		return err
	}
	if err := c.s.loadShards(o); err != nil {
		return err
	}
	if err := c.punchLoaded(o, 0, ^uint64(0)); err != nil {
		return err
	}
	o.exists, o.body = false, onodeBody{}
	return nil
}

func (c *change) cloneOp(op *objectstore.Op) error {
	o, err := c.existing(op.Coll, &op.Object)
	if err != nil {
		return err
	}
	dest, err := c.lookup(op.Coll, &op.Dest)
	if err != nil {
		return err
	}
	if dest.exists {
		if err := c.remove(dest); err != nil {
			return err
		}
	}
	if err := c.loadBoth(o, dest); err != nil {
		return err
	}
	c.edit(dest)
	dest.exists = true
	dest.body = onodeBody{size: o.body.size, attrs: o.body.attrs}
	for index, sh := range o.shards {
		if sh.empty() {
			continue
		}
		if err := c.shareShard(o, dest, index); err != nil {
			return err
		}
	}
	return c.copyOmap(o, dest)
}

func (c *change) loadBoth(o, dest *onode) error {
	if err := c.s.loadShards(o); err != nil {
		return err
	}
	return c.s.loadShards(dest)
}

// shareShard maps all blocks of one part of o in dest as well, where nothing is mapped.
func (c *change) shareShard(o, dest *onode, index uint32) error {
	from, err := c.editShard(o, index)
	if err != nil {
		return err
	}
	to, err := c.editShard(dest, index)
	if err != nil {
		return err
	}
	for i, m := range from.blocks {
		if m.hole() {
			continue
		}
		if m, err = c.share(m); err != nil {
			return err
		}
		from.blocks[i], to.blocks[i] = m, m
		c.use.stored += dest.body.span(uint64(index)*shardBlocks + uint64(i))
	}
	return nil
}

func (c *change) cloneRangeOp(op *objectstore.Op) error {
	o, err := c.existing(op.Coll, &op.Object)
	if err != nil {
		return err
	}
	if op.Off+op.Len > o.body.size {
		return ceph.EINVAL
	}
	dest, err := c.make(op.Coll, &op.Dest)
	if err != nil || op.Len == 0 {
		return err
	}
	end := op.Off + op.Len
	first, last := blocksOf(op.Off), end/blockBytes
	if o == dest || op.Off%blockBytes != op.DestOff%blockBytes || first >= last {
		return c.copyRange(o, dest, op.Off, end, op.DestOff)
	}
	// The edges are copied before blocks are shared, so that each step sees the old content.
	shift := op.DestOff - op.Off
	if err := c.copyRange(o, dest, op.Off, first*blockBytes, op.DestOff); err != nil {
		return err
	}
	if err := c.copyRange(o, dest, last*blockBytes, end, last*blockBytes+shift); err != nil {
		return err
	}
	if err := c.grow(dest, op.DestOff+op.Len); err != nil {
		return err
	}
	return c.shareBlocks(o, dest, first, last, int64(shift)/blockBytes)
}

// copyRange copies bytes by reading and writing them.
func (c *change) copyRange(o, dest *onode, off, end, destOff uint64) error {
	if off >= end {
		return nil
	}
	if err := c.room(blocksOf(end-off) + 1); err != nil {
		return err
	}
	first, last := off/blockBytes, (end-1)/blockBytes
	data := make([]byte, (last-first+1)*blockBytes)
	for b := first; b <= last; b++ {
		if err := c.readBlock(o, b, data[(b-first)*blockBytes:]); err != nil {
			return err
		}
	}
	return c.write(dest, destOff, data[off-first*blockBytes:end-first*blockBytes])
}

// shareBlocks maps o's blocks [first, last) in another object, shifted by so many blocks.
func (c *change) shareBlocks(o, dest *onode, first, last uint64, shift int64) error {
	for b := first; b < last; b++ {
		d := uint64(int64(b) + shift)
		sh, err := c.s.shard(o, uint32(b/shardBlocks))
		if err != nil {
			return err
		}
		m := sh.blocks[b%shardBlocks]
		if !m.hole() {
			if sh, err = c.editShard(o, uint32(b/shardBlocks)); err != nil {
				return err
			}
			if m, err = c.share(m); err != nil {
				return err
			}
			sh.blocks[b%shardBlocks] = m
			c.use.stored += dest.body.span(d)
		}
		to, err := c.editShard(dest, uint32(d/shardBlocks))
		if err != nil {
			return err
		}
		old := to.blocks[d%shardBlocks]
		if !old.hole() {
			c.use.stored -= dest.body.span(d)
		}
		to.blocks[d%shardBlocks] = m
		if err := c.unref(old); err != nil {
			return err
		}
	}
	return nil
}

func (c *change) moveRenameOp(op *objectstore.Op) error {
	o, err := c.existing(op.Coll, &op.Object)
	if err != nil {
		return err
	}
	dest, err := c.lookup(op.Coll, &op.Dest)
	if err != nil {
		return err
	}
	if dest.exists {
		return ceph.EEXIST
	}
	if err := c.loadBoth(o, dest); err != nil {
		return err
	}
	c.edit(o)
	c.edit(dest)
	dest.exists = true
	dest.body = onodeBody{size: o.body.size, attrs: o.body.attrs}
	if err := c.copyOmap(o, dest); err != nil {
		return err
	}
	if err := c.clearOmap(o); err != nil {
		return err
	}
	for index, sh := range o.shards {
		if sh.empty() {
			continue
		}
		from, err := c.editShard(o, index)
		if err != nil {
			return err
		}
		to, err := c.editShard(dest, index)
		if err != nil {
			return err
		}
		from.blocks, to.blocks = [shardBlocks]mapping{}, from.blocks
	}
	o.exists, o.body = false, onodeBody{}
	return nil
}
