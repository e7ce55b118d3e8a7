// Package cephfs is the class "cephfs": what the tools that rebuild a file system's metadata
// collect on the first object of each file. The methods are pure and run on the goroutine that
// executes the request. Specified by src/cls/cephfs of Ceph 16.2.
package cephfs

import (
	"cmp"
	"errors"
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
)

// Class is the table of methods, and of the filter by which the tools find first objects.
var Class = class.Class{Name: "cephfs", Methods: []class.Method{
	{Name: "accumulate_inode_metadata", Flags: class.RD | class.WR, Func: accumulate},
}, Filters: []class.Filter{{Name: "inode_tag", Parse: inodeTag}}}

// inodeTag keeps the first object of each file that is not tagged so already (InodeTagFilterArgs);
// an empty tag keeps all of them. A tag that can't be read is none.
func inodeTag(c *denc.Coder) class.Selector {
	var tag string
	s := c.Begin(1, 1)
	c.Str(&tag)
	s.End()
	sel := class.Selector{Lacking: true}
	if tag != "" {
		sel.Attr = "_scrub_tag"
	}
	sel.Keep = func(name string, attr []byte) bool {
		if !strings.HasSuffix(name, ".00000000") {
			return false
		}
		var have string
		d := denc.NewDecoder(attr, 0)
		d.Str(&have)
		return len(attr) == 0 || d.Err() != nil || have != tag
	}
	return sel
}

// A ceiling is the last object of a file that was seen (ObjCeiling).
type ceiling struct{ id, size uint64 }

// denc is ObjCeiling version 1.
func (o *ceiling) denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.U64(&o.id)
	c.U64(&o.size)
	s.End()
}

// accumulate raises the last object, the newest time and the largest size to those of an object.
func accumulate(ctx class.Context, in []byte) ([]byte, error) {
	var ceilingAttr, mtimeAttr, sizeAttr string
	var last ceiling
	var mtime int64
	err := class.Decode(in, func(c *denc.Coder) {
		s := c.Begin(1, 1)
		c.Str(&ceilingAttr)
		c.Str(&mtimeAttr)
		c.Str(&sizeAttr)
		c.U64(&last.id)
		c.U64(&last.size)
		c.I64(&mtime)
		s.End()
	})
	if err != nil {
		return nil, err
	}
	err = raise(ctx, ceilingAttr, last, func(c *denc.Coder, v *ceiling) { v.denc(c) },
		func(a, b ceiling) int { return cmp.Compare(a.id, b.id) })
	if err != nil {
		return nil, err
	}
	if err := raise(ctx, mtimeAttr, mtime, (*denc.Coder).I64, cmp.Compare[int64]); err != nil {
		return nil, err
	}
	return nil, raise(ctx, sizeAttr, last.size, (*denc.Coder).U64, cmp.Compare[uint64])
}

// raise sets an attribute unless it holds at least as much; one that can't be read is replaced.
func raise[T any](
	ctx class.Context, attr string, v T, f func(*denc.Coder, *T), order func(a, b T) int,
) error {
	raw, err := ctx.Xattr(attr)
	if err != nil && !errors.Is(err, ceph.ENOENT) && !errors.Is(err, ceph.ENODATA) {
		return err
	}
	if err == nil && len(raw) > 0 {
		var old T
		c := denc.NewDecoder(raw, 0)
		f(c, &old)
		if c.Err() == nil && c.Remaining() == 0 && order(v, old) <= 0 {
			return nil
		}
	}
	return ctx.SetXattr(attr, class.Encode(func(c *denc.Coder) { f(c, &v) }))
}
