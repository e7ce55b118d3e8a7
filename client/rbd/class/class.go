// Package class calls the methods of class rbd, which know the objects that keep images: headers,
// directories, the trash, groups and what mirrors. Arguments and answers are lists of values in
// Ceph's encoding, as cls_rbd_client of Ceph has them. All of it may be called from any goroutine.
package class

import (
	"context"
	"errors"
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
)

// Encode is an argument list of a class method.
func Encode(f func(*denc.Coder)) []byte {
	c := denc.NewEncoder(nil, ceph.FeaturesAll)
	f(c)
	return c.Bytes()
}

// Decode reads an answer.
func Decode(b []byte, f func(*denc.Coder)) error {
	c := denc.NewDecoder(b, ceph.FeaturesAll)
	f(c)
	return c.Err()
}

// U64 is a number as an argument.
func U64(v uint64) []byte { return Encode(func(c *denc.Coder) { c.U64(&v) }) }

// Str is strings as arguments.
func Str(s ...string) []byte {
	return Encode(func(c *denc.Coder) {
		for i := range s {
			c.Str(&s[i])
		}
	})
}

// Pairs is a map as an argument.
func Pairs(m map[string][]byte) []byte {
	return Encode(func(c *denc.Coder) {
		denc.MapFunc(c, &m, (*denc.Coder).Str, (*denc.Coder).Blob)
	})
}

// Head is the snapshot id that means the image itself.
func Head() []byte { return U64(uint64(ceph.NoSnap)) }

// Call runs one method of class rbd for its result.
func Call(
	ctx context.Context, x *rados.IOCtx, oid, method string, in []byte, f func(*denc.Coder),
) error {
	out, err := x.Exec(ctx, oid, "rbd", method, in)
	if err != nil {
		return err
	}
	if err := Decode(out, f); err != nil {
		return fmt.Errorf("answer of rbd.%s: %w", method, err)
	}
	return nil
}

// Change runs one method of class rbd that changes an object.
func Change(ctx context.Context, x *rados.IOCtx, oid, method string, in []byte) error {
	return x.Operate(ctx, oid, new(rados.WriteOp).Exec("rbd", method, in))
}

// page is how many elements are asked for at a time.
const page = 1024

// An Entry is a name and the id that goes with it, such as an image's.
type Entry struct{ Name, ID string }

// Entries lists what a directory has, which is nothing if it is not there.
func Entries(ctx context.Context, x *rados.IOCtx, object, method string) ([]Entry, error) {
	out, err := Pages(ctx, x, object, method,
		func(c *denc.Coder, last *Entry) { c.Str(&last.Name) },
		func(c *denc.Coder, e *Entry) {
			c.Str(&e.Name)
			c.Str(&e.ID)
		})
	return out, UnlessGone(err)
}

// Pages lists what a method gives page by page. It gives elements, or pairs of a map, that come
// after the last one, of which after encodes what the method wants to know.
func Pages[T any](
	ctx context.Context, x *rados.IOCtx, oid, method string, after, elem func(*denc.Coder, *T),
) ([]T, error) {
	var out []T
	for last := new(T); ; last = &out[len(out)-1] {
		var got []T
		err := Call(ctx, x, oid, method, Encode(func(c *denc.Coder) {
			after(c, last)
			c.U64Const(page)
		}), func(c *denc.Coder) { denc.ListFunc(c, &got, elem) })
		if err != nil {
			return out, err
		}
		if out = append(out, got...); len(got) < page {
			return out, nil
		}
	}
}

// Metadata is the pairs of metadata that a header, or rbd_info, has; their keys are not less than
// from.
func Metadata(ctx context.Context, x *rados.IOCtx, oid, from string) (map[string][]byte, error) {
	type pair struct {
		key   string
		value []byte
	}
	list, err := Pages(ctx, x, oid, "metadata_list",
		func(c *denc.Coder, last *pair) {
			after := max(from, last.key)
			c.Str(&after)
		},
		func(c *denc.Coder, p *pair) {
			c.Str(&p.key)
			c.Blob(&p.value)
		})
	out := map[string][]byte{}
	for _, p := range list {
		out[p.key] = p.value
	}
	return out, err
}

// UnlessGone is the error unless it says that there is no such thing.
func UnlessGone(err error) error {
	if errors.Is(err, ceph.ENOENT) {
		return nil
	}
	return err
}
