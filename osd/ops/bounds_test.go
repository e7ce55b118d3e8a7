package ops

import (
	"testing"

	"glue/ceph"
)

// TestBounds walks the PGs of pools in the order of objects: every range ends where another begins,
// and none is left out.
func TestBounds(t *testing.T) {
	for _, num := range []uint32{1, 2, 3, 5, 6, 8, 12, 32, 100} {
		ends := map[ceph.HObject]bool{}
		begins := map[ceph.HObject]bool{}
		for seed := range num {
			b, e := Bounds(ceph.PGID{Pool: 1, Seed: seed}, num)
			if b.Compare(e) >= 0 {
				t.Fatalf("pg_num %d: %d is [%v, %v)", num, seed, b, e)
			}
			e.Snap = 0
			begins[b], ends[e] = true, true
		}
		first := ceph.HObject{Pool: 1}
		for b := range begins {
			if !ends[b] && b != first {
				t.Errorf("pg_num %d: nothing ends at %v", num, b)
			}
		}
		if len(begins) != int(num) || len(ends) != int(num) {
			t.Errorf("pg_num %d: %d begin, %d end", num, len(begins), len(ends))
		}
	}
}
