package rados_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"glue/ceph"
	"glue/client/clienttest"
	"glue/client/rados"
)

var (
	connect = clienttest.Connect
	within  = clienttest.Within
	poolOf  = clienttest.Pool
	want    = clienttest.Want
)

// pool makes a pool for one test and removes it at the end.
func pool(t *testing.T, c *rados.Cluster) *rados.IOCtx {
	t.Helper()
	return poolOf(t, c, fmt.Sprintf("test-%s-%d", t.Name(), time.Now().UnixNano()))
}

func TestObjectData(t *testing.T) {
	x := pool(t, connect(t))
	ctx := within(t, time.Minute)
	want(t, "write", x.Write(ctx, "o", []byte("hello world"), 3), nil)
	got, err := x.Read(ctx, "o", 0, 0)
	if err != nil || string(got) != "\x00\x00\x00hello world" {
		t.Errorf("read %q, %v", got, err)
	}
	want(t, "append", x.Append(ctx, "o", []byte("!")), nil)
	want(t, "zero", x.Zero(ctx, "o", 4, 4), nil)
	want(t, "truncate", x.Truncate(ctx, "o", 12), nil)
	got, err = x.Read(ctx, "o", 2, 100)
	if err != nil || string(got) != "\x00h\x00\x00\x00\x00 wor" {
		t.Errorf("read %q, %v", got, err)
	}
	s, err := x.Stat(ctx, "o")
	if err != nil || s.Size != 12 || time.Since(s.MTime).Abs() > time.Hour {
		t.Errorf("stat %+v, %v", s, err)
	}
	want(t, "write full", x.WriteFull(ctx, "o", []byte("short")), nil)
	if s, err := x.Stat(ctx, "o"); err != nil || s.Size != 5 {
		t.Errorf("stat %+v, %v", s, err)
	}
	want(t, "remove", x.Remove(ctx, "o"), nil)
	want(t, "remove again", x.Remove(ctx, "o"), ceph.ENOENT)
	_, err = x.Read(ctx, "o", 0, 0)
	want(t, "read of nothing", err, ceph.ENOENT)
	want(t, "create", x.Create(ctx, "o", true), nil)
	want(t, "create again", x.Create(ctx, "o", true), ceph.EEXIST)
}

func TestLargeObject(t *testing.T) {
	x := pool(t, connect(t))
	ctx := within(t, time.Minute)
	data := bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16)
	want(t, "write", x.WriteFull(ctx, "big", data), nil)
	got, err := x.Read(ctx, "big", 0, 0)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	want(t, "write beyond the largest object",
		x.Write(ctx, "huge", []byte("x"), 200<<20), ceph.EFBIG)
}

func TestOperateIsAllOrNothing(t *testing.T) {
	x := pool(t, connect(t))
	ctx := within(t, time.Minute)
	op := new(rados.WriteOp).Create(true).WriteFull([]byte("a")).SetXattr("k", []byte("v")).
		OmapSet(map[string][]byte{"x": []byte("1")})
	want(t, "first", x.Operate(ctx, "o", op), nil)
	again := new(rados.WriteOp).WriteFull([]byte("b")).Create(true)
	want(t, "second", x.Operate(ctx, "o", again), ceph.EEXIST)
	if got, err := x.Read(ctx, "o", 0, 0); err != nil || string(got) != "a" {
		t.Errorf("after a refused vector: %q, %v", got, err)
	}
	check := new(rados.WriteOp).CompareXattr("k", 1, []byte("other")).Remove()
	want(t, "compare", x.Operate(ctx, "o", check), ceph.ECANCELED)
	var r rados.ReadOp
	stat, data, attrs, omap := r.Stat(), r.Read(0, 0), r.Xattrs(), r.OmapGet("x", "none")
	if err := x.OperateRead(ctx, "o", &r); err != nil {
		t.Fatal(err)
	}
	if stat.Size != 1 || string(*data) != "a" || string((*attrs)["k"]) != "v" ||
		len(*omap) != 1 || string((*omap)["x"]) != "1" {
		t.Errorf("got %+v %q %q %q", stat, *data, *attrs, *omap)
	}
}

func TestXattrs(t *testing.T) {
	x := pool(t, connect(t))
	ctx := within(t, time.Minute)
	want(t, "set", x.SetXattr(ctx, "o", "a", []byte("1")), nil)
	want(t, "set", x.SetXattr(ctx, "o", "b", []byte("2")), nil)
	v, err := x.Xattr(ctx, "o", "a")
	if err != nil || string(v) != "1" {
		t.Errorf("a = %q, %v", v, err)
	}
	want(t, "remove", x.RmXattr(ctx, "o", "a"), nil)
	_, err = x.Xattr(ctx, "o", "a")
	want(t, "removed", err, ceph.ENODATA)
	m, err := x.Xattrs(ctx, "o")
	if err != nil || len(m) != 1 || string(m["b"]) != "2" {
		t.Errorf("attributes %q, %v", m, err)
	}
}

func TestOmapPaging(t *testing.T) {
	x := pool(t, connect(t))
	ctx := within(t, time.Minute)
	const n = 2500
	pairs := map[string][]byte{}
	for i := range n {
		pairs[fmt.Sprintf("k%05d", i)] = fmt.Append(nil, i)
	}
	want(t, "set", x.OmapSet(ctx, "o", pairs), nil)
	i := 0
	for p, err := range x.Omap(ctx, "o", "") {
		if err != nil {
			t.Fatal(err)
		}
		if p.Key != fmt.Sprintf("k%05d", i) || string(p.Value) != fmt.Sprint(i) {
			t.Fatalf("pair %d is %q = %q", i, p.Key, p.Value)
		}
		i++
	}
	if i != n {
		t.Errorf("%d pairs, want %d", i, n)
	}
	keys := 0
	for _, err := range x.OmapKeys(ctx, "o") {
		if err != nil {
			t.Fatal(err)
		}
		keys++
	}
	if keys != n {
		t.Errorf("%d keys, want %d", keys, n)
	}
	want(t, "remove", x.OmapRm(ctx, "o", "k00000", "none"), nil)
	got, err := x.OmapGet(ctx, "o", "k00000", "k00001")
	if err != nil || len(got) != 1 {
		t.Errorf("got %q, %v", got, err)
	}
	want(t, "header", x.Operate(ctx, "o", new(rados.WriteOp).OmapSetHeader([]byte("h"))), nil)
	h, err := x.OmapHeader(ctx, "o")
	if err != nil || string(h) != "h" {
		t.Errorf("header %q, %v", h, err)
	}
	want(t, "clear", x.OmapClear(ctx, "o"), nil)
}

func TestList(t *testing.T) {
	x := pool(t, connect(t))
	ctx := within(t, time.Minute)
	var names []string
	for i := range 300 {
		name := fmt.Sprintf("obj-%04d", i)
		names = append(names, name)
		want(t, "create", x.Create(ctx, name, false), nil)
	}
	other := x.WithNamespace("ns").WithLocator("loc")
	want(t, "create", other.Create(ctx, "elsewhere", false), nil)
	list := func(x *rados.IOCtx) (out []string) {
		for o, err := range x.List(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, o.Namespace+"/"+o.Name+"@"+o.Locator)
		}
		slices.Sort(out)
		return out
	}
	got := list(x)
	if len(got) != len(names) || got[0] != "/obj-0000@" || got[299] != "/obj-0299@" {
		t.Errorf("listed %d objects: %v", len(got), got)
	}
	if got := list(x.WithNamespace("ns")); !slices.Equal(got, []string{"ns/elsewhere@loc"}) {
		t.Errorf("namespace has %v", got)
	}
	if got := list(x.WithNamespace(rados.AllNamespaces)); len(got) != 301 {
		t.Errorf("all namespaces have %d objects", len(got))
	}
}

func TestWatchNotify(t *testing.T) {
	c := connect(t)
	x := pool(t, c)
	ctx := within(t, time.Minute)
	want(t, "create", x.Create(ctx, "o", false), nil)
	seen := make(chan string, 10)
	w, err := x.Watch(ctx, "o", func(n *rados.Notification) {
		seen <- string(n.Payload)
		if err := n.Ack(ctx, []byte("pong")); err != nil {
			t.Error(err)
		}
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	list, err := x.Watchers(ctx, "o")
	if err != nil || len(list) != 1 || list[0].Cookie != w.Cookie() ||
		list[0].Name.Num != int64(c.InstanceID()) {
		t.Errorf("watchers %+v, %v", list, err)
	}
	r, err := x.Notify(ctx, "o", []byte("ping"), 5*time.Second)
	if err != nil || len(r.Acks) != 1 || string(r.Acks[0].Reply) != "pong" || len(r.Missed) != 0 {
		t.Errorf("notify: %+v, %v", r, err)
	}
	select {
	case got := <-seen:
		if got != "ping" {
			t.Errorf("payload %q", got)
		}
	default:
		t.Error("the watcher saw nothing")
	}
	want(t, "unwatch", w.Close(ctx), nil)
	if r, err := x.Notify(ctx, "o", nil, time.Second); err != nil || len(r.Acks) != 0 {
		t.Errorf("notify nobody: %+v, %v", r, err)
	}
}

func TestNotifyTimeout(t *testing.T) {
	x := pool(t, connect(t))
	ctx := within(t, time.Minute)
	want(t, "create", x.Create(ctx, "o", false), nil)
	w, err := x.Watch(ctx, "o", func(*rados.Notification) {}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := x.Notify(ctx, "o", nil, time.Second)
	want(t, "notify without an answer", err, ceph.ETIMEDOUT)
	if len(r.Missed) != 1 || r.Missed[0].Cookie != w.Cookie() {
		t.Errorf("missed %+v", r.Missed)
	}
	want(t, "unwatch", w.Close(ctx), nil)
}

func TestWatchOfRemovedObject(t *testing.T) {
	x := pool(t, connect(t))
	ctx := within(t, time.Minute)
	want(t, "create", x.Create(ctx, "o", false), nil)
	lost := make(chan error, 1)
	w, err := x.Watch(ctx, "o", func(*rados.Notification) {}, func(err error) { lost <- err })
	if err != nil {
		t.Fatal(err)
	}
	want(t, "remove", x.Remove(ctx, "o"), nil)
	select {
	case err := <-lost:
		want(t, "watch", err, ceph.ENOTCONN)
	case <-time.After(20 * time.Second):
		t.Error("the watcher was not told that its object is gone")
	}
	want(t, "unwatch", w.Close(ctx), nil)
}

func TestLocks(t *testing.T) {
	c := connect(t)
	x := pool(t, c)
	ctx := within(t, time.Minute)
	l := rados.Lock{Name: "l", Cookie: "c", Description: "test", Kind: rados.LockExclusive}
	want(t, "lock", x.Lock(ctx, "o", l), nil)
	want(t, "lock again", x.Lock(ctx, "o", l), ceph.EEXIST)
	l.Cookie = "d"
	want(t, "lock by another", x.Lock(ctx, "o", l), ceph.EBUSY)
	info, err := x.LockInfo(ctx, "o", "l")
	if err != nil || len(info.Lockers) != 1 || info.Lockers[0].Cookie != "c" ||
		info.Lockers[0].Description != "test" || info.Kind != rados.LockExclusive {
		t.Errorf("info %+v, %v", info, err)
	}
	names, err := x.Locks(ctx, "o")
	if err != nil || !slices.Equal(names, []string{"l"}) {
		t.Errorf("locks %v, %v", names, err)
	}
	want(t, "unlock", x.Unlock(ctx, "o", "l", "c"), nil)
	want(t, "unlock again", x.Unlock(ctx, "o", "l", "c"), ceph.ENOENT)
	want(t, "lock", x.Lock(ctx, "o", l), nil)
	want(t, "break", x.BreakLock(ctx, "o", "l", "d",
		ceph.EntityName{Type: ceph.TypeClient, Num: int64(c.InstanceID())}), nil)
}

func TestCommands(t *testing.T) {
	c := connect(t)
	ctx := within(t, 30*time.Second)
	out, _, err := c.MonCommand(ctx, map[string]any{"prefix": "fsid"}, nil)
	if err != nil || string(bytes.TrimSpace(out)) != c.FSID().String() {
		t.Errorf("fsid %q, %v", out, err)
	}
	_, status, err := c.MonCommand(ctx, map[string]any{"prefix": "no such"}, nil)
	if !errors.Is(err, ceph.EINVAL) || status == "" {
		t.Errorf("unknown command: %q, %v", status, err)
	}
	if out, _, err := c.OSDCommand(ctx, 0, map[string]any{"prefix": "version"}, nil); err != nil ||
		!bytes.Contains(out, []byte("version")) {
		t.Errorf("tell osd.0 version: %q, %v", out, err)
	}
	_, _, err = c.OSDCommand(ctx, 999, map[string]any{"prefix": "version"}, nil)
	want(t, "tell osd.999", err, ceph.ENOENT)
	if out, _, err := c.MgrCommand(ctx, map[string]any{"prefix": "pg stat"}, nil); err != nil ||
		len(out) == 0 {
		t.Errorf("pg stat: %q, %v", out, err)
	}
	if s, err := c.Stat(ctx); err != nil || s.KB == 0 {
		t.Errorf("stat %+v, %v", s, err)
	}
}

func TestPools(t *testing.T) {
	c := connect(t)
	ctx := within(t, time.Minute)
	name := fmt.Sprintf("test-pools-%d", time.Now().UnixNano())
	_, err := c.OpenPool(ctx, name)
	want(t, "open what is not there", err, ceph.ENOENT)
	want(t, "create", c.CreatePool(ctx, name), nil)
	x, err := c.OpenPool(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "write", x.WriteFull(ctx, "o", []byte("x")), nil)
	stats, _, err := c.PoolStats(ctx, name)
	if err != nil || len(stats) > 1 {
		t.Errorf("statistics %+v, %v", stats, err)
	}
	_, _, err = c.MonCommand(ctx, map[string]any{"prefix": "config set", "who": "mon",
		"name": "mon_allow_pool_delete", "value": "true"}, nil)
	want(t, "allow pools to be deleted", err, nil)
	want(t, "delete", c.DeletePool(ctx, name), nil)
	want(t, "write to no pool", x.WriteFull(ctx, "o", []byte("x")), ceph.ENOENT)
}

func TestWrongKeyIsRefusedAtOnce(t *testing.T) {
	connect(t)
	ctx := within(t, 20*time.Second)
	ring := t.TempDir() + "/keyring"
	text := "[client.nobody]\n\tkey = AQAAAAAAAAAAABAAMTIzNDU2Nzg5MDEyMzQ1Ng==\n"
	if err := os.WriteFile(ring, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	_, err := rados.Connect(ctx, rados.Options{
		ConfFile: os.Getenv("GLUE_TEST_CONF"), Keyring: ring,
		Name: ceph.AuthName{Type: ceph.TypeClient, ID: "nobody"},
	})
	want(t, "connect", err, ceph.EACCES)
	if d := time.Since(begun); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
}

func TestManyWriters(t *testing.T) {
	x := pool(t, connect(t))
	ctx := within(t, time.Minute)
	errs := make(chan error)
	const writers, each = 16, 50
	for w := range writers {
		go func() {
			for i := range each {
				oid := fmt.Sprintf("o%d", (w*each+i)%97)
				if err := x.Append(ctx, oid, []byte{byte(w)}); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range writers {
		want(t, "append", <-errs, nil)
	}
	total := 0
	for i := range 97 {
		s, err := x.Stat(ctx, fmt.Sprintf("o%d", i))
		if err != nil {
			t.Fatal(err)
		}
		total += int(s.Size)
	}
	if total != writers*each {
		t.Errorf("%d bytes were appended, want %d", total, writers*each)
	}
}
