package disk

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
)

// SectorBytes is what a disk writes at once; a crash can tear anything larger, and this too.
const SectorBytes = 512

// ErrInjected is the failure that a test asked for.
var ErrInjected = errors.New("injected disk failure")

// A Call is one access to a Sim, as its hook sees it.
type Call struct {
	Kind string // "read", "write", "sync", "reserve"
	Off  int64
	Len  int
}

// A Sim is a disk in memory that knows which writes were synced. Its hook sees every call before
// it takes effect and may fail it.
type Sim struct {
	mu       sync.Mutex
	now      []byte // what reads see
	stable   []byte // what was synced
	unsynced []simWrite
	hook     func(Call) error
	open     bool
}

type simWrite struct {
	off  int64
	data []byte
}

// NewSim returns a disk of zero bytes.
func NewSim(size int64) *Sim {
	return &Sim{now: make([]byte, size), stable: make([]byte, size)}
}

// SetHook has every later call pass through h, which runs without the disk's lock.
func (d *Sim) SetHook(h func(Call) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hook = h
}

// Open takes the disk, as disk.Open does for a file.
func (d *Sim) Open() (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open {
		return nil, ErrLocked
	}
	d.open = true
	return d, nil
}

func (d *Sim) call(kind string, off int64, n int) error {
	d.mu.Lock()
	h := d.hook
	d.mu.Unlock()
	if h == nil {
		return nil
	}
	return h(Call{Kind: kind, Off: off, Len: n})
}

// ReadAt returns the latest writes, synced or not.
func (d *Sim) ReadAt(p []byte, off int64) error {
	if err := d.call("read", off, len(p)); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if off < 0 || off+int64(len(p)) > int64(len(d.now)) {
		return fmt.Errorf("read %d bytes at %d of %d", len(p), off, len(d.now))
	}
	copy(p, d.now[off:])
	return nil
}

// WriteVec takes effect for readers at once.
func (d *Sim) WriteVec(bufs [][]byte, off int64) error {
	data := bytes.Join(bufs, nil)
	if err := d.call("write", off, len(data)); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if off < 0 || off+int64(len(data)) > int64(len(d.now)) ||
		off%BlockBytes != 0 || len(data)%BlockBytes != 0 {
		return fmt.Errorf("write %d bytes at %d of %d", len(data), off, len(d.now))
	}
	copy(d.now[off:], data)
	d.unsynced = append(d.unsynced, simWrite{off, data})
	return nil
}

// Sync makes all writes stable.
func (d *Sim) Sync() error {
	if err := d.call("sync", 0, 0); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.unsynced {
		copy(d.stable[w.off:], w.data)
	}
	d.unsynced = nil
	return nil
}

// Reserve does nothing.
func (d *Sim) Reserve(off, length int64) error { return d.call("reserve", off, int(length)) }

// Host knows of none.
func (d *Sim) Host() (free, given uint64, ok bool) { return 0, 0, false }

// Size is the size given to NewSim.
func (d *Sim) Size() int64 { return int64(len(d.now)) }

// Close lets the next opener in.
func (d *Sim) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = false
	return nil
}

// Unsynced is the number of writes since the last sync.
func (d *Sim) Unsynced() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.unsynced)
}

// Crash returns a disk as it could be found after a power cut now: what was synced, and of each
// later write any subset of its sectors, each whole or torn.
func (d *Sim) Crash(rng *rand.Rand) *Sim {
	d.mu.Lock()
	defer d.mu.Unlock()
	img := slices.Clone(d.stable)
	keep := rng.IntN(5) // all lost, all kept, or a mix
	for _, w := range d.unsynced {
		for at := 0; at < len(w.data); at += SectorBytes {
			sector := w.data[at : at+SectorBytes]
			switch {
			case keep == 0:
			case keep == 1, rng.IntN(2) == 0:
				copy(img[w.off+int64(at):], sector)
			case rng.IntN(8) == 0:
				cut := rng.IntN(SectorBytes)
				copy(img[w.off+int64(at):], sector[:cut])
			}
		}
	}
	return &Sim{now: img, stable: slices.Clone(img)}
}

// Clone returns a disk with the content that readers see now, all of it stable.
func (d *Sim) Clone() *Sim {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &Sim{now: slices.Clone(d.now), stable: slices.Clone(d.now)}
}

// Flip inverts one bit of the stable content, as a rotting disk does.
func (d *Sim) Flip(off int64, bit uint) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now[off] ^= 1 << (bit & 7)
	d.stable[off] = d.now[off]
}
