package ops

import (
	"errors"
	"fmt"
	"maps"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/pginfo"
	"glue/store/objectstore"
)

// InfoAttr is the attribute that holds an object's info (OI_ATTR). The attributes of users have
// "_" before their name, which is never empty.
const InfoAttr = "_"

// A State is an object's existence and info. A State that has been handed out is never changed.
type State struct {
	Exists bool
	Info   pginfo.ObjectInfo
}

// Visible says whether clients see the object: it is there, and not for its snapshots only.
func (s *State) Visible() bool { return s.Exists && !s.Info.IsWhiteout() }

// LoadState reads an object's state from its info attribute; the state of the snapshot directory
// is the head's. An object that is not there is a
// State that does not exist; an info that does not decode is objectstore.ErrCorrupt.
func LoadState(v View, c ceph.SPG, o ceph.HObject) (*State, error) {
	if o.Snap == ceph.SnapDir {
		o.Snap = ceph.NoSnap
	}
	raw, err := v.GetAttr(c, o, InfoAttr)
	if errors.Is(err, ceph.ENOENT) {
		return &State{Info: pginfo.ObjectInfo{Object: o}}, nil
	}
	if errors.Is(err, ceph.ENODATA) {
		return nil, fmt.Errorf("info of %v is missing: %w", o, objectstore.ErrCorrupt)
	}
	if err != nil {
		return nil, fmt.Errorf("read info of %v: %w", o, err)
	}
	s := &State{Exists: true}
	if err := denc.Unmarshal(raw, &s.Info, ceph.FeaturesAll); err != nil {
		return nil, fmt.Errorf("info of %v: %w: %w", o, err, objectstore.ErrCorrupt)
	}
	return s, nil
}

// setWatcher changes the projected watchers without touching the map of the state before.
func (x *exec) setWatcher(k pginfo.WatchKey, w *pginfo.WatchInfo) {
	if !x.ownWatchers {
		x.info.Watchers, x.ownWatchers = maps.Clone(x.info.Watchers), true
	}
	if w == nil {
		delete(x.info.Watchers, k)
		return
	}
	if x.info.Watchers == nil {
		x.info.Watchers = make(map[pginfo.WatchKey]pginfo.WatchInfo, 1)
	}
	x.info.Watchers[k] = *w
}
