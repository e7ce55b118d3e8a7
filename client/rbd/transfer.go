package rbd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"glue/client/rbd/blocks"
	"glue/client/rbd/layout"
)

// WriteSparse writes the parts of p that are not zero; the rest must read as zero already.
func (i *Image) WriteSparse(ctx context.Context, p []byte, off uint64) error {
	for _, e := range blocks.Data(p) {
		_, err := i.Write(ctx, p[e.Off:e.Off+e.Len], int64(off+e.Off))
		if err != nil {
			return err
		}
	}
	return nil
}

// ExportSparse writes the image's data to w at their offsets and leaves holes where it has none;
// w must read as zeros there, as a new file does. Set w's size yourself.
func (i *Image) ExportSparse(ctx context.Context, w io.WriterAt, p Progress) error {
	h, _, err := i.fresh(ctx)
	if err != nil {
		return err
	}
	s := steps{f: p, total: h.Size}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	step := h.ObjectBytes()
	for off := uint64(0); off < h.Size && gctx.Err() == nil; off += step {
		g.Go(func() error {
			n := min(step, h.Size-off)
			defer s.add(n)
			return i.Sparse(gctx, off, n, func(at uint64, b []byte) error {
				_, err := w.WriteAt(b, int64(at))
				return err
			})
		})
	}
	return cmp.Or(g.Wait(), ctx.Err())
}

// Copy makes a new image with the data of this one. Zero fields of o are taken from this image.
func (i *Image) Copy(
	ctx context.Context, to *Store, name string, o CreateOptions, p Progress,
) error {
	h, _, err := i.fresh(ctx)
	if err != nil {
		return err
	}
	o.Size = h.Size
	o.Like(i.Info())
	if err := to.Create(ctx, name, o); err != nil {
		return err
	}
	dst, err := to.Open(ctx, name, false)
	if err != nil {
		return err
	}
	err = i.ExportSparse(ctx, writerAt(func(b []byte, off int64) (int, error) {
		return len(b), dst.WriteSparse(ctx, b, uint64(off))
	}), p)
	err = errors.Join(err, dst.Close(ctx))
	if err != nil {
		return errors.Join(fmt.Errorf("copy image %s to %s: %w", i.name, name, err),
			to.remove(context.WithoutCancel(ctx), name, nil))
	}
	meta, err := i.Metadata(ctx)
	if err != nil {
		return err
	}
	return dst.SetAllMetadata(ctx, meta)
}

// Like lets a new image be like another one in what the options leave open, but its size. Features
// that come with other images or pools are not taken over.
func (o *CreateOptions) Like(i Info) {
	if o.Features == 0 && !o.NoFeatures {
		o.Features, o.NoFeatures = i.Features&DefaultFeatures, true
	}
	if o.StripeUnit == 0 && o.StripeCount == 0 && i.StripeCount > 1 {
		o.StripeUnit, o.StripeCount = i.StripeUnit, i.StripeCount
	}
	if o.Order == 0 {
		o.Order = min(i.Order, layout.MaxOrder)
	}
}

// A writerAt is a function as an io.WriterAt.
type writerAt func(p []byte, off int64) (int, error)

// WriteAt calls the function.
func (f writerAt) WriteAt(p []byte, off int64) (int, error) { return f(p, off) }
