// Package snaptrim says when a PG's clones are to be trimmed because snapshots were removed, and
// which of these no copy of the PG has any more (PrimaryLogPG::SnapTrimmer).
//
// Nothing of it is stored. What there is to do follows from the map, which has the snapshots that
// are being removed, and from the store, which finds clones by snapshot. So another primary, or
// this one after a restart, looks again, and can't be wrong about it.
//
// Invariants: a snapshot counts as purged only when the store has no clone of it and no trim is
// under way, so that every copy has lost them durably. A Trimmer is pure and belongs to the
// goroutine of its PG.
package snaptrim

import (
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
)

// A Host is the PG as its Trimmer sees it.
type Host interface {
	// Removed is the snapshots of the pool that are being removed, by the map.
	Removed() []osdmap.SnapRange
	// Ready says whether the PG may be trimmed: it is clean, so every copy has all clones.
	Ready() bool
	// Tagged lists some clones that stand for a snapshot, with all that was begun as changed.
	Tagged(s ceph.SnapID, limit int) ([]ceph.HObject, error)
	// Start begins to take removed snapshots off a clone; Trimmed or Failed is called at its end.
	Start(clone ceph.HObject)
	// Slot takes one of osd_max_trimming_pgs, or gives it back; false if there is none.
	Slot(take bool) bool
	// Enqueue has Next called when the background may work, Changed the PG's state reported.
	Enqueue()
	Changed()
}

// A Trimmer is what a primary has done in this interval about removed snapshots.
type Trimmer struct {
	h      Host
	purged []osdmap.SnapRange
	moving map[ceph.HObject]bool
	slot   bool
	failed bool // a clone could not be trimmed
	until  time.Time
}

// Init sets the PG.
func (t *Trimmer) Init(h Host) { *t = Trimmer{h: h, moving: map[ceph.HObject]bool{}} }

// Reset forgets an interval's work.
func (t *Trimmer) Reset() {
	t.giveSlot()
	t.Init(t.h)
}

func (t *Trimmer) giveSlot() {
	if t.slot {
		t.slot = false
		t.h.Slot(false)
		t.h.Changed()
	}
}

// Queue is the removed snapshots that may have clones here.
func (t *Trimmer) Queue() []osdmap.SnapRange {
	if removed := t.h.Removed(); len(removed) > 0 {
		return osdmap.SubtractSnaps(removed, t.purged)
	}
	return nil
}

// Len is how many these are.
func (t *Trimmer) Len() uint32 {
	return uint32(min(osdmap.CountSnaps(t.Queue()), 1<<32-1))
}

// Purged is what may be taken off the map as far as this PG goes.
func (t *Trimmer) Purged() []osdmap.SnapRange {
	if len(t.purged) == 0 {
		return nil
	}
	return osdmap.SubtractSnaps(t.h.Removed(), t.Queue())
}

// State is what the PG's state says of it.
func (t *Trimmer) State() pgstat.State {
	switch {
	case t.failed:
		return pgstat.SnapTrimError
	case !t.h.Ready() || len(t.Queue()) == 0:
		return 0
	case t.slot:
		return pgstat.SnapTrim
	}
	return pgstat.SnapTrimWait
}

// Tick begins when there is something to do.
func (t *Trimmer) Tick() {
	if len(t.h.Removed()) == 0 && t.purged != nil {
		t.purged = nil
		t.h.Changed()
	}
	if t.failed || !t.h.Ready() || len(t.Queue()) == 0 {
		t.giveSlot()
		return
	}
	if !t.slot {
		if t.slot = t.h.Slot(true); !t.slot {
			return
		}
		t.h.Changed()
	}
	t.h.Enqueue()
}

// Next begins to trim clones until most are under way.
func (t *Trimmer) Next(now time.Time, most int) error {
	queue := t.Queue()
	if !t.slot || t.failed || !t.h.Ready() || len(queue) == 0 || now.Before(t.until) {
		return nil
	}
	snap := queue[0].Start
	list, err := t.h.Tagged(snap, most)
	if err != nil {
		t.fail()
		return err
	}
	if len(list) == 0 && len(t.moving) == 0 {
		t.purged = osdmap.AddSnap(t.purged, snap)
		t.h.Changed()
		t.Tick()
		return nil
	}
	for _, o := range list {
		if len(t.moving) < most && !t.moving[o] {
			t.moving[o] = true
			t.h.Start(o)
		}
	}
	return nil
}

// Wants says whether a trim that was begun is still to be done: it is of this interval.
func (t *Trimmer) Wants(clone ceph.HObject) bool { return t.moving[clone] && t.h.Ready() }

// Trimmed goes on after a trim, which every copy has, or which was given up; not before rest is
// over (osd_snap_trim_sleep).
func (t *Trimmer) Trimmed(clone ceph.HObject, now time.Time, rest time.Duration) {
	delete(t.moving, clone)
	switch {
	case rest > 0:
		t.until = now.Add(rest) // the next tick goes on
	case t.slot:
		t.h.Enqueue()
	}
}

// Failed gives up until the next interval.
func (t *Trimmer) Failed(clone ceph.HObject) {
	delete(t.moving, clone)
	t.fail()
}

func (t *Trimmer) fail() {
	t.failed = true
	t.giveSlot()
	t.h.Changed()
}
