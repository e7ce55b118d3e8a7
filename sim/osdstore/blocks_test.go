package osdstore

import (
	"math/rand/v2"
	"runtime"
	"testing"

	"glue/ceph"
	"glue/store/objectstore"
)

// TestLives: whatever a crash leaves opens, holds a prefix of what was submitted with all that was
// done, and nothing of an old life stays.
func TestLives(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var s Store
	s, err := NewBlocks(Lies{})
	if err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	coll := ceph.SPG{PGID: ceph.PGID{Pool: 1}, Shard: ceph.NoShard}
	object := ceph.HObject{Name: "o", Pool: 1, Snap: ceph.NoSnap}
	sent, done, lost := 0, 0, 0
	for life := range 300 {
		for range rng.IntN(40) {
			var tx objectstore.Transaction
			if sent == 0 {
				tx.MkColl(coll)
			}
			sent++
			data := make([]byte, 1+rng.IntN(20000))
			tx.Write(coll, object, uint64(rng.IntN(1<<20)), data)
			tx.PutMeta("n", []byte{byte(sent >> 16), byte(sent >> 8), byte(sent)})
			n := sent
			if err := s.Submit(&tx, func(err error) {
				if err != nil || n != done+1 {
					t.Errorf("transaction %d is done after %d: %v", n, done, err)
				}
				done = n
			}); err != nil {
				t.Fatal(err)
			}
			if rng.IntN(8) == 0 {
				s.Complete(1)
			}
		}
		if s, err = s.Crash(rng, rng.IntN(2) == 0); err != nil {
			t.Fatalf("life %d: %v", life, err)
		}
		have := 0
		if v, err := s.Meta("n"); err == nil {
			have = int(v[0])<<16 | int(v[1])<<8 | int(v[2])
		}
		if have < done || have > sent {
			t.Fatalf("life %d: %d survived, %d were done, %d submitted", life, have, done, sent)
		}
		lost += sent - have
		sent, done = have, have
	}
	if lost == 0 {
		t.Error("nothing was ever lost: no crash is simulated")
	}
	if after := runtime.NumGoroutine(); after > before+2 {
		t.Errorf("%d goroutines at first, %d at last", before, after)
	}
}
