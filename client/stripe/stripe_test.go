package stripe_test

import (
	"slices"
	"testing"

	"glue/client/stripe"
)

// Every byte lies in exactly one place, and Offset finds it again.
func TestStripingIsABijection(t *testing.T) {
	for _, l := range []stripe.Layout{
		{ObjectBytes: 4096, StripeUnit: 4096, StripeCount: 1},
		{ObjectBytes: 4096, StripeUnit: 1024, StripeCount: 3},
		{ObjectBytes: 8192, StripeUnit: 512, StripeCount: 5},
		{ObjectBytes: 4096, StripeUnit: 4096, StripeCount: 4},
		{ObjectBytes: 5000, StripeUnit: 300, StripeCount: 1},
		{ObjectBytes: 4096, StripeUnit: 1500, StripeCount: 2},
	} {
		const size = 200_000
		type place struct{ object, off uint64 }
		seen := map[place]bool{}
		var at, top uint64
		for p := range l.Split(0, size) {
			if p.At != at {
				t.Fatalf("%+v: piece at %d, want %d", l, p.At, at)
			}
			at += p.Len
			top = max(top, p.Object+1)
			for b := range p.Len {
				where := place{p.Object, p.Off + b}
				if seen[where] || where.off >= l.ObjectBytes {
					t.Fatalf("%+v: byte %d lies at %+v", l, p.At+b, where)
				}
				seen[where] = true
				if got := l.Offset(where.object, where.off); got != p.At+b {
					t.Fatalf("%+v: offset of %+v is %d, want %d", l, where, got, p.At+b)
				}
			}
		}
		if at != size {
			t.Errorf("%+v: pieces cover %d of %d bytes", l, at, size)
		}
		if got := l.Objects(size); got != top {
			t.Errorf("%+v: %d objects, %d are used", l, got, top)
		}
	}
}

func TestSplitOfARange(t *testing.T) {
	l := stripe.Layout{ObjectBytes: 4096, StripeUnit: 4096, StripeCount: 1}
	got := slices.Collect(l.Split(4000, 5000))
	want := []stripe.Piece{{0, 4000, 96, 0}, {1, 0, 4096, 96}, {2, 0, 808, 4192}}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Part is what the pieces of the first bytes add up to.
func TestPart(t *testing.T) {
	for _, l := range []stripe.Layout{
		{ObjectBytes: 12, StripeUnit: 12, StripeCount: 1},
		{ObjectBytes: 12, StripeUnit: 4, StripeCount: 3},
		{ObjectBytes: 12, StripeUnit: 5, StripeCount: 2},
		{ObjectBytes: 4, StripeUnit: 4, StripeCount: 4},
	} {
		for size := range uint64(100) {
			has := map[uint64]uint64{}
			for p := range l.Split(0, size) {
				has[p.Object] += p.Len
			}
			for n := range uint64(30) {
				if got := l.Part(n, size); got != has[n] {
					t.Fatalf("%+v: %d bytes: object %d has %d, want %d", l, size, n, got, has[n])
				}
			}
		}
	}
}
