package blocks

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"glue/wire/message"
)

// TestDifferences: what is found makes one of the other, and does not write what is the same
// further than over a gap.
func TestDifferences(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	block := func(b []byte, n int, v byte) {
		for i := n * Size; i < min((n+1)*Size, len(b)); i++ {
			b[i] = v
		}
	}
	for range 200 {
		const blocks = 200
		a, b := make([]byte, blocks*Size-100), make([]byte, blocks*Size-100)
		for n := range blocks {
			v := byte(dice.IntN(3))
			block(a, n, v)
			if dice.IntN(10) == 0 {
				v = byte(dice.IntN(3))
			}
			block(b, n, v)
		}
		write, zero := Differences(a, b)
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
	write, zero := Differences(a, b)
	want := fmt.Sprint([]message.Extent{{Off: 0, Len: 3 * Size},
		{Off: 100 * Size, Len: Size}},
		[]message.Extent{{Off: 50 * Size, Len: Size}})
	if got := fmt.Sprint(write, zero); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if write, zero := Differences(nil, a); len(write) != 1 || len(zero) != 0 {
		t.Errorf("of nothing: %v %v", write, zero)
	}
}

func TestRunsLeavesZerosOut(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		p := make([]byte, r.IntN(1<<20)+1)
		for range r.IntN(6) {
			at := r.IntN(len(p))
			for i := at; i < min(at+r.IntN(100_000), len(p)); i++ {
				p[i] = byte(r.Uint32() | 1)
			}
		}
		out := make([]byte, len(p))
		var last uint64
		for _, e := range Data(p) {
			if e.Len == 0 || e.Off < last {
				t.Fatalf("run %+v after %d", e, last)
			}
			last = e.Off + e.Len
			copy(out[e.Off:last], p[e.Off:last])
		}
		if !bytes.Equal(out, p) {
			t.Fatal("a run is missing")
		}
	}
	if got := Data(make([]byte, 1<<20)); len(got) != 0 {
		t.Errorf("zeros give runs %+v", got)
	}
}
