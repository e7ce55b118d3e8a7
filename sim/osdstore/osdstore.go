// Package osdstore is the stores of simulated OSDs. Model keeps its state as it is; Blocks is what
// a daemon has, store/blockstore with its journal and its database, on a simulated disk of which a
// crash leaves what was synced and tears what was not.
//
// Invariants: nothing is durable before Complete, but for what a Submit of Blocks commits that
// finds the journal full, and done functions are called by Complete only. One goroutine at a time
// uses a store.
package osdstore

import (
	"math/rand/v2"

	"glue/sim/plant"
	"glue/store/memstore"
	"glue/store/objectstore"
)

// A Store is an OSD's store, which is told when the disk works.
type Store interface {
	objectstore.Store
	// Pending is the number of transactions that are not done yet.
	Pending() int
	// Complete makes at least the oldest n pending transactions durable.
	Complete(n int)
	// Crash ends the store, with its machine (power) or alone, and returns that of the next life,
	// in which a beginning of what was pending may be. An error is one that it does not open with.
	Crash(rng *rand.Rand, power bool) (Store, error)
}

// New is an empty store, Blocks or a Model, with the bug of the run.
func New(blocks bool, bug plant.Bug) (Store, error) {
	if blocks {
		return NewBlocks(Lies{Blocks: bug == plant.NoBarrier,
			Database: bug == plant.NoTableSynced})
	}
	return Model{memstore.New(memstore.Options{Manual: true})}, nil
}

// A Model is a memstore.Store.
type Model struct{ *memstore.Store }

// Crash may complete a beginning of what is pending first.
func (s Model) Crash(rng *rand.Rand, _ bool) (Store, error) {
	if rng.IntN(3) == 0 {
		s.Complete(rng.IntN(s.Pending() + 1))
	}
	return Model{s.Store.Crash()}, nil
}
