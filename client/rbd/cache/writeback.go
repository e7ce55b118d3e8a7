package cache

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// retryAfter is how long write-back rests after a failure.
const retryAfter = time.Second

// maxParts is how many ranges that do not touch one write has at most.
const maxParts = 64

// A run is some sectors of a span on their way to the disk in one write. What was written here and
// there costs the disk hardly more than if it was one range.
type run struct {
	parts []Part
	seq   uint64 // the oldest of their pages'
	since time.Time
	pages []*page
}

// kick begins what is due to be written back.
func (c *Cache) kick() {
	for !c.closed && len(c.runs) < writers && c.due() {
		w := c.gather()
		if w == nil {
			return
		}
		c.start(w)
	}
}

func (c *Cache) start(w *run) {
	c.runs[w] = struct{}{}
	c.stats.WriteBacks++
	for _, p := range w.parts {
		c.stats.WrittenBack += uint64(len(p.P))
	}
	go c.writeRun(w)
}

// settle is bar of a range of which nothing is dirty.
func (c *Cache) settle(ctx context.Context, r extent) (*span, error) {
	c.failed, c.pause = nil, time.Time{}
	for {
		dirty := false
		r.rounded().pages(func(n uint64, _ extent, _ uint64) {
			const per = pageBytes / sectorBytes
			for at := n * per; at < (n+1)*per; at++ {
				if c.ready(at) {
					c.start(c.take(at))
				}
			}
		})
		s, err := c.bar(ctx, r)
		if err != nil {
			return nil, err
		}
		c.each(s.extent, func(q *page, _ extent) { dirty = dirty || q.dirty != 0 })
		if !dirty {
			return s, nil
		}
		c.leave(s)
		if err := cmp.Or(c.usable(), c.failed); err != nil {
			return nil, err
		}
	}
}

// tick is kick by the clock.
func (c *Cache) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kick()
}

// due says whether the oldest page is to be written now, and sets the clock if that is later.
func (c *Cache) due() bool {
	e := c.dirty.Front()
	if e == nil {
		return false
	}
	now, at := time.Now(), e.Value.(*page).since.Add(c.o.MaxDirtyAge)
	if c.urgent > 0 || c.o.Policy == WriteAround ||
		uint64(c.nDirty)*pageBytes > c.o.TargetDirtyBytes {
		at = now
	}
	if at.Before(c.pause) {
		at = c.pause
	}
	if wait := at.Sub(now); wait > 0 {
		c.timer.Reset(wait)
		return false
	}
	return true
}

// gather takes the oldest dirty sectors that can be written, with their neighbours.
func (c *Cache) gather() *run {
	for e := c.dirty.Front(); e != nil; e = e.Next() {
		q := e.Value.(*page)
		for k := uint64(0); k < pageBytes/sectorBytes; k++ {
			if at := q.n*pageBytes/sectorBytes + k; c.ready(at) {
				return c.take(at)
			}
		}
	}
	return nil
}

// ready says whether a sector is dirty and can be written: its page is not on its way already, and
// nobody bars it.
func (c *Cache) ready(sector uint64) bool {
	const per = pageBytes / sectorBytes
	q := c.pages[sector/per]
	return q != nil && q.writing == 0 && q.dirty>>(sector%per)&1 == 1 &&
		!c.barred(extent{q.n * pageBytes, (q.n + 1) * pageBytes})
}

// take makes a run of a sector and what is ready of its span: what is next to it first, as far as
// there is room for parts.
func (c *Cache) take(sector uint64) *run {
	const per = pageBytes / sectorBytes
	w := &run{seq: c.seq}
	c.part(w, sector)
	for _, n := range slices.Sorted(maps.Keys(c.bySpan[c.spanOf(sector/per)])) {
		for k := uint64(0); k < per && len(w.parts) < maxParts; k++ {
			if c.ready(n*per + k) {
				c.part(w, n*per+k)
			}
		}
	}
	slices.SortFunc(w.parts, func(a, b Part) int { return cmp.Compare(a.Off, b.Off) })
	return w
}

// part adds a sector and the ready ones next to it to a run.
func (c *Cache) part(w *run, sector uint64) {
	span := c.spanBytes() / sectorBytes
	low := sector / span * span
	begin, end := sector, sector+1
	for begin > low && c.ready(begin-1) {
		begin--
	}
	for end < low+span && c.ready(end) {
		end++
	}
	r := extent{begin * sectorBytes, end * sectorBytes}
	data := make([]byte, r.end-r.begin)
	r.pages(func(n uint64, in extent, at uint64) {
		q := c.pages[n]
		copy(data[at:], q.data[in.begin:in.end])
		w.pages = append(w.pages, q)
		if q.seq <= w.seq {
			w.seq, w.since = q.seq, q.since
		}
		q.writing = whole(in)
		if q.dirty &^= q.writing; q.dirty == 0 {
			c.unlist(q)
		}
	})
	size := c.disk.Size()
	if data = data[:min(r.end, max(size, r.begin))-r.begin]; len(data) > 0 {
		w.parts = append(w.parts, Part{r.begin, data})
	}
}

// writeRun writes a run, and says so.
func (c *Cache) writeRun(w *run) {
	var err error
	if len(w.parts) > 0 {
		err = c.disk.WriteParts(c.ctx, w.parts)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.runs, w)
	if err != nil {
		c.failed = fmt.Errorf("write back %d bytes at %d: %w", len(w.parts[0].P), w.parts[0].Off,
			err)
		c.pause = time.Now().Add(retryAfter)
	} else {
		c.failed = nil
	}
	for _, q := range w.pages {
		if err != nil && c.lost == nil {
			c.again(q, w)
		} else {
			c.landed(q)
		}
	}
	c.wake()
	c.kick()
}

// landed takes a page in whose write has ended.
func (c *Cache) landed(q *page) {
	if q.writing = 0; q.dirty == 0 {
		c.nDirty--
	}
	at := extent{q.n * pageBytes, (q.n + 1) * pageBytes}
	if c.o.Policy == WriteAround && q.dirty == 0 && !c.pinned(at) {
		q.valid = 0
	}
	c.used(q)
}

// again puts a page back among the dirty ones, in the order of their writes.
func (c *Cache) again(q *page, w *run) {
	if q.dirty == 0 || q.seq > w.seq {
		q.seq, q.since = w.seq, w.since
	}
	q.dirty |= q.writing
	q.writing = 0
	c.unlist(q)
	e := c.dirty.Front()
	for e != nil && e.Value.(*page).seq <= q.seq {
		e = e.Next()
	}
	c.listDirty(q, e)
}

// older says whether a write up to some number is not durable yet.
func (c *Cache) older(seq uint64) bool {
	for w := range c.runs {
		if w.seq <= seq {
			return true
		}
	}
	e := c.dirty.Front()
	return e != nil && e.Value.(*page).seq <= seq
}

// Flush returns nil when every write that returned before is durable. What failed to be written
// back is tried again at once; if it fails again that is the error, and it is tried again later.
func (c *Cache) Flush(ctx context.Context) error {
	c.mu.Lock()
	c.through = false
	c.mu.Unlock()
	return c.Drain(ctx)
}

// Drain is Flush on behalf of the disk's owner.
func (c *Cache) Drain(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	seq := c.seq
	c.failed, c.pause = nil, time.Time{}
	c.urgent++
	defer func() { c.urgent-- }()
	for {
		switch {
		case c.lost != nil:
			return c.lost
		case !c.older(seq):
			return nil
		case c.closed:
			return c.usable()
		case c.failed != nil:
			return c.failed
		}
		c.kick()
		if err := c.wait(ctx); err != nil {
			return fmt.Errorf("flush: %w", err)
		}
	}
}

// Abandon gives up what is dirty, because it must not be written any more. Every later call fails.
func (c *Cache) Abandon(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nDirty > 0 && c.lost == nil {
		c.lost = fmt.Errorf("%d bytes that were not flushed are lost: %w",
			uint64(c.nDirty)*pageBytes, why)
	}
	for _, q := range c.pages {
		if q.dirty != 0 {
			q.valid &^= q.dirty
			c.cleaned(q, q.dirty)
		}
	}
	c.wake()
}
