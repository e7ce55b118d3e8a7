package osd

import (
	"fmt"
	"testing"

	"glue/wire/message"
)

// readersSim is a simulation in which many reads go to any copy of an object, and OSDs are cut off
// from each other while clients still reach them.
func readersSim(t testing.TB, seed uint64) *sim {
	s := newSim(t, seed, 3+int(seed%3))
	s.odds = odds{slander: 2000, isolate: 300, crash: 4000, out: 4000, resize: 4000, flags: 1e9}
	s.readers = true
	return s
}

// TestSimCopyReads: reads of copies that are not the primary are linearizable, and there are many.
func TestSimCopyReads(t *testing.T) {
	served := 0
	for i := range uint64(*simRuns) {
		seed := *simFrom + i
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := readersSim(t, seed)
			s.run(6000)
			served += s.served
		})
	}
	if t.Logf("%d reads were served by copies", served); served < 5**simRuns {
		t.Error("so few say nothing")
	}
}

// TestSimFindsPlantedCopyReads: copies that break a rule of their reads are found out within a few
// seeds.
func TestSimFindsPlantedCopyReads(t *testing.T) {
	for _, bug := range []struct {
		name   string
		from   uint64 // seeds; about one in 500 finds the first, one in 50 the second
		tamper func(s *sim, b message.Body)
	}{
		{"what is not durable everywhere is served", 1750, func(_ *sim, b message.Body) {
			if m, ok := b.(*message.MOSDRepOp); ok {
				m.MinDurable = m.Version
			}
		}},
		{"the promise to a copy is forgotten at once", 1000, func(s *sim, b message.Body) {
			m, ok := b.(*message.MOSDPGLease)
			if !ok {
				return
			}
			if _, _, _, primary := s.m.PGToUpActing(m.PG.PGID); m.From.OSD != primary {
				m.IntervalNS = 0
			}
		}},
	} {
		t.Run(bug.name, func(t *testing.T) {
			for i := range uint64(300) {
				seed := i + bug.from
				v := &verdict{TB: t}
				done := make(chan struct{})
				go func() {
					defer close(done)
					s := readersSim(v, seed)
					s.tamper = func(b message.Body) { bug.tamper(s, b) }
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
