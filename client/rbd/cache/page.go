package cache

import (
	"container/list"
	"context"
	"time"
)

// Data are held in pages, of which each sector may be there or not, and dirty or not.
const (
	pageBytes   = 4096
	sectorBytes = 512
)

// A page is a piece of the disk at n × pageBytes. The bits of its masks are sectors: those that are
// dirty or being written are valid.
type page struct {
	n                     uint64
	data                  [pageBytes]byte
	valid, dirty, writing uint8
	seq                   uint64    // of the oldest write that made it dirty
	since                 time.Time // ... and when
	in                    *list.List
	elem                  *list.Element
}

// An extent is the bytes [begin, end).
type extent struct{ begin, end uint64 }

func (r extent) overlaps(o extent) bool { return r.begin < o.end && o.begin < r.end }

// aligned says whether an extent consists of sectors, of which that at the end of the disk may be
// short.
func (r extent) aligned(size uint64) bool {
	return r.begin%sectorBytes == 0 && (r.end%sectorBytes == 0 || r.end == size)
}

// pages calls f for every page of an extent: which bytes of it, and where they are in the extent.
func (r extent) pages(f func(n uint64, in extent, at uint64)) {
	for at := r.begin; at < r.end; {
		n := at / pageBytes
		end := min(r.end, (n+1)*pageBytes)
		f(n, extent{at - n*pageBytes, end - n*pageBytes}, at-r.begin)
		at = end
	}
}

// sectors are those that bytes of a page touch, whole those that they cover.
func sectors(in extent) uint8 {
	return mask(in.begin/sectorBytes, (in.end+sectorBytes-1)/sectorBytes)
}

func whole(in extent) uint8 {
	return mask((in.begin+sectorBytes-1)/sectorBytes, in.end/sectorBytes)
}

func mask(begin, end uint64) uint8 {
	if begin >= end {
		return 0
	}
	return uint8(1<<end - 1<<begin)
}

// page is a page that is there from now on.
func (c *Cache) page(n uint64) *page {
	q := c.pages[n]
	if q == nil {
		q = &page{n: n}
		c.pages[n] = q
	}
	return q
}

func (c *Cache) unlist(q *page) {
	if q.in != nil {
		q.in.Remove(q.elem)
	}
	if q.in == c.dirty {
		span := c.spanOf(q.n)
		if delete(c.bySpan[span], q.n); len(c.bySpan[span]) == 0 {
			delete(c.bySpan, span)
		}
	}
	q.in, q.elem = nil, nil
}

// listDirty puts a page among the dirty ones, before another or last.
func (c *Cache) listDirty(q *page, before *list.Element) {
	if q.in = c.dirty; before == nil {
		q.elem = c.dirty.PushBack(q)
	} else {
		q.elem = c.dirty.InsertBefore(q, before)
	}
	span := c.spanOf(q.n)
	if c.bySpan[span] == nil {
		c.bySpan[span] = map[uint64]*page{}
	}
	c.bySpan[span][q.n] = q
}

// spanOf is the span that a page is in.
func (c *Cache) spanOf(n uint64) uint64 { return n / (c.spanBytes() / pageBytes) }

// spanBytes is what one write is good for, at least a page.
func (c *Cache) spanBytes() uint64 { return max(c.disk.SpanBytes(), pageBytes) }

func (c *Cache) drop(q *page) {
	c.unlist(q)
	delete(c.pages, q.n)
}

// used puts a page that is clean where it goes last, or drops it if it holds nothing.
func (c *Cache) used(q *page) {
	switch {
	case q.dirty != 0:
	case q.writing != 0:
		c.unlist(q)
	case q.valid == 0:
		c.drop(q)
	case q.in == c.clean:
		c.clean.MoveToBack(q.elem)
	default:
		c.unlist(q)
		q.in, q.elem = c.clean, c.clean.PushBack(q)
	}
}

// cleaned takes what is on the disk off a page's dirty sectors.
func (c *Cache) cleaned(q *page, mask uint8) {
	was := q.dirty|q.writing != 0
	q.dirty &^= mask
	if was && q.dirty|q.writing == 0 {
		c.nDirty--
	}
	c.used(q)
}

// free makes room for some more pages, by dropping others that are clean; false if there is none.
func (c *Cache) free(n int, except extent) bool {
	limit := int(c.o.SizeBytes / pageBytes)
	for e := c.clean.Front(); e != nil && len(c.pages)+n > limit; {
		q := e.Value.(*page)
		e = e.Next()
		at := extent{q.n * pageBytes, (q.n + 1) * pageBytes}
		if !at.overlaps(except) && !c.pinned(at) {
			c.drop(q)
		}
	}
	return len(c.pages)+n <= limit
}

// A span is a range that somebody works on. While it is barred nobody else may touch it; otherwise
// others may read, and write to memory.
type span struct {
	extent
	want   extent // what is read, without the rest of its pages
	barred bool
	load   bool // what is read comes into the cache
}

// span notes that somebody reads a range.
func (c *Cache) span(r extent, load bool) *span {
	s := &span{extent: r.rounded(), want: r, load: load}
	c.active[s] = struct{}{}
	return s
}

// rounded is an extent with the rest of its first and last page. Spans are rounded: a page is not
// dropped while somebody works on any part of it.
func (r extent) rounded() extent {
	return extent{r.begin / pageBytes * pageBytes, (r.end + pageBytes - 1) / pageBytes * pageBytes}
}

// barred says whether somebody bars a range.
func (c *Cache) barred(r extent) bool {
	for s := range c.active {
		if s.barred && s.overlaps(r) {
			return true
		}
	}
	return false
}

// pinned says whether somebody works on a range, so that its pages have to stay.
func (c *Cache) pinned(r extent) bool {
	for s := range c.active {
		if s.overlaps(r) {
			return true
		}
	}
	return false
}

// bar waits until nobody works on a range and nothing of it is being written, and keeps it so.
func (c *Cache) bar(ctx context.Context, r extent) (*span, error) {
	r = r.rounded()
	for c.pinned(r) || c.written(r) {
		if err := c.wait(ctx); err != nil {
			return nil, err
		}
	}
	s := &span{extent: r, barred: true}
	c.active[s] = struct{}{}
	return s, nil
}

func (c *Cache) unbar(s *span) {
	c.leave(s)
	c.kick()
}

// leave ends the work on a span.
func (c *Cache) leave(s *span) {
	delete(c.active, s)
	c.wake()
}

// written says whether a part of a range is on its way to the disk.
func (c *Cache) written(r extent) bool {
	for w := range c.runs {
		for _, p := range w.parts {
			if r.overlaps(extent{p.Off, p.Off + uint64(len(p.P))}) {
				return true
			}
		}
	}
	return false
}
