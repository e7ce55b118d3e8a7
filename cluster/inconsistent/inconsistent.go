// Package inconsistent is what scrubs have found of a PG, as OSDs list it for clients
// (`rados list-inconsistent-obj`, `list-inconsistent-snapset`): the records and the request for
// them, in the encodings of Ceph's scrub_types.h and rados_types.hpp.
package inconsistent

import (
	"glue/ceph"
	"glue/ceph/denc"
)

// Errors of one copy of an object (librados::err_t).
const (
	ShardMissing        uint64 = 1 << 1
	ShardStatError      uint64 = 1 << 2
	ShardReadError      uint64 = 1 << 3
	ShardDataMismatch   uint64 = 1 << 9  // not the checksum of the object's info
	ShardOmapMismatch   uint64 = 1 << 10 // likewise
	ShardSizeMismatch   uint64 = 1 << 11 // not the size of the chosen object info
	ShardInfoMissing    uint64 = 1 << 14
	ShardInfoCorrupted  uint64 = 1 << 15
	ShardSnapsetMissing uint64 = 1 << 16
	ShardSnapsetCorrupt uint64 = 1 << 17
	ShardObjectMismatch uint64 = 1 << 18 // not the size of its own object info
)

// Errors of an object: its copies differ (librados::obj_err_t).
const (
	InfoInconsistency uint64 = 1 << 1
	DataMismatch      uint64 = 1 << 4
	OmapMismatch      uint64 = 1 << 5
	SizeMismatch      uint64 = 1 << 6
	AttrValueMismatch uint64 = 1 << 7
	AttrNameMismatch  uint64 = 1 << 8
)

// Errors of a snapshot set and its clones (inconsistent_snapset_t).
const (
	SnapsetMissing   uint64 = 1 << 0
	SnapsetCorrupted uint64 = 1 << 1
	CloneMissing     uint64 = 1 << 2
	SnapsetError     uint64 = 1 << 3
	HeadlessClone    uint64 = 1 << 5
	CloneSizeError   uint64 = 1 << 6
	CloneInfoMissing uint64 = 1 << 7
	CloneCorrupted   uint64 = 1 << 8
	ExtraClones      uint64 = 1 << 9
)

// A Name is that of an object, or of a clone of it (object_id_t).
type Name struct {
	Namespace, Name, Locator string
	Snap                     ceph.SnapID // ceph.NoSnap: the head
}

// NameOf is the name of an object that an OSD has.
func NameOf(o ceph.HObject) Name {
	return Name{Namespace: o.Namespace, Name: o.Name, Locator: o.Key, Snap: o.Snap}
}

// Denc is object_id_wrapper's encoding.
func (o *Name) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.Str(&o.Name)
	c.Str(&o.Namespace)
	c.Str(&o.Locator)
	o.Snap.Denc(c)
	s.End()
}

// A Shard is one copy of an object as a scrub saw it (shard_info_t). Digests are there if a deep
// scrub has made them; what follows Primary only without ShardMissing.
type Shard struct {
	OSD      int32
	Errors   uint64
	Primary  bool
	Attrs    map[string][]byte // as the OSD stores them: "_x" is a client's "x"
	Size     uint64
	Omap     *uint32 // digest
	Data     *uint32 // digest
	Selected bool    // its object info is the one that the others are held against
}

// Denc is osd_shard_wrapper's and then shard_info_wrapper's encoding.
func (s *Shard) Denc(c *denc.Coder) {
	id := c.Begin(1, 1)
	c.I32(&s.OSD)
	shard := int8(ceph.NoShard)
	c.I8(&shard)
	id.End()
	f := c.Begin(3, 3)
	c.U64(&s.Errors)
	c.Bool(&s.Primary)
	if s.Errors&ShardMissing == 0 {
		denc.MapFunc(c, &s.Attrs, (*denc.Coder).Str, (*denc.Coder).Blob)
		c.U64(&s.Size)
		digest(c, &s.Omap)
		digest(c, &s.Data)
		c.Bool(&s.Selected)
	}
	f.End()
}

func digest(c *denc.Coder, d **uint32) {
	has, value := *d != nil, uint32(0)
	if has {
		value = **d
	}
	c.Bool(&has)
	if c.U32(&value); has {
		*d = &value
	}
}

// An Object has copies that are not what they should be (inconsistent_obj_t).
type Object struct {
	Object      Name
	Errors      uint64 // InfoInconsistency, …
	Version     uint64
	Shards      []Shard
	ShardErrors uint64 // of all of them: ShardMissing, …
}

// Denc is inconsistent_obj_wrapper's encoding.
func (o *Object) Denc(c *denc.Coder) {
	f := c.Begin(2, 2)
	c.U64(&o.Errors)
	o.Object.Denc(c)
	c.U64(&o.Version)
	denc.ListFunc(c, &o.Shards, func(c *denc.Coder, s *Shard) { s.Denc(c) })
	c.U64(&o.ShardErrors)
	f.End()
}

// A Snapset is an object whose clones are not those of its snapshot set (inconsistent_snapset_t).
type Snapset struct {
	Object  Name
	Errors  uint64        // SnapsetMissing, …
	Clones  []ceph.SnapID // that the set does not know
	Missing []ceph.SnapID // that it knows and that are not there
	Raw     []byte        // the set as the OSD has it
}

// Denc is inconsistent_snapset_wrapper's encoding.
func (o *Snapset) Denc(c *denc.Coder) {
	f := c.Begin(2, 1)
	c.U64(&o.Errors)
	o.Object.Denc(c)
	denc.List(c, &o.Clones)
	denc.List(c, &o.Missing)
	if f.V >= 2 {
		c.Blob(&o.Raw)
	}
	f.End()
}

// A Request asks for the records behind the one of After's name (scrub_ls_arg_t).
type Request struct {
	Interval uint32 // of the PG, as of the first answer; 0: there is none yet
	Snapsets uint32 // whether snapshot sets are wanted, not objects
	After    Name   // its Locator does not count
	Max      uint64
}

// Denc is scrub_ls_arg_t's encoding.
func (r *Request) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.U32(&r.Interval)
	c.U32(&r.Snapsets)
	c.Str(&r.After.Name)
	c.Str(&r.After.Namespace)
	r.After.Snap.Denc(c)
	c.U64(&r.Max)
	s.End()
}

// An Answer is encoded records (scrub_ls_result_t).
type Answer struct {
	Interval uint32
	Records  [][]byte
}

// Denc is scrub_ls_result_t's encoding.
func (a *Answer) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.U32(&a.Interval)
	denc.ListFunc(c, &a.Records, (*denc.Coder).Blob)
	s.End()
}
