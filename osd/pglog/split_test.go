package pglog

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"glue/ceph"
)

// TestSplitAndUnite: every entry and missing object is in the part that its hash says and nowhere
// else, both parts keep head and tail and know all requests, and together again nothing is
// forgotten but what is beyond the limit.
func TestSplitAndUnite(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		l, m := New(ev(1, 0)), NewMissing()
		n := rng.IntN(60)
		for i := range n {
			e := entry(ev(uint64(1+i/20), uint64(i+1)), fmt.Sprint("o", rng.IntN(15)),
				ceph.Eversion{})
			e.Object.Hash = uint32(len(e.Object.Name)) ^ uint32(e.Object.Name[1])
			e.ReqID = ceph.ReqID{Name: ceph.EntityName{Num: 1}, TID: uint64(i + 1)}
			l.Append(e)
			if rng.IntN(4) == 0 {
				m.Set(e.Object, Item{Need: e.Version})
			}
		}
		if n > 0 {
			l.Trim(l.Entries()[rng.IntN(n)].Version)
		}
		entries, missing, head, tail := slices.Clone(l.Entries()), m.Len(), l.Head(), l.Tail()
		moves := func(o ceph.HObject) bool { return o.Hash&1 == 1 }
		c, cm := l.Split(moves), m.Split(moves)
		if c.Head() != head || l.Head() != head || c.Tail() != tail || l.Tail() != tail {
			t.Fatalf("seed %d: heads %v, %v, tails %v, %v", seed, l.Head(), c.Head(), l.Tail(),
				c.Tail())
		}
		if l.Len()+c.Len() != len(entries) || m.Len()+cm.Len() != missing {
			t.Fatalf("seed %d: %d and %d of %d entries", seed, l.Len(), c.Len(), len(entries))
		}
		for _, e := range entries {
			in, out := l, c
			if moves(e.Object) {
				in, out = c, l
			}
			_, here := in.Entry(e.Version)
			_, there := out.Entry(e.Version)
			_, found := in.Find(e.ReqID)
			if !here || there || !found {
				t.Fatalf("seed %d: %v of hash %x: %v, %v, %v", seed, e.Version, e.Object.Hash, here,
					there, found)
			}
		}
		for _, o := range append(m.Objects(), cm.Objects()...) {
			if m.Has(o) == moves(o) || cm.Has(o) != moves(o) {
				t.Fatalf("seed %d: missing %v", seed, o)
			}
		}
		keep := rng.IntN(80)
		u := Unite([]*Log{l, c}, head, keep)
		if u.Len() != 0 || u.Tail() != head || len(u.Dups()) != min(n, keep) {
			t.Fatalf("seed %d: %d requests of %d, %d to keep", seed, len(u.Dups()), n, keep)
		}
		for i := range min(n, keep) {
			if _, ok := u.Find(ceph.ReqID{Name: ceph.EntityName{Num: 1}, TID: uint64(n - i)}); !ok {
				t.Fatalf("seed %d: request %d of %d is forgotten", seed, n-i, n)
			}
		}
	}
}
