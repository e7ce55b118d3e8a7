package osd

import (
	"cmp"
	"slices"
	"time"

	"glue/internal/admin"
	"glue/internal/cephjson"
	"glue/osd/optrack"
)

// inFlight are the requests under way that are at least so old, oldest first.
func (d *Daemon) inFlight(least time.Duration) []optrack.Op {
	var out []optrack.Op
	for _, s := range d.shards {
		out = append(out, s.inFlight(least)...)
	}
	slices.SortStableFunc(out, func(a, b optrack.Op) int { return a.Start.Compare(b.Start) })
	return out
}

// shardPatience is how long a shard may take to describe its requests before that is done without
// it.
const shardPatience = 2 * time.Second

func (s *shard) inFlight(least time.Duration) []optrack.Op {
	answer := make(chan []optrack.Op, 1)
	s.post(event{kind: evCall, call: func(s *shard) {
		answer <- s.list(least, func(op *clientOp, age time.Duration) (optrack.Op, bool) {
			if op.ended {
				return optrack.Op{}, false
			}
			p := op.describe(age)
			if pg := s.pgs[op.pg]; pg != nil {
				p.Behind = pg.behind(op)
			}
			return p, true
		})
	}})
	select {
	case list := <-answer:
		return list
	case <-s.d.stop:
	case <-time.After(shardPatience):
	}
	return s.list(least, (*clientOp).brief)
}

// list goes through the requests in flight; f may pass over one.
func (s *shard) list(
	least time.Duration, f func(*clientOp, time.Duration) (optrack.Op, bool),
) []optrack.Op {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []optrack.Op
	now := s.d.now()
	for op := s.flying.head; op != nil; op = op.next {
		age := now.Sub(op.Start)
		if age < least {
			break // the others are younger
		}
		if p, ok := f(op, age); ok {
			out = append(out, p)
		}
	}
	return out
}

// behind are the copies that a write still waits for, ourselves included.
func (p *pg) behind(op *clientOp) []int32 {
	for _, w := range p.window.All() {
		if w.op == op {
			return p.window.Behind(w.version)
		}
	}
	return nil
}

// past is the requests that the shards remember.
func (d *Daemon) past(pick func(*optrack.History) []optrack.Op) []optrack.Op {
	var out []optrack.Op
	c := d.config.Load()
	for _, s := range d.shards {
		s.sync(func(s *shard) {
			s.past.Trim(&c.history, s.now)
			out = append(out, pick(&s.past)...)
		})
	}
	return out
}

func byAge(a, b optrack.Op) int { return a.Start.Compare(b.Start) }

func byDuration(a, b optrack.Op) int { return cmp.Compare(b.Took, a.Took) }

// opCommands are the rows about requests.
func (d *Daemon) opCommands() []admin.Command {
	const filter = "name=filterstr,type=CephString,n=N,req=false"
	row := func(prefix, help string, run func(words string) any) admin.Command {
		return admin.Command{Prefix: prefix, Signature: filter, Help: help,
			Run: func(a admin.Args) (any, error) { return run(a.Str("filterstr")), nil }}
	}
	flying := func(words string) any {
		ops := optrack.DumpAll(d.inFlight(0), words, d.now())
		return cephjson.Object{{Key: "ops", Value: ops}, {Key: "num_ops", Value: len(ops)}}
	}
	return []admin.Command{
		row("dump_ops_in_flight", "show the ops currently in flight", flying),
		row("ops", "show the ops currently in flight", flying),
		row("dump_blocked_ops", "show the blocked ops currently in flight", func(w string) any {
			complaint := d.config.Load().complaint
			ops := optrack.DumpAll(d.inFlight(complaint), w, d.now())
			return cephjson.Object{{Key: "ops", Value: ops},
				{Key: "complaint_time", Value: cephjson.Float(complaint.Seconds())},
				{Key: "num_blocked_ops", Value: len(ops)}}
		}),
		row("dump_historic_ops", "show recent ops", func(w string) any {
			return d.historic(byAge, w)
		}),
		row("dump_historic_ops_by_duration", "show slowest recent ops, sorted by duration",
			func(w string) any { return d.historic(byDuration, w) }),
		row("dump_historic_slow_ops", "show slowest recent ops", func(w string) any {
			c := d.config.Load()
			ops := d.past(func(h *optrack.History) []optrack.Op { return h.Slow })
			slices.SortStableFunc(ops, byAge)
			ops = ops[max(0, len(ops)-c.history.SlowOps):]
			return cephjson.Object{{Key: "num to keep", Value: c.history.SlowOps},
				{Key: "threshold to keep", Value: cephjson.Float(c.history.SlowOp.Seconds())},
				{Key: "Ops", Value: optrack.DumpAll(ops, w, d.now())}}
		}),
	}
}

// historic is the slowest requests of the last while.
func (d *Daemon) historic(order func(a, b optrack.Op) int, words string) any {
	c := d.config.Load()
	ops := d.past(func(h *optrack.History) []optrack.Op { return h.Slowest })
	slices.SortStableFunc(ops, byDuration)
	ops = ops[:min(len(ops), c.history.Ops)]
	slices.SortStableFunc(ops, order)
	return cephjson.Object{{Key: "size", Value: c.history.Ops},
		{Key: "duration", Value: int64(c.history.For.Seconds())},
		{Key: "ops", Value: optrack.DumpAll(ops, words, d.now())}}
}
