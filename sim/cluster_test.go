package sim

import (
	"os"
	"testing"
	"time"
)

// keptClusters are the seeds of clusters that have found something, with what it was.
var keptClusters = []struct {
	seed  uint64
	until time.Duration
	what  string
}{
	{207, 10 * time.Minute, "a request that had failed was done when it came again"},
	{30062, 10 * time.Minute, "a copy that was filled anew knew no older requests, and led"},
}

func runCluster(t *testing.T, seed uint64, until time.Duration) Result {
	t.Helper()
	o := Options{Seed: seed, For: until, Mons: *simMons, OSDs: true}
	if *simTrace {
		o.Trace = os.Stderr
	}
	r, err := Run(o)
	if err != nil {
		t.Fatalf("%.20000v\nreplay: go test ./sim -run TestClusters -sim.seed %d -sim.for %v"+
			" -sim.trace", err, seed, until)
	}
	return r
}

// TestClusters runs whole clusters under faults: one seed, some hours, or all seeds that ever
// failed and some more.
func TestClusters(t *testing.T) {
	var sum Result
	start := time.Now()
	seed, until, more := *simSeed, *simFor, func() bool { return false }
	switch {
	case seed != 0:
	case *simHours > 0:
		seed, more = *simFrom, func() bool { return sum.Simulated.Hours() < *simHours }
	default:
		for _, k := range keptClusters {
			sum.Add(runCluster(t, k.seed, k.until))
		}
		until = 5 * time.Minute
		seed, more = firstSeed(), func() bool { return time.Since(start) < budget }
	}
	for ok := true; ok; ok = more() {
		sum.Add(runCluster(t, seed, until))
		if *simHours > 0 {
			t.Logf("seed %d is well, %.1f hours so far", seed, sum.Simulated.Hours())
		}
		seed++
	}
	if sum.Unchecked > sum.Registers/20 { // a checker that the machine keeps waiting gives up
		t.Errorf("%d of %d histories took too long to check", sum.Unchecked, sum.Registers)
	}
	t.Logf("%.1f hours in %v: %+v", sum.Simulated.Hours(), time.Since(start).Round(time.Second),
		sum)
}

// TestPlantedOSDBugs: the checks of clusters find what they are there to find.
func TestPlantedOSDBugs(t *testing.T) {
	for _, x := range []struct {
		bug         Bug
		first, last uint64 // seeds
	}{
		{OSDNotDurable, 1, 10}, {ReplicaSkips, 1, 5}, {ReplicaNoEntry, 1, 10}, {WrongLog, 1, 10},
		{LogCut, 1, 5}, {MissingCut, 26, 40}, {PushNoAttrs, 1, 5}, {PushNoOmap, 1, 5},
		{PushStale, 1, 5}, {AckFar, 1, 40}, {SlotLeak, 1, 5}, {LostMessage, 1, 10},
		{OtherID, 1, 5},
	} {
		t.Run(string(x.bug), func(t *testing.T) {
			for seed := x.first; seed <= x.last; seed++ {
				_, err := Run(Options{Seed: seed, For: 5 * time.Minute, OSDs: true, Bug: x.bug})
				if err != nil {
					t.Logf("found by seed %d: %.300v", seed, err)
					return
				}
			}
			t.Errorf("not found by seeds %d to %d", x.first, x.last)
		})
	}
}
