package rbd_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"glue/ceph"
	"glue/client/rados"
	"glue/client/rbd"
	"glue/client/rbd/backup"
)

// A tester changes an image and knows what it and its snapshots must hold.
type tester struct {
	t     *testing.T
	ctx   context.Context
	s     *rbd.Store
	name  string
	i     *rbd.Image
	r     *rand.Rand
	model []byte
	snaps map[string][]byte
}

func newTester(t *testing.T, s *rbd.Store, name string, model []byte, seed uint64) *tester {
	return &tester{t: t, ctx: within(t, 5*time.Minute), s: s, name: name, i: open(t, s, name),
		r: rand.New(rand.NewPCG(seed, 99)), model: bytes.Clone(model),
		snaps: map[string][]byte{}}
}

// churn makes changes at random, without resizes unless they are wanted.
func (w *tester) churn(steps int, resizes bool) {
	w.t.Helper()
	for range steps {
		off := w.r.IntN(len(w.model))
		n := min(1+w.r.IntN(150_000), len(w.model)-off)
		switch k := w.r.IntN(20); {
		case k < 5:
			rareChange(w.t, w.ctx, w.i, w.r, w.model, off, n)
		case k < 12:
			p := make([]byte, n)
			for b := range p {
				p[b] = byte(w.r.Uint32())
			}
			_, err := w.i.Write(w.ctx, p, int64(off))
			want(w.t, "write", err, nil)
			copy(w.model[off:], p)
		case k < 19:
			want(w.t, "discard", w.i.Discard(w.ctx, uint64(off), uint64(n)), nil)
			clear(w.model[off : off+n])
		case resizes:
			size := 1<<19 + w.r.IntN(1<<20)
			want(w.t, "resize", w.i.Resize(w.ctx, uint64(size), true, nil), nil)
			next := make([]byte, size)
			copy(next, w.model)
			w.model = next
		}
	}
}

func (w *tester) snap(name string) {
	w.t.Helper()
	want(w.t, "create snapshot "+name, w.i.CreateSnapshot(w.ctx, name), nil)
	w.snaps[name] = bytes.Clone(w.model)
}

// check compares the image and all its snapshots with the model, by us and by the stock tool.
func (w *tester) check() {
	w.t.Helper()
	verify(w.t, w.i, w.model)
	for name, model := range w.snaps {
		at, err := w.s.OpenSnapshot(w.ctx, w.name, name)
		if err != nil {
			w.t.Fatal(err)
		}
		if at.Size() != uint64(len(model)) {
			w.t.Fatalf("snapshot %s has %d bytes, want %d", name, at.Size(), len(model))
		}
		verify(w.t, at, model)
	}
}

func (w *tester) checkStock() {
	w.t.Helper()
	mapped := w.i.Info().Features.Has(rbd.ObjectMap)
	want(w.t, "close", w.i.Close(w.ctx), nil)
	dir := w.t.TempDir()
	compare := func(spec string, model []byte) {
		file := filepath.Join(dir, "out")
		_ = os.Remove(file)
		stock(w.t, w.s, "export", "--no-progress", spec, file)
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, model) {
			w.t.Errorf("the stock tool exports something else of %s: %d bytes, %v", spec, len(got),
				err)
		}
		if mapped {
			checkMap(w.t, w.s, spec)
		}
	}
	compare(w.name, w.model)
	for name, model := range w.snaps {
		compare(w.name+"@"+name, model)
	}
	w.i = open(w.t, w.s, w.name)
}

// layouts are the kinds of images that everything has to work on.
var layouts = map[string]rbd.CreateOptions{
	"default": {Order: 16, Size: 1<<20 + 4096},
	"plain":   {Order: 16, Size: 1<<20 + 4096, Features: rbd.Layering},
	"striped": {Order: 16, Size: 1<<20 + 4096, StripeUnit: 8192, StripeCount: 3},
}

func TestSnapshotsAgainstAModel(t *testing.T) {
	s := store(t, connect(t))
	for name, o := range layouts {
		t.Run(name, func(t *testing.T) {
			ctx := within(t, 3*time.Minute)
			want(t, "create", s.Create(ctx, name, o), nil)
			w := newTester(t, s, name, make([]byte, o.Size), 1)
			for k := range 4 {
				w.churn(15, true)
				w.snap(fmt.Sprint("s", k))
			}
			w.churn(15, true)
			w.check()
			w.checkStock()
			want(t, "remove a snapshot", w.i.RemoveSnapshot(ctx, "s1"), nil)
			delete(w.snaps, "s1")
			want(t, "remove again", w.i.RemoveSnapshot(ctx, "s1"), ceph.ENOENT)
			w.check()
			w.checkStock()
			for _, back := range []string{"s0", "s3", "s2"} {
				want(t, "roll back", w.i.Rollback(ctx, back, nil), nil)
				w.model = bytes.Clone(w.snaps[back])
				w.check()
				w.churn(6, true)
			}
			w.check()
			w.checkStock()
			for name := range w.snaps {
				want(t, "remove", w.i.RemoveSnapshot(ctx, name), nil)
			}
			w.snaps = nil
			w.checkStock()
			want(t, "close", w.i.Close(ctx), nil)
			want(t, "remove", s.Remove(ctx, name, nil), nil)
		})
	}
}

func TestSnapshotProperties(t *testing.T) {
	s := store(t, connect(t))
	ctx := within(t, time.Minute)
	want(t, "create", s.Create(ctx, "i", rbd.CreateOptions{Size: 8 << 20}), nil)
	i := open(t, s, "i")
	want(t, "snapshot", i.CreateSnapshot(ctx, "a"), nil)
	want(t, "snapshot again", i.CreateSnapshot(ctx, "a"), ceph.EEXIST)
	want(t, "a bad name", i.CreateSnapshot(ctx, "a@b"), ceph.EINVAL)
	want(t, "unprotect", i.UnprotectSnapshot(ctx, "a"), ceph.EINVAL)
	want(t, "protect", i.ProtectSnapshot(ctx, "a"), nil)
	want(t, "protect again", i.ProtectSnapshot(ctx, "a"), ceph.EBUSY)
	want(t, "remove what is protected", i.RemoveSnapshot(ctx, "a"), ceph.EBUSY)
	want(t, "rename", i.RenameSnapshot(ctx, "a", "b"), nil)
	list, err := i.Snapshots(ctx)
	if err != nil || len(list) != 1 || list[0].Name != "b" || !list[0].Protected ||
		list[0].Size != 8<<20 || time.Since(list[0].Created).Abs() > time.Hour {
		t.Errorf("snapshots %+v, %v", list, err)
	}
	at, err := s.OpenSnapshot(ctx, "i", "b")
	want(t, "open", err, nil)
	_, err = at.Write(ctx, []byte("x"), 0)
	want(t, "write to a snapshot", err, ceph.EROFS)
	_, err = s.OpenSnapshot(ctx, "i", "a")
	want(t, "open what is gone", err, ceph.ENOENT)
	want(t, "unprotect", i.UnprotectSnapshot(ctx, "b"), nil)
	want(t, "close", i.Close(ctx), nil)
	want(t, "remove the image", s.Remove(ctx, "i", nil), ceph.ENOTEMPTY)
	i = open(t, s, "i")
	// The stock client makes one while we hold the lock and go on to write.
	_, err = i.Write(ctx, []byte("before"), 0)
	want(t, "write", err, nil)
	stock(t, s, "snap", "create", "--no-progress", "i@theirs")
	_, err = i.Write(ctx, []byte("after!"), 0)
	want(t, "write", err, nil)
	at, err = s.OpenSnapshot(ctx, "i", "theirs")
	want(t, "open", err, nil)
	got := make([]byte, 6)
	if _, err := at.Read(ctx, got, 0); err != nil || string(got) != "before" {
		t.Errorf("their snapshot holds %q, %v", got, err)
	}
	want(t, "close", i.Close(ctx), nil)
}

func TestClonesAgainstAModel(t *testing.T) {
	s := store(t, connect(t))
	for name, o := range layouts {
		for format := 1; format <= 2; format++ {
			t.Run(fmt.Sprint(name, format), func(t *testing.T) { cloneTest(t, s, o, format) })
		}
	}
}

func cloneTest(t *testing.T, s *rbd.Store, o rbd.CreateOptions, format int) {
	ctx := within(t, 4*time.Minute)
	base, child, deep := "base-"+filepath.Base(t.Name()), "c-"+filepath.Base(t.Name()),
		"d-"+filepath.Base(t.Name())
	want(t, "create", s.Create(ctx, base, o), nil)
	p := newTester(t, s, base, make([]byte, o.Size), 3)
	p.churn(12, false)
	p.snap("s")
	p.churn(5, false)
	clone := rbd.CreateOptions{CloneFormat: format, StripeUnit: o.StripeUnit,
		StripeCount: o.StripeCount}
	if format == 1 {
		want(t, "clone what is not protected", s.Clone(ctx, p.i, "s", child, clone), ceph.EINVAL)
		want(t, "protect", p.i.ProtectSnapshot(ctx, "s"), nil)
	}
	want(t, "clone", s.Clone(ctx, p.i, "s", child, clone), nil)
	c := newTester(t, s, child, p.snaps["s"], 4)
	c.check()
	if parent, err := c.i.Parent(ctx); err != nil || parent == nil || parent.Image != base ||
		parent.Snapshot != "s" || parent.Overlap != o.Size {
		t.Errorf("parent %+v, %v", parent, err)
	}
	list, err := p.i.Children(ctx, "s")
	if err != nil || len(list) != 1 || list[0].Image != child {
		t.Errorf("children %+v, %v", list, err)
	}
	c.churn(6, false)
	c.snap("one")
	c.churn(6, true)
	c.check()
	c.checkStock()
	// A clone of the clone reads through both.
	if format == 1 {
		want(t, "protect", c.i.ProtectSnapshot(ctx, "one"), nil)
	}
	want(t, "clone", s.Clone(ctx, c.i, "one", deep, clone), nil)
	d := newTester(t, s, deep, c.snaps["one"], 5)
	d.churn(5, true)
	d.snap("two")
	d.check()
	d.checkStock()
	want(t, "flatten", d.i.Flatten(ctx, nil), nil)
	want(t, "flatten again", d.i.Flatten(ctx, nil), ceph.EINVAL)
	d.check()
	d.checkStock()
	want(t, "roll back", d.i.Rollback(ctx, "two", nil), nil)
	d.model = bytes.Clone(d.snaps["two"])
	d.check()
	d.churn(5, true)
	d.check()
	d.checkStock()
	cloneTeardown(t, s, p, c, d, format)
}

// cloneTeardown takes it all apart again and looks that nothing is left behind.
func cloneTeardown(t *testing.T, s *rbd.Store, p, c, d *tester, format int) {
	ctx := within(t, 2*time.Minute)
	want(t, "remove a snapshot", d.i.RemoveSnapshot(ctx, "two"), nil)
	want(t, "close", d.i.Close(ctx), nil)
	want(t, "remove", s.Remove(ctx, d.name, nil), nil)
	if format == 1 {
		want(t, "unprotect", c.i.UnprotectSnapshot(ctx, "one"), nil)
		want(t, "unprotect with a clone", p.i.UnprotectSnapshot(ctx, "s"), ceph.EBUSY)
	} else {
		// The snapshot waits in the trash for its clone to go.
		want(t, "remove with a clone", p.i.RemoveSnapshot(ctx, "s"), nil)
		p.snaps = nil
		c.check()
	}
	want(t, "remove a snapshot", c.i.RemoveSnapshot(ctx, "one"), nil)
	delete(c.snaps, "one")
	c.check()
	want(t, "close", c.i.Close(ctx), nil)
	want(t, "remove", s.Remove(ctx, c.name, nil), nil)
	if format == 1 {
		want(t, "unprotect", p.i.UnprotectSnapshot(ctx, "s"), nil)
		want(t, "remove a snapshot", p.i.RemoveSnapshot(ctx, "s"), nil)
	}
	p.snaps = nil
	p.check()
	p.checkStock()
	want(t, "close", p.i.Close(ctx), nil)
	want(t, "remove", s.Remove(ctx, p.name, nil), nil)
	if list, err := s.List(ctx); err != nil || len(list) != 0 {
		t.Errorf("left over: %+v, %v", list, err)
	}
	for o, err := range s.IO().List(ctx) {
		want(t, "list", err, nil)
		// A removed object is listed until the trimming of its snapshots is through.
		_, err := s.IO().Stat(ctx, o.Name)
		if len(o.Name) > 20 && !errors.Is(err, ceph.ENOENT) {
			t.Errorf("object %s was left behind: %v", o.Name, err)
		}
	}
}

// What the stock client makes we read and change, and the other way round.
func TestSnapshotsAndClonesOfTheStockClient(t *testing.T) {
	s := store(t, connect(t))
	ctx := within(t, 3*time.Minute)
	data := make([]byte, 3<<20)
	r := rand.New(rand.NewPCG(1, 1))
	for k := range data {
		data[k] = byte(r.Uint32())
	}
	clear(data[1<<20 : 2<<20])
	file := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"1", "2"} {
		p, c := "p"+format, "c"+format
		stock(t, s, "import", "--no-progress", "--object-size", "64K", file, p)
		stock(t, s, "snap", "create", "--no-progress", p+"@s")
		stock(t, s, "snap", "protect", p+"@s")
		stock(t, s, "clone", "--rbd-default-clone-format", format, p+"@s",
			s.IO().PoolName()+"/"+c)
		w := newTester(t, s, c, data, 7)
		w.check()
		w.churn(10, true)
		stock(t, s, "snap", "create", "--no-progress", c+"@theirs")
		w.snaps["theirs"] = bytes.Clone(w.model)
		w.churn(10, true)
		w.snap("ours")
		w.churn(5, false)
		w.check()
		w.checkStock()
		want(t, "close", w.i.Close(ctx), nil)
		stock(t, s, "flatten", "--no-progress", c)
		w.i = open(t, s, c)
		w.check()
		w.churn(5, true)
		w.checkStock()
		stock(t, s, "snap", "rollback", "--no-progress", c+"@ours")
		w.model = bytes.Clone(w.snaps["ours"])
		w.check()
		want(t, "close", w.i.Close(ctx), nil)
		stock(t, s, "snap", "purge", "--no-progress", c)
		stock(t, s, "rm", "--no-progress", c)
	}
}

// Differences are the stock tool's, and applied to a copy they make the same image.
func TestDiff(t *testing.T) {
	s := store(t, connect(t))
	for name, o := range layouts {
		t.Run(name, func(t *testing.T) {
			ctx := within(t, 3*time.Minute)
			want(t, "create", s.Create(ctx, name, o), nil)
			w := newTester(t, s, name, make([]byte, o.Size), 11)
			copied := name + "-copy"
			want(t, "create", s.Create(ctx, copied, o), nil)
			from := ""
			for k := range 3 {
				snap := fmt.Sprint("s", k)
				w.churn(8, true)
				w.snap(snap)
				for _, whole := range []bool{false, true} {
					diffAsStock(t, s, name+"@"+snap, from, whole)
				}
				applyDiff(t, s, name, snap, from, copied)
				at, err := s.OpenSnapshot(ctx, copied, snap)
				want(t, "open", err, nil)
				verify(t, at, w.snaps[snap])
				from = snap
			}
			_, err := newest(w.i.DiffIterate(ctx, rbd.DiffOptions{From: "none"}))
			want(t, "from nothing", err, ceph.ENOENT)
			at, err := s.OpenSnapshot(ctx, name, "s0")
			want(t, "open", err, nil)
			_, err = newest(at.DiffIterate(ctx, rbd.DiffOptions{From: "s1"}))
			want(t, "from a later one", err, ceph.EINVAL)
			w.checkStock()
			want(t, "close", w.i.Close(ctx), nil)
		})
	}
}

// newest is the last element of a sequence.
func newest(seq func(func(rbd.DiffExtent, error) bool)) (last rbd.DiffExtent, err error) {
	for last, err = range seq {
	}
	return last, err
}

// applyDiff carries differences from one image to another, by ours and the stock tool in turn.
func applyDiff(t *testing.T, s *rbd.Store, name, snap, from, to string) {
	t.Helper()
	ctx := within(t, time.Minute)
	at, err := s.OpenSnapshot(ctx, name, snap)
	want(t, "open", err, nil)
	var ours bytes.Buffer
	o := backup.DiffOptions{DiffOptions: rbd.DiffOptions{From: from}}
	want(t, "export", backup.ExportDiff(ctx, at, &ours, o, nil), nil)
	file := filepath.Join(t.TempDir(), "diff")
	if snap == "s1" { // the stock tool imports what we wrote
		if err := os.WriteFile(file, ours.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		stock(t, s, "import-diff", "--no-progress", file, to)
		return
	}
	args := []string{"export-diff", "--no-progress", name + "@" + snap, file}
	if from != "" {
		args = append(args, "--from-snap", from)
	}
	stock(t, s, args...)
	theirs, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	i := open(t, s, to)
	want(t, "import", backup.ImportDiff(ctx, i, bytes.NewReader(theirs), nil), nil)
	want(t, "import again", backup.ImportDiff(ctx, i, bytes.NewReader(theirs), nil), ceph.EEXIST)
	want(t, "close", i.Close(ctx), nil)
}

// diffAsStock compares with rbd diff.
func diffAsStock(t *testing.T, s *rbd.Store, spec, from string, whole bool) {
	t.Helper()
	args := []string{"diff", "--format", "json", spec}
	if from != "" {
		args = append(args, "--from-snap", from)
	}
	if whole {
		args = append(args, "--whole-object")
	}
	name, snap, _ := bytes.Cut([]byte(spec), []byte("@"))
	at, err := s.OpenSnapshot(within(t, time.Minute), string(name), string(snap))
	want(t, "open", err, nil)
	var ours, theirs []rbd.DiffExtent
	o := rbd.DiffOptions{From: from, Whole: whole}
	for e, err := range at.DiffIterate(within(t, time.Minute), o) {
		if err != nil {
			t.Fatal(err)
		}
		ours = append(ours, e)
	}
	theirs = parseDiff(t, stock(t, s, args...))
	if a, b := mergeDiff(ours), mergeDiff(theirs); !slices.Equal(a, b) {
		t.Errorf("%v:\nours   %+v\ntheirs %+v", args, a, b)
	}
}

func parseDiff(t *testing.T, raw []byte) (out []rbd.DiffExtent) {
	t.Helper()
	var list []struct {
		Offset, Length uint64
		Exists         string
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	for _, e := range list {
		out = append(out, rbd.DiffExtent{Extent: rbd.Extent{Off: e.Offset, Len: e.Length},
			Exists: e.Exists == "true"})
	}
	return out
}

// mergeDiff sorts extents and joins those that touch.
func mergeDiff(list []rbd.DiffExtent) (out []rbd.DiffExtent) {
	slices.SortFunc(list, func(a, b rbd.DiffExtent) int { return cmp.Compare(a.Off, b.Off) })
	for _, e := range list {
		if n := len(out) - 1; n >= 0 && out[n].Exists == e.Exists &&
			out[n].Off+out[n].Len == e.Off {
			out[n].Len += e.Len
			continue
		}
		out = append(out, e)
	}
	return out
}

// TestSnapshotWithoutMap: of a snapshot that a killed client left without an object map nothing is
// lost when it, and the one before, are removed: what was changed before it differs still.
func TestSnapshotWithoutMap(t *testing.T) {
	s := store(t, connect(t))
	ctx := within(t, time.Minute)
	o := layouts["default"]
	want(t, "create", s.Create(ctx, "i", o), nil)
	w := newTester(t, s, "i", make([]byte, o.Size), 12)
	w.snap("first")
	w.churn(8, false)
	w.snap("second")
	w.snap("mapless")
	w.snap("last")
	list, err := w.i.Snapshots(ctx)
	want(t, "snapshots", err, nil)
	for _, snap := range list {
		if snap.Name == "mapless" {
			oid := fmt.Sprintf("rbd_object_map.%s.%016x", w.i.ID(), uint64(snap.ID))
			want(t, "remove its map", s.IO().Remove(ctx, oid), nil)
		}
	}
	changed := func() (all []rbd.DiffExtent) {
		at, err := s.OpenSnapshot(ctx, "i", "last")
		want(t, "open", err, nil)
		for d, err := range at.DiffIterate(ctx, rbd.DiffOptions{From: "first", Whole: true}) {
			want(t, "diff", err, nil)
			all = append(all, d)
		}
		return all
	}
	before := changed()
	for _, name := range []string{"second", "mapless"} {
		want(t, "remove", w.i.RemoveSnapshot(ctx, name), nil)
		delete(w.snaps, name)
	}
	if after := changed(); len(before) == 0 || !slices.Equal(before, after) {
		t.Errorf("%d extents differed before, %d do now", len(before), len(after))
	}
	w.checkStock()
	want(t, "close", w.i.Close(ctx), nil)
}

// TestSnapshotGivenUp: of a snapshot whose maker did not wait for its end there may be a record or
// none, but what has one keeps its data.
func TestSnapshotGivenUp(t *testing.T) {
	s := store(t, connect(t))
	ctx := within(t, 2*time.Minute)
	want(t, "create", s.Create(ctx, "i", rbd.CreateOptions{Size: 1 << 20}), nil)
	i := open(t, s, "i")
	content := func(n int) []byte { return bytes.Repeat([]byte{byte(n + 1)}, 4096) }
	var took time.Duration
	for n := range 80 {
		_, err := i.WriteAt(content(n), 0)
		want(t, "write", err, nil)
		limited, cancel := ctx, context.CancelFunc(func() {})
		if n > 0 {
			limited, cancel = context.WithTimeout(ctx, took*time.Duration(n)/80)
		}
		begin := time.Now()
		err = i.CreateQuietSnapshot(limited, fmt.Sprint(n), rbd.QuiesceSkip)
		took = max(took, time.Since(begin))
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("snapshot %d: %v", n, err)
		}
	}
	_, err := i.WriteAt(content(80), 0)
	want(t, "write", err, nil)
	list, err := i.Snapshots(ctx)
	want(t, "list", err, nil)
	t.Logf("%d of 80 snapshots were made", len(list))
	for range 2 { // the second time after what may go has had time to
		for _, snap := range list {
			n, err := strconv.Atoi(snap.Name)
			want(t, "a snapshot's name", err, nil)
			at, err := s.OpenSnapshot(ctx, "i", snap.Name)
			want(t, "open", err, nil)
			got := make([]byte, 4096)
			_, err = at.ReadAt(got, 0)
			want(t, "read", err, nil)
			if !bytes.Equal(got, content(n)) {
				t.Errorf("snapshot %d has %d, want %d", n, got[0], byte(n+1))
			}
		}
		trimmed(t, s)
	}
}

// trimmed waits until a snapshot that is removed now is trimmed, as those that were removed before
// it are then.
func trimmed(t *testing.T, s *rbd.Store) {
	t.Helper()
	ctx := within(t, time.Minute)
	want(t, "write", s.IO().WriteFull(ctx, "mark", []byte("old")), nil)
	id, err := s.IO().CreateSnapID(ctx)
	want(t, "number", err, nil)
	x := s.IO().WithSnapContext(id, []ceph.SnapID{id})
	want(t, "write", x.WriteFull(ctx, "mark", []byte("new")), nil)
	want(t, "remove", s.IO().DeleteSnapID(ctx, id), nil)
	for {
		set, err := s.IO().ListSnaps(ctx, "mark")
		want(t, "look", err, nil)
		if !slices.ContainsFunc(set.Clones, func(c rados.Clone) bool { return c.ID == id }) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
