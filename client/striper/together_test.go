package striper_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"glue/ceph"
	"glue/client/clienttest"
	"glue/client/striper"
)

// two are stripers of one pool over connections of their own.
func two(t *testing.T, l striper.Layout) [2]*striper.Striper {
	t.Helper()
	x := pool(t)
	other, err := clienttest.Connect(t).OpenPool(within(t, time.Minute), x.PoolName())
	if err != nil {
		t.Fatal(err)
	}
	return [2]*striper.Striper{of(t, x, l), of(t, other, l)}
}

// A record is its number and its length, and then bytes made of both.
func record(n, length int) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(n))
	b = binary.LittleEndian.AppendUint32(b, uint32(length))
	for i := range length {
		b = append(b, byte(n*7+i))
	}
	return b
}

// TestAppendTogether: what several clients append is there once, whole, whoever makes the object.
func TestAppendTogether(t *testing.T) {
	clients := two(t, striper.Layout{ObjectBytes: 128 << 10, StripeUnit: 64 << 10, StripeCount: 2})
	ctx := within(t, 2*time.Minute)
	const writers, each = 8, 12
	var g errgroup.Group
	var sizes [writers * each]int
	r := rand.New(rand.NewPCG(5, 5))
	for i := range sizes {
		sizes[i] = r.IntN(100_000)
	}
	for w := range writers {
		g.Go(func() error {
			for n := w * each; n < (w+1)*each; n++ {
				if err := clients[w%2].Append(ctx, "log", record(n, sizes[n])); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	b, err := clients[0].Read(ctx, "log", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for len(b) >= 8 {
		n := int(binary.LittleEndian.Uint32(b))
		if n >= len(sizes) || seen[n] || !bytes.HasPrefix(b, record(n, sizes[n])) {
			t.Fatalf("record %d is not what was appended", n)
		}
		seen[n] = true
		b = b[8+sizes[n]:]
	}
	if len(seen) != len(sizes) || len(b) != 0 {
		t.Errorf("%d records of %d, %d bytes after them", len(seen), len(sizes), len(b))
	}
}

// TestWriteTogether: writers of places of their own make one object, whoever is at its end, and
// readers see only zeros or what is written there.
func TestWriteTogether(t *testing.T) {
	clients := two(t, striper.Layout{ObjectBytes: 64 << 10, StripeCount: 3})
	ctx := within(t, 2*time.Minute)
	const writers, places, length = 6, 60, 30_000
	whole := bytesOf(rand.New(rand.NewPCG(8, 8)), places*length)
	var g, readers errgroup.Group
	done := make(chan struct{})
	for w := range writers {
		g.Go(func() error {
			for n := places - 1 - w; n >= 0; n -= writers {
				p := whole[n*length:][:length]
				if err := clients[w%2].Write(ctx, "o", p, uint64(n*length)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	readers.Go(func() error {
		for {
			select {
			case <-done:
				return nil
			default:
			}
			b, err := clients[1].Read(ctx, "o", 0, 0)
			if err != nil && !errors.Is(err, ceph.ENOENT) {
				return err
			}
			for i, c := range b {
				if c != 0 && c != whole[i] {
					return fmt.Errorf("byte %d is %d, neither 0 nor %d", i, c, whole[i])
				}
			}
		}
	})
	err := g.Wait()
	close(done)
	if err := errors.Join(err, readers.Wait()); err != nil {
		t.Fatal(err)
	}
	b, err := clients[0].Read(ctx, "o", 0, 0)
	if err != nil || !bytes.Equal(b, whole) {
		t.Errorf("%d bytes of %d are not what was written, %v", len(b), len(whole), err)
	}
}

// TestTruncateTogether: truncations, removals and writes get in each other's way with EBUSY alone,
// and what is left is a striped object or nothing, without a lock or an object beyond its size.
func TestTruncateTogether(t *testing.T) {
	clients := two(t, striper.Layout{ObjectBytes: 64 << 10, StripeCount: 2})
	ctx := within(t, 2*time.Minute)
	var g errgroup.Group
	for w := range 4 {
		g.Go(func() error {
			r, s := rand.New(rand.NewPCG(uint64(w), 9)), clients[w%2]
			for n := range 60 {
				var err error
				size := uint64(r.IntN(1 << 20))
				switch r.IntN(4) {
				case 0:
					err = s.Truncate(ctx, "o", size)
				case 1:
					err = s.Remove(ctx, "o")
				case 2:
					err = s.Append(ctx, "o", make([]byte, size/4))
				case 3:
					err = s.Write(ctx, "o", make([]byte, 1000), size)
				}
				if err != nil && !errors.Is(err, ceph.EBUSY) && !errors.Is(err, ceph.ENOENT) {
					return fmt.Errorf("%d: %w", n, err)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	s := clients[0]
	want(t, "create", s.Create(ctx, "o", false), nil)
	st, err := s.Stat(ctx, "o")
	want(t, "stat", err, nil)
	x := s.IOCtx()
	for o, err := range x.List(ctx) {
		is, statErr := x.Stat(ctx, o.Name)
		if err := errors.Join(err, statErr); err != nil {
			t.Fatal(err)
		}
		known := o.Name == striper.ObjectName("o", 0) && is.Size <= s.Layout().Part(0, st.Size)
		for n := range s.Layout().Objects(st.Size) {
			known = known || o.Name == striper.ObjectName("o", n) &&
				is.Size <= s.Layout().Part(n, st.Size)
		}
		if !known {
			t.Errorf("%s of %d bytes is beyond %d", o.Name, is.Size, st.Size)
		}
	}
	want(t, "remove", s.Remove(ctx, "o"), nil)
}
