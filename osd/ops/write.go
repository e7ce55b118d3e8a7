package ops

import (
	"bytes"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/wire/message"
)

// checkExtent holds an extent to the largest object.
func (x *exec) checkExtent(off, length uint64) int32 {
	limit := x.env.Limits.ObjectSize
	if off >= limit || length > limit || off+length > limit {
		return ceph.EFBIG.Result()
	}
	return 0
}

// resize sets the projected size.
func (x *exec) resize(size uint64) {
	x.stats.Bytes += int64(size) - int64(x.info.Size)
	x.info.Size = size
}

func opCreate(x *exec, op *message.OSDOp) int32 {
	x.writes++
	if x.exists && op.Flags&message.OpFlagExcl != 0 {
		return ceph.EEXIST.Result()
	}
	if len(op.In) > 0 { // a category, which means nothing any more
		var category string
		c := denc.NewDecoder(op.In, 0)
		if c.Str(&category); c.Err() != nil {
			return ceph.EINVAL.Result()
		}
	}
	x.create()
	x.touched = true
	return 0
}

func opSetAllocHint(x *exec, op *message.OSDOp) int32 {
	x.writes++
	x.create()
	x.info.ExpectedObjectSize, x.info.ExpectedWriteSize, x.info.AllocHintFlags = op.AllocHint()
	x.touched = true
	return 0
}

func opWrite(x *exec, op *message.OSDOp) int32 {
	off, length := op.Extent()
	truncSize, truncSeq := op.TruncateArgs()
	return x.write(off, length, truncSize, truncSeq, op.In)
}

// write puts data into the object. A truncation that a file system ordered after this write, or
// that it orders with it, is respected by its sequence number.
func (x *exec) write(off, length, truncSize uint64, truncSeq uint32, data []byte) int32 {
	x.writes++
	if length != uint64(len(data)) {
		return ceph.EINVAL.Result()
	}
	seq := x.info.TruncateSeq
	if seq != 0 && seq > truncSeq && end(off, length) > x.info.Size {
		// Sent before a truncation that is done: what lies past the end is gone.
		length = 0
		if off <= x.info.Size {
			length = x.info.Size - off
		}
		data = data[:length]
	}
	if truncSeq > seq {
		// Sent after a truncation that has not come yet.
		if x.exists && truncSize > x.env.Limits.ObjectSize {
			return ceph.EFBIG.Result()
		}
		x.truncateFirst(truncSize, truncSeq)
	}
	if r := x.checkExtent(off, length); r < 0 {
		return r
	}
	x.create()
	c, o := x.object()
	switch {
	case length > 0:
		x.t().Write(c, o, off, data)
		if off+length > x.info.Size {
			x.resize(off + length)
		}
	case off > x.info.Size:
		x.t().Truncate(c, o, off)
		x.resize(off)
	default:
		x.touched = true
	}
	x.stats.Writes++
	x.stats.WrittenKiB += kib(length)
	return 0
}

// truncateFirst applies a truncation that a write brought along.
func (x *exec) truncateFirst(size uint64, seq uint32) {
	x.info.TruncateSeq, x.info.TruncateSize = seq, size
	if !x.exists {
		return
	}
	c, o := x.object()
	x.t().Truncate(c, o, size)
	x.resize(size)
}

func opWriteFull(x *exec, op *message.OSDOp) int32 {
	x.writes++
	_, length := op.Extent()
	if length != uint64(len(op.In)) {
		return ceph.EINVAL.Result()
	}
	if r := x.checkExtent(0, length); r < 0 {
		return r
	}
	x.create()
	c, o := x.object()
	if length < x.info.Size {
		x.t().Truncate(c, o, length)
	}
	if length > 0 {
		x.t().Write(c, o, 0, op.In)
	}
	x.touched = true
	x.resize(length)
	x.stats.Writes++
	x.stats.WrittenKiB += kib(length)
	return 0
}

// tileBytes bounds what WRITESAME puts into one write of the transaction.
const tileBytes = 64 << 10

func opWriteSame(x *exec, op *message.OSDOp) int32 {
	x.writes++
	off, length, unit := op.WriteSame()
	switch {
	case length == 0:
		return 0
	case unit == 0 || length%unit != 0 || unit != uint64(len(op.In)):
		return ceph.EINVAL.Result()
	}
	if r := x.checkExtent(off, length); r < 0 {
		return r
	}
	tile := op.In
	if n := min(tileBytes, length) / unit; n > 1 {
		tile = bytes.Repeat(op.In, int(n))
	}
	for done := uint64(0); done < length; {
		n := min(uint64(len(tile)), length-done)
		if r := x.write(off+done, n, 0, 0, tile[:n]); r < 0 {
			return r
		}
		if done += n; done < length {
			x.stats.Writes-- // all tiles are one write
		}
	}
	return 0
}

func opAppend(x *exec, op *message.OSDOp) int32 {
	_, length := op.Extent()
	return x.write(x.info.Size, length, 0, x.info.TruncateSeq, op.In)
}

func opTrimTrunc(x *exec, op *message.OSDOp) int32 {
	size, _ := op.TruncateArgs()
	_, length := op.Extent()
	op.SetExtent(size, length)
	return opTruncate(x, op)
}

func opTruncate(x *exec, op *message.OSDOp) int32 {
	x.writes++
	if !x.exists {
		return 0
	}
	off, length := op.Extent()
	if r := x.checkExtent(off, length); r < 0 {
		return r
	}
	if size, seq := op.TruncateArgs(); seq != 0 {
		if off != size {
			return ceph.EINVAL.Result()
		}
		if seq <= x.info.TruncateSeq {
			return 0 // an old one
		}
		x.info.TruncateSeq, x.info.TruncateSize = seq, size
	}
	c, o := x.object()
	x.t().Truncate(c, o, off)
	x.resize(off)
	x.stats.Writes++
	return 0
}

func opZero(x *exec, op *message.OSDOp) int32 {
	off, length := op.Extent()
	limit := x.env.Limits.ObjectSize
	if x.exists && off < limit && length >= 1 && length <= limit && off+length >= x.info.Size {
		if off >= x.info.Size {
			return same
		}
		return opTruncate(x, op) // zeros at the end are no data
	}
	x.writes++
	if r := x.checkExtent(off, length); r < 0 {
		return r
	}
	if length == 0 {
		return ceph.EINVAL.Result()
	}
	if x.exists {
		c, o := x.object()
		x.t().Zero(c, o, off, length)
		x.stats.Writes++
	}
	return 0
}

func opDelete(x *exec, _ *message.OSDOp) int32 {
	x.writes++
	if !x.exists {
		return ceph.ENOENT.Result()
	}
	c, o := x.object()
	x.t().Remove(c, o)
	x.stats.Writes++
	x.resize(0)
	for k := range x.info.Watchers {
		x.effects.Disconnects = append(x.effects.Disconnects, WatchDisconnect{Key: k, Tell: true})
	}
	sortDisconnects(x.effects.Disconnects)
	x.info.Watchers, x.ownWatchers = nil, true
	x.stats.Objects--
	x.exists = false
	return 0
}

func opStartSync(x *exec, _ *message.OSDOp) int32 {
	x.touched = true
	return 0
}
