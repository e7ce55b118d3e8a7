package rados_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"glue/ceph"
	"glue/client/rados"
	"glue/wire/message"
)

// reads checks what an object holds; an empty string is no object.
func reads(t *testing.T, x *rados.IOCtx, oid, wanted string) {
	t.Helper()
	got, err := x.Read(within(t, 20*time.Second), oid, 0, 0)
	if wanted == "" && errors.Is(err, ceph.ENOENT) {
		return
	}
	if err != nil || string(got) != wanted {
		t.Errorf("%s holds %q, %v, want %q", oid, got, err, wanted)
	}
}

func TestSelfManagedSnapshots(t *testing.T) {
	x := pool(t, connect(t))
	ctx := within(t, time.Minute)
	want(t, "write", x.WriteFull(ctx, "o", []byte("first state")), nil)
	one, err := x.CreateSnapID(ctx)
	want(t, "create a snapshot", err, nil)
	w := x.WithSnapContext(one, []ceph.SnapID{one})
	want(t, "write", w.Write(ctx, "o", []byte("FIRST"), 0), nil)
	want(t, "write", w.WriteFull(ctx, "new", []byte("n")), nil)
	two, err := x.CreateSnapID(ctx)
	want(t, "create a snapshot", err, nil)
	w = x.WithSnapContext(two, []ceph.SnapID{two, one})
	want(t, "remove", w.Remove(ctx, "o"), nil)
	reads(t, x, "o", "")
	reads(t, x.WithSnap(one), "o", "first state")
	reads(t, x.WithSnap(two), "o", "FIRST state")
	reads(t, x.WithSnap(one), "new", "")
	reads(t, x.WithSnap(two), "new", "n")
	want(t, "write at a snapshot", x.WithSnap(one).WriteFull(ctx, "o", nil), ceph.EROFS)

	set, err := x.ListSnaps(ctx, "o")
	if err != nil || len(set.Clones) != 2 || set.Clones[0].ID != one || set.Clones[1].ID != two ||
		!slices.Equal(set.Clones[1].Snaps, []ceph.SnapID{two}) || set.Clones[0].Size != 11 {
		t.Errorf("states %+v, %v", set, err)
	}
	if len(set.Clones) == 2 && !slices.Equal(set.Clones[0].Overlap,
		[]message.Extent{{Off: 5, Len: 6}}) {
		t.Errorf("overlap %+v", set.Clones[0].Overlap)
	}
	want(t, "roll back", w.Rollback(ctx, "o", one), nil)
	reads(t, x, "o", "first state")
	want(t, "remove a snapshot", x.DeleteSnapID(ctx, two), nil)
	reads(t, x.WithSnap(one), "o", "first state")
}

func TestPoolSnapshots(t *testing.T) {
	x := pool(t, connect(t))
	ctx := within(t, time.Minute)
	want(t, "write", x.WriteFull(ctx, "o", []byte("old")), nil)
	want(t, "create", x.CreatePoolSnap(ctx, "s"), nil)
	want(t, "create again", x.CreatePoolSnap(ctx, "s"), ceph.EEXIST)
	s, err := x.PoolSnap(ctx, "s")
	if err != nil || s.Name != "s" || s.ID == 0 || time.Since(s.Created).Abs() > time.Hour {
		t.Fatalf("snapshot %+v, %v", s, err)
	}
	want(t, "write", x.WriteFull(ctx, "o", []byte("new")), nil)
	reads(t, x.WithSnap(s.ID), "o", "old")
	reads(t, x, "o", "new")
	want(t, "roll back", x.Rollback(ctx, "o", s.ID), nil)
	reads(t, x, "o", "old")
	if list := x.PoolSnaps(); len(list) != 1 {
		t.Errorf("snapshots %+v", list)
	}
	_, err = x.CreateSnapID(ctx)
	want(t, "a self-managed snapshot as well", err, ceph.EINVAL)
	want(t, "remove", x.RemovePoolSnap(ctx, "s"), nil)
	want(t, "remove again", x.RemovePoolSnap(ctx, "s"), ceph.ENOENT)
	_, err = x.PoolSnap(ctx, "s")
	want(t, "find what is gone", err, ceph.ENOENT)
}

func TestChecksInVectors(t *testing.T) {
	x := pool(t, connect(t))
	ctx := within(t, time.Minute)
	op := new(rados.WriteOp).WriteSame([]byte("ab"), 0, 8).SetXattr("n", []byte("41")).
		AllocHint(1<<20, 4096, 0).OmapSet(map[string][]byte{"k": []byte("5")})
	want(t, "make", x.Operate(ctx, "o", op), nil)
	reads(t, x, "o", "abababab")
	version := op.Version()
	if version == 0 {
		t.Error("a write has no version")
	}
	w := func() *rados.WriteOp { return new(rados.WriteOp) }
	var m *rados.MismatchError
	err := x.Operate(ctx, "o", w().CompareExtent([]byte("baXb"), 1).Remove())
	if !errors.As(err, &m) || m.Off != 2 {
		t.Errorf("compare extent: %v", err)
	}
	want(t, "compare extent", x.Operate(ctx, "o",
		w().CompareExtent([]byte("babab"), 1).Append([]byte("!"))), nil)
	want(t, "compare number", x.Operate(ctx, "o",
		w().CompareXattrU64("n", message.CmpLT, 41).Remove()), ceph.ECANCELED)
	for _, c := range []struct {
		op, val string
		cmp     uint8
		want    error
	}{{"equal", "5", message.CmpEQ, nil}, {"other", "6", message.CmpEQ, ceph.ECANCELED}} {
		var r rados.ReadOp
		r.OmapCompare(map[string]rados.Compare{"k": {Op: c.cmp, Value: []byte(c.val)}})
		r.Stat()
		want(t, c.op, x.OperateRead(ctx, "o", &r), c.want)
	}
	want(t, "assert an old version", x.Operate(ctx, "o",
		w().AssertVersion(version).Remove()), ceph.ERANGE)
	var r rados.ReadOp
	r.CompareExtent([]byte("ab"), 0)
	sum := r.Checksum(rados.ChecksumCRC32C, 0xffffffff, 0, 8, 4)
	if err := x.OperateRead(ctx, "o", &r); err != nil || len(*sum) != 2 || (*sum)[0] != (*sum)[1] {
		t.Errorf("checksums %v, %v", *sum, err)
	}
	want(t, "copy", x.Operate(ctx, "copy", w().CopyFrom(x, "o", r.Version())), nil)
	reads(t, x, "copy", "abababab!")
	if v, err := x.Xattr(ctx, "copy", "n"); err != nil || string(v) != "41" {
		t.Errorf("attribute of the copy %q, %v", v, err)
	}
}

// What one goroutine starts on an object happens in that order.
func TestStartKeepsOrder(t *testing.T) {
	x := pool(t, connect(t))
	ctx := within(t, time.Minute)
	var wanted string
	var last *rados.Pending
	for i := range 200 {
		s := fmt.Sprintf("%d,", i)
		p, err := x.Start(ctx, "o", new(rados.WriteOp).Append([]byte(s)))
		if err != nil {
			t.Fatal(err)
		}
		wanted, last = wanted+s, p
	}
	want(t, "flush", x.WithNamespace("").Flush(ctx), nil)
	select {
	case <-last.Done():
	default:
		t.Error("flush came back before the last write")
	}
	want(t, "last", last.Err(), nil)
	reads(t, x, "o", wanted)
	p, err := x.Start(ctx, "o", new(rados.WriteOp).Create(true))
	want(t, "start", err, nil)
	want(t, "create what is there", p.Wait(ctx), ceph.EEXIST)
}

func TestListInSlices(t *testing.T) {
	x := pool(t, connect(t))
	ctx := within(t, time.Minute)
	const n = 300
	for i := range n {
		_, err := x.Start(ctx, fmt.Sprint("o", i), new(rados.WriteOp).Create(true))
		want(t, "create", err, nil)
	}
	want(t, "flush", x.Flush(ctx), nil)
	seen := map[string]int{}
	cuts := x.Slices(7)
	most := 0
	for i := range 7 {
		in := 0
		for o, err := range x.ListRange(ctx, cuts[i], cuts[i+1]) {
			if err != nil {
				t.Fatal(err)
			}
			seen[o.Name]++
			in++
		}
		most = max(most, in)
	}
	for name, times := range seen {
		if times != 1 {
			t.Errorf("%s was listed %d times", name, times)
		}
	}
	if len(seen) != n || most > n/3 {
		t.Errorf("%d objects, at most %d in a slice", len(seen), most)
	}
	pages := 0
	for c := (rados.Cursor{}); !c.AtEnd(); {
		list, next, err := x.ListPage(ctx, c, 10)
		if err != nil || len(list) > 10 || next.Compare(c) <= 0 || next.Progress() < c.Progress() {
			t.Fatalf("page of %d, %v", len(list), err)
		}
		pages += len(list)
		c = next
	}
	if pages != n {
		t.Errorf("%d objects in pages", pages)
	}
}

func TestWatchAlways(t *testing.T) {
	x := pool(t, connect(t))
	ctx := within(t, time.Minute)
	want(t, "create", x.Create(ctx, "o", false), nil)
	told, again := make(chan string, 10), make(chan struct{}, 10)
	w, err := x.WatchAlways(ctx, "o", func(n *rados.Notification) {
		told <- string(n.Payload)
		want(t, "ack", n.Ack(ctx, nil), nil)
	}, func() { again <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	want(t, "remove", x.Remove(ctx, "o"), nil)
	want(t, "create", x.Create(ctx, "o", false), nil)
	select {
	case <-again:
	case <-ctx.Done():
		t.Fatal("the watch was not registered again")
	}
	_, err = x.Notify(ctx, "o", []byte("back"), 0)
	want(t, "notify", err, nil)
	if got := <-told; got != "back" {
		t.Errorf("told %q", got)
	}
	_, err = w.Check()
	want(t, "check", err, nil)
	want(t, "close", w.Close(ctx), nil)
}

func TestApplications(t *testing.T) {
	x := pool(t, connect(t))
	ctx := within(t, time.Minute)
	want(t, "enable", x.EnableApplication(ctx, "mine", false), nil)
	want(t, "enable another", x.EnableApplication(ctx, "other", false), ceph.EPERM)
	want(t, "set", x.SetApplicationMetadata(ctx, "mine", "k", "v"), nil)
	if m, err := x.ApplicationMetadata("mine"); err != nil || m["k"] != "v" {
		t.Errorf("metadata %v, %v", m, err)
	}
	want(t, "remove", x.RemoveApplicationMetadata(ctx, "mine", "k"), nil)
	_, err := x.ApplicationMetadata("other")
	want(t, "of another", err, ceph.ENOENT)
	if got := x.Applications(); !slices.Equal(got, []string{"mine"}) {
		t.Errorf("applications %v", got)
	}
}
