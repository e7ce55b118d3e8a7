package rbd

import (
	"fmt"
	"testing"

	"glue/cluster/rbdspec"
)

// TestMoments: each write is as old as the snapshot that shows it, of those that are left.
func TestMoments(t *testing.T) {
	c := &migrator{m: &Migration{spec: rbdspec.Migration{Overlap: 50}},
		past: []moment{{to: 11, limit: 10}, {to: 12, limit: 20}, {to: 14, limit: 30}}}
	h := &header{size: 40, snapshots: []Snapshot{{ID: 11}, {ID: 14}, {ID: 20}}}
	var got string
	for _, at := range c.moments(h) {
		got += fmt.Sprintf("%v limit %d after %d %v; ", at.to, at.limit, at.seq, at.snaps)
	}
	const want = "b limit 10 after 0 []; e limit 30 after 12 [b]; head limit 40 after 14 [e b]; "
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
	c.past = nil
	if list := c.moments(&header{size: 80}); len(list) != 1 || list[0].seq != 0 ||
		list[0].limit != 50 {
		t.Errorf("without snapshots: %+v", list)
	}
}

// TestSpans: the places of all objects of an image are all of it, once.
func TestSpans(t *testing.T) {
	for _, s := range []striping{{order: 12, stripeUnit: 4096, stripeCount: 1},
		{order: 14, stripeUnit: 4096, stripeCount: 3},
		{order: 13, stripeUnit: 1024, stripeCount: 2}} {
		const size = 100_000
		seen := make([]int, size)
		for n := range s.objects(size) {
			for _, p := range s.spans(n, size) {
				for i := range p.len {
					seen[p.at+i]++
					if e := s.layout().Locate(p.at + i); e.Object != n || e.Off != p.off+i {
						t.Fatalf("%+v: byte %d is at %d of object %d, said to be at %d of %d", s,
							p.at+i, e.Off, e.Object, p.off+i, n)
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
