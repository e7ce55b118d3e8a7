package ops

import (
	"bytes"
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/store/objectstore"
	"glue/wire/message"
)

// maxErrno is where the results of CMPEXT begin: -(maxErrno + offset of the first difference).
const maxErrno = 4095

// end is off+length without overflow.
func end(off, length uint64) uint64 {
	if off+length < off {
		return ^uint64(0)
	}
	return off + length
}

// clamp cuts an extent to an object of some size.
func clamp(off, length, size uint64) uint64 {
	switch {
	case off >= size:
		return 0
	case end(off, length) > size:
		return size - off
	}
	return length
}

func opRead(x *exec, op *message.OSDOp) int32 {
	x.reads++
	off, length := op.Extent()
	data, r := x.read(op, off, length)
	if r < 0 {
		return r
	}
	op.Out = data
	return 0
}

// fromStore reads data. That of a lone READ is borrowed: nobody but the client sees it.
func (x *exec) fromStore(off, length uint64) (data []byte, err error) {
	c, o := x.object()
	if len(x.req.Ops) == 1 && x.req.Ops[0].Code == message.OpRead {
		x.loan, err = x.env.Store.Lend(c, o, off, length)
		return x.loan.Data, err
	}
	return x.env.Store.Read(c, o, off, length)
}

// read reads data as READ does; length 0 is all.
func (x *exec) read(op *message.OSDOp, off, length uint64) ([]byte, int32) {
	truncSize, truncSeq := op.TruncateArgs()
	size := x.info.Size
	if x.info.TruncateSeq < truncSeq && size > truncSize && end(off, length) > truncSize {
		size = truncSize
	}
	if length == 0 {
		length = size
	}
	length = clamp(off, length, size)
	var data []byte
	if length > 0 {
		var err error
		if data, err = x.fromStore(off, length); err != nil {
			return nil, x.fail(err)
		}
	}
	op.SetExtent(off, uint64(len(data)))
	x.readKiB(len(data))
	return data, 0
}

// extents are the written parts of a range, neighbours joined.
func (x *exec) extents(off, length uint64) ([]objectstore.Extent, error) {
	c, o := x.object()
	if !x.inStore() {
		return nil, ceph.ENOENT
	}
	if length = clamp(off, length, x.old.Info.Size); length == 0 {
		return nil, nil
	}
	all, err := x.env.Store.Extents(c, o, off, length)
	if err != nil {
		return nil, err
	}
	out := all[:0:0]
	for _, e := range all {
		if n := len(out); n > 0 && out[n-1].Off+out[n-1].Len == e.Off {
			out[n-1].Len += e.Len
			continue
		}
		out = append(out, e)
	}
	return out, nil
}

func dencExtents(c *denc.Coder, p *[]objectstore.Extent) {
	denc.ListFunc(c, p, func(c *denc.Coder, e *objectstore.Extent) {
		c.U64(&e.Off)
		c.U64(&e.Len)
	})
}

func opSparseRead(x *exec, op *message.OSDOp) int32 {
	if _, seq := op.TruncateArgs(); seq != 0 {
		return ceph.EINVAL.Result()
	}
	x.reads++
	off, length := op.Extent()
	found, err := x.extents(off, length)
	if err != nil {
		return x.fail(err)
	}
	total := uint64(0)
	for _, e := range found {
		total += e.Len
	}
	// The answer is put together in place: these are most of the reads of block devices.
	c := denc.NewEncoder(make([]byte, 0, 8+16*uint64(len(found))+total), 0)
	dencExtents(c, &found)
	c.U32Const(uint32(total))
	cl, o := x.object()
	for _, e := range found {
		b, err := x.env.Store.Read(cl, o, e.Off, e.Len)
		if err == nil && uint64(len(b)) != e.Len {
			err = fmt.Errorf("%d bytes at %d, extent of %d: %w", len(b), e.Off, e.Len,
				objectstore.ErrCorrupt)
		}
		if err != nil {
			return x.fail(err)
		}
		c.Raw(b)
	}
	op.Out = c.Bytes()
	op.SetExtent(off, total)
	x.readKiB(int(total))
	return 0
}

func opMapExt(x *exec, op *message.OSDOp) int32 {
	x.reads++
	off, length := op.Extent()
	found, err := x.extents(off, length)
	x.stats.Reads++
	if err != nil {
		return x.fail(err)
	}
	c := denc.NewEncoder(nil, 0)
	dencExtents(c, &found)
	op.Out = c.Bytes()
	x.stats.ReadKiB += kib(uint64(len(op.Out)))
	return same
}

func opStat(x *exec, op *message.OSDOp) int32 {
	x.stats.Reads++
	if !x.exists {
		return ceph.ENOENT.Result()
	}
	c := denc.NewEncoder(make([]byte, 0, 16), 0)
	c.U64(&x.info.Size)
	x.info.MTime.Denc(c)
	op.Out = c.Bytes()
	return same
}

func opCmpExt(x *exec, op *message.OSDOp) int32 {
	x.reads++
	off, length := op.Extent()
	truncSize, truncSeq := op.TruncateArgs()
	size := x.info.Size
	if x.info.TruncateSeq < truncSeq && end(off, length) > truncSize {
		size = truncSize
	}
	length = clamp(off, length, size)
	op.SetExtent(off, length)
	var data []byte
	if length > 0 && x.inStore() {
		x.reads++
		var r int32
		nested := message.OSDOp{Union: op.Union}
		if data, r = x.read(&nested, off, length); r < 0 {
			return r
		}
	}
	return compareExtent(op.In, data)
}

// compareExtent compares what a client expects with what is there, zeros after its end.
func compareExtent(want, have []byte) int32 {
	n := min(len(want), len(have))
	if bytes.Equal(want[:n], have[:n]) {
		for i := n; i < len(want); i++ {
			if want[i] != 0 {
				return int32(-maxErrno - i)
			}
		}
		return 0
	}
	for i := range n {
		if want[i] != have[i] {
			return int32(-maxErrno - i)
		}
	}
	return 0
}

func opAssertVer(x *exec, op *message.OSDOp) int32 {
	x.reads++
	switch ver := op.AssertVersion(); {
	case ver == 0:
		return ceph.EINVAL.Result()
	case ver < x.info.UserVersion:
		return ceph.ERANGE.Result()
	case ver > x.info.UserVersion:
		return ceph.EOVERFLOW.Result()
	}
	return same
}

func opIsDirty(x *exec, op *message.OSDOp) int32 {
	x.reads++
	x.stats.Reads++
	c := denc.NewEncoder(nil, 0)
	dirty := x.info.IsDirty()
	c.Bool(&dirty)
	op.Out = c.Bytes()
	return 0
}
