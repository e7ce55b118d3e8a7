package rados

import (
	"context"
	"fmt"
	"iter"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/objecter"
)

// An Object is one object of a listing.
type Object struct{ Namespace, Name, Locator string }

// listPage is how many objects are asked for at a time.
const listPage = 1024

// A Cursor is a place in a pool's listing: the zero value is its beginning. It stays valid when
// objects come and go and when PGs are split.
type Cursor struct{ at ceph.HObject }

// End is the place after the last object.
func End() Cursor { return Cursor{at: ceph.HObject{Max: true}} }

// AtEnd says whether nothing follows.
func (c Cursor) AtEnd() bool { return c.at.Max }

// Compare orders cursors as the listing goes.
func (c Cursor) Compare(d Cursor) int { return c.at.Compare(d.at) }

// Progress is how much of the pool lies before the cursor, 0 to 1.
func (c Cursor) Progress() float64 { return objecter.Progress(c.at) }

// A Filter keeps some objects of a listing; the OSDs apply it.
type Filter []byte

// AttrFilter keeps the objects whose attribute has a value.
func AttrFilter(name, value string) Filter {
	name = "_" + name // as the OSDs store it
	return ClassFilter("plain", encode(func(c *denc.Coder) {
		c.Str(&name)
		c.Str(&value)
	}))
}

// ClassFilter is a filter of an object class, named "CLASS.FILTER", with its encoded arguments.
func ClassFilter(name string, args []byte) Filter {
	return append(encode(func(c *denc.Coder) { c.Str(&name) }), args...)
}

// WithFilter lists only the objects that a filter keeps. EINVAL for a filter that the OSDs do not
// know, or whose arguments they can't read.
func (x *IOCtx) WithFilter(f Filter) *IOCtx {
	y := *x
	y.filter = f
	return &y
}

// List yields the objects of the IOCtx's namespace in no order of theirs. Objects that exist during
// the whole listing are yielded exactly once.
func (x *IOCtx) List(ctx context.Context) iter.Seq2[Object, error] {
	return x.ListRange(ctx, Cursor{}, End())
}

// ListRange yields the objects from one cursor to before another.
func (x *IOCtx) ListRange(ctx context.Context, from, to Cursor) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		for !from.AtEnd() && from.Compare(to) < 0 {
			list, next, err := x.listPage(ctx, from, to, listPage)
			if err != nil {
				yield(Object{}, err)
				return
			}
			for _, o := range list {
				if !yield(o, nil) {
					return
				}
			}
			from = next
		}
	}
}

// ListPage is up to max objects from a cursor on, and the cursor of what follows. It may be empty
// before the end.
func (x *IOCtx) ListPage(ctx context.Context, from Cursor, max int) ([]Object, Cursor, error) {
	return x.listPage(ctx, from, End(), max)
}

func (x *IOCtx) listPage(
	ctx context.Context, from, to Cursor, max int,
) ([]Object, Cursor, error) {
	list, next, err := x.c.obj.List(ctx, x.pool, x.namespace, x.filter, from.at, max)
	if err != nil {
		return nil, from, fmt.Errorf("list pool %s: %w", x.PoolName(), err)
	}
	out := make([]Object, 0, len(list))
	for _, e := range list {
		if to.AtEnd() || x.place(e).Compare(to.at) < 0 {
			out = append(out, Object{Namespace: e.Namespace, Name: e.Name, Locator: e.Key})
		}
	}
	return out, Cursor{at: next}, nil
}

// place is where an object stands in the listing.
func (x *IOCtx) place(e objecter.Listed) ceph.HObject {
	h := ceph.HObject{Pool: x.pool, Namespace: e.Namespace, Key: e.Key, Name: e.Name,
		Snap: ceph.NoSnap}
	if p := x.Pool(); p != nil {
		key := e.Key
		if key == "" {
			key = e.Name
		}
		h.Hash = p.HashKey(key, e.Namespace)
	}
	return h
}

// Slices cuts the pool's listing into n ranges of about the same number of objects, so that
// several workers can share it: range i is from cursor i to cursor i+1.
func (x *IOCtx) Slices(n int) []Cursor {
	n = max(n, 1)
	out := make([]Cursor, n+1)
	for i := 1; i < n; i++ {
		rank := uint32(uint64(i) << 32 / uint64(n))
		out[i] = Cursor{at: objecter.Rank(x.pool, rank)}
	}
	out[n] = End()
	return out
}
