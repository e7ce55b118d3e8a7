package layout

import "testing"

// TestSpans: the places of all objects of an image are all of it, once.
func TestSpans(t *testing.T) {
	for _, s := range []Striping{{Order: 12, StripeUnit: 4096, StripeCount: 1},
		{Order: 14, StripeUnit: 4096, StripeCount: 3},
		{Order: 13, StripeUnit: 1024, StripeCount: 2}} {
		const size = 100_000
		seen := make([]int, size)
		for n := range s.Objects(size) {
			for _, p := range s.Spans(n, size) {
				for i := range p.Len {
					seen[p.At+i]++
					if e := s.Layout().Locate(p.At + i); e.Object != n || e.Off != p.Off+i {
						t.Fatalf("%+v: byte %d is at %d of object %d, said to be at %d of %d", s,
							p.At+i, e.Off, e.Object, p.Off+i, n)
					}
				}
			}
		}
		for at, n := range seen {
			if n != 1 {
				t.Fatalf("%+v: byte %d is in %d places", s, at, n)
			}
		}
	}
}
