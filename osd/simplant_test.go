package osd

import (
	"runtime"
	"slices"
	"testing"

	"glue/store/memstore"
	"glue/store/objectstore"
	"glue/wire/message"
)

// A verdict takes the failures of a simulation that is to find one.
type verdict struct {
	testing.TB
	failed bool
}

func (v *verdict) Errorf(string, ...any) { v.failed = true }
func (v *verdict) Fatalf(string, ...any) { v.failed = true; runtime.Goexit() }
func (v *verdict) Logf(string, ...any)   {}
func (v *verdict) Helper()               {}

// TestSimFindsPlantedBugs: OSDs that break one rule are found out within a few seeds.
func TestSimFindsPlantedBugs(t *testing.T) {
	for _, bug := range []struct {
		name   string
		parity uint64 // of the seeds: odd ones have long leases
		tamper func(b message.Body)
	}{
		{"a copy forgets its promise at once", 1, func(b message.Body) {
			if m, ok := b.(*message.MOSDPGLease); ok {
				m.IntervalNS = 0
			}
		}},
		{"a primary takes a lease for longer", 0, func(b message.Body) {
			if m, ok := b.(*message.MOSDPGLeaseAck); ok {
				m.UntilNS += 2e9
			}
		}},
	} {
		t.Run(bug.name, func(t *testing.T) {
			for i := range uint64(150) {
				seed := 2*(i+1) + bug.parity
				v := &verdict{TB: t}
				done := make(chan struct{})
				go func() {
					defer close(done)
					s := newSim(v, seed, 3+int(i%3))
					s.tamper = bug.tamper
					s.odds = odds{slander: 1e9, isolate: 200, crash: 1e9, out: 1e9,
						resize: 1e9, flags: 1e9}
					s.run(6000)
				}()
				if <-done; v.failed {
					t.Logf("found with seed %d", seed)
					return
				}
			}
			t.Error("not found")
		})
	}
}

// A plantedStore changes what an OSD stores, as if the OSD had a bug.
type plantedStore struct {
	*memstore.Store
	plant func(t *objectstore.Transaction)
}

func (p plantedStore) SubmitAll(subs []objectstore.Submission) []error {
	for i := range subs {
		if p.plant != nil {
			p.plant(subs[i].Transaction)
		}
	}
	return p.Store.SubmitAll(subs)
}

// TestSimFindsPlantedSplits: splits that go wrong are found out within a few seeds.
func TestSimFindsPlantedSplits(t *testing.T) {
	isSplit := func(o objectstore.Op) bool { return o.Code == objectstore.OpSplitColl }
	for name, plant := range map[string]func(t *objectstore.Transaction){
		"the log is not split": func(t *objectstore.Transaction) {
			if slices.ContainsFunc(t.Ops, isSplit) {
				t.Ops = slices.DeleteFunc(t.Ops, func(o objectstore.Op) bool {
					return o.Code == objectstore.OpLogAppend
				})
			}
		},
		"wrong hash bits": func(t *objectstore.Transaction) {
			if i := slices.IndexFunc(t.Ops, isSplit); i >= 0 {
				t.Ops[i].Bits++
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20) {
				v := &verdict{TB: t}
				done := make(chan struct{})
				go func() {
					defer close(done)
					s := newSim(v, 3*(seed+1), 3)
					s.plant = plant
					s.odds.resize, s.odds.crash = 150, 500
					for _, n := range s.nodes {
						s.crash(n)
					}
					s.run(6000)
				}()
				if <-done; v.failed {
					t.Logf("found with seed %d", 3*(seed+1))
					return
				}
			}
			t.Error("not found")
		})
	}
}
