package striper_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"glue/ceph"
	"glue/client/clienttest"
	"glue/client/rados"
	"glue/client/striper"
)

var (
	within = clienttest.Within
	want   = clienttest.Want
)

func pool(t *testing.T) *rados.IOCtx {
	t.Helper()
	return clienttest.Pool(t, clienttest.Connect(t),
		fmt.Sprintf("test-striper-%d", time.Now().UnixNano()))
}

func of(t *testing.T, x *rados.IOCtx, l striper.Layout) *striper.Striper {
	t.Helper()
	s, err := striper.New(x, l)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// bytesOf is n bytes that are not zero.
func bytesOf(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(1 + r.IntN(255))
	}
	return b
}

// A model is a striped object as it should be.
type model struct {
	t     *testing.T
	ctx   context.Context
	s     *striper.Striper
	data  []byte // nil: it is not there
	attrs map[string]string
}

const subject = "a%striped object"

// put is a write to the model.
func (m *model) put(b []byte, off int) {
	if m.data == nil {
		m.data = []byte{}
	}
	if end := off + len(b); end > len(m.data) {
		m.data = append(m.data, make([]byte, end-len(m.data))...)
	}
	copy(m.data[off:], b)
}

// step is one change at random, of both.
func (m *model) step(r *rand.Rand, most int) string {
	was := m.data != nil
	absent := error(nil)
	if !was {
		absent = ceph.ENOENT
	}
	n, off := r.IntN(most/3), r.IntN(most)
	if r.IntN(4) == 0 {
		n, off = n>>16<<16, off>>16<<16
	}
	b := bytesOf(r, n)
	switch k := r.IntN(20); {
	case k < 7:
		m.put(b, off)
		want(m.t, "write", m.s.Write(m.ctx, subject, b, uint64(off)), nil)
		return fmt.Sprintf("write %d at %d", n, off)
	case k < 9:
		m.put(b, off)
		if w, err := m.s.File(m.ctx, subject).WriteAt(b, int64(off)); w != n || err != nil {
			m.t.Errorf("write of %d: %d, %v", n, w, err)
		}
		return fmt.Sprintf("write %d at %d", n, off)
	case k < 12:
		m.put(b, len(m.data))
		want(m.t, "append", m.s.Append(m.ctx, subject, b), nil)
		return fmt.Sprint("append ", n)
	case k < 17:
		if was {
			old := len(m.data)
			m.put(nil, off)
			m.data = append([]byte{}, m.data[:off]...)
			want(m.t, "truncate", m.s.Truncate(m.ctx, subject, uint64(off)), nil)
			return fmt.Sprintf("truncate from %d to %d", old, off)
		}
		want(m.t, "truncate", m.s.Truncate(m.ctx, subject, uint64(off)), absent)
	case k < 18:
		m.data = nil
		m.put(b, 0)
		want(m.t, "write full", m.s.WriteFull(m.ctx, subject, b), nil)
		return fmt.Sprint("write full ", n)
	case k < 19:
		m.data, m.attrs = nil, map[string]string{}
		want(m.t, "remove", m.s.Remove(m.ctx, subject), absent)
		return "remove"
	case was:
		m.attrs["a"] = fmt.Sprint(n)
		want(m.t, "attribute", m.s.SetXattr(m.ctx, subject, "a", []byte(m.attrs["a"])), nil)
	}
	return "nothing"
}

// check compares, and looks at the objects: none is beyond the size, none locked.
func (m *model) check(r *rand.Rand, what string) {
	m.t.Helper()
	st, err := m.s.Stat(m.ctx, subject)
	if m.data == nil {
		want(m.t, "stat", err, ceph.ENOENT)
	} else if err != nil || st.Size != uint64(len(m.data)) {
		m.t.Errorf("%s: stat %+v, %v, want %d", what, st, err, len(m.data))
	} else {
		m.checkData(r, what)
	}
	layout := m.s.Layout()
	most := layout.Objects(st.Size)
	if m.data != nil {
		most = max(most, 1)
	}
	names := map[string]uint64{}
	for n := range most {
		names[striper.ObjectName(subject, n)] = layout.Part(n, st.Size)
	}
	x := m.s.IOCtx()
	for o, err := range x.List(m.ctx) {
		size, ok := names[o.Name]
		is, statErr := x.Stat(m.ctx, o.Name)
		if err != nil || !ok || statErr != nil || is.Size > size {
			m.t.Errorf("%s: object %s: %v, %d bytes, %v; want %d at most", what, o.Name, err,
				is.Size, statErr, size)
		}
	}
	if m.data != nil {
		info, err := x.LockInfo(m.ctx, striper.ObjectName(subject, 0), "striper.lock")
		if err != nil || len(info.Lockers) != 0 {
			m.t.Errorf("%s: locked: %+v, %v", what, info, err)
		}
	}
}

func (m *model) checkData(r *rand.Rand, what string) {
	m.t.Helper()
	b, err := m.s.Read(m.ctx, subject, 0, 0)
	if err != nil || !bytes.Equal(b, m.data) {
		m.t.Errorf("%s: %d bytes are not what they should be, %v", what, len(b), err)
	}
	off, p := r.IntN(len(m.data)+1), make([]byte, 1+r.IntN(300_000))
	n, err := m.s.File(m.ctx, subject).ReadAt(p, int64(off))
	exp := m.data[off:min(len(m.data), off+len(p))]
	if !bytes.Equal(p[:n], exp) || len(exp) < len(p) && err != io.EOF ||
		len(exp) == len(p) && err != nil {
		m.t.Errorf("%s: %d bytes at %d: %d, %v", what, len(p), off, n, err)
	}
	got, err := m.s.Xattrs(m.ctx, subject)
	if err != nil || len(got) != len(m.attrs) || string(got["a"]) != m.attrs["a"] {
		m.t.Errorf("%s: attributes %q, %v, want %q", what, got, err, m.attrs)
	}
}

// TestModel: random changes leave what they should, on all layouts.
func TestModel(t *testing.T) {
	x := pool(t)
	const k = 1 << 10
	for i, l := range []striper.Layout{{ObjectBytes: 64 * k}, {ObjectBytes: 128 * k,
		StripeUnit: 64 * k, StripeCount: 3}, {ObjectBytes: 256 * k, StripeUnit: 64 * k,
		StripeCount: 2}, {ObjectBytes: 64 * k, StripeCount: 5}} {
		t.Run(fmt.Sprint(l.ObjectBytes, l.StripeUnit, l.StripeCount), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(i), 7))
			m := &model{t: t, ctx: within(t, 4*time.Minute), s: of(t,
				x.WithNamespace(fmt.Sprint(i)), l), attrs: map[string]string{}}
			for n := range 120 {
				what := fmt.Sprintf("%d: %s", n, m.step(r, 1500*k))
				if m.check(r, what); t.Failed() {
					t.FailNow()
				}
			}
		})
	}
}

// Objects larger than a request, and a layout that is not the striper's own.
func TestOfAnotherLayout(t *testing.T) {
	x, ctx := pool(t), within(t, time.Minute)
	large := of(t, x, striper.Layout{ObjectBytes: 64 << 20, StripeUnit: 32 << 20, StripeCount: 2})
	data := bytesOf(rand.New(rand.NewPCG(1, 1)), 45<<20+3)
	want(t, "write", large.WriteFull(ctx, "o", data), nil)
	small := of(t, x, striper.Layout{ObjectBytes: 1 << 20})
	if l, err := small.LayoutOf(ctx, "o"); err != nil || l != large.Layout() {
		t.Errorf("layout %+v, %v", l, err)
	}
	b, err := small.Read(ctx, "o", 0, 0)
	if err != nil || !bytes.Equal(b, data) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	want(t, "append", small.Append(ctx, "o", []byte("end")), nil)
	b, err = large.Read(ctx, "o", 45<<20, 10)
	if err != nil || string(b) != string(data[45<<20:])+"end" {
		t.Errorf("%q, %v", b, err)
	}
	want(t, "grow", small.Truncate(ctx, "o", 100<<30), nil)
	_, err = small.Read(ctx, "o", 0, 0)
	want(t, "all at once", err, ceph.EFBIG)
	b, err = small.Read(ctx, "o", 100<<30-5, 10)
	if err != nil || string(b) != "\x00\x00\x00\x00\x00" {
		t.Errorf("%q, %v", b, err)
	}
	want(t, "remove", of(t, x, striper.Layout{}).Remove(ctx, "o"), nil)
	for o, err := range x.List(ctx) {
		t.Errorf("left over: %v, %v", o, err)
	}
}

func TestRefusals(t *testing.T) {
	for _, l := range []striper.Layout{{ObjectBytes: 100_000}, {StripeUnit: 4096},
		{ObjectBytes: 1 << 31}, {StripeCount: 1 << 31}, {ObjectBytes: 1 << 20, StripeUnit: 3 << 16},
		{ObjectBytes: 1 << 16, StripeUnit: 1 << 17}} {
		_, err := striper.New(nil, l)
		want(t, fmt.Sprint(l), err, ceph.EINVAL)
	}
	x, ctx := pool(t), within(t, time.Minute)
	s := of(t, x, striper.Layout{})
	if s.Layout() != striper.DefaultLayout {
		t.Errorf("%+v", s.Layout())
	}
	absent := func(what string, err error) { t.Helper(); want(t, what, err, ceph.ENOENT) }
	_, err := s.Read(ctx, "o", 0, 0)
	absent("read", err)
	_, err = s.Stat(ctx, "o")
	absent("stat", err)
	_, err = s.Xattrs(ctx, "o")
	absent("attributes", err)
	absent("set attribute", s.SetXattr(ctx, "o", "a", nil))
	absent("remove attribute", s.RmXattr(ctx, "o", "a"))
	absent("truncate", s.Truncate(ctx, "o", 1))
	absent("remove", s.Remove(ctx, "o"))
	for o, err := range x.List(ctx) {
		t.Errorf("made: %v, %v", o, err)
	}

	want(t, "create", s.Create(ctx, "o", true), nil)
	want(t, "create again", s.Create(ctx, "o", true), ceph.EEXIST)
	want(t, "create again", s.Create(ctx, "o", false), nil)
	want(t, "too far", s.Write(ctx, "o", []byte("xy"), math.MaxInt64-1), ceph.EFBIG)
	want(t, "too far", s.Truncate(ctx, "o", 1<<63), ceph.EFBIG)
	for _, attr := range []string{"striper.size", "striper.layout.stripe_unit",
		"striper.layout.stripe_count", "striper.layout.object_size", "lock.striper.lock"} {
		want(t, attr, s.SetXattr(ctx, "o", attr, []byte("1")), ceph.EINVAL)
		want(t, attr, s.RmXattr(ctx, "o", attr), ceph.EINVAL)
	}
	_, err = s.Xattr(ctx, "o", "a")
	want(t, "no attribute", err, ceph.ENODATA)
	want(t, "no attribute", s.RmXattr(ctx, "o", "a"), nil)
	_, err = s.File(ctx, "o").ReadAt(nil, -1)
	want(t, "negative", err, ceph.EINVAL)
	_, err = s.File(ctx, "o").WriteAt(nil, -1)
	want(t, "negative", err, ceph.EINVAL)
}

// What is named as a striped object's first object and is none.
func TestForeignObjects(t *testing.T) {
	x, ctx := pool(t), within(t, time.Minute)
	s := of(t, x, striper.Layout{})
	for _, n := range []uint64{0, 1, 2, 4} {
		want(t, "object", x.WriteFull(ctx, striper.ObjectName("o", n), []byte("x")), nil)
	}
	want(t, "object", x.WriteFull(ctx, "other", nil), nil)
	_, err := s.Read(ctx, "o", 0, 0)
	for what, err := range map[string]error{"read": err, "write": s.Write(ctx, "o", nil, 0),
		"append": s.Append(ctx, "o", []byte("x")), "truncate": s.Truncate(ctx, "o", 1),
		"write full": s.WriteFull(ctx, "o", nil)} {
		want(t, what, err, ceph.EINVAL)
		if bad := (*striper.LayoutError)(nil); !errors.As(err, &bad) || bad.Value != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	var names []string
	for o, err := range s.List(ctx) {
		names = append(names, fmt.Sprint(o.Name, err))
	}
	if fmt.Sprint(names) != "[o<nil>]" {
		t.Errorf("listed %v", names)
	}
	want(t, "remove", s.Remove(ctx, "o"), nil)
	count := 0
	for range x.List(ctx) {
		count++
	}
	if count != 2 { // "other", and what comes after a gap
		t.Errorf("%d objects are left", count)
	}
}

// A snapshot is read without a lock, and can't be written.
func TestSnapshot(t *testing.T) {
	x, ctx := pool(t), within(t, time.Minute)
	s := of(t, x, striper.Layout{ObjectBytes: 64 << 10})
	data := bytesOf(rand.New(rand.NewPCG(3, 1)), 300_000)
	want(t, "write", s.Write(ctx, "o", data, 0), nil)
	snap, err := x.CreateSnapID(ctx)
	if err != nil {
		t.Fatal(err)
	}
	after := of(t, x.WithSnapContext(snap, []ceph.SnapID{snap}), s.Layout())
	want(t, "write", after.WriteFull(ctx, "o", []byte("new")), nil)
	then := of(t, x.WithSnap(snap), striper.Layout{})
	b, err := then.Read(ctx, "o", 0, 0)
	if err != nil || !bytes.Equal(b, data) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	want(t, "write", then.Write(ctx, "o", data, 0), ceph.EROFS)
	if b, err = s.Read(ctx, "o", 0, 0); string(b) != "new" {
		t.Errorf("%q, %v", b, err)
	}
}
