package pgstat

import (
	"slices"
	"testing"

	"glue/ceph"
	"glue/cluster/crush"
	"glue/cluster/osdmap"
)

// poolOf4 is a map with three OSDs and a pool of 4 PGs that is to have 100.
func poolOf4(t *testing.T) *osdmap.Map {
	cm, err := crush.Default(3, "osd")
	if err != nil {
		t.Fatal(err)
	}
	m := osdmap.Empty()
	inc := osdmap.NewIncremental(m, ceph.Time{})
	inc.SetCrush(cm)
	inc.NewMaxOSD = 3
	inc.NewState, inc.NewWeight = map[int32]osdmap.State{}, map[int32]uint32{}
	for o := range int32(3) {
		inc.NewState[o], inc.NewWeight[o] = osdmap.OSDExists|osdmap.OSDUp, osdmap.WeightIn
	}
	pool := osdmap.NewPool()
	pool.Type, pool.Size, pool.MinSize, pool.ObjectHash = osdmap.Replicated, 3, 2, 2
	pool.Flags = osdmap.PoolHashPSPool
	pool.PGNum, pool.PGPNum, pool.PGNumTarget, pool.PGPNumTarget = 4, 4, 100, 100
	pool.PGNumPending = 4
	inc.NewPools = map[int64]*osdmap.Pool{1: pool}
	if m, _, err = m.Commit(inc); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestResizeSteps: a pool gets to the numbers of PGs that it should have, one step at a time, and
// waits for its PGs.
func TestResizeSteps(t *testing.T) {
	m := poolOf4(t)
	pace := PoolPace{Misplaced: 0.5, PGs: 32}
	p := NewPGMap()
	report := func(objects int64) {
		p.TakeMap(m, ceph.Time{})
		for id := range p.PGs {
			p.PGs[id] = &PG{State: Active | Clean, ReportedEpoch: m.Epoch}
			p.PGs[id].Stats.Sum.Objects, p.PGs[id].Stats.Sum.ObjectCopies = objects, 3*objects
		}
		p.stale = true
		p.Refresh(m)
	}
	next := func(want ...PoolStep) {
		t.Helper()
		got := p.ResizeSteps(m, pace)
		if len(got) != len(want) || len(got) > 0 && got[0] != want[0] {
			t.Fatalf("pg_num %d, pgp_num %d: %v, want %v", m.Pools[1].PGNum, m.Pools[1].PGPNum, got,
				want)
		}
		for _, s := range got {
			q := m.Pools[1].Clone()
			if s.PGP {
				q.PGPNum = s.To
			} else {
				q.PGNum, q.PGNumPending = s.To, s.To
			}
			inc := osdmap.NewIncremental(m, ceph.Time{})
			inc.NewPools = map[int64]*osdmap.Pool{1: q}
			var err error
			if m, _, err = m.Commit(inc); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.TakeMap(m, ceph.Time{})
	next() // nobody has reported the PGs
	report(100)
	next(PoolStep{1, false, 36})
	next() // the new PGs are unknown
	report(100)
	next(PoolStep{1, true, 13}) // 36 PGs, a quarter of the copies may move
	for m.Pools[1].PGNum < 100 || m.Pools[1].PGPNum < 100 {
		report(100)
		s := p.ResizeSteps(m, pace)
		if len(s) != 1 || s[0].To > m.Pools[1].PGPNum+pace.PGs {
			t.Fatalf("pg_num %d, pgp_num %d: %v", m.Pools[1].PGNum, m.Pools[1].PGPNum, s)
		}
		next(s...)
	}
	m.Pools[1].PGNumTarget, m.Pools[1].PGPNumTarget = 98, 98
	report(100)
	next(PoolStep{1, true, 98})
	p.PGs[ceph.PGID{Pool: 1, Seed: 99}].State = Active
	next() // not clean
	report(100)
	next(PoolStep{1, false, 99})
	report(100)
	next(PoolStep{1, false, 98})
	report(100)
	next()
}

// TestPurged: a removed snapshot is purged when every PG of the pool has said so, and not while one
// has not.
func TestPurged(t *testing.T) {
	m := poolOf4(t)
	p := NewPGMap()
	p.TakeMap(m, ceph.Time{})
	check := func(what string, want ...osdmap.SnapRange) {
		t.Helper()
		p.stale = true
		p.Refresh(m)
		if got := p.PurgedSnaps[1]; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	for id := range p.PGs {
		p.PGs[id] = &PG{State: Active, PurgedSnaps: []osdmap.SnapRange{{Start: 3, Len: 4}}}
	}
	last := ceph.PGID{Pool: 1, Seed: 3}
	check("all of one mind", osdmap.SnapRange{Start: 3, Len: 4})
	p.PGs[last].PurgedSnaps = []osdmap.SnapRange{{Start: 1, Len: 3}, {Start: 6, Len: 2}}
	check("one knows less", osdmap.SnapRange{Start: 3, Len: 1}, osdmap.SnapRange{Start: 6, Len: 1})
	p.PGs[last].PurgedSnaps = nil
	check("one knows nothing")
	m.Pools[1].PGNum, m.Pools[1].LastForceResendPrenautilus = 3, 7
	delete(p.PGs, last) // which had clones when it was merged into another
	check("nobody has said so since")
	for id, pg := range p.PGs {
		pg.ReportedEpoch = ceph.Epoch(7)
		if id.Seed == 1 {
			pg.ReportedEpoch = 6
		}
	}
	check("one has not said so since")
	p.PGs[ceph.PGID{Pool: 1, Seed: 1}].ReportedEpoch = 8
	check("all have said so since", osdmap.SnapRange{Start: 3, Len: 4})
	m.Pools[1].PGNum, m.Pools[1].LastForceResendPrenautilus = 4, 0
	p.PGs[last] = &PG{PurgedSnaps: []osdmap.SnapRange{{Start: 3, Len: 4}}}
	check("one has not been heard of")
	delete(p.PGs, last)
	check("one is not there")
}
