package pgstat

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/internal/cephjson"
)

// The files under testdata/safety are of a stock cluster with four OSDs on two hosts, of which one
// is out and some PGs are still remapped to it.

func sameJSON(t *testing.T, name string, got any, want string) {
	t.Helper()
	if g := string(cephjson.Marshal(got, false)); g != strings.TrimSpace(want) {
		t.Errorf("%s:\n got %s\nwant %s", name, g, want)
	}
}

func TestOutageAsStock(t *testing.T) {
	p, m := stockIn(t, "safety/")
	for _, c := range []struct {
		file  string
		osds  []int32
		limit int
	}{{"stop.0", []int32{0}, 1}, {"stop.12", []int32{2, 1}, 2}, {"stop.23", []int32{2, 3}, 2},
		{"stop.max", []int32{2}, 3}} {
		o := p.Outage(m, c.osds)
		if c.limit > len(c.osds) {
			o = p.Widen(m, o, c.limit)
		}
		sameJSON(t, c.file, o.Dump(), load(t, "safety/"+c.file))
	}
}

// TestOutageOfDegraded: of a degraded PG only the copies that miss nothing count, and where none
// are known nothing may be stopped.
func TestOutageOfDegraded(t *testing.T) {
	p, m := stockIn(t, "safety/")
	id := ceph.PGID{Pool: 2, Seed: 1}
	pg := *p.PGs[id]
	osds := pg.Acting
	if len(osds) != 3 || m.Pools[2].MinSize != 2 {
		t.Fatalf("acting %v, min_size %d", osds, m.Pools[2].MinSize)
	}
	pg.State |= Degraded
	p.PGs = map[ceph.PGID]*PG{id: &pg}
	check := func(whole, stop []int32, ok bool) {
		t.Helper()
		pg.AvailNoMissing = nil
		for _, o := range whole {
			pg.AvailNoMissing = append(pg.AvailNoMissing, ceph.PGShard{OSD: o, Shard: ceph.NoShard})
		}
		if o := p.Outage(m, stop); o.OKToStop() != ok {
			t.Errorf("whole %v, stopping %v: %+v", whole, stop, o)
		}
	}
	check(osds, osds[:1], true)
	check(osds, osds[:2], false)
	check(osds[:2], osds[:1], false)
	check(osds[:2], osds[2:], true) // what it has is not whole anyway
	check(nil, osds[:1], false)
	pg.State = 0
	check(osds, osds[:1], false) // nothing is known
}

// TestWiden finds the other OSD of the host, and no more than asked for.
func TestWiden(t *testing.T) {
	p, m := stockIn(t, "safety/")
	for _, pg := range p.PGs {
		pg.Acting = []int32{0, 1, 7} // as if nothing were on the second host
	}
	o := p.Widen(m, p.Outage(m, []int32{2}), 2)
	if !o.OKToStop() || !reflect.DeepEqual(o.OSDs, []int32{2, 3}) {
		t.Errorf("widened to %v", o.OSDs)
	}
	if o := p.Widen(m, p.Outage(m, []int32{2}), 4); !reflect.DeepEqual(o.OSDs, []int32{0, 2, 3}) &&
		!reflect.DeepEqual(o.OSDs, []int32{2, 3}) {
		t.Errorf("widened to %v, but 0 and 1 can't both go", o.OSDs)
	}
	if o := p.Widen(m, p.Outage(m, []int32{0, 1}), 4); o.OKToStop() || len(o.OSDs) != 2 {
		t.Errorf("what can't be stopped was widened to %v", o.OSDs)
	}
}

func TestRemovalAsStock(t *testing.T) {
	p, m := stockIn(t, "safety/")
	r := p.Removal(m, []int32{1, 0})
	sameJSON(t, "destroy.01", r.Dump(), load(t, "safety/destroy.01"))
	if r = p.Removal(m, []int32{99, 0, 1}); r.Affected != 41 || len(r.Safe) != 1 {
		t.Errorf("%+v", r)
	}
	for _, pg := range p.PGs { // nothing is mapped to 1 any more, but one PG is not clean
		pg.Acting, pg.Up = []int32{0, 2, 3}, []int32{0, 2, 3}
	}
	p.PGs[ceph.PGID{Pool: 2}].State = Active | Undersized
	p.stale = true
	p.Refresh(m)
	now := m.Modified
	p.TakeReport(1, &OSD{NumPGs: 3}, nil, m, now)
	if r = p.Removal(m, []int32{1}); !reflect.DeepEqual(r.Stored, []int32{1}) {
		t.Errorf("an OSD that may still be needed: %+v", r)
	}
	p.TakeReport(1, &OSD{}, nil, m, now)
	if r = p.Removal(m, []int32{1}); len(r.Safe) != 1 {
		t.Errorf("an OSD that says that it has nothing: %+v", r)
	}
	delete(p.OSDs, 1)
	if r = p.Removal(m, []int32{1}); !reflect.DeepEqual(r.NoStats, []int32{1}) {
		t.Errorf("an OSD that says nothing: %+v", r)
	}
	p.PGs[ceph.PGID{Pool: 2}].State = Active | Clean
	p.stale = true
	p.Refresh(m)
	if r = p.Removal(m, []int32{1}); len(r.Safe) != 1 {
		t.Errorf("an empty OSD: %+v", r)
	}
}

func TestReweightAsStock(t *testing.T) {
	p, m := stockIn(t, "safety/")
	plan := func(byPG bool, oload int64, change float64, osds int64) ReweightPlan {
		return ReweightPlan{ByPG: byPG, Overload: oload, MaxChange: change, MaxOSDs: osds,
			MinPGs: 10, MinBytes: 100 << 20}
	}
	poolB := plan(true, 105, .05, 1)
	id, _ := m.PoolByName("b")
	poolB.Pools = []int64{id}
	for file, c := range map[string]ReweightPlan{"pg.txt": plan(true, 101, .5, 4),
		"pg.json": plan(true, 101, .5, 4), "pgb.txt": poolB, "util.txt": plan(false, 101, .3, 4),
		"noinc.txt": plan(false, 101, .3, 4)} {
		c.NoIncreasing = file == "noinc.txt"
		r, bad := p.Reweight(m, c)
		if bad != nil {
			t.Errorf("%s: %v", file, bad)
			continue
		}
		if strings.HasSuffix(file, "json") {
			sameJSON(t, file, r.Dump(), load(t, "safety/"+file))
		} else {
			differ(t, file, r.Text(), load(t, "safety/"+file))
		}
	}
	for _, c := range []struct {
		plan ReweightPlan
		want ceph.Errno
	}{{plan(true, 100, .5, 4), ceph.EINVAL},
		{ReweightPlan{ByPG: true, Overload: 120, MaxChange: 1, MaxOSDs: 1, MinPGs: 1000},
			ceph.EDOM},
		{ReweightPlan{Overload: 120, MaxChange: 1, MaxOSDs: 1, MinBytes: 1 << 40}, ceph.EDOM}} {
		if _, bad := p.Reweight(m, c.plan); bad == nil || bad.Errno != c.want {
			t.Errorf("%+v: %v", c.plan, bad)
		}
	}
}

// TestReweightBounds: no weight rises above one, none changes by more than it may, and OSDs that
// are out stay out.
func TestReweightBounds(t *testing.T) {
	p, m := stockIn(t, "safety/")
	p.OSDs[2].Statfs.Available = p.OSDs[2].Statfs.Total / 2
	p.OSDs[0].Statfs.Available = p.OSDs[0].Statfs.Total - 1
	p.stale = true
	p.Refresh(m)
	r, bad := p.Reweight(m, ReweightPlan{Overload: 110, MaxChange: .1, MaxOSDs: 9})
	if bad != nil {
		t.Fatal(bad)
	}
	w := r.Weights()
	if len(w) == 0 || w["2"] != m.Weight[2]-osdmap.WeightIn/10-1 &&
		w["2"] != m.Weight[2]-osdmap.WeightIn/10 {
		t.Errorf("weights %v, osd.2 had %x", w, m.Weight[2])
	}
	if _, ok := w["1"]; ok {
		t.Error("the OSD that is out gets a weight")
	}
	if n := w["0"]; n <= m.Weight[0] || n > osdmap.WeightIn {
		t.Errorf("osd.0 goes from %x to %x", m.Weight[0], n)
	}
	var out struct {
		Reweights []struct{ OSD int }
	}
	if err := json.Unmarshal(cephjson.Marshal(r.Dump(), false), &out); err != nil ||
		len(out.Reweights) != len(w) {
		t.Errorf("%v %v", out, err)
	}
}

func TestSpreadAsStock(t *testing.T) {
	_, m := stockIn(t, "safety/")
	s := m.Spread(nil, nil)
	differ(t, "utilization", s.Text(), load(t, "safety/utilization.txt"))
	sameJSON(t, "utilization", s.Dump(), load(t, "safety/utilization.json"))
}
