package sim

import (
	"flag"
	"os"
	"testing"
	"time"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "run this seed only")
	simFor   = flag.Duration("sim.for", time.Hour, "how long a seed is simulated")
	simMons  = flag.Int("sim.mons", 0, "how many monitors; 0: the seed chooses")
	simHours = flag.Float64("sim.hours", 0, "simulate so many hours, from -sim.from on")
	simFrom  = flag.Uint64("sim.from", 1, "the first seed of -sim.hours")
	simTrace = flag.Bool("sim.trace", false, "write what happens")
	simFresh = flag.Bool("sim.fresh", false, "begin with a seed that nobody has tried, not with 1")
)

// budget is how long seeds are run when nothing else is asked for.
const budget = 25 * time.Second

// firstSeed is where a run without flags begins. While the simulation has findings that are not
// mended (docs/simulation.md), a test of other changes should not stumble over them.
func firstSeed() uint64 {
	if *simFresh {
		return uint64(time.Now().UnixNano())
	}
	return 1
}

// kept are the seeds that have found something, with what it was.
var kept = []struct {
	seed  uint64
	mons  int // 0: the seed chooses
	until time.Duration
	what  string
}{
	{101, 3, 46 * time.Minute, "one of three was removed while another had lost its disk"},
	{83092, 3, 33 * time.Minute, "a removed one was gone before its removal was durable"},
	{60, 0, 7 * time.Minute, "a restarted monitor voted although it had promised its vote"},
}

// run runs a seed, and on failure says how to run it again.
func run(t *testing.T, seed uint64, mons int, until time.Duration) Result {
	t.Helper()
	o := Options{Seed: seed, For: until, Mons: mons}
	if *simTrace {
		o.Trace = os.Stderr
	}
	r, err := Run(o)
	if err != nil {
		t.Fatalf("%v\nreplay: go test ./sim -run TestMonitors -sim.seed %d -sim.for %v"+
			" -sim.mons %d -sim.trace", err, seed, until, mons)
	}
	return r
}

// TestMonitors runs monitors under faults: one seed, some hours, or all seeds that ever failed and
// some more.
func TestMonitors(t *testing.T) {
	var sum Result
	start := time.Now()
	seed, until, more := *simSeed, *simFor, func() bool { return false }
	switch {
	case seed != 0:
	case *simHours > 0:
		seed, more = *simFrom, func() bool { return sum.Simulated.Hours() < *simHours }
	default:
		for _, k := range kept {
			sum.Add(run(t, k.seed, k.mons, k.until))
		}
		until = 10 * time.Minute
		seed, more = firstSeed(), func() bool { return time.Since(start) < budget }
	}
	for ok := true; ok; ok = more() {
		sum.Add(run(t, seed, *simMons, until))
		if *simHours > 0 {
			t.Logf("seed %d is well, %.1f hours so far", seed, sum.Simulated.Hours())
		}
		seed++
	}
	if sum.Unchecked > 0 {
		t.Errorf("%d histories took too long to check", sum.Unchecked)
	}
	t.Logf("%.1f hours in %v: %+v", sum.Simulated.Hours(), time.Since(start).Round(time.Second),
		sum)
}

// TestClock: setting the time of day changes what the time is said to be, and no difference.
func TestClock(t *testing.T) {
	s := &schedule{now: time.Hour}
	c := &clock{s: s}
	before := c.timeOfDay()
	s.now += 5 * time.Second
	c.step = -time.Minute
	after := c.timeOfDay()
	if d := after.Sub(before); d != 5*time.Second || !after.After(before) {
		t.Errorf("5 s later the difference is %v", d)
	}
	if want := epoch.Add(time.Hour + 5*time.Second - time.Minute); !after.Round(0).Equal(want) ||
		after.Unix() != want.Unix() || !after.Add(1).Round(0).Equal(want.Add(1)) {
		t.Errorf("the time is said to be %v, want %v", after, want)
	}
}

// TestSameSeedSameRun: a failure can be replayed.
func TestSameSeedSameRun(t *testing.T) {
	for _, o := range []Options{{For: *simFor / 5}, {For: *simFor / 12, OSDs: true}} {
		o.Seed = max(*simSeed, 7)
		a, errA := Run(o)
		b, errB := Run(o)
		if a != b || errA != errB {
			t.Errorf("two runs of a seed differ:\n%+v %v\n%+v %v", a, errA, b, errB)
		}
		o.Seed = 8
		if c, _ := Run(o); c.Hash == a.Hash {
			t.Error("two seeds do the same")
		}
	}
}

// TestPlantedBugs: the checks find what they are there to find.
func TestPlantedBugs(t *testing.T) {
	for _, x := range []struct {
		bug   Bug
		seeds uint64
	}{{NotDurable, 5}, {LongLease, 5}, {ShortSnapshot, 5}, {StaleTail, 10}, {OldMember, 5}} {
		t.Run(string(x.bug), func(t *testing.T) {
			for seed := uint64(1); seed <= x.seeds; seed++ {
				r, err := Run(Options{Seed: seed, For: time.Hour, Bug: x.bug})
				if err != nil {
					t.Logf("found by seed %d: %.300v", seed, err)
					return
				}
				t.Logf("seed %d: %+v", seed, r)
			}
			t.Errorf("not found in %d hours", x.seeds)
		})
	}
}
