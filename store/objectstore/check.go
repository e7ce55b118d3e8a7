package objectstore

import (
	"fmt"
	"strconv"

	"glue/ceph"
)

// What a store accepts; a transaction beyond is EINVAL. ENAMETOOLONG and E2BIG towards clients are
// the OSD's matter, whose own limits lie below these.
const (
	MaxObjectBytes = 1 << 40  // size of one object
	MaxNameBytes   = 4096     // each of name, key and namespace
	MaxKeyBytes    = 16 << 10 // omap, attribute and meta keys
	MaxAttrBytes   = 1 << 20  // one attribute value
	MaxValueBytes  = 64 << 20 // one omap or meta value, the omap header, or a log entry
	MaxDataBytes   = 1 << 28  // data of one transaction
)

// opNames are the codes' names in messages.
var opNames = map[OpCode]string{
	OpTouch: "touch", OpWrite: "write", OpZero: "zero", OpTruncate: "truncate",
	OpRemove: "remove", OpSetAttrs: "setattrs", OpRmAttr: "rmattr", OpRmAttrs: "rmattrs",
	OpClone: "clone", OpCloneRange: "clone range", OpMoveRename: "rename",
	OpOmapSet: "omap set", OpOmapRm: "omap rm", OpOmapRmRange: "omap rm range",
	OpOmapClear: "omap clear", OpOmapHeader: "omap header",
	OpMkColl: "mkcoll", OpRmColl: "rmcoll", OpSplitColl: "split", OpMergeColl: "merge",
	OpLogAppend: "log append", OpLogTrim: "log trim", OpLogRewind: "log rewind",
	OpPutMeta: "put meta", OpRmMeta: "rm meta",
}

// String is the change's name.
func (c OpCode) String() string {
	if name, ok := opNames[c]; ok {
		return name
	}
	return "op " + strconv.Itoa(int(c))
}

// Check says whether every change is well-formed, and all of them together are of a size that a
// store takes: EINVAL if not.
func (t *Transaction) Check() error {
	total := 0
	for i := range t.Ops {
		if err := t.Ops[i].Check(); err != nil {
			return fmt.Errorf("op %d (%v): %w", i, t.Ops[i].Code, err)
		}
		total += len(t.Ops[i].Data)
	}
	if total > MaxDataBytes {
		return fmt.Errorf("transaction of %d bytes: %w", total, ceph.EINVAL)
	}
	return nil
}

// Check says whether op is well-formed, whatever the state of the store: EINVAL if not.
func (op *Op) Check() error {
	if _, ok := opNames[op.Code]; !ok {
		return ceph.EINVAL
	}
	ok := rangeOK(op.Off, op.Len) && rangeOK(op.DestOff, op.Len) &&
		nameOK(op.Object) && nameOK(op.Dest) && op.Bits <= 32 &&
		len(op.Name) <= MaxKeyBytes && len(op.End) <= MaxKeyBytes
	switch op.Code {
	case OpWrite:
		ok = ok && op.Len == uint64(len(op.Data))
	case OpClone, OpMoveRename:
		ok = ok && op.Object != op.Dest
	case OpSplitColl, OpMergeColl:
		ok = ok && op.Coll != op.DestColl
	case OpOmapHeader, OpPutMeta, OpLogAppend:
		ok = ok && len(op.Data) <= MaxValueBytes
	case OpSetAttrs, OpOmapSet:
		ok = ok && op.pairsOK()
	}
	if !ok {
		return ceph.EINVAL
	}
	return nil
}

func (op *Op) pairsOK() bool {
	limit := MaxValueBytes
	if op.Code == OpSetAttrs {
		limit = MaxAttrBytes
	}
	for k, v := range op.Pairs {
		if len(k) > MaxKeyBytes || len(v) > limit {
			return false
		}
	}
	return true
}

func rangeOK(off, length uint64) bool {
	return off <= MaxObjectBytes && length <= MaxObjectBytes && off+length <= MaxObjectBytes
}

func nameOK(o ceph.HObject) bool {
	return !o.Max && len(o.Name) <= MaxNameBytes && len(o.Key) <= MaxNameBytes &&
		len(o.Namespace) <= MaxNameBytes
}

// MergeMoves says whether a hash is one of those that a merge moves.
func (op *Op) MergeMoves(hash uint32) bool {
	mask := uint32(uint64(1)<<op.Bits - 1)
	return hash&mask == op.Coll.Seed&mask
}

// SplitMoves says whether a split moves an object with this hash.
func (op *Op) SplitMoves(hash uint32) bool {
	mask := uint32(uint64(1)<<op.Bits - 1)
	return hash&mask == op.DestColl.Seed&mask
}
