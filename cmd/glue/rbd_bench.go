package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"glue/client/rbd"
	"glue/cmd/glue/progress"
)

// rbdBenchFlags are the flags of glue rbd bench.
type rbdBenchFlags struct {
	kind, pattern string
	size, total   byteSize
	threads       int
	cache         bool
}

func (r *rbdRun) benchFlags(cmd *cobra.Command) {
	r.bench.size, r.bench.total = 4096, 1<<30
	f := cmd.Flags()
	f.StringVar(&r.bench.kind, "io-type", "", "read or write")
	f.StringVar(&r.bench.pattern, "io-pattern", "seq", "seq or rand")
	f.Var(&r.bench.size, "io-size", "bytes of one operation")
	f.Var(&r.bench.total, "io-total", "bytes of all operations")
	f.IntVar(&r.bench.threads, "io-threads", 16, "operations under way at a time")
	f.BoolVar(&r.bench.cache, "cache", false,
		"through memory, as rbd_cache_* and rbd_readahead_* say; flushed at the end")
}

func (r *rbdRun) runBench(ctx context.Context, args []string) error {
	b := &r.bench
	if b.kind != "read" && b.kind != "write" {
		return fmt.Errorf("--io-type must be read or write")
	}
	if b.pattern != "seq" && b.pattern != "rand" {
		return fmt.Errorf("--io-pattern must be seq or rand")
	}
	if b.size == 0 || b.threads < 1 {
		return fmt.Errorf("--io-size and --io-threads must not be 0")
	}
	return r.with(ctx, args[0], b.kind == "read", func(i *rbd.Image) error {
		if i.Size() < uint64(b.size) {
			return fmt.Errorf("image %s is smaller than one operation", i.Name())
		}
		if b.cache {
			o, _, err := i.CacheOptions(ctx)
			if err != nil {
				return err
			}
			if err := errors.Join(i.StartCache(o), i.Flush(ctx)); err != nil {
				return err
			}
		}
		return r.benchImage(ctx, i)
	})
}

// A tally counts what the workers of a benchmark have done.
type tally struct {
	mu          sync.Mutex
	next, total uint64 // operations
	done        uint64
}

func (t *tally) take() (n uint64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next >= t.total {
		return 0, false
	}
	t.next++
	return t.next - 1, true
}

func (r *rbdRun) benchImage(ctx context.Context, i *rbd.Image) error {
	b := &r.bench
	word := map[string]string{"seq": "sequential", "rand": "random"}[b.pattern]
	r.printf("bench  type %s io_size %d io_threads %d bytes %d pattern %s\n", b.kind, b.size,
		b.threads, b.total, word)
	r.printf("  SEC       OPS   OPS/SEC   BYTES/SEC\n")
	t := &tally{total: max(uint64(b.total)/uint64(b.size), 1)}
	bar := progress.New(r.err, b.kind, int64(t.total))
	begun := time.Now()
	errs := make(chan error, b.threads)
	for range b.threads {
		go func() { errs <- r.benchWorker(ctx, i, t) }()
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var err error
	for left := b.threads; left > 0; {
		select {
		case e := <-errs:
			left--
			err = errors.Join(err, e)
		case <-tick.C:
			r.benchLine(t, begun)
			t.mu.Lock()
			bar.Set(int64(t.done))
			t.mu.Unlock()
		}
	}
	err = errors.Join(err, i.Flush(ctx))
	bar.Done(err == nil)
	sec := time.Since(begun).Seconds()
	r.printf("elapsed: %d   ops: %d   ops/sec: %.6g   bytes/sec: %s/s\n", int(sec), t.done,
		float64(t.done)/sec, bytesText(int64(float64(t.done)*float64(b.size)/sec)))
	return err
}

func (r *rbdRun) benchLine(t *tally, begun time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sec := time.Since(begun).Seconds()
	rate := float64(t.done) / sec
	r.printf("%5d  %8d  %8.6g  %s/s\n", int(sec), t.done, rate,
		bytesText(int64(rate*float64(r.bench.size))))
}

func (r *rbdRun) benchWorker(ctx context.Context, i *rbd.Image, t *tally) error {
	size := uint64(r.bench.size)
	slots := i.Size() / size
	buf := make([]byte, size)
	for n := range buf {
		buf[n] = byte(rand.Uint32())
	}
	for ctx.Err() == nil {
		n, ok := t.take()
		if !ok {
			return nil
		}
		if r.bench.pattern == "rand" {
			n = rand.Uint64N(slots)
		}
		off := int64(n % slots * size)
		var err error
		if r.bench.kind == "write" {
			_, err = i.Write(ctx, buf, off)
		} else if _, err = i.Read(ctx, buf, off); errors.Is(err, io.EOF) {
			err = nil
		}
		if err != nil {
			return err
		}
		t.mu.Lock()
		t.done++
		t.mu.Unlock()
	}
	return ctx.Err()
}
