package scrub

import (
	"time"

	"glue/internal/options"
)

// Options are what the options of a daemon say of scrubs.
type Options struct {
	Config Config
	Policy Policy
	// Max is how many scrubs an OSD takes part in at once (osd_max_scrubs).
	Max            int64
	DuringRecovery bool
	// LargeKeys and LargeBytes are from when on an omap is large.
	LargeKeys, LargeBytes uint64
}

// OptionsOf reads a daemon's options.
func OptionsOf(set options.Set) Options {
	n := int(set.Int("osd_scrub_chunk_max"))
	return Options{
		Max:            set.Int("osd_max_scrubs"),
		DuringRecovery: set.Bool("osd_scrub_during_recovery"),
		LargeKeys:      uint64(set.Int("osd_deep_scrub_large_omap_object_key_threshold")),
		LargeBytes: uint64(set.Int(
			"osd_deep_scrub_large_omap_object_value_sum_threshold")),
		Config: Config{ChunkMin: min(n, int(set.Int("osd_scrub_chunk_min"))),
			Preemptions: int(set.Int("osd_scrub_max_preemptions")),
			AutoErrors:  set.Int("osd_scrub_auto_repair_num_errors"),
			Sleep:       seconds(set, "osd_scrub_sleep"),
			Limits: Limits{Objects: n, Bytes: 64 << 20, MapBytes: 4 << 20,
				Stride: uint64(set.Int("osd_deep_scrub_stride")),
				Keys:   int(set.Int("osd_deep_scrub_keys"))}},
		Policy: Policy{MinInterval: seconds(set, "osd_scrub_min_interval"),
			MaxInterval:   seconds(set, "osd_scrub_max_interval"),
			DeepInterval:  seconds(set, "osd_deep_scrub_interval"),
			Randomize:     set.Float("osd_scrub_interval_randomize_ratio"),
			DeepShare:     set.Float("osd_deep_scrub_randomize_ratio"),
			BeginHour:     int(set.Int("osd_scrub_begin_hour")),
			EndHour:       int(set.Int("osd_scrub_end_hour")),
			BeginDay:      int(set.Int("osd_scrub_begin_week_day")),
			EndDay:        int(set.Int("osd_scrub_end_week_day")),
			LoadThreshold: set.Float("osd_scrub_load_threshold"),
			AutoRepair:    set.Bool("osd_scrub_auto_repair"),
		}}
}

func seconds(set options.Set, name string) time.Duration {
	return time.Duration(set.Float(name) * float64(time.Second))
}
