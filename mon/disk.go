package mon

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"glue/mon/healthmon"
)

// diskEvery is how often the room on the monitor's disk is looked at. With plenty of bytes free a
// low percentage does not matter: a monitor's store is small.
const (
	diskEvery   = 30 * time.Second
	plentyBytes = 8 << 30
)

// A diskState is how much room there is for the store.
type diskState struct {
	at   time.Time
	free int // percent, -1 when it is not known
}

// diskFree is the percentage of the monitor's disk that is free.
func (c *core) diskFree(now time.Time) int {
	if d := &c.disk; d.at.IsZero() || now.Sub(d.at) >= diskEvery {
		d.at, d.free = now, -1
		var st unix.Statfs_t
		if err := unix.Statfs(c.opt.Dir, &st); err == nil && st.Blocks > 0 {
			d.free = int(st.Bavail * 100 / st.Blocks)
			if st.Bavail*uint64(st.Bsize) >= plentyBytes {
				d.free = 100
			}
		}
	}
	return c.disk.free
}

// diskChecks warns before the disk is full: a monitor that can't write stops.
func (c *core) diskChecks(now time.Time, out healthmon.Checks) {
	free := c.diskFree(now)
	line := fmt.Sprintf("mon.%s has %d%% avail", c.opt.Name, free)
	switch {
	case free < 0:
	case free <= int(c.set.Int("mon_data_avail_crit")):
		out.Add("MON_DISK_CRIT", healthmon.Err, 1,
			fmt.Sprintf("mon %s is very low on available space", c.opt.Name), line)
	case free <= int(c.set.Int("mon_data_avail_warn")):
		out.Add("MON_DISK_LOW", healthmon.Warn, 1,
			fmt.Sprintf("mon %s is low on available space", c.opt.Name), line)
	}
}
