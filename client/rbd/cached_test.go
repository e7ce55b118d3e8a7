package rbd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"glue/client/rados"
	"glue/client/rbd"
	"glue/client/rbd/cache"
)

// cached are options with which nothing is written back but when it has to be.
func cached() cache.Options {
	o := cache.Defaults()
	o.UntilFlush, o.MaxDirtyAge = false, time.Hour
	return o
}

// What is done to an image with a cache is what a slice in memory says, to the image, to the
// snapshots that are made meanwhile, and to the stock client after the end.
func TestCachedImageAgainstAModel(t *testing.T) {
	s := store(t, connect(t))
	ctx := within(t, 2*time.Minute)
	const size = 24<<20 + 4096
	o := rbd.CreateOptions{Size: size, Order: 20, StripeUnit: 64 << 10, StripeCount: 3}
	want(t, "create", s.Create(ctx, "i", o), nil)
	i := open(t, s, "i")
	c := cached()
	c.SizeBytes, c.MaxDirtyBytes, c.TargetDirtyBytes = 4<<20, 2<<20, 1<<20
	want(t, "cache", i.StartCache(c), nil)
	model, r := make([]byte, size), rand.New(rand.NewPCG(1, 2))
	past := map[string][]byte{}
	for n := range 400 {
		off, length := r.IntN(size), 1+r.IntN(1<<r.IntN(19))
		if n%4 > 0 {
			off &^= 511
			length = (length + 511) &^ 511
		}
		length = min(length, size-off)
		switch {
		case n%100 == 50:
			name := string(rune('a' + n/100))
			want(t, "snapshot", i.CreateSnapshot(ctx, name), nil)
			past[name] = bytes.Clone(model)
		case n%10 == 5:
			rareChange(t, ctx, i, r, model, off, length)
		case n%10 == 3:
			want(t, "discard", i.Discard(ctx, uint64(off), uint64(length)), nil)
			clear(model[off : off+length])
		case n%3 == 0:
			p := make([]byte, length)
			if _, err := i.ReadAt(p, int64(off)); err != nil ||
				!bytes.Equal(p, model[off:off+length]) {
				t.Fatalf("read of %d bytes at %d: other data, %v", length, off, err)
			}
		default:
			p := model[off : off+length]
			for k := range p {
				p[k] = byte(r.Uint32())
			}
			if _, err := i.WriteAt(p, int64(off)); err != nil {
				t.Fatal(err)
			}
		}
	}
	verify(t, i, model)
	want(t, "flush", i.Flush(ctx), nil)
	other, err := s.Open(ctx, "i", true)
	want(t, "open", err, nil)
	verify(t, other, model)
	want(t, "close", other.Close(ctx), nil)
	want(t, "rollback", i.Rollback(ctx, "b", nil), nil)
	verify(t, i, past["b"])
	st := i.CacheStats()
	t.Logf("%+v", st)
	want(t, "close", i.Close(ctx), nil)
	for name, data := range past {
		sameToStock(t, s, "i@"+name, data)
	}
	sameToStock(t, s, "i", past["b"])
}

// Two clients with caches see what the other has written, as what is dirty is written back, and
// what was read forgotten, when the lock goes over.
func TestCachesShareAnImage(t *testing.T) {
	c1, c2 := connect(t), connect(t)
	s1 := store(t, c1)
	ctx := within(t, 2*time.Minute)
	want(t, "create", s1.Create(ctx, "i", rbd.CreateOptions{Size: 1 << 20}), nil)
	x2, err := c2.OpenPool(ctx, s1.IO().PoolName())
	want(t, "pool", err, nil)
	a, b := open(t, s1, "i"), open(t, rbd.NewStore(x2), "i")
	want(t, "cache", a.StartCache(cached()), nil)
	want(t, "cache", b.StartCache(cached()), nil)
	model := make([]byte, 1<<20)
	for turn := range 6 {
		i := []*rbd.Image{a, b}[turn%2]
		off := turn * 100 << 10
		p := bytes.Repeat([]byte{byte(turn + 1)}, 300<<10)
		if _, err := i.Write(ctx, p, int64(off)); err != nil { // takes the lock
			t.Fatal(err)
		}
		copy(model[off:], p)
		verify(t, i, model)
		if n := i.CacheStats().DirtyBytes; n == 0 {
			t.Error("nothing is dirty")
		}
	}
	want(t, "close", a.Close(ctx), nil)
	want(t, "close", b.Close(ctx), nil)
	sameToStock(t, s1, "i", model)
}

// TestCacheOptions: the options of the cluster, the pool and the image are those of the cache, the
// last that has one. The cluster's are one user's: a change of all clients' has stock ones read the
// headers of their images again, and librbd 16.2 then reads at a snapshot of an image that migrates
// what the source has now.
func TestCacheOptions(t *testing.T) {
	c := connect(t)
	ctx := within(t, time.Minute)
	pool := store(t, c).IO().PoolName()
	who := "client." + pool
	for name, value := range map[string]string{"rbd_cache_size": "1048576",
		"rbd_cache_policy": "writearound", "rbd_cache_max_dirty_age": "2.5"} {
		_, _, err := c.MonCommand(ctx, map[string]any{"prefix": "config set",
			"who": who, "name": name, "value": value}, nil)
		want(t, "config set", err, nil)
		t.Cleanup(func() {
			_, _, _ = c.MonCommand(within(t, time.Minute), map[string]any{"prefix": "config rm",
				"who": who, "name": name}, nil)
		})
	}
	x, err := user(t, c, pool, "mon", "profile rbd", "osd", "profile rbd").OpenPool(ctx, pool)
	want(t, "pool", err, nil)
	s := rbd.NewStore(x)
	want(t, "create", s.Create(ctx, "i", rbd.CreateOptions{Size: 1 << 20}), nil)
	i := open(t, s, "i")
	stockTool(t, "config", "pool", "set", pool, "rbd_cache_max_dirty", "96K")
	stockTool(t, "config", "pool", "set", pool, "rbd_cache_target_dirty", "64K")
	stock(t, s, "config", "image", "set", "i", "rbd_cache_target_dirty", "32K")
	want(t, "policy", i.Config().Set(ctx, "rbd_cache_policy", "writethrough"), nil)
	want(t, "off", i.Config().Set(ctx, "rbd_cache", "false"), nil)
	// What no option may have does not count.
	want(t, "spoil", i.SetMetadata(ctx, "conf_rbd_cache_max_dirty", []byte("much")), nil)
	o, on, err := i.CacheOptions(ctx)
	want(t, "options", err, nil)
	if on || o.SizeBytes != 1<<20 || o.Policy != cache.WriteThrough ||
		o.MaxDirtyBytes != 96<<10 || o.TargetDirtyBytes != 32<<10 ||
		o.MaxDirtyAge != 2500*time.Millisecond || o.ReadAheadBytes != 512<<10 {
		t.Errorf("%v %+v", on, o)
	}
	want(t, "close", i.Close(ctx), nil)
}

// BenchmarkRandom4K writes blocks at random to an image of 1 GiB, 16 at a time, without and with
// a cache; what is dirty at the end is flushed within the time.
func BenchmarkRandom4K(b *testing.B) {
	for _, cached := range []bool{false, true} {
		b.Run(map[bool]string{false: "direct", true: "cached"}[cached], func(b *testing.B) {
			ctx, size := b.Context(), 1<<30
			i := benchImage(b, uint64(size))
			if cached {
				o := cache.Defaults()
				o.UntilFlush = false
				if err := i.StartCache(o); err != nil {
					b.Fatal(err)
				}
			}
			var next atomic.Int64
			b.ResetTimer()
			g, ctx := errgroup.WithContext(ctx)
			for range 16 {
				g.Go(func() error {
					p := make([]byte, 4096)
					for next.Add(1) <= int64(b.N) {
						_, err := i.Write(ctx, p, int64(rand.IntN(size/4096))*4096)
						if err != nil {
							return err
						}
						p[0]++
					}
					return nil
				})
			}
			if err := errors.Join(g.Wait(), i.Flush(b.Context())); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
			if st := i.CacheStats(); st.WriteBacks > 0 {
				b.ReportMetric(float64(st.WrittenBack)/4096/float64(st.WriteBacks), "blocks/op")
			}
		})
	}
}

// benchImage is an image with all its objects.
func benchImage(b *testing.B, size uint64) *rbd.Image {
	c, err := rados.Connect(b.Context(), rados.Options{ConfFile: conf(b)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	s := storeOf(b, c, fmt.Sprint("bench-rbd-", time.Now().UnixNano()))
	if err := s.Create(b.Context(), "i", rbd.CreateOptions{Size: size}); err != nil {
		b.Fatal(err)
	}
	i, err := s.Open(b.Context(), "i", false)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = i.Close(context.Background()) })
	for off := int64(0); off < int64(size); off += 4 << 20 {
		if _, err := i.Write(b.Context(), []byte{1}, off); err != nil {
			b.Fatal(err)
		}
	}
	return i
}
