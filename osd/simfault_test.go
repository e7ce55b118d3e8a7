package osd

import (
	"fmt"
	"os"
	"testing"
	"time"

	"glue/cluster/osdmap"
)

// flag is an operator who sets or unsets a flag about recovery, or an OSD that fills up or is
// emptied.
func (s *sim) flag() {
	inc := s.change()
	if s.rng.IntN(2) == 0 {
		all := []osdmap.Flags{osdmap.FlagNoRecover, osdmap.FlagNoBackfill,
			osdmap.FlagNoRebalance}
		inc.NewFlags = int32(s.m.Flags ^ all[s.rng.IntN(len(all))])
	} else {
		full := []osdmap.State{osdmap.OSDBackfillfull, osdmap.OSDFull}
		inc.NewState = map[int32]osdmap.State{int32(s.rng.IntN(len(s.nodes))): full[s.rng.IntN(2)]}
	}
	s.commit(inc)
}

// slander marks a node down that is alive, as when its heartbeats are lost; it boots again.
func (s *sim) slander(n *simNode) {
	if *simTrace {
		fmt.Fprintln(os.Stderr, "--- marked down while alive:", n.id, "at", s.steps)
	}
	s.markDown(n.id)
}

// isolate cuts a node off that goes on serving whoever reaches it, and marks it down.
func (s *sim) isolate(n *simNode) {
	n.apart = s.clock.Add(time.Duration(300+s.rng.IntN(2000)) * time.Millisecond)
	if *simTrace {
		fmt.Fprintln(os.Stderr, "--- cut off:", n.id, "at", s.steps, "until", n.apart)
	}
	s.markDown(n.id)
}

// load is how much there is to do, in PGs.
func (s *sim) load() time.Duration {
	if p := s.m.Pools[simPool]; p != nil {
		return time.Duration(max(4, p.PGNum))
	}
	return 4
}

// TestSimKept runs the seeds that have found faults.
func TestSimKept(t *testing.T) {
	for _, seed := range keptSeeds {
		t.Run(fmt.Sprint(seed), simulate(seed))
	}
}

var keptSeeds = []uint64{
	479, 20125, // counts were ahead of the version that they were sent with
	167, 10178, 10235, 20066, 30061, // a restart removed PGs that a split had made
	20085, 30429, // a slot that was revoked left its bytes behind
	11212, // a notify of before an OSD came up counted as its answer: a shorter log was chosen
}

func simulate(seed uint64) func(*testing.T) {
	return func(t *testing.T) {
		s := newSim(t, seed, 3+int(seed%3))
		defer func() {
			if t.Failed() {
				t.Logf("replay: go test ./osd -run TestSim -sim.seed=%d", seed)
			}
		}()
		s.run(6000)
	}
}
