package sim

import (
	"time"

	"glue/sim/memdisk"
)

// diskFails has a disk fail for a while: it is full, or can't be written, or the daemon is ended
// and can't read it. The daemon has to end by itself, or not to start, and to go on where it was
// when the disk works again.
func (f *faults) diskFails() {
	h, how, syncs := f.some(), memdisk.Full, 0
	how += memdisk.Failing(f.w.rng.IntN(int(memdisk.Failings - how)))
	if how == memdisk.NoWrites && f.w.rng.IntN(2) == 0 {
		syncs = 1 + f.w.rng.IntN(40)
	}
	if how == memdisk.NoReads {
		h.crash(memdisk.KeepAll)
	}
	h.disk.Break(how, syncs)
	f.w.trace("disk fails", "mon", h.name, "how", int(how), "sync", syncs)
	h.start()
	f.during(f.while(time.Second, 60), func() {
		h.disk.Break(memdisk.Fine, 0)
		h.start()
	})
}

// diskFailed takes that a daemon has ended since its disk failed.
func (h *host) diskFailed(err error) {
	h.w.trace("ended by its disk", "mon", h.name, "err", err)
	h.w.result.DiskErrors++
	if h.m != nil {
		h.crash(memdisk.TearSome)
	}
	h.disk = h.disk.Clone()
}
