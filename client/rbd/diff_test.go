package rbd

import (
	"math/rand/v2"
	"testing"
)

// TestWithout against bytes.
func TestWithout(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	some := func() (out []Extent, bytes [64]bool) {
		for at := r.Uint64N(9); at < 64; at += 1 + r.Uint64N(9) {
			e := Extent{Off: at, Len: min(1+r.Uint64N(9), 64-at)}
			for k := range e.Len {
				bytes[at+k] = true
			}
			out = append(out, e)
			at += e.Len
		}
		return out, bytes
	}
	for range 2000 {
		a, inA := some()
		b, inB := some()
		var got [64]bool
		for _, e := range without(a, b) {
			for k := range e.Len {
				got[e.Off+k] = true
			}
		}
		for n := range got {
			if got[n] != (inA[n] && !inB[n]) {
				t.Fatalf("%v without %v is %v", a, b, without(a, b))
			}
		}
	}
}
