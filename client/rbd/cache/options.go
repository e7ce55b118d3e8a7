package cache

import (
	"fmt"
	"strconv"
	"time"
)

// policies are the values of rbd_cache_policy.
var policies = map[string]Policy{"writeback": WriteBack,
	"writearound": WriteAround, "writethrough": WriteThrough}

// OptionsOf are the defaults as options change them (rbd_cache_*, rbd_readahead_*), which are empty
// if they do not; on is false if rbd_cache turns caches off.
func OptionsOf(get func(name string) string) (o Options, on bool, err error) {
	o, on = Defaults(), true
	bytes := func(to *uint64) func(string) error {
		return func(s string) (err error) {
			*to, err = strconv.ParseUint(s, 10, 64)
			return err
		}
	}
	boolean := func(to *bool) func(string) error {
		return func(s string) (err error) {
			*to, err = strconv.ParseBool(s)
			return err
		}
	}
	for _, row := range []struct {
		name string
		set  func(string) error
	}{
		{"rbd_cache", boolean(&on)},
		{"rbd_cache_policy", func(s string) error {
			p, ok := policies[s]
			if o.Policy = p; !ok {
				return fmt.Errorf("%q is none of writeback, writearound and writethrough", s)
			}
			return nil
		}},
		{"rbd_cache_writethrough_until_flush", boolean(&o.UntilFlush)},
		{"rbd_cache_size", bytes(&o.SizeBytes)},
		{"rbd_cache_max_dirty", bytes(&o.MaxDirtyBytes)},
		{"rbd_cache_target_dirty", bytes(&o.TargetDirtyBytes)},
		{"rbd_cache_max_dirty_age", func(s string) error {
			sec, err := strconv.ParseFloat(s, 64)
			o.MaxDirtyAge = time.Duration(sec * float64(time.Second))
			return err
		}},
		{"rbd_readahead_trigger_requests", func(s string) (err error) {
			o.ReadAheadRequests, err = strconv.Atoi(s)
			return err
		}},
		{"rbd_readahead_max_bytes", bytes(&o.ReadAheadBytes)},
		{"rbd_readahead_disable_after_bytes", bytes(&o.ReadAheadUpTo)},
	} {
		if s := get(row.name); s != "" {
			if err := row.set(s); err != nil {
				return o, on, fmt.Errorf("%s: %w", row.name, err)
			}
		}
	}
	return o, on, nil
}
