package blockstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"glue/ceph"
	"glue/store/memstore"
	"glue/store/objectstore"
	"glue/store/storetest"
)

// The tests named TestKnown hold Glue against faults of other stores (docs/REGRESSIONS.md).

var knownColl = ceph.SPG{PGID: ceph.PGID{Pool: 1}, Shard: ceph.NoShard}

// A story is what is submitted together, and waited for, one batch after the other.
type story [][]*objectstore.Transaction

func (st *story) add(fill ...func(t *objectstore.Transaction)) {
	var batch []*objectstore.Transaction
	for _, f := range fill {
		t := new(objectstore.Transaction)
		f(t)
		batch = append(batch, t)
	}
	*st = append(*st, batch)
}

func newStory() *story {
	st := new(story)
	st.add(func(t *objectstore.Transaction) { t.MkColl(knownColl) })
	return st
}

func putObject(object, blocks int) func(t *objectstore.Transaction) {
	return func(t *objectstore.Transaction) {
		t.Write(knownColl, storetest.Object(object), 0, fillOf(object, blocks*blockBytes))
	}
}

func dropObject(object int) func(t *objectstore.Transaction) {
	return func(t *objectstore.Transaction) { t.Remove(knownColl, storetest.Object(object)) }
}

// fillOf is n bytes that tell where they belong.
func fillOf(seed, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>12)*31 ^ byte(seed*101+1)
	}
	return b
}

// knownOptions make a store whose journal holds a whole story unless the test trims it.
func knownOptions() Options {
	return Options{Size: 4 << 20, JournalBytes: 2560 << 10, KVCacheBytes: 1 << 20,
		MemTableBytes: 1 << 20, DeferBytes: 1 << 20, LogWriteBlocks: 4, ZoneBlocks: 16,
		idlePause: time.Hour}
}

// telling are the calls before which a crash can leave something else than before the others.
var telling = []string{"write", "sync", "kv create", "kv sync"}

// everyCrash tells a story and cuts the power before every such call from batch number from on, in
// several ways each; it returns how many crashes were judged and the first that lost something.
func everyCrash(o Options, st story, from, ways int) (points int, err error) {
	w := newWorld(o.Size)
	if err := Format("/osd", w.options(o)); err != nil {
		return 0, err
	}
	s, err := Open("/osd", w.options(o))
	if err != nil {
		return 0, err
	}
	var mu sync.Mutex // of txs and armed
	var txs []*objectstore.Transaction
	armed := false
	var bad error
	rng, model := rand.New(rand.NewPCG(11, 11)), new(modelAt)
	defer model.close()
	w.mu.Lock()
	w.step = func(kind string) error { // with the world's lock, so one at a time
		mu.Lock()
		all, now := txs, armed
		mu.Unlock()
		for range ways {
			if !now || bad != nil || !slices.Contains(telling, kind) {
				break
			}
			points++
			p := crashPoint{w: w.crash(rng), txs: all}
			if _, err := p.judge(model, o); err != nil {
				bad = fmt.Errorf("crash %d, before a %s: %w", points, kind, err)
			}
		}
		return nil
	}
	w.mu.Unlock()
	for i, batch := range st {
		var subs []objectstore.Submission
		mu.Lock()
		armed = i >= from
		for _, t := range batch {
			txs = append(txs, t)
			t.PutMeta(seqKey, encodeSeq(len(txs)))
			subs = append(subs, objectstore.Submission{Transaction: t,
				Done: func(error) { w.acked.Add(1) }})
		}
		mu.Unlock()
		if err := errors.Join(s.SubmitAll(subs)...); err != nil {
			return points, err
		}
		storetest.Barrier(s)
	}
	err = errors.Join(s.Checkpoint(), s.Close())
	return points, errors.Join(bad, err)
}

// tracker 54547: a block was freed and used again while the log still held a deferred write to its
// old place, and replay put the old data over the new. Here a block is free only when the journal
// was trimmed past what freed it: in a store that is so full that the new object can only lie
// where the old ones did, no crash loses either.
func TestKnownDeferredWriteOverReusedBlock(t *testing.T) {
	o := knownOptions()
	blocks := int(o.Size-o.JournalBytes)/blockBytes - superCopies
	reserve := max(blocks/100, 16)
	const old = 40
	begin := func() *story {
		st := newStory()
		st.add(putObject(0, blocks-reserve-old-12))
		return st
	}
	// The old objects are logged and wait to be written back.
	deferred := begin()
	for i := 1; i <= old; i += 4 {
		deferred.add(putObject(i, 1), putObject(i+1, 1), putObject(i+2, 1), putObject(i+3, 1))
	}
	over := []func(*objectstore.Transaction){}
	for i := 1; i <= old; i++ {
		over = append(over, dropObject(i))
	}
	deferred.add(append(over, putObject(100, old))...)
	// The old object was written in place, as the new one is.
	inPlace := begin()
	inPlace.add(putObject(1, old))
	inPlace.add(dropObject(1), putObject(100, old))

	for name, st := range map[string]*story{"deferred": deferred, "in place": inPlace} {
		n, err := 0, error(ceph.ENOSPC)
		// A store this full may refuse a write while its log lets go of what it held.
		for tries := 0; errors.Is(err, ceph.ENOSPC) && tries < 21; tries++ {
			n, err = everyCrash(o, *st, len(*st)-1, 1)
		}
		if err != nil || n < 5 {
			t.Errorf("%s: %d crashes, %v", name, n, err)
		}
	}
	o.sabotage.earlyReuse = true
	if n, err := everyCrash(o, *inPlace, len(*inPlace)-1, 2); err == nil {
		t.Errorf("blocks that are reused at once: nothing noticed in %d crashes", n)
	}
}

// tracker 53129: a log said that blocks had changed before they were on the disk that holds them.
// Here a transaction and its data are one: whatever part of it a crash leaves, there is a whole
// prefix with all that was acknowledged.
func TestKnownRecordBeforeItsData(t *testing.T) {
	o := knownOptions()
	st := newStory()
	st.add(putObject(1, 20), putObject(2, 17))
	st.add(func(t *objectstore.Transaction) {
		t.Truncate(knownColl, storetest.Object(1), 5000)
		t.Write(knownColl, storetest.Object(1), 9000, fillOf(3, 70_000))
	})
	st.add(putObject(2, 33))
	n, err := everyCrash(o, *st, 1, 2)
	if err != nil || n < 8 {
		t.Errorf("%d crashes, %v", n, err)
	}
	o.sabotage.noBarrier = true
	if _, err := everyCrash(o, *st, 1, 2); err == nil {
		t.Error("without a barrier: nothing noticed")
	}
}

// tracker 19880, 45195: a deferred write and a large one to the same place raced, and the older
// data won, or was read. Small and large writes that overlap, in one group and in several, with
// write-back between them, must read as a model's at once, and after a crash.
func TestKnownDeferredAndLargeWritesOverlap(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	model := memstore.New(memstore.Options{})
	defer model.Close()
	o := knownOptions()
	o.DeferBytes = 64 << 10
	w := newWorld(o.Size)
	s := freshStore(t, w, o)
	var err error
	defer s.Close()
	st := newStory()
	for range 60 {
		st.add(overlapping(rng), overlapping(rng))
	}
	for i, batch := range *st {
		for _, tx := range batch {
			if err := errors.Join(s.Submit(tx, nil), model.Submit(tx, nil)); err != nil {
				t.Fatal(err)
			}
			if err := storetest.Compare(model, s, 7); err != nil {
				t.Fatalf("batch %d: %v", i, err)
			}
		}
		switch i % 5 {
		case 1:
			err = s.runWriteBack()
		case 3:
			err = s.Checkpoint()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n, err := everyCrash(o, (*st)[:16], 8, 1); err != nil || n < 8 {
		t.Errorf("%d crashes, %v", n, err)
	}
}

// tracker 19880 again: a deferred write that is replaced while a checkpoint runs must still reach
// its place, since the journal will have forgotten it, and the replacement may not survive.
func TestKnownDeferredWriteReplacedInCheckpoint(t *testing.T) {
	for range 20 {
		// The replacement may have been on its way already when the queue was corked.
		if n := replacedInCheckpoint(t); n == 2 {
			return
		} else if n != 3 {
			t.Fatalf("%d transactions survived", n)
		}
	}
	t.Error("the replacement survived each time")
}

// replacedInCheckpoint says how many of three transactions are left after a crash.
func replacedInCheckpoint(t *testing.T) int {
	t.Helper()
	w, o := newWorld(4<<20), knownOptions()
	s := freshStore(t, w, o)
	var err error
	st := newStory()
	st.add(putObject(1, 1))
	st.add(func(t *objectstore.Transaction) {
		t.Write(knownColl, storetest.Object(1), 0, fillOf(2, blockBytes))
	})
	var txs []*objectstore.Transaction
	for _, batch := range *st {
		txs = append(txs, batch...)
		batch[0].PutMeta(seqKey, encodeSeq(len(txs)))
	}
	for _, tx := range txs[:2] {
		err = errors.Join(err, s.Submit(tx, nil), storetest.Barrier(s))
	}
	w.acked.Store(2)
	lsn := s.lastLSN
	s.checkpoint.run.Lock() // what Checkpoint does, with a write in the middle
	err = errors.Join(err, s.checkpointLogs(), s.kv.Flush(s.stopped))
	s.q.mu.Lock()
	s.q.corked = true // the write stays in memory
	s.q.mu.Unlock()
	err = errors.Join(err, s.Submit(txs[2], nil), s.writeBack(lsn), s.trim(lsn))
	s.checkpoint.run.Unlock()
	if err != nil || s.sb.Tail.LSN <= lsn {
		t.Fatalf("the journal is trimmed to %d, not beyond %d: %v", s.sb.Tail.LSN, lsn, err)
	}
	cut := w.cut(rand.New(rand.NewPCG(1, 1)))
	s.uncork()
	s.Close()
	p, m := crashPoint{w: cut, txs: txs}, new(modelAt)
	defer m.close()
	n, err := p.judge(m, o)
	if err != nil {
		t.Fatalf("%d transactions survived, %v", n, err)
	}
	return n
}

// overlapping writes a little or much to one of two objects, around the same places.
func overlapping(rng *rand.Rand) func(t *objectstore.Transaction) {
	return func(t *objectstore.Transaction) {
		object := storetest.Object(rng.IntN(2))
		for range 1 + rng.IntN(2) {
			at := rng.IntN(4)*blockBytes + []int{0, 0, 100, 4000}[rng.IntN(4)]
			n := []int{100, blockBytes, 3 * blockBytes, 18 * blockBytes, 70_000}[rng.IntN(5)]
			t.Write(knownColl, object, uint64(at), fillOf(rng.IntN(200), n))
		}
		if rng.IntN(5) == 0 {
			t.Zero(knownColl, object, uint64(rng.IntN(30_000)), uint64(1+rng.IntN(30_000)))
		}
	}
}

// tracker 51619, 51762, 70390: counts of shared blobs were wrong after clones, overwrites and
// repair. After every change the counts, recomputed from all mappings, are those that are stored;
// what the last clone leaves behind is free.
func TestKnownSharedBlockCounts(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	w, o := newWorld(4<<20), knownOptions()
	s := freshStore(t, w, o)
	var err error
	model := memstore.New(memstore.Options{})
	defer model.Close()
	do := func(f func(*objectstore.Transaction)) {
		t.Helper()
		var tx objectstore.Transaction
		f(&tx)
		a, b := s.Submit(&tx, nil), model.Submit(&tx, nil)
		if (a == nil) != (b == nil) || errors.Is(a, objectstore.ErrFailed) {
			t.Fatalf("%v, the model says %v", a, b)
		}
	}
	do(func(t *objectstore.Transaction) { t.MkColl(knownColl) })
	const objects = 5
	shared := uint64(0)
	for i := range 150 {
		do(func(t *objectstore.Transaction) { shareSome(t, rng, objects) })
		if i%40 == 39 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = Open("/osd", w.options(o)); err != nil {
				t.Fatal(err)
			}
		}
		r, err := s.Fsck(context.Background(), false)
		if err != nil || len(r.Errors) > 0 {
			t.Fatalf("step %d: %+v, %v", i, r, err)
		}
		shared += r.SharedBlocks
		if err := storetest.Compare(model, s, 7); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	if shared == 0 {
		t.Error("nothing was shared")
	}
	for i := range objects {
		do(dropObject(i))
	}
	if n := s.alloc.live(); n != 0 {
		t.Errorf("%d blocks belong to nobody", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// shareSome makes and breaks sharing between objects.
func shareSome(t *objectstore.Transaction, rng *rand.Rand, objects int) {
	a, b := storetest.Object(rng.IntN(objects)), storetest.Object(rng.IntN(objects))
	at := uint64(rng.IntN(12)) * blockBytes
	n := uint64(1+rng.IntN(8)) * blockBytes
	switch rng.IntN(7) {
	case 0, 1:
		t.Write(knownColl, a, at, fillOf(rng.IntN(200), int(n)))
	case 2:
		t.Clone(knownColl, a, b)
	case 3, 4:
		t.CloneRange(knownColl, a, b, at, n, uint64(rng.IntN(12))*blockBytes)
	case 5:
		t.Truncate(knownColl, a, at+uint64(rng.IntN(5000)))
	case 6:
		t.Remove(knownColl, a)
	}
}

// tracker 24949: a checksum of a whole object stayed as it was when a part of the object changed,
// and every read failed. Here each way to change a part of a block leaves a block that is read,
// also from the disk, and that a deep check finds sound.
func TestKnownChecksumOfChangedBlock(t *testing.T) {
	obj, src := storetest.Object(0), storetest.Object(1)
	c := knownColl
	for name, change := range map[string]func(t *objectstore.Transaction){
		"write":       func(t *objectstore.Transaction) { t.Write(c, obj, 5000, []byte("new")) },
		"write edge":  func(t *objectstore.Transaction) { t.Write(c, obj, 4090, make([]byte, 20)) },
		"append":      func(t *objectstore.Transaction) { t.Write(c, obj, 20_000, []byte("new")) },
		"large write": func(t *objectstore.Transaction) { t.Write(c, obj, 100, fillOf(9, 80_001)) },
		"zero":        func(t *objectstore.Transaction) { t.Zero(c, obj, 4097, 4096) },
		"truncate":    func(t *objectstore.Transaction) { t.Truncate(c, obj, 9001) },
		"truncate and write": func(t *objectstore.Transaction) {
			t.Truncate(c, obj, 9001)
			t.Write(c, obj, 9500, []byte("new"))
		},
		"grow": func(t *objectstore.Transaction) { t.Truncate(c, obj, 40_000) },
		"range": func(t *objectstore.Transaction) {
			t.CloneRange(c, src, obj, 300, 5000, 7000)
		},
	} {
		w, o := newWorld(4<<20), knownOptions()
		model := memstore.New(memstore.Options{})
		s := freshStore(t, w, o)
		var err error
		st := newStory()
		st.add(putObject(1, 5), func(t *objectstore.Transaction) {
			t.Write(c, obj, 0, fillOf(4, 20_000))
		})
		st.add(change)
		for _, batch := range *st {
			for _, tx := range batch {
				err = errors.Join(err, s.Submit(tx, nil), model.Submit(tx, nil))
			}
			err = errors.Join(err, s.Checkpoint()) // the next change reads the disk
		}
		err = errors.Join(err, storetest.Compare(model, s, 7), s.Close())
		if s, err2 := Open("/osd", w.options(o)); err2 != nil {
			err = errors.Join(err, err2)
		} else {
			r, err2 := s.Fsck(context.Background(), true)
			err = errors.Join(err, err2, storetest.Compare(model, s, 7), s.Close())
			if len(r.Errors)+len(r.Damaged) > 0 {
				t.Errorf("%s: %+v", name, r)
			}
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		model.Close()
	}
}

// tracker 45903: a log that was compacted only by the work on large files grew without end on a
// store that did next to nothing. Here the journal never holds more than its ring, whatever the
// transactions are, and the database beside it stays small.
func TestKnownLogOfAQuietStoreIsBounded(t *testing.T) {
	w, o := newWorld(4<<20), knownOptions()
	o.JournalBytes, o.MemTableBytes, o.idlePause = 256<<10, 64<<10, 50*time.Microsecond
	s := freshStore(t, w, o)
	defer s.Close()
	for i := range 1500 {
		var tx objectstore.Transaction
		if i == 0 {
			tx.MkColl(knownColl)
		}
		tx.Write(knownColl, storetest.Object(0), 0, fillOf(i, 100))
		tx.OmapSet(knownColl, storetest.Object(0), map[string][]byte{"k": fillOf(i, 50)})
		if err := s.Submit(&tx, nil); err != nil {
			t.Fatalf("transaction %d: %v", i, err)
		}
		if i%3 == 0 {
			storetest.Barrier(s)
		}
		s.q.mu.Lock()
		used, records := s.q.ring.used(), len(s.q.ring.records)
		s.q.mu.Unlock()
		if used > uint64(o.JournalBytes) || records > int(o.JournalBytes/blockBytes) {
			t.Fatalf("the journal holds %d bytes in %d records", used, records)
		}
	}
	s.q.mu.Lock()
	laps := s.q.ring.head.Off / uint64(o.JournalBytes)
	s.q.mu.Unlock()
	if laps < 3 {
		t.Fatalf("only %d laps", laps)
	}
	names, err := w.fs.List("/osd/kv")
	if err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for _, name := range names {
		if st, err := w.fs.Stat("/osd/kv/" + name); err == nil && name != "ballast" {
			total += st.Size()
		}
	}
	if total > 2<<20 {
		t.Errorf("the database has %d bytes in %v", total, names)
	}
	s.mu.Lock()
	live := s.alloc.live()
	s.mu.Unlock()
	if live != 1 {
		t.Errorf("%d blocks are in use", live)
	}
}
