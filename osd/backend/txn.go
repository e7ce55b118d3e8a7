package backend

import (
	"encoding/binary"
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/store/objectstore"
)

// inlineBytes is how much data of one op is copied into the head instead of sent as its own piece.
const inlineBytes = 512

// Encode gives a transaction in the form for replicas: a head, and the data of larger ops in pieces
// that alias the transaction. All ops are on one collection, which is not sent, and most on object
// main, which costs a byte.
func Encode(t *objectstore.Transaction, main *ceph.HObject) [][]byte {
	c := denc.NewEncoder(make([]byte, 4, 512), 0)
	c.U32Const(uint32(len(t.Ops)))
	pieces := [][]byte{nil}
	for i := range t.Ops {
		op := &t.Ops[i]
		large := len(op.Data) > inlineBytes
		if large {
			pieces = append(pieces, op.Data)
		}
		dencOp(c, op, main, large)
	}
	head := c.Bytes()
	binary.LittleEndian.PutUint32(head, uint32(len(head)-4))
	pieces[0] = head
	return pieces
}

// Decode reads what Encode made, received in one piece. The data of the ops aliases b.
func Decode(b []byte, coll ceph.SPG, main *ceph.HObject) (*objectstore.Transaction, error) {
	if len(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-4) {
		return nil, fmt.Errorf("transaction of %d bytes: %w", len(b), denc.ErrShort)
	}
	n := binary.LittleEndian.Uint32(b)
	c := denc.NewDecoder(b[4:4+n], 0)
	data := b[4+n:]
	count := c.Count(0, 2)
	t := &objectstore.Transaction{Ops: make([]objectstore.Op, 0, min(count, 1024)+2)}
	for range count {
		op := objectstore.Op{Coll: coll}
		size, large := dencOp(c, &op, main, false)
		if large {
			if uint64(size) > uint64(len(data)) {
				return nil, fmt.Errorf("data of a transaction: %w", denc.ErrShort)
			}
			op.Data, data = data[:size:size], data[size:]
		}
		if err := c.Err(); err != nil {
			return nil, fmt.Errorf("decode transaction: %w", err)
		}
		t.Ops = append(t.Ops, op)
	}
	if err := c.Err(); err != nil {
		return nil, fmt.Errorf("decode transaction: %w", err)
	}
	return t, nil
}

// What follows in the encoding of an op.
const (
	hasObject = 1 << iota // Object is not main
	hasDest
	hasRange // Off, Len, DestOff
	hasNames // Name, End
	hasInline
	hasLarge
	hasPairs
	hasKeys
)

// dencOp is one op; it returns the size of data that is a piece of its own.
func dencOp(c *denc.Coder, op *objectstore.Op, main *ceph.HObject, large bool) (uint32, bool) {
	flags := uint8(0)
	if c.Encoding() {
		flags = opFlags(op, main, large)
	}
	c.U8((*uint8)(&op.Code))
	c.U8(&flags)
	if flags&hasObject != 0 {
		op.Object.Denc(c)
	} else if !c.Encoding() {
		op.Object = *main
	}
	if flags&hasDest != 0 {
		op.Dest.Denc(c)
	}
	if flags&hasRange != 0 {
		c.U64(&op.Off)
		c.U64(&op.Len)
		c.U64(&op.DestOff)
	}
	if flags&hasNames != 0 {
		c.Str(&op.Name)
		c.Str(&op.End)
	}
	if flags&hasPairs != 0 {
		denc.MapFunc(c, &op.Pairs, (*denc.Coder).Str, (*denc.Coder).Blob)
	}
	if flags&hasKeys != 0 {
		denc.ListFunc(c, &op.Keys, (*denc.Coder).Str)
	}
	if flags&hasInline != 0 {
		c.Blob(&op.Data)
	}
	if flags&hasLarge != 0 {
		return c.U32Const(uint32(len(op.Data))), true
	}
	return 0, false
}

func opFlags(op *objectstore.Op, main *ceph.HObject, large bool) uint8 {
	flags := uint8(0)
	set := func(bit uint8, on bool) {
		if on {
			flags |= bit
		}
	}
	set(hasObject, op.Object != *main)
	set(hasDest, op.Dest != ceph.HObject{})
	set(hasRange, op.Off|op.Len|op.DestOff != 0)
	set(hasNames, op.Name != "" || op.End != "")
	set(hasInline, !large && len(op.Data) > 0)
	set(hasLarge, large)
	set(hasPairs, len(op.Pairs) > 0)
	set(hasKeys, len(op.Keys) > 0)
	return flags
}
