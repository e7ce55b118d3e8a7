package pginfo

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
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

// TestKeysOfChanges: keys stay few and ascending, whatever is merged; where they are too many, or
// the omap as a whole has changed, all of them may have.
func TestKeysOfChanges(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 6))
		x, want, whole := Changes{Known: true}, map[string]bool{}, false
		for range rng.IntN(4) {
			o := Changes{Known: true}
			for range rng.IntN(9) {
				k := fmt.Sprint(rng.IntN(30))
				o.AddKey(k)
				want[k] = true
			}
			if rng.IntN(12) == 0 {
				o.AddOmap()
				whole = true
			}
			x.Merge(&o)
		}
		if x.Omap != (whole || len(want) > maxKeys) || x.Omap && len(x.Keys) > 0 ||
			!x.Omap && len(x.Keys) != len(want) || !slices.IsSorted(x.Keys) {
			t.Fatalf("seed %d: %+v of %v, whole %v", seed, x, want, whole)
		}
		var y Changes
		c := denc.NewEncoder(nil, ceph.FeaturesAll)
		x.Denc(c)
		d := denc.NewDecoder(c.Bytes(), ceph.FeaturesAll)
		if y.Denc(d); d.Err() != nil || !reflect.DeepEqual(x, y) {
			t.Fatalf("seed %d: %+v became %+v, %v", seed, x, y, d.Err())
		}
	}
	x := Changes{Known: true}
	if x.AddKey(strings.Repeat("k", maxKeyBytes+1)); !x.Omap {
		t.Error("a key of any length is kept")
	}
}
