package rbd_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"glue/ceph"
	"glue/client/clienttest"
	"glue/client/rados"
	"glue/client/rbd"
	"glue/client/rbd/backup"
)

var (
	conf    = clienttest.Conf
	within  = clienttest.Within
	connect = clienttest.Connect
	want    = clienttest.Want
)

// store makes a pool for one test.
func store(t *testing.T, c *rados.Cluster) *rbd.Store {
	t.Helper()
	return storeOf(t, c, fmt.Sprintf("test-rbd-%d", time.Now().UnixNano()))
}

// storeOf makes a pool of a name.
func storeOf(t testing.TB, c *rados.Cluster, name string) *rbd.Store {
	t.Helper()
	return rbd.NewStore(clienttest.Pool(t, c, name))
}

func open(t *testing.T, s *rbd.Store, name string) *rbd.Image {
	t.Helper()
	i, err := s.Open(within(t, time.Minute), name, false)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// stock runs the stock rbd tool on the images of a pool.
func stock(t *testing.T, s *rbd.Store, args ...string) []byte {
	t.Helper()
	return stockTool(t, append([]string{"-p", s.IO().PoolName()}, args...)...)
}

// stockTool runs it.
func stockTool(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := tryStock(t, args...)
	if err != nil {
		t.Fatalf("rbd %v: %v\n%s", args, err, out)
	}
	return out
}

func tryStock(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	tool, err := exec.LookPath("rbd")
	if err != nil {
		t.Skip("the stock rbd tool is not installed")
	}
	args = append([]string{"-c", conf(t)}, args...)
	return exec.CommandContext(within(t, time.Minute), tool, args...).CombinedOutput()
}

// wrongMap is the stock check's word for an object of which the map says what is not so, anyMap for
// any of which it says something else than the check. The difference errs on the safe side: who
// zeroes what is zero has announced a change.
var (
	wrongMap = regexp.MustCompile(`marked as ([023]|1, but should be [02])`)
	anyMap   = regexp.MustCompile(`error`)
)

func checkMap(t *testing.T, s *rbd.Store, spec string) {
	t.Helper()
	checkMapFor(t, s, spec, wrongMap)
}

// checkMapFor has the stock tool check an object map. It ends well whatever it finds.
func checkMapFor(t *testing.T, s *rbd.Store, spec string, wrong *regexp.Regexp) {
	t.Helper()
	out := stock(t, s, "object-map", "check", "--no-progress", spec)
	if wrong.Match(out) {
		t.Errorf("the object map of %s is not right:\n%s", spec, out)
	}
}

// A model is what an image should hold.
func verify(t *testing.T, i *rbd.Image, model []byte) {
	t.Helper()
	got := make([]byte, len(model))
	n, err := i.ReadAt(got, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if n != len(model) || !bytes.Equal(got, model) {
		for k := range got {
			if got[k] != model[k] {
				t.Fatalf("read %d of %d bytes; they differ from byte %d on", n, len(model), k)
			}
		}
		t.Fatalf("read %d of %d bytes", n, len(model))
	}
}

// Random writes, discards and resizes leave what a slice in memory says, on every layout.
func TestImageAgainstAModel(t *testing.T) {
	c := connect(t)
	s := store(t, c)
	ctx := within(t, 3*time.Minute)
	for name, o := range map[string]rbd.CreateOptions{
		"default": {Order: 16},
		"plain":   {Order: 16, Features: rbd.Layering},
		"striped": {Order: 16, StripeUnit: 8192, StripeCount: 3},
	} {
		t.Run(name, func(t *testing.T) {
			o.Size = 1<<20 + 4096
			if err := s.Create(ctx, name, o); err != nil {
				t.Fatal(err)
			}
			i := open(t, s, name)
			model := make([]byte, o.Size)
			r := rand.New(rand.NewPCG(5, 6))
			for step := range 120 {
				off := r.IntN(len(model))
				n := min(1+r.IntN(200_000), len(model)-off)
				switch k := r.IntN(10); {
				case k < 2:
					rareChange(t, ctx, i, r, model, off, n)
				case k < 6:
					p := make([]byte, n)
					for b := range p {
						p[b] = byte(r.Uint32())
					}
					_, err := i.WriteAt(p, int64(off))
					want(t, "write", err, nil)
					copy(model[off:], p)
				case k < 9:
					want(t, "discard", i.Discard(ctx, uint64(off), uint64(n)), nil)
					clear(model[off : off+n])
				case step%3 == 0:
					size := 1 + r.IntN(2<<20)
					want(t, "resize", i.Resize(ctx, uint64(size), true, nil), nil)
					next := make([]byte, size)
					copy(next, model)
					model = next
				}
				if t.Failed() {
					t.Fatalf("at step %d", step)
				}
			}
			verify(t, i, model)
			_, err := i.WriteAt([]byte("xx"), int64(len(model))-1)
			want(t, "write beyond the end", err, ceph.EINVAL)
			want(t, "close", i.Close(ctx), nil)
			file := filepath.Join(t.TempDir(), "out")
			stock(t, s, "export", "--no-progress", name, file)
			if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, model) {
				t.Errorf("the stock tool exports something else: %d bytes, %v", len(got), err)
			}
			if o.Features == 0 {
				checkMap(t, s, name)
			}
			want(t, "remove", s.Remove(ctx, name, nil), nil)
		})
	}
}

func TestImportExportCopy(t *testing.T) {
	c := connect(t)
	s := store(t, c)
	ctx := within(t, 2*time.Minute)
	data := make([]byte, 9<<20)
	r := rand.New(rand.NewPCG(7, 8))
	for k := 5 << 20; k < 6<<20; k++ {
		data[k] = byte(r.Uint32())
	}
	want(t, "create", s.Create(ctx, "a", rbd.CreateOptions{Size: uint64(len(data))}), nil)
	want(t, "create again", s.Create(ctx, "a", rbd.CreateOptions{Size: 1}), ceph.EEXIST)
	i := open(t, s, "a")
	n, err := backup.Import(ctx, i, bytes.NewReader(data), nil)
	if err != nil || n != uint64(len(data)) {
		t.Fatalf("import %d, %v", n, err)
	}
	var out bytes.Buffer
	want(t, "export", backup.Export(ctx, i, &out, nil), nil)
	if !bytes.Equal(out.Bytes(), data) {
		t.Error("what was exported is not what was imported")
	}
	size, used, err := i.Usage(ctx)
	if err != nil || size != uint64(len(data)) || used != 4<<20 {
		t.Errorf("usage %d of %d, %v", used, size, err)
	}
	want(t, "metadata", i.SetMetadata(ctx, "k", []byte("v")), nil)
	want(t, "copy", i.Copy(ctx, s, "b", rbd.CreateOptions{}, nil), nil)
	want(t, "close", i.Close(ctx), nil)
	b := open(t, s, "b")
	verify(t, b, data)
	if m, err := b.Metadata(ctx); err != nil || string(m["k"]) != "v" {
		t.Errorf("metadata of the copy %q, %v", m, err)
	}
	want(t, "remove what is open", s.Remove(ctx, "b", nil), ceph.EBUSY)
	want(t, "close", b.Close(ctx), nil)
	want(t, "rename", s.Rename(ctx, "b", "c"), nil)
	want(t, "rename what is gone", s.Rename(ctx, "b", "d"), ceph.ENOENT)
	list, err := s.List(ctx)
	if err != nil || len(list) != 2 || list[0].Name != "a" || list[1].Name != "c" {
		t.Errorf("images %+v, %v", list, err)
	}
	want(t, "remove", s.Remove(ctx, "c", nil), nil)
	_, err = s.Open(ctx, "c", true)
	want(t, "open what is gone", err, ceph.ENOENT)
}

// Two of our clients take turns at one image, and each sees what the other wrote.
func TestLockGoesBackAndForth(t *testing.T) {
	c1, c2 := connect(t), connect(t)
	s1 := store(t, c1)
	ctx := within(t, 2*time.Minute)
	want(t, "create", s1.Create(ctx, "i", rbd.CreateOptions{Size: 8 << 20}), nil)
	x2, err := c2.OpenPool(ctx, s1.IO().PoolName())
	if err != nil {
		t.Fatal(err)
	}
	a, b := open(t, s1, "i"), open(t, rbd.NewStore(x2), "i")
	model := make([]byte, 8<<20)
	for turn := range 4 {
		for k, i := range []*rbd.Image{a, b} {
			off := (turn*2 + k) << 20
			p := bytes.Repeat([]byte{byte(off>>20 + 1)}, 1<<20)
			if _, err := i.Write(ctx, p, int64(off)); err != nil {
				t.Fatal(err)
			}
			copy(model[off:], p)
			verify(t, a, model)
			verify(t, b, model)
		}
	}
	want(t, "resize", b.Resize(ctx, 16<<20, false, nil), nil)
	if _, err := a.Write(ctx, []byte("beyond"), 12<<20); err != nil {
		t.Errorf("write to what the other client added: %v", err)
	}
	want(t, "close", a.Close(ctx), nil)
	want(t, "close", b.Close(ctx), nil)
	checkMap(t, s1, "i")
}

// A client that went away without a word does not keep the image locked.
func TestLockOfADeadClient(t *testing.T) {
	c1, c2 := connect(t), connect(t)
	s1 := store(t, c1)
	ctx := within(t, 2*time.Minute)
	want(t, "create", s1.Create(ctx, "i", rbd.CreateOptions{Size: 8 << 20}), nil)
	x2, err := c2.OpenPool(ctx, s1.IO().PoolName())
	if err != nil {
		t.Fatal(err)
	}
	dead := open(t, rbd.NewStore(x2), "i")
	if _, err := dead.Write(ctx, []byte("last words"), 0); err != nil {
		t.Fatal(err)
	}
	c2.Close()
	i := open(t, s1, "i")
	begun := time.Now()
	if _, err := i.Write(ctx, []byte("new"), 100); err != nil {
		t.Fatal(err)
	}
	t.Logf("the lock was taken over after %v", time.Since(begun))
	want(t, "close", i.Close(ctx), nil)
}

// The stock client and ours write to one image at the same time and hand the lock to each other.
func TestLockSharedWithTheStockClient(t *testing.T) {
	c := connect(t)
	s := store(t, c)
	ctx := within(t, 2*time.Minute)
	want(t, "create", s.Create(ctx, "i", rbd.CreateOptions{Size: 64 << 20}), nil)
	i := open(t, s, "i")
	mark := bytes.Repeat([]byte("glue"), 1024)
	if _, err := i.Write(ctx, mark, 61<<20); err != nil {
		t.Fatal(err)
	}
	// The stock bench has to get the lock from us, while we go on to write.
	done := make(chan struct{})
	go func() {
		defer close(done)
		stock(t, s, "bench", "--io-type", "write", "--io-size", "64K", "--io-total", "8M", "i")
	}()
	for k := 0; ; k++ {
		if _, err := i.Write(ctx, mark, int64(32<<20+k%1000*4096)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-done:
		case <-time.After(200 * time.Millisecond):
			continue
		}
		break
	}
	got := make([]byte, len(mark))
	if _, err := i.Read(ctx, got, 61<<20); err != nil || !bytes.Equal(got, mark) {
		t.Errorf("our mark is gone: %v", err)
	}
	stock(t, s, "resize", "--no-progress", "--size", "96M", "i")
	if _, err := i.Write(ctx, mark, 90<<20); err != nil {
		t.Errorf("write to what the stock tool added: %v", err)
	}
	want(t, "close", i.Close(ctx), nil)
	checkMap(t, s, "i")
	stock(t, s, "rm", "--no-progress", "i")
}

func TestFeatureSwitches(t *testing.T) {
	c := connect(t)
	s := store(t, c)
	ctx := within(t, time.Minute)
	want(t, "create", s.Create(ctx, "i",
		rbd.CreateOptions{Size: 8 << 20, Features: rbd.Layering}), nil)
	i := open(t, s, "i")
	if _, err := i.Write(ctx, []byte("x"), 5<<20); err != nil {
		t.Fatal(err)
	}
	want(t, "object-map alone", i.EnableFeatures(ctx, rbd.ObjectMap, nil), ceph.EINVAL)
	want(t, "enable", i.EnableFeatures(ctx, rbd.ExclusiveLock, nil), nil)
	want(t, "enable", i.EnableFeatures(ctx, rbd.ObjectMap|rbd.FastDiff, nil), nil)
	if info := i.Info(); info.Flags != 0 ||
		info.Features != rbd.Layering|rbd.ExclusiveLock|rbd.ObjectMap|rbd.FastDiff {
		t.Errorf("features %v, flags %d", info.Features, info.Flags)
	}
	_, used, err := i.Usage(ctx)
	if err != nil || used != 4<<20 {
		t.Errorf("used %d, %v", used, err)
	}
	want(t, "close", i.Close(ctx), nil)
	checkMap(t, s, "i")
	i = open(t, s, "i")
	want(t, "disable", i.DisableFeatures(ctx, rbd.ExclusiveLock), ceph.EINVAL)
	want(t, "disable", i.DisableFeatures(ctx, rbd.ObjectMap), nil)
	want(t, "disable", i.DisableFeatures(ctx, rbd.ExclusiveLock), nil)
	if _, err := i.Write(ctx, []byte("y"), 0); err != nil {
		t.Error(err)
	}
	want(t, "close", i.Close(ctx), nil)
	want(t, "remove", s.Remove(ctx, "i", nil), nil)
}
