package recovery

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"glue/ceph"
	"glue/cluster/pginfo"
	"glue/osd/snaps"
	"glue/store/memstore"
	"glue/store/objectstore"
	"glue/wire/message"
)

const (
	ChunkBytes = 8 << 20
	ChunkKeys  = 8192
)

var coll = ceph.SPG{PGID: ceph.PGID{Pool: 1}, Shard: ceph.NoShard}

func submit(t *testing.T, s *memstore.Store, tr *objectstore.Transaction) {
	t.Helper()
	if err := s.Submit(tr, nil); err != nil {
		t.Fatal(err)
	}
}

func newStore(t *testing.T) *memstore.Store {
	s := memstore.New(memstore.Options{})
	t.Cleanup(func() { s.Close() })
	tr := &objectstore.Transaction{}
	tr.MkColl(coll)
	submit(t, s, tr)
	return s
}

// transfer copies an object push by push and returns how many it took.
func transfer(t *testing.T, from, to *memstore.Store, o ceph.HObject) int {
	t.Helper()
	exists := func(o ceph.HObject) bool {
		_, err := to.Stat(coll, o)
		return !errors.Is(err, ceph.ENOENT)
	}
	progress := Start()
	for n := 1; ; n++ {
		p, err := Read(from, coll, o, progress, message.Part{}, ChunkBytes, ChunkKeys)
		if err != nil || p.After.Error {
			t.Fatal(err, p.After.Error)
		}
		tr := &objectstore.Transaction{}
		if err := Apply(tr, coll, &p, exists); err != nil {
			t.Fatal(err)
		}
		submit(t, to, tr)
		if Complete(&p) {
			return n
		}
		if exists(o) {
			t.Fatal("the object is there before it is complete")
		}
		if progress = p.After; n > 100 {
			t.Fatal("no end")
		}
	}
}

func TestPush(t *testing.T) {
	for name, c := range map[string]struct {
		size  uint64
		holes bool
		keys  int
		least int
	}{
		"empty":       {0, false, 0, 1},
		"small":       {5000, false, 3, 1},
		"large":       {3*ChunkBytes + 17, false, 0, 4},
		"sparse":      {2*ChunkBytes + 1, true, 0, 1},
		"many keys":   {100, false, 3*ChunkKeys + 1, 4},
		"both":        {ChunkBytes + 1, false, ChunkKeys + 1, 3},
		"exact chunk": {ChunkBytes, false, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := newStore(t), newStore(t)
			o := ceph.HObject{Pool: 1, Name: "o", Snap: ceph.NoSnap, Hash: 7}
			tr := &objectstore.Transaction{}
			tr.Truncate(coll, o, c.size)
			if c.size > 0 && !c.holes {
				tr.Write(coll, o, 0, bytes.Repeat([]byte("glue"), int(c.size)/4+1)[:c.size])
			}
			tr.SetAttrs(coll, o, map[string][]byte{"_": []byte("info"), "_x": []byte("y")})
			pairs := map[string][]byte{}
			for i := range c.keys {
				pairs[fmt.Sprintf("key%06d", i)] = fmt.Append(nil, i)
			}
			if c.keys > 0 {
				tr.OmapSet(coll, o, pairs)
				tr.OmapSetHeader(coll, o, []byte("header"))
			}
			submit(t, from, tr)
			if n := transfer(t, from, to, o); n < c.least {
				t.Errorf("%d pushes", n)
			}
			same(t, from, to, o, pairs)
			list, _, err := to.List(coll, ceph.HObject{Pool: -1 << 62}, 10)
			if err != nil || len(list) != 1 {
				t.Errorf("left over: %v %v", list, err)
			}
		})
	}
}

func same(t *testing.T, a, b *memstore.Store, o ceph.HObject, pairs map[string][]byte) {
	t.Helper()
	da, _ := a.Read(coll, o, 0, 0)
	db, err := b.Read(coll, o, 0, 0)
	if err != nil || !bytes.Equal(da, db) {
		t.Errorf("data of %d and %d bytes differ, %v", len(da), len(db), err)
	}
	attrs, _ := b.GetAttrs(coll, o)
	if len(attrs) != 2 || string(attrs["_"]) != "info" {
		t.Errorf("attributes %v", attrs)
	}
	got := map[string][]byte{}
	for kv, err := range b.OmapScan(coll, o, "") {
		if err != nil {
			t.Fatal(err)
		}
		got[kv.Key] = bytes.Clone(kv.Value)
	}
	if !maps.EqualFunc(got, pairs, bytes.Equal) {
		t.Errorf("%d keys, want %d", len(got), len(pairs))
	}
}

// TestApplyRefuses gives pushes that fit nothing: an error, and nothing else.
func TestApplyRefuses(t *testing.T) {
	o := ceph.HObject{Pool: 1, Name: "o", Snap: ceph.NoSnap}
	none := func(ceph.HObject) bool { return false }
	late := message.Push{Object: o, Size: 10}
	short := message.Push{Object: o, Size: 10, Before: Start(),
		Extents: []message.Extent{{Off: 0, Len: 8}}, Content: []byte("abc")}
	beyond := message.Push{Object: o, Size: 2, Before: Start(),
		Extents: []message.Extent{{Off: 0, Len: 3}}, Content: []byte("abc")}
	for i, p := range []message.Push{late, short, beyond} {
		if err := Apply(&objectstore.Transaction{}, coll, &p, none); !errors.Is(err, ceph.EINVAL) {
			t.Errorf("push %d: %v", i, err)
		}
	}
}

// TestParts: a copy that has an older version of an object and is sent only what has changed since
// has the newer one afterwards, whatever was done to it; and no more moves than has changed.
func TestParts(t *testing.T) {
	o := ceph.HObject{Pool: 1, Name: "o", Snap: ceph.NoSnap, Hash: 7}
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		from, to := newStore(t), newStore(t)
		data := make([]byte, 1+rng.IntN(400_000))
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		for _, s := range []*memstore.Store{from, to} {
			tr := &objectstore.Transaction{}
			tr.Write(coll, o, 0, data)
			tr.SetAttrs(coll, o, map[string][]byte{"_": []byte("old"), "_gone": []byte("x")})
			tr.OmapSet(coll, o, map[string][]byte{"a": []byte("1"), "b": []byte("2")})
			tr.OmapSetHeader(coll, o, []byte("header"))
			submit(t, s, tr)
		}
		x := pginfo.Changes{Known: true}
		for range 1 + rng.IntN(14) {
			tr := &objectstore.Transaction{}
			change(rng, tr, o)
			e := ChangesOf(tr, &o)
			x.Merge(&e)
			submit(t, from, tr)
		}
		tr := &objectstore.Transaction{}
		tr.SetAttrs(coll, o, map[string][]byte{"_": []byte("info"), "_x": []byte("y")})
		tr.RmAttr(coll, o, "_gone")
		submit(t, from, tr)
		sent := move(t, from, to, o, message.Part{Base: ceph.Eversion{Version: 1}, Changes: x},
			4096+rng.IntN(100_000), 1+rng.IntN(5))
		st, _ := from.Stat(coll, o)
		changed := uint64(0)
		for _, r := range x.Within(0, st.Size) {
			changed += r.End - r.Begin
		}
		if uint64(sent) > changed {
			t.Fatalf("seed %d: %d bytes were sent, %d have changed", seed, sent, changed)
		}
		pairs := map[string][]byte{}
		for kv := range from.OmapScan(coll, o, "") {
			pairs[kv.Key] = bytes.Clone(kv.Value)
		}
		if same(t, from, to, o, pairs); t.Failed() {
			t.Fatalf("seed %d: %+v", seed, x)
		}
		a, _ := from.OmapHeader(coll, o)
		if b, _ := to.OmapHeader(coll, o); !bytes.Equal(a, b) {
			t.Fatalf("seed %d: header %q, want %q", seed, b, a)
		}
	}
}

// change is one random update of an object.
func change(rng *rand.Rand, tr *objectstore.Transaction, o ceph.HObject) {
	off, n := uint64(rng.IntN(500_000)), rng.IntN(9000)
	switch rng.IntN(16) {
	case 0, 1:
		tr.Truncate(coll, o, off)
	case 2, 3:
		tr.Zero(coll, o, off, uint64(n))
	case 4, 5:
		tr.OmapSet(coll, o, map[string][]byte{fmt.Sprint(n % 10): []byte("new"), "b": nil})
	case 6:
		tr.OmapRm(coll, o, []string{"a", fmt.Sprint(n % 10)})
	case 7:
		if n%4 == 0 {
			tr.OmapClear(coll, o)
		} else if n%4 == 1 {
			tr.OmapSetHeader(coll, o, []byte("another"))
		}
	default:
		tr.Write(coll, o, off, bytes.Repeat([]byte("new"), n/3))
	}
}

// move copies a part of an object and returns how many bytes of its data that took.
func move(
	t *testing.T, from, to *memstore.Store, o ceph.HObject, part message.Part, size, keys int,
) int {
	t.Helper()
	exists := func(o ceph.HObject) bool {
		_, err := to.Stat(coll, o)
		return !errors.Is(err, ceph.ENOENT)
	}
	sent, progress := 0, Start()
	for range 10000 {
		p, err := Read(from, coll, o, progress, part, size, keys)
		if err != nil {
			t.Fatal(err)
		}
		tr := &objectstore.Transaction{}
		if err := Apply(tr, coll, &p, exists); err != nil {
			t.Fatal(err)
		}
		submit(t, to, tr)
		if sent += len(p.Content); Complete(&p) {
			return sent
		}
		progress = p.After
	}
	t.Fatal("no end")
	return 0
}

// TestFewBytesMove: of an object of 4 MiB in which a few blocks were written, those are moved.
func TestFewBytesMove(t *testing.T) {
	o := ceph.HObject{Pool: 1, Name: "o", Snap: ceph.NoSnap, Hash: 7}
	from, to := newStore(t), newStore(t)
	tr := &objectstore.Transaction{}
	tr.Write(coll, o, 0, bytes.Repeat([]byte("glue"), 1<<20))
	submit(t, from, tr)
	submit(t, to, tr)
	x := pginfo.Changes{Known: true}
	for i := range uint64(8) {
		tr := &objectstore.Transaction{}
		tr.Write(coll, o, i*500_000, bytes.Repeat([]byte("n"), 4096))
		e := ChangesOf(tr, &o)
		x.Merge(&e)
		submit(t, from, tr)
	}
	part := message.Part{Base: ceph.Eversion{Version: 1}, Changes: x}
	sent := move(t, from, to, o, part, 8<<20, 8192)
	if ratio := float64(sent) / (8 * 4096); ratio > 1.05 {
		t.Errorf("%d bytes moved, %.2f of what changed", sent, ratio)
	}
	a, _ := from.Read(coll, o, 0, 0)
	if b, _ := to.Read(coll, o, 0, 0); !bytes.Equal(a, b) {
		t.Error("the copies differ")
	}
}

// TestFewKeysMove: of an omap of many keys in which a few were set and removed, those are moved.
func TestFewKeysMove(t *testing.T) {
	o := ceph.HObject{Pool: 1, Name: "o", Snap: ceph.NoSnap, Hash: 7}
	from, to := newStore(t), newStore(t)
	all := map[string][]byte{}
	for i := range 10_000 {
		all[fmt.Sprintf("key-%05d", i)] = []byte("value")
	}
	tr := &objectstore.Transaction{}
	tr.OmapSet(coll, o, all)
	tr.OmapSetHeader(coll, o, []byte("header"))
	tr.SetAttrs(coll, o, map[string][]byte{"_": []byte("info"), "_x": []byte("y")})
	submit(t, from, tr)
	submit(t, to, tr)
	tr = &objectstore.Transaction{}
	tr.OmapSet(coll, o, map[string][]byte{"key-00007": []byte("other"), "new": []byte("value")})
	tr.OmapRm(coll, o, []string{"key-09999", "none"})
	submit(t, from, tr)
	all["key-00007"], all["new"] = []byte("other"), []byte("value")
	delete(all, "key-09999")
	x := ChangesOf(tr, &o)
	part := message.Part{Base: ceph.Eversion{Version: 1}, Changes: x}
	p, err := Read(from, coll, o, Start(), part, 8<<20, 8192)
	if err != nil || len(p.Omap) != 2 || !Complete(&p) {
		t.Fatalf("%d keys go, %v", len(p.Omap), err)
	}
	move(t, from, to, o, part, 8<<20, 8192)
	same(t, from, to, o, all)
	if h, _ := to.OmapHeader(coll, o); string(h) != "header" {
		t.Errorf("header %q", h)
	}
}

// TestBeside: who has the clone before an object and is sent what the two do not have in common
// has the object afterwards, and the clone as before.
func TestBeside(t *testing.T) {
	head := ceph.HObject{Pool: 1, Name: "o", Snap: ceph.NoSnap, Hash: 7}
	clone := head
	clone.Snap = 5
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 4))
		was := make([]byte, 1+rng.IntN(200_000))
		for i := range was {
			was[i] = byte(rng.Uint32())
		}
		both := 1 + rng.Uint64N(uint64(len(was)))
		data := slices.Clone(was[:both])
		if rng.IntN(2) == 0 {
			data = append(data, make([]byte, rng.IntN(50_000))...)
		}
		common := []pginfo.Range{{Begin: 0, End: both}}
		for range rng.IntN(5) {
			off := rng.Uint64N(both)
			n := copy(data[off:both], "something else")
			var x pginfo.Changes
			for _, r := range snaps.Outside(uint64(len(data)), common) {
				x.Add(r.Begin, r.End-r.Begin)
			}
			x.Add(off, uint64(n))
			common = snaps.Outside(both, x.Within(0, both))
		}
		from, to := newStore(t), newStore(t)
		for _, s := range []*memstore.Store{from, to} {
			tr := &objectstore.Transaction{}
			tr.Write(coll, clone, 0, was)
			tr.SetAttrs(coll, clone, map[string][]byte{"_": []byte("clone"), "_c": []byte("x")})
			tr.OmapSet(coll, clone, map[string][]byte{"a": []byte("1"), "b": []byte("2")})
			submit(t, s, tr)
		}
		tr := &objectstore.Transaction{}
		tr.Write(coll, head, 0, data)
		tr.SetAttrs(coll, head, map[string][]byte{"_": []byte("info"), "_x": []byte("y")})
		pairs := map[string][]byte{"a": []byte("1"), "c": []byte("3")}
		tr.OmapSet(coll, head, pairs)
		submit(t, from, tr)
		part := Beside(&pginfo.Clone{ID: 5, Overlap: common}, ceph.Eversion{Version: 1},
			uint64(len(data)))
		move(t, from, to, head, part, 4096+rng.IntN(100_000), 1+rng.IntN(5))
		if same(t, from, to, head, pairs); t.Failed() {
			t.Fatalf("seed %d: common %v of %d and %d bytes", seed, common, len(was), len(data))
		}
		if b, err := to.Read(coll, clone, 0, 0); err != nil || !bytes.Equal(b, was) {
			t.Fatalf("seed %d: the clone has changed, %v", seed, err)
		}
	}
	if p := Beside(&pginfo.Clone{ID: 5}, ceph.Eversion{Version: 1}, 9); p.Partial() {
		t.Error("nothing in common, and yet a part")
	}
}
