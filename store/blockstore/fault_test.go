package blockstore

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"glue/ceph"

	"glue/store/disk"
	"glue/store/memstore"
	"glue/store/objectstore"
	"glue/store/storetest"
)

var flipsFlag = flag.Int("store.flips", 400, "bit flips to try")

// A bit that flips anywhere is noticed before what it is of leaves the store: data, attributes,
// omap, logs, the OSD's table and the index.
func TestBitRot(t *testing.T) {
	tried, noticed := 0, 0
	for seed := uint64(1); tried < *flipsFlag; seed++ {
		rng := rand.New(rand.NewPCG(seed, 3))
		w, o := newWorld(4<<20), crashOptions(rng)
		s := workedStore(t, w, o, rng)
		if rng.IntN(2) == 0 { // with or without a journal to replay
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		} else {
			storetest.Barrier(s)
			w = w.cut(rng)
			s.Close()
		}
		for range 40 {
			if tryFlip(t, w, o, rng) {
				noticed++
			}
			tried++
		}
	}
	t.Logf("%d flips, %d of them noticed; the others were of nothing that is used", tried, noticed)
	if noticed < tried/10 {
		t.Error("hardly any was")
	}
}

// freshStore makes a store in a world.
func freshStore(t *testing.T, w *world, o Options) *Store {
	t.Helper()
	if err := Format("/osd", w.options(o)); err != nil {
		t.Fatal(err)
	}
	s, err := Open("/osd", w.options(o))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func workedStore(t *testing.T, w *world, o Options, rng *rand.Rand) *Store {
	t.Helper()
	s := freshStore(t, w, o)
	gen := storetest.NewGenerator(rng, s, storetest.GeneratorOptions{MaxBytes: 64 << 10})
	for range 60 {
		s.Submit(gen.Next(), nil)
	}
	return s
}

// tryFlip inverts one bit and looks for answers that differ from those of the sound store; it says
// whether any was refused.
func tryFlip(t *testing.T, w *world, o Options, rng *rand.Rand) bool {
	t.Helper()
	sound := &world{sim: w.sim.Clone(), fs: w.fs.CrashClone(crashAll)}
	bad := &world{sim: w.sim.Clone(), fs: w.fs.CrashClone(crashAll)}
	off := rng.Int64N(w.sim.Size())
	if rng.IntN(3) == 0 {
		off = rng.Int64N(64 << 10) // superblocks and the journal's beginning
	}
	if rng.IntN(3) == 0 {
		flipKV(t, bad.fs, rng)
	} else {
		bad.sim.Flip(off, uint(rng.IntN(8)))
	}
	a, err := Open("/osd", sound.options(o))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := Open("/osd", bad.options(o))
	if err != nil {
		return true // noticed at once
	}
	defer b.Close()
	// Damage to the very last record of a journal can't be told from a crash while it was
	// written; nothing but that record may be missing.
	if b.lastLSN != a.lastLSN {
		if b.lastLSN+1 != a.recovered.lastRecord {
			t.Fatalf("flip at %d: journal ends at %d, not %d (%+v)",
				off, b.lastLSN, a.lastLSN, a.recovered)
		}
		return true
	}
	colls, _ := a.Collections()
	other, err := b.Collections()
	if err != nil && !refused(err) || err == nil && !slices.Equal(colls, other) {
		t.Fatalf("flip at %d: collections %v became %v, %v", off, colls, other, err)
	}
	return compareRotten(t, a, b, colls) || err != nil
}

// refused says whether damage was reported: of the data, or of metadata, which stops the store.
func refused(err error) bool {
	return errors.Is(err, objectstore.ErrCorrupt) || errors.Is(err, objectstore.ErrFailed)
}

// compareRotten allows b to refuse what a answers, but not to answer otherwise; it says whether b
// has refused anything.
func compareRotten(t *testing.T, a, b *Store, colls []ceph.SPG) (noticed bool) {
	t.Helper()
	same := func(what any, ask func(s *Store) (string, error)) {
		t.Helper()
		want, err1 := ask(a)
		got, err2 := ask(b)
		if err1 != nil && !errors.Is(err1, ceph.ENODATA) || err2 == nil && want != got ||
			err2 != nil && !refused(err2) && !errors.Is(err1, ceph.ENODATA) {
			t.Fatalf("%v is %q, %v; with the flip %q, %v", what, want, err1, got, err2)
		}
		noticed = noticed || refused(err2)
	}
	same("the table", func(s *Store) (string, error) { return pairsOf(s.MetaScan("")) })
	for _, c := range colls {
		list, err := storetest.ListAll(a, c, 100)
		if err != nil {
			t.Fatal(err)
		}
		same(c, func(s *Store) (string, error) {
			list, err := storetest.ListAll(s, c, 100)
			return fmt.Sprint(list), err
		})
		same(c, func(s *Store) (out string, err error) {
			for e, err := range s.Log(c, ceph.Eversion{}) {
				if err != nil {
					return "", err
				}
				out += fmt.Sprintf("%v %x;", e.Version, e.Data)
			}
			return out, nil
		})
		for tag := range uint64(4) {
			same(c, func(s *Store) (string, error) {
				tagged, err := s.Tagged(c, tag, ceph.HObject{}, 1000)
				return fmt.Sprint(tagged), err
			})
		}
		for _, obj := range list {
			same(obj, func(s *Store) (string, error) {
				data, err := s.Read(c, obj, 0, 0)
				var where *CorruptError
				if errors.As(err, &where) {
					mustReport(t, s, c, obj)
				}
				return string(data), err
			})
			same(obj, func(s *Store) (string, error) {
				attrs, err := s.GetAttrs(c, obj)
				return fmt.Sprint(attrs), err // in the order of names
			})
			same(obj, func(s *Store) (string, error) {
				h, err := s.OmapHeader(c, obj)
				return string(h), err
			})
			same(obj, func(s *Store) (string, error) { return pairsOf(s.OmapScan(c, obj, "")) })
		}
	}
	return noticed
}

// pairsOf is what a scan yields up to an error, which may come after some of it.
func pairsOf(scan iter.Seq2[objectstore.OmapPair, error]) (out string, err error) {
	for p, err := range scan {
		if err != nil {
			return "", err
		}
		out += fmt.Sprintf("%q=%x;", p.Key, p.Value)
	}
	return out, nil
}

// flipKV inverts one bit of a file of the database.
func flipKV(t *testing.T, fs vfs.FS, rng *rand.Rand) {
	t.Helper()
	names, err := fs.List("/osd/kv")
	if err != nil {
		t.Fatal(err)
	}
	name := "/osd/kv/" + names[rng.IntN(len(names))]
	st, err := fs.Stat(name)
	if err != nil || st.Size() == 0 || st.IsDir() {
		return
	}
	f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	off := rng.Int64N(st.Size())
	if _, err := f.ReadAt(b, off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << rng.IntN(8)
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
}

// mustReport expects a deep check to name the object.
func mustReport(t *testing.T, s *Store, c ceph.SPG, o ceph.HObject) {
	t.Helper()
	r, err := s.Fsck(context.Background(), true)
	if refused(err) {
		return
	}
	if err != nil || !slices.ContainsFunc(r.Damaged, func(d DamagedObject) bool {
		return d.Coll == c && d.Object == o
	}) {
		t.Fatalf("%v is damaged, fsck reports %+v, %v", o, r, err)
	}
}

// A full store refuses writes, and goes on deleting and starting.
func TestFull(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 4))
		w, o := newWorld(5<<20), crashOptions(rng)
		s := freshStore(t, w, o)
		var err error
		model := memstore.New(memstore.Options{})
		both := func(f func(*objectstore.Transaction)) error {
			var tx objectstore.Transaction
			f(&tx)
			if err := s.Submit(&tx, nil); err != nil {
				return err
			}
			return model.Submit(&tx, nil)
		}
		c := ceph.SPG{PGID: ceph.PGID{Pool: 1}, Shard: ceph.NoShard}
		if err := both(func(t *objectstore.Transaction) { t.MkColl(c) }); err != nil {
			t.Fatal(err)
		}
		for round := range 6 {
			full := 0
			for full < 20 {
				data := make([]byte, 1+rng.IntN(200<<10))
				data[0] = byte(round)
				err := both(func(t *objectstore.Transaction) {
					t.Write(c, storetest.Object(rng.IntN(100)), uint64(rng.IntN(50000)), data)
				})
				if err != nil && !errors.Is(err, ceph.ENOSPC) {
					t.Fatal(err)
				} else if err != nil {
					full++
				}
			}
			if rng.IntN(2) == 0 {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if s, err = Open("/osd", w.options(o)); err != nil {
					t.Fatalf("a full store does not open: %v", err)
				}
			}
			deleteSome(t, s, c, rng, both)
			if err := storetest.Compare(model, s, 50); err != nil {
				t.Fatal(err)
			}
			if r, err := s.Fsck(context.Background(), true); err != nil || len(r.Errors) > 0 {
				t.Fatalf("%+v, %v", r, err)
			}
		}
		s.Close()
	}
}

func deleteSome(
	t *testing.T, s *Store, c ceph.SPG, rng *rand.Rand,
	both func(func(*objectstore.Transaction)) error,
) {
	t.Helper()
	list, err := storetest.ListAll(s, c, 100)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range list {
		if rng.IntN(2) == 0 {
			continue
		}
		err := both(func(t *objectstore.Transaction) {
			if i%3 == 0 {
				t.Truncate(c, o, 100)
			} else {
				t.Remove(c, o)
			}
			t.SetAttr(c, storetest.Object(200), "a", []byte("b"))
			t.PutMeta("info", make([]byte, 300))
		})
		if err != nil {
			t.Fatalf("a full store refuses to delete: %v", err)
		}
	}
}

// Open refuses what it can't trust, and leaves it alone.
func TestRefuses(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	w, o := newWorld(4<<20), crashOptions(rng)
	s := workedStore(t, w, o, rng)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	other := newWorld(4 << 20)
	if err := workedStore(t, other, o, rng).Close(); err != nil {
		t.Fatal(err)
	}
	short := disk.NewSim(2 << 20)
	head := make([]byte, 8192)
	if err := errors.Join(w.sim.ReadAt(head, 0), short.WriteVec([][]byte{head}, 0)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		w    *world
		want error
	}{
		"zeros":                {&world{sim: disk.NewSim(4 << 20), fs: w.fs}, ErrForeign},
		"cut short":            {&world{sim: short, fs: w.fs}, objectstore.ErrCorrupt},
		"foreign database":     {&world{sim: w.sim, fs: other.fs}, ErrForeign},
		"foreign block device": {&world{sim: other.sim, fs: w.fs}, ErrForeign},
	} {
		before := c.w.sim.Clone()
		if _, err := Open("/osd", c.w.options(o)); !errors.Is(err, c.want) {
			t.Errorf("%s: want %v, got %v", name, c.want, err)
		}
		if !sameDisk(t, before, c.w.sim) {
			t.Errorf("%s: the disk was changed", name)
		}
	}
}

func sameDisk(t *testing.T, one, other *disk.Sim) bool {
	t.Helper()
	a, b := make([]byte, one.Size()), make([]byte, other.Size())
	if err := errors.Join(one.ReadAt(a, 0), other.ReadAt(b, 0)); err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(a, b)
}

// A journal that was cut, anywhere before the durable LSN that the superblock knows, is refused.
func TestCutJournal(t *testing.T) {
	tried := 0
	for seed := range uint64(9) {
		rng := rand.New(rand.NewPCG(seed, 6))
		w, o := newWorld(4<<20), crashOptions(rng)
		o.idlePause = time.Hour // no marks, which would not be missed
		s := workedStore(t, w, o, rng)
		storetest.Barrier(s)
		if err := s.noteDurable(); err != nil {
			t.Fatal(err)
		}
		s.q.mu.Lock()
		from, to, length := s.q.ring.tail.Off, s.q.ring.head.Off, s.q.ring.length
		s.q.mu.Unlock()
		w = w.cut(rng)
		s.Close()
		for off := from; off < to; off += 2 * blockBytes {
			cut := &world{sim: w.sim.Clone(), fs: w.fs.CrashClone(crashAll)}
			for at := off; at < from+length; at += blockBytes {
				zero := [][]byte{make([]byte, blockBytes)}
				if err := cut.sim.WriteVec(zero, int64(journalStart+at%length)); err != nil {
					t.Fatal(err)
				}
			}
			if sameDisk(t, w.sim, cut.sim) {
				continue // nothing was there but the zeros that a last image ends with
			}
			before := cut.sim.Clone()
			if _, err := Open("/osd", cut.options(o)); !errors.Is(err, objectstore.ErrCorrupt) {
				t.Fatalf("seed %d: journal of %d to %d cut at %d: %v", seed, from, to, off, err)
			}
			if !sameDisk(t, before, cut.sim) {
				t.Fatalf("seed %d: the disk was changed", seed)
			}
			tried++
		}
	}
	if tried < 20 {
		t.Fatalf("only %d cuts tried", tried)
	}
}

// crashAll keeps everything, synced or not.
var crashAll = vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))}

// When the host's file system is full the store gives its ballast up and goes on.
func TestHostFull(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 8))
		w, o := newWorld(8<<20), crashOptions(rng)
		s := workedStore(t, w, o, rng)
		full, hits := false, 0
		w.mu.Lock()
		w.step = func(kind string) error {
			switch {
			case full && (kind == "kv write" || kind == "kv create"):
				hits++
				return syscall.ENOSPC
			case kind == "kv remove":
				full = false
			}
			return nil
		}
		w.mu.Unlock()
		gen := storetest.NewGenerator(rng, s, storetest.GeneratorOptions{MaxBytes: 32 << 10})
		for i := range 200 {
			if i%50 == 10 {
				w.mu.Lock()
				full = true
				w.mu.Unlock()
			}
			err := s.Submit(gen.Next(), nil)
			if errors.Is(err, objectstore.ErrFailed) {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if i%20 == 0 {
				s.checkpoint.request()
			}
		}
		if err := s.Checkpoint(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if hits == 0 {
			t.Fatal("the file system was never full")
		}
		if r, err := s.Fsck(context.Background(), true); err != nil || len(r.Errors) > 0 {
			t.Fatalf("seed %d: %+v, %v", seed, r, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A transaction may be as large as a quarter of the journal, whatever else is under way.
func TestLargeTransaction(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	w, o := newWorld(16<<20), crashOptions(rng)
	o.Size, o.JournalBytes, o.MemTableBytes = 16<<20, 4<<20, 256<<10
	s := workedStore(t, w, o, rng)
	c := ceph.SPG{PGID: ceph.PGID{Pool: 9}, Shard: ceph.NoShard}
	submit := func(f func(*objectstore.Transaction)) error {
		var tx objectstore.Transaction
		f(&tx)
		return s.Submit(&tx, nil)
	}
	if err := submit(func(t *objectstore.Transaction) { t.MkColl(c) }); err != nil {
		t.Fatal(err)
	}
	value := make([]byte, 1000<<10)
	for i := range 20 {
		value[0] = byte(i)
		err := submit(func(t *objectstore.Transaction) {
			t.OmapSet(c, storetest.Object(i), map[string][]byte{"k": bytes.Clone(value)})
		})
		if err != nil {
			t.Fatalf("transaction %d: %v", i, err)
		}
	}
	err := submit(func(t *objectstore.Transaction) {
		t.OmapSet(c, storetest.Object(1), map[string][]byte{"k": make([]byte, 1100<<10)})
	})
	if !errors.Is(err, ceph.EINVAL) {
		t.Fatalf("a transaction beyond a quarter of the journal: %v", err)
	}
	storetest.Barrier(s)
	w = w.cut(rng)
	s.Close()
	if s, err = Open("/osd", w.options(o)); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 20 {
		m, err := s.OmapGet(c, storetest.Object(i), []string{"k"})
		if err != nil || len(m["k"]) != len(value) || m["k"][0] != byte(i) {
			t.Fatalf("object %d: %d bytes, %v", i, len(m["k"]), err)
		}
	}
}
