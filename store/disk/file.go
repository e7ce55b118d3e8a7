package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// osFile writes past the page cache and reads through it, so that memory that nobody needs
// serves as read cache; the kernel keeps both views the same.
type osFile struct {
	path  string
	write *os.File // O_DIRECT where that works; holds the lock
	read  *os.File
	size  int64
	noFal atomic.Bool // the host can't reserve
}

// Create makes a file of the given size, which must not exist yet, and opens it.
func Create(path string, size int64) (File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create block file: %w", err)
	}
	err = f.Truncate(size)
	if err == nil {
		err = f.Sync()
	}
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err != nil {
		return nil, fmt.Errorf("create block file: %w", err)
	}
	return Open(path)
}

// Open opens an existing block file or device and locks it; ErrLocked if someone else has it. While
// a device is open, the system refuses to mount it, and tools to make a file system on it.
func Open(path string) (File, error) {
	device := isDevice(path)
	w, err := openDirect(path, device)
	if errors.Is(err, unix.EBUSY) {
		err = ErrLocked
	}
	if err != nil {
		return nil, fmt.Errorf("open block file %s: %w", path, err)
	}
	f := &osFile{path: path, write: w}
	if err := lock(w, device); err != nil {
		w.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if f.read, err = os.Open(path); err == nil {
		f.size, err = w.Seek(0, io.SeekEnd) // works for devices as well
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open block file: %w", err)
	}
	// Large reads ask for what they need; reading ahead of random ones is waste.
	_ = unix.Fadvise(int(f.read.Fd()), 0, 0, unix.FADV_RANDOM)
	return f, nil
}

func openDirect(path string, device bool) (*os.File, error) {
	mode := os.O_RDWR | unix.O_CLOEXEC
	if device {
		mode |= unix.O_EXCL
	}
	f, err := os.OpenFile(path, mode|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		f, err = os.OpenFile(path, mode, 0)
	}
	return f, err
}

func isDevice(path string) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFBLK
}

// udevLimit is how long udev may look at a device that was written to. It locks it meanwhile.
const udevLimit = 2 * time.Second

// lock locks a file at once or not at all, and waits for udev with a device, which is ours already.
func lock(f *os.File, device bool) error {
	for end := time.Now().Add(udevLimit); ; time.Sleep(20 * time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil || !device || time.Now().After(end) {
			return err
		}
	}
}

func (f *osFile) ReadAt(p []byte, off int64) error {
	if _, err := f.read.ReadAt(p, off); err != nil {
		return fmt.Errorf("read %d bytes at %d of %s: %w", len(p), off, f.path, err)
	}
	return nil
}

// maxVec is the kernel's IOV_MAX.
const maxVec = 1024

func (f *osFile) WriteVec(bufs [][]byte, off int64) error {
	for len(bufs) > 0 {
		part := bufs[:min(len(bufs), maxVec)]
		want := 0
		for _, b := range part {
			want += len(b)
		}
		n, err := pwritev(int(f.write.Fd()), part, off)
		if err == nil && n != want {
			err = io.ErrShortWrite
		}
		if err != nil {
			return fmt.Errorf("write %d bytes at %d of %s: %w", want, off, f.path, err)
		}
		off += int64(n)
		bufs = bufs[len(part):]
	}
	return nil
}

// pwritev retries what a signal interrupted; a short write is the caller's to judge.
func pwritev(fd int, bufs [][]byte, off int64) (n int, err error) {
	for {
		if len(bufs) == 1 {
			n, err = unix.Pwrite(fd, bufs[0], off)
		} else {
			n, err = unix.Pwritev(fd, bufs, off)
		}
		if err != unix.EINTR {
			return n, err
		}
	}
}

func (f *osFile) Sync() error {
	for {
		err := unix.Fdatasync(int(f.write.Fd()))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("sync %s: %w", f.path, err)
		}
		return nil
	}
}

func (f *osFile) Reserve(off, length int64) error {
	if f.noFal.Load() {
		return nil
	}
	err := unix.Fallocate(int(f.write.Fd()), 0, off, length)
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("reserve %d bytes for %s: %w", length, f.path, unix.ENOSPC)
	case err != nil && !errors.Is(err, unix.EINTR):
		f.noFal.Store(true) // a device, or a file system without it
	}
	return nil
}

func (f *osFile) Host() (free, given uint64, ok bool) {
	var st unix.Stat_t
	var fs unix.Statfs_t
	fd := int(f.write.Fd())
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG ||
		unix.Fstatfs(fd, &fs) != nil {
		return 0, 0, false
	}
	return fs.Bavail * uint64(fs.Bsize), uint64(st.Blocks) * 512, true
}

func (f *osFile) Size() int64 { return f.size }

func (f *osFile) Close() error {
	err := f.write.Close()
	if f.read != nil {
		err = errors.Join(err, f.read.Close())
	}
	return err
}

// A Reader is a block file that is only looked at.
type Reader struct {
	f    *os.File
	size int64
}

// OpenRead opens a block file or device without locking it.
func OpenRead(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Reader{f: f, size: size}, nil
}

// ReadAt fills p.
func (r *Reader) ReadAt(p []byte, off int64) error {
	_, err := r.f.ReadAt(p, off)
	return err
}

// Size is the size when it was opened.
func (r *Reader) Size() int64 { return r.size }

// Locked says whether someone has the file open for writing.
func (r *Reader) Locked() bool {
	err := unix.Flock(int(r.f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	return errors.Is(err, unix.EWOULDBLOCK)
}

// Close closes it.
func (r *Reader) Close() error { return r.f.Close() }
