package pginfo

import (
	"math/rand/v2"
	"testing"
)

// TestChangesCover: whatever is added is within the ranges, which stay few, ascending and apart.
func TestChangesCover(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 5))
		x := Changes{Known: true}
		var want [1000]bool
		for range rng.IntN(40) {
			begin, n := rng.Uint64N(900), rng.Uint64N(60)
			x.Add(begin, n)
			for i := begin; i < begin+n; i++ {
				want[i] = true
			}
			if len(x.Ranges) > maxRanges {
				t.Fatalf("seed %d: %d ranges", seed, len(x.Ranges))
			}
		}
		for i, r := range x.Ranges {
			if r.Begin >= r.End || i > 0 && r.Begin <= x.Ranges[i-1].End {
				t.Fatalf("seed %d: %v", seed, x.Ranges)
			}
		}
		for i, w := range want {
			if w && len(x.Within(uint64(i), uint64(i)+1)) == 0 {
				t.Fatalf("seed %d: %d is not in %v", seed, i, x.Ranges)
			}
		}
	}
}
