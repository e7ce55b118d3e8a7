// Package version is the class "version": a counter with a tag on an object, which writers bump and
// check so that they don't overwrite each other. It is the attribute "ceph.objclass.version". The
// methods are pure and run on the goroutine that executes the request. Specified by src/cls/version
// of Ceph 16.2.
package version

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
)

// Class is the table of methods.
var Class = class.Class{Name: "version", Methods: []class.Method{
	{Name: "set", Flags: class.RD | class.WR, Func: set},
	{Name: "inc", Flags: class.RD | class.WR, Func: inc},
	{Name: "inc_conds", Flags: class.RD | class.WR, Func: inc},
	{Name: "read", Flags: class.RD, Func: read},
	{Name: "check_conds", Flags: class.RD, Func: check},
}}

const attr = "ceph.objclass.version"

// A Version is the counter and the tag of the series that it belongs to (obj_version).
type Version struct {
	N   uint64
	Tag string
}

// Denc is obj_version version 1.
func (v *Version) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.U64(&v.N)
	c.Str(&v.Tag)
	s.End()
}

// Kinds of conditions (VER_COND_*).
const (
	condEQ    = 1
	condGT    = 2
	condGE    = 3
	condLT    = 4
	condLE    = 5
	condTagEQ = 6
	condTagNE = 7
)

// A condition compares an object's version with another (obj_version_cond).
type condition struct {
	version Version
	kind    uint32
}

// Denc is obj_version_cond version 1.
func (d *condition) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	d.version.Denc(c)
	c.U32(&d.kind)
	s.End()
}

// holds says whether a version meets the condition; unknown kinds always hold.
func (d *condition) holds(v Version) bool {
	switch w := d.version; d.kind {
	case condEQ:
		return v == w
	case condGT:
		return v.N > w.N
	case condGE:
		return v.N >= w.N
	case condLT:
		return v.N < w.N
	case condLE:
		return v.N <= w.N
	case condTagEQ:
		return v.Tag == w.Tag
	case condTagNE:
		return v.Tag != w.Tag
	}
	return true
}

func load(ctx class.Context) (v Version, found bool, err error) {
	raw, err := ctx.Xattr(attr)
	if errors.Is(err, ceph.ENOENT) || errors.Is(err, ceph.ENODATA) {
		return v, false, nil
	}
	if err != nil {
		return v, false, err
	}
	return v, true, class.DecodeStored(raw, &v)
}

func store(ctx class.Context, v Version) error {
	return ctx.SetXattr(attr, class.EncodeValue(&v))
}

// newTag is a tag that no other series has, the same if the request is executed again.
func newTag(ctx class.Context) string {
	reqID, now, object := ctx.ReqID(), ctx.Now(), ctx.Object()
	sum := sha256.Sum256(class.Encode(func(c *denc.Coder) {
		reqID.Denc(c)
		now.Denc(c)
		object.Denc(c)
	}))
	return base64.StdEncoding.EncodeToString(sum[:18])
}

// sectionOf reads a section with one value in it.
func sectionOf(in []byte, body func(c *denc.Coder)) error {
	return class.Decode(in, func(c *denc.Coder) {
		s := c.Begin(1, 1)
		body(c)
		s.End()
	})
}

func set(ctx class.Context, in []byte) ([]byte, error) {
	var v Version
	if err := sectionOf(in, v.Denc); err != nil {
		return nil, err
	}
	return nil, store(ctx, v)
}

// conditions reads the input of inc and check.
func conditions(in []byte) (conds []condition, err error) {
	err = sectionOf(in, func(c *denc.Coder) {
		var unused Version
		unused.Denc(c)
		denc.List(c, &conds)
	})
	return conds, err
}

func meets(conds []condition, v Version) error {
	for i := range conds {
		if !conds[i].holds(v) {
			return ceph.ECANCELED
		}
	}
	return nil
}

// inc bumps the version; the first one of an object starts a series.
func inc(ctx class.Context, in []byte) ([]byte, error) {
	conds, err := conditions(in)
	if err != nil {
		return nil, err
	}
	v, found, err := load(ctx)
	if err != nil {
		return nil, err
	}
	if !found {
		v = Version{N: 1, Tag: newTag(ctx)}
	}
	if err := meets(conds, v); err != nil {
		return nil, err
	}
	v.N++
	return nil, store(ctx, v)
}

func check(ctx class.Context, in []byte) ([]byte, error) {
	conds, err := conditions(in)
	if err != nil {
		return nil, err
	}
	v, _, err := load(ctx)
	if err != nil {
		return nil, err
	}
	return nil, meets(conds, v)
}

func read(ctx class.Context, _ []byte) ([]byte, error) {
	v, _, err := load(ctx)
	if err != nil {
		return nil, err
	}
	return class.Encode(func(c *denc.Coder) {
		s := c.Begin(1, 1)
		v.Denc(c)
		s.End()
	}), nil
}
