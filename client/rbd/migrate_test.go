package rbd

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestDifferences: what is found makes one of the other, and does not write what is the same
// further than over a gap.
func TestDifferences(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	block := func(b []byte, n int, v byte) {
		for i := n * blockBytes; i < min((n+1)*blockBytes, len(b)); i++ {
			b[i] = v
		}
	}
	for range 200 {
		const blocks = 200
		a, b := make([]byte, blocks*blockBytes-100), make([]byte, blocks*blockBytes-100)
		for n := range blocks {
			v := byte(dice.IntN(3))
			block(a, n, v)
			if dice.IntN(10) == 0 {
				v = byte(dice.IntN(3))
			}
			block(b, n, v)
		}
		write, zero := differences(a, b)
		got := bytes.Clone(a)
		for _, e := range zero {
			clear(got[e.Off : e.Off+e.Len])
		}
		for _, e := range write {
			copy(got[e.Off:e.Off+e.Len], b[e.Off:])
		}
		if !bytes.Equal(got, b) {
			t.Fatal("it does not become the other")
		}
	}
	a, b := make([]byte, 1<<20), make([]byte, 1<<20)
	for _, n := range []int{0, 2, 100} {
		block(b, n, 1)
	}
	block(a, 50, 1)
	write, zero := differences(a, b)
	want := fmt.Sprint([]Extent{{Off: 0, Len: 3 * blockBytes},
		{Off: 100 * blockBytes, Len: blockBytes}},
		[]Extent{{Off: 50 * blockBytes, Len: blockBytes}})
	if got := fmt.Sprint(write, zero); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if write, zero := differences(nil, a); len(write) != 1 || len(zero) != 0 {
		t.Errorf("of nothing: %v %v", write, zero)
	}
}

// TestMoments: each write is as old as the snapshot that shows it, of those that are left.
func TestMoments(t *testing.T) {
	c := &migrator{m: &Migration{spec: migrationSpec{overlap: 50}},
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
					if e := s.locate(p.at + i); e.object != n || e.off != p.off+i {
						t.Fatalf("%+v: byte %d is at %d of object %d, said to be at %d of %d", s,
							p.at+i, e.off, e.object, p.off+i, n)
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
