package objectmap

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
)

func TestVector(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var v Vector
	v.Resize(1001)
	model := make([]uint8, 1001)
	for range 5000 {
		i := r.IntN(1001)
		model[i] = uint8(r.IntN(4))
		v.Set(uint64(i), model[i])
	}
	b := denc.Marshal(&v, ceph.FeaturesAll)
	var got Vector
	if err := denc.Unmarshal(b, &got, ceph.FeaturesAll); err != nil {
		t.Fatal(err)
	}
	for i, want := range model {
		if got.Get(uint64(i)) != want {
			t.Fatalf("element %d is %d, want %d", i, got.Get(uint64(i)), want)
		}
	}
	got.Resize(10)
	got.Resize(20)
	for i := range uint64(20) {
		want := uint8(0)
		if i < 10 {
			want = model[i]
		}
		if got.Get(i) != want {
			t.Errorf("after resizing element %d is %d, want %d", i, got.Get(i), want)
		}
	}
	for n := range b {
		var cut Vector
		if err := denc.Unmarshal(b[:n], &cut, ceph.FeaturesAll); err == nil {
			t.Fatalf("cut at %d of %d bytes: no error", n, len(b))
		}
	}
}

// The first element is in the highest bits of the first byte, as a real cluster stores it.
func TestVectorLayout(t *testing.T) {
	var v Vector
	v.Resize(5)
	v.Set(0, Exists)
	v.Set(1, Pending)
	v.Set(4, Clean)
	if want := []byte{0b01_10_00_00, 0b11_00_00_00}; !bytes.Equal(v.bits, want) {
		t.Errorf("bits %08b, want %08b", v.bits, want)
	}
}

func FuzzVector(f *testing.F) {
	var v Vector
	v.Resize(9)
	f.Add(denc.Marshal(&v, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		var v Vector
		if denc.Unmarshal(b, &v, 0) == nil && v.n > 0 {
			v.Get(v.n - 1)
		}
	})
}
