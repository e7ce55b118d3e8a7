// Package journal keeps the journals that librbd has of images with feature journaling. A journal
// is an object with its shape, its clients and its tags (class journal of Ceph) and objects with
// entries, in sets of as many as the journal is wide. The entries of a tag are numbered; number
// modulo width says in which object of a set an entry is. When an object of the active set is full
// the next set becomes active. The image itself is the client "", others are peers that copy it.
//
// Who may change the image, by its exclusive lock, opens its journal, carries out what Uncommitted
// gives, commits that and begins a tag of its own. Then it appends what it is about to do before it
// does it, and commits it afterwards.
//
// Invariants: an entry is safe, and Append returns, when it and all before it of its tag are
// durable, so that what is read back has no gap before an entry that was safe; a commit position
// never passes an entry that was not committed; no set goes that a client still needs.
//
// A Journal may be used from any goroutine once it is open. The formats are specified by
// src/journal, src/cls/journal and src/librbd/journal of Ceph 16.2.
package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd/class"
)

// Names of the objects of a journal: the first is the image's id; the second has the image's pool,
// the id and a number.
const (
	prefix     = "journal."
	dataPrefix = "journal_data."
)

// Bounds: of the sets that a journal says it has, of its objects' order, and of what is removed at
// a time.
const (
	maxSets  = 1 << 20
	minOrder = 12
	maxOrder = 26
	parallel = 10
)

// A shape is where the entries of a journal are.
type shape struct {
	order, width  uint8 // objects of 1<<order bytes
	pool          int64 // negative: the image's own
	first, active uint64
}

// read reads the shape; ENOENT without a journal.
func (s *shape) read(ctx context.Context, x *rados.IOCtx, id string) error {
	var r rados.ReadOp
	fields := []struct {
		raw *[]byte
		to  func(*denc.Coder)
	}{
		{r.Exec("journal", "get_order", nil), func(c *denc.Coder) { c.U8(&s.order) }},
		{r.Exec("journal", "get_splay_width", nil), func(c *denc.Coder) { c.U8(&s.width) }},
		{r.Exec("journal", "get_pool_id", nil), func(c *denc.Coder) { c.I64(&s.pool) }},
		{r.Exec("journal", "get_minimum_set", nil), func(c *denc.Coder) { c.U64(&s.first) }},
		{r.Exec("journal", "get_active_set", nil), func(c *denc.Coder) { c.U64(&s.active) }},
	}
	if err := x.OperateRead(ctx, prefix+id, &r); err != nil {
		return err
	}
	for _, f := range fields {
		if err := class.Decode(*f.raw, f.to); err != nil {
			return err
		}
	}
	if s.active < s.first || s.active-s.first >= maxSets || s.active > ^uint64(0)>>16 {
		return fmt.Errorf("sets %d to %d make no sense: %w", s.first, s.active, ceph.EINVAL)
	}
	if s.width == 0 || s.order < minOrder || s.order > maxOrder {
		return fmt.Errorf("%d objects of 2^%d bytes make no sense: %w", s.width, s.order,
			ceph.EINVAL)
	}
	return nil
}

// objects is where the data objects are.
func (s *shape) objects(x *rados.IOCtx) *rados.IOCtx {
	if s.pool < 0 || s.pool == x.PoolID() {
		return x
	}
	return x.Cluster().OpenPoolID(s.pool) // never in a namespace there
}

// objectName is the name of a data object.
func objectName(x *rados.IOCtx, id string, n uint64) string {
	return fmt.Sprintf("%s%d.%s.%d", dataPrefix, x.PoolID(), id, n)
}

// Remove deletes the journal of an image, by the image's id; nil without one. What was interrupted
// can be called again.
func Remove(ctx context.Context, x *rados.IOCtx, id string) error {
	var s shape
	err := s.read(ctx, x, id)
	if errors.Is(err, ceph.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the image's journal: %w", err)
	}
	data := s.objects(x)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	width := uint64(s.width)
	for n := s.first * width; n < (s.active+1)*width && gctx.Err() == nil; n++ {
		oid := objectName(x, id, n)
		g.Go(func() error { return class.UnlessGone(data.Remove(gctx, oid)) })
	}
	if err = cmp.Or(g.Wait(), ctx.Err()); err == nil { // the shape last: it says what there is
		err = class.UnlessGone(x.Remove(ctx, prefix+id))
	}
	if err != nil {
		return fmt.Errorf("remove the image's journal: %w", err)
	}
	return nil
}
