package osd

import (
	"runtime"
	"testing"

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
