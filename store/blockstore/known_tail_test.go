package blockstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"glue/store/objectstore"
	"glue/store/storetest"
)

// A tail is a journal that has gone around its ring a few times, and where it ends.
type tail struct {
	w    *world
	o    Options
	uuid [16]byte
	head position
	ring uint64
	// records that are needed, oldest first
	records []recordRef
	batch   []byte // of a transaction that would be the next
}

func newTail(t *testing.T) *tail {
	t.Helper()
	o := knownOptions()
	o.JournalBytes = 256 << 10
	w := newWorld(o.Size)
	s := freshStore(t, w, o)
	for i := range 230 {
		var tx objectstore.Transaction
		if i == 0 {
			tx.MkColl(knownColl)
		}
		if i == 220 {
			if err := s.Checkpoint(); err != nil {
				t.Fatal(err)
			}
		}
		tx.Write(knownColl, storetest.Object(i%3), 0, fillOf(i, 200))
		if err := s.Submit(&tx, nil); err != nil {
			t.Fatal(err)
		}
		storetest.Barrier(s)
	}
	tl := &tail{o: o, uuid: s.sb.UUID, ring: uint64(s.sb.JournalLen)}
	s.q.mu.Lock()
	tl.head, tl.records = s.q.ring.head, append(tl.records, s.q.ring.records...)
	s.q.mu.Unlock()
	b := s.kv.NewBatch()
	lsn := binary.LittleEndian.AppendUint64(nil, tl.head.LSN)
	if err := errors.Join(b.Set(sysLSN, lsn, nil), b.Set([]byte("Pforged"), lsn, nil)); err != nil {
		t.Fatal(err)
	}
	tl.batch = bytes.Clone(b.Repr())
	b.Close()
	w.mu.Lock()
	tl.w = &world{sim: w.sim.Clone(), fs: w.fs.CrashClone(crashAll)}
	w.mu.Unlock()
	s.Close()
	if tl.head.Off < 2*tl.ring || len(tl.records) < 5 {
		t.Fatalf("head %d of a ring of %d, %d records", tl.head.Off, tl.ring, len(tl.records))
	}
	return tl
}

// record is the next record of the journal, which edit may spoil.
func (tl *tail) record(edit func(r *recordInfo, uuid *[16]byte)) []byte {
	buf := new(recordBuffer)
	buf.reset()
	buf.batch(tl.batch)
	uuid := tl.uuid
	r := recordInfo{off: tl.head.Off, firstLSN: tl.head.LSN, count: 1, durable: tl.head.LSN - 1,
		prevCRC: tl.head.PrevCRC, kind: recordGroup, length: uint32(len(buf.b) - recordHeader)}
	edit(&r, &uuid)
	finishRecord(buf.b, uuid, r)
	return append(buf.b, make([]byte, blockBytes)...)[:blockBytes]
}

// open opens the store with a block written over the journal at an offset.
func (tl *tail) open(t *testing.T, off uint64, block []byte) (*Store, error) {
	t.Helper()
	w := &world{sim: tl.w.sim.Clone(), fs: tl.w.fs.CrashClone(crashAll)}
	if err := w.sim.WriteVec([][]byte{block}, int64(journalStart+off%tl.ring)); err != nil {
		t.Fatal(err)
	}
	return Open("/osd", w.options(tl.o))
}

// tracker 45613, 18338, 54288: what a log that was extended ahead, or that is used again, holds
// after its end was taken for records. Nothing is replayed here but the one record that continues
// the chain: of this store, at this place, in this lap, with the next LSN, after that very record,
// and whole.
func TestKnownGarbageAfterJournalTail(t *testing.T) {
	tl := newTail(t)
	noise := make([]byte, blockBytes)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	last := make([]byte, blockBytes)
	at := tl.records[len(tl.records)-1].Off % tl.ring
	if err := tl.w.sim.ReadAt(last, int64(journalStart+at)); err != nil {
		t.Fatal(err)
	}
	spoilt := tl.record(func(*recordInfo, *[16]byte) {})
	spoilt[recordHeader+20] ^= 4
	for name, c := range map[string]struct {
		block []byte
		taken bool
	}{
		"the next record": {tl.record(func(*recordInfo, *[16]byte) {}), true},
		"zeros":           {make([]byte, blockBytes), false},
		"noise":           {noise, false},
		"the last record": {last, false},
		"a changed byte":  {spoilt, false},
		"another store": {tl.record(func(_ *recordInfo, id *[16]byte) { id[3] ^= 1 }),
			false},
		"another lap": {tl.record(func(r *recordInfo, _ *[16]byte) { r.off -= tl.ring }),
			false},
		"another LSN": {tl.record(func(r *recordInfo, _ *[16]byte) { r.firstLSN++ }), false},
		"an old LSN":  {tl.record(func(r *recordInfo, _ *[16]byte) { r.firstLSN-- }), false},
		"after another record": {tl.record(func(r *recordInfo, _ *[16]byte) { r.prevCRC++ }),
			false},
		"an unknown kind": {tl.record(func(r *recordInfo, _ *[16]byte) { r.kind = 9 }), false},
	} {
		s, err := tl.open(t, tl.head.Off, c.block)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := tl.head.LSN - 1
		if c.taken {
			want++
		}
		if s.lastLSN != want {
			t.Errorf("%s: replayed to %d, want %d", name, s.lastLSN, want)
		}
		if r, err := s.Fsck(context.Background(), true); err != nil || len(r.Errors) > 0 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		s.Close()
	}
}

// tracker 18338 again, from the other side: a record in the middle that is damaged is no end of
// the log. What comes after it was acknowledged, so the store is refused and not cut short.
func TestKnownDamageIsNoJournalTail(t *testing.T) {
	tl := newTail(t)
	for i, r := range tl.records[:len(tl.records)-2] {
		block := make([]byte, blockBytes)
		if err := tl.w.sim.ReadAt(block, int64(journalStart+r.Off%tl.ring)); err != nil {
			t.Fatal(err)
		}
		block[recordHeader+3] ^= 1
		if _, err := tl.open(t, r.Off, block); !errors.Is(err, objectstore.ErrCorrupt) {
			t.Errorf("record %d of %d is damaged: %v", i, len(tl.records), err)
		}
	}
}
