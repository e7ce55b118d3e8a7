package blockstore

import (
	"testing"

	"glue/store/objectstore"
	"glue/store/storetest"
)

// tracker 54547 again: what a transaction has freed is used again when the journal was trimmed past
// that transaction, and not with a trim that ends before it. Histories with crashes find this only
// in long runs: 3,450 crash points until a store that freed everything with every trim was noticed.
func TestKnownFreeWaitsForItsOwnTrim(t *testing.T) {
	w, o := newWorld(4<<20), knownOptions()
	s := freshStore(t, w, o)
	defer s.Close()
	do := func(f func(*objectstore.Transaction)) uint64 {
		t.Helper()
		var tx objectstore.Transaction
		f(&tx)
		if err := s.Submit(&tx, nil); err != nil {
			t.Fatal(err)
		}
		storetest.Barrier(s)
		return s.lastLSN
	}
	do(func(tx *objectstore.Transaction) { tx.MkColl(knownColl) })
	const blocks = 20
	for i := range 3 {
		do(putObject(i, blocks))
	}
	if err := s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	held := func(what string, want uint64) {
		t.Helper()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.alloc.heldCount != want {
			t.Errorf("%s: %d blocks wait to be free, want %d", what, s.alloc.heldCount, want)
		}
	}
	before := s.lastLSN
	first := do(dropObject(0))
	do(dropObject(1))
	held("after two deletes", 2*blocks)
	if err := s.trim(before); err != nil {
		t.Fatal(err)
	}
	held("trimmed up to before them", 2*blocks)
	if err := s.trim(first); err != nil { // the database does not have it durably
		t.Fatal(err)
	}
	held("a trim of what is not durable elsewhere", 2*blocks)
	if err := s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	held("trimmed past them", 0)
}
