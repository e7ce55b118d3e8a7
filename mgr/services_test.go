package mgr

import (
	"log/slog"
	"testing"
	"time"

	"glue/ceph"
	"glue/cluster/servicemap"
)

// TestServiceMapGoesOn: a manager goes on with the numbers and the daemons of the one before, and
// does not lose those that have come to it already.
func TestServiceMapGoesOn(t *testing.T) {
	s := newState(t)
	now := time.Unix(1e9, 0)
	old := &servicemap.Map{Epoch: 8}
	old.Set("iscsi", "a", &servicemap.Daemon{GID: 1, Epoch: 5})
	old.Set("iscsi", "b", &servicemap.Daemon{GID: 2, Epoch: 6})
	s.takeServiceMap(old, now)
	if s.services.publish(now) != nil {
		t.Error("a manager that is not active has taken the map")
	}
	s.active = true
	v := &s.services
	v.m.Set("iscsi", "b", &servicemap.Daemon{GID: 3})
	v.live = map[serviceKey]*liveService{{"iscsi", "b"}: {beaconAt: now}}
	v.dirty = true
	s.takeServiceMap(old, now)
	v.publish(now)
	if d := v.m.Services["iscsi"]; v.m.Epoch != 9 || d["a"].Epoch != 5 || d["b"].GID != 3 ||
		d["b"].Epoch != 9 || v.m.Modified != ceph.TimeOf(now) {
		t.Errorf("map %+v with %+v", v.m, d)
	}
	m := &Manager{log: slog.New(slog.DiscardHandler)}
	m.state = *s
	m.pruneServices(now.Add(time.Hour))
	if len(m.state.services.m.Services) != 0 || len(m.state.services.live) != 0 {
		t.Errorf("left %+v", m.state.services)
	}
}
