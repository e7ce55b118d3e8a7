package rbd

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"glue/ceph"
	"glue/client/rbd/blocks"
	"glue/client/rbd/difffile"
)

// diffChunk is how many bytes of a file of differences are held at a time.
const diffChunk = 4 << 20

// ExportDiff writes what changed between a snapshot and what is open, for ImportDiff or rbd
// import-diff, which reads format 1 only.
func (i *Image) ExportDiff(
	ctx context.Context, w io.Writer, o DiffOptions, p Progress,
) error {
	h, _, err := i.fresh(ctx)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 1<<20)
	d := difffile.Writer{W: out, V2: o.Format2}
	head := difffile.Head{From: o.From, To: i.snapName, Size: h.size}
	if s := h.byID(h.snap); s != nil && i.snapName != "" {
		head.Protected = s.Protected
	}
	if err := d.Head(head); err != nil {
		return fmt.Errorf("write the differences: %w", err)
	}
	s := steps{f: p, total: h.size}
	for e, err := range i.DiffIterate(ctx, o) {
		if err == nil {
			err = i.exportExtent(ctx, d, e)
		}
		if err != nil {
			return err
		}
		s.done.Store(e.Off)
		s.add(e.Len)
	}
	if err := errors.Join(d.Record(difffile.End, nil, 0), out.Flush()); err != nil {
		return fmt.Errorf("write the differences: %w", err)
	}
	s.done.Store(h.size)
	s.add(0)
	return nil
}

func (i *Image) exportExtent(ctx context.Context, d difffile.Writer, e DiffExtent) error {
	var data []byte
	if e.Exists {
		data = make([]byte, e.Len)
		if n, err := i.Read(ctx, data, int64(e.Off)); n < len(data) {
			return cmp.Or(err, io.ErrUnexpectedEOF)
		}
	}
	var err error
	if blocks.IsZero(data) {
		err = d.Extent(difffile.Zero, e.Extent)
	} else if err = d.Extent(difffile.Write, e.Extent); err == nil {
		_, err = d.W.Write(data)
	}
	if err != nil {
		return fmt.Errorf("write the differences: %w", err)
	}
	return nil
}

// ImportDiff applies a file of differences of format 1 or 2. The image must be as it was at the
// snapshot that the file begins from (ENOENT without that); the snapshot at its end is made
// (EEXIST if it is there). A file that is cut short or damaged leaves the image in between, and
// without that snapshot: roll it back to the first one.
func (i *Image) ImportDiff(ctx context.Context, r io.Reader, p Progress) error {
	d, err := difffile.NewReader(bufio.NewReaderSize(r, 1<<20))
	if err != nil {
		return err
	}
	return i.importDiff(ctx, d, p)
}

func (i *Image) importDiff(ctx context.Context, d *difffile.Reader, p Progress) error {
	if err := i.fits(ctx, d.Head); err != nil {
		return err
	}
	if d.Head.Sized && d.Head.Size != i.Size() {
		if err := i.Resize(ctx, d.Head.Size, true, nil); err != nil {
			return err
		}
	}
	if !d.Head.Sized {
		d.Head.Size, d.Head.Sized = i.Size(), true
		if end := d.At.Off + d.At.Len; d.Tag != difffile.End && (end < d.At.Off || end > i.Size()) {
			return fmt.Errorf("the differences write beyond the image's end: %w", ceph.EINVAL)
		}
	}
	if err := i.importExtents(ctx, d, p); err != nil {
		return err
	}
	if d.Head.To == "" {
		return nil
	}
	err := i.CreateSnapshot(ctx, d.Head.To)
	if err == nil && d.Head.Protected {
		err = i.ProtectSnapshot(ctx, d.Head.To)
	}
	return err
}

// fits checks that the differences can be applied to the image as it is.
func (i *Image) fits(ctx context.Context, head difffile.Head) error {
	if head.From != "" {
		_, err := i.Snapshot(ctx, head.From)
		if errors.Is(err, ceph.ENOENT) {
			return fmt.Errorf("the differences begin from a snapshot that is missing: %w", err)
		}
		if err != nil {
			return err
		}
	}
	if head.To == "" {
		return nil
	}
	_, err := i.Snapshot(ctx, head.To)
	switch {
	case err == nil:
		return fmt.Errorf("the differences end in snapshot %s, which image %s has already: %w",
			head.To, i.name, ceph.EEXIST)
	case errors.Is(err, ceph.ENOENT):
		return nil
	}
	return err
}

// importExtents applies the records, several at a time as long as they ascend.
func (i *Image) importExtents(ctx context.Context, d *difffile.Reader, p Progress) error {
	s := steps{f: p, total: d.Head.Size}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	high := uint64(0)
	for d.Tag != difffile.End && gctx.Err() == nil {
		at := d.At
		if at.Off < high { // it may be about the same bytes as one before
			if err := g.Wait(); err != nil {
				return err
			}
			g, gctx = errgroup.WithContext(ctx)
			g.SetLimit(parallel)
		}
		high = at.Off + at.Len
		if d.Tag == difffile.Zero {
			g.Go(func() error { return i.Discard(gctx, at.Off, at.Len) })
		}
		for d.Tag == difffile.Write && d.At.Len > 0 && gctx.Err() == nil {
			off, part := d.At.Off, make([]byte, min(diffChunk, d.At.Len))
			if err := d.Take(part); err != nil {
				return errors.Join(err, g.Wait())
			}
			g.Go(func() error {
				_, err := i.Write(gctx, part, int64(off))
				return err
			})
		}
		s.done.Store(high)
		s.add(0)
		if gctx.Err() != nil {
			break
		}
		if err := d.Next(); err != nil {
			return errors.Join(err, g.Wait())
		}
	}
	return cmp.Or(g.Wait(), ctx.Err())
}
