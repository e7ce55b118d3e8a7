// Package cas is the class "cas": chunks that many objects share, each with the objects that refer
// to it, for deduplication. The references are the attribute "chunk_refs"; a chunk goes away with
// the last. The methods are pure and run on the goroutine that executes the request. Specified by
// src/cls/cas of Ceph 16.2; of its forms of reference lists those by object and by count are known.
package cas

import (
	"bytes"
	"errors"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
)

// Class is the table of methods.
var Class = class.Class{Name: "cas", Methods: []class.Method{
	{Name: "chunk_create_or_get_ref", Flags: class.RD | class.WR, Func: createOrGet},
	{Name: "chunk_get_ref", Flags: class.RD | class.WR, Func: get},
	{Name: "chunk_put_ref", Flags: class.RD | class.WR, Func: put},
	{Name: "references_chunk", Flags: class.RD, Func: references},
}}

const attr = "chunk_refs"

// Answers that only this class gives.
const (
	errNoMessage = ceph.Errno(42) // ENOMSG: the chunk holds something else
	errNoLink    = ceph.Errno(67) // ENOLINK: there is no such reference
)

// Forms of reference lists (chunk_refs_t::TYPE_*).
const (
	byObject = 1
	byCount  = 5
)

// refs is who refers to a chunk (chunk_refs_t): the objects, ascending, each as often as it refers;
// or only how many.
type refs struct {
	form    uint8
	objects []ceph.HObject
	count   uint64
}

// Denc is chunk_refs_t version 1.
func (r *refs) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.U8(&r.form)
	inner := c.Begin(1, 1)
	switch r.form {
	case byObject:
		denc.List(c, &r.objects)
	case byCount:
		c.U64(&r.count)
	default:
		c.Invalid("references of form %d", r.form)
	}
	inner.End()
	s.End()
	if !c.Encoding() {
		slices.SortFunc(r.objects, ceph.HObject.Compare)
	}
}

func (r *refs) add(o ceph.HObject) {
	if r.form == byCount {
		r.count++
		return
	}
	i, _ := slices.BinarySearchFunc(r.objects, o, ceph.HObject.Compare)
	r.objects = slices.Insert(r.objects, i, o)
}

// drop removes a reference; false if there is none.
func (r *refs) drop(o ceph.HObject) bool {
	if r.form == byCount {
		if r.count == 0 {
			return false
		}
		r.count--
		return true
	}
	i, found := slices.BinarySearchFunc(r.objects, o, ceph.HObject.Compare)
	if found {
		r.objects = slices.Delete(r.objects, i, i+1)
	}
	return found
}

func (r *refs) empty() bool { return len(r.objects) == 0 && r.count == 0 }

func load(ctx class.Context) (refs, error) {
	r := refs{form: byObject}
	raw, err := ctx.Xattr(attr)
	if errors.Is(err, ceph.ENODATA) {
		return r, nil
	}
	if err == nil {
		err = class.DecodeStored(raw, &r)
	}
	return r, err
}

func store(ctx class.Context, r *refs) error {
	return ctx.SetXattr(attr, class.EncodeValue(r))
}

// flagVerify asks for a comparison with a chunk that is there.
const flagVerify = 1

func createOrGet(ctx class.Context, in []byte) ([]byte, error) {
	var source ceph.HObject
	var flags uint64
	var data []byte
	err := class.Decode(in, func(c *denc.Coder) {
		s := c.Begin(1, 1)
		source.Denc(c)
		c.U64(&flags)
		c.Blob(&data)
		s.End()
	})
	if err != nil {
		return nil, err
	}
	r, err := load(ctx)
	switch {
	case errors.Is(err, ceph.ENOENT):
		if err := ctx.WriteFull(data); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	case flags&flagVerify != 0:
		old, err := ctx.Read(0, 0)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(old, data) {
			return nil, errNoMessage
		}
	}
	r.add(source)
	return nil, store(ctx, &r)
}

func sourceOf(in []byte) (o ceph.HObject, err error) {
	err = class.Decode(in, func(c *denc.Coder) {
		s := c.Begin(1, 1)
		o.Denc(c)
		s.End()
	})
	return o, err
}

func get(ctx class.Context, in []byte) ([]byte, error) {
	source, err := sourceOf(in)
	if err != nil {
		return nil, err
	}
	r, err := load(ctx)
	if err != nil {
		return nil, err
	}
	r.add(source)
	return nil, store(ctx, &r)
}

func put(ctx class.Context, in []byte) ([]byte, error) {
	source, err := sourceOf(in)
	if err != nil {
		return nil, err
	}
	r, err := load(ctx)
	if err != nil {
		return nil, err
	}
	if !r.drop(source) {
		return nil, errNoLink
	}
	if r.empty() {
		return nil, ctx.Remove()
	}
	return nil, store(ctx, &r)
}

// references says whether the object's manifest refers to a chunk; objects have none yet.
func references(_ class.Context, in []byte) ([]byte, error) {
	var chunk string
	if err := class.Decode(in, func(c *denc.Coder) { c.Str(&chunk) }); err != nil {
		return nil, err
	}
	return nil, errNoLink
}
