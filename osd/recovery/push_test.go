package recovery

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"testing"

	"glue/ceph"
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
		p, err := Read(from, coll, o, progress, ChunkBytes, ChunkKeys)
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
