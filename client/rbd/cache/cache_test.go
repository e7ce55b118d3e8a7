package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var errDisk = errors.New("the disk fails")

// A fake is a disk in memory. A write or discard takes effect some time after it was called, or
// fails.
type fake struct {
	mu      sync.Mutex
	data    []byte
	fails   func(off int64) bool // whether the next write fails
	delay   time.Duration
	writes  []extent
	reads   []extent
	writing map[extent]bool
	noKeep  bool
	torn    bool // two writes of one place at a time
	far     bool // the parts of a write are not of one span, or not apart and ascending
	calls   int
}

func newFake(size int) *fake { return &fake{data: make([]byte, size), writing: map[extent]bool{}} }

// written is what was written so far.
func (f *fake) written() []extent {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.writes)
}

func (f *fake) Read(_ context.Context, p []byte, off int64) (int, error) {
	f.mu.Lock()
	f.reads = append(f.reads, extent{uint64(off), uint64(off) + uint64(len(p))})
	n := copy(p, f.data[off:])
	f.mu.Unlock()
	time.Sleep(f.delay) // what was read is of the beginning
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *fake) change(off int64, n int, to func([]byte)) error {
	return f.changes([]extent{{uint64(off), uint64(off) + uint64(n)}},
		func(_ int, p []byte) { to(p) })
}

// changes is one write of some ranges.
func (f *fake) changes(list []extent, to func(n int, p []byte)) error {
	f.mu.Lock()
	fails := f.fails != nil && f.fails(int64(list[0].begin))
	for n, r := range list {
		for o := range f.writing {
			f.torn = f.torn || o.overlaps(r)
		}
		f.writing[r] = true
		f.writes = append(f.writes, r)
		f.far = f.far || r.begin/f.SpanBytes() != list[0].begin/f.SpanBytes()
		f.far = f.far || n > 0 && r.begin <= list[n-1].end
	}
	f.calls++
	f.mu.Unlock()
	time.Sleep(f.delay)
	f.mu.Lock()
	defer f.mu.Unlock()
	for n, r := range list {
		if delete(f.writing, r); !fails {
			to(n, f.data[r.begin:r.end])
		}
	}
	if fails {
		return errDisk
	}
	return nil
}

func (f *fake) WriteParts(_ context.Context, parts []Part) error {
	var list []extent
	for _, p := range parts {
		list = append(list, extent{p.Off, p.Off + uint64(len(p.P))})
	}
	return f.changes(list, func(n int, to []byte) { copy(to, parts[n].P) })
}

func (f *fake) Write(_ context.Context, p []byte, off int64) (int, error) {
	if err := f.change(off, len(p), func(to []byte) { copy(to, p) }); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (f *fake) Hold(_ context.Context, off int64, n uint64) (func(), error) {
	if uint64(off)+n > f.Size() {
		return nil, errDisk
	}
	return func() {}, nil
}

func (f *fake) Size() uint64      { return uint64(len(f.data)) }
func (f *fake) SpanBytes() uint64 { return 64 << 10 }
func (f *fake) Keep() bool        { return !f.noKeep }

// small is options with which everything happens soon.
func small(p Policy) Options {
	return Options{Policy: p, SizeBytes: 128 << 10, MaxDirtyBytes: 64 << 10,
		TargetDirtyBytes: 32 << 10, MaxDirtyAge: 20 * time.Millisecond,
		ReadAheadRequests: 3, ReadAheadBytes: 32 << 10}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestModel does anything at random from several goroutines, each on a part of the disk of its own
// that begins and ends within a page of its neighbours, with writes that fail now and then. What is
// read is what was written last; after a flush that is what the disk has.
func TestModel(t *testing.T) {
	for _, policy := range []Policy{WriteBack, WriteAround, WriteThrough} {
		for seed := range uint64(20) {
			t.Run(fmt.Sprint(policy, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { model(t, policy, seed) })
			})
		}
	}
}

func model(t *testing.T, policy Policy, seed uint64) {
	const workers, part = 4, 150<<10 + 512*3
	f := newFake(workers*part + 100)
	f.delay = time.Millisecond
	random := rand.New(rand.NewPCG(seed, 1))
	if seed%2 == 1 { // called with the disk's mutex
		f.fails = func(int64) bool { return random.IntN(20) == 0 }
	}
	c := New(f, small(policy))
	var g sync.WaitGroup
	want := make([][]byte, workers)
	for w := range workers {
		n := part
		if w == workers-1 {
			n += 100 // the last sector is short
		}
		want[w] = make([]byte, n)
		g.Go(func() { work(t, f, c, w*part, want[w], rand.New(rand.NewPCG(seed, uint64(w)+2))) })
	}
	done := make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case <-time.After(7 * time.Millisecond):
				if n%3 == 0 {
					c.Invalidate()
				}
			}
		}
	}()
	g.Wait()
	close(done)
	f.mu.Lock()
	f.fails = nil
	f.mu.Unlock()
	if c.Flush(t.Context()) != nil { // of a write that had begun before
		must(t, c.Flush(t.Context()))
	}
	if s := c.Stats(); s.DirtyBytes != 0 || s.HeldBytes > 128<<10 {
		t.Errorf("after all: %+v", s)
	}
	if !bytes.Equal(f.data, bytes.Join(want, nil)) {
		t.Error("the disk has something else after a flush")
	}
	if f.torn {
		t.Error("two writes of one place at a time")
	}
	if f.far {
		t.Error("a write of parts that do not belong together")
	}
	if len(c.bySpan) > 0 {
		t.Errorf("dirty by span: %v", c.bySpan)
	}
	must(t, c.Close(t.Context()))
	if len(c.active)+len(c.runs)+c.urgent+c.nDirty != 0 {
		t.Errorf("left: %d spans, %d runs, %d waiters", len(c.active), len(c.runs), c.urgent)
	}
}

// fill is a pattern that begins somewhere.
func fill(p []byte, at uint64) {
	for i := range p {
		p[i] = byte(at+uint64(i)) % 251
	}
}

// work does a mix of calls within a part of the disk, and knows what it has to hold. A write that
// failed may have happened or not: it is done again until it has.
func work(t *testing.T, f *fake, c *Cache, base int, want []byte, r *rand.Rand) {
	ctx := t.Context()
	again := func(f func() error) {
		for f() != nil {
			time.Sleep(time.Millisecond)
		}
	}
	for range 250 {
		off, n := r.IntN(len(want)), 1+r.IntN(1<<(r.IntN(16)))
		if r.IntN(4) > 0 { // as block devices are written
			off, n = off&^511, (n+511)&^511
		}
		n = min(n, len(want)-off)
		at := int64(base + off)
		switch k := r.IntN(20); {
		case k < 9:
			p := make([]byte, n)
			for i := range p {
				p[i] = byte(r.Uint32())
			}
			again(func() error {
				var err error
				if k == 0 {
					_, err = c.WriteDurable(ctx, p, at)
				} else {
					_, err = c.Write(ctx, p, at)
				}
				return err
			})
			copy(want[off:], p)
		case k == 9:
			again(func() error {
				return c.Change(ctx, uint64(at), uint64(n), func() error {
					return f.change(at, n, func(p []byte) { fill(p, 0) })
				}, fill)
			})
			fill(want[off:off+n], 0)
		case k == 10:
			again(func() error { // what is there is on the disk
				return c.Change(ctx, uint64(at), uint64(n), func() error {
					return f.change(at, n, func(p []byte) {
						if !bytes.Equal(p, want[off:off+n]) {
							t.Errorf("the disk has something else of %d bytes at %d", n, at)
						}
						fill(p, uint64(off))
						fill(want[off:off+n], uint64(off))
					})
				}, nil)
			})
		case k == 11:
			again(func() error { return c.Flush(ctx) })
		default:
			p := make([]byte, n)
			if _, err := c.Read(ctx, p, at); err != nil {
				t.Error(err)
			}
			if !bytes.Equal(p, want[off:off+n]) {
				t.Errorf("read something else of %d bytes at %d", n, at)
				return
			}
		}
		if h := c.Stats(); h.HeldBytes > c.o.SizeBytes || h.DirtyBytes > c.o.MaxDirtyBytes {
			t.Errorf("more than allowed: %+v", h)
		}
	}
}

// TestFlushReports: what cannot be written back is the error of the next flush, stays readable, and
// is written when that is possible again; writers do not wait for ever meanwhile.
func TestFlushReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(1 << 20)
		f.fails = func(int64) bool { return true }
		c := New(f, small(WriteBack))
		one := bytes.Repeat([]byte{1}, 4096)
		_, err := c.Write(t.Context(), one, 0)
		must(t, err)
		time.Sleep(time.Second / 2) // it has failed on its own
		if len(f.written()) != 1 {
			t.Errorf("writes %v", f.written())
		}
		if err := c.Flush(t.Context()); !errors.Is(err, errDisk) {
			t.Errorf("flush: %v", err)
		}
		var full error
		for n := int64(1); n < 20 && full == nil; n++ {
			_, full = c.Write(t.Context(), one, n*8192)
		}
		if !errors.Is(full, errDisk) {
			t.Errorf("a writer without room: %v", full)
		}
		got := make([]byte, 4096)
		_, err = c.Read(t.Context(), got, 0)
		if must(t, err); !bytes.Equal(got, one) {
			t.Error("what could not be written is not there")
		}
		f.mu.Lock()
		f.fails = nil
		f.mu.Unlock()
		must(t, c.Flush(t.Context()))
		if !bytes.Equal(f.data[:4096], one) {
			t.Error("it was never written")
		}
		must(t, c.Close(t.Context()))
	})
}

// TestFlushWaits: a flush returns when what was written before it is durable, whatever is written
// meanwhile, and not earlier.
func TestFlushWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(1 << 20)
		f.delay = 100 * time.Millisecond
		o := small(WriteBack)
		o.MaxDirtyAge = time.Hour
		c := New(f, o)
		p := bytes.Repeat([]byte{7}, 512)
		for n := range int64(8) {
			_, err := c.Write(t.Context(), p, n*9000/512*512)
			must(t, err)
		}
		stop := make(chan struct{})
		go func() { // the same places, again and again
			for n := int64(0); ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				_, _ = c.Write(t.Context(), bytes.Repeat([]byte{8}, 512), n%8*9000/512*512)
				time.Sleep(10 * time.Millisecond)
			}
		}()
		begin := time.Now()
		must(t, c.Flush(t.Context()))
		if d := time.Since(begin); d < f.delay || d > 5*f.delay {
			t.Errorf("the flush took %v", d)
		}
		f.mu.Lock()
		for n := range 8 {
			if f.data[n*9000/512*512] == 0 {
				t.Errorf("%d is not durable", n)
			}
		}
		f.mu.Unlock()
		close(stop)
		synctest.Wait()
		must(t, c.Close(t.Context()))
	})
}

// TestTogether: neighbouring writes become one, within a span, and are written without a flush.
func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(1 << 20)
		o := small(WriteBack)
		o.MaxDirtyAge = time.Second
		c := New(f, o)
		for n := range int64(6) {
			_, err := c.Write(t.Context(), make([]byte, 4096), 40<<10+4096*n)
			must(t, err)
		}
		time.Sleep(time.Second - time.Millisecond)
		if len(f.written()) > 0 {
			t.Errorf("written at once: %v", f.written())
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if len(f.written()) != 1 || f.written()[0] != (extent{40 << 10, 64 << 10}) {
			t.Errorf("written as %v", f.written())
		}
		must(t, c.Close(t.Context()))
	})
}

// TestScattered: what was written here and there in a span is written back at once.
func TestScattered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(1 << 20)
		o := small(WriteBack)
		o.MaxDirtyAge = time.Hour
		c := New(f, o)
		want := make([]byte, len(f.data))
		for n, off := range []int64{5 << 10, 200 << 10, 40 << 10, 20 << 10, 210 << 10, 24 << 10} {
			p := bytes.Repeat([]byte{byte(n + 1)}, 512*(n+1))
			copy(want[off:], p)
			_, err := c.Write(t.Context(), p, off)
			must(t, err)
		}
		must(t, c.Flush(t.Context()))
		if f.calls != 2 || !bytes.Equal(f.data, want) || f.far {
			t.Errorf("%d writes: %v", f.calls, f.written())
		}
		must(t, c.Close(t.Context()))
	})
}

// TestUntilFlush: before the first flush a write is durable when it returns.
func TestUntilFlush(t *testing.T) {
	f := newFake(1 << 20)
	o := small(WriteBack)
	o.UntilFlush, o.MaxDirtyAge = true, time.Hour
	c := New(f, o)
	for _, want := range []int{1, 1} {
		_, err := c.Write(t.Context(), make([]byte, 512), 0)
		must(t, err)
		if len(f.written()) != want {
			t.Errorf("%d writes, want %d", len(f.written()), want)
		}
		must(t, c.Flush(t.Context()))
	}
	must(t, c.Close(t.Context()))
}

// TestReadAhead: a row of reads is read ahead, and not twice; reads here and there are not.
func TestReadAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(1 << 20)
		f.delay = time.Millisecond
		c := New(f, small(WriteBack))
		p := make([]byte, 4096)
		for _, off := range []int64{0, 100 << 10, 50 << 10, 200 << 10, 4096} {
			_, err := c.Read(t.Context(), p, off)
			must(t, err)
		}
		if n := c.Stats().ReadAheadBytes; n != 0 {
			t.Errorf("read %d bytes ahead of random reads", n)
		}
		f.reads = nil
		for n := range int64(64) {
			_, err := c.Read(t.Context(), p, 512<<10+4096*n)
			must(t, err)
		}
		synctest.Wait()
		total, seen := uint64(0), extent{}
		for _, r := range f.reads {
			total += r.end - r.begin
			seen.end = max(seen.end, r.end)
		}
		if len(f.reads) > 20 || total != seen.end-512<<10 {
			t.Errorf("%d reads of %d bytes: %v", len(f.reads), total, f.reads)
		}
		must(t, c.Close(t.Context()))
	})
}

// TestAbandon: what is given up is the error of every flush from then on.
func TestAbandon(t *testing.T) {
	f := newFake(1 << 20)
	o := small(WriteBack)
	o.MaxDirtyAge = time.Hour
	c := New(f, o)
	_, err := c.Write(t.Context(), make([]byte, 512), 0)
	must(t, err)
	c.Abandon(errDisk)
	for range 2 {
		if err := c.Flush(t.Context()); !errors.Is(err, errDisk) {
			t.Errorf("flush: %v", err)
		}
	}
	if _, err := c.Write(t.Context(), make([]byte, 512), 0); !errors.Is(err, errDisk) {
		t.Errorf("write: %v", err)
	}
	if err := c.Close(t.Context()); !errors.Is(err, errDisk) || len(f.written()) > 0 {
		t.Errorf("close: %v, writes %v", err, f.written())
	}
}

// TestNotKept: when somebody else may write nothing that was read is kept.
func TestNotKept(t *testing.T) {
	f := newFake(1 << 20)
	f.noKeep = true
	c := New(f, small(WriteBack))
	p := make([]byte, 512)
	for want := range byte(3) {
		f.data[0] = want
		_, err := c.Read(t.Context(), p, 0)
		if must(t, err); p[0] != want {
			t.Errorf("read %d, the disk has %d", p[0], want)
		}
	}
	must(t, c.Close(t.Context()))
}

// TestInvalidateWhileRead: what a read needs to be right is not forgotten before it ends, though
// another read of the same page that began before ends earlier. What somebody else has written
// before an Invalidate is seen after it, whatever is under way.
func TestInvalidateWhileRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(1 << 20)
		f.delay = 100 * time.Millisecond
		c := New(f, small(WriteAround))
		var g sync.WaitGroup
		read := func(after time.Duration, off int64, want byte) {
			g.Go(func() {
				time.Sleep(after)
				p := make([]byte, 2*sectorBytes) // more than what was written
				_, err := c.Read(t.Context(), p, off)
				if must(t, err); p[0] != want {
					t.Errorf("read %d at %d after %v, want %d", p[0], off, after, want)
				}
			})
		}
		_, err := c.Write(t.Context(), bytes.Repeat([]byte{1}, sectorBytes), 0)
		must(t, err)
		read(20*time.Millisecond, sectorBytes, 0) // until 120
		read(50*time.Millisecond, 0, 1)           // until 150: the write lands at 100
		time.Sleep(110 * time.Millisecond)
		c.Invalidate()
		g.Wait()
		_, err = c.Write(t.Context(), bytes.Repeat([]byte{2}, sectorBytes), 0)
		must(t, err)
		read(20*time.Millisecond, sectorBytes, 0)
		time.Sleep(110 * time.Millisecond) // it has landed, and the page is needed
		f.mu.Lock()
		f.data[0] = 3
		f.mu.Unlock()
		c.Invalidate()
		read(0, 0, 3)
		g.Wait()
		must(t, c.Close(t.Context()))
	})
}
