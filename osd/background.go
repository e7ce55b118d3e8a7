package osd

import (
	"time"

	"glue/osd/sched"
)

// quietChunk is how large a piece of an object is while clients are active, so that none of their
// requests waits long behind one.
const quietChunk = 512 << 10

// since is the time for the scheduler.
func (s *shard) since() time.Duration { return s.now.Sub(s.d.start) }

// A task is a PG's next piece of recovery or trimming, or a step of its scrub.
type task struct {
	pg   *pg
	step func()
}

// enqueue has a PG's next piece of recovery done when it may be.
func (s *shard) enqueue(p *pg) {
	if p.queued {
		return
	}
	p.queued = true
	b := &s.d.config.Load().background
	s.bg.SetShares(b.Shares, b.Capacity)
	class := sched.BestEffort
	if p.m.NeedsRecovery() || p.degraded() {
		class = sched.Recovery
	}
	cost := 1.0 // trimming moves no data
	if !p.m.IsClean() {
		cost = b.PieceCost(p.stats.Objects, p.stats.Bytes)
	}
	s.bg.Push(class, task{pg: p}, cost)
}

// served notes a client's request while there is work in the background.
func (s *shard) served(op *clientOp) {
	bytes := 0
	for i := range op.m.Ops {
		bytes += len(op.m.Ops[i].In)
	}
	s.bg.Served(sched.Cost(float64(bytes), s.d.config.Load().background.BytesPerIO), s.since())
}

// mayStart says whether one more object may be on its way (osd_recovery_max_active).
func (s *shard) mayStart() bool {
	b := &s.d.config.Load().background
	limit := b.MaxActive
	if s.bg.ClientsActive(s.since()) {
		limit = b.Depth
	}
	return s.d.slots.active.Load() < int64(limit)
}

// work does what the scheduler allows of the background's work.
func (s *shard) work() {
	for s.again = 0; s.bg.Len() > 0 && !s.d.dead.Load(); {
		full := !s.mayStart()
		if full {
			s.d.slots.starved.Store(true)
			full = !s.mayStart() // or freed meanwhile
		}
		s.now = s.d.now()
		s.lane.Step()
		t, ok, wait := s.bg.Pop(s.since(), s.idle(), full)
		switch b := &s.d.config.Load().background; {
		case !ok:
			s.again = wait
			return
		case t.step != nil && s.pgs[t.pg.id] == t.pg:
			t.step()
		case t.step == nil:
			t.pg.queued = false
			if s.pgs[t.pg.id] == t.pg {
				t.pg.workOn()
			}
			if b.Sleep > 0 {
				s.bg.Hold(s.since() + b.Sleep)
			}
		}
	}
}

// idle says whether nothing waits for the shard.
func (s *shard) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.in) == 0
}

// moveBegun and moveEnded count the objects on their way; the end of one lets other shards go on.
func (s *shard) moveBegun() {
	s.d.slots.active.Add(1)
	s.moving++
}

func (s *shard) moveEnded(n int) {
	if n == 0 {
		return
	}
	s.moving -= n
	s.d.slots.active.Add(int64(-n))
	if s.d.slots.starved.Swap(false) {
		for _, other := range s.d.shards {
			other.wakeUp()
		}
	}
}

// chunk is how much of an object goes at a time.
func (s *shard) chunk() (bytes, keys int) {
	b := &s.d.config.Load().background
	if s.bg.ClientsActive(s.since()) {
		return min(b.ChunkBytes, quietChunk), b.ChunkKeys
	}
	return b.ChunkBytes, b.ChunkKeys
}
