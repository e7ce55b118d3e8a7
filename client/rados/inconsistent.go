package rados

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/objecter"
	"glue/wire/message"
)

// Errors of one copy of an object that scrubs find (librados::err_t).
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

// A ScrubbedObject names an object, or a clone of it.
type ScrubbedObject struct {
	Namespace, Name, Locator string
	Snap                     ceph.SnapID // ceph.NoSnap: the head
}

func (o *ScrubbedObject) denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.Str(&o.Name)
	c.Str(&o.Namespace)
	c.Str(&o.Locator)
	o.Snap.Denc(c)
	s.End()
}

// A ScrubbedShard is one copy of an object as a scrub saw it. Digests are there if a deep scrub has
// made them; what follows Primary only without ShardMissing.
type ScrubbedShard struct {
	OSD      int32
	Errors   uint64
	Primary  bool
	Attrs    map[string][]byte // as the OSD stores them: "_x" is a client's "x"
	Size     uint64
	Omap     *uint32 // digest
	Data     *uint32 // digest
	Selected bool    // its object info is the one that the others are held against
}

func (s *ScrubbedShard) denc(c *denc.Coder) {
	id := c.Begin(1, 1)
	c.I32(&s.OSD)
	var shard int8 // of an erasure-coded pool
	c.I8(&shard)
	id.End()
	f := c.Begin(3, 1)
	c.U64(&s.Errors)
	c.Bool(&s.Primary)
	if s.Errors&ShardMissing == 0 {
		denc.MapFunc(c, &s.Attrs, (*denc.Coder).Str, (*denc.Coder).Blob)
		c.U64(&s.Size)
		for _, d := range []**uint32{&s.Omap, &s.Data} {
			var has bool
			var digest uint32
			c.Bool(&has)
			if c.U32(&digest); has {
				*d = &digest
			}
		}
		c.Bool(&s.Selected)
	}
	f.End()
}

// An InconsistentObject is an object whose copies are not what they should be (inconsistent_obj_t).
type InconsistentObject struct {
	Object      ScrubbedObject
	Errors      uint64 // InfoInconsistency, …
	Version     uint64
	Shards      []ScrubbedShard
	ShardErrors uint64 // of all of them: ShardMissing, …
}

func (o *InconsistentObject) denc(c *denc.Coder) {
	f := c.Begin(2, 2)
	c.U64(&o.Errors)
	o.Object.denc(c)
	c.U64(&o.Version)
	denc.ListFunc(c, &o.Shards, func(c *denc.Coder, s *ScrubbedShard) { s.denc(c) })
	c.U64(&o.ShardErrors)
	f.End()
}

// An InconsistentSnapset is an object whose clones are not those of its snapshot set
// (inconsistent_snapset_t).
type InconsistentSnapset struct {
	Object  ScrubbedObject
	Errors  uint64 // SnapsetMissing, …
	Clones  []ceph.SnapID
	Missing []ceph.SnapID
	Raw     []byte // the set as the OSD has it
}

func (o *InconsistentSnapset) denc(c *denc.Coder) {
	f := c.Begin(2, 1)
	c.U64(&o.Errors)
	o.Object.denc(c)
	denc.List(c, &o.Clones)
	denc.List(c, &o.Missing)
	if f.V >= 2 {
		c.Blob(&o.Raw)
	}
	f.End()
}

// InconsistentPGs are the PGs of a pool in which the last scrub found errors that are not repaired.
func (c *Cluster) InconsistentPGs(ctx context.Context, pool int64) ([]ceph.PGID, error) {
	out, status, err := c.MgrCommand(ctx, map[string]any{"prefix": "pg ls", "pool": pool,
		"states": []string{"inconsistent"}, "format": "json"}, nil)
	if err != nil {
		return nil, fmt.Errorf("list inconsistent PGs of pool %d: %w (%s)", pool, err, status)
	}
	var answer struct {
		Stats []struct{ PGID string } `json:"pg_stats"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return nil, fmt.Errorf("list inconsistent PGs of pool %d: %w", pool, err)
	}
	var pgs []ceph.PGID
	for _, s := range answer.Stats {
		pg, err := ceph.ParsePGID(s.PGID)
		if err != nil {
			return nil, err
		}
		pgs = append(pgs, pg)
	}
	return pgs, nil
}

// InconsistentObjects yields the objects of a PG in which the last scrub found errors. ENOENT if it
// was not scrubbed since its OSDs were last others, EAGAIN if they change meanwhile: begin again.
func (c *Cluster) InconsistentObjects(
	ctx context.Context, pg ceph.PGID,
) iter.Seq2[InconsistentObject, error] {
	return scrubbed(ctx, c, pg, 0, (*InconsistentObject).denc,
		func(o *InconsistentObject) ScrubbedObject { return o.Object })
}

// InconsistentSnapsets yields the objects of a PG whose clones were found wrong; errors as of
// InconsistentObjects.
func (c *Cluster) InconsistentSnapsets(
	ctx context.Context, pg ceph.PGID,
) iter.Seq2[InconsistentSnapset, error] {
	return scrubbed(ctx, c, pg, 1, (*InconsistentSnapset).denc,
		func(o *InconsistentSnapset) ScrubbedObject { return o.Object })
}

// scrubPage is how many records are asked for at a time.
const scrubPage = 100

// scrubbed yields what scrubs have found in a PG: objects (0) or snapshot sets (1).
func scrubbed[T any](
	ctx context.Context, c *Cluster, pg ceph.PGID, what uint32, body func(*T, *denc.Coder),
	name func(*T) ScrubbedObject,
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var interval uint32
		var after ScrubbedObject
		for {
			list, err := scrubList(ctx, c, pg, what, &interval, after, body)
			if err != nil {
				yield(*new(T), fmt.Errorf("what the last scrub of pg %v found: %w", pg, err))
				return
			}
			for i := range list {
				if !yield(list[i], nil) {
					return
				}
			}
			if len(list) < scrubPage {
				return
			}
			after = name(&list[len(list)-1])
		}
	}
}

// scrubList is one page of it; interval is that of the PG, 0 at first.
func scrubList[T any](
	ctx context.Context, c *Cluster, pg ceph.PGID, what uint32, interval *uint32,
	after ScrubbedObject, body func(*T, *denc.Coder),
) ([]T, error) {
	op := message.OSDOp{Code: message.OpScrubLS, In: encode(func(c *denc.Coder) {
		s := c.Begin(1, 1) // scrub_ls_arg_t
		c.U32(interval)
		c.U32(&what)
		c.Str(&after.Name)
		c.Str(&after.Namespace)
		after.Snap.Denc(c)
		c.U64Const(scrubPage)
		s.End()
	})}
	r, err := c.obj.Do(ctx, &objecter.Op{Pool: pg.Pool, PG: &pg, Ops: []message.OSDOp{op},
		Flags: message.FlagRead | message.FlagIgnoreOverlay})
	if err != nil {
		return nil, err
	}
	if len(r.Ops) != 1 {
		return nil, fmt.Errorf("answer of %d operations: %w", len(r.Ops), ceph.EIO)
	}
	var raw [][]byte
	err = decode(r.Ops[0].Out, func(c *denc.Coder) {
		s := c.Begin(1, 1) // scrub_ls_result_t
		c.U32(interval)
		denc.ListFunc(c, &raw, (*denc.Coder).Blob)
		s.End()
	})
	list := make([]T, len(raw))
	for i := range raw {
		if err == nil {
			err = decode(raw[i], func(c *denc.Coder) { body(&list[i], c) })
		}
	}
	return list, err
}
