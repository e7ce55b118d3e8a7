package osd

import (
	"time"

	"glue/internal/options"
	"glue/osd/sched"
)

// background is what the options say of recovery and its schedule.
type background struct {
	maxBackfills, maxActive, singleStart int
	depth                                int // of maxActive, while clients are active
	mclock                               bool
	shares                               sched.Shares
	bytesPerIO                           float64
	sleep, delay                         time.Duration
	chunkBytes, chunkKeys                int
}

// quietChunk is how large a piece of an object is while clients are active, so that none of their
// requests waits long behind one.
const quietChunk = 512 << 10

// byDisk are options that have a value for each kind of disk.
var byDisk = []struct{ ssd, hdd string }{
	diskActive: {"osd_recovery_max_active_ssd", "osd_recovery_max_active_hdd"},
	diskSleep:  {"osd_recovery_sleep_ssd", "osd_recovery_sleep_hdd"},
	diskIOPS:   {"osd_mclock_max_capacity_iops_ssd", "osd_mclock_max_capacity_iops_hdd"},
	diskBandwidth: {"osd_mclock_max_sequential_bandwidth_ssd",
		"osd_mclock_max_sequential_bandwidth_hdd"},
}

const (
	diskActive = iota
	diskSleep
	diskIOPS
	diskBandwidth
)

// custom are the options of the profile of that name: reservation, weight and limit by class.
var custom = [...][3]string{
	sched.Client: {"osd_mclock_scheduler_client_res", "osd_mclock_scheduler_client_wgt",
		"osd_mclock_scheduler_client_lim"},
	sched.Recovery: {"osd_mclock_scheduler_background_recovery_res",
		"osd_mclock_scheduler_background_recovery_wgt",
		"osd_mclock_scheduler_background_recovery_lim"},
	sched.BestEffort: {"osd_mclock_scheduler_background_best_effort_res",
		"osd_mclock_scheduler_background_best_effort_wgt",
		"osd_mclock_scheduler_background_best_effort_lim"},
}

func newBackground(set options.Set, rotational bool) background {
	disk := func(i int) string {
		if rotational {
			return byDisk[i].hdd
		}
		return byDisk[i].ssd
	}
	b := background{maxBackfills: int(set.Int("osd_max_backfills")),
		maxActive:   int(set.Int("osd_recovery_max_active")),
		singleStart: int(max(set.Int("osd_recovery_max_single_start"), 1)),
		mclock:      set.Str("osd_op_queue") != "wpq",
		delay:       set.Duration("osd_recovery_delay_start"),
		chunkBytes:  int(max(set.Int("osd_recovery_max_chunk"), 4096)),
		chunkKeys:   int(max(set.Int("osd_recovery_max_omap_entries_per_chunk"), 1))}
	if b.maxActive == 0 {
		b.maxActive = int(set.Int(disk(diskActive)))
	}
	b.maxActive = max(b.maxActive, 1)
	b.depth = b.maxActive
	if !b.mclock {
		b.shares = wpqShares
		b.sleep = set.Duration("osd_recovery_sleep")
		if b.sleep == 0 {
			b.sleep = set.Duration(disk(diskSleep))
		}
		return b
	}
	iops, shards := set.Float(disk(diskIOPS)), 2
	if n := set.Int("osd_op_num_shards"); n > 0 {
		shards = int(n)
	}
	b.bytesPerIO = float64(set.Int(disk(diskBandwidth))) / max(iops, 1)
	if p, ok := sched.Find(set.Str("osd_mclock_profile")); ok {
		b.shares = p.Shares.Of(iops, shards)
		b.depth = max(1, int(p.Depth*float64(b.maxActive)))
		return b
	}
	for c, names := range custom {
		b.shares[c] = sched.Share{Reservation: float64(set.Int(names[0])),
			Weight: float64(max(set.Int(names[1]), 1)), Limit: float64(set.Int(names[2]))}
	}
	b.shares = b.shares.Of(1, shards)
	return b
}

// wpqShares are osd_client_op_priority and osd_recovery_op_priority: what is below the cut-off of a
// weighted priority queue shares by its priority.
var wpqShares = sched.Shares{{Weight: 63}, {Weight: 3}, {Weight: 3}}

// since is the time for the scheduler.
func (s *shard) since() time.Duration { return s.now.Sub(s.d.start) }

// enqueue has a PG's next piece of recovery done when it may be.
func (s *shard) enqueue(p *pg) {
	if p.queued {
		return
	}
	p.queued = true
	b := &s.d.config.Load().background
	s.bg.SetShares(b.shares)
	class := sched.BestEffort
	if p.m.NeedsRecovery() || p.degraded() {
		class = sched.Recovery
	}
	size := float64(b.chunkBytes)
	if n := p.stats.Objects; n > 0 {
		size = min(size, float64(p.stats.Bytes)/float64(n))
	}
	s.bg.Push(class, p, sched.Cost(size, b.bytesPerIO))
}

// served notes a client's request while there is work in the background.
func (s *shard) served(op *clientOp) {
	bytes := 0
	for i := range op.m.Ops {
		bytes += len(op.m.Ops[i].In)
	}
	s.bg.Served(sched.Cost(float64(bytes), s.d.config.Load().background.bytesPerIO), s.since())
}

// mayStart says whether one more object may be on its way (osd_recovery_max_active).
func (s *shard) mayStart() bool {
	b := &s.d.config.Load().background
	limit := b.maxActive
	if s.bg.ClientsActive(s.since()) {
		limit = b.depth
	}
	return s.d.slots.active.Load() < int64(limit)
}

// work does what the scheduler allows of the background's work.
func (s *shard) work() {
	s.again = 0
	s.now = s.d.now()
	for s.bg.Len() > 0 && !s.d.dead.Load() {
		if !s.mayStart() {
			s.d.slots.starved.Store(true)
			if s.mayStart() { // freed meanwhile
				continue
			}
			return
		}
		p, ok, wait := s.bg.Pop(s.since(), s.idle())
		if !ok {
			s.again = wait
			return
		}
		p.queued = false
		if s.pgs[p.id] == p {
			p.workOn()
		}
		if sleep := s.d.config.Load().background.sleep; sleep > 0 {
			s.bg.Hold(s.since() + sleep)
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
		return min(b.chunkBytes, quietChunk), b.chunkKeys
	}
	return b.chunkBytes, b.chunkKeys
}
