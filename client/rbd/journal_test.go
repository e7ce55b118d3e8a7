package rbd_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rbd"
	"glue/client/rbd/journal"
)

// withJournal are the features of an image with a journal.
const withJournal = rbd.DefaultFeatures | rbd.Journaling

// journaled makes an image with a journal whose objects are small, so that there are many.
func journaled(t *testing.T, s *rbd.Store, name string, size uint64) {
	t.Helper()
	ctx := within(t, time.Minute)
	for key, value := range map[string]string{
		"rbd_journal_order": "17", "rbd_journal_splay_width": "3"} {
		want(t, key, s.Config().Set(ctx, key, value), nil)
	}
	want(t, "create", s.Create(ctx, name, rbd.CreateOptions{Size: size, Order: 20,
		Features: withJournal}), nil)
}

// goodJournal has the stock client look at what of an image's journal is not committed.
func goodJournal(t *testing.T, s *rbd.Store, name string) (entries int) {
	t.Helper()
	out := string(stock(t, s, "journal", "inspect", "--image", name))
	errs := -1
	for line := range strings.Lines(out) {
		_, _ = fmt.Sscanf(strings.TrimSpace(line), "%d entries inspected, %d errors", &entries,
			&errs)
	}
	if errs != 0 {
		t.Errorf("the stock client says of the journal: %s", out)
	}
	return entries
}

var exportedEntry = regexp.MustCompile(`"entry":"([^"]*)"`)

// exported has the stock client export what of an image's journal is not committed. What we write
// of it is what was read.
func exported(t *testing.T, s *rbd.Store, name string) (out []journal.Event) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "journal")
	stock(t, s, "journal", "export", "--image", name, "--path", file)
	text, err := os.ReadFile(file)
	want(t, "export", err, nil)
	for _, m := range exportedEntry.FindAllSubmatch(text, -1) {
		b, err := base64.StdEncoding.DecodeString(string(m[1]))
		want(t, "decode", err, nil)
		var e journal.Event
		want(t, "event", denc.Unmarshal(b, &e, ceph.FeaturesAll), nil)
		if again := denc.Marshal(&e, ceph.FeaturesAll); !bytes.Equal(again, b) {
			t.Errorf("event %v: %x, again %x", e.Kind, b, again)
		}
		out = append(out, e)
	}
	return out
}

// wrote says whether an event has data.
func wrote(list []journal.Event, data string) bool {
	return slices.ContainsFunc(list, func(e journal.Event) bool {
		return bytes.Contains(e.Data, []byte(data))
	})
}

// A randomOp is one change of an image and of a model of it.
func randomOp(ctx context.Context, i *rbd.Image, r *rand.Rand, model []byte) error {
	off := r.IntN(len(model) - 1)
	if r.IntN(2) == 0 {
		off &^= 4095
	}
	n := 1 + r.IntN(min(len(model)-off, 1<<(4+r.IntN(15))))
	p := make([]byte, n)
	switch to := model[off : off+n]; r.IntN(10) {
	case 0:
		clear(to)
		return i.Discard(ctx, uint64(off), uint64(n))
	case 1:
		n = min(n, 1<<20-off%(1<<20), 1<<15) // within an object, and within one of the journal
		to = to[:n]
		old := bytes.Clone(to)
		fill(r, p[:n])
		copy(to, p)
		return i.CompareAndWrite(ctx, uint64(off), old, p[:n])
	case 2:
		const width = 16
		if n /= width; n == 0 {
			return nil
		}
		fill(r, p[:width])
		for k := range n {
			copy(to[k*width:], p[:width])
		}
		return i.WriteSame(ctx, uint64(off), uint64(n*width), p[:width])
	default:
		fill(r, p)
		copy(to, p)
		_, err := i.Write(ctx, p, int64(off))
		return err
	}
}

func fill(r *rand.Rand, p []byte) {
	for n := range p {
		p[n] = byte(r.Uint32())
	}
}

// TestJournalWritten: what is written to an image with a journal is in both, and the journal does
// not grow for ever.
func TestJournalWritten(t *testing.T) {
	t.Parallel()
	s := store(t, connect(t))
	ctx := within(t, 3*time.Minute)
	journaled(t, s, "i", 8<<20)
	model, r := make([]byte, 8<<20), rand.New(rand.NewPCG(1, 2))
	for round := range 3 {
		i := open(t, s, "i")
		for n := range 60 {
			want(t, fmt.Sprint("op ", n), randomOp(ctx, i, r, model), nil)
		}
		if n := goodJournal(t, s, "i"); n == 0 {
			t.Error("the stock client finds no entries")
		}
		want(t, "snapshot", i.CreateSnapshot(ctx, fmt.Sprint("s", round)), nil)
		verify(t, i, model)
		want(t, "close", i.Close(ctx), nil)
		sameToStock(t, s, "i", model)
		goodJournal(t, s, "i")
		stock(t, s, "bench", "--io-type", "write", "--io-total", "64K", "--io-size", "4K",
			"i") // the stock client is the writer now
		i = open(t, s, "i")
		_, err := i.Read(ctx, model, 0) // it writes anywhere
		want(t, "read", err, nil)
		want(t, "close", i.Close(ctx), nil)
	}
	var status struct {
		MinimumSet uint64 `json:"minimum_set"`
		ActiveSet  uint64 `json:"active_set"`
	}
	out := stockTool(t, "journal", "status", "--format", "json", "-p", s.IO().PoolName(),
		"--image", "i")
	want(t, "status", json.Unmarshal(out, &status), nil)
	if status.MinimumSet == 0 || status.MinimumSet != status.ActiveSet {
		t.Errorf("the journal has sets %d to %d", status.MinimumSet, status.ActiveSet)
	}
}

// TestJournalWriters: writers at once, who wait for each other only where they write the same.
func TestJournalWriters(t *testing.T) {
	t.Parallel()
	s := store(t, connect(t))
	ctx := within(t, 3*time.Minute)
	const part = 1 << 20
	journaled(t, s, "i", 4*part)
	i := open(t, s, "i")
	model := make([]byte, 4*part)
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			for range 30 {
				p := make([]byte, 1+r.IntN(60_000))
				fill(r, p)
				off := r.IntN(part - len(p))
				copy(model[w*part+off:], p)
				_, err := i.Write(ctx, p, int64(w*part+off))
				want(t, "write", err, nil)
			}
		})
	}
	all.Wait()
	verify(t, i, model)
	want(t, "close", i.Close(ctx), nil)
	goodJournal(t, s, "i")
	sameToStock(t, s, "i", model)
}

// events is what a client that died had in an image's journal and not in the image.
func events() []journal.Event {
	const k = 1 << 10
	ab := bytes.Repeat([]byte("ab"), 32*k)
	return []journal.Event{
		{Kind: journal.Write, Off: 5, Len: 64 * k, Data: ab},
		{Kind: journal.Write, Off: 1<<20 - 10, Len: 20, Data: ab[:20]},
		{Kind: journal.SnapCreate, Op: 1, Name: "one"},
		{Kind: journal.OpFinish, Op: 1},
		{Kind: journal.Discard, Off: 10, Len: 100},
		{Kind: journal.Discard, Off: 100, Len: 12 * k, Granularity: 4 * k},
		{Kind: journal.WriteSame, Off: 2 << 20, Len: 8 * k, Data: []byte("xyzt")},
		{Kind: journal.CompareAndWrite, Off: 2 << 20, Len: 4, Compare: []byte("xyzt"),
			Data: []byte("1234")},
		{Kind: journal.CompareAndWrite, Off: 2<<20 + 4, Len: 4, Compare: []byte("zzzz"),
			Data: []byte("1234")},
		{Kind: journal.Flush},
		{Kind: journal.Resize, Op: 2, Number: 3 << 20},
		{Kind: journal.Write, Off: 3<<20 - 4, Len: 4, Data: []byte("tail")},
		{Kind: journal.OpFinish, Op: 2},
		{Kind: journal.SnapProtect, Op: 3, Name: "one"},
		{Kind: journal.OpFinish, Op: 3},
		{Kind: journal.MetadataSet, Op: 4, Name: "key", Value: "value"},
		{Kind: journal.OpFinish, Op: 4},
		{Kind: journal.SnapLimit, Op: 5, Number: 7},
		{Kind: journal.OpFinish, Op: 5},
		{Kind: journal.Write, Off: 4096, Len: 4, Data: []byte("last")},
		{Kind: journal.SnapCreate, Op: 6, Name: "two"},                    // not ended
		{Kind: journal.MetadataSet, Op: 7, Name: "other", Value: "value"}, // not ended
	}
}

// TestJournalReplay: what a client had in the journal and nowhere else is in the image when the
// next one has written, be it ours or a stock one.
func TestJournalReplay(t *testing.T) {
	t.Parallel()
	s := store(t, connect(t))
	ctx := within(t, 3*time.Minute)
	found := map[string]string{}
	for _, next := range []string{"stock", "ours"} {
		journaled(t, s, next, 4<<20)
		i := open(t, s, next)
		want(t, "fill", i.WriteSame(ctx, 0, 4<<20, []byte("background")[:8]), nil)
		id := i.ID()
		want(t, "close", i.Close(ctx), nil)
		j, err := journal.Open(ctx, s.IO(), id, journal.Tuning{CommitAge: time.Minute})
		want(t, "open the journal", err, nil)
		want(t, "begin", j.Begin(ctx), nil)
		for _, e := range events() {
			_, err := j.Append(ctx, []journal.Event{e})
			want(t, "append", err, nil)
		}
		want(t, "close the journal", j.Close(ctx), nil)
		goodJournal(t, s, next)
		if next == "stock" {
			stock(t, s, "image-meta", "set", next, "done", "1")
		} else {
			i = open(t, s, next)
			want(t, "metadata", i.SetMetadata(ctx, "done", []byte("1")), nil)
			want(t, "close", i.Close(ctx), nil)
		}
		var said bytes.Buffer
		for _, spec := range []string{next, next + "@one", next + "@two"} {
			file := filepath.Join(t.TempDir(), "out")
			stock(t, s, "export", "--no-progress", spec, file)
			b, err := os.ReadFile(file)
			want(t, "read", err, nil)
			fmt.Fprintln(&said, len(b), string(bytes.ReplaceAll(b, []byte("backgrou"), nil)))
			checkMap(t, s, spec)
		}
		said.Write(stock(t, s, "image-meta", "list", next))
		said.Write(stock(t, s, "snap", "ls", next)[:10])
		i = open(t, s, next)
		limit, err := i.SnapshotLimit(ctx)
		snap, err2 := i.Snapshot(ctx, "one")
		fmt.Fprintln(&said, limit, err, snap.Protected, err2)
		want(t, "close", i.Close(ctx), nil)
		found[next] = said.String()
	}
	if found["ours"] != found["stock"] {
		ours, theirs := found["ours"], found["stock"]
		k := 0
		for k < min(len(ours), len(theirs)) && ours[k] == theirs[k] {
			k++
		}
		k = max(0, k-20)
		t.Errorf("ours made %d bytes, the stock client %d; from byte %d on:\n%q\n%q", len(ours),
			len(theirs), k, ours[k:min(len(ours), k+400)], theirs[k:min(len(theirs), k+400)])
	}
	for _, part := range []string{"tail", "last", "1234", "value", "xyzt"} {
		if !strings.Contains(found["ours"], part) {
			t.Errorf("%q is missing", part)
		}
	}
}

// jobJournal writes numbers to an image, each time more of them.
func jobJournal(ctx context.Context, _ *rbd.Store, i *rbd.Image, n int) error {
	p := bytes.Repeat([]byte(fmt.Sprintf("%8d", n)), 1+n%3*700)
	off := int64(n%40) << 16
	if n%5 == 4 {
		if err := i.Discard(ctx, uint64(off), uint64(len(p))); err != nil {
			return err
		}
	}
	_, err := i.Write(ctx, p, off)
	return err
}

// TestKilledJournal: all that a killed client was told is durable is there for the next one, ours
// or a stock one, and the journal is well.
func TestKilledJournal(t *testing.T) {
	t.Parallel()
	s := store(t, connect(t))
	journaled(t, s, "i", 4<<20)
	ctx := within(t, 5*time.Minute)
	for round := range 2 * *killRounds {
		done := killed(t, s, "journal", "i", 30+rand.IntN(100), anyMoment())
		goodJournal(t, s, "i")
		if round%2 == 0 {
			stock(t, s, "image-meta", "set", "i", "round", fmt.Sprint(round))
		}
		i := open(t, s, "i")
		want(t, "metadata", i.SetMetadata(ctx, "k", nil), nil)
		for n := max(0, done-40); n < done; n++ {
			got := make([]byte, 8*(1+n%3*700))
			_, err := i.Read(ctx, got, int64(n%40)<<16)
			want(t, "read", err, nil)
			if n%40 == done%40 {
				continue // it was being overwritten
			}
			if !bytes.Equal(got, bytes.Repeat([]byte(fmt.Sprintf("%8d", n)), 1+n%3*700)) {
				t.Errorf("write %d of %d is not there: %q", n, done, got[:16])
			}
		}
		want(t, "close", i.Close(ctx), nil)
		goodJournal(t, s, "i")
		checkMap(t, s, "i")
	}
}

// writer is a stock client that says which of its writes are durable.
const writer = `
import rados, rbd, sys
with rados.Rados(conffile=sys.argv[1]) as c, c.open_ioctx(sys.argv[2]) as x:
    with rbd.Image(x, sys.argv[3]) as i:
        n = 0
        while True:
            i.write((b"%8d" % n) * 512, (n % 64) << 12)
            print(n, flush=True)
            n += 1
`

// TestStockKilledJournal: what a stock client that was killed was told is durable is there.
func TestStockKilledJournal(t *testing.T) {
	t.Parallel()
	s := store(t, connect(t))
	journaled(t, s, "i", 4<<20)
	ctx := within(t, 3*time.Minute)
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", "-c", writer,
		os.Getenv("GLUE_TEST_CONF"), s.IO().PoolName(), "i")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	want(t, "pipe", err, nil)
	want(t, "start", cmd.Start(), nil)
	var lines []string
	for most, in := 10+rand.IntN(300), bufio.NewScanner(out); in.Scan(); {
		if lines = append(lines, in.Text()); len(lines) == most {
			want(t, "kill", cmd.Process.Kill(), nil) // what it has said since is still read
		}
	}
	_ = cmd.Wait()
	if len(lines) < 10 {
		t.Fatalf("the stock client made only %d writes", len(lines))
	}
	last := len(lines) - 1
	if _, err := fmt.Sscan(lines[last], &last); err != nil {
		t.Fatal(err)
	}
	if !wrote(exported(t, s, "i"), "1") {
		t.Error("everything was committed")
	}
	i := open(t, s, "i")
	want(t, "metadata", i.SetMetadata(ctx, "k", nil), nil)
	for n := max(0, last-62); n <= last; n++ { // the one after the last may be there
		got := make([]byte, 4096)
		_, err := i.Read(ctx, got, int64(n%64)<<12)
		want(t, "read", err, nil)
		if !bytes.Equal(got, bytes.Repeat([]byte(fmt.Sprintf("%8d", n)), 512)) {
			t.Errorf("write %d of %d is not there: %q", n, last, got[:16])
		}
	}
	want(t, "close", i.Close(ctx), nil)
	goodJournal(t, s, "i")
	checkMap(t, s, "i")
}

// TestJournalSwitched: the journal comes and goes with its feature while the image is in use.
func TestJournalSwitched(t *testing.T) {
	t.Parallel()
	s := store(t, connect(t))
	ctx := within(t, 3*time.Minute)
	want(t, "create", s.Create(ctx, "i", rbd.CreateOptions{Size: 4 << 20}), nil)
	i, model, r := open(t, s, "i"), make([]byte, 4<<20), rand.New(rand.NewPCG(3, 4))
	for range 3 {
		want(t, "on", i.EnableFeatures(ctx, rbd.Journaling, nil), nil)
		for range 10 {
			want(t, "op", randomOp(ctx, i, r, model), nil)
		}
		goodJournal(t, s, "i")
		want(t, "fast-diff off", i.DisableFeatures(ctx, rbd.FastDiff), nil)
		want(t, "fast-diff on", i.EnableFeatures(ctx, rbd.FastDiff, nil), nil)
		want(t, "lock off", i.DisableFeatures(ctx, rbd.ExclusiveLock), ceph.EINVAL)
		want(t, "off", i.DisableFeatures(ctx, rbd.Journaling), nil)
		want(t, "op", randomOp(ctx, i, r, model), nil)
	}
	verify(t, i, model)
	want(t, "close", i.Close(ctx), nil)
	sameToStock(t, s, "i", model)
	stock(t, s, "feature", "enable", "i", "journaling")
	stock(t, s, "feature", "disable", "i", "journaling")
	want(t, "both", s.Create(ctx, "no", rbd.CreateOptions{Size: 1, Features: rbd.Layering |
		rbd.Journaling}), ceph.EINVAL)
}

// TestJournalOperations: operations by ours go through the journal, and the stock client agrees.
func TestJournalOperations(t *testing.T) {
	t.Parallel()
	s := store(t, connect(t))
	ctx := within(t, 3*time.Minute)
	journaled(t, s, "i", 4<<20)
	i := open(t, s, "i")
	write := func(text string, off int64) {
		_, err := i.Write(ctx, []byte(text), off)
		want(t, "write", err, nil)
	}
	write("one", 0)
	want(t, "snapshot", i.CreateSnapshot(ctx, "a"), nil)
	want(t, "again", i.CreateSnapshot(ctx, "a"), ceph.EEXIST)
	write("two", 0)
	want(t, "rename", i.RenameSnapshot(ctx, "a", "b"), nil)
	want(t, "protect", i.ProtectSnapshot(ctx, "b"), nil)
	want(t, "remove", i.RemoveSnapshot(ctx, "b"), ceph.EBUSY)
	want(t, "clone", s.Clone(ctx, i, "b", "c", rbd.CreateOptions{Features: withJournal}), nil)
	want(t, "grow", i.Resize(ctx, 6<<20, false, nil), nil)
	want(t, "roll back", i.Rollback(ctx, "b", nil), nil)
	want(t, "limit", i.SetSnapshotLimit(ctx, 4), nil)
	c := open(t, s, "c")
	_, err := c.Write(ctx, []byte("clone"), 100)
	want(t, "write", err, nil)
	want(t, "flatten", c.Flatten(ctx, nil), nil)
	want(t, "close", c.Close(ctx), nil)
	want(t, "unprotect", i.UnprotectSnapshot(ctx, "b"), nil)
	want(t, "remove", i.RemoveSnapshot(ctx, "b"), nil)
	want(t, "metadata", i.SetMetadata(ctx, "k", []byte("v")), nil)
	want(t, "metadata", i.RemoveMetadata(ctx, "k"), nil)
	out := string(stockTool(t, "journal", "inspect", "--verbose", "-p", s.IO().PoolName(),
		"--image", "i"))
	want(t, "close", i.Close(ctx), nil)
	want(t, "rename", s.Rename(ctx, "i", "j"), nil)
	model := make([]byte, 4<<20)
	copy(model, "one")
	sameToStock(t, s, "j", model)
	copy(model[100:], "clone")
	sameToStock(t, s, "c", model)
	goodJournal(t, s, "j")
	goodJournal(t, s, "c")
	if testing.Verbose() {
		t.Log(out[:min(len(out), 3000)])
	}
}

// TestJournalNotPrimary: a demoted image is not written.
func TestJournalNotPrimary(t *testing.T) {
	t.Parallel()
	s := store(t, connect(t))
	ctx := within(t, 3*time.Minute)
	journaled(t, s, "i", 4<<20)
	pool := s.IO().PoolName()
	stockTool(t, "mirror", "pool", "enable", pool, "image")
	stock(t, s, "mirror", "image", "enable", "i", "journal")
	i := open(t, s, "i")
	_, err := i.Write(ctx, []byte("x"), 0)
	want(t, "write", err, nil)
	want(t, "journal off", i.DisableFeatures(ctx, rbd.Journaling), ceph.EINVAL)
	want(t, "close", i.Close(ctx), nil)
	stock(t, s, "mirror", "image", "demote", "i")
	i = open(t, s, "i")
	_, err = i.Write(ctx, []byte("y"), 0)
	want(t, "write", err, ceph.EROFS)
	want(t, "snapshot", i.CreateSnapshot(ctx, "s"), ceph.EROFS)
	stock(t, s, "mirror", "image", "promote", "i")
	_, err = i.Write(ctx, []byte("z"), 0)
	want(t, "write", err, nil)
	want(t, "close", i.Close(ctx), nil)
	goodJournal(t, s, "i")
	stock(t, s, "mirror", "image", "disable", "i")
}

// TestJournalFenced: who has lost the lock to another client can't write the journal any more.
func TestJournalFenced(t *testing.T) {
	t.Parallel()
	s := store(t, connect(t))
	ctx := within(t, 3*time.Minute)
	journaled(t, s, "i", 4<<20)
	i := open(t, storeOf(t, connect(t), s.IO().PoolName()), "i")
	_, err := i.Write(ctx, []byte("held"), 0)
	want(t, "write", err, nil)
	mine := open(t, s, "i")
	info, err := mine.Lockers(ctx)
	want(t, "lockers", err, nil)
	want(t, "break", mine.BreakLock(ctx, info.Lockers[0].Cookie, info.Lockers[0].Name), nil)
	_, err = mine.Write(ctx, []byte("mine"), 0)
	want(t, "write", err, nil)
	_, err = i.Write(within(t, 20*time.Second), []byte("lost"), 0)
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a write of who was shut out: %v", err)
	}
	want(t, "close", mine.Close(ctx), nil)
	_ = i.Close(ctx)
	goodJournal(t, s, "i")
	model := make([]byte, 4<<20)
	copy(model, "mine")
	sameToStock(t, s, "i", model)
	if list := exported(t, s, "i"); wrote(list, "lost") {
		t.Error("the journal has what the client that was shut out wrote")
	}
}

// TestJournalOrder: writes of the same place at once are in the image in the order in which they
// are in the journal, as its peers will have them.
func TestJournalOrder(t *testing.T) {
	t.Parallel()
	s := store(t, connect(t))
	ctx := within(t, 3*time.Minute)
	journaled(t, s, "i", 1<<20)
	i := open(t, s, "i")
	const writers, each = 8, 8
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 7))
			for n := range each {
				p := bytes.Repeat([]byte{byte(1 + w*each + n)}, 1+r.IntN(1000))
				_, err := i.Write(ctx, p, int64(r.IntN(500)))
				want(t, "write", err, nil)
			}
		})
	}
	all.Wait()
	list := exported(t, s, "i") // before the position is written
	if len(list) != writers*each {
		t.Fatalf("%d of %d writes are in the journal", len(list), writers*each)
	}
	model := make([]byte, 1<<20)
	for _, e := range list {
		copy(model[e.Off:], e.Data)
	}
	verify(t, i, model)
	want(t, "close", i.Close(ctx), nil)
}
