package rados

import (
	"errors"
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/wire/message"
)

// A MismatchError says that an object does not hold the data of a CompareExtent.
type MismatchError struct {
	Off uint64 // of the first byte that differs, from the beginning of the compared data
}

// Error says where.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("the object's data differ at byte %d of those compared", e.Off)
}

// maxErrno is above all error numbers; a CompareExtent answers with it plus an offset.
const maxErrno = 4095

// mismatch turns the answer of a CompareExtent into a MismatchError.
func mismatch(err error) error {
	var e ceph.Errno
	if errors.As(err, &e) && e >= maxErrno {
		return &MismatchError{Off: uint64(e - maxErrno)}
	}
	return err
}

// A Compare is how OmapCompare compares what is stored: stored value, operator, Value.
type Compare struct {
	Op    uint8 // message.CmpEQ, …
	Value []byte
}

func omapCompare(want map[string]Compare) message.OSDOp {
	return message.OSDOp{Code: message.OpOmapCmp, In: encode(func(c *denc.Coder) {
		denc.MapFunc(c, &want, (*denc.Coder).Str, func(c *denc.Coder, v *Compare) {
			op := int32(v.Op)
			c.Blob(&v.Value)
			c.I32(&op)
		})
	})}
}

// OmapCompare fails with ECANCELED unless all keys compare so; a missing key is empty.
func (w *WriteOp) OmapCompare(want map[string]Compare) *WriteOp {
	return w.add(omapCompare(want))
}

// CompareXattrU64 fails with ECANCELED unless value compares so to the attribute, a decimal number:
// CmpLT is value < attribute.
func (w *WriteOp) CompareXattrU64(name string, cmp uint8, value uint64) *WriteOp {
	return w.add(compareU64(name, cmp, value))
}

func compareU64(name string, cmp uint8, value uint64) message.OSDOp {
	op := message.OSDOp{Code: message.OpCmpXattr}
	op.SetXattr(name, encode(func(c *denc.Coder) { c.U64(&value) }), cmp, message.CmpModeU64)
	return op
}

// CopyFrom makes the object a copy of another, which may be at a snapshot (WithSnap); from's
// version has to be version, unless that is 0.
func (w *WriteOp) CopyFrom(from *IOCtx, oid string, version uint64) *WriteOp {
	return w.copyFrom(message.OpCopyFrom, from, oid, version, 0, func(*denc.Coder) {})
}

// copyTruncates is the flag of a copy whose truncation comes with it
// (CEPH_OSD_COPY_FROM_FLAG_TRUNCATE_SEQ).
const copyTruncates = 0x20

// CopyFromTruncated is CopyFrom for an object of a file system: the copy is truncated to size by
// the truncation seq, in place of the source's own (copy_from2).
func (w *WriteOp) CopyFromTruncated(
	from *IOCtx, oid string, version uint64, seq uint32, size uint64,
) *WriteOp {
	return w.copyFrom(message.OpCopyFrom2, from, oid, version, copyTruncates,
		func(c *denc.Coder) {
			c.U32(&seq)
			c.U64(&size)
		})
}

func (w *WriteOp) copyFrom(
	code message.OpCode, from *IOCtx, oid string, version uint64, flags uint8,
	more func(*denc.Coder),
) *WriteOp {
	snap := ceph.NoSnap
	if from.readSnap != 0 {
		snap = from.readSnap
	}
	loc := ceph.Locator{Pool: from.pool, Key: from.locator, Namespace: from.namespace, Hash: -1}
	op := message.OSDOp{Code: code, In: encode(func(c *denc.Coder) {
		c.Str(&oid)
		loc.Denc(c)
		more(c)
	})}
	op.SetCopyFrom(snap, version, flags, 0)
	return w.add(op)
}

// AssertVersion fails unless the object's user version is v: ERANGE if it is older, EOVERFLOW if
// it is newer.
func (r *ReadOp) AssertVersion(v uint64) {
	op := message.OSDOp{Code: message.OpAssertVer}
	op.SetAssertVersion(v)
	r.add(op, nil)
}

// CompareExtent fails with a MismatchError unless the object has data at off.
func (r *ReadOp) CompareExtent(data []byte, off uint64) {
	op := message.OSDOp{Code: message.OpCmpExt, In: data}
	op.SetExtent(off, uint64(len(data)))
	r.add(op, nil)
}

// OmapCompare fails with ECANCELED unless all keys compare so; a missing key is empty.
func (r *ReadOp) OmapCompare(want map[string]Compare) { r.add(omapCompare(want), nil) }

// CompareXattrU64 fails with ECANCELED unless value compares so to the attribute, a decimal number:
// CmpLT is value < attribute.
func (r *ReadOp) CompareXattrU64(name string, cmp uint8, value uint64) {
	r.add(compareU64(name, cmp, value), nil)
}

// Kinds of checksums (CEPH_OSD_CHECKSUM_OP_TYPE_*).
const (
	ChecksumXXHash32 = 0
	ChecksumXXHash64 = 1
	ChecksumCRC32C   = 2
)

// Checksum computes checksums of length bytes at off, one per chunk of that many bytes; chunk 0 is
// one for all of them.
func (r *ReadOp) Checksum(kind uint8, seed, off, length uint64, chunk uint32) *[]uint64 {
	size := func(c *denc.Coder, v *uint64) {
		if kind == ChecksumXXHash64 {
			c.U64(v)
			return
		}
		short := uint32(*v)
		c.U32(&short)
		*v = uint64(short)
	}
	op := message.OSDOp{Code: message.OpChecksum,
		In: encode(func(c *denc.Coder) { size(c, &seed) })}
	op.SetChecksum(off, length, chunk, kind)
	out := new([]uint64)
	r.add(op, func(o *message.OSDOp) error {
		return parse(o, func(c *denc.Coder) { denc.ListFunc(c, out, size) })
	})
	return out
}
