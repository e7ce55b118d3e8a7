package backend

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"glue/ceph"
	"glue/store/objectstore"
)

var (
	coll = ceph.SPG{PGID: ceph.PGID{Pool: 3, Seed: 7}, Shard: ceph.NoShard}
	main = ceph.HObject{Pool: 3, Name: "main", Snap: ceph.NoSnap, Hash: 9}
)

func randomTransaction(rng *rand.Rand) *objectstore.Transaction {
	other := main
	other.Name = "other"
	t := &objectstore.Transaction{}
	data := func(n int) []byte { return bytes.Repeat([]byte{byte(n)}, n) }
	for range rng.IntN(8) {
		o := main
		if rng.IntN(4) == 0 {
			o = other
		}
		switch rng.IntN(8) {
		case 0:
			t.Touch(coll, o)
		case 1:
			t.Write(coll, o, rng.Uint64N(1<<40), data(1+rng.IntN(2*inlineBytes)))
		case 2:
			t.Remove(coll, o)
		case 3:
			t.SetAttrs(coll, o, map[string][]byte{"_": data(300), "x": data(3)})
		case 4:
			t.OmapRm(coll, o, []string{"a", "b"})
		case 5:
			t.Clone(coll, o, other)
		case 6:
			t.OmapRmRange(coll, o, "a", "z")
		case 7:
			t.Truncate(coll, o, rng.Uint64N(100))
		}
	}
	return t
}

func TestTransactionRoundTrip(t *testing.T) {
	for seed := range uint64(500) {
		want := randomTransaction(rand.New(rand.NewPCG(seed, 2)))
		b := slices.Concat(Encode(want, &main)...)
		got, err := Decode(b, coll, &main)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Ops) != len(want.Ops) {
			t.Fatalf("seed %d: %d ops, want %d", seed, len(got.Ops), len(want.Ops))
		}
		for i := range want.Ops {
			if !reflect.DeepEqual(got.Ops[i], want.Ops[i]) {
				t.Fatalf("seed %d: op %d is %+v, want %+v", seed, i, got.Ops[i], want.Ops[i])
			}
		}
		for n := range b {
			if tr, err := Decode(b[:n], coll, &main); err == nil && len(tr.Ops) == len(want.Ops) {
				t.Fatalf("seed %d: cut at %d of %d it still decodes", seed, n, len(b))
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(slices.Concat(Encode(randomTransaction(rand.New(rand.NewPCG(1, 2))), &main)...))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = Decode(b, coll, &main) })
}

func TestWindow(t *testing.T) {
	v := func(n uint64) ceph.Eversion { return ceph.Eversion{Version: n, Epoch: 1} }
	var w Window[int]
	w.Reset([]int32{0, 1, 2}, v(10))
	for n := 11; n <= 14; n++ {
		w.Start(v(uint64(n)), n)
	}
	drain := func() (out []int) {
		for {
			x, ok := w.Next()
			if !ok {
				return out
			}
			out = append(out, x)
		}
	}
	w.Ack(0, v(14))
	w.Ack(1, v(12))
	if got := drain(); got != nil {
		t.Errorf("done %v before copy 2 has answered", got)
	}
	if !w.Ack(2, v(13)) {
		t.Error("the last answer changes nothing")
	}
	if got := drain(); !slices.Equal(got, []int{11, 12}) {
		t.Errorf("done %v", got)
	}
	w.Ack(1, v(11)) // late
	if w.Durable() != v(12) {
		t.Errorf("durable %v", w.Durable())
	}
	w.Ack(1, v(14))
	w.Ack(2, v(14))
	if got := drain(); !slices.Equal(got, []int{13, 14}) || w.Len() != 0 {
		t.Errorf("done %v, %d left", got, w.Len())
	}
}
