package rados

import (
	"context"
	"fmt"
	"io"

	"glue/ceph"
)

// filePiece is how much of a read or write goes in one request, in bytes.
const filePiece = 8 << 20

// A File is one object as what packages of the standard library read and write: io.ReaderAt,
// io.WriterAt. It keeps its context, as these take none. Any number of goroutines may use it.
type File struct {
	ctx context.Context
	x   *IOCtx
	oid string
}

// File is an object to read and write under a context. Nothing is opened: the object may not be
// there yet, and there is nothing to close.
func (x *IOCtx) File(ctx context.Context, oid string) *File { return &File{ctx, x, oid} }

// ReadAt reads at off until p is full or the object ends, with io.EOF; ENOENT without the object.
func (f *File) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("read of %s at %d: %w", f.oid, off, ceph.EINVAL)
	}
	for n < len(p) {
		want := min(len(p)-n, filePiece)
		b, err := f.x.Read(f.ctx, f.oid, uint64(off)+uint64(n), uint64(want))
		n += copy(p[n:], b)
		if err == nil && len(b) < want {
			err = io.EOF
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// WriteAt writes p at off and makes the object if need be. Up to 8 MiB are written as a whole or,
// on an error, perhaps not; of more, n bytes and perhaps others are.
func (f *File) WriteAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("write of %s at %d: %w", f.oid, off, ceph.EINVAL)
	}
	for n < len(p) {
		piece := p[n:min(len(p), n+filePiece)]
		if err := f.x.Write(f.ctx, f.oid, piece, uint64(off)+uint64(n)); err != nil {
			return n, err
		}
		n += len(piece)
	}
	return n, nil
}
