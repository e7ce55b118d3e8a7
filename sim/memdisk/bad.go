package memdisk

import (
	"maps"
	"slices"
)

// A Failing is what does not work on a disk.
type Failing int

const (
	Fine     Failing = iota
	Full             // no room: ENOSPC; half of what is written still fits
	NoWrites         // EIO on what is written and synced
	NoReads          // EIO on what is read
	Failings
)

// hit counts a failure.
func (d *Disk) hit(err error) error {
	d.hits++
	return err
}

// Break has the disk fail from now on, or from some sync of a log on; Fine mends it.
func (d *Disk) Break(how Failing, syncs int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bad, d.badIn = how, 0; syncs > 0 {
		d.bad, d.badIn = Fine, syncs
	}
}

// Failed says whether anything has failed since it was made or cloned.
func (d *Disk) Failed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hits > 0
}

// Clone is the same disk for the next life of a daemon that could not close its database: what is
// left of that must not write on it.
func (d *Disk) Clone() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	copies := map[*inode]*inode{}
	twin := func(n *inode) *inode {
		if copies[n] == nil {
			copies[n] = &inode{dir: n.dir, data: slices.Clone(n.data), synced: n.synced}
		}
		return copies[n]
	}
	o := &Disk{now: map[string]*inode{}, kept: map[string]*inode{}, bad: d.bad, syncs: d.syncs}
	for p, n := range d.now {
		o.now[p] = twin(n)
	}
	for p, n := range d.kept {
		o.kept[p] = twin(n)
	}
	d.now, d.kept = maps.Clone(d.now), maps.Clone(d.kept)
	d.bad, d.badIn = Fine, 0
	d.powerOff()
	return o
}
