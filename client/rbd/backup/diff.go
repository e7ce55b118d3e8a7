// Package backup writes images, and what changed in them, to streams and brings them back, in the
// formats of rbd export --export-format 2 and rbd export-diff of Ceph: the stock client reads what
// is written here and the other way round.
package backup

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"glue/ceph"
	"glue/client/rbd"
	"glue/client/rbd/blocks"
	"glue/client/rbd/difffile"
)

// parallel is how many requests one call has under way (rbd_concurrent_management_ops).
const parallel = 10

// diffChunk is how many bytes of a file of differences are held at a time.
const diffChunk = 4 << 20

// DiffOptions say what is written.
type DiffOptions struct {
	rbd.DiffOptions
	Format2 bool // tells whether the snapshot is protected, too
}

// tell tells how far it is.
func tell(p rbd.Progress, done, total uint64) {
	if p != nil {
		p(done, total)
	}
}

// ExportDiff writes what changed between a snapshot and what is open, for ImportDiff or rbd
// import-diff, which reads format 1 only.
func ExportDiff(
	ctx context.Context, i *rbd.Image, w io.Writer, o DiffOptions, p rbd.Progress,
) error {
	if err := i.Refresh(ctx); err != nil {
		return err
	}
	size := i.Size()
	out := bufio.NewWriterSize(w, 1<<20)
	d := difffile.Writer{W: out, V2: o.Format2}
	head := difffile.Head{From: o.From, Size: size}
	if s, ok := i.AtSnapshot(); ok {
		head.To, head.Protected = s.Name, s.Protected
	}
	if err := d.Head(head); err != nil {
		return fmt.Errorf("write the differences: %w", err)
	}
	for e, err := range i.DiffIterate(ctx, o.DiffOptions) {
		if err == nil {
			err = exportExtent(ctx, i, d, e)
		}
		if err != nil {
			return err
		}
		tell(p, e.Off+e.Len, size)
	}
	if err := errors.Join(d.Record(difffile.End, nil, 0), out.Flush()); err != nil {
		return fmt.Errorf("write the differences: %w", err)
	}
	tell(p, size, size)
	return nil
}

func exportExtent(
	ctx context.Context, i *rbd.Image, d difffile.Writer, e rbd.DiffExtent,
) error {
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
func ImportDiff(ctx context.Context, i *rbd.Image, r io.Reader, p rbd.Progress) error {
	d, err := difffile.NewReader(bufio.NewReaderSize(r, 1<<20))
	if err != nil {
		return err
	}
	return importDiff(ctx, i, d, p)
}

func importDiff(
	ctx context.Context, i *rbd.Image, d *difffile.Reader, p rbd.Progress,
) error {
	if err := fits(ctx, i, d.Head); err != nil {
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
	if err := importExtents(ctx, i, d, p); err != nil {
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
func fits(ctx context.Context, i *rbd.Image, head difffile.Head) error {
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
			head.To, i.Name(), ceph.EEXIST)
	case errors.Is(err, ceph.ENOENT):
		return nil
	}
	return err
}

// importExtents applies the records, several at a time as long as they ascend.
func importExtents(
	ctx context.Context, i *rbd.Image, d *difffile.Reader, p rbd.Progress,
) error {
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
		tell(p, high, d.Head.Size)
		if gctx.Err() != nil {
			break
		}
		if err := d.Next(); err != nil {
			return errors.Join(err, g.Wait())
		}
	}
	return cmp.Or(g.Wait(), ctx.Err())
}
