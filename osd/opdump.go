package osd

import (
	"slices"
	"time"

	"glue/osd/optrack"
)

// A tracked is the daemon as the source of what the commands about requests show.
type tracked struct{ *Daemon }

func (d tracked) Now() time.Time { return d.now() }

func (d tracked) Limits() (past optrack.Limits, complaint time.Duration) {
	c := d.config.Load()
	return c.history, c.complaint
}

// InFlight are the requests under way that are at least so old, oldest first.
func (d tracked) InFlight(least time.Duration) []optrack.Op {
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

// Past is the requests that the shards remember.
func (d tracked) Past(pick func(*optrack.History) []optrack.Op) []optrack.Op {
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
