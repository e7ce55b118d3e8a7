package objectstore

import (
	"glue/ceph"
	"glue/ceph/denc"
)

// An OpCode is the kind of one change.
type OpCode uint8

// The changes a transaction is made of. The numbers are stored and sent, so they never change.
const (
	OpTouch       OpCode = 1  // create the object unless it is there
	OpWrite       OpCode = 2  // Data at Off; creates the object, extends it
	OpZero        OpCode = 3  // Len zero bytes at Off; extends the object
	OpTruncate    OpCode = 4  // size becomes Off; creates the object
	OpRemove      OpCode = 5  // the object with attributes and omap; ENOENT if absent
	OpSetAttrs    OpCode = 6  // Pairs; creates the object
	OpRmAttr      OpCode = 7  // attribute Name, which may be absent
	OpClone       OpCode = 8  // Dest becomes a copy of Object, sharing extents
	OpCloneRange  OpCode = 9  // Len bytes at Off of Object to DestOff of Dest
	OpOmapSet     OpCode = 10 // Pairs; creates the object
	OpOmapRm      OpCode = 11 // Keys, which may be absent
	OpOmapRmRange OpCode = 12 // keys in [Name, End)
	OpOmapClear   OpCode = 13 // all keys and the header
	OpOmapHeader  OpCode = 14 // header becomes Data
	OpMkColl      OpCode = 15 // EEXIST if present
	OpRmColl      OpCode = 16 // the collection with all objects and its log
	OpLogAppend   OpCode = 17 // log entry Version with Data; must be above the last one
	OpLogTrim     OpCode = 18 // drop entries <= Version
	OpLogRewind   OpCode = 19 // drop entries > Version
	OpPutMeta     OpCode = 20 // store-wide key Name becomes Data
	OpRmMeta      OpCode = 21 // store-wide key Name
	OpRmAttrs     OpCode = 22 // all attributes
	OpMoveRename  OpCode = 23 // Object becomes Dest in the same collection; Dest must be absent
	OpSplitColl   OpCode = 24 // objects whose hash ends in DestColl's seed (Bits bits) move there
	// OpMergeColl moves the objects of Coll, whose hashes all end in its seed (Bits bits), to
	// DestColl, which has no such objects, and removes Coll with its log.
	OpMergeColl OpCode = 25
)

// An Op is one change. Which fields count depends on the code.
type Op struct {
	Code      OpCode
	Coll      ceph.SPG
	DestColl  ceph.SPG
	Object    ceph.HObject
	Dest      ceph.HObject
	Off, Len  uint64
	DestOff   uint64
	Bits      uint32
	Name, End string
	Data      []byte
	Pairs     map[string][]byte
	Keys      []string
	Version   ceph.Eversion
}

// A Transaction is a list of changes that become visible and durable together or not at all.
// The zero value is empty and ready. It belongs to one goroutine until it is submitted.
type Transaction struct {
	Ops []Op
}

// Empty says whether there is nothing to do.
func (t *Transaction) Empty() bool { return len(t.Ops) == 0 }

// Append adds all changes of u.
func (t *Transaction) Append(u *Transaction) { t.Ops = append(t.Ops, u.Ops...) }

func (t *Transaction) add(op Op) {
	if t.Ops == nil {
		t.Ops = make([]Op, 0, 6) // what a client's write needs: growing costs more
	}
	t.Ops = append(t.Ops, op)
}

// Touch creates o unless it is there.
func (t *Transaction) Touch(c ceph.SPG, o ceph.HObject) {
	t.add(Op{Code: OpTouch, Coll: c, Object: o})
}

// Write puts data at off.
func (t *Transaction) Write(c ceph.SPG, o ceph.HObject, off uint64, data []byte) {
	t.add(Op{Code: OpWrite, Coll: c, Object: o, Off: off, Len: uint64(len(data)), Data: data})
}

// Zero makes length bytes at off read as zero, extending the object if needed.
func (t *Transaction) Zero(c ceph.SPG, o ceph.HObject, off, length uint64) {
	t.add(Op{Code: OpZero, Coll: c, Object: o, Off: off, Len: length})
}

// Truncate sets the size in bytes.
func (t *Transaction) Truncate(c ceph.SPG, o ceph.HObject, size uint64) {
	t.add(Op{Code: OpTruncate, Coll: c, Object: o, Off: size})
}

// Remove deletes o.
func (t *Transaction) Remove(c ceph.SPG, o ceph.HObject) {
	t.add(Op{Code: OpRemove, Coll: c, Object: o})
}

// SetAttr sets one attribute.
func (t *Transaction) SetAttr(c ceph.SPG, o ceph.HObject, name string, value []byte) {
	t.SetAttrs(c, o, map[string][]byte{name: value})
}

// SetAttrs sets several attributes.
func (t *Transaction) SetAttrs(c ceph.SPG, o ceph.HObject, attrs map[string][]byte) {
	t.add(Op{Code: OpSetAttrs, Coll: c, Object: o, Pairs: attrs})
}

// RmAttr removes one attribute.
func (t *Transaction) RmAttr(c ceph.SPG, o ceph.HObject, name string) {
	t.add(Op{Code: OpRmAttr, Coll: c, Object: o, Name: name})
}

// RmAttrs removes all attributes.
func (t *Transaction) RmAttrs(c ceph.SPG, o ceph.HObject) {
	t.add(Op{Code: OpRmAttrs, Coll: c, Object: o})
}

// Clone makes dest a copy of o, replacing what dest was.
func (t *Transaction) Clone(c ceph.SPG, o, dest ceph.HObject) {
	t.add(Op{Code: OpClone, Coll: c, Object: o, Dest: dest})
}

// CloneRange copies length bytes at off of o to destOff of dest.
func (t *Transaction) CloneRange(c ceph.SPG, o, dest ceph.HObject, off, length, destOff uint64) {
	t.add(Op{Code: OpCloneRange, Coll: c, Object: o, Dest: dest, Off: off, Len: length,
		DestOff: destOff})
}

// MoveRename renames o to dest within the collection.
func (t *Transaction) MoveRename(c ceph.SPG, o, dest ceph.HObject) {
	t.add(Op{Code: OpMoveRename, Coll: c, Object: o, Dest: dest})
}

// OmapSet sets keys.
func (t *Transaction) OmapSet(c ceph.SPG, o ceph.HObject, pairs map[string][]byte) {
	t.add(Op{Code: OpOmapSet, Coll: c, Object: o, Pairs: pairs})
}

// OmapRm removes keys.
func (t *Transaction) OmapRm(c ceph.SPG, o ceph.HObject, keys []string) {
	t.add(Op{Code: OpOmapRm, Coll: c, Object: o, Keys: keys})
}

// OmapRmRange removes the keys in [first, end).
func (t *Transaction) OmapRmRange(c ceph.SPG, o ceph.HObject, first, end string) {
	t.add(Op{Code: OpOmapRmRange, Coll: c, Object: o, Name: first, End: end})
}

// OmapClear removes all keys and the header.
func (t *Transaction) OmapClear(c ceph.SPG, o ceph.HObject) {
	t.add(Op{Code: OpOmapClear, Coll: c, Object: o})
}

// OmapSetHeader sets the omap header.
func (t *Transaction) OmapSetHeader(c ceph.SPG, o ceph.HObject, header []byte) {
	t.add(Op{Code: OpOmapHeader, Coll: c, Object: o, Data: header})
}

// MkColl creates a collection.
func (t *Transaction) MkColl(c ceph.SPG) { t.add(Op{Code: OpMkColl, Coll: c}) }

// RmColl removes a collection with everything in it.
func (t *Transaction) RmColl(c ceph.SPG) { t.add(Op{Code: OpRmColl, Coll: c}) }

// SplitColl moves the objects of c whose hash has the low bits equal to dest's seed to dest,
// which exists.
func (t *Transaction) SplitColl(c, dest ceph.SPG, bits uint32) {
	t.add(Op{Code: OpSplitColl, Coll: c, DestColl: dest, Bits: bits})
}

// MergeColl undoes a SplitColl(dest, c, bits): all objects of c go to dest, and c is no more, with
// its log. ENOTEMPTY if dest has objects whose hash has the low bits of c's seed, or c others.
func (t *Transaction) MergeColl(c, dest ceph.SPG, bits uint32) {
	t.add(Op{Code: OpMergeColl, Coll: c, DestColl: dest, Bits: bits})
}

// LogAppend adds an entry to c's log.
func (t *Transaction) LogAppend(c ceph.SPG, v ceph.Eversion, data []byte) {
	t.add(Op{Code: OpLogAppend, Coll: c, Version: v, Data: data})
}

// LogTrim drops the entries of c's log up to and including v.
func (t *Transaction) LogTrim(c ceph.SPG, v ceph.Eversion) {
	t.add(Op{Code: OpLogTrim, Coll: c, Version: v})
}

// LogRewind drops the entries of c's log above v.
func (t *Transaction) LogRewind(c ceph.SPG, v ceph.Eversion) {
	t.add(Op{Code: OpLogRewind, Coll: c, Version: v})
}

// PutMeta sets a key of the store's own table.
func (t *Transaction) PutMeta(key string, value []byte) {
	t.add(Op{Code: OpPutMeta, Name: key, Data: value})
}

// RmMeta removes a key of the store's own table.
func (t *Transaction) RmMeta(key string) { t.add(Op{Code: OpRmMeta, Name: key}) }

// Denc is the form in which a primary sends a transaction to its replicas and a journal keeps it,
// all data inline: a section with a counted list of ops, each its code and all its fields.
func (t *Transaction) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	denc.List(c, &t.Ops)
	s.End()
}

// Denc is the code followed by every field; empty fields cost their counts.
func (o *Op) Denc(c *denc.Coder) {
	c.U8((*uint8)(&o.Code))
	o.Coll.Denc(c)
	o.DestColl.Denc(c)
	o.Object.Denc(c)
	o.Dest.Denc(c)
	c.U64(&o.Off)
	c.U64(&o.Len)
	c.U64(&o.DestOff)
	c.U32(&o.Bits)
	c.Str(&o.Name)
	c.Str(&o.End)
	c.Blob(&o.Data)
	denc.MapFunc(c, &o.Pairs, (*denc.Coder).Str, (*denc.Coder).Blob)
	denc.ListFunc(c, &o.Keys, (*denc.Coder).Str)
	o.Version.Denc(c)
}
