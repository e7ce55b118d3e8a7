package cache

import (
	"context"
	"errors"
	"fmt"
	"io"

	"glue/ceph"
)

// Read fills p from off on. At the end of the disk it is short with io.EOF.
func (c *Cache) Read(ctx context.Context, p []byte, off int64) (int, error) {
	size := c.disk.Size()
	switch {
	case off < 0:
		return 0, fmt.Errorf("read at %d: %w", off, ceph.EINVAL)
	case uint64(off) >= size:
		return 0, io.EOF
	}
	n := min(uint64(len(p)), size-uint64(off))
	r := extent{uint64(off), uint64(off) + n}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.read(ctx, p[:n], r, size); err != nil {
		return 0, err
	}
	c.readAhead(r, size)
	if n < uint64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

func (c *Cache) read(ctx context.Context, p []byte, r extent, size uint64) error {
	for {
		if c.closed {
			return c.usable()
		}
		if c.copyOut(p, r) {
			c.stats.Hits++
			return nil
		}
		if !c.barred(r) && !c.loading(r) {
			break
		}
		if err := c.wait(ctx); err != nil {
			return err
		}
	}
	c.stats.Misses++
	if c.o.Policy == WriteAround || !c.disk.Keep() || r.end-r.begin > c.o.SizeBytes/4 {
		return c.fetch(ctx, p, c.span(r, false))
	}
	all := r.outward(size)
	buf := p
	if all != r {
		buf = make([]byte, all.end-all.begin)
	}
	if err := c.fetch(ctx, buf, c.span(all, true)); err != nil {
		return err
	}
	if all != r {
		copy(p, buf[r.begin-all.begin:])
	}
	return nil
}

// outward is an extent with the rest of its first and last page, up to the
// end of the disk.
func (r extent) outward(size uint64) extent {
	r = r.rounded()
	return extent{r.begin, min(size, r.end)}
}

// loading says whether a part of a range is on its way into the cache.
func (c *Cache) loading(r extent) bool {
	for s := range c.active {
		if s.load && s.overlaps(r) {
			return true
		}
	}
	return false
}

// copyOut reads from memory if everything is there, and nobody bars it.
func (c *Cache) copyOut(p []byte, r extent) bool {
	if c.barred(r) {
		return false
	}
	there := true
	r.pages(func(n uint64, in extent, _ uint64) {
		q := c.pages[n]
		there = there && q != nil && sectors(in)&^q.valid == 0
	})
	if !there {
		return false
	}
	r.pages(func(n uint64, in extent, at uint64) {
		q := c.pages[n]
		copy(p[at:], q.data[in.begin:in.end])
		c.used(q)
	})
	return true
}

// fetch reads from the disk and puts over it what the cache has that is newer. With keep, what it
// has not is kept. The pages of the range stay meanwhile: what was written, and written back since
// the disk was read, is still there to be put over; after Invalidate the disk is read again.
func (c *Cache) fetch(ctx context.Context, p []byte, s *span) error {
	defer c.leave(s)
	r, n := s.want, 0
	for again := true; again; {
		gen := c.gen
		c.mu.Unlock()
		var err error
		n, err = c.disk.Read(ctx, p, int64(r.begin))
		c.mu.Lock()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		again = gen != c.gen // what has to be put over it may have been forgotten
	}
	clear(p[n:])
	absent := 0
	r.pages(func(n uint64, _ extent, _ uint64) {
		if c.pages[n] == nil {
			absent++
		}
	})
	keep := s.load && c.disk.Keep() && c.free(absent, r)
	r.pages(func(n uint64, in extent, at uint64) {
		q := c.pages[n]
		if q == nil && keep {
			q = c.page(n)
		}
		if q != nil {
			c.lay(q, in, p[at:], keep)
		}
	})
	return nil
}

// lay puts a page's data over what was read, and keeps of that what the page has not.
func (c *Cache) lay(q *page, in extent, p []byte, keep bool) {
	for k := in.begin / sectorBytes; k*sectorBytes < in.end; k++ {
		begin, end := max(in.begin, k*sectorBytes), min(in.end, (k+1)*sectorBytes)
		have, part := q.data[begin:end], p[begin-in.begin:end-in.begin]
		if q.valid>>k&1 == 1 {
			copy(part, have)
		} else if keep {
			copy(have, part)
			q.valid |= 1 << k
		}
	}
	c.used(q)
}

// A readAhead sees whether reads are sequential.
type readAhead struct {
	next  uint64 // where the last read ended
	row   int    // reads that began where the one before them ended
	bytes uint64 // read altogether
	at    uint64 // up to where has been read ahead
	size  uint64 // of the next one
	busy  bool
}

// readAhead reads ahead, on a goroutine of its own, when a read and those before it were in a row.
func (c *Cache) readAhead(r extent, size uint64) {
	a := &c.ahead
	if c.o.ReadAheadBytes == 0 || c.o.ReadAheadUpTo > 0 && a.bytes >= c.o.ReadAheadUpTo {
		return
	}
	a.bytes += r.end - r.begin
	if r.begin != a.next {
		a.row, a.size, a.at = 0, 0, 0
	}
	a.next = r.end
	if a.row++; a.row < c.o.ReadAheadRequests || a.busy || c.closed || !c.disk.Keep() {
		return
	}
	a.at = max(a.at, r.end)
	if a.at-r.end > a.size/2 || a.at >= size { // half of it is still to be read
		return
	}
	a.size = min(max(2*a.size, 4*(r.end-r.begin), 64<<10), c.o.ReadAheadBytes, c.o.SizeBytes/4)
	ahead := extent{(a.at + pageBytes - 1) / pageBytes * pageBytes, a.at + a.size}.outward(size)
	if ahead.begin >= ahead.end || c.barred(ahead) {
		return
	}
	a.at, a.busy = ahead.end, true
	c.stats.ReadAheadBytes += ahead.end - ahead.begin
	s := c.span(ahead, true)
	go func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		// Whoever reads what could not be read sees the error.
		_ = c.fetch(c.ctx, make([]byte, ahead.end-ahead.begin), s)
		a.busy = false
		c.wake()
	}()
}
