package mon

import (
	"io/fs"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// diskEvery is how often the room on the monitor's disk is looked at. With plenty of bytes free a
// low percentage does not matter: a monitor's store is small.
const (
	diskEvery   = 30 * time.Second
	plentyBytes = 8 << 30
)

// A diskState is how much room there is for the store, and what the store takes.
type diskState struct {
	at   time.Time
	free int   // percent, -1 when it is not known
	used int64 // bytes
}

// diskNow is the state of the monitor's disk, not older than diskEvery.
func (c *core) diskNow(now time.Time) diskState {
	if d := &c.disk; d.at.IsZero() || now.Sub(d.at) >= diskEvery {
		*d = diskState{at: now, free: -1, used: folderBytes(c.opt.Dir)}
		var st unix.Statfs_t
		if err := unix.Statfs(c.opt.Dir, &st); err == nil && st.Blocks > 0 {
			d.free = int(st.Bavail * 100 / st.Blocks)
			if st.Bavail*uint64(st.Bsize) >= plentyBytes {
				d.free = 100
			}
		}
	}
	return c.disk
}

// folderBytes is what the files of a folder take; a file that goes away meanwhile counts nothing.
func folderBytes(dir string) (sum int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil
		}
		if info, err := e.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	return sum
}
