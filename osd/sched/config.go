package sched

import (
	"time"

	"glue/internal/options"
)

// A Config is what the options say of recovery and its schedule.
type Config struct {
	MaxBackfills, MaxActive, SingleStart int
	Depth                                int // of MaxActive, while clients are active
	Mclock                               bool
	Shares                               Shares
	Capacity                             float64 // IOs a second of a shard
	BytesPerIO                           float64
	Sleep, Delay, TrimSleep              time.Duration
	ChunkBytes, ChunkKeys                int
}

// byDisk are options that have a value for each kind of disk.
var byDisk = []struct{ ssd, hdd string }{
	diskActive: {"osd_recovery_max_active_ssd", "osd_recovery_max_active_hdd"},
	diskSleep:  {"osd_recovery_sleep_ssd", "osd_recovery_sleep_hdd"},
	diskTrim:   {"osd_snap_trim_sleep_ssd", "osd_snap_trim_sleep_hdd"},
	diskIOPS:   {"osd_mclock_max_capacity_iops_ssd", "osd_mclock_max_capacity_iops_hdd"},
	diskBandwidth: {"osd_mclock_max_sequential_bandwidth_ssd",
		"osd_mclock_max_sequential_bandwidth_hdd"},
}

const (
	diskActive = iota
	diskSleep
	diskTrim
	diskIOPS
	diskBandwidth
)

// custom are the options of the profile of that name: reservation, weight and limit by class.
// Requests of clients never wait, so there is nothing to reserve for them, and no limit.
var custom = [...][3]string{
	Client: {"", "osd_mclock_scheduler_client_wgt", ""},
	Recovery: {"osd_mclock_scheduler_background_recovery_res",
		"osd_mclock_scheduler_background_recovery_wgt",
		"osd_mclock_scheduler_background_recovery_lim"},
	BestEffort: {"osd_mclock_scheduler_background_best_effort_res",
		"osd_mclock_scheduler_background_best_effort_wgt",
		"osd_mclock_scheduler_background_best_effort_lim"},
}

// busyDepth is how many recovery operations are under way at most while clients are active. More
// are a queue before the disks and processors, in which clients' writes wait too: with 2 of them
// clients' 99th percentile somewhat more than doubles, for half as many objects again, with 12 it
// rises six times or more (docs/PERFORMANCE.md).
const busyDepth = 1

// NewConfig reads the options, for a store on a disk of a kind.
func NewConfig(set options.Set, rotational bool) Config {
	disk := func(i int) string {
		if rotational {
			return byDisk[i].hdd
		}
		return byDisk[i].ssd
	}
	b := Config{MaxBackfills: int(set.Int("osd_max_backfills")),
		MaxActive:   int(set.Int("osd_recovery_max_active")),
		SingleStart: int(max(set.Int("osd_recovery_max_single_start"), 1)),
		Mclock:      set.Str("osd_op_queue") != "wpq",
		Delay:       set.Duration("osd_recovery_delay_start"),
		ChunkBytes:  int(max(set.Int("osd_recovery_max_chunk"), 4096)),
		ChunkKeys:   int(max(set.Int("osd_recovery_max_omap_entries_per_chunk"), 1))}
	if b.MaxActive == 0 {
		b.MaxActive = int(set.Int(disk(diskActive)))
	}
	b.MaxActive = max(b.MaxActive, 1)
	b.Depth = b.MaxActive
	iops, shards := set.Float(disk(diskIOPS)), 2
	if n := set.Int("osd_op_num_shards"); n > 0 {
		shards = int(n)
	}
	b.Capacity = iops / float64(shards)
	if !b.Mclock {
		b.Shares = wpqShares(set)
		b.Sleep = set.Duration("osd_recovery_sleep")
		if b.Sleep == 0 {
			b.Sleep = set.Duration(disk(diskSleep))
		}
		b.TrimSleep = set.Duration("osd_snap_trim_sleep")
		if b.TrimSleep == 0 {
			b.TrimSleep = set.Duration(disk(diskTrim))
		}
		return b
	}
	b.BytesPerIO = float64(set.Int(disk(diskBandwidth))) / max(iops, 1)
	if p, ok := Find(set.Str("osd_mclock_profile")); ok {
		b.Shares = p.Shares.Of(iops, shards)
		b.Depth = min(b.MaxActive, busyDepth)
		return b
	}
	for c, names := range custom {
		value := func(name string) float64 {
			if name == "" {
				return 0
			}
			return float64(set.Int(name))
		}
		b.Shares[c] = Share{Reservation: value(names[0]), Weight: max(value(names[1]), 1),
			Limit: value(names[2])}
	}
	b.Shares = b.Shares.Of(1, shards)
	return b
}

// PieceCost is what a piece of an object costs, in a PG of so many objects and bytes.
func (b *Config) PieceCost(objects, bytes int64) float64 {
	size := float64(b.ChunkBytes)
	if objects > 0 {
		size = min(size, float64(bytes)/float64(objects))
	}
	return Cost(size, b.BytesPerIO)
}

// wpqShares have the priorities for weights: what is below the cut-off of a weighted priority queue
// shares by them.
func wpqShares(set options.Set) Shares {
	low := max(set.Float("osd_recovery_op_priority"), 1)
	return Shares{{Weight: max(set.Float("osd_client_op_priority"), 1)}, {Weight: low},
		{Weight: low}}
}
