package scrub

import (
	"encoding/binary"
	"errors"
	"fmt"

	"glue/ceph"
	"glue/internal/crc32c"
	"glue/osd/snaps"
	"glue/store/objectstore"
)

// Limits bound one chunk and one step of its reading.
type Limits struct {
	Objects  int    // of a chunk, besides clones of the last one
	Bytes    uint64 // read for a chunk, after which it ends with the object at hand
	MapBytes uint64 // of attributes in a map, likewise
	Stride   uint64 // read in one step
	Keys     int    // of an omap, read in one step
}

// A Builder makes the map of one copy, a little at each step.
type Builder struct {
	view   View
	coll   ceph.SPG
	deep   bool
	limits Limits
	todo   []ceph.HObject // nil before the range is listed
	listed bool
	begin  ceph.HObject
	out    Map
	read   uint64 // bytes of data and omap
	held   uint64 // bytes of attributes
	cur    *reading
}

// A reading is an object whose digests are being made.
type reading struct {
	off      uint64
	dataDone bool
	omapDone bool
	key      string // the omap goes on above it
	object   Object
}

// NewBuilder begins the map of the objects in [begin, end).
func NewBuilder(v View, c ceph.SPG, begin, end ceph.HObject, deep bool, l Limits) *Builder {
	return &Builder{view: v, coll: c, deep: deep, limits: l, begin: begin, out: Map{End: end}}
}

// Map is the result, once Step has said that it is done.
func (b *Builder) Map() *Map { return &b.out }

// Reads is how many bytes the next step reads, or so.
func (b *Builder) Reads() uint64 {
	if b.deep && b.listed && len(b.todo) > 0 {
		return b.limits.Stride
	}
	return 0
}

// stepCost is what an object counts for in a step besides its bytes.
const stepCost = 16 << 10

// Step reads about one stride. An error means that the copy can't be scrubbed: its listing can't
// be read, or the store has failed.
func (b *Builder) Step() (done bool, err error) {
	if !b.listed {
		b.listed = true
		return false, b.list()
	}
	for spent := uint64(0); spent < b.limits.Stride; {
		if len(b.todo) == 0 {
			return true, nil
		}
		before := b.read
		if err := b.one(b.todo[0]); err != nil {
			return false, err
		}
		spent += b.read - before + stepCost
		if b.cur != nil {
			continue
		}
		b.todo = b.todo[1:]
		if n := len(b.out.Names); n > 0 && len(b.todo) > 0 &&
			(b.read >= b.limits.Bytes || b.held >= b.limits.MapBytes) &&
			b.todo[0].Head() != b.out.Names[n-1].Head() {
			b.out.End, b.todo = snaps.First(b.todo[0]), nil
		}
	}
	return len(b.todo) == 0, nil
}

// list finds the objects of the chunk. It ends between the clones of two objects, never within, nor
// where a clone may yet come.
func (b *Builder) list() error {
	for n := b.limits.Objects; ; n *= 2 {
		list, _, err := b.view.List(b.coll, b.begin, n+1)
		if err != nil {
			return fmt.Errorf("list %v: %w", b.coll, err)
		}
		whole := len(list) <= n
		for i, o := range list {
			if o.Compare(b.out.End) >= 0 {
				list, whole = list[:i], true
				break
			}
		}
		if whole {
			b.todo = list
			return nil
		}
		for k := n; k > 0; k-- {
			if list[k].Head() != list[k-1].Head() {
				b.out.End, b.todo = snaps.First(list[k]), list[:k]
				return nil
			}
		}
	}
}

// one reads some of an object; it has all when cur is nil again.
func (b *Builder) one(o ceph.HObject) error {
	r := b.cur
	if r == nil {
		var err error
		if r, err = b.begun(o); r == nil || err != nil {
			return err
		}
		b.cur = r
	}
	err := b.digest(o, r)
	if errors.Is(err, objectstore.ErrFailed) {
		return err
	}
	if err != nil {
		r.object.ReadError, r.object.Deep = true, false
	}
	if err != nil || r.dataDone && r.omapDone {
		b.finish(o, &r.object)
	}
	return nil
}

// begun reads what is needed of an object in any case; nil if it is not there any more.
func (b *Builder) begun(o ceph.HObject) (*reading, error) {
	r := &reading{dataDone: !b.deep, omapDone: !b.deep}
	st, err := b.view.Stat(b.coll, o)
	if err == nil {
		r.object.Attrs, err = b.view.GetAttrs(b.coll, o)
	}
	switch {
	case errors.Is(err, objectstore.ErrFailed):
		return nil, fmt.Errorf("attributes of %v: %w", o, err)
	case errors.Is(err, ceph.ENOENT):
		return nil, nil
	case err != nil:
		b.finish(o, &Object{StatError: true})
		return nil, nil
	}
	r.object.Size = st.Size
	r.object.Data, r.object.Omap, r.object.Deep = ^uint32(0), ^uint32(0), b.deep
	r.omapDone = r.omapDone || !st.HasOmap
	return r, nil
}

func (b *Builder) finish(o ceph.HObject, obj *Object) {
	for k, v := range obj.Attrs {
		b.held += uint64(len(k) + len(v))
	}
	b.out.Names = append(b.out.Names, o)
	b.out.Objects = append(b.out.Objects, *obj)
	b.cur = nil
}

// digest reads the next piece of an object's data, then of its omap.
func (b *Builder) digest(o ceph.HObject, r *reading) error {
	if r.dataDone {
		if r.omapDone {
			return nil
		}
		return b.digestOmap(o, r)
	}
	n := min(b.limits.Stride, r.object.Size-r.off)
	if n == 0 {
		r.dataDone = true
		return nil
	}
	loan, err := b.view.Lend(b.coll, o, r.off, n)
	if err != nil {
		return fmt.Errorf("read %v: %w", o, err)
	}
	got := len(loan.Data)
	r.object.Data = crc32c.Zeros(r.object.Data, got) ^ loan.Sum
	loan.Done()
	if uint64(got) != n {
		return fmt.Errorf("read %v: %d of %d bytes: %w", o, got, n, ceph.EIO)
	}
	b.read += n
	r.off += n
	r.dataDone = r.off == r.object.Size
	return nil
}

// digestOmap adds the header and some of the pairs.
func (b *Builder) digestOmap(o ceph.HObject, r *reading) error {
	obj := &r.object
	if obj.OmapKeys == 0 {
		header, err := b.view.OmapHeader(b.coll, o)
		if err != nil {
			return fmt.Errorf("omap header of %v: %w", o, err)
		}
		obj.Omap = crc32c.Update(obj.Omap, header)
	}
	n, from := 0, r.key
	for kv, err := range b.view.OmapScan(b.coll, o, from) {
		if err != nil {
			return fmt.Errorf("omap of %v: %w", o, err)
		}
		if obj.OmapKeys > 0 && kv.Key == from {
			continue // the last of the step before
		}
		if n++; n > b.limits.Keys {
			return nil
		}
		var size [4]byte
		for _, part := range [][]byte{[]byte(kv.Key), kv.Value} {
			binary.LittleEndian.PutUint32(size[:], uint32(len(part)))
			obj.Omap = crc32c.Update(crc32c.Update(obj.Omap, size[:]), part)
		}
		r.key = kv.Key
		obj.OmapKeys++
		size64 := uint64(len(kv.Key) + len(kv.Value))
		obj.OmapBytes += size64
		b.read += size64
	}
	r.omapDone = true
	return nil
}
