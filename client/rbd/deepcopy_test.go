package rbd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"glue/ceph"
	"glue/client/rbd"
	"glue/client/rbd/backup"
	"glue/client/rbd/difffile"
)

// aged makes an image with a past: snapshots, one of them protected, the size changed, and rolled
// back once. With a parent it is a clone of an image that is made first.
func aged(t *testing.T, s *rbd.Store, name string, o rbd.CreateOptions, clone bool) *tester {
	ctx := within(t, 3*time.Minute)
	model := make([]byte, o.Size)
	if clone {
		p := aged(t, s, name+"-parent", o, false)
		want(t, "protect", p.i.ProtectSnapshot(ctx, "s2"), nil)
		o.CloneFormat = 1 + len(name)%2
		want(t, "clone", s.Clone(ctx, p.i, "s2", name, o), nil)
		want(t, "close", p.i.Close(ctx), nil)
		model = p.snaps["s2"]
	} else {
		want(t, "create", s.Create(ctx, name, o), nil)
	}
	w := newTester(t, s, name, model, uint64(len(name)))
	whole := func() { // what the parent has is discarded: an object that is empty
		want(t, "discard", w.i.Discard(ctx, 128<<10, 128<<10), nil)
		clear(w.model[128<<10 : 256<<10])
	}
	for k := range 5 {
		w.snap(fmt.Sprint("s", k))
		switch k {
		case 1:
			whole()
			w.churn(4, false)
		case 2:
			want(t, "roll back", w.i.Rollback(ctx, "s0", nil), nil)
			w.model = bytes.Clone(w.snaps["s0"])
		case 3: // what the parent has beyond is lost
			for _, size := range []int{400<<10 + 512, len(w.model)} {
				want(t, "resize", w.i.Resize(ctx, uint64(size), true, nil), nil)
			}
			clear(w.model[400<<10+512:])
			w.churn(2, false)
		default:
			w.churn(6, true)
		}
	}
	want(t, "protect", w.i.ProtectSnapshot(ctx, "s1"), nil)
	want(t, "metadata", w.i.SetMetadata(ctx, "owner", []byte("me")), nil)
	w.check()
	return w
}

// sameImage checks a copy of an image with all its snapshots, by us and by the stock client, too.
func sameImage(t *testing.T, w *tester, s *rbd.Store, name string, stock bool) {
	t.Helper()
	c := newTester(t, s, name, w.model, 1)
	c.snaps = w.snaps
	c.check()
	list, err := c.i.Snapshots(c.ctx)
	want(t, "snapshots", err, nil)
	for _, n := range list {
		if n.Kind != rbd.SnapUser || w.snaps[n.Name] == nil || n.Protected != (n.Name == "s1") {
			t.Errorf("snapshot %+v", n)
		}
	}
	if len(list) != len(w.snaps) {
		t.Errorf("%d snapshots, want %d", len(list), len(w.snaps))
	}
	meta, err := c.i.Metadata(c.ctx)
	if err != nil || string(meta["owner"]) != "me" {
		t.Errorf("metadata %q, %v", meta, err)
	}
	if stock {
		c.checkStock()
	}
	want(t, "close", c.i.Close(c.ctx), nil)
}

// kinds are the images, as clones or not, of the tests that take long.
var kinds = []struct {
	name  string
	clone bool
	o     rbd.CreateOptions
}{{"default", false, layouts["default"]}, {"default", true, layouts["default"]},
	{"plain", true, layouts["plain"]}, {"striped", true, layouts["striped"]},
	{"shallow", true, rbd.CreateOptions{Order: 16, Size: 1<<20 + 4096,
		Features: rbd.DefaultFeatures &^ rbd.DeepFlatten}}}

// TestDeepCopy: a copy with all snapshots, as a clone or flattened. The stock client's own copy is
// the same of an image that is no clone; of a clone that was rolled back, or cut and grown again,
// it has other data, on a real cluster too.
func TestDeepCopy(t *testing.T) {
	c := connect(t)
	s, other := store(t, c), store(t, c)
	for _, k := range kinds {
		name, clone, o := k.name, k.clone, k.o
		t.Run(fmt.Sprint(name, clone), func(t *testing.T) {
			ctx := within(t, 3*time.Minute)
			w := aged(t, s, fmt.Sprint(name, clone), o, clone)
			w.checkStock()
			src := w.i
			info := src.Info()
			for _, flatten := range []bool{false, true} {
				to := fmt.Sprint(w.name, "-", flatten)
				err := src.DeepCopy(ctx, other, to, rbd.CreateOptions{}, flatten, nil)
				want(t, "deep copy", err, nil)
				err = src.DeepCopy(ctx, other, to, rbd.CreateOptions{}, flatten, nil)
				want(t, "again", err, ceph.EEXIST)
				i := open(t, other, to)
				p, err := i.Parent(ctx)
				if err != nil || (p != nil) != (clone && !flatten) {
					t.Errorf("parent %+v, %v", p, err)
				}
				got := i.Info()
				if got.Order != info.Order || got.StripeCount != info.StripeCount ||
					got.StripeUnit != info.StripeUnit || got.Overlap > info.Overlap {
					t.Errorf("%+v of %+v", got, info)
				}
				want(t, "close", i.Close(ctx), nil)
				sameImage(t, w, other, to, !flatten)
			}
			if !clone {
				theirs := w.name + "-theirs"
				stock(t, s, "deep", "cp", "--no-progress", w.name,
					s.IO().PoolName()+"/"+theirs)
				sameImage(t, w, s, theirs, false)
			}
			at, err := s.OpenSnapshot(ctx, w.name, "s2")
			want(t, "open", err, nil)
			err = at.DeepCopy(ctx, other, w.name+"-s2", rbd.CreateOptions{Order: 17}, false,
				nil)
			want(t, "deep copy of a snapshot", err, nil)
			part := &tester{model: w.snaps["s2"], snaps: map[string][]byte{
				"s0": w.snaps["s0"], "s1": w.snaps["s1"], "s2": w.snaps["s2"]}}
			sameImage(t, part, other, w.name+"-s2", false)
			want(t, "close", src.Close(ctx), nil)
		})
	}
}

// TestDeepCopyUndone: a copy that fails leaves nothing, neither an image nor a child of the parent.
func TestDeepCopyUndone(t *testing.T) {
	s := store(t, connect(t))
	ctx := within(t, 3*time.Minute)
	w := aged(t, s, "i", layouts["default"], true)
	parent := open(t, s, "i-parent")
	short, cancel := context.WithCancel(ctx)
	err := w.i.DeepCopy(short, s, "copy", rbd.CreateOptions{}, false, func(done, total uint64) {
		if done > total/2 {
			cancel()
		}
	})
	want(t, "given up", err, context.Canceled)
	_, err = s.Open(ctx, "copy", true)
	want(t, "open", err, ceph.ENOENT)
	list, err := parent.Children(ctx, "s2")
	if err != nil || len(list) != 1 || list[0].Image != "i" {
		t.Errorf("children %+v, %v", list, err)
	}
	want(t, "close", errors.Join(parent.Close(ctx), w.i.Close(ctx)), nil)
}

// diffFile is the differences between two snapshots, by ours or the stock client.
func diffFile(t *testing.T, s *rbd.Store, name, from, to string, ours, v2 bool) []byte {
	t.Helper()
	if !ours {
		file := filepath.Join(t.TempDir(), "diff")
		args := []string{"export-diff", "--no-progress", name + "@" + to, file}
		if from != "" {
			args = append(args, "--from-snap", from)
		}
		stock(t, s, args...)
		raw, err := os.ReadFile(file)
		want(t, "read", err, nil)
		return raw
	}
	at, err := s.OpenSnapshot(within(t, time.Minute), name, to)
	want(t, "open", err, nil)
	var out bytes.Buffer
	o := backup.DiffOptions{DiffOptions: rbd.DiffOptions{From: from}, Format2: v2}
	want(t, "export", backup.ExportDiff(within(t, time.Minute), at, &out, o, nil), nil)
	return out.Bytes()
}

// TestDiffBetweenAny: the differences between any two snapshots make the one of the other, in one
// step or merged from several; also of clones, that show the parent again after they were rolled
// back, or no longer after they were cut, or where all was discarded.
func TestDiffBetweenAny(t *testing.T) {
	s := store(t, connect(t))
	for _, k := range kinds {
		name, clone, o := k.name, k.clone, k.o
		t.Run(fmt.Sprint(name, clone), func(t *testing.T) {
			ctx := within(t, 5*time.Minute)
			w := aged(t, s, fmt.Sprint(name, clone), o, clone)
			var files []string
			for a := range 5 {
				for b := a + 1; b < 5; b++ {
					target := fmt.Sprintf("%s-%d-%d", w.name, a, b)
					want(t, "create", s.Create(ctx, target, rbd.CreateOptions{Size: 1}), nil)
					i := open(t, s, target)
					from, to := fmt.Sprint("s", a), fmt.Sprint("s", b)
					first := diffFile(t, s, w.name, "", from, true, b%2 == 0)
					second := diffFile(t, s, w.name, from, to, true, b%2 == 0)
					for _, file := range [][]byte{first, second} {
						err := backup.ImportDiff(ctx, i, bytes.NewReader(file), nil)
						want(t, "import", err, nil)
					}
					c := newTester(t, s, target, w.snaps[to], 1)
					c.snaps = map[string][]byte{from: w.snaps[from], to: w.snaps[to]}
					c.check()
					for _, n := range []string{from, to} {
						at, err := i.Snapshot(ctx, n)
						if v2 := b%2 == 0; err != nil || at.Protected != (v2 && n == "s1") {
							t.Errorf("%+v %v", at, err)
						}
					}
					want(t, "close", errors.Join(i.Close(ctx), c.i.Close(ctx)), nil)
					if b == a+1 {
						file := filepath.Join(t.TempDir(), to)
						want(t, "write", os.WriteFile(file, diffFile(t, s, w.name, from, to,
							true, false), 0o600), nil)
						files = append(files, file)
					}
				}
			}
			mergedDiffs(t, s, w, files)
			want(t, "close", w.i.Close(ctx), nil)
		})
	}
}

// mergedDiffs merges the steps from s0 to s4, by ours and the stock client, and lets the other
// apply what comes out.
func mergedDiffs(t *testing.T, s *rbd.Store, w *tester, files []string) {
	t.Helper()
	ctx, dir := within(t, time.Minute), t.TempDir()
	first := filepath.Join(dir, "first")
	want(t, "write", os.WriteFile(first, diffFile(t, s, w.name, "", "s0", true, false), 0o600), nil)
	for _, ours := range []bool{true, false} {
		all := first
		for n, f := range files {
			merged := filepath.Join(dir, fmt.Sprint(ours, n))
			if !ours {
				out, err := exec.Command("rbd", "-c", conf(t), "merge-diff", "--no-progress", all,
					f, merged).CombinedOutput()
				if err != nil {
					t.Fatalf("merge: %v\n%s", err, out)
				}
				all = merged
				continue
			}
			a, err := os.ReadFile(all)
			want(t, "read", err, nil)
			b, err := os.ReadFile(f)
			want(t, "read", err, nil)
			var out bytes.Buffer
			want(t, "merge", difffile.Merge(&out, bytes.NewReader(a), bytes.NewReader(b)), nil)
			want(t, "write", os.WriteFile(merged, out.Bytes(), 0o600), nil)
			all = merged
		}
		target := fmt.Sprint(w.name, "-merged-", ours)
		want(t, "create", s.Create(ctx, target, rbd.CreateOptions{Size: 1}), nil)
		if ours {
			stock(t, s, "import-diff", "--no-progress", all, target)
		} else {
			i := open(t, s, target)
			f, err := os.Open(all)
			want(t, "open", err, nil)
			want(t, "import", errors.Join(backup.ImportDiff(ctx, i, f, nil), i.Close(ctx)), nil)
		}
		c := newTester(t, s, target, w.snaps["s4"], 1)
		c.snaps = map[string][]byte{"s4": w.snaps["s4"]}
		c.check()
		want(t, "close", c.i.Close(ctx), nil)
	}
}

// TestImageFile: an image with its snapshots goes through a file from ours to the stock client and
// the other way round; one that is cut short leaves no image.
func TestImageFile(t *testing.T) {
	s := store(t, connect(t))
	for name, o := range layouts {
		t.Run(name, func(t *testing.T) {
			ctx := within(t, 3*time.Minute)
			w := aged(t, s, name, o, name != "plain")
			var out bytes.Buffer
			want(t, "export", backup.ExportImage(ctx, w.i, &out, nil), nil)
			file := filepath.Join(t.TempDir(), "image")
			want(t, "write", os.WriteFile(file, out.Bytes(), 0o600), nil)
			stock(t, s, "import", "--no-progress", "--export-format", "2", file, name+"-stock")
			sameImage(t, w, s, name+"-stock", false)
			none := rbd.CreateOptions{}
			err := backup.ImportImage(ctx, s, name+"-ours", bytes.NewReader(out.Bytes()), none, nil)
			want(t, "import", err, nil)
			sameImage(t, w, s, name+"-ours", true)
			want(t, "remove", os.Remove(file), nil)
			stock(t, s, "export", "--no-progress", "--export-format", "2", w.name, file)
			theirs, err := os.ReadFile(file)
			want(t, "read", err, nil)
			err = backup.ImportImage(ctx, s, name+"-theirs", bytes.NewReader(theirs), none, nil)
			want(t, "import", err, nil)
			sameImage(t, w, s, name+"-theirs", false)
			for _, n := range []int{0, 20, 60, out.Len() / 2, out.Len() - 1} {
				cut := bytes.NewReader(out.Bytes()[:n])
				err := backup.ImportImage(ctx, s, "cut", cut, none, nil)
				if n > 20 {
					want(t, fmt.Sprint("cut at ", n), err, io.ErrUnexpectedEOF)
				}
				_, err = s.Open(ctx, "cut", true)
				want(t, "open", err, ceph.ENOENT)
			}
			list, err := s.List(ctx)
			want(t, "list", err, nil)
			if slices.ContainsFunc(list, func(e rbd.Entry) bool {
				return strings.HasPrefix(e.Name, "cut")
			}) {
				t.Errorf("left over: %+v", list)
			}
			want(t, "close", w.i.Close(ctx), nil)
		})
	}
}
