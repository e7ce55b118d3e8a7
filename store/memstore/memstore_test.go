package memstore_test

import (
	"math/rand/v2"
	"testing"

	"glue/store/memstore"
	"glue/store/objectstore"
	"glue/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, storetest.Target{
		New: func(testing.TB, *rand.Rand) objectstore.Store {
			return memstore.New(memstore.Options{})
		},
	})
}

// A manual store shows everything at once and keeps only what was completed.
func TestManualCrash(t *testing.T) {
	s := memstore.New(memstore.Options{Manual: true})
	ref := memstore.New(memstore.Options{})
	rng := rand.New(rand.NewPCG(3, 3))
	gen := storetest.NewGenerator(rng, s, storetest.GeneratorOptions{})
	done, accepted := 0, 0
	for range 300 {
		tx := gen.Next()
		first := accepted
		if s.Submit(tx, func(error) { done++ }) == nil {
			accepted++
		}
		if accepted > first && accepted <= 200 {
			if err := ref.Submit(tx, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Complete(200)
	if done != 200 || s.Pending() != accepted-200 {
		t.Fatalf("%d done, %d pending of %d", done, s.Pending(), accepted)
	}
	after := s.Crash()
	if err := storetest.Compare(ref, after, 3); err != nil {
		t.Fatal(err)
	}
}
