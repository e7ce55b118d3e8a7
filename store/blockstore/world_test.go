package blockstore

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"glue/store/disk"
)

// world is the disk and the database's file system of one store, between whose calls the power
// can be cut, at one instant for both.
type world struct {
	mu  sync.Mutex
	sim *disk.Sim
	fs  *vfs.MemFS
	// step, if set, sees every call that changes something, before it takes effect, with the lock
	// held. Its error fails the call.
	step func(kind string) error
	down bool // every later call fails

	acked atomic.Int64 // transactions whose done was called
}

var errDown = errors.New("the power is off")

func newWorld(size int64) *world {
	return &world{sim: disk.NewSim(size), fs: vfs.NewCrashableMem()}
}

// do runs one call.
func (w *world) do(kind string, f func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return errDown
	}
	if w.step != nil {
		if err := w.step(kind); err != nil {
			return err
		}
	}
	return f()
}

// crash returns the world as it may be found after a power cut now. Lock held.
func (w *world) crash(rng *rand.Rand) *world {
	n := &world{sim: w.sim.Crash(rng)}
	percent := []int{0, 50, 100}[rng.IntN(3)]
	n.fs = w.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
	n.acked.Store(w.acked.Load())
	return n
}

// cut turns the power off and returns what is found afterwards.
func (w *world) cut(rng *rand.Rand) *world {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = true
	return w.crash(rng)
}

func (w *world) options(o Options) Options {
	o.Disk = func() (disk.File, error) {
		f, err := w.sim.Open()
		return &worldFile{f, w}, err
	}
	o.KVFS = &worldFS{w.fs, w}
	return o
}

type worldFile struct {
	disk.File
	w *world
}

func (f *worldFile) WriteVec(bufs [][]byte, off int64) error {
	return f.w.do("write", func() error { return f.File.WriteVec(bufs, off) })
}

func (f *worldFile) Sync() error { return f.w.do("sync", f.File.Sync) }

func (f *worldFile) ReadAt(p []byte, off int64) error {
	return f.w.do("read", func() error { return f.File.ReadAt(p, off) })
}

// worldFS passes what changes the file system through the world.
type worldFS struct {
	vfs.FS
	w *world
}

func (f *worldFS) file(kind string, open func() (vfs.File, error)) (file vfs.File, err error) {
	err = f.w.do(kind, func() error {
		file, err = open()
		return err
	})
	if err != nil {
		return nil, err
	}
	sync := "kv sync"
	if kind == "kv opendir" {
		sync = "kv dirsync"
	}
	return &worldKVFile{file, f.w, sync}, nil
}

func (f *worldFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file("kv create", func() (vfs.File, error) { return f.FS.Create(name, c) })
}

func (f *worldFS) OpenReadWrite(
	name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption,
) (vfs.File, error) {
	return f.file("kv open", func() (vfs.File, error) {
		return f.FS.OpenReadWrite(name, c, opts...)
	})
}

func (f *worldFS) ReuseForWrite(a, b string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file("kv reuse", func() (vfs.File, error) { return f.FS.ReuseForWrite(a, b, c) })
}

func (f *worldFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.file("kv open", func() (vfs.File, error) { return f.FS.Open(name, opts...) })
}

func (f *worldFS) OpenDir(name string) (vfs.File, error) {
	return f.file("kv opendir", func() (vfs.File, error) { return f.FS.OpenDir(name) })
}

func (f *worldFS) Link(a, b string) error {
	return f.w.do("kv link", func() error { return f.FS.Link(a, b) })
}

func (f *worldFS) Rename(a, b string) error {
	return f.w.do("kv rename", func() error { return f.FS.Rename(a, b) })
}

func (f *worldFS) Remove(name string) error {
	return f.w.do("kv remove", func() error { return f.FS.Remove(name) })
}

func (f *worldFS) MkdirAll(dir string, perm os.FileMode) error {
	return f.w.do("kv mkdir", func() error { return f.FS.MkdirAll(dir, perm) })
}

func (f *worldFS) Lock(name string) (io.Closer, error) { return f.FS.Lock(name) }

func (f *worldFS) Unwrap() vfs.FS { return f.FS }

type worldKVFile struct {
	vfs.File
	w    *world
	sync string // kind of its syncs
}

func (f *worldKVFile) Write(p []byte) (n int, err error) {
	err = f.w.do("kv write", func() error {
		n, err = f.File.Write(p)
		return err
	})
	return n, err
}

func (f *worldKVFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.w.do("kv write", func() error {
		n, err = f.File.WriteAt(p, off)
		return err
	})
	return n, err
}

func (f *worldKVFile) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.w.do("kv read", func() error {
		n, err = f.File.ReadAt(p, off)
		return err
	})
	return n, err
}

func (f *worldKVFile) Sync() error     { return f.w.do(f.sync, f.File.Sync) }
func (f *worldKVFile) SyncData() error { return f.w.do(f.sync, f.File.SyncData) }

func (f *worldKVFile) SyncTo(n int64) (full bool, err error) {
	err = f.w.do(f.sync, func() error {
		full, err = f.File.SyncTo(n)
		return err
	})
	return full, err
}

// seqKey counts the transactions of a history within the store.
const seqKey = "history"

func encodeSeq(n int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

func decodeSeq(b []byte) int {
	if len(b) != 8 {
		return 0
	}
	return int(binary.BigEndian.Uint64(b))
}
