package objectstore_test

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/store/objectstore"
)

// everything has one change of each kind with all its fields set.
func everything(rng *rand.Rand) *objectstore.Transaction {
	c := ceph.SPG{PGID: ceph.PGID{Pool: rng.Int64N(9), Seed: rng.Uint32()}, Shard: 2}
	d := ceph.SPG{PGID: ceph.PGID{Pool: 3, Seed: 9}, Shard: ceph.NoShard}
	o := ceph.HObject{Pool: 3, Name: "name", Key: "key", Namespace: "ns", Hash: rng.Uint32(),
		Snap: ceph.SnapID(rng.Uint64())}
	p := o.Head()
	pairs := map[string][]byte{"a": []byte("1"), "b": nil, "": []byte("3")}
	v := ceph.Eversion{Epoch: ceph.Epoch(rng.Uint32()), Version: rng.Uint64()}
	data := make([]byte, rng.IntN(50))
	var t objectstore.Transaction
	t.Touch(c, o)
	t.Write(c, o, rng.Uint64N(1000), data)
	t.Zero(c, o, 5, 6)
	t.Truncate(c, o, 7)
	t.Remove(c, o)
	t.SetAttrs(c, o, pairs)
	t.SetAttr(c, o, "n", data)
	t.RmAttr(c, o, "n")
	t.RmAttrs(c, o)
	t.Clone(c, o, p)
	t.CloneRange(c, o, p, 1, 2, 3)
	t.MoveRename(c, o, p)
	t.OmapSet(c, o, pairs)
	t.OmapRm(c, o, []string{"x", ""})
	t.OmapRmRange(c, o, "a", "b")
	t.OmapClear(c, o)
	t.OmapSetHeader(c, o, data)
	t.MkColl(c)
	t.RmColl(c)
	t.SplitColl(c, d, 4)
	t.LogAppend(c, v, data)
	t.LogTrim(c, v)
	t.LogRewind(c, v)
	t.PutMeta("k", data)
	t.RmMeta("k")
	return &t
}

// normal makes empty slices nil, as they decode.
func normal(t *objectstore.Transaction) *objectstore.Transaction {
	for i := range t.Ops {
		if len(t.Ops[i].Data) == 0 {
			t.Ops[i].Data = nil
		}
		for k, v := range t.Ops[i].Pairs {
			if len(v) == 0 {
				t.Ops[i].Pairs[k] = nil
			}
		}
	}
	return t
}

// A transaction arrives at a replica as it left the primary; cut anywhere it is an error.
func TestTransactionTravels(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		want := everything(rng)
		b := denc.Marshal(want, 0)
		var got objectstore.Transaction
		if err := denc.Unmarshal(b, &got, 0); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(normal(want).Ops, normal(&got).Ops) {
			t.Fatalf("want %+v\ngot %+v", want, got)
		}
		if err := got.Check(); err != nil {
			t.Fatal(err)
		}
		for n := range len(b) {
			if denc.Unmarshal(b[:n], new(objectstore.Transaction), 0) == nil {
				t.Fatalf("cut at %d of %d and nothing noticed", n, len(b))
			}
		}
	}
}

func TestCheck(t *testing.T) {
	var big objectstore.Transaction
	for range 5 {
		big.Write(ceph.SPG{}, ceph.HObject{}, 0, make([]byte, objectstore.MaxDataBytes/4))
	}
	if err := big.Check(); !errors.Is(err, ceph.EINVAL) {
		t.Fatalf("more data than a transaction may have: %v", err)
	}
	lie := objectstore.Op{Code: objectstore.OpWrite, Len: 5, Data: []byte("abc")}
	if err := lie.Check(); !errors.Is(err, ceph.EINVAL) {
		t.Fatalf("a write whose length is not its data's: %v", err)
	}
}

func FuzzTransaction(f *testing.F) {
	f.Add(denc.Marshal(everything(rand.New(rand.NewPCG(1, 2))), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		var tx objectstore.Transaction
		if denc.Unmarshal(b, &tx, 0) == nil {
			_ = tx.Check()
			again := denc.Marshal(&tx, 0)
			if err := denc.Unmarshal(again, new(objectstore.Transaction), 0); err != nil {
				t.Fatalf("re-encoded: %v", err)
			}
		}
	})
}
