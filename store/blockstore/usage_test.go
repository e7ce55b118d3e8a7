package blockstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"glue/ceph"
	"glue/store/disk"
	"glue/store/objectstore"
)

// usageStore is a store on a simulated disk with one collection of pool 3.
type usageStore struct {
	*Store
	t *testing.T
	o Options
	c ceph.SPG
}

func newUsageStore(t *testing.T) *usageStore {
	sim := disk.NewSim(64 << 20)
	u := &usageStore{t: t, c: ceph.SPG{PGID: ceph.PGID{Pool: 3, Seed: 1}, Shard: ceph.NoShard},
		o: Options{Size: 64 << 20, Disk: sim.Open, KVFS: vfs.NewMem()}}
	if err := Format("/osd", u.o); err != nil {
		t.Fatal(err)
	}
	u.open()
	t.Cleanup(func() { u.Close() })
	u.do(func(t *objectstore.Transaction) { t.MkColl(u.c) })
	return u
}

func (u *usageStore) open() {
	u.t.Helper()
	var err error
	if u.Store, err = Open("/osd", u.o); err != nil {
		u.t.Fatal(err)
	}
}

func (u *usageStore) reopen() {
	u.t.Helper()
	if err := u.Close(); err != nil {
		u.t.Fatal(err)
	}
	u.open()
}

func (u *usageStore) do(f func(*objectstore.Transaction)) {
	u.t.Helper()
	var t objectstore.Transaction
	f(&t)
	if err := u.Submit(&t, nil); err != nil {
		u.t.Fatal(err)
	}
}

func (u *usageStore) object(name string) ceph.HObject {
	return ceph.HObject{Pool: 3, Name: name, Hash: 0x1234, Snap: ceph.NoSnap}
}

// want compares with what is counted, with the sums, and with a recount.
func (u *usageStore) want(what string, blocks, stored, omap uint64) {
	u.t.Helper()
	want := objectstore.PoolUsage{Allocated: blocks * blockBytes, Stored: stored, Omap: omap}
	pools, err := u.PoolUsage()
	if got := pools[3]; err != nil || got != want || len(pools) != 1 {
		u.t.Fatalf("%s: %+v, %v; want %+v", what, pools, err, want)
	}
	sum, err := u.Usage()
	if err != nil || sum.Data != want.Allocated || sum.Stored != stored || sum.Omap != omap {
		u.t.Fatalf("%s: the sums are %+v, %v; want %+v", what, sum, err, want)
	}
	r, err := u.Fsck(context.Background(), false)
	if err != nil || len(r.Errors) > 0 {
		u.t.Fatalf("%s: fsck: %v, %v", what, r.Errors, err)
	}
}

// What a pool takes is known to the byte, as BlueStore counts it.
func TestPoolUsage(t *testing.T) {
	u := newUsageStore(t)
	type tx = *objectstore.Transaction
	data := bytes.Repeat([]byte("x"), 4<<20)
	var blocks, stored, omap uint64
	step := func(what string, b, s, o int64, f func(tx)) {
		t.Helper()
		blocks, stored, omap = blocks+uint64(b), stored+uint64(s), omap+uint64(o)
		u.do(f)
		u.want(what, blocks, stored, omap)
	}
	o := u.object
	step("1 byte", 1, 1, 0, func(t tx) { t.Write(u.c, o("1"), 0, data[:1]) })
	step("4096 bytes", 1, 4096, 0, func(t tx) { t.Write(u.c, o("2"), 0, data[:4096]) })
	step("5000 bytes", 2, 5000, 0, func(t tx) { t.Write(u.c, o("3"), 0, data[:5000]) })
	step("4 MiB", 1024, 4<<20, 0, func(t tx) { t.Write(u.c, o("4"), 0, data) })
	step("a hole", 1, 4096, 0, func(t tx) { t.Write(u.c, o("5"), 1<<30, data[:4096]) })
	step("appended", 0, 1000, 0, func(t tx) { t.Write(u.c, o("3"), 5000, data[:1000]) })
	step("over it", 0, 0, 0, func(t tx) { t.Write(u.c, o("3"), 100, data[:5000]) })
	step("a whole block over the end", 0, 8192-6000, 0,
		func(t tx) { t.Write(u.c, o("3"), 4096, data[:4096]) })
	step("longer without data", 0, 0, 0, func(t tx) { t.Truncate(u.c, o("3"), 1<<20) })
	step("shorter", -1, 5-8192, 0, func(t tx) { t.Truncate(u.c, o("3"), 5) })
	step("a clone", 0, 4<<20, 0, func(t tx) { t.Clone(u.c, o("4"), o("4c")) })
	step("a block of the clone", 1, 0, 0, func(t tx) { t.Write(u.c, o("4c"), 8192, data[:10]) })
	step("zeros", -1, -8192, 0, func(t tx) { t.Zero(u.c, o("4c"), 8192, 8192) })
	step("zeros to the end", -1, -5, 0, func(t tx) { t.Zero(u.c, o("3"), 0, 5) })
	step("a range cloned", 1, 4096+100, 0,
		func(t tx) { t.CloneRange(u.c, o("4"), o("6"), 4096, 4196, 0) })
	step("keys", 0, 0, 9+4, func(t tx) {
		t.OmapSet(u.c, o("1"), map[string][]byte{"key": []byte("value!"), "k": []byte("abc")})
	})
	step("other values", 0, 0, -5+2, func(t tx) {
		t.OmapSet(u.c, o("1"), map[string][]byte{"key": []byte("v")})
		t.OmapSet(u.c, o("1"), map[string][]byte{"key": []byte("vvv")})
	})
	step("a clone with omap", 0, 1, 10, func(t tx) { t.Clone(u.c, o("1"), o("1c")) })
	u.want("and again", blocks, stored, omap)
	u.reopen()
	u.want("opened again", blocks, stored, omap)
	step("a key twice removed", 0, 0, -4, func(t tx) {
		t.OmapRm(u.c, o("1"), []string{"k", "k", "none"})
	})
	step("a range of keys", 0, 0, -6, func(t tx) { t.OmapRmRange(u.c, o("1"), "a", "z") })
	step("renamed", 0, 0, 0, func(t tx) { t.MoveRename(u.c, o("1c"), o("1d")) })
	step("the clone's head is gone", -2, -4<<20, 0, func(t tx) { t.Remove(u.c, o("4")) })
	u.reopen()
	u.do(func(t tx) { t.RmColl(u.c); t.MkColl(u.c) })
	u.want("all gone", 0, 0, 0)
}

// An omap that begins anew within a transaction has none of the pairs that it had before.
func TestUsageOfNewOmap(t *testing.T) {
	u := newUsageStore(t)
	o := u.object("o")
	for _, c := range []struct {
		what string
		omap uint64
		f    func(t *objectstore.Transaction)
	}{
		{"keys instead of others", 1, func(t *objectstore.Transaction) {
			t.OmapSet(u.c, o, map[string][]byte{"key": {}, "ke": {}})
			t.OmapRm(u.c, o, []string{"key", "key"})
			t.OmapClear(u.c, o)
			t.OmapSet(u.c, o, map[string][]byte{"k": {}})
		}},
		{"a header and keys over what was cleared", 3, func(t *objectstore.Transaction) {
			t.OmapClear(u.c, o)
			t.OmapSetHeader(u.c, o, []byte("header"))
			t.OmapSet(u.c, o, map[string][]byte{"k": []byte("12")})
		}},
		{"the same of another object", 4, func(t *objectstore.Transaction) {
			t.Remove(u.c, o)
			t.OmapSetHeader(u.c, o, []byte("header"))
			t.OmapSet(u.c, o, map[string][]byte{"k": []byte("345")})
		}},
		{"keys that are gone", 0, func(t *objectstore.Transaction) {
			t.OmapClear(u.c, o)
			t.OmapSetHeader(u.c, o, nil)
			t.OmapRm(u.c, o, []string{"k"})
		}},
	} {
		u.do(c.f)
		u.want(c.what, 0, 0, c.omap)
	}
}

// A store of a release that did not count is counted when it is opened.
func TestUsageOfOlderStore(t *testing.T) {
	u := newUsageStore(t)
	u.do(func(t *objectstore.Transaction) {
		t.Write(u.c, u.object("o"), 0, []byte("four"))
		t.OmapSet(u.c, u.object("o"), map[string][]byte{"key": []byte("value")})
	})
	for range 2 {
		o, err := u.onode(appendObject(nil, u.colls[u.c].cid, ptr(u.object("o"))))
		if err != nil {
			t.Fatal(err)
		}
		key, was := prefixed(keyOnode, o.key), o.body
		was.omap = 0
		b := u.kv.NewBatch()
		err = firstError(b.Delete(sysUses, nil),
			b.Set(key, bytes.TrimSuffix(was.encode(nil), []byte{0}), nil), u.kv.Apply(b))
		if err != nil {
			t.Fatal(err)
		}
		u.uses.lsn, u.uses.known = u.lastLSN, true // so that closing stores no counts
		u.reopen()
		u.want("older", 1, 4, 8)
	}
	u.do(func(t *objectstore.Transaction) { t.Remove(u.c, u.object("o")) })
	u.want("removed", 0, 0, 0)
	u.reopen()
	u.want("opened again", 0, 0, 0)
}

// Batches without a note, and counts that end before the journal begins, are of such a release too.
func TestUsageAfterOlderRelease(t *testing.T) {
	u := newUsageStore(t)
	u.do(func(t *objectstore.Transaction) { t.Write(u.c, u.object("o"), 0, []byte("four")) })
	u.reopen()
	old := binary.LittleEndian.AppendUint64(nil, u.lastLSN-1)
	b := u.kv.NewBatch()
	if err := firstError(b.Set(sysUses, old, nil), u.kv.Apply(b)); err != nil {
		t.Fatal(err)
	}
	u.uses.lsn = u.lastLSN
	u.reopen()
	u.want("stale", 1, 4, 0)

	b = u.kv.NewBatch()
	if err := b.Set([]byte("Sx"), nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := u.replayUses(u.lastLSN+1, b.Repr()); err != nil || u.uses.known {
		t.Fatalf("a batch without a note: %v, known %v", err, u.uses.known)
	}
}

// Wrong counts are found, named, and right afterwards.
func TestFsckRecounts(t *testing.T) {
	u := newUsageStore(t)
	u.do(func(t *objectstore.Transaction) {
		t.Write(u.c, u.object("o"), 0, []byte("four"))
		t.OmapSet(u.c, u.object("o"), map[string][]byte{"key": []byte("value")})
	})
	u.mu.Lock()
	u.uses.of(3).stored++
	u.uses.of(4).blocks--
	o, err := u.onode(appendObject(nil, u.colls[u.c].cid, ptr(u.object("o"))))
	u.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	o.body.omap++
	u.do(func(t *objectstore.Transaction) { t.Touch(u.c, u.object("o")) })
	r, err := u.Fsck(context.Background(), false)
	if err != nil || len(r.Miscounts) != 2 || len(r.Errors) != 3 ||
		!strings.Contains(r.Errors[1], "use of pool 3") {
		t.Fatalf("%+v, %v", r, err)
	}
	if m := r.Miscounts[0]; m.Pool != 3 || m.Kept.Stored != 5 || m.Counted.Stored != 4 {
		t.Fatalf("%+v", m)
	}
	u.want("mended", 1, 4, 8)
	u.reopen()
	u.want("opened again", 1, 4, 8)
}

func ptr[T any](v T) *T { return &v }

// whoReads has who called told of each read of a sorted table.
type whoReads struct {
	vfs.FS
	read func(stack string)
}

type whoReadsFile struct {
	vfs.File
	fs whoReads
}

func (w whoReads) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := w.FS.Open(name, opts...)
	if err == nil && strings.HasSuffix(name, ".sst") {
		f = whoReadsFile{f, w}
	}
	return f, err
}

func (f whoReadsFile) ReadAt(p []byte, off int64) (int, error) {
	f.fs.read(string(debug.Stack()))
	return f.File.ReadAt(p, off)
}

// What a pair was is read from disk before the state lock is taken, where it would hold up others.
func TestOmapLookUpOutsideLock(t *testing.T) {
	u := newUsageStore(t)
	var before, under atomic.Int32
	u.o.KVFS = whoReads{u.o.KVFS, func(stack string) {
		switch {
		case strings.Contains(stack, "(*Store).lookUp("):
			before.Add(1)
		case strings.Contains(stack, "(*Store).try("):
			under.Add(1)
		}
	}}
	key := func(i int) string { return fmt.Sprintf("%05d", i) }
	o := u.object("o")
	for i := range 5 {
		pairs := map[string][]byte{}
		for j := range 1000 {
			pairs[key(1000*i+j)] = make([]byte, 100)
		}
		u.do(func(t *objectstore.Transaction) { t.OmapSet(u.c, o, pairs) })
	}
	u.reopen()
	if _, err := u.Stat(u.c, o); err != nil {
		t.Fatal(err)
	}
	u.do(func(t *objectstore.Transaction) {
		t.OmapSet(u.c, o, map[string][]byte{key(500): []byte("value"), key(1500): nil})
		t.OmapRm(u.c, o, []string{key(1500), key(2500), key(2500)})
	})
	u.do(func(t *objectstore.Transaction) { t.OmapRm(u.c, o, []string{key(3500), key(3500)}) })
	if before.Load() == 0 || under.Load() > 0 {
		t.Errorf("%d reads before the lock, %d under it", before.Load(), under.Load())
	}
	u.want("in the end", 0, 0, 5000*105-3*105-95)
}

// What was looked up does not count if the object was changed since.
func TestOmapLookUpOvertaken(t *testing.T) {
	u := newUsageStore(t)
	set := func(keys ...string) *objectstore.Transaction {
		var t objectstore.Transaction
		for i, k := range keys {
			t.OmapSet(u.c, u.object("o"), map[string][]byte{k: make([]byte, 10+i)})
		}
		return &t
	}
	u.do(func(t *objectstore.Transaction) { *t = *set("a", "b") })
	tx := set("a", "b", "c")
	list := u.lookUp(tx)
	u.do(func(t *objectstore.Transaction) {
		t.OmapRm(u.c, u.object("o"), []string{"a"})
		t.OmapSet(u.c, u.object("o"), map[string][]byte{"c": nil})
	})
	if err := u.try(tx, nil, list, nil); err != nil {
		t.Fatal(err)
	}
	u.want("overtaken", 0, 0, 11+12+13)
}

// Whatever comes together in one transaction, and from several goroutines: the count is exact.
func TestOmapCountedByMany(t *testing.T) {
	u := newUsageStore(t)
	many := func(seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 1))
		for range 10 {
			var tx objectstore.Transaction
			for range 1 + rng.IntN(4) {
				u.addOmapOp(&tx, rng)
			}
			if err := u.Submit(&tx, nil); err != nil {
				t.Error(err)
			}
		}
	}
	for round := range uint64(100) {
		var wg sync.WaitGroup
		for i := range uint64(4) {
			wg.Go(func() { many(4*round + i) })
		}
		wg.Wait()
		r, err := u.Fsck(context.Background(), false)
		if err != nil || len(r.Errors) > 0 {
			t.Fatalf("fsck: %v, %v", r.Errors, err)
		}
	}
}

// addOmapOp changes the omap of one of two objects, which there is then.
func (u *usageStore) addOmapOp(t *objectstore.Transaction, rng *rand.Rand) {
	o, other := u.object("a"), u.object("b")
	if rng.IntN(2) == 0 {
		o, other = other, o
	}
	key := func() string { return string(rune('a' + rng.IntN(4))) }
	t.Touch(u.c, o)
	switch n := rng.IntN(40); n {
	case 0:
		t.Remove(u.c, o)
	case 1:
		t.Clone(u.c, o, other)
	case 2:
		t.Remove(u.c, o)
		t.Touch(u.c, other)
		t.MoveRename(u.c, other, o)
	case 3:
		t.OmapRmRange(u.c, o, key(), key())
	case 4, 5:
		t.OmapClear(u.c, o)
	case 6, 7:
		t.OmapSetHeader(u.c, o, []byte("header"))
	default:
		if n%2 == 0 {
			t.OmapRm(u.c, o, []string{key(), key()})
			return
		}
		pairs := map[string][]byte{}
		for range 1 + rng.IntN(2) {
			pairs[key()] = make([]byte, rng.IntN(100))
		}
		t.OmapSet(u.c, o, pairs)
	}
}
