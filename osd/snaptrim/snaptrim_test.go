package snaptrim

import (
	"errors"
	"testing"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
)

// A host has clones by snapshot, and trims them when it is told to.
type host struct {
	removed []osdmap.SnapRange
	ready   bool
	clones  map[ceph.SnapID][]ceph.HObject
	begun   []ceph.HObject
	slots   int
	queued  int
	err     error
}

func (h *host) Removed() []osdmap.SnapRange { return h.removed }
func (h *host) Ready() bool                 { return h.ready }
func (h *host) Start(o ceph.HObject)        { h.begun = append(h.begun, o) }
func (h *host) Enqueue()                    { h.queued++ }
func (h *host) Changed()                    {}

func (h *host) Tagged(s ceph.SnapID, n int) ([]ceph.HObject, error) {
	l := h.clones[s]
	return l[:min(n, len(l))], h.err
}

func (h *host) Slot(take bool) bool {
	if !take {
		h.slots++
		return true
	}
	if h.slots == 0 {
		return false
	}
	h.slots--
	return true
}

func clone(name string, s ceph.SnapID) ceph.HObject { return ceph.HObject{Name: name, Snap: s} }

// TestTrims: a snapshot is purged when the last of its clones is trimmed everywhere, not before.
func TestTrims(t *testing.T) {
	h := &host{ready: true, slots: 1, removed: []osdmap.SnapRange{{Start: 3, Len: 2}},
		clones: map[ceph.SnapID][]ceph.HObject{3: {clone("a", 3), clone("b", 3), clone("c", 4)}}}
	var tr Trimmer
	tr.Init(h)
	now := time.Unix(9, 0)
	if tr.State() != pgstat.SnapTrimWait || tr.Len() != 2 {
		t.Fatalf("at first: %v, %d", tr.State(), tr.Len())
	}
	tr.Tick()
	if tr.State() != pgstat.SnapTrim || h.queued != 1 {
		t.Fatalf("begun: %v, queued %d", tr.State(), h.queued)
	}
	next := func(begun int) {
		t.Helper()
		if err := tr.Next(now, 2); err != nil || len(h.begun) != begun {
			t.Fatalf("%d begun, want %d; %v", len(h.begun), begun, err)
		}
	}
	next(2)
	next(2)
	h.clones[3] = h.clones[3][2:] // submitted
	next(2)
	tr.Trimmed(h.begun[0], now, 0)
	next(3)
	h.clones[3] = nil
	tr.Trimmed(h.begun[1], now, 0)
	if next(3); tr.Purged() != nil {
		t.Fatal("purged while a trim is under way")
	}
	if !tr.Wants(h.begun[2]) || tr.Wants(h.begun[1]) {
		t.Error("what is under way is not known")
	}
	tr.Trimmed(h.begun[2], now, 0)
	next(3)
	if p := tr.Purged(); len(p) != 1 || p[0] != (osdmap.SnapRange{Start: 3, Len: 1}) {
		t.Fatalf("purged %v", p)
	}
	if next(3); tr.Len() != 0 || tr.State() != 0 || h.slots != 1 {
		t.Fatalf("at the end: %d, %v, slots %d", tr.Len(), tr.State(), h.slots)
	}
	h.removed = h.removed[:0]
	if tr.Tick(); len(tr.Purged()) != 0 {
		t.Error("what is off the map is still said to be purged")
	}
}

func TestRestsAndFails(t *testing.T) {
	h := &host{ready: true, slots: 1, removed: []osdmap.SnapRange{{Start: 3, Len: 1}},
		clones: map[ceph.SnapID][]ceph.HObject{3: {clone("a", 3), clone("b", 3)}}}
	var tr Trimmer
	tr.Init(h)
	now := time.Unix(9, 0)
	tr.Tick()
	_ = tr.Next(now, 1)
	h.clones[3] = h.clones[3][1:]
	tr.Trimmed(h.begun[0], now, time.Second)
	if _ = tr.Next(now, 1); len(h.begun) != 1 {
		t.Error("does not rest")
	}
	if _ = tr.Next(now.Add(time.Second), 1); len(h.begun) != 2 {
		t.Error("does not go on")
	}
	h.ready = false
	if tr.Tick(); h.slots != 1 || tr.Wants(h.begun[1]) {
		t.Error("holds its slot while it may not go on")
	}
	h.ready = true
	tr.Tick()
	tr.Failed(h.begun[1])
	if tr.Tick(); tr.State() != pgstat.SnapTrimError || h.slots != 1 {
		t.Errorf("failed: %v, slots %d", tr.State(), h.slots)
	}
	tr.Reset()
	tr.Tick()
	h.err = errors.New("unreadable")
	if err := tr.Next(now.Add(time.Hour), 1); err == nil || tr.State() != pgstat.SnapTrimError {
		t.Errorf("a listing that fails: %v, %v", err, tr.State())
	}
}
