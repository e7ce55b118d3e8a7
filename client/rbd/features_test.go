package rbd_test

import (
	"testing"
	"time"

	"glue/ceph"
	"glue/client/rbd"
)

// TestJournalSwitchedOn: a client that has an image open writes its journal from the moment when
// another one has switched it on, until it is off again.
func TestJournalSwitchedOn(t *testing.T) {
	s := store(t, connect(t))
	ctx := within(t, 2*time.Minute)
	o := rbd.CreateOptions{Size: 4 << 20, Features: rbd.Layering | rbd.ExclusiveLock}
	for name, cache := range map[string]bool{"direct": false, "cached": true} {
		want(t, "create", s.Create(ctx, name, o), nil)
		i := open(t, s, name)
		if cache {
			want(t, "cache", i.StartCache(cached()), nil)
		}
		write := func(what string, wanted error) {
			t.Helper()
			_, err := i.Write(ctx, []byte("data"), 512)
			want(t, what, err, wanted)
		}
		write("without a journal", nil)
		want(t, "snapshot", i.CreateSnapshot(ctx, "s"), nil)
		release := func() { // the stock client gets the lock for that only if nobody holds it
			other := open(t, s, name)
			_, err := other.Write(ctx, []byte("other"), 0)
			want(t, "write", err, nil)
			want(t, "close", other.Close(ctx), nil)
		}
		release()
		stock(t, s, "feature", "enable", name, "journaling")
		write("with a journal", nil)
		want(t, "flush", i.Flush(ctx), nil)
		if !wrote(exported(t, s, name), "data") {
			t.Error("the journal does not have what was written")
		}
		release()
		got := make([]byte, 5)
		if _, err := i.Read(ctx, got, 0); err != nil || string(got) != "other" {
			t.Errorf("read %q, %v", got, err)
		}
		stock(t, s, "feature", "disable", name, "journaling")
		write("without a journal again", nil)
		want(t, "close", i.Close(ctx), nil)
	}
}

// TestReadOnly: nothing is changed through an image that is open read only.
func TestReadOnly(t *testing.T) {
	s := store(t, connect(t))
	ctx := within(t, time.Minute)
	want(t, "create", s.Create(ctx, "i", rbd.CreateOptions{Size: 1 << 20}), nil)
	i, err := s.Open(ctx, "i", true)
	want(t, "open", err, nil)
	for what, err := range map[string]error{
		"resize":   i.Resize(ctx, 8<<20, false, nil),
		"snapshot": i.CreateSnapshot(ctx, "t"),
		"metadata": i.SetMetadata(ctx, "k", []byte("v")),
		"remove":   i.RemoveMetadata(ctx, "k"),
		"enable":   i.EnableFeatures(ctx, rbd.ObjectMap, nil),
		"disable":  i.DisableFeatures(ctx, rbd.FastDiff),
		"flatten":  i.Flatten(ctx, nil),
	} {
		want(t, what, err, ceph.EROFS)
	}
	want(t, "close", i.Close(ctx), nil)
}

// TestNamespaces: images live in namespaces that were made for them, and these go when they are
// empty. Clones of the first kind are found in the namespace of their parent.
func TestNamespaces(t *testing.T) {
	s := store(t, connect(t))
	ctx := within(t, 2*time.Minute)
	in := func(name string) *rbd.Store { return rbd.NewStore(s.IO().WithNamespace(name)) }
	o := rbd.CreateOptions{Size: 1 << 20, Order: 16}
	want(t, "create in none", in("none").Create(ctx, "i", o), ceph.ENOENT)
	for _, name := range []string{"a", "b"} {
		want(t, "create", s.CreateNamespace(ctx, name), nil)
		want(t, "create again", s.CreateNamespace(ctx, name), ceph.EEXIST)
	}
	list, err := s.Namespaces(ctx)
	if err != nil || len(list) != 2 || list[0] != "a" || list[1] != "b" {
		t.Errorf("namespaces %v, %v", list, err)
	}
	a, b := in("a"), in("b")
	want(t, "create", a.Create(ctx, "i", o), nil)
	i := open(t, a, "i")
	_, err = i.Write(ctx, []byte("parent"), 0)
	want(t, "write", err, nil)
	want(t, "snapshot", i.CreateSnapshot(ctx, "s"), nil)
	want(t, "protect", i.ProtectSnapshot(ctx, "s"), nil)
	one := rbd.CreateOptions{CloneFormat: 1}
	want(t, "clone elsewhere", b.Clone(ctx, i, "s", "c", one), ceph.EXDEV)
	want(t, "clone", a.Clone(ctx, i, "s", "c", one), nil)
	children, err := i.Children(ctx, "s")
	if err != nil || len(children) != 1 || children[0].Image != "c" ||
		children[0].Namespace != "a" {
		t.Errorf("children %+v, %v", children, err)
	}
	want(t, "unprotect with a clone", i.UnprotectSnapshot(ctx, "s"), ceph.EBUSY)
	two := rbd.CreateOptions{CloneFormat: 2}
	want(t, "clone of the second kind", b.Clone(ctx, i, "s", "c", two), nil)
	c := open(t, b, "c")
	got := make([]byte, 6)
	if _, err := c.Read(ctx, got, 0); err != nil || string(got) != "parent" {
		t.Errorf("the clone reads %q, %v", got, err)
	}
	want(t, "close", c.Close(ctx), nil)
	want(t, "remove with images", s.RemoveNamespace(ctx, "b"), ceph.EBUSY)
	want(t, "remove", b.Remove(ctx, "c", nil), nil)
	want(t, "remove", a.Remove(ctx, "c", nil), nil)
	want(t, "unprotect", i.UnprotectSnapshot(ctx, "s"), nil)
	want(t, "remove", i.RemoveSnapshot(ctx, "s"), nil)
	want(t, "close", i.Close(ctx), nil)
	want(t, "trash", a.TrashMove(ctx, "i", 0), nil)
	want(t, "remove with trash", s.RemoveNamespace(ctx, "a"), ceph.EBUSY)
	want(t, "create beside", a.Create(ctx, "other", o), nil)
	want(t, "remove", a.Remove(ctx, "other", nil), nil)
	if _, err := a.TrashPurge(ctx, time.Now()); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"a", "b"} {
		want(t, "remove", s.RemoveNamespace(ctx, name), nil)
		want(t, "remove again", s.RemoveNamespace(ctx, name), ceph.ENOENT)
	}
	want(t, "create in what is gone", a.Create(ctx, "i", o), ceph.ENOENT)
	left := 0
	for o, err := range s.IO().WithNamespace("a").List(ctx) {
		want(t, "list", err, nil)
		if _, err := s.IO().WithNamespace("a").Stat(ctx, o.Name); err == nil {
			left++
			t.Logf("left over: %s", o.Name)
		}
	}
	if left > 0 {
		t.Errorf("%d objects are left", left)
	}
}

// TestLostObjectMap: an image without its object map, as its maker died or the object was lost, is
// read, changed and removed. The map is made anew as one that is not to be trusted, until it is
// rebuilt.
func TestLostObjectMap(t *testing.T) {
	s := store(t, connect(t))
	ctx := within(t, time.Minute)
	data := filled(t, s, "i", 3<<20)
	i := open(t, s, "i")
	lost := "rbd_object_map." + i.ID()
	want(t, "snapshot", i.CreateSnapshot(ctx, "s"), nil)
	want(t, "close", i.Close(ctx), nil)
	want(t, "lose", s.IO().Remove(ctx, lost), nil)
	i, err := s.Open(ctx, "i", true)
	want(t, "open", err, nil)
	verify(t, i, data)
	if _, used, err := i.Usage(ctx); err != nil || used != 3<<20 {
		t.Errorf("usage %d, %v", used, err)
	}
	for _, err := range i.DiffIterate(ctx, rbd.DiffOptions{From: "s", Whole: true}) {
		want(t, "differences", err, nil)
	}
	want(t, "close", i.Close(ctx), nil)
	i = open(t, s, "i")
	want(t, "discard", i.Discard(ctx, 1<<20, 1<<20), nil) // what no map tells of is there
	clear(data[1<<20 : 2<<20])
	verify(t, i, data)
	const invalid = rbd.FlagObjectMapInvalid | rbd.FlagFastDiffInvalid
	if f := i.Info().Flags; f != invalid {
		t.Errorf("flags %#x", f)
	}
	want(t, "close", i.Close(ctx), nil)
	i = open(t, s, "i")
	want(t, "rebuild", i.RebuildObjectMap(ctx, nil), nil)
	if f := i.Info().Flags; f != 0 {
		t.Errorf("flags %#x", f)
	}
	want(t, "remove", i.RemoveSnapshot(ctx, "s"), nil)
	want(t, "close", i.Close(ctx), nil)
	sameToStock(t, s, "i", data)
	want(t, "lose", s.IO().Remove(ctx, lost), nil)
	want(t, "remove", s.Remove(ctx, "i", nil), nil)
}
