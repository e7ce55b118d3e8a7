package cache

import (
	"container/list"
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// A Disk is what a Cache lies in front of.
type Disk interface {
	// Read fills p from off on; at the end of the disk it is short with io.EOF.
	Read(ctx context.Context, p []byte, off int64) (int, error)
	// Write returns when p is durable. The cache holds the disk, or the disk waits for Drain.
	Write(ctx context.Context, p []byte, off int64) (int, error)
	// WriteParts is Write of several ranges within one span, ascending. If it fails any of them may
	// have been written.
	WriteParts(ctx context.Context, parts []Part) error
	// Hold makes sure that the range may be written until release is called: that it is within the
	// disk, and that nobody else writes or takes a snapshot.
	Hold(ctx context.Context, off int64, length uint64) (release func(), err error)
	// Size is the disk's size in bytes, SpanBytes the unit that one write is best within.
	Size() uint64
	SpanBytes() uint64
	// Keep says whether what is read may be kept: that nobody else can write now.
	Keep() bool
}

// A Part is some bytes and where on the disk they are.
type Part struct {
	Off uint64
	P   []byte
}

// A Policy says what is held.
type Policy uint8

// The policies (rbd_cache_policy).
const (
	WriteBack    Policy = iota // writes return at once, and are kept for reads, as reads are
	WriteAround                // writes return at once; nothing is kept for reads
	WriteThrough               // writes return when they are durable; they and reads are kept
)

// Options are what a cache does; each has the name of librbd's option behind it.
type Options struct {
	Policy Policy // rbd_cache_policy
	// UntilFlush writes through until the first flush: who never flushes does not know of caches
	// (rbd_cache_writethrough_until_flush).
	UntilFlush       bool
	SizeBytes        uint64        // rbd_cache_size
	MaxDirtyBytes    uint64        // where a writer waits, 0 writes through (rbd_cache_max_dirty)
	TargetDirtyBytes uint64        // what is above it is written back (rbd_cache_target_dirty)
	MaxDirtyAge      time.Duration // ... and what is older (rbd_cache_max_dirty_age)

	ReadAheadRequests int    // in a row that begin it (rbd_readahead_trigger_requests)
	ReadAheadBytes    uint64 // the most at once, 0 for none (rbd_readahead_max_bytes)
	// ReadAheadUpTo is how many bytes are read until it ends, as a guest reads ahead itself by
	// then; 0 for never (rbd_readahead_disable_after_bytes).
	ReadAheadUpTo uint64
}

// Defaults are librbd's of Ceph 16.2, but for the policy, which is write-back instead of
// write-around: neighbouring small writes become one, and what was written is read from memory.
func Defaults() Options {
	return Options{Policy: WriteBack, UntilFlush: true, SizeBytes: 32 << 20,
		MaxDirtyBytes: 24 << 20, TargetDirtyBytes: 16 << 20, MaxDirtyAge: time.Second,
		ReadAheadRequests: 10, ReadAheadBytes: 512 << 10, ReadAheadUpTo: 50 << 20}
}

// writers is how many writes of the cache are under way at most.
const writers = 32

// Stats say what a cache has done.
type Stats struct {
	Hits, Misses   uint64 // reads
	ReadAheadBytes uint64
	WriteBacks     uint64 // writes to the disk by the cache
	WrittenBack    uint64 // bytes
	HeldBytes      uint64 // now
	DirtyBytes     uint64 // now, those on their way included
}

// A Cache is one; see New.
type Cache struct {
	disk Disk
	o    Options
	ctx  context.Context // of what the cache does on its own
	stop context.CancelFunc

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when anything has changed that is waited for
	pages   map[uint64]*page
	clean   *list.List                  // pages that may go, the one used longest ago first
	dirty   *list.List                  // pages to be written, by the age of their oldest write
	bySpan  map[uint64]map[uint64]*page // ... by span and number
	nDirty  int                         // pages that are dirty or being written
	seq     uint64                      // of the last write
	runs    map[*run]struct{}
	active  map[*span]struct{}
	urgent  int // who waits for write-back: flushes, and writers without room
	timer   *time.Timer
	failed  error     // of the last write-back, until one succeeds or a Flush tells
	pause   time.Time // no write-back before, unless it is urgent
	lost    error     // data were given up
	gen     uint64    // counts invalidations
	through bool      // no flush has been seen yet
	closed  bool
	ahead   readAhead
	stats   Stats
}

// New puts a cache in front of a disk.
func New(d Disk, o Options) *Cache {
	o.SizeBytes = max(o.SizeBytes, 16*pageBytes)
	o.MaxDirtyBytes = min(o.MaxDirtyBytes, o.SizeBytes-4*pageBytes)
	o.TargetDirtyBytes = min(o.TargetDirtyBytes, o.MaxDirtyBytes)
	ctx, stop := context.WithCancel(context.Background())
	c := &Cache{disk: d, o: o, ctx: ctx, stop: stop, changed: make(chan struct{}),
		pages: map[uint64]*page{}, clean: list.New(), dirty: list.New(),
		bySpan: map[uint64]map[uint64]*page{},
		runs:   map[*run]struct{}{}, active: map[*span]struct{}{}, through: o.UntilFlush}
	c.timer = time.AfterFunc(time.Hour, c.tick)
	return c
}

// wake tells everybody who waits.
func (c *Cache) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// wait gives c.mu up until something has changed.
func (c *Cache) wait(ctx context.Context) error {
	changed := c.changed
	c.mu.Unlock()
	defer c.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Write puts p at off. Unless the cache writes through it is not durable before Flush.
func (c *Cache) Write(ctx context.Context, p []byte, off int64) (int, error) {
	return c.write(ctx, p, off, false)
}

// WriteDurable is Write that returns when p is durable (FUA).
func (c *Cache) WriteDurable(ctx context.Context, p []byte, off int64) (int, error) {
	return c.write(ctx, p, off, true)
}

func (c *Cache) write(ctx context.Context, p []byte, off int64, durable bool) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	release, err := c.disk.Hold(ctx, off, uint64(len(p)))
	if err != nil {
		return 0, err
	}
	defer release()
	r := extent{uint64(off), uint64(off) + uint64(len(p))}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usable(); err != nil {
		return 0, err
	}
	direct := durable || c.through || c.o.Policy == WriteThrough ||
		uint64(len(p)) > c.o.MaxDirtyBytes/2 || !r.aligned(c.disk.Size())
	if direct {
		return c.writeThrough(ctx, p, r)
	}
	if err := c.room(ctx, r); err != nil {
		return 0, err
	}
	c.put(p, r)
	c.kick()
	return len(p), nil
}

// usable fails when the cache has lost data or is closed.
func (c *Cache) usable() error {
	if c.closed {
		return fmt.Errorf("the cache is closed: %w", io.ErrClosedPipe)
	}
	return c.lost
}

// room waits until a range may become dirty.
func (c *Cache) room(ctx context.Context, r extent) error {
	c.urgent++
	defer func() { c.urgent-- }()
	for {
		if err := c.usable(); err != nil {
			return err
		}
		if c.barred(r) {
			if err := c.wait(ctx); err != nil {
				return err
			}
			continue
		}
		more, absent := 0, 0
		for n := r.begin / pageBytes; n*pageBytes < r.end; n++ {
			switch p := c.pages[n]; {
			case p == nil:
				absent++
				more++
			case p.dirty|p.writing == 0:
				more++
			}
		}
		if uint64(c.nDirty+more)*pageBytes <= c.o.MaxDirtyBytes && c.free(absent, r) {
			return nil
		}
		if err := c.failed; err != nil { // nothing is going to become free
			return fmt.Errorf("no room for a write, as earlier ones fail: %w", err)
		}
		c.kick()
		if err := c.wait(ctx); err != nil {
			return err
		}
	}
}

// put makes a range dirty that has room.
func (c *Cache) put(p []byte, r extent) {
	c.seq++
	r.pages(func(n uint64, in extent, at uint64) {
		q := c.page(n)
		copy(q.data[in.begin:in.end], p[at:])
		mask := sectors(in)
		if q.dirty|q.writing == 0 {
			c.nDirty++
		}
		if q.valid |= mask; q.dirty == 0 {
			q.seq, q.since = c.seq, time.Now()
			c.unlist(q)
			c.listDirty(q, nil)
		}
		q.dirty |= mask
	})
}

// writeThrough writes p while nobody else touches the range, and keeps it if that is the policy.
func (c *Cache) writeThrough(ctx context.Context, p []byte, r extent) (int, error) {
	s, err := c.bar(ctx, r)
	if err != nil {
		return 0, err
	}
	c.mu.Unlock()
	n, err := c.disk.Write(ctx, p, int64(r.begin))
	c.mu.Lock()
	defer c.unbar(s)
	if err != nil {
		// What is there now is not known: nothing may be read from memory that is not dirty.
		c.forget(r)
		return n, err
	}
	r.pages(func(n uint64, in extent, at uint64) {
		q := c.pages[n]
		if q == nil {
			return
		}
		copy(q.data[in.begin:in.end], p[at:])
		c.cleaned(q, whole(in))
	})
	return n, nil
}

// Change lets do change a range on the disk, durably, while nobody else touches it. fill does the
// same to bytes in memory that begin at some place of the range. Without fill what do does depends
// on what is there: what is dirty is written back before, and nothing is kept.
func (c *Cache) Change(
	ctx context.Context, off, length uint64, do func() error, fill func(p []byte, at uint64),
) error {
	if length == 0 {
		return nil
	}
	release, err := c.disk.Hold(ctx, int64(off), length)
	if err != nil {
		return err
	}
	defer release()
	r := extent{off, off + length}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usable(); err != nil {
		return err
	}
	bar := c.bar
	if fill == nil {
		bar = c.settle
	}
	s, err := bar(ctx, r)
	if err != nil {
		return err
	}
	c.mu.Unlock()
	err = do()
	c.mu.Lock()
	defer c.unbar(s)
	if err != nil || fill == nil {
		c.forget(r)
		return err
	}
	c.each(r, func(q *page, in extent) {
		fill(q.data[in.begin:in.end], q.n*pageBytes+in.begin-off)
		c.cleaned(q, whole(in))
	})
	return nil
}

// forget drops what is clean in a range.
func (c *Cache) forget(r extent) {
	c.each(r, func(q *page, _ extent) { c.forgetClean(q) })
}

func (c *Cache) forgetClean(q *page) {
	if q.valid = q.dirty | q.writing; q.valid == 0 {
		c.drop(q)
	}
}

// each calls f for the pages that there are in a range.
func (c *Cache) each(r extent, f func(q *page, in extent)) {
	if (r.end-r.begin)/pageBytes > uint64(len(c.pages)) {
		for n, q := range c.pages {
			in := extent{max(r.begin, n*pageBytes), min(r.end, (n+1)*pageBytes)}
			if in.begin < in.end {
				f(q, extent{in.begin - n*pageBytes, in.end - n*pageBytes})
			}
		}
		return
	}
	r.pages(func(n uint64, in extent, _ uint64) {
		if q := c.pages[n]; q != nil {
			f(q, in)
		}
	})
}

// Invalidate forgets what is not dirty: somebody else may have written. Reads that are under way
// begin anew.
func (c *Cache) Invalidate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen++
	for _, q := range c.pages {
		c.forgetClean(q)
	}
	c.wake()
}

// Stats are the figures of now.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.HeldBytes = uint64(len(c.pages)) * pageBytes
	s.DirtyBytes = uint64(c.nDirty) * pageBytes
	return s
}

// Close flushes and ends the cache. What cannot be written is lost, which is the error.
func (c *Cache) Close(ctx context.Context) error {
	err := c.Flush(ctx)
	c.mu.Lock()
	c.closed = true
	c.wake()
	c.mu.Unlock()
	c.stop()
	c.timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for (c.ahead.busy || len(c.runs) > 0) && ctx.Err() == nil {
		_ = c.wait(ctx)
	}
	return err
}
