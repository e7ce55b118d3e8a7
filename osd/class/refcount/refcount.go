// Package refcount is the class "refcount": named references to an object, which goes away with the
// last of them. They are the attribute "refcount"; an object without it can count as having one
// reference that any name matches. The methods are pure and run on the goroutine that executes the
// request. Specified by src/cls/refcount of Ceph 16.2.
package refcount

import (
	"errors"
	"maps"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
)

// Class is the table of methods.
var Class = class.Class{Name: "refcount", Methods: []class.Method{
	{Name: "get", Flags: class.RD | class.WR, Func: get},
	{Name: "put", Flags: class.RD | class.WR, Func: put},
	{Name: "set", Flags: class.RD | class.WR, Func: set},
	{Name: "read", Flags: class.RD, Func: read},
}}

const (
	attr     = "refcount"
	wildcard = "" // the name of the reference that any name matches
)

// refs is the references to an object and those that were given up (obj_refcount), so that a
// repeated put does no harm.
type refs struct {
	held    map[string]bool
	retired map[string]struct{}
}

// Denc is obj_refcount version 2.
func (r *refs) Denc(c *denc.Coder) {
	s := c.Begin(2, 1)
	denc.MapFunc(c, &r.held, (*denc.Coder).Str, (*denc.Coder).Bool)
	if s.V >= 2 {
		denc.SetFunc(c, &r.retired, (*denc.Coder).Str)
	}
	s.End()
}

func load(ctx class.Context, implicit bool) (refs, error) {
	var r refs
	raw, err := ctx.Xattr(attr)
	switch {
	case errors.Is(err, ceph.ENODATA):
		if implicit {
			r.held = map[string]bool{wildcard: true}
		}
		err = nil
	case err == nil:
		err = class.DecodeStored(raw, &r)
	}
	if r.held == nil {
		r.held = map[string]bool{}
	}
	if r.retired == nil {
		r.retired = map[string]struct{}{}
	}
	return r, err
}

func store(ctx class.Context, r *refs) error {
	return ctx.SetXattr(attr, class.EncodeValue(r))
}

// tagAndImplicit reads the input of get and put.
func tagAndImplicit(in []byte) (tag string, implicit bool, err error) {
	err = class.Decode(in, func(c *denc.Coder) {
		s := c.Begin(1, 1)
		c.Str(&tag)
		c.Bool(&implicit)
		s.End()
	})
	return tag, implicit, err
}

func get(ctx class.Context, in []byte) ([]byte, error) {
	tag, implicit, err := tagAndImplicit(in)
	if err != nil {
		return nil, err
	}
	r, err := load(ctx, implicit)
	if err != nil {
		return nil, err
	}
	r.held[tag] = true
	return nil, store(ctx, &r)
}

// put gives a reference up; one that is not held, or was given up before, is no error.
func put(ctx class.Context, in []byte) ([]byte, error) {
	tag, implicit, err := tagAndImplicit(in)
	if err != nil {
		return nil, err
	}
	r, err := load(ctx, implicit)
	if err != nil {
		return nil, err
	}
	if len(r.held) == 0 {
		return nil, ceph.EINVAL
	}
	name := tag
	_, found := r.held[name]
	if !found && implicit {
		name = wildcard
		_, found = r.held[name]
	}
	if _, gone := r.retired[tag]; !found || gone {
		return nil, nil
	}
	r.retired[tag] = struct{}{}
	if delete(r.held, name); len(r.held) == 0 {
		return nil, ctx.Remove()
	}
	return nil, store(ctx, &r)
}

// set replaces all references; none removes the object.
func set(ctx class.Context, in []byte) ([]byte, error) {
	var tags []string
	err := class.Decode(in, func(c *denc.Coder) {
		s := c.Begin(1, 1)
		denc.ListFunc(c, &tags, (*denc.Coder).Str)
		s.End()
	})
	if err != nil {
		return nil, err
	}
	if len(tags) == 0 {
		return nil, ctx.Remove()
	}
	r := refs{held: make(map[string]bool, len(tags))}
	for _, t := range tags {
		r.held[t] = true
	}
	return nil, store(ctx, &r)
}

func read(ctx class.Context, in []byte) ([]byte, error) {
	var implicit bool
	err := class.Decode(in, func(c *denc.Coder) {
		s := c.Begin(1, 1)
		c.Bool(&implicit)
		s.End()
	})
	if err != nil {
		return nil, err
	}
	r, err := load(ctx, implicit)
	if err != nil {
		return nil, err
	}
	tags := slices.Sorted(maps.Keys(r.held))
	return class.Encode(func(c *denc.Coder) {
		s := c.Begin(1, 1)
		denc.ListFunc(c, &tags, (*denc.Coder).Str)
		s.End()
	}), nil
}
