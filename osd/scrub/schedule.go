package scrub

import (
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
)

// A Policy says when PGs are scrubbed (osd_scrub_* and the pool's own values).
type Policy struct {
	MinInterval, MaxInterval, DeepInterval time.Duration
	// Randomize spreads scrubs over so much of MinInterval beyond it; DeepShare of those that are
	// due become deep ones before their time.
	Randomize, DeepShare float64
	// Hours [BeginHour, EndHour) and days [BeginDay, EndDay) of the week, Sunday 0; equal for any.
	BeginHour, EndHour, BeginDay, EndDay int
	// LoadThreshold is the load average per CPU from which on none begins.
	LoadThreshold float64
	// NoScrub and NoDeep are the flags of the cluster or the pool.
	NoScrub, NoDeep bool
	AutoRepair      bool
	// DeepErrors are known of the PG: they are looked at anew each time.
	DeepErrors bool
}

// At is when a PG that was last scrubbed at last is due, and the deadline after which neither the
// hour nor the load counts; random is in [0, 1) and the same each time for one PG and last.
func (p *Policy) At(last time.Time, random float64) (due, deadline time.Time) {
	due = last.Add(p.MinInterval + time.Duration(p.Randomize*random*float64(p.MinInterval)))
	if p.MaxInterval > 0 {
		deadline = last.Add(p.MaxInterval)
	}
	return due, deadline
}

// Decide says whether a scrub has to begin at now, and which; now's zone is that of the hours.
func (p *Policy) Decide(now, last, lastDeep time.Time, random float64,
	lowLoad func(threshold float64) bool,
) (Job, bool) {
	due, deadline := p.At(last, random)
	if now.Before(due) {
		return Job{}, false
	}
	overdue := !deadline.IsZero() && !now.Before(deadline)
	if !overdue && (!p.permitted(now) || !lowLoad(p.LoadThreshold)) {
		return Job{}, false
	}
	deepDue := p.DeepErrors || !now.Before(lastDeep.Add(p.DeepInterval))
	// Another digit of the same random number decides on early deep scrubs.
	coin := random*97 - float64(int(random*97))
	j := Job{Deep: !p.NoDeep && (deepDue || !p.NoScrub && coin < p.DeepShare)}
	j.Auto = p.AutoRepair && !p.NoDeep
	return j, j.Deep || !p.NoScrub
}

// permitted says whether scrubs may begin at this hour of this day.
func (p *Policy) permitted(now time.Time) bool {
	return within(int(now.Weekday()), p.BeginDay, p.EndDay) &&
		within(now.Hour(), p.BeginHour, p.EndHour)
}

// within says whether v is in [begin, end), which may go round; all is when both are the same.
func within(v, begin, end int) bool {
	switch {
	case begin == end:
		return true
	case begin < end:
		return v >= begin && v < end
	}
	return v >= begin || v < end
}

// For is the policy for a pool: its own intervals, and its flags and the map's.
func (p Policy) For(m *osdmap.Map, pool *osdmap.Pool) Policy {
	for opt, to := range map[osdmap.PoolOpt]*time.Duration{
		osdmap.OptScrubMinInterval: &p.MinInterval, osdmap.OptScrubMaxInterval: &p.MaxInterval,
		osdmap.OptDeepScrubInterval: &p.DeepInterval,
	} {
		if v := pool.Opts[opt].Float; v > 0 {
			*to = time.Duration(v * float64(time.Second))
		}
	}
	p.NoScrub = m.Flags.Has(osdmap.FlagNoScrub) || pool.Flags.Has(osdmap.PoolNoScrub)
	p.NoDeep = m.Flags.Has(osdmap.FlagNoDeepScrub) || pool.Flags.Has(osdmap.PoolNoDeepScrub)
	return p
}

// Random is in [0, 1), the same for a PG until it is scrubbed or has been refused once more.
func Random(id ceph.PGID, h *pginfo.History, tries int) float64 {
	sum := fnv.New32a()
	fmt.Fprint(sum, id, h.LastScrubStamp, tries)
	return float64(sum.Sum32()) / (1 << 32)
}

// Backoff is how long a PG waits when an OSD had no slot for it: one to three seconds, so that two
// that want each other's slots don't meet for ever.
func Backoff(id ceph.PGID, h *pginfo.History, tries int) time.Duration {
	return time.Second + time.Duration(Random(id, h, tries)*float64(2*time.Second))
}

// A Plan says when a PG is due, for "dump_scrubs".
type Plan struct {
	PG       string `json:"pgid"`
	Due      string `json:"sched_time"`
	Deadline string `json:"deadline"`
	Forced   bool   `json:"forced"` // asked for: due now
	at       time.Time
}

// Plan is the plan for a PG.
func (p *Policy) Plan(id ceph.PGID, h *pginfo.History, tries int, forced bool) Plan {
	due, deadline := p.At(h.LastScrubStamp.Go(), Random(id, h, tries))
	if forced {
		due = h.LastScrubStamp.Go()
	}
	return Plan{id.String(), ceph.TimeOf(due).String(), ceph.TimeOf(deadline).String(), forced, due}
}

// SortPlans puts the first that is due first.
func SortPlans(plans []Plan) {
	slices.SortStableFunc(plans, func(a, b Plan) int { return a.at.Compare(b.at) })
}
