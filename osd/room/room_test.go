package room

import (
	"errors"
	"testing"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/store/memstore"
	"glue/store/objectstore"
)

// TestState: a store that is written to and trimmed around a ratio changes the map once, not with
// every look; one that is really emptier does so at once.
func TestState(t *testing.T) {
	m := osdmap.Empty()
	m.NearfullRatio, m.BackfillfullRatio, m.FullRatio = 0.85, 0.90, 0.95
	const near, back, full = osdmap.OSDNearfull, osdmap.OSDBackfillfull, osdmap.OSDFull
	have := osdmap.State(0)
	for i, step := range []struct {
		used float64
		want osdmap.State
	}{
		{0.80, 0}, {0.8499, 0}, {0.8501, near}, {0.8499, near}, {0.8460, near}, {0.8501, near},
		{0.8440, 0}, {0.8499, 0}, {0.91, back}, {0.8990, back}, {0.8940, near}, {0.951, full},
		{0.9495, full}, {0.9449, back}, {0.96, full}, {0.86, near}, {0.98, full}, {0.10, 0},
		{0.999, full}, {0.70, 0},
	} {
		const total = 1 << 40
		u := objectstore.Usage{Total: total, Available: uint64((1 - step.used) * total)}
		if have = state(u, m, 0.97, have); have != step.want {
			t.Fatalf("step %d, %.2f%% used: %v, want %v", i, 100*step.used, have, step.want)
		}
	}
	changes := 0
	for i := range 100 { // 0.4 % of the store written and freed around the full ratio
		u := objectstore.Usage{Total: 1000, Available: uint64(48 + i%2*4)}
		if s := state(u, m, 0.97, have); s != have {
			have = s
			changes++
		}
	}
	if changes != 1 || have != full {
		t.Errorf("%d changes of the map, %v at last", changes, have)
	}
}

// TestOwn: what is left for clients ends before the store does, by the failsafe ratio, and on small
// disks by what peers may have begun.
func TestOwn(t *testing.T) {
	for _, c := range []struct{ total, want uint64 }{
		{1 << 40, 1<<40 - 32985348834}, // 3 %
		{8 << 30, 8<<30 - 257698038},   // 3 %
		{4 << 30, 4<<30 - 128<<20},     // 128 MiB, 3.1 %
		{1 << 30, 1<<30 - 128<<20},     // 12.5 %
		{256 << 20, 256<<20 - 32<<20},  // an eighth
	} {
		s := memstore.New(memstore.Options{TotalBytes: c.total})
		var r Room
		got := r.Own(time.Unix(1, 0), s, 0.97)
		if d := int64(got) - int64(c.want); d < -4096 || d > 4096 {
			t.Errorf("%d MiB: %d left for clients, want %d", c.total>>20, got, c.want)
		}
		s.Close()
	}
}

// TestPretend: what an operator injects counts instead of the store, for as long as was said.
func TestPretend(t *testing.T) {
	m := osdmap.Empty()
	m.NearfullRatio, m.BackfillfullRatio, m.FullRatio = 0.85, 0.90, 0.95
	s := memstore.New(memstore.Options{TotalBytes: 1 << 30})
	defer s.Close()
	u, err := s.Usage()
	if err != nil {
		t.Fatal(err)
	}
	var r Room
	now := time.Unix(1, 0)
	check := func(what string, want osdmap.State, takes bool) {
		t.Helper()
		now = now.Add(time.Second)
		if own := r.Own(now, s, 0.97); (own > 0) != takes {
			t.Errorf("%s: takes %d bytes", what, own)
		}
		if got := r.State(u, m, 0.97, 0); got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check("nothing", 0, true)
	for _, step := range []struct {
		kind  string
		looks int64
		want  osdmap.State
	}{
		{"nearfull", -1, osdmap.OSDNearfull}, {"backfillfull", -1, osdmap.OSDBackfillfull},
		{"full", -1, osdmap.OSDFull}, {"failsafe", -1, osdmap.OSDFull}, {"full", 0, 0},
		{"full", -1, osdmap.OSDFull}, {"none", -1, 0},
	} {
		if err := r.Pretend(step.kind, step.looks); err != nil {
			t.Error(err)
		}
		for range 3 {
			check(step.kind, step.want, step.kind != "failsafe")
		}
	}
	if err := r.Pretend("full", 2); err != nil {
		t.Error(err)
	}
	check("the first look", osdmap.OSDFull, true)
	check("the second look", osdmap.OSDFull, true)
	check("after that", 0, true)
	if err := r.Pretend("brimming", 1); !errors.Is(err, ceph.EINVAL) {
		t.Errorf("a kind that there is not: %v", err)
	}
}
