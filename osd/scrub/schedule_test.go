package scrub

import (
	"testing"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
	"glue/internal/options"
)

const day = 24 * time.Hour

// noon is on a Wednesday.
var noon = time.Date(2024, 1, 3, 12, 0, 0, 0, time.UTC)

func weekly() Policy {
	return Policy{MinInterval: day, MaxInterval: 7 * day, DeepInterval: 7 * day, Randomize: 0.5,
		LoadThreshold: 0.5}
}

// TestDecide: when a PG is scrubbed that was scrubbed at noon, and how.
func TestDecide(t *testing.T) {
	no, shallow, deep := "", "scrub", "deep-scrub"
	for name, c := range map[string]struct {
		change   func(p *Policy)
		after    time.Duration
		deepAgo  time.Duration
		random   float64
		load     float64
		want     string
		wantAuto bool
	}{
		"not yet":            {after: day - 1, want: no},
		"after min_interval": {after: day, want: shallow},
		"spread, not yet":    {after: day + 6*time.Hour - 1, random: 0.5, want: no},
		"spread":             {after: day + 6*time.Hour, random: 0.5, want: shallow},
		"not spread": {func(p *Policy) { p.Randomize = 0 }, day, 0, 0.9, 0, shallow,
			false},
		"deep, not yet":      {after: day, deepAgo: 7*day - 1, want: shallow},
		"deep":               {after: day, deepAgo: 7 * day, want: deep},
		"deep waits for min": {after: day - 1, deepAgo: 70 * day, want: no},
		"deep errors are seen": {func(p *Policy) { p.DeepErrors = true }, day, 0, 0, 0, deep,
			false},
		"load":              {after: 2 * day, load: 0.5, want: no},
		"little load":       {after: 2 * day, load: 0.49, want: shallow},
		"load, not yet max": {after: 7*day - 1, load: 9, want: no},
		"load beyond max":   {after: 7 * day, load: 9, want: shallow},
		"no max": {func(p *Policy) { p.MaxInterval = 0 }, 99 * day, 0, 0, 9, no,
			false},
		"hour": {func(p *Policy) { p.BeginHour, p.EndHour = 13, 20 }, day, 0, 0, 0, no, false},
		"hour, later": {func(p *Policy) { p.BeginHour, p.EndHour = 13, 20 }, day + time.Hour, 0, 0,
			0, shallow, false},
		"hour beyond max": {func(p *Policy) { p.BeginHour, p.EndHour = 13, 20 }, 7 * day, 0, 0, 0,
			shallow, false},
		"day": {func(p *Policy) { p.BeginDay, p.EndDay = 5, 1 }, day, 0, 0, 0, no, false},
		"day, on Friday": {func(p *Policy) { p.BeginDay, p.EndDay = 5, 1 }, 2 * day, 0, 0, 0,
			shallow, false},
		"noscrub": {func(p *Policy) { p.NoScrub = true }, 9 * day, 0, 0, 0, no, false},
		"noscrub and deep": {func(p *Policy) { p.NoScrub = true }, day, 7 * day, 0, 0, deep,
			false},
		"nodeep-scrub": {func(p *Policy) { p.NoDeep = true }, day, 7 * day, 0, 0, shallow,
			false},
		"nodeep-scrub, errors": {func(p *Policy) { p.NoDeep, p.DeepErrors = true, true }, day, 0, 0,
			0, shallow, false},
		"both": {func(p *Policy) { p.NoScrub, p.NoDeep = true, true }, 9 * day, 99 * day, 0, 0, no,
			false},
		"every one deep": {func(p *Policy) { p.DeepShare = 1 }, day, 0, 0, 0, deep, false},
		"every one deep but noscrub": {func(p *Policy) { p.DeepShare, p.NoScrub = 1, true }, day, 0,
			0, 0, no, false},
		"auto":      {func(p *Policy) { p.AutoRepair = true }, day, 7 * day, 0, 0, deep, true},
		"auto some": {func(p *Policy) { p.AutoRepair = true }, day, 0, 0, 0, shallow, true},
		"auto, nodeep-scrub": {func(p *Policy) { p.AutoRepair, p.NoDeep = true, true }, day, 0, 0,
			0, shallow, false},
	} {
		p := weekly()
		if c.change != nil {
			c.change(&p)
		}
		now := noon.Add(c.after)
		job, due := p.Decide(now, noon, now.Add(-c.deepAgo), c.random,
			func(most float64) bool { return c.load < most })
		got := no
		if due {
			got = job.Name()
		}
		if got != c.want || due && (job.Auto != c.wantAuto || job.Requested) {
			t.Errorf("%s: %q %+v, want %q, auto %v", name, got, job, c.want, c.wantAuto)
		}
	}
}

// TestWithin: hours and days may go round.
func TestWithin(t *testing.T) {
	for _, c := range []struct {
		begin, end int
		in, out    []int
	}{
		{0, 0, []int{0, 12, 23}, nil},
		{0, 24, []int{0, 12, 23}, nil},
		{7, 7, []int{0, 7, 23}, nil},
		{1, 7, []int{1, 6}, []int{0, 7, 23}},
		{22, 24, []int{22, 23}, []int{0, 12, 21}},
		{22, 0, []int{22, 23}, []int{0, 21}},
		{22, 5, []int{22, 23, 0, 4}, []int{5, 12, 21}},
	} {
		p := Policy{BeginHour: c.begin, EndHour: c.end}
		for i, list := range [][]int{c.in, c.out} {
			for _, h := range list {
				at := time.Date(2024, 1, 3, h, 59, 59, 0, time.UTC)
				if p.permitted(at) != (i == 0) {
					t.Errorf("[%d, %d): %v", c.begin, c.end, at)
				}
			}
		}
	}
	// From Friday to Sunday, inclusive; 7 is Sunday again.
	for _, c := range []struct {
		begin, end int
		days       string
	}{{5, 1, "x....xx"}, {5, 7, ".....xx"}, {0, 7, "xxxxxxx"}, {0, 0, "xxxxxxx"},
		{1, 6, ".xxxxx."}} {
		p := Policy{BeginDay: c.begin, EndDay: c.end}
		for d := range 7 { // the seventh is a Sunday
			got := p.permitted(time.Date(2024, 1, 7+d, 12, 0, 0, 0, time.UTC))
			if got != (c.days[d] == 'x') {
				t.Errorf("days [%d, %d): %d is %v", c.begin, c.end, d, got)
			}
		}
	}
	// The zone of the time is the one of the hours.
	p := Policy{BeginHour: 14, EndHour: 15}
	if !p.permitted(noon.In(time.FixedZone("", 2*3600))) || p.permitted(noon) {
		t.Error("the hour is of another zone")
	}
}

// TestSpread: PGs are due all over the interval, so many of them deep before their time, and one is
// due at the same time however often it is asked.
func TestSpread(t *testing.T) {
	p := weekly()
	p.DeepShare = 0.15
	const n = 4000
	early, deep := 0, 0
	for i := range uint32(n) {
		id := ceph.PGID{Pool: 3, Seed: i}
		h := &pginfo.History{LastScrubStamp: ceph.TimeOf(noon)}
		r := Random(id, h, 0)
		if r != Random(id, h, 0) || r < 0 || r >= 1 {
			t.Fatalf("%v: %v", id, r)
		}
		if due, _ := p.At(noon, r); due.Before(noon.Add(day + 6*time.Hour)) {
			early++
		}
		late := noon.Add(2 * day)
		if j, ok := p.Decide(late, noon, late, r, func(float64) bool { return true }); !ok {
			t.Fatalf("%v is not due", id)
		} else if j.Deep {
			deep++
		}
		h.LastScrubStamp = ceph.TimeOf(noon.Add(time.Second))
		if Random(id, h, 0) == r || Random(id, h, 1) == Random(id, h, 0) {
			t.Errorf("%v: the same random number after another scrub", id)
		}
	}
	if early < n*45/100 || early > n*55/100 {
		t.Errorf("%d of %d in the first half", early, n)
	}
	if deep < n*12/100 || deep > n*18/100 {
		t.Errorf("%d of %d are deep", deep, n)
	}
}

// TestFor: a pool's own values and flags, and the map's.
func TestFor(t *testing.T) {
	m, pool := osdmap.Empty(), osdmap.NewPool()
	if got := weekly().For(m, pool); got != weekly() {
		t.Errorf("nothing is set: %+v", got)
	}
	pool.Opts = map[osdmap.PoolOpt]osdmap.OptValue{
		osdmap.OptScrubMinInterval:  {Float: 1},
		osdmap.OptScrubMaxInterval:  {Float: 2.5},
		osdmap.OptDeepScrubInterval: {Float: 3},
	}
	want := weekly()
	want.MinInterval, want.MaxInterval, want.DeepInterval = time.Second, 2500*time.Millisecond,
		3*time.Second
	if got := weekly().For(m, pool); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, c := range []struct {
		ofMap         osdmap.Flags
		ofPool        osdmap.PoolFlags
		noScrub, deep bool
	}{{osdmap.FlagNoScrub, 0, true, false}, {osdmap.FlagNoDeepScrub, 0, false, true},
		{0, osdmap.PoolNoScrub, true, false}, {0, osdmap.PoolNoDeepScrub, false, true}} {
		m.Flags, pool.Flags = c.ofMap, c.ofPool
		if got := weekly().For(m, pool); got.NoScrub != c.noScrub || got.NoDeep != c.deep {
			t.Errorf("flags %v, pool's %v: %+v", c.ofMap, c.ofPool, got)
		}
	}
}

// TestOptionsOf: every option gets where it belongs.
func TestOptionsOf(t *testing.T) {
	set, err := options.Set{}.With(map[string]string{
		"osd_scrub_min_interval": "11", "osd_scrub_max_interval": "12",
		"osd_deep_scrub_interval": "13", "osd_scrub_interval_randomize_ratio": "0.14",
		"osd_deep_scrub_randomize_ratio": "0.15", "osd_scrub_begin_hour": "16",
		"osd_scrub_end_hour": "17", "osd_scrub_begin_week_day": "2",
		"osd_scrub_end_week_day": "3", "osd_scrub_load_threshold": "0.19",
		"osd_scrub_auto_repair": "true", "osd_scrub_auto_repair_num_errors": "20",
		"osd_max_scrubs": "21", "osd_scrub_during_recovery": "true",
		"osd_scrub_chunk_min": "22", "osd_scrub_chunk_max": "23",
		"osd_scrub_max_preemptions": "24", "osd_scrub_sleep": "0.25",
	})
	if err != nil {
		t.Fatal(err)
	}
	got := OptionsOf(set)
	want := Policy{11 * time.Second, 12 * time.Second, 13 * time.Second, 0.14, 0.15, 16, 17, 2, 3,
		0.19, false, false, true, false}
	if got.Policy != want {
		t.Errorf("%+v, want %+v", got.Policy, want)
	}
	c := got.Config
	if got.Max != 21 || !got.DuringRecovery || c.ChunkMin != 22 || c.Limits.Objects != 23 ||
		c.Preemptions != 24 || c.Sleep != 250*time.Millisecond || c.AutoErrors != 20 {
		t.Errorf("%+v", got)
	}
}
