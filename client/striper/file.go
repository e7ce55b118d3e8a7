package striper

import (
	"context"
	"io"

	"glue/ceph"
)

// A File is one striped object as what packages of the standard library read and write:
// io.ReaderAt, io.WriterAt. It keeps its context, as these take none. Any number of goroutines may
// use it.
type File struct {
	ctx  context.Context
	s    *Striper
	name string
}

// File is a striped object to read and write under a context. Nothing is opened: it may not be
// there yet, and there is nothing to close.
func (s *Striper) File(ctx context.Context, name string) *File { return &File{ctx, s, name} }

// ReadAt reads at off until p is full or the striped object ends, with io.EOF; ENOENT without it.
func (f *File) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, failed("read", f.name, ceph.EINVAL)
	}
	err = f.s.read(f.ctx, f.name, uint64(off), func(left uint64) ([]byte, error) {
		n = int(min(left, uint64(len(p))))
		return p[:n], nil
	})
	switch {
	case err != nil:
		return 0, failed("read", f.name, err)
	case n < len(p):
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes p at off and makes the striped object if need be. On an error anything of it may
// be written.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, failed("write", f.name, ceph.EINVAL)
	}
	if err := f.s.Write(f.ctx, f.name, p, uint64(off)); err != nil {
		return 0, err
	}
	return len(p), nil
}
