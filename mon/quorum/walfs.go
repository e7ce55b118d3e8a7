package quorum

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Pebble can't go on when it fails to begin or to end a file of its log: it panics, with a mutex
// unlocked that is unlocked once more on the way up, which ends the process and with it every other
// daemon in it. When it can't write a table it tries again at once, for ever. So its file system
// remembers the first failure of a change, and makes no other: what is on the disk stays as it is.
// Of its log Pebble is told that all is well, but nothing that was written since counts, as whoever
// commits asks first. Pebble's own goroutines are told nothing any more: they stay where they are.

// A database is Pebble on a file system that remembers a failure.
type database struct {
	*pebble.DB
	fs *walFS
}

// commit puts a batch into the database, durably if sync says so. An error is final.
func (d database) commit(b *pebble.Batch, sync *pebble.WriteOptions) error {
	return errors.Join(b.Commit(sync), d.fs.failure())
}

// Close leaves a database that has failed, or does so meanwhile, as it is.
func (d database) Close() error {
	done := make(chan error, 1)
	go func() {
		if d.fs.failure() == nil {
			done <- d.DB.Close()
		}
	}()
	select {
	case err := <-done:
		return errors.Join(err, d.fs.failure())
	case <-d.fs.bad:
		return d.fs.failure()
	}
}

// A walFS is a file system of a database.
type walFS struct {
	vfs.FS
	first atomic.Pointer[error]
	bad   chan struct{} // closed by the first failure
	stuck chan struct{} // closed when a goroutine of Pebble's stays where it is
	once  sync.Once
}

func newWALFS(fs vfs.FS) *walFS {
	return &walFS{FS: fs, bad: make(chan struct{}), stuck: make(chan struct{})}
}

// stay keeps one of Pebble's goroutines for good.
func (f *walFS) stay() {
	f.once.Do(func() { close(f.stuck) })
	select {}
}

// failure is the first one, nil for none.
func (f *walFS) failure() error {
	if err := f.first.Load(); err != nil {
		return fmt.Errorf("monitor store: %w", *err)
	}
	return nil
}

func (f *walFS) fail(err error) {
	if f.first.CompareAndSwap(nil, &err) {
		close(f.bad)
	}
}

// try does something for the log unless anything has failed before.
func (f *walFS) try(do func() error) {
	if f.first.Load() == nil {
		if err := do(); err != nil {
			f.fail(err)
		}
	}
}

// change does something else, unless anything has failed before.
func (f *walFS) change(do func() error) error {
	f.try(do)
	err := f.failure()
	if err != nil && !ours() {
		f.stay() // Pebble would try again at once, and again
	}
	return err
}

// ours says whether the caller was called from this package, which has to hear of a failure. Pebble
// itself must not while it opens: it would take down what its other goroutines work with.
func ours() bool {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		f, more := frames.Next()
		if strings.HasPrefix(f.Function, "glue/mon/quorum.") &&
			!strings.HasSuffix(f.File, "walfs.go") {
			return !strings.HasPrefix(f.Function, "glue/mon/quorum.openPebble")
		}
		if !more {
			return false
		}
	}
}

// file is a file that was created, or was not.
func (f *walFS) file(name string, open func() (vfs.File, error)) (vfs.File, error) {
	if !strings.HasSuffix(name, ".log") {
		var file vfs.File
		err := f.change(func() (err error) {
			file, err = open()
			return err
		})
		if err != nil {
			return nil, err
		}
		return &otherFile{file, f}, nil
	}
	file := vfs.NewMemFile(nil)
	f.try(func() error {
		made, err := open()
		if err == nil {
			file = made
		}
		return err
	})
	return &logFile{file, f}, nil
}

func (f *walFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) { return f.FS.Create(name, c) })
}

func (f *walFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) { return f.FS.ReuseForWrite(old, name, c) })
}

func (f *walFS) OpenReadWrite(
	name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption,
) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, o...) })
}

func (f *walFS) OpenDir(name string) (vfs.File, error) {
	dir, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &logFile{dir, f}, nil
}

func (f *walFS) Link(old, name string) error {
	return f.change(func() error { return f.FS.Link(old, name) })
}

func (f *walFS) Rename(old, name string) error {
	return f.change(func() error { return f.FS.Rename(old, name) })
}

// Remove may fail: the file is in nobody's way.
func (f *walFS) Remove(name string) error {
	if err := f.failure(); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f *walFS) Unwrap() vfs.FS { return f.FS }

// A logFile is a log, or the directory.
type logFile struct {
	vfs.File
	fs *walFS
}

func (l *logFile) Write(p []byte) (int, error) {
	l.fs.try(func() error {
		n, err := l.File.Write(p)
		if err == nil && n < len(p) {
			err = io.ErrShortWrite
		}
		return err
	})
	return len(p), nil
}

func (l *logFile) Sync() error {
	l.fs.try(l.File.Sync)
	return nil
}

func (l *logFile) SyncData() error {
	l.fs.try(l.File.SyncData)
	return nil
}

func (l *logFile) SyncTo(length int64) (full bool, err error) {
	l.fs.try(func() error {
		full, err = l.File.SyncTo(length)
		return err
	})
	return full, nil
}

func (l *logFile) Preallocate(offset, length int64) error {
	l.fs.try(func() error { return l.File.Preallocate(offset, length) })
	return nil
}

func (l *logFile) Close() error {
	if err := l.File.Close(); err != nil {
		l.fs.fail(err)
	}
	return nil
}

// An otherFile is a table, or tells which tables there are.
type otherFile struct {
	vfs.File
	fs *walFS
}

func (o *otherFile) Write(p []byte) (n int, err error) {
	err = o.fs.change(func() error {
		n, err = o.File.Write(p)
		return err
	})
	return n, err
}

func (o *otherFile) Sync() error { return o.fs.change(o.File.Sync) }

func (o *otherFile) SyncData() error { return o.fs.change(o.File.SyncData) }

func (o *otherFile) SyncTo(length int64) (full bool, err error) {
	err = o.fs.change(func() error {
		full, err = o.File.SyncTo(length)
		return err
	})
	return full, err
}
