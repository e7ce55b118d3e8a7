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
	simSnaps = flag.Bool("sim.snaps", true, "users of clusters take snapshots")
	simWatch = flag.Bool("sim.watches", true, "users of clusters watch and notify")
	simPool  = flag.String("sim.poolsnaps", "", "true, false; else if 3 divides the seed: "+
		"snapshots are the pool's")
	simBlock = flag.String("sim.blocks", "", "true, false; else if 4 divides the seed: OSDs have "+
		"the store of real disks")
	simTrace = flag.Bool("sim.trace", false, "write what happens")
	budget   = flag.Duration("sim.budget", usualBudget(), "how long new seeds are tried by each "+
		"of TestMonitors and TestClusters when nothing else is asked for; $SIM_BUDGET, or 25s")
)

// usualBudget is from the environment, as ./test runs all packages, which don't know the flag.
func usualBudget() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("SIM_BUDGET")); err == nil {
		return d
	}
	return 25 * time.Second
}

// A kept seed has found something.
type kept struct {
	seed  uint64
	mons  int // 0: the seed chooses
	until time.Duration
	what  string
}

// A suite is a kind of world and how much of it a run without flags tries.
type suite struct {
	test    string // its name
	osds    bool
	kept    []kept
	snaps   []kept        // with users that take snapshots
	watches []kept        // with users that watch and notify, too
	pools   []kept        // with snapshots of the pool, and watches
	blocks  []kept        // with watches and the store of real disks
	until   time.Duration // of each seed besides these
}

// one runs a seed, and on failure says how to run it again.
func (x *suite) one(t *testing.T, k kept, o Options) Result {
	t.Helper()
	o.Seed, o.For, o.Mons, o.OSDs = k.seed, k.until, k.mons, x.osds
	if *simTrace {
		o.Trace = os.Stderr
	}
	r, err := Run(o)
	if err != nil {
		t.Fatalf("%.20000v\nreplay: go test ./sim -run %s -sim.seed %d -sim.for %v -sim.mons %d"+
			" -sim.snaps=%v -sim.poolsnaps=%v -sim.watches=%v -sim.blocks=%v -sim.trace", err,
			x.test, k.seed, k.until, k.mons, o.Snaps, o.PoolSnaps, o.Watches, o.Blocks)
	}
	return r
}

// run does one seed, some hours, or all seeds that ever failed and some more.
func (x *suite) run(t *testing.T) {
	t.Helper()
	var sum Result
	start := time.Now()
	seed, until, more := *simSeed, *simFor, func() bool { return false }
	switch {
	case seed != 0:
	case *simHours > 0:
		seed, more = *simFrom, func() bool { return sum.Simulated.Hours() < *simHours }
	default:
		for _, l := range []struct {
			list []kept
			o    Options
		}{{x.kept, Options{}}, {x.snaps, Options{Snaps: true}},
			{x.watches, Options{Snaps: true, Watches: true}},
			{x.pools, Options{Snaps: true, PoolSnaps: true, Watches: true}},
			{x.blocks, Options{Snaps: true, Watches: true, Blocks: true}}} {
			for _, k := range l.list {
				sum.Add(x.one(t, k, l.o))
			}
		}
		until = x.until
		fresh := time.Now()
		seed = uint64(fresh.UnixNano()) // one that nobody has tried
		more = func() bool { return time.Since(fresh) < *budget }
	}
	for ok := true; ok; ok = more() {
		o := Options{Snaps: x.osds && *simSnaps, Watches: x.osds && *simWatch}
		o.PoolSnaps = o.Snaps && (*simPool == "true" || *simPool == "" && seed%3 == 0)
		o.Blocks = x.osds && (*simBlock == "true" || *simBlock == "" && seed%4 == 0)
		sum.Add(x.one(t, kept{seed, *simMons, until, ""}, o))
		if *simHours > 0 {
			t.Logf("seed %d is well, %.1f hours so far", seed, sum.Simulated.Hours())
		}
		seed++
	}
	if all := sum.Registers + sum.Objects; sum.Unchecked > 1+all/100 {
		t.Errorf("%d of %d histories took too long to check", sum.Unchecked, all)
	}
	t.Logf("%.1f hours in %v: %+v", sum.Simulated.Hours(), time.Since(start).Round(time.Second),
		sum)
}

// TestMonitors runs monitors under faults.
func TestMonitors(t *testing.T) {
	x := suite{test: "TestMonitors", until: 10 * time.Minute, kept: []kept{
		{101, 3, 46 * time.Minute, "one of three was removed while another had lost its disk"},
		{83092, 3, 33 * time.Minute, "a removed one was gone before its removal was durable"},
		{90056, 3, 34 * time.Minute, "a leader that was removed was gone before the others knew"},
		{60, 0, 7 * time.Minute, "a restarted monitor voted although it had promised its vote"},
	}}
	x.run(t)
}

// TestClusters runs whole clusters under faults.
func TestClusters(t *testing.T) {
	x := suite{test: "TestClusters", osds: true, until: 5 * time.Minute, kept: []kept{
		{207, 0, 10 * time.Minute, "a request that had failed was done when it came again"},
		{30062, 0, 10 * time.Minute, "a copy that was filled anew knew no older requests, and led"},
		{3058, 0, 10 * time.Minute, "one of four, see docs/simulation.md"},
		{4015, 0, 10 * time.Minute, "one of four"},
		{5048, 0, 10 * time.Minute, "one of four"},
		{6001, 0, 10 * time.Minute, "one of four"},
		{50041, 0, 6 * time.Minute, "recovery slept so much that a PG was not clean in time"},
	}, snaps: []kept{
		{82005, 0, 10 * time.Minute, "a client was told EIO by a disk that failed"},
		{94006, 0, 7 * time.Minute, "a backfill from a store that had failed was tried for ever"},
		{80005, 0, 12 * time.Minute, "a PG was clean before what it had pulled was durable"},
		{1795788690178707370, 0, 5 * time.Minute,
			"a PG began anew while one of two was lost and the other only down"},
		{300107, 0, 6 * time.Minute, "a rotten copy became the only one of its version"},
		{91050, 0, 6 * time.Minute, "the same"},
		{101001, 0, 6 * time.Minute, "the same"},
		{90015, 0, 6 * time.Minute, "min_size was 1 while the only copy of an object was rotten"},
		{92004, 0, 6 * time.Minute, "a lost disk was replaced when a bout was long over"},
	}, watches: []kept{
		{1, 0, 4 * time.Minute, "watches ended although they were pinged, and others too late"},
		{770104, 0, 21 * time.Minute, "others took over an entry that a hanging disk had not got"},
		{5007004, 0, 35 * time.Minute, "one OSD trimmed until just before the check"},
	}, pools: []kept{
		{117036, 0, 6 * time.Minute, "OSDs knew a snapshot before its maker had the answer"},
	}, blocks: []kept{
		{9001, 0, 10 * time.Minute, "an OSD stored more maps at once than a small journal takes"},
	}}
	x.run(t)
}

// TestLogsAreShort: few requests are remembered below the logs when few are to be. There is one
// user, as others would go on while it sends a request again, until that is not remembered.
func TestLogsAreShort(t *testing.T) {
	for seed := range uint64(2) {
		r, err := Run(Options{Seed: 1 + seed, For: 20 * time.Minute, OSDs: true, Users: 1,
			Dups: 50})
		if err != nil {
			t.Errorf("seed %d: %.2000v", 1+seed, err)
		}
		t.Logf("%+v", r)
	}
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
	for _, o := range []Options{{For: *simFor / 5}, {For: *simFor / 12, OSDs: true},
		{For: *simFor / 12, OSDs: true, Snaps: true, Watches: true},
		{For: *simFor / 12, OSDs: true, Snaps: true, PoolSnaps: true},
		{For: *simFor / 12, OSDs: true, Snaps: true, Blocks: true}} {
		o.Seed = max(*simSeed, 17)
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
