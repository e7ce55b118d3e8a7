package rbd_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"glue/ceph"
	"glue/client/rados"
	"glue/client/rbd"
)

// Clients that are killed: the test runs itself again as one that does an operation over and over,
// kills it at any moment and looks at what is left, with our client and the stock one. The next
// client gets the lock when the OSD has given the dead one's watch up: half a minute by default.
// Nothing is done to daemons here: like all tests of this package these run on the cluster of
// GLUE_TEST_CONF, of whichever kind it is.

var killRounds = flag.Int("rounds", 1, "how often a client is killed in each test")

// TestMain is the client if the environment says so.
func TestMain(m *testing.M) {
	if job := os.Getenv("GLUE_TEST_JOB"); job != "" {
		fmt.Println("failed:", runJob(context.Background(), strings.Fields(job)))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// jobs are what a client does that is to be killed. They end by failing only.
var jobs = map[string]func(ctx context.Context, s *rbd.Store, i *rbd.Image, round int) error{
	"cache":   jobCache,
	"journal": jobJournal,
	"snap": func(ctx context.Context, _ *rbd.Store, i *rbd.Image, n int) error {
		return i.CreateSnapshot(ctx, fmt.Sprint("s", os.Getpid(), ".", n))
	},
	"clone": func(ctx context.Context, s *rbd.Store, i *rbd.Image, n int) error {
		return s.Clone(ctx, i, "base", fmt.Sprint("c", os.Getpid(), ".", n),
			rbd.CreateOptions{CloneFormat: 1 + n%2})
	},
	"deepcopy": func(ctx context.Context, s *rbd.Store, i *rbd.Image, n int) error {
		return i.DeepCopy(ctx, s, fmt.Sprint("c", os.Getpid(), ".", n), rbd.CreateOptions{},
			n%2 == 1, nil)
	},
	"flatten": func(ctx context.Context, _ *rbd.Store, i *rbd.Image, n int) error {
		if n > 0 {
			select {}
		}
		return i.Flatten(ctx, nil)
	},
	"prepare": func(ctx context.Context, s *rbd.Store, i *rbd.Image, _ int) error {
		if err := i.Close(ctx); err != nil {
			return err
		}
		steps := &stepContext{Context: ctx}
		if _, err := fmt.Sscanf(i.Name(), "i%d", &steps.left); err != nil {
			return err
		}
		err := s.MigrationPrepare(steps, i.Name(), s, "to-"+i.Name(), rbd.CreateOptions{}, false)
		return fmt.Errorf("not killed, %d steps are left: %w", steps.left, err)
	},
	"resize": func(ctx context.Context, _ *rbd.Store, i *rbd.Image, n int) error {
		return i.Resize(ctx, uint64(resizeTo[n%2]), true, nil)
	},
}

var resizeTo = []int{5<<20 + 512, 32 << 20}

// runJob is the client: the kind of job, the pool and the image.
func runJob(ctx context.Context, args []string) error {
	c, err := rados.Connect(ctx, rados.Options{ConfFile: os.Getenv("GLUE_TEST_CONF")})
	if err != nil {
		return err
	}
	x, err := c.OpenPool(ctx, args[1])
	if err != nil {
		return err
	}
	s := rbd.NewStore(x)
	i, err := s.Open(ctx, args[2], false)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		fmt.Println("begin", n)
		if err := jobs[args[0]](ctx, s, i, n); err != nil {
			return err
		}
		fmt.Println("end", n)
	}
}

// killed runs a job and kills it some time after it has begun for the nth time. It returns how many
// rounds were done.
func killed(t *testing.T, s *rbd.Store, job, image string, n int, after time.Duration) (done int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "GLUE_TEST_JOB="+
		fmt.Sprintf("%s %s %s", job, s.IO().PoolName(), image))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var k int
		line := lines.Text()
		if strings.HasPrefix(line, "failed:") {
			t.Errorf("%s: %s", job, line)
		}
		if _, err := fmt.Sscanf(line, "end %d", &k); err == nil {
			done = k + 1
		}
		if line == fmt.Sprint("begin ", n) {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
	}
	_ = cmd.Wait()
	return done
}

// removeDead removes an image that a killed client may have open still: until the OSD gives the
// watch up, it can't be.
func removeDead(t *testing.T, s *rbd.Store, name string) {
	t.Helper()
	ctx := within(t, time.Minute)
	err := s.Remove(ctx, name, nil)
	for errors.Is(err, ceph.EBUSY) && ctx.Err() == nil {
		time.Sleep(time.Second)
		err = s.Remove(ctx, name, nil)
	}
	want(t, "remove "+name, err, nil)
}

// filled makes an image whose every block has data of its own, and gives what it holds.
func filled(t *testing.T, s *rbd.Store, name string, size int) []byte {
	t.Helper()
	ctx := within(t, time.Minute)
	want(t, "create", s.Create(ctx, name, rbd.CreateOptions{Size: uint64(size), Order: 20}), nil)
	i, data, r := open(t, s, name), make([]byte, size), rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(data)
	if _, err := i.Write(ctx, data, 0); err != nil {
		t.Fatal(err)
	}
	want(t, "close", i.Close(ctx), nil)
	return data
}

// sameToStock lets the stock client read an image, or a snapshot, and check its object map.
func sameToStock(t *testing.T, s *rbd.Store, spec string, data []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "out")
	stock(t, s, "export", "--no-progress", spec, file)
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the stock client reads something else of %s: %v", spec, err)
	}
	checkMap(t, s, spec)
}

func anyMoment() time.Duration { return time.Duration(rand.IntN(60_000)) * time.Microsecond }

// TestKilledSnapshot: a snapshot is there or not. The image and every snapshot have their data, and
// the next client makes more.
func TestKilledSnapshot(t *testing.T) {
	t.Parallel()
	s := store(t, connect(t))
	data := filled(t, s, "i", 8<<20)
	ctx := within(t, 5*time.Minute)
	for range *killRounds {
		killed(t, s, "snap", "i", 1+rand.IntN(3), anyMoment())
		i := open(t, s, "i")
		want(t, "snapshot", i.CreateSnapshot(ctx, fmt.Sprint(time.Now().UnixNano())), nil)
		list, err := i.Snapshots(ctx)
		want(t, "snapshots", err, nil)
		verify(t, i, data)
		want(t, "close", i.Close(ctx), nil)
		sameToStock(t, s, "i", data)
		for _, snap := range list {
			sameToStock(t, s, "i@"+snap.Name, data)
		}
		i = open(t, s, "i")
		for _, snap := range list {
			want(t, "remove", i.RemoveSnapshot(ctx, snap.Name), nil)
		}
		want(t, "close", i.Close(ctx), nil)
	}
}

// TestKilledFlatten: a clone whose flatten was killed has its data, and the next flatten ends it.
func TestKilledFlatten(t *testing.T) {
	t.Parallel()
	s := store(t, connect(t))
	data := filled(t, s, "i", 16<<20)
	ctx := within(t, 5*time.Minute)
	i := open(t, s, "i")
	want(t, "snapshot", i.CreateSnapshot(ctx, "base"), nil)
	for n := range *killRounds {
		name := fmt.Sprint("c", n)
		want(t, "clone", s.Clone(ctx, i, "base", name, rbd.CreateOptions{CloneFormat: 2}), nil)
		killed(t, s, "flatten", name, 0, anyMoment())
		c := open(t, s, name)
		verify(t, c, data)
		want(t, "flatten", c.Flatten(ctx, nil), nil)
		verify(t, c, data)
		if p, err := c.Parent(ctx); err != nil || p != nil {
			t.Errorf("parent %+v, %v", p, err)
		}
		want(t, "close", c.Close(ctx), nil)
		sameToStock(t, s, name, data)
	}
	want(t, "remove", i.RemoveSnapshot(ctx, "base"), nil) // nobody needs it any more
	want(t, "close", i.Close(ctx), nil)
}

// TestKilledClone: what is left of a clone that was killed reads as the parent or can be removed,
// and does not keep the parent's snapshot.
func TestKilledClone(t *testing.T) {
	t.Parallel()
	s := store(t, connect(t))
	data := filled(t, s, "i", 4<<20)
	ctx := within(t, 5*time.Minute)
	i := open(t, s, "i")
	want(t, "snapshot", i.CreateSnapshot(ctx, "base"), nil)
	want(t, "protect", i.ProtectSnapshot(ctx, "base"), nil)
	for range *killRounds {
		done := killed(t, s, "clone", "i", 1+rand.IntN(3), anyMoment())
		list, err := s.List(ctx)
		want(t, "list", err, nil)
		if len(list) < 1+done {
			t.Errorf("%d clones were made, the directory has %d images", done, len(list))
		}
		for _, e := range list {
			if e.Name == "i" {
				continue
			}
			c, err := s.Open(ctx, e.Name, false)
			switch {
			case errors.Is(err, ceph.ENOENT): // no header yet
			case err != nil:
				t.Errorf("open %s: %v", e.Name, err)
			default:
				if p, _ := c.Parent(ctx); p != nil {
					verify(t, c, data)
				} else {
					verify(t, c, make([]byte, len(data)))
				}
				want(t, "close", c.Close(ctx), nil)
			}
			removeDead(t, s, e.Name)
		}
	}
	want(t, "unprotect", i.UnprotectSnapshot(ctx, "base"), nil)
	want(t, "remove", i.RemoveSnapshot(ctx, "base"), nil)
	want(t, "close", i.Close(ctx), nil)
	sameToStock(t, s, "i", data)
}

// TestKilledDeepCopy: what is left of a deep copy that was killed has whole snapshots only, the
// first ones of the image, and can be removed; it does not keep the parent's snapshot.
func TestKilledDeepCopy(t *testing.T) {
	t.Parallel()
	s := store(t, connect(t))
	ctx := within(t, 5*time.Minute)
	w := aged(t, s, "i", layouts["default"], true)
	want(t, "close", w.i.Close(ctx), nil)
	for range *killRounds {
		done := killed(t, s, "deepcopy", "i", 1+rand.IntN(2), 5*anyMoment())
		list, err := s.List(ctx)
		want(t, "list", err, nil)
		if len(list) < 2+done {
			t.Errorf("%d copies were made, the directory has %d images", done, len(list))
		}
		for _, e := range list {
			if strings.HasPrefix(e.Name, "i") {
				continue
			}
			c, err := s.Open(ctx, e.Name, false)
			switch {
			case errors.Is(err, ceph.ENOENT): // no header yet
			case err != nil:
				t.Errorf("open %s: %v", e.Name, err)
			default:
				firstSnapshots(t, s, w, c, e.Name)
			}
			removeDead(t, s, e.Name)
		}
	}
	w.i = open(t, s, "i")
	w.check()
	parent := open(t, s, "i-parent")
	children, err := parent.Children(ctx, "s2")
	if err != nil || len(children) != 1 || children[0].Image != "i" {
		t.Errorf("children %+v, %v", children, err)
	}
	want(t, "close", errors.Join(parent.Close(ctx), w.i.Close(ctx)), nil)
}

// firstSnapshots checks the snapshots of an incomplete copy and removes them.
func firstSnapshots(t *testing.T, s *rbd.Store, w *tester, c *rbd.Image, name string) {
	t.Helper()
	ctx := within(t, time.Minute)
	list, err := c.Snapshots(ctx)
	want(t, "snapshots", err, nil)
	for k, snap := range list {
		at, err := s.OpenSnapshot(ctx, name, snap.Name)
		if want(t, "open", err, nil); snap.Name != fmt.Sprint("s", k) {
			t.Errorf("snapshot %d is %s", k, snap.Name)
		}
		verify(t, at, w.snaps[snap.Name])
		if snap.Protected {
			want(t, "unprotect", c.UnprotectSnapshot(ctx, snap.Name), nil)
		}
		want(t, "remove", c.RemoveSnapshot(ctx, snap.Name), nil)
	}
	want(t, "close", c.Close(ctx), nil)
}

// TestKilledResize: an image whose resize was killed has one of the sizes, its data up to where it
// was ever cut, and what comes anew reads as zero.
func TestKilledResize(t *testing.T) {
	t.Parallel()
	s := store(t, connect(t))
	ctx := within(t, 5*time.Minute)
	for n := range *killRounds {
		name := fmt.Sprint("i", n)
		data := filled(t, s, name, 32<<20)
		killed(t, s, "resize", name, rand.IntN(2), anyMoment())
		i := open(t, s, name)
		if size := int(i.Size()); size != resizeTo[0] && size != resizeTo[1] {
			t.Errorf("size %d", size)
		}
		want(t, "resize", i.Resize(ctx, uint64(resizeTo[0]), true, nil), nil)
		verify(t, i, data[:resizeTo[0]])
		want(t, "resize", i.Resize(ctx, uint64(resizeTo[1]), false, nil), nil)
		clear(data[resizeTo[0]:])
		verify(t, i, data)
		want(t, "close", i.Close(ctx), nil)
		sameToStock(t, s, name, data)
	}
}

const (
	cacheBlock  = 4096
	cacheBlocks = 256
	cacheRound  = 300 // writes between two flushes
)

// cacheWrite is the nth write: where, and what.
func cacheWrite(n int) (block int, p []byte) {
	r := rand.New(rand.NewPCG(uint64(n), 7))
	p = binary.LittleEndian.AppendUint64(nil, uint64(n))
	block = r.IntN(cacheBlocks)
	for len(p) < cacheBlock {
		p = binary.LittleEndian.AppendUint64(p, r.Uint64())
	}
	return block, p
}

// jobCache writes into a cache and flushes.
func jobCache(ctx context.Context, _ *rbd.Store, i *rbd.Image, round int) error {
	if round == 0 {
		if err := i.StartCache(cached()); err != nil {
			return err
		}
	}
	for n := range cacheRound {
		block, p := cacheWrite(round*cacheRound + n)
		if _, err := i.Write(ctx, p, int64(block)*cacheBlock); err != nil {
			return err
		}
	}
	return i.Flush(ctx)
}

// TestKilledCache: what was flushed before a client was killed is there; a block that was written
// since has that or a later write as a whole.
func TestKilledCache(t *testing.T) {
	t.Parallel()
	s := store(t, connect(t))
	ctx := within(t, 5*time.Minute)
	for n := range *killRounds {
		name := fmt.Sprint("i", n)
		o := rbd.CreateOptions{Size: cacheBlocks * cacheBlock, Order: 16}
		want(t, "create", s.Create(ctx, name, o), nil)
		done := killed(t, s, "cache", name, 2+rand.IntN(5), anyMoment())
		latest := make([]int, cacheBlocks)
		for k := range done * cacheRound {
			block, _ := cacheWrite(k)
			latest[block] = k
		}
		i := open(t, s, name)
		if _, err := i.Write(ctx, []byte("x"), cacheBlocks*cacheBlock-1); err != nil {
			t.Fatal(err) // takes the dead client's lock: nothing of it comes later
		}
		p := make([]byte, cacheBlock)
		for block := range cacheBlocks - 1 {
			if _, err := i.Read(ctx, p, int64(block)*cacheBlock); err != nil {
				t.Fatal(err)
			}
			got := int(binary.LittleEndian.Uint64(p))
			at, content := cacheWrite(got)
			right := got >= latest[block] && at == block && bytes.Equal(p, content)
			if latest[block] > 0 && !right {
				t.Errorf("block %d has write %d, %d was flushed", block, got, latest[block])
			}
		}
		want(t, "close", i.Close(ctx), nil)
		t.Logf("%d writes were flushed before the kill", done*cacheRound)
		checkMap(t, s, name)
	}
}
