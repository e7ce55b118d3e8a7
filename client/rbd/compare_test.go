package rbd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"glue/ceph"
	"glue/client/rbd"
)

// rareChange does one of the rarer changes to some bytes of an image and of its model.
func rareChange(
	t *testing.T, ctx context.Context, i *rbd.Image, r *rand.Rand, model []byte, off, n int,
) {
	t.Helper()
	switch r.IntN(5) {
	case 0:
		pattern := make([]byte, min(n, []int{1, 3, 512, 4096, 6000}[r.IntN(5)]))
		for k := range pattern {
			pattern[k] = byte(r.Uint32()) & byte(255*r.IntN(2)) // zeros, too
		}
		length := n / len(pattern) * len(pattern)
		want(t, "write same", i.WriteSame(ctx, uint64(off), uint64(length), pattern), nil)
		copy(model[off:], bytes.Repeat(pattern, length/len(pattern)))
		if len(pattern) > 1 {
			want(t, "write half of a pattern",
				i.WriteSame(ctx, uint64(off), uint64(length-1), pattern), ceph.EINVAL)
		}
	case 1:
		want(t, "write zeroes", i.WriteZeroes(ctx, uint64(off), uint64(n), r.IntN(2) == 0), nil)
		clear(model[off : off+n])
	default:
		compareAndWrite(t, ctx, i, r, model, off, n)
	}
}

// compareAndWrite tries a write that finds what it expects, one that does not, and one that is too
// long.
func compareAndWrite(
	t *testing.T, ctx context.Context, i *rbd.Image, r *rand.Rand, model []byte, off, n int,
) {
	t.Helper()
	unit := int(i.Info().StripeUnit)
	left := unit - off%unit
	if n > left {
		want(t, "compare too much", i.CompareAndWrite(ctx, uint64(off), model[off:off+n],
			make([]byte, n)), ceph.EINVAL)
		n = left
	}
	n = min(n, 1+r.IntN(1<<r.IntN(17)))
	old, data := bytes.Clone(model[off:off+n]), make([]byte, n)
	for k := range data {
		data[k] = byte(r.Uint32())
	}
	bad, wrong := bytes.Clone(old), r.IntN(n)
	for k := wrong; k < n; k += 1 + r.IntN(9) {
		bad[k]++
	}
	err := i.CompareAndWrite(ctx, uint64(off), bad, data)
	var differs *rbd.MismatchError
	if !errors.As(err, &differs) || differs.Off != uint64(off+wrong) ||
		!errors.Is(err, ceph.EILSEQ) {
		t.Errorf("compare %d bytes at %d of which %d differs: %v", n, off, off+wrong, err)
	}
	if r.IntN(3) == 0 {
		return
	}
	err = i.CompareAndWrite(ctx, uint64(off), old, data)
	want(t, fmt.Sprintf("compare %d bytes at %d", n, off), err, nil)
	copy(model[off:], data)
}

// TestRareChangesOfAClone: what is changed first in an object of a clone without snapshots leaves
// the rest of it as the parent has it.
func TestRareChangesOfAClone(t *testing.T) {
	s := store(t, connect(t))
	for name, o := range layouts {
		t.Run(name, func(t *testing.T) {
			ctx, base, child := within(t, 2*time.Minute), "base-"+name, "child-"+name
			want(t, "create", s.Create(ctx, base, o), nil)
			p := newTester(t, s, base, bytes.Repeat([]byte("parent"), int(o.Size/6+1))[:o.Size], 1)
			_, err := p.i.WriteAt(p.model, 0)
			want(t, "write", err, nil)
			p.snap("s")
			o.CloneFormat, o.Size = 2, 0
			want(t, "clone", s.Clone(ctx, p.i, "s", child, o), nil)
			w := newTester(t, s, child, p.model, 2)
			for range 40 {
				off := w.r.IntN(len(w.model))
				n := min(1+w.r.IntN(20_000), len(w.model)-off)
				rareChange(t, ctx, w.i, w.r, w.model, off, n)
			}
			w.check()
			w.checkStock()
			want(t, "close", w.i.Close(ctx), nil)
			want(t, "close", p.i.Close(ctx), nil)
		})
	}
}

// TestCompareAndWriteTogether: of many who expect the same, by two clients, one writes, in an
// object that is there or not, or that is the parent's; the others are told where it differs.
func TestCompareAndWriteTogether(t *testing.T) {
	c1, c2 := connect(t), connect(t)
	s := store(t, c1)
	ctx := within(t, 3*time.Minute)
	want(t, "create", s.Create(ctx, "base", rbd.CreateOptions{Size: 1 << 20, Order: 16}), nil)
	base := open(t, s, "base")
	first := bytes.Repeat([]byte{7}, 512)
	_, err := base.WriteAt(first, 4096)
	want(t, "write", err, nil)
	want(t, "snapshot", base.CreateSnapshot(ctx, "s"), nil)
	want(t, "close", base.Close(ctx), nil)
	x2, err := c2.OpenPool(ctx, s.IO().PoolName())
	want(t, "pool", err, nil)
	for name, features := range map[string]rbd.Features{"plain": rbd.Layering,
		"locked": rbd.DefaultFeatures} {
		for _, cache := range []bool{false, true} {
			if cache && name == "plain" {
				continue // is for one client only
			}
			image := fmt.Sprint(name, cache)
			base := open(t, s, "base")
			want(t, "clone", s.Clone(ctx, base, "s", image, rbd.CreateOptions{CloneFormat: 2,
				Features: features}), nil)
			want(t, "close", base.Close(ctx), nil)
			images := []*rbd.Image{open(t, s, image), open(t, rbd.NewStore(x2), image)}
			for _, i := range images {
				if cache {
					want(t, "cache", i.StartCache(cached()), nil)
				}
			}
			race(t, ctx, images, 4096, first)
			race(t, ctx, images, 70000, make([]byte, 512))
			for _, i := range images {
				want(t, "close", i.Close(ctx), nil)
			}
			if name == "locked" {
				checkMap(t, s, image)
			}
		}
	}
}

// race has everybody try to follow what is at off, several times.
func race(t *testing.T, ctx context.Context, images []*rbd.Image, off uint64, now []byte) {
	t.Helper()
	for turn := range 6 {
		results := make([]error, 8)
		data := make([][]byte, len(results))
		var g errgroup.Group
		for n := range results {
			data[n] = bytes.Clone(now)
			data[n][100], data[n][101] = byte(n), byte(turn+1)
			g.Go(func() error {
				results[n] = images[n%len(images)].CompareAndWrite(ctx, off, now, data[n])
				return nil
			})
		}
		_ = g.Wait()
		winner := -1
		for n, err := range results {
			var differs *rbd.MismatchError
			switch {
			case err == nil && winner < 0:
				winner = n
			case !errors.As(err, &differs) || differs.Off-off != 100 && differs.Off-off != 101:
				t.Errorf("turn %d: %d of %d: %v", turn, n, len(results), results)
			}
		}
		if winner < 0 {
			t.Fatalf("nobody has written: %v", results)
		}
		now = data[winner]
		for _, i := range images {
			got := make([]byte, len(now))
			if _, err := i.ReadAt(got, int64(off)); err != nil || !bytes.Equal(got, now) {
				t.Errorf("turn %d: read something else, %v", turn, err)
			}
		}
	}
}

// TestCompareBeyond: what is not within the image, or is nothing, is refused, and changes nothing.
func TestCompareBeyond(t *testing.T) {
	s := store(t, connect(t))
	ctx := within(t, time.Minute)
	want(t, "create", s.Create(ctx, "i", rbd.CreateOptions{Size: 1<<20 + 512}), nil)
	i := open(t, s, "i")
	two := make([]byte, 1024)
	want(t, "beyond", i.CompareAndWrite(ctx, 1<<20, two, two), ceph.EINVAL)
	want(t, "far beyond", i.CompareAndWrite(ctx, 1<<63, two, two), ceph.EINVAL)
	want(t, "nothing", i.CompareAndWrite(ctx, 0, nil, nil), ceph.EINVAL)
	want(t, "unlike", i.CompareAndWrite(ctx, 0, two, two[1:]), ceph.EINVAL)
	want(t, "same beyond", i.WriteSame(ctx, 1<<20, 1024, []byte("x")), ceph.EINVAL)
	want(t, "no pattern", i.WriteSame(ctx, 0, 1024, nil), ceph.EINVAL)
	want(t, "nothing", i.WriteSame(ctx, 0, 0, []byte("x")), nil)
	want(t, "thick beyond", i.WriteZeroes(ctx, 1<<20, 1024, true), ceph.EINVAL)
	// An object that is not there is not said to be when nothing is written.
	err := i.CompareAndWrite(ctx, 4096, []byte("there"), []byte("other"))
	want(t, "something", err, ceph.EILSEQ)
	want(t, "close", i.Close(ctx), nil)
	if out := stock(t, s, "diff", "--whole-object", "i"); len(out) > 0 { // by the object map
		t.Errorf("nothing was written, and there is\n%s", out)
	}
	i = open(t, s, "i")
	for objects, name := range []string{"thin", "thick"} {
		want(t, name, i.WriteZeroes(ctx, 0, 1<<20, objects == 1), nil)
		n := 0
		for o, err := range s.IO().List(ctx) {
			want(t, "list", err, nil)
			if strings.HasPrefix(o.Name, "rbd_data.") {
				n++
			}
		}
		if n != objects {
			t.Errorf("%s: %d objects, want %d", name, n, objects)
		}
	}
	want(t, "close", i.Close(ctx), nil)
}
