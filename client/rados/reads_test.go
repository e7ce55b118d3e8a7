package rados_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"glue/ceph"
	"glue/client/rados"
)

// readsAt is how many reads an OSD has answered.
func readsAt(t *testing.T, c *rados.Cluster, osd int32) int {
	t.Helper()
	out, _, err := c.OSDCommand(within(t, 20*time.Second), osd,
		map[string]any{"prefix": "perf dump", "format": "json"}, nil)
	var d struct {
		OSD struct {
			Ops    int  `json:"op_r"`
			Served *int `json:"replica_read_served"` // here; there they are among the others
		} `json:"osd"`
	}
	if err == nil {
		err = json.Unmarshal(out, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	if d.OSD.Served != nil {
		return *d.OSD.Served
	}
	return d.OSD.Ops
}

// Other copies than the primary answer balanced reads, and never with what is outdated.
func TestBalancedReads(t *testing.T) {
	c := connect(t)
	x := pool(t, c)
	ctx := within(t, 2*time.Minute)
	want(t, "write", x.WriteFull(ctx, "o", []byte("0")), nil)
	raw, err := c.Map().ObjectPG(x.PoolID(), "o", "", "")
	if err != nil {
		t.Fatal(err)
	}
	_, _, acting, primary := c.Map().PGToUpActing(c.Map().RawToPG(raw))
	if len(acting) < 2 {
		t.Skipf("the object has %d copies", len(acting))
	}
	others := func() (n int) {
		for _, osd := range acting {
			if osd != primary {
				n += readsAt(t, c, osd)
			}
		}
		return n
	}
	y, before, reads := x.WithBalancedReads(), others(), 0
	for end := time.Now().Add(time.Minute); others()-before < 20; {
		if time.Now().After(end) {
			t.Fatalf("other copies answered %d of %d reads in a minute", others()-before, reads)
		}
		// Other copies need a lease, and the write to be settled: of that the real OSDs hear with a
		// later write only.
		for i := range 20 {
			want(t, "write", x.WriteFull(ctx, fmt.Sprint("other", i), []byte("x")), nil)
			reads++
			if b, err := y.Read(ctx, "o", 0, 0); err != nil || string(b) != "0" {
				t.Fatalf("read %q, %v", b, err)
			}
		}
	}
	t.Logf("other copies answered %d of %d reads", others()-before, reads)
	for i := range 200 {
		v := fmt.Sprint(i)
		want(t, "write", y.WriteFull(ctx, "o", []byte(v)), nil)
		if b, err := y.Read(ctx, "o", 0, 0); err != nil || string(b) != v {
			t.Fatalf("after %s was written: %q, %v", v, b, err)
		}
	}
	if b, err := y.Exec(ctx, "o", "hello", "say_hello", nil); err != nil || len(b) == 0 {
		t.Errorf("a method: %q, %v", b, err)
	}
}

// started makes sure that all that was started succeeds.
func started(t *testing.T, ctx context.Context, list []*rados.Pending) {
	t.Helper()
	for _, p := range list {
		want(t, "answer", p.Wait(ctx), nil)
	}
}

func TestReadsAreStarted(t *testing.T) {
	x := pool(t, connect(t))
	ctx := within(t, time.Minute)
	const n = 50
	var list []*rados.Pending
	for i := range n {
		op := new(rados.WriteOp).WriteFull([]byte(fmt.Sprint("value ", i))).
			SetXattr("k", []byte(fmt.Sprint(i)))
		p, err := x.Start(ctx, fmt.Sprint("o", i), op)
		want(t, "start", err, nil)
		list = append(list, p)
	}
	started(t, ctx, list)
	list = nil
	var data, attrs [n]*[]byte
	for i := range n {
		var r rados.ReadOp
		data[i], attrs[i] = r.Read(0, 0), r.Xattr("k")
		p, err := x.StartRead(ctx, fmt.Sprint("o", i), &r)
		want(t, "start", err, nil)
		list = append(list, p)
	}
	started(t, ctx, list)
	for i := range n {
		if string(*data[i]) != fmt.Sprint("value ", i) || string(*attrs[i]) != fmt.Sprint(i) {
			t.Errorf("object %d: %q, %q", i, *data[i], *attrs[i])
		}
	}
	var r rados.ReadOp
	r.Stat()
	p, err := x.StartRead(ctx, "missing", &r)
	want(t, "start", err, nil)
	want(t, "read of nothing", p.Wait(ctx), ceph.ENOENT)
}

// An ordered read that is started behind a write sees it, and none that comes after it.
func TestOrderedReads(t *testing.T) {
	x := pool(t, connect(t)).WithOrderedReads()
	ctx := within(t, time.Minute)
	const n = 100
	var list []*rados.Pending
	var data [n]*[]byte
	for i := range n {
		w, err := x.Start(ctx, "o", new(rados.WriteOp).WriteFull([]byte(fmt.Sprint(i))))
		want(t, "start", err, nil)
		var op rados.ReadOp
		data[i] = op.Read(0, 0)
		r, err := x.StartRead(ctx, "o", &op)
		want(t, "start", err, nil)
		list = append(list, w, r)
	}
	started(t, ctx, list)
	for i := range n {
		if string(*data[i]) != fmt.Sprint(i) {
			t.Errorf("behind write %d: %q", i, *data[i])
		}
	}
}

func TestFile(t *testing.T) {
	x := pool(t, connect(t))
	f := x.File(within(t, time.Minute), "o")
	if n, err := f.ReadAt(make([]byte, 1), 0); n != 0 {
		t.Errorf("read of nothing: %d, %v", n, err)
	} else {
		want(t, "read of nothing", err, ceph.ENOENT)
	}
	body := bytes.Repeat([]byte("0123456789abcdef"), (17<<20)/16)
	if n, err := f.WriteAt(body, 3); n != len(body) || err != nil {
		t.Fatalf("wrote %d, %v", n, err)
	}
	got, err := io.ReadAll(io.NewSectionReader(f, 3, 1<<40))
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	p := make([]byte, 10)
	if n, err := f.ReadAt(p, int64(len(body))); n != 3 || err != io.EOF || string(p[:3]) != "def" {
		t.Errorf("at the end: %d, %v, %q", n, err, p[:n])
	}
	if n, err := f.ReadAt(p, 3); n != 10 || err != nil || string(p) != "0123456789" {
		t.Errorf("in the middle: %d, %v, %q", n, err, p)
	}
	if n, err := f.ReadAt(nil, 3); n != 0 || err != nil {
		t.Errorf("nothing: %d, %v", n, err)
	}
	_, err = f.ReadAt(p, -1)
	want(t, "before the beginning", err, ceph.EINVAL)
	if _, err := io.Copy(io.NewOffsetWriter(f, 1), bytes.NewReader([]byte("xyz"))); err != nil {
		t.Error(err)
	}
	if n, err := f.ReadAt(p[:6], 0); n != 6 || err != nil || string(p[:6]) != "\x00xyz12" {
		t.Errorf("after a copy: %d, %v, %q", n, err, p[:6])
	}
}

func TestListFilters(t *testing.T) {
	x := pool(t, connect(t))
	ctx := within(t, time.Minute)
	var red []string
	for i := range 30 {
		name, color := fmt.Sprintf("o%02d", i), "blue"
		if i%3 == 0 {
			red, color = append(red, name), "red"
		}
		want(t, "write", x.SetXattr(ctx, name, "color", []byte(color)), nil)
	}
	want(t, "write", x.Create(ctx, "1.00000000", false), nil)
	list := func(f rados.Filter) (names []string, err error) {
		for o, err := range x.WithFilter(f).List(ctx) {
			if err != nil {
				return nil, err
			}
			names = append(names, o.Name)
		}
		slices.Sort(names)
		return names, nil
	}
	str := func(s string) string { return string([]byte{byte(len(s)), 0, 0, 0}) + s }
	for what, c := range map[string]struct {
		f    rados.Filter
		want []string
	}{
		"attribute": {rados.AttrFilter("color", "red"), red},
		"no match":  {rados.AttrFilter("color", "green"), nil},
		"class":     {rados.ClassFilter("hello.hello", []byte(str("_color")+str("red"))), red},
		"first objects": {rados.ClassFilter("cephfs.inode_tag",
			[]byte("\x01\x01\x04\x00\x00\x00"+str(""))), []string{"1.00000000"}},
	} {
		if got, err := list(c.f); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v, want %q", what, got, err, c.want)
		}
	}
	_, err := list(rados.ClassFilter("no.such", nil))
	want(t, "no such filter", err, ceph.EINVAL)
	_, err = list(rados.ClassFilter("cephfs.inode_tag", []byte("x")))
	want(t, "arguments that are none", err, ceph.EINVAL)
}

func TestCopies(t *testing.T) {
	c := connect(t)
	x := pool(t, c)
	y := poolOf(t, c, fmt.Sprintf("test-copies-%d", time.Now().UnixNano()))
	ctx := within(t, time.Minute)
	op := new(rados.WriteOp).WriteFull([]byte("data")).SetXattr("k", []byte("v")).
		OmapSet(map[string][]byte{"a": []byte("1")})
	want(t, "write", x.Operate(ctx, "o", op), nil)
	v := op.Version()
	for i, op := range []*rados.WriteOp{
		new(rados.WriteOp).CopyFrom(x, "o", v), new(rados.WriteOp).CopyFrom(x, "o", 0),
		new(rados.WriteOp).CopyFromTruncated(x, "o", v, 3, 100),
	} {
		name := fmt.Sprint("copy", i)
		want(t, "copy to another pool", y.Operate(ctx, name, op), nil)
		var r rados.ReadOp
		data, attr, omap := r.Read(0, 0), r.Xattr("k"), r.OmapGet("a")
		want(t, "read", y.OperateRead(ctx, name, &r), nil)
		if string(*data) != "data" || string(*attr) != "v" || string((*omap)["a"]) != "1" {
			t.Errorf("copied %q, %q, %q", *data, *attr, *omap)
		}
	}
	for _, op := range []*rados.WriteOp{new(rados.WriteOp).CopyFrom(x, "none", 0),
		new(rados.WriteOp).CopyFromTruncated(x, "none", 0, 3, 100)} {
		want(t, "copy of nothing", y.Operate(ctx, "new", op), ceph.ENOENT)
	}
	want(t, "copy of an older one", y.Operate(ctx, "new",
		new(rados.WriteOp).CopyFrom(x, "o", v+1)), ceph.EOVERFLOW)
	_, err := y.Stat(ctx, "new")
	want(t, "what was not copied", err, ceph.ENOENT)
}
