package memdisk

import (
	"hash/fnv"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A Disk is a file system in memory that knows what would be left after the power fails: contents
// that were synced, names in folders that were synced, and of the rest whatever chance keeps.
// Databases on it have goroutines of their own, hence the lock.
type Disk struct {
	mu     sync.Mutex
	now    map[string]*inode // by path, as programs see it
	kept   map[string]*inode // as it would be after a loss of power
	off    bool              // the power is off: nothing that is done from now on is left
	ended  map[string]*inode // as it was when the power went off
	lies   bool              // says that it has synced and has not
	cutIn  int               // the sync, from now, at which the power fails; 0 never
	syncs  int               // since created
	bad    Failing           // what does not work
	badIn  int               // the sync of a log, from now, that fails; 0 never
	hits   int               // how often something failed, since it was made or cloned
	moving bool              // a database writes a table that is not in its manifest yet
}

// An inode is a file or a folder. Files are only ever appended to.
type inode struct {
	dir    bool
	data   []byte
	synced int // how many bytes are durable
	ended  int // how many there were when the power went off
}

// New is an empty disk.
func New() *Disk {
	root := &inode{dir: true}
	return &Disk{now: map[string]*inode{".": root}, kept: map[string]*inode{".": root}}
}

// A Loss is what happens to what was written and not synced.
type Loss int

const (
	KeepAll Loss = iota // the process ends, the operating system goes on
	LoseAll
	TearSome
	Losses
)

const sectorBytes = 512

// Crash takes what was not durable away and switches the power on again. The daemon must have let
// go of the disk. Every path has its own chance: databases remove files in the background, so which
// there are must not decide about the others.
func (d *Disk) Crash(l Loss, seed uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		d.now = d.ended
	}
	all := maps.Clone(d.now)
	maps.Copy(all, d.kept)
	for p := range all {
		after, before := d.now[p], d.kept[p]
		rng := chance(seed, p)
		if after != before && (l == LoseAll || l == TearSome && rng.IntN(2) == 0) {
			after = before
		}
		if delete(d.now, p); after != nil {
			d.now[p] = after
		}
	}
	for p, n := range d.now {
		rng := chance(seed+1, p)
		if d.off && !n.dir {
			n.data = n.data[:min(n.ended, len(n.data))]
		}
		switch {
		case l == LoseAll:
			n.data = n.data[:n.synced]
		case l == TearSome:
			n.tear(rng)
		}
		n.synced = len(n.data)
	}
	d.kept = maps.Clone(d.now)
	d.off, d.ended, d.cutIn, d.moving = false, nil, 0, false
	if d.bad == Full {
		d.badIn = 0
	}
}

func chance(seed uint64, path string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(path))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// tear keeps a beginning of what was not synced, or some of its sectors, with zeros between.
func (n *inode) tear(rng *rand.Rand) {
	tail := len(n.data) - n.synced
	if tail == 0 {
		return
	}
	n.data = n.data[:n.synced+rng.IntN(tail+1)]
	if rng.IntN(2) == 0 {
		return
	}
	for at := n.synced; at < len(n.data); {
		end := min((at/sectorBytes+1)*sectorBytes, len(n.data))
		if rng.IntN(3) == 0 {
			clear(n.data[at:end])
		}
		at = end
	}
}

// Cut switches the power off at once.
func (d *Disk) Cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.powerOff()
}

// powerOff is Cut under mu. A database goes on for a while as if all were well: a file that it
// begins after a sync that never ended would otherwise be left, with the file before it torn.
func (d *Disk) powerOff() {
	if d.off {
		return
	}
	d.off, d.ended = true, maps.Clone(d.now)
	for _, names := range []map[string]*inode{d.now, d.kept} {
		for _, n := range names {
			n.ended = len(n.data)
		}
	}
}

// Started tells that a database is open; from now on the disk may lie.
func (d *Disk) Started(lies bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.moving, d.lies = false, lies
}

// FailIn lets the power fail at a coming sync of a log; 0: not at all.
func (d *Disk) FailIn(syncs int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cutIn = syncs
}

// IsOff says whether the power is.
func (d *Disk) IsOff() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.off
}

// Settled waits until a database has finished what it writes in the background, so that it is not
// left to the order of goroutines what a crash finds. A table that is given up is not waited for.
func (d *Disk) Settled() {
	for range 2000 {
		d.mu.Lock()
		busy := d.moving
		d.mu.Unlock()
		if !busy {
			return
		}
		time.Sleep(20 * time.Microsecond)
	}
	d.mu.Lock()
	d.moving = false
	d.mu.Unlock()
}

func (d *Disk) sync(p string, n *inode) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.badIn > 0 && strings.HasSuffix(p, ".log") {
		if d.badIn--; d.badIn == 0 {
			d.bad = NoWrites // the system has forgotten what it could not write
		}
	}
	if d.bad == NoWrites {
		return d.hit(syscall.EIO)
	}
	d.syncs++
	if strings.HasPrefix(path.Base(p), "MANIFEST") {
		d.moving = false
	}
	if d.cutIn > 0 && strings.HasSuffix(p, ".log") {
		if d.cutIn--; d.cutIn == 0 {
			d.powerOff()
		}
	}
	if d.off || d.lies {
		return nil
	}
	if !n.dir {
		n.synced = len(n.data)
		return nil
	}
	for q := range d.kept {
		if path.Dir(q) == p && d.now[q] == nil {
			delete(d.kept, q)
		}
	}
	for q, m := range d.now {
		if path.Dir(q) == p {
			d.kept[q] = m
		}
	}
	return nil
}

func missing(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// The rest is vfs.FS.

func (d *Disk) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name = path.Clean(name)
	if d.now[path.Dir(name)] == nil {
		return nil, missing("create", name)
	}
	switch d.bad {
	case Full:
		return nil, d.hit(syscall.ENOSPC)
	case NoWrites:
		return nil, d.hit(syscall.EIO)
	}
	n := &inode{}
	d.now[name] = n
	d.moving = d.moving || strings.HasSuffix(name, ".sst")
	return &file{d: d, n: n, path: name}, nil
}

func (d *Disk) Link(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.now[path.Clean(from)]
	if n == nil {
		return missing("link", from)
	}
	d.now[path.Clean(to)] = n
	return nil
}

func (d *Disk) open(name string) (*file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name = path.Clean(name)
	n := d.now[name]
	if n == nil {
		return nil, missing("open", name)
	}
	return &file{d: d, n: n, path: name}, nil
}

func (d *Disk) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.open(name)
	if err != nil {
		return nil, err
	}
	for _, o := range opts {
		o.Apply(f)
	}
	return f, nil
}

func (d *Disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File,
	error) {
	if f, err := d.open(name); err == nil {
		return f, nil
	}
	return d.Create(name, c)
}

func (d *Disk) OpenDir(name string) (vfs.File, error) { return d.Open(name) }

func (d *Disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	name = path.Clean(name)
	if d.now[name] == nil {
		return missing("remove", name)
	}
	delete(d.now, name)
	return nil
}

func (d *Disk) RemoveAll(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	name = path.Clean(name)
	maps.DeleteFunc(d.now, func(p string, _ *inode) bool {
		return p == name || strings.HasPrefix(p, name+"/")
	})
	return nil
}

func (d *Disk) Rename(from, to string) error {
	if err := d.Link(from, to); err != nil {
		return err
	}
	return d.Remove(from)
}

func (d *Disk) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.Remove(from); err != nil {
		return nil, err
	}
	return d.Create(to, c)
}

func (d *Disk) MkdirAll(dir string, _ os.FileMode) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for p := path.Clean(dir); d.now[p] == nil; p = path.Dir(p) {
		d.now[p] = &inode{dir: true}
	}
	return nil
}

type nothing struct{}

func (nothing) Close() error { return nil }

func (d *Disk) Lock(name string) (io.Closer, error) {
	_, err := d.Create(name, vfs.WriteCategoryUnspecified)
	return nothing{}, err
}

func (d *Disk) List(dir string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir = path.Clean(dir)
	if d.now[dir] == nil {
		return nil, missing("list", dir)
	}
	var out []string
	for p := range d.now {
		if p != dir && path.Dir(p) == dir {
			out = append(out, path.Base(p))
		}
	}
	slices.Sort(out)
	return out, nil
}

func (d *Disk) Stat(name string) (vfs.FileInfo, error) {
	f, err := d.open(name)
	if err != nil {
		return nil, err
	}
	return f.Stat()
}

func (d *Disk) PathBase(p string) string       { return path.Base(p) }
func (d *Disk) PathJoin(elem ...string) string { return path.Join(elem...) }
func (d *Disk) PathDir(p string) string        { return path.Dir(p) }
func (d *Disk) Unwrap() vfs.FS                 { return nil }

func (d *Disk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{}, vfs.ErrUnsupported
}

// A file is an open file or folder.
type file struct {
	d    *Disk
	n    *inode
	path string
	at   int
}

func (f *file) Close() error { return nil }

func (f *file) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, int64(f.at))
	if f.at += n; n > 0 {
		err = nil
	}
	return n, err
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	n := 0
	if f.d.bad == NoReads {
		return 0, f.d.hit(syscall.EIO)
	}
	if off < int64(len(f.n.data)) {
		n = copy(p, f.n.data[off:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) Write(p []byte) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	switch f.d.bad {
	case Full: // what there was room for is there
		n := len(p) / 2
		f.n.data = append(f.n.data, p[:n]...)
		return n, f.d.hit(syscall.ENOSPC)
	case NoWrites:
		return 0, f.d.hit(syscall.EIO)
	}
	f.n.data = append(f.n.data, p...)
	return len(p), nil
}

// WriteAt is not supported: nothing that runs here writes in place.
func (f *file) WriteAt([]byte, int64) (int, error) { return 0, fs.ErrInvalid }

func (f *file) Preallocate(int64, int64) error { return nil }

func (f *file) Stat() (vfs.FileInfo, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return info{path.Base(f.path), int64(len(f.n.data)), f.n.dir}, nil
}

func (f *file) Sync() error { return f.d.sync(f.path, f.n) }

func (f *file) SyncTo(int64) (bool, error)  { return false, nil }
func (f *file) SyncData() error             { return f.Sync() }
func (f *file) Prefetch(int64, int64) error { return nil }
func (f *file) Fd() uintptr                 { return vfs.InvalidFd }

// info describes a file.
type info struct {
	name string
	size int64
	dir  bool
}

func (i info) Name() string           { return i.name }
func (i info) Size() int64            { return i.size }
func (i info) ModTime() time.Time     { return time.Time{} }
func (i info) IsDir() bool            { return i.dir }
func (i info) Sys() any               { return nil }
func (i info) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }

func (i info) Mode() os.FileMode {
	if i.dir {
		return os.ModeDir | 0o750
	}
	return 0o640
}
