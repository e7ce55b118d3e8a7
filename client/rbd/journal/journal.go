// Package journal knows the journals that librbd keeps of images with feature journaling, as far as
// who removes an image has to. A journal is an object with its shape (class journal of Ceph) and
// objects with the entries, in sets of as many as the journal is wide.
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
)

// Names of the objects of a journal: the first is the image's id; the second has the image's pool,
// the id and a number.
const (
	prefix     = "journal."
	dataPrefix = "journal_data."
)

// maxSets bounds the sets that a journal says it has, parallel what is removed at a time.
const (
	maxSets  = 1 << 20
	parallel = 10
)

// A shape is where the entries of a journal are.
type shape struct {
	width         uint8
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
		{r.Exec("journal", "get_splay_width", nil), func(c *denc.Coder) { c.U8(&s.width) }},
		{r.Exec("journal", "get_pool_id", nil), func(c *denc.Coder) { c.I64(&s.pool) }},
		{r.Exec("journal", "get_minimum_set", nil), func(c *denc.Coder) { c.U64(&s.first) }},
		{r.Exec("journal", "get_active_set", nil), func(c *denc.Coder) { c.U64(&s.active) }},
	}
	if err := x.OperateRead(ctx, prefix+id, &r); err != nil {
		return err
	}
	for _, f := range fields {
		c := denc.NewDecoder(*f.raw, ceph.FeaturesAll)
		if f.to(c); c.Err() != nil {
			return c.Err()
		}
	}
	if s.active < s.first || s.active-s.first >= maxSets {
		return fmt.Errorf("sets %d to %d make no sense: %w", s.first, s.active, ceph.EINVAL)
	}
	return nil
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
	data := x
	if s.pool >= 0 && s.pool != x.PoolID() { // never in a namespace there
		data = x.Cluster().OpenPoolID(s.pool)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	width := uint64(s.width)
	for n := s.first * width; n < (s.active+1)*width && gctx.Err() == nil; n++ {
		oid := fmt.Sprintf("%s%d.%s.%d", dataPrefix, x.PoolID(), id, n)
		g.Go(func() error { return gone(data.Remove(gctx, oid)) })
	}
	if err = cmp.Or(g.Wait(), ctx.Err()); err == nil { // the shape last: it says what there is
		err = gone(x.Remove(ctx, prefix+id))
	}
	if err != nil {
		return fmt.Errorf("remove the image's journal: %w", err)
	}
	return nil
}

// gone is the error unless it says that there is no such thing.
func gone(err error) error {
	if errors.Is(err, ceph.ENOENT) {
		return nil
	}
	return err
}
