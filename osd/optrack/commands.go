package optrack

import (
	"cmp"
	"slices"
	"time"

	"glue/internal/admin"
	"glue/internal/cephjson"
)

func byAge(a, b Op) int { return a.Start.Compare(b.Start) }

func byDuration(a, b Op) int { return cmp.Compare(b.Took, a.Took) }

// A Source has the requests of a daemon.
type Source interface {
	Now() time.Time
	// InFlight are the requests under way that are at least so old, oldest first.
	InFlight(least time.Duration) []Op
	// Past is what pick takes of the requests that are remembered, in no order.
	Past(pick func(*History) []Op) []Op
	// Limits are how many are remembered and after what time one in flight is complained of.
	Limits() (past Limits, complaint time.Duration)
}

// Commands are the rows of an admin socket about requests.
func Commands(d Source) []admin.Command {
	const filter = "name=filterstr,type=CephString,n=N,req=false"
	row := func(prefix, help string, run func(words string) any) admin.Command {
		return admin.Command{Prefix: prefix, Signature: filter, Help: help,
			Run: func(a admin.Args) (any, error) { return run(a.Str("filterstr")), nil }}
	}
	flying := func(words string) any {
		ops := DumpAll(d.InFlight(0), words, d.Now())
		return cephjson.Object{{Key: "ops", Value: ops}, {Key: "num_ops", Value: len(ops)}}
	}
	return []admin.Command{
		row("dump_ops_in_flight", "show the ops currently in flight", flying),
		row("ops", "show the ops currently in flight", flying),
		row("dump_blocked_ops", "show the blocked ops currently in flight", func(w string) any {
			_, complaint := d.Limits()
			ops := DumpAll(d.InFlight(complaint), w, d.Now())
			return cephjson.Object{{Key: "ops", Value: ops},
				{Key: "complaint_time", Value: cephjson.Float(complaint.Seconds())},
				{Key: "num_blocked_ops", Value: len(ops)}}
		}),
		row("dump_historic_ops", "show recent ops", func(w string) any {
			return historic(d, byAge, w)
		}),
		row("dump_historic_ops_by_duration", "show slowest recent ops, sorted by duration",
			func(w string) any { return historic(d, byDuration, w) }),
		row("dump_historic_slow_ops", "show slowest recent ops", func(w string) any {
			past, _ := d.Limits()
			ops := d.Past(func(h *History) []Op { return h.Slow })
			slices.SortStableFunc(ops, byAge)
			ops = ops[max(0, len(ops)-past.SlowOps):]
			return cephjson.Object{{Key: "num to keep", Value: past.SlowOps},
				{Key: "threshold to keep", Value: cephjson.Float(past.SlowOp.Seconds())},
				{Key: "Ops", Value: DumpAll(ops, w, d.Now())}}
		}),
	}
}

// historic is the slowest requests of the last while.
func historic(d Source, order func(a, b Op) int, words string) any {
	past, _ := d.Limits()
	ops := d.Past(func(h *History) []Op { return h.Slowest })
	slices.SortStableFunc(ops, byDuration)
	ops = ops[:min(len(ops), past.Ops)]
	slices.SortStableFunc(ops, order)
	return cephjson.Object{{Key: "size", Value: past.Ops},
		{Key: "duration", Value: int64(past.For.Seconds())},
		{Key: "ops", Value: DumpAll(ops, words, d.Now())}}
}
