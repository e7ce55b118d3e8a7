package disk

import (
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
	size     int64
	now      []*block // what reads see
	stable   []*block // what was synced
	unsynced []simWrite
	hook     func(Call) error
	open     bool
}

// A block is never changed, so that disks share it; nil is zeros.
type block [BlockBytes]byte

type simWrite struct {
	at   int64 // block
	data []*block
}

// NewSim returns a disk of zero bytes.
func NewSim(size int64) *Sim {
	n := (size + BlockBytes - 1) / BlockBytes
	return &Sim{size: size, now: make([]*block, n), stable: make([]*block, n)}
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
	if off < 0 || off+int64(len(p)) > d.size {
		return fmt.Errorf("read %d bytes at %d of %d", len(p), off, d.size)
	}
	for len(p) > 0 {
		n := min(len(p), int(BlockBytes-off%BlockBytes))
		if b := d.now[off/BlockBytes]; b != nil {
			copy(p[:n], b[off%BlockBytes:])
		} else {
			clear(p[:n])
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// WriteVec takes effect for readers at once.
func (d *Sim) WriteVec(bufs [][]byte, off int64) error {
	n := 0
	for _, b := range bufs {
		n += len(b)
	}
	if err := d.call("write", off, n); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if off < 0 || off+int64(n) > d.size || off%BlockBytes != 0 || n%BlockBytes != 0 {
		return fmt.Errorf("write %d bytes at %d of %d", n, off, d.size)
	}
	w := simWrite{off / BlockBytes, blocks(bufs, n)}
	copy(d.now[w.at:], w.data)
	d.unsynced = append(d.unsynced, w)
	return nil
}

// blocks copies n bytes of buffers.
func blocks(bufs [][]byte, n int) []*block {
	list := make([]*block, 0, n/BlockBytes)
	fill := BlockBytes // of the last block
	for _, b := range bufs {
		for len(b) > 0 {
			if fill == BlockBytes {
				list, fill = append(list, new(block)), 0
			}
			m := copy(list[len(list)-1][fill:], b)
			b, fill = b[m:], fill+m
		}
	}
	for i, b := range list {
		if *b == (block{}) {
			list[i] = nil
		}
	}
	return list
}

// Sync makes all writes stable.
func (d *Sim) Sync() error {
	if err := d.call("sync", 0, 0); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.unsynced {
		copy(d.stable[w.at:], w.data)
	}
	d.unsynced = nil
	return nil
}

// Reserve does nothing.
func (d *Sim) Reserve(off, length int64) error { return d.call("reserve", off, int(length)) }

// Host knows of none.
func (d *Sim) Host() (free, given uint64, ok bool) { return 0, 0, false }

// Size is the size given to NewSim.
func (d *Sim) Size() int64 { return d.size }

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
		for i, b := range w.data {
			at := &img[w.at+int64(i)]
			switch keep {
			case 0:
			case 1:
				*at = b
			default:
				*at = tear(rng, *at, b)
			}
		}
	}
	return &Sim{size: d.size, now: img, stable: slices.Clone(img)}
}

// tear is a block of which a write has come to the disk in part.
func tear(rng *rand.Rand, before, after *block) *block {
	var from, torn block
	if before != nil {
		torn = *before
	}
	if after != nil {
		from = *after
	}
	for at := 0; at < BlockBytes; at += SectorBytes {
		switch {
		case rng.IntN(2) == 0:
			copy(torn[at:], from[at:at+SectorBytes])
		case rng.IntN(8) == 0:
			copy(torn[at:], from[at:at+rng.IntN(SectorBytes)])
		}
	}
	return &torn
}

// Clone returns a disk with the content that readers see now, all of it stable.
func (d *Sim) Clone() *Sim {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &Sim{size: d.size, now: slices.Clone(d.now), stable: slices.Clone(d.now)}
}

// Flip inverts one bit of the stable content, as a rotting disk does.
func (d *Sim) Flip(off int64, bit uint) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := off / BlockBytes
	var b block
	if d.now[at] != nil {
		b = *d.now[at]
	}
	b[off%BlockBytes] ^= 1 << (bit & 7)
	d.now[at], d.stable[at] = &b, &b
}
