package rbd_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"glue/ceph"
	"glue/client/rados"
	"glue/client/rbd"
	"glue/client/rbd/config"
)

// TestPoolOptions: what a pool has for options of its own, whoever has set them, is what its images
// are made, copied and removed with, by us and by the stock client, in every namespace.
func TestPoolOptions(t *testing.T) {
	c := connect(t)
	s, data := store(t, c), store(t, c).IO().PoolName()
	ctx := within(t, 2*time.Minute)
	pool := s.IO().PoolName()
	want(t, "namespace", s.CreateNamespace(ctx, "n"), nil)
	in := rbd.NewStore(s.IO().WithNamespace("n"))
	ours := func(name, value string) {
		t.Helper()
		want(t, "set "+name, in.Config().Set(ctx, name, value), nil)
	}
	theirs := func(name, value string) {
		t.Helper()
		stockTool(t, "config", "pool", "set", pool, name, value)
	}
	for n, set := range []func(name, value string){ours, theirs} {
		set("rbd_default_order", "20")
		set("rbd_default_features", "layering,exclusive-lock")
		set("rbd_default_data_pool", data)
		name := string(rune('a' + n))
		want(t, "create", s.Create(ctx, name, rbd.CreateOptions{Size: 1 << 20}), nil)
		want(t, "create", in.Create(ctx, name, rbd.CreateOptions{Size: 1 << 20}), nil)
		stock(t, s, "create", "--size", "1M", name+"-stock")
		for image, s := range map[string]*rbd.Store{name: s, name + " ": in, name + "-stock": s} {
			i := open(t, s, strings.TrimSpace(image))
			if info := i.Info(); info.Order != 20 || info.DataPool != data ||
				info.Features != rbd.Layering|rbd.ExclusiveLock|rbd.DataPool {
				t.Errorf("image %s is %+v", image, info)
			}
			want(t, "close", i.Close(ctx), nil)
		}
		set("rbd_move_to_trash_on_remove", "true")
		want(t, "remove", s.Remove(ctx, name, nil), nil)
		stock(t, s, "rm", "--no-progress", name+"-stock")
		if list, err := s.TrashList(ctx); err != nil || len(list) != 2*n+2 {
			t.Errorf("in the trash: %+v, %v", list, err)
		}
		for _, option := range []string{"order", "features", "data_pool"} {
			want(t, "remove option", s.Config().Remove(ctx, "rbd_default_"+option), nil)
			want(t, "again", s.Config().Remove(ctx, "rbd_default_"+option), ceph.ENOENT)
		}
		stockTool(t, "config", "pool", "remove", pool, "rbd_move_to_trash_on_remove")
	}
	ours("rbd_default_data_pool", pool) // which is no data pool of its own images
	want(t, "create", s.Create(ctx, "c", rbd.CreateOptions{Size: 1 << 20}), nil)
	i := open(t, s, "c")
	if info := i.Info(); info.Order != 22 || info.DataPool != "" ||
		info.Features != rbd.DefaultFeatures {
		t.Errorf("without options the image is %+v", info)
	}
	want(t, "an option of the pool's alone", i.Config().Set(ctx, "rbd_default_order", "20"),
		ceph.EINVAL)
	want(t, "an unknown one", s.Config().Set(ctx, "rbd_none", "1"), ceph.EINVAL)
	want(t, "one of others", s.Config().Set(ctx, "osd_max_backfills", "1"), ceph.EINVAL)
	want(t, "a bad value", s.Config().Set(ctx, "rbd_cache", "maybe"), ceph.EINVAL)
	want(t, "close", i.Close(ctx), nil)
	want(t, "remove", s.Remove(ctx, "c", nil), nil)
}

// TestOptionsOutOfSight: a client that may only use a namespace makes and removes images as if its
// pool had no options.
func TestOptionsOutOfSight(t *testing.T) {
	c := connect(t)
	s := store(t, c)
	ctx := within(t, time.Minute)
	want(t, "namespace", s.CreateNamespace(ctx, "n"), nil)
	want(t, "set", s.Config().Set(ctx, "rbd_default_order", "20"), nil)
	pool := s.IO().PoolName()
	guest := user(t, c, pool, "mon", "profile rbd", "osd",
		"allow rwx pool="+pool+" namespace=n, allow rwx object_prefix rbd_namespace")
	x, err := guest.OpenPool(ctx, pool)
	want(t, "pool", err, nil)
	in := rbd.NewStore(x.WithNamespace("n"))
	want(t, "create", in.Create(ctx, "i", rbd.CreateOptions{Size: 1 << 20}), nil)
	want(t, "remove", in.Remove(ctx, "i", nil), nil)
}

// user makes a user of the cluster with some caps, and connects as that, until the test ends.
func user(t *testing.T, c *rados.Cluster, id string, caps ...string) *rados.Cluster {
	t.Helper()
	ctx := within(t, time.Minute)
	name := ceph.AuthName{Type: ceph.TypeClient, ID: id}
	out, _, err := c.MonCommand(ctx, map[string]any{"prefix": "auth get-or-create",
		"entity": name.String(), "caps": caps}, nil)
	want(t, "auth", err, nil)
	t.Cleanup(func() {
		_, _, _ = c.MonCommand(within(t, time.Minute), map[string]any{"prefix": "auth rm",
			"entity": name.String()}, nil)
	})
	ring := filepath.Join(t.TempDir(), "keyring")
	want(t, "keyring", os.WriteFile(ring, out, 0o600), nil)
	u, err := rados.Connect(ctx, rados.Options{ConfFile: conf(t), Name: name, Keyring: ring})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	return u
}

// TestImageOptions: an image's snapshots are taken as its own options say, else its pool's; what is
// listed is what the stock client lists.
func TestImageOptions(t *testing.T) {
	s := store(t, connect(t))
	ctx := within(t, 2*time.Minute)
	want(t, "create", s.Create(ctx, "i", rbd.CreateOptions{Size: 1 << 20}), nil)
	i := open(t, s, "i")
	const mode = "rbd_default_snapshot_quiesce_mode"
	want(t, "set", s.Config().Set(ctx, mode, "ignore-error"), nil)
	stock(t, s, "config", "image", "set", "i", mode, "skip")
	want(t, "set", i.Config().Set(ctx, "rbd_readahead_max_bytes", "1M"), nil)
	if v, err := i.Config().Own(ctx, mode); err != nil || v != "skip" {
		t.Errorf("the image has %s %q, %v", mode, v, err)
	}
	if v, err := s.Config().Own(ctx, mode); err != nil || v != "ignore-error" {
		t.Errorf("the pool has %s %q, %v", mode, v, err)
	}
	ours, err := i.Config().List(ctx)
	want(t, "list", err, nil)
	var theirs []config.Setting
	out := stock(t, s, "config", "image", "ls", "i", "--format", "json")
	if err := json.Unmarshal(out, &theirs); err != nil {
		t.Fatal(err)
	}
	known := map[string]config.Setting{}
	for _, o := range ours {
		known[o.Name] = o
	}
	for _, o := range theirs {
		// The tool has no cache of its own that would write through.
		if got := known[o.Name]; got != o && o.Name != "rbd_cache_writethrough_until_flush" {
			t.Errorf("%+v is %+v to the stock client", got, o)
		}
	}
	if len(ours) != len(theirs) {
		t.Errorf("%d options, %d of the stock client", len(ours), len(theirs))
	}
	stock(t, s, "config", "image", "remove", "i", mode)
	values, err := i.Config().Read(ctx)
	if v := values.Get(mode); err != nil || v != "ignore-error" {
		t.Errorf("after its removal %s is %q, %v", mode, v, err)
	}
	want(t, "close", i.Close(ctx), nil)
}

// TestSnapshotLimit: an image has no more snapshots than its limit, whoever has set it and whoever
// makes one.
func TestSnapshotLimit(t *testing.T) {
	s := store(t, connect(t))
	ctx := within(t, time.Minute)
	want(t, "create", s.Create(ctx, "i", rbd.CreateOptions{Size: 1 << 20}), nil)
	i := open(t, s, "i")
	is := func(wanted uint64) {
		t.Helper()
		if n, err := i.SnapshotLimit(ctx); err != nil || n != wanted {
			t.Errorf("the limit is %d, %v; want %d", n, err, wanted)
		}
	}
	is(rbd.NoSnapshotLimit)
	stock(t, s, "snap", "limit", "set", "--limit", "2", "i")
	is(2)
	want(t, "one", i.CreateSnapshot(ctx, "1"), nil)
	want(t, "two", i.CreateSnapshot(ctx, "2"), nil)
	err := i.CreateSnapshot(ctx, "3")
	want(t, "three", err, ceph.EDQUOT)
	if err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("three: %v", err)
	}
	want(t, "less than there are", i.SetSnapshotLimit(ctx, 1), ceph.ERANGE)
	want(t, "three", i.SetSnapshotLimit(ctx, 3), nil)
	want(t, "three", i.CreateSnapshot(ctx, "3"), nil)
	want(t, "four", i.CreateSnapshot(ctx, "4"), ceph.EDQUOT)
	out, err := tryStock(t, "-p", s.IO().PoolName(), "snap", "create", "--no-progress", "i@4")
	if err == nil || !strings.Contains(string(out), "quota") {
		t.Errorf("four by the stock client: %v, %s", err, out)
	}
	want(t, "clear", i.ClearSnapshotLimit(ctx), nil)
	is(rbd.NoSnapshotLimit)
	stock(t, s, "snap", "create", "--no-progress", "i@4")
	want(t, "five", i.CreateSnapshot(ctx, "5"), nil)
	want(t, "close", i.Close(ctx), nil)
	at, err := s.Open(ctx, "i", true)
	want(t, "open", err, nil)
	want(t, "read only", at.SetSnapshotLimit(ctx, 9), ceph.EROFS)
}
