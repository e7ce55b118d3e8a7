package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"glue/client/rbd"
)

// Import writes what r has from the beginning of an image on, leaving blocks of zeros out, and
// returns how many bytes it read. The image must be empty there and at least as large.
func Import(
	ctx context.Context, i *rbd.Image, r io.Reader, p rbd.Progress,
) (read uint64, err error) {
	if err := i.Refresh(ctx); err != nil {
		return 0, err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	object := uint64(1) << i.Info().Order
	for gctx.Err() == nil {
		buf, at := make([]byte, object), read
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			g.Go(func() error { return i.WriteSparse(gctx, buf[:n], at) })
			read += uint64(n)
			tell(p, read, i.Size())
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return read, errors.Join(fmt.Errorf("read the source: %w", err), g.Wait())
		}
	}
	return read, cmp.Or(g.Wait(), ctx.Err())
}

// Export writes the whole image to a stream, zeros included.
func Export(ctx context.Context, i *rbd.Image, w io.Writer, p rbd.Progress) error {
	if err := i.Refresh(ctx); err != nil {
		return err
	}
	size := i.Size()
	buf := make([]byte, min(size, parallel<<i.Info().Order))
	for off := uint64(0); off < size; {
		n, err := i.Read(ctx, buf[:min(uint64(len(buf)), size-off)], int64(off))
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n == 0 {
			return io.ErrUnexpectedEOF
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return fmt.Errorf("write the export: %w", err)
		}
		off += uint64(n)
		tell(p, off, size)
	}
	return nil
}
