package sim

import (
	"maps"
	"slices"
	"time"
)

// A failing is what does not work on a disk.
type failing int

const (
	fine     failing = iota
	full             // no room: ENOSPC; half of what is written still fits
	noWrites         // EIO on what is written and synced
	noReads          // EIO on what is read
	failings
)

// hit counts a failure.
func (d *disk) hit(err error) error {
	d.hits++
	return err
}

// break_ has the disk fail from now on, or from some sync of a log on; fine mends it.
func (d *disk) break_(how failing, syncs int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bad, d.badIn = how, 0; syncs > 0 {
		d.bad, d.badIn = fine, syncs
	}
}

func (d *disk) failed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hits > 0
}

// clone is the same disk for the next life of a daemon that could not close its database: what is
// left of that must not write on it.
func (d *disk) clone() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	copies := map[*inode]*inode{}
	twin := func(n *inode) *inode {
		if copies[n] == nil {
			copies[n] = &inode{dir: n.dir, data: slices.Clone(n.data), synced: n.synced}
		}
		return copies[n]
	}
	o := &disk{now: map[string]*inode{}, kept: map[string]*inode{}, bad: d.bad, syncs: d.syncs}
	for p, n := range d.now {
		o.now[p] = twin(n)
	}
	for p, n := range d.kept {
		o.kept[p] = twin(n)
	}
	d.now, d.kept = maps.Clone(d.now), maps.Clone(d.kept)
	d.bad, d.badIn = fine, 0
	d.powerOff()
	return o
}

// diskFails has a disk fail for a while: it is full, or can't be written, or the daemon is ended
// and can't read it. The daemon has to end by itself, or not to start, and to go on where it was
// when the disk works again.
func (f *faults) diskFails() {
	h, how, syncs := f.some(), full+failing(f.w.rng.IntN(int(failings-full))), 0
	if how == noWrites && f.w.rng.IntN(2) == 0 {
		syncs = 1 + f.w.rng.IntN(40)
	}
	if how == noReads {
		h.crash(keepAll)
	}
	h.disk.break_(how, syncs)
	f.w.trace("disk fails", "mon", h.name, "how", int(how), "sync", syncs)
	h.start()
	f.during(f.while(time.Second, 60), func() {
		h.disk.break_(fine, 0)
		h.start()
	})
}

// diskFailed takes that a daemon has ended since its disk failed.
func (h *host) diskFailed(err error) {
	h.w.trace("ended by its disk", "mon", h.name, "err", err)
	h.w.result.DiskErrors++
	if h.m != nil {
		h.crash(tearSome)
	}
	h.disk = h.disk.clone()
}
