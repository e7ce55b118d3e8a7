package rados

import (
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/wire/message"
)

// A WriteOp is a vector of changes and checks on one object. The zero value is empty.
type WriteOp struct {
	ops     []message.OSDOp
	flags   uint32
	version uint64
}

// Version is the object's user version after the vector was run.
func (w *WriteOp) Version() uint64 { return w.version }

func (w *WriteOp) add(op message.OSDOp) *WriteOp {
	w.ops = append(w.ops, op)
	return w
}

func (w *WriteOp) data(code message.OpCode, off uint64, data []byte) *WriteOp {
	op := message.OSDOp{Code: code, In: data}
	op.SetExtent(off, uint64(len(data)))
	return w.add(op)
}

func (w *WriteOp) extent(code message.OpCode, off, length uint64) *WriteOp {
	op := message.OSDOp{Code: code}
	op.SetExtent(off, length)
	return w.add(op)
}

func (w *WriteOp) value(code message.OpCode, f func(*denc.Coder)) *WriteOp {
	return w.add(message.OSDOp{Code: code, In: encode(f)})
}

func encode(f func(*denc.Coder)) []byte {
	c := denc.NewEncoder(nil, ceph.FeaturesAll)
	f(c)
	return c.Bytes()
}

func decode(b []byte, f func(*denc.Coder)) error {
	c := denc.NewDecoder(b, ceph.FeaturesAll)
	f(c)
	return c.Err()
}

// Len is the number of operations.
func (w *WriteOp) Len() int { return len(w.ops) }

// FailOK lets the vector go on if its last operation fails.
func (w *WriteOp) FailOK() *WriteOp {
	w.ops[len(w.ops)-1].Flags |= message.OpFlagFailOK
	return w
}

// Hint adds access hints (message.OpFlagRandom and so on) to the last operation.
func (w *WriteOp) Hint(flags uint32) *WriteOp {
	w.ops[len(w.ops)-1].Flags |= flags
	return w
}

// AssertExists fails with ENOENT without the object.
func (w *WriteOp) AssertExists() *WriteOp { return w.extent(message.OpStat, 0, 0) }

// AssertVersion fails unless the object's user version is v: ERANGE if it is older, EOVERFLOW if
// it is newer.
func (w *WriteOp) AssertVersion(v uint64) *WriteOp {
	op := message.OSDOp{Code: message.OpAssertVer}
	op.SetAssertVersion(v)
	return w.add(op)
}

// CompareXattr fails with ECANCELED unless value compares so to the attribute (message.CmpEQ, …):
// CmpLT is value < attribute.
func (w *WriteOp) CompareXattr(name string, cmp uint8, value []byte) *WriteOp {
	op := message.OSDOp{Code: message.OpCmpXattr}
	op.SetXattr(name, value, cmp, message.CmpModeString)
	return w.add(op)
}

// CompareExtent fails unless the object has data at off.
func (w *WriteOp) CompareExtent(data []byte, off uint64) *WriteOp {
	return w.data(message.OpCmpExt, off, data)
}

// Create makes the object; with exclusive the vector fails with EEXIST if it is there.
func (w *WriteOp) Create(exclusive bool) *WriteOp {
	op := message.OSDOp{Code: message.OpCreate}
	if exclusive {
		op.Flags = message.OpFlagExcl
	}
	return w.add(op)
}

// Write puts data at off.
func (w *WriteOp) Write(data []byte, off uint64) *WriteOp {
	return w.data(message.OpWrite, off, data)
}

// WriteFull makes data the whole of the object.
func (w *WriteOp) WriteFull(data []byte) *WriteOp { return w.data(message.OpWriteFull, 0, data) }

// WriteSame repeats data over length bytes at off.
func (w *WriteOp) WriteSame(data []byte, off, length uint64) *WriteOp {
	op := message.OSDOp{Code: message.OpWriteSame, In: data}
	op.SetWriteSame(off, length, uint64(len(data)))
	return w.add(op)
}

// Append puts data at the end.
func (w *WriteOp) Append(data []byte) *WriteOp { return w.data(message.OpAppend, 0, data) }

// Truncate makes the object size bytes long.
func (w *WriteOp) Truncate(size uint64) *WriteOp {
	return w.extent(message.OpTruncate, size, 0)
}

// Zero makes length bytes at off read as zero.
func (w *WriteOp) Zero(off, length uint64) *WriteOp {
	return w.extent(message.OpZero, off, length)
}

// Remove deletes the object.
func (w *WriteOp) Remove() *WriteOp { return w.extent(message.OpDelete, 0, 0) }

// AllocHint tells how large the object and writes to it will be.
func (w *WriteOp) AllocHint(objectSize, writeSize uint64, flags uint32) *WriteOp {
	op := message.OSDOp{Code: message.OpSetAllocHint, Flags: message.OpFlagFailOK}
	op.SetAllocHint(objectSize, writeSize, flags)
	return w.add(op)
}

// SetXattr sets an attribute.
func (w *WriteOp) SetXattr(name string, value []byte) *WriteOp {
	op := message.OSDOp{Code: message.OpSetXattr}
	op.SetXattr(name, value, 0, 0)
	return w.add(op)
}

// RmXattr removes an attribute.
func (w *WriteOp) RmXattr(name string) *WriteOp {
	op := message.OSDOp{Code: message.OpRmXattr}
	op.SetXattr(name, nil, 0, 0)
	return w.add(op)
}

// OmapSet sets keys.
func (w *WriteOp) OmapSet(pairs map[string][]byte) *WriteOp {
	return w.value(message.OpOmapSetVals, func(c *denc.Coder) {
		denc.MapFunc(c, &pairs, (*denc.Coder).Str, (*denc.Coder).Blob)
	})
}

// OmapRm removes keys.
func (w *WriteOp) OmapRm(keys ...string) *WriteOp {
	set := make(map[string]struct{}, len(keys))
	for _, k := range keys {
		set[k] = struct{}{}
	}
	return w.value(message.OpOmapRmKeys, func(c *denc.Coder) {
		denc.SetFunc(c, &set, (*denc.Coder).Str)
	})
}

// OmapRmRange removes the keys in [first, end).
func (w *WriteOp) OmapRmRange(first, end string) *WriteOp {
	return w.value(message.OpOmapRmKeyRange, func(c *denc.Coder) {
		c.Str(&first)
		c.Str(&end)
	})
}

// OmapClear removes all keys and the header.
func (w *WriteOp) OmapClear() *WriteOp { return w.extent(message.OpOmapClear, 0, 0) }

// OmapSetHeader sets the omap header.
func (w *WriteOp) OmapSetHeader(header []byte) *WriteOp {
	return w.data(message.OpOmapSetHeader, 0, header)
}

// Exec calls a method of an object class, whose answer is lost.
func (w *WriteOp) Exec(class, method string, in []byte) *WriteOp {
	var op message.OSDOp
	op.SetCall(class, method, in)
	return w.add(op)
}

// A ReadOp is a vector of reads and checks on one object. What its methods return is filled by
// OperateRead. The zero value is empty.
type ReadOp struct {
	ops     []message.OSDOp
	take    []func(*message.OSDOp) error
	flags   uint32
	version uint64
}

// Version is the object's user version at the moment of the reads.
func (r *ReadOp) Version() uint64 { return r.version }

func (r *ReadOp) add(op message.OSDOp, take func(*message.OSDOp) error) {
	r.ops = append(r.ops, op)
	r.take = append(r.take, take)
}

// FailOK lets the vector go on if its last operation fails.
func (r *ReadOp) FailOK() { r.ops[len(r.ops)-1].Flags |= message.OpFlagFailOK }

// AssertExists fails with ENOENT without the object.
func (r *ReadOp) AssertExists() { r.add(message.OSDOp{Code: message.OpStat}, nil) }

// CompareXattr fails with ECANCELED unless value compares so to the attribute.
func (r *ReadOp) CompareXattr(name string, cmp uint8, value []byte) {
	op := message.OSDOp{Code: message.OpCmpXattr}
	op.SetXattr(name, value, cmp, message.CmpModeString)
	r.add(op, nil)
}

// Read reads length bytes at off.
func (r *ReadOp) Read(off, length uint64) *[]byte {
	op := message.OSDOp{Code: message.OpRead}
	op.SetExtent(off, length)
	return r.raw(op)
}

func (r *ReadOp) raw(op message.OSDOp) *[]byte {
	out := new([]byte)
	r.add(op, func(o *message.OSDOp) error {
		*out = o.Out
		return nil
	})
	return out
}

// A Sparse is a sparse read's result: the extents that hold data, and their bytes one after the
// other.
type Sparse struct {
	Extents []message.Extent
	Data    []byte
}

// SparseRead reads the parts of length bytes at off that hold data.
func (r *ReadOp) SparseRead(off, length uint64) *Sparse {
	op := message.OSDOp{Code: message.OpSparseRead}
	op.SetExtent(off, length)
	out := new(Sparse)
	r.add(op, func(o *message.OSDOp) error {
		return parse(o, func(c *denc.Coder) {
			denc.List(c, &out.Extents)
			c.Blob(&out.Data)
		})
	})
	return out
}

// parse decodes the answer of an operation that succeeded.
func parse(o *message.OSDOp, f func(*denc.Coder)) error {
	if o.Result < 0 || len(o.Out) == 0 {
		return nil
	}
	if err := decode(o.Out, f); err != nil {
		return fmt.Errorf("answer of %v: %w", o.Code, err)
	}
	return nil
}

// Stat reads the size and time.
func (r *ReadOp) Stat() *ObjectStat {
	out := new(ObjectStat)
	r.add(message.OSDOp{Code: message.OpStat}, func(o *message.OSDOp) error {
		return parse(o, func(c *denc.Coder) {
			var t ceph.Time
			c.U64(&out.Size)
			t.Denc(c)
			out.MTime = t.Go()
		})
	})
	return out
}

// Xattr reads an attribute.
func (r *ReadOp) Xattr(name string) *[]byte {
	op := message.OSDOp{Code: message.OpGetXattr}
	op.SetXattr(name, nil, 0, 0)
	return r.raw(op)
}

// Xattrs reads all attributes.
func (r *ReadOp) Xattrs() *map[string][]byte {
	return r.pairs(message.OSDOp{Code: message.OpGetXattrs})
}

func (r *ReadOp) pairs(op message.OSDOp) *map[string][]byte {
	out := new(map[string][]byte)
	r.add(op, func(o *message.OSDOp) error {
		return parse(o, func(c *denc.Coder) {
			denc.MapFunc(c, out, (*denc.Coder).Str, (*denc.Coder).Blob)
		})
	})
	return out
}

// OmapGet reads those of keys that exist.
func (r *ReadOp) OmapGet(keys ...string) *map[string][]byte {
	set := make(map[string]struct{}, len(keys))
	for _, k := range keys {
		set[k] = struct{}{}
	}
	return r.pairs(message.OSDOp{Code: message.OpOmapGetValsByKeys,
		In: encode(func(c *denc.Coder) { denc.SetFunc(c, &set, (*denc.Coder).Str) })})
}

// An OmapPage is a part of an object's omap, ascending; More says that there are further keys.
type OmapPage struct {
	Pairs []OmapPair
	More  bool
}

// An OmapPair is one key and its value.
type OmapPair struct {
	Key   string
	Value []byte
}

// OmapPage reads up to max pairs with keys above after that start with prefix.
func (r *ReadOp) OmapPage(after, prefix string, max uint64) *OmapPage {
	out := new(OmapPage)
	op := message.OSDOp{Code: message.OpOmapGetVals, In: encode(func(c *denc.Coder) {
		c.Str(&after)
		c.U64(&max)
		c.Str(&prefix)
	})}
	r.add(op, func(o *message.OSDOp) error {
		return parse(o, func(c *denc.Coder) {
			denc.ListFunc(c, &out.Pairs, func(c *denc.Coder, p *OmapPair) {
				c.Str(&p.Key)
				c.Blob(&p.Value)
			})
			c.Bool(&out.More)
		})
	})
	return out
}

// OmapKeys reads up to max keys above after.
func (r *ReadOp) OmapKeys(after string, max uint64) *OmapPage {
	out := new(OmapPage)
	op := message.OSDOp{Code: message.OpOmapGetKeys, In: encode(func(c *denc.Coder) {
		c.Str(&after)
		c.U64(&max)
	})}
	r.add(op, func(o *message.OSDOp) error {
		return parse(o, func(c *denc.Coder) {
			denc.ListFunc(c, &out.Pairs, func(c *denc.Coder, p *OmapPair) { c.Str(&p.Key) })
			c.Bool(&out.More)
		})
	})
	return out
}

// OmapHeader reads the omap header.
func (r *ReadOp) OmapHeader() *[]byte {
	return r.raw(message.OSDOp{Code: message.OpOmapGetHeader})
}

// Exec calls a method of an object class.
func (r *ReadOp) Exec(class, method string, in []byte) *[]byte {
	var op message.OSDOp
	op.SetCall(class, method, in)
	return r.raw(op)
}
