package rbd

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rbd/blocks"
)

func TestBitVector(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var v bitVector
	v.resize(1001)
	model := make([]uint8, 1001)
	for range 5000 {
		i := r.IntN(1001)
		model[i] = uint8(r.IntN(4))
		v.set(uint64(i), model[i])
	}
	b := denc.Marshal(&v, ceph.FeaturesAll)
	var got bitVector
	if err := denc.Unmarshal(b, &got, ceph.FeaturesAll); err != nil {
		t.Fatal(err)
	}
	for i, want := range model {
		if got.get(uint64(i)) != want {
			t.Fatalf("element %d is %d, want %d", i, got.get(uint64(i)), want)
		}
	}
	got.resize(10)
	got.resize(20)
	for i := range uint64(20) {
		want := uint8(0)
		if i < 10 {
			want = model[i]
		}
		if got.get(i) != want {
			t.Errorf("after resizing element %d is %d, want %d", i, got.get(i), want)
		}
	}
	for n := range b {
		var cut bitVector
		if err := denc.Unmarshal(b[:n], &cut, ceph.FeaturesAll); err == nil {
			t.Fatalf("cut at %d of %d bytes: no error", n, len(b))
		}
	}
}

// The first element is in the highest bits of the first byte, as a real cluster stores it.
func TestBitVectorLayout(t *testing.T) {
	var v bitVector
	v.resize(5)
	v.set(0, objectExists)
	v.set(1, objectPending)
	v.set(4, objectClean)
	if want := []byte{0b01_10_00_00, 0b11_00_00_00}; !bytes.Equal(v.bits, want) {
		t.Errorf("bits %08b, want %08b", v.bits, want)
	}
}

func FuzzBitVector(f *testing.F) {
	var v bitVector
	v.resize(9)
	f.Add(denc.Marshal(&v, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		var v bitVector
		if denc.Unmarshal(b, &v, 0) == nil && v.n > 0 {
			v.get(v.n - 1)
		}
	})
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
		for _, e := range blocks.Data(p) {
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
	if got := blocks.Data(make([]byte, 1<<20)); len(got) != 0 {
		t.Errorf("zeros give runs %+v", got)
	}
}

func TestFeatures(t *testing.T) {
	f, err := ParseFeatures("layering,exclusive-lock, 32")
	if err != nil || f != Layering|ExclusiveLock|DeepFlatten {
		t.Errorf("%v, %v", f, err)
	}
	if DefaultFeatures != 61 {
		t.Errorf("default features are %d, not 61", DefaultFeatures)
	}
	if _, err := ParseFeatures("nonsense"); err == nil {
		t.Error("an unknown feature is taken")
	}
	for _, bad := range []Features{ObjectMap, FastDiff | ExclusiveLock, Journaling} {
		if bad.check() == nil {
			t.Errorf("features %v are taken", bad)
		}
	}
}

func TestNoticeRoundTrip(t *testing.T) {
	for _, n := range []notice{
		{op: opAcquiredLock, client: clientID{4100, 7}},
		{op: opRequestLock, client: clientID{4100, 7}, force: true},
		{op: opHeaderUpdate},
	} {
		var got notice
		if err := denc.Unmarshal(n.encode(), &got, 0); err != nil || got != n {
			t.Errorf("got %+v, %v, want %+v", got, err, n)
		}
	}
	if r, ok := parseResponse(response(-95)); !ok || r != -95 {
		t.Errorf("response %d, %v", r, ok)
	}
	if _, ok := parseResponse(nil); ok {
		t.Error("no answer is taken for one")
	}
}
