package progress

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"glue/ceph"
	"glue/cluster/crush"
	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
)

// A world is a pool of 4 PGs, all on the OSDs 0 and 1 by pg_temp, so that the map says it plainly.
type world struct {
	Tracker
	m   *osdmap.Map
	pgs map[ceph.PGID]*pgstat.PG
	now time.Time
}

func newWorld() *world {
	n := 0
	w := &world{now: time.Unix(1e9, 0), pgs: map[ceph.PGID]*pgstat.PG{}}
	w.NewID = func() string { n++; return fmt.Sprint("id", n) }
	w.m = &osdmap.Map{Epoch: 10, Crush: crush.New(), MaxOSD: 3,
		Weight: []uint32{0x10000, 0x10000, 0x10000},
		State:  []osdmap.State{up, up, up},
		Pools:  map[int64]*osdmap.Pool{1: {PGNum: 4, PGNumTarget: 4, PGPNum: 4, Size: 2}},
		PGTemp: map[ceph.PGID][]int32{}}
	for seed := range uint32(4) {
		id := ceph.PGID{Pool: 1, Seed: seed}
		w.m.PGTemp[id] = []int32{0, 1}
		w.pgs[id] = &pgstat.PG{State: pgstat.Active | pgstat.Clean, ReportedEpoch: 10}
		w.pgs[id].Stats.Sum.Bytes = 100
	}
	w.step(0)
	return w
}

const up = osdmap.OSDExists | osdmap.OSDUp

func (w *world) step(d time.Duration) {
	w.now = w.now.Add(d)
	w.Step(w.now, w.m, w.pgs, 3)
}

// next is a later map.
func (w *world) next(change func(*osdmap.Map)) {
	m := *w.m
	m.Epoch++
	m.Weight = append([]uint32{}, m.Weight...)
	m.PGTemp = map[ceph.PGID][]int32{}
	for k, v := range w.m.PGTemp {
		m.PGTemp[k] = v
	}
	change(&m)
	w.m = &m
}

func (w *world) set(seed uint32, state pgstat.State, recovered int64) {
	pg := *w.pgs[ceph.PGID{Pool: 1, Seed: seed}]
	pg.State, pg.ReportedEpoch, pg.Stats.Sum.BytesRecovered = state, w.m.Epoch, recovered
	w.pgs[ceph.PGID{Pool: 1, Seed: seed}] = &pg
}

// TestOut follows an OSD that is marked out: the PGs that move count by what was recovered, and
// all PGs by whether they are clean; both events end, and are remembered.
func TestOut(t *testing.T) {
	w := newWorld()
	w.set(3, pgstat.Active, 0)
	w.step(time.Second)
	if len(w.Events) != 0 {
		t.Fatalf("events without an OSD going out: %+v", w.Events)
	}
	w.set(3, pgstat.Active|pgstat.Clean, 0)
	w.next(func(m *osdmap.Map) {
		m.Weight[1] = 0
		for seed := range uint32(2) {
			m.PGTemp[ceph.PGID{Pool: 1, Seed: seed}] = []int32{0, 2}
		}
	})
	w.set(0, pgstat.Active|pgstat.Remapped, 0)
	w.set(1, pgstat.Active|pgstat.Remapped, 7)
	w.step(5 * time.Second)
	if len(w.Events) != 2 || w.Events[0].Message != "Rebalancing after osd.1 marked out" ||
		w.Events[0].Status || w.Events[0].Progress != 0 || !w.Events[1].Status ||
		w.Events[1].Message != "Global Recovery Event" {
		t.Fatalf("%+v", w.Events)
	}
	w.set(0, pgstat.Active|pgstat.Clean, 0)
	w.set(1, pgstat.Active|pgstat.Remapped, 57)
	w.step(20 * time.Second)
	if p := w.Events[0].Progress; p != 0.75 {
		t.Errorf("of two PGs one and a half are there: %v", p)
	}
	if p := w.Events[1].Progress; p != 0.5 {
		t.Errorf("of the two PGs that were not clean one is: %v", p)
	}
	if got, want := w.Text(w.now), "Rebalancing after osd.1 marked out (20s)\n"+
		"    [=====================.......] (remaining: 6s)\n"; !strings.Contains(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	w.set(1, pgstat.Active|pgstat.Clean, 107)
	w.step(5 * time.Second)
	w.step(time.Second)
	if len(w.Events) != 0 || len(w.Completed) != 2 || !w.Changed {
		t.Fatalf("%+v, %+v", w.Events, w.Completed)
	}
	if got := w.Text(w.now); !strings.HasPrefix(got, "\n[Complete]: ") {
		t.Errorf("%q", got)
	}
	// Back in: nothing moves in this map, so there is no event.
	w.next(func(m *osdmap.Map) { m.Weight[1] = 0x10000 })
	w.step(time.Second)
	if len(w.Events) != 0 {
		t.Errorf("%+v", w.Events)
	}
	w.Clear()
	if w.Text(w.now) != "" {
		t.Error(w.Text(w.now))
	}
}

// TestBackIn: an OSD that comes back in ends the event of its going out.
func TestBackIn(t *testing.T) {
	w := newWorld()
	pg := ceph.PGID{Pool: 1, Seed: 0}
	w.next(func(m *osdmap.Map) { m.Weight[1] = 0; m.PGTemp[pg] = []int32{0, 2} })
	w.set(0, pgstat.Active, 0)
	w.step(time.Second)
	w.next(func(m *osdmap.Map) { m.Weight[1] = 0x10000; m.PGTemp[pg] = []int32{0, 1} })
	w.step(time.Second)
	if len(w.Completed) != 1 || w.Completed[0].Message != "Rebalancing after osd.1 marked out" ||
		w.Events[len(w.Events)-1].Message != "Rebalancing after osd.1 marked in" {
		t.Fatalf("%+v, %+v", w.Events, w.Completed)
	}
	delete(w.pgs, pg) // its pool is gone: nothing to wait for
	w.step(time.Second)
	w.step(time.Second)
	if len(w.Events) != 0 || len(w.Completed) != 3 {
		t.Fatalf("%+v, %+v", w.Events, w.Completed)
	}
}

// TestAdjust follows a pool to the autoscaler's number of PGs.
func TestAdjust(t *testing.T) {
	w := newWorld()
	to := func(now, target uint32) {
		w.next(func(m *osdmap.Map) {
			p := *m.Pools[1]
			p.PGNum, p.PGNumTarget = now, target
			m.Pools = map[int64]*osdmap.Pool{1: &p}
		})
	}
	w.Adjust(w.now, w.m, 1, 12)
	to(6, 12)
	w.step(time.Second)
	if e := w.Events[0]; e.Progress != 0.25 ||
		e.Message != "PG autoscaler increasing pool 1 PGs from 4 to 12" {
		t.Fatalf("%+v", e)
	}
	w.Adjust(w.now, w.m, 1, 2)
	if len(w.Events) != 1 || w.Events[0].Message !=
		"PG autoscaler decreasing pool 1 PGs from 6 to 2" || w.Events[0].Progress != 0 {
		t.Fatalf("%+v", w.Events)
	}
	to(2, 2)
	w.step(time.Second)
	if len(w.Events) != 0 || len(w.Completed) != 1 {
		t.Fatalf("%+v", w.Events)
	}
}

func TestPretty(t *testing.T) {
	day := 24 * time.Hour
	for d, want := range map[time.Duration]string{0: "0s", 119 * time.Second: "119s",
		2 * time.Minute: "2m", 119 * time.Minute: "119m", 3 * time.Hour: "3h", 2 * day: "2d",
		13 * day: "13d", 14 * day: "2w", 90 * day: "3M", 800 * day: "2y"} {
		if got := Pretty(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// TestRemote: an event of another module goes as that says, ends with its reason, and does not come
// back; what has ended before the kept ones were loaded stays.
func TestRemote(t *testing.T) {
	w := newWorld()
	refs := map[string]any{"origin": "rbd_support"}
	tell := func(x Told) {
		x.ID, x.Message, x.Refs = "task", "Flattening image p/i", refs
		w.Remote(w.now, x)
	}
	tell(Told{Progress: 1})
	w.step(10 * time.Second)
	if len(w.Events) != 1 || w.Events[0].Progress != 1 {
		t.Fatalf("it ended without a word: %+v", w.Completed)
	}
	tell(Told{Progress: 0.5})
	if text := w.Text(w.now); !strings.HasPrefix(text,
		"Flattening image p/i (10s)\n    [==============..............] (remaining: 10s)\n") {
		t.Errorf("text %q", text)
	}
	tell(Told{Ended: true, Failure: "Operation canceled"})
	tell(Told{Progress: 0.7})
	want := Past{ID: "task", Message: "Flattening image p/i", Refs: refs, Began: 1e9,
		Finished: 1e9 + 10, Failed: true, Failure: "Operation canceled"}
	if len(w.Events) != 0 || fmt.Sprint(w.Completed) != fmt.Sprint([]Past{want}) || !w.Changed {
		t.Errorf("events %v, completed %+v", w.Events, w.Completed)
	}
	if text := w.Text(w.now); !strings.HasPrefix(text, "\n[Failed]: Flattening image p/i (") {
		t.Errorf("text %q", text)
	}
	w.Load([]Past{{ID: "older"}})
	if len(w.Completed) != 2 || w.Completed[0].ID != "older" || w.Completed[1].ID != "task" {
		t.Errorf("after loading %+v", w.Completed)
	}
	w.Load([]Past{{ID: "older"}, {ID: "task"}})
	if len(w.Completed) != 2 {
		t.Errorf("loaded twice %+v", w.Completed)
	}
}
