package sim

import (
	"math/rand/v2"
	"time"
	"unsafe"
)

// epoch is the time of day at which every simulation begins.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// maxDriftPPM is how much faster or slower a host's clocks may run.
const maxDriftPPM = 500

// A clock is a host's: one that never goes back and the time of day, which may be set.
type clock struct {
	s     *schedule
	ppm   int64
	step  time.Duration
	lease time.Duration // planted bug: divides the time that leases see; 0: not at all
}

func newClock(s *schedule, rng *rand.Rand) *clock {
	return &clock{s: s, ppm: rng.Int64N(2*maxDriftPPM+1) - maxDriftPPM}
}

// stretch is how long something takes in the simulation that takes d by this clock.
func (c *clock) stretch(d time.Duration) time.Duration {
	return d - d*time.Duration(c.ppm)/1_000_000
}

func (c *clock) elapsed() time.Duration {
	return c.s.now + c.s.now*time.Duration(c.ppm)/1_000_000
}

func (c *clock) monotonic() time.Duration {
	if c.lease > 0 {
		return c.elapsed() / c.lease
	}
	return c.elapsed()
}

// timeOfDay reads the clock as time.Now does: with what the time is said to be, and with a reading
// of the clock that never goes back, which differences are taken of.
func (c *clock) timeOfDay() time.Time {
	return reading(epoch.Add(c.elapsed()+c.step), c.elapsed())
}

// reading is what time.Now would return. Only that function makes times with two readings, hence
// the knowledge of their layout: a flag, seconds since 1885 and nanoseconds; the monotonic reading.
func reading(wall time.Time, mono time.Duration) time.Time {
	const (
		hasMonotonic = 1 << 63
		since1885    = 2682288000 // seconds to 1970
	)
	t := struct {
		wall uint64
		ext  int64
		loc  *time.Location
	}{
		wall: hasMonotonic | uint64(wall.Unix()+since1885)<<30 | uint64(wall.Nanosecond()),
		ext:  int64(mono) + 1,
	}
	return *(*time.Time)(unsafe.Pointer(&t))
}
