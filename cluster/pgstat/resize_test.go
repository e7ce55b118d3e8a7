package pgstat

import (
	"slices"
	"testing"

	"glue/ceph"
	"glue/cluster/crush"
	"glue/cluster/osdmap"
)

// poolOf4 is a map with six OSDs and a pool of 4 PGs that is to have 100.
func poolOf4(t *testing.T) *osdmap.Map {
	cm, err := crush.Default(6, "osd")
	if err != nil {
		t.Fatal(err)
	}
	m := osdmap.Empty()
	inc := osdmap.NewIncremental(m, ceph.Time{})
	inc.SetCrush(cm)
	inc.NewMaxOSD = 6
	inc.NewState, inc.NewWeight = map[int32]osdmap.State{}, map[int32]uint32{}
	for o := range int32(6) {
		inc.NewState[o], inc.NewWeight[o] = osdmap.OSDExists, osdmap.WeightIn
	}
	if m, _, err = m.Commit(inc); err != nil {
		t.Fatal(err)
	}
	inc = osdmap.NewIncremental(m, ceph.Time{})
	for _, addrs := range []*map[int32]ceph.AddrVec{&inc.NewUpClient, &inc.NewUpCluster,
		&inc.NewHBBack, &inc.NewHBFront} {
		*addrs = map[int32]ceph.AddrVec{}
		for o := range int32(6) {
			(*addrs)[o] = ceph.AddrVec{{Type: ceph.AddrMsgr2, Nonce: uint32(o)}}
		}
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

// A resizer is a pool of 4 PGs that a manager follows map by map.
type resizer struct {
	t   *testing.T
	m   *osdmap.Map
	p   *PGMap
	seq uint64
}

func newResizer(t *testing.T) *resizer {
	r := &resizer{t: t, m: poolOf4(t), p: NewPGMap()}
	r.p.TakeMap(r.m, ceph.Time{})
	return r
}

// change makes the next map; told says whether the manager gets it before others.
func (r *resizer) change(told bool, f func(pool *osdmap.Pool, inc *osdmap.Incremental)) {
	r.t.Helper()
	pool := r.m.Pools[1].Clone()
	inc := osdmap.NewIncremental(r.m, ceph.Time{})
	f(pool, inc)
	inc.NewPools = map[int64]*osdmap.Pool{1: pool}
	m, _, err := r.m.Commit(inc)
	if err != nil {
		r.t.Fatal(err)
	}
	if r.m = m; told {
		r.p.TakeMap(m, ceph.Time{})
	}
}

// numbers changes those of the pool, as the monitors do.
func (r *resizer) numbers(told bool, num, pgp, pending uint32) {
	r.t.Helper()
	r.change(told, func(pool *osdmap.Pool, inc *osdmap.Incremental) {
		if pool.PGNum != num || pool.PGNumPending != pending {
			pool.LastForceResendPrenautilus = inc.Epoch
		}
		pool.PGNum, pool.PGPNum, pool.PGNumPending = num, pgp, pending
	})
}

func (r *resizer) remove(first ceph.SnapID, n uint64) {
	r.t.Helper()
	r.change(true, func(pool *osdmap.Pool, inc *osdmap.Incremental) {
		pool.SnapSeq = first + ceph.SnapID(n)
		inc.NewRemovedSnaps = map[int64][]osdmap.SnapRange{1: {{Start: first, Len: n}}}
	})
}

// say has the primary of a PG report it as of an epoch, with what it has purged.
func (r *resizer) say(seed uint32, epoch ceph.Epoch, s State, purged ...osdmap.SnapRange) {
	r.seq++
	id := ceph.PGID{Pool: 1, Seed: seed}
	w := r.m.PGMapping(id)
	pg := &PG{State: s, ReportedEpoch: epoch, ReportedSeq: r.seq, Up: w.Up, Acting: w.Acting,
		UpPrimary: w.UpPrimary, ActingPrimary: w.ActingPrimary, PurgedSnaps: purged}
	pg.Stats.Sum.Objects, pg.Stats.Sum.ObjectCopies = 100, 300
	r.p.TakeReport(0, &OSD{}, map[ceph.PGID]*PG{id: pg}, r.m, ceph.Time{})
	r.p.Refresh(r.m)
}

func (r *resizer) purged(what string, want ...osdmap.SnapRange) {
	r.t.Helper()
	r.p.Refresh(r.m)
	if got := r.p.PurgedSnaps[1]; !slices.Equal(got, want) {
		r.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestPurged: a removed snapshot is purged when every PG of the pool has said so, and not while one
// has not.
func TestPurged(t *testing.T) {
	r := newResizer(t)
	r.remove(1, 9)
	for seed := range uint32(3) {
		r.say(seed, r.m.Epoch, Active, osdmap.SnapRange{Start: 3, Len: 4})
	}
	r.purged("one has not been heard of")
	r.say(3, r.m.Epoch, Active)
	r.purged("one knows nothing")
	r.say(3, r.m.Epoch, Active, osdmap.SnapRange{Start: 1, Len: 3},
		osdmap.SnapRange{Start: 6, Len: 2})
	r.purged("one knows less", osdmap.SnapRange{Start: 3, Len: 1},
		osdmap.SnapRange{Start: 6, Len: 1})
	r.say(3, r.m.Epoch, Active)
	r.purged("a new interval takes nothing back", osdmap.SnapRange{Start: 3, Len: 1},
		osdmap.SnapRange{Start: 6, Len: 1})
	r.change(true, func(_ *osdmap.Pool, inc *osdmap.Incremental) {
		inc.NewPurgedSnaps = map[int64][]osdmap.SnapRange{1: {{Start: 3, Len: 1}}}
	})
	r.say(3, r.m.Epoch, Active)
	if got := r.p.PGs[ceph.PGID{Pool: 1, Seed: 3}].PurgedSnaps; osdmap.ContainsSnap(got, 3) {
		t.Errorf("what is off the map is kept for ever: %v", got)
	}
}

// TestKnownPurgedInMergedPG: what is made of two PGs has purged what both have, and says nothing of
// a snapshot of which one of them had clones before it has looked; what other PGs have said stays.
func TestKnownPurgedInMergedPG(t *testing.T) {
	r := newResizer(t)
	r.remove(1, 9)
	all, some := osdmap.SnapRange{Start: 1, Len: 9}, osdmap.SnapRange{Start: 1, Len: 4}
	for seed := range uint32(4) {
		said := all
		if seed == 3 {
			said = some
		}
		r.say(seed, r.m.Epoch, Active|Clean, said)
	}
	r.purged("before", some)
	before := r.m.Epoch
	r.numbers(true, 4, 3, 3)
	r.numbers(true, 3, 3, 3) // 3 into 1
	r.purged("merged", some)
	r.say(1, before+1, Active|Clean, all) // a late word of the target alone
	r.purged("a late word of one of both", some)
	r.say(1, r.m.Epoch, Active|Clean)
	r.purged("nobody has looked since", some)
	r.say(1, r.m.Epoch, Active|Clean, osdmap.SnapRange{Start: 5, Len: 2})
	r.purged("it has", osdmap.SnapRange{Start: 1, Len: 6})
	r.numbers(true, 5, 3, 5)
	r.purged("new PGs are unknown")
	r.say(3, r.m.Epoch, Active|Clean)
	r.say(4, r.m.Epoch, Active|Clean)
	r.purged("parts have purged what the whole had", osdmap.SnapRange{Start: 1, Len: 6})
}

// TestPurgedAfterGap: a manager that has not seen every map does not know what was merged; only
// words of after the newest change count.
func TestPurgedAfterGap(t *testing.T) {
	r := newResizer(t)
	r.remove(1, 9)
	all := osdmap.SnapRange{Start: 1, Len: 9}
	for seed := range uint32(4) {
		r.say(seed, r.m.Epoch, Active|Clean, all)
	}
	r.purged("before", all)
	r.numbers(false, 3, 3, 3)
	r.numbers(false, 4, 3, 4)
	r.p.TakeMap(r.m, ceph.Time{})
	r.purged("a merge and a split that were not seen")
	fresh := NewPGMap()
	fresh.TakeMap(r.m, ceph.Time{})
	for _, p := range []*PGMap{r.p, fresh} {
		r.p = p
		for seed := range uint32(4) {
			r.say(seed, r.m.Epoch-1, Active|Clean, all)
		}
		r.purged("words of before the last change")
		for seed := range uint32(4) {
			r.say(seed, r.m.Epoch, Active|Clean, all)
		}
		r.purged("words of after it", all)
	}
}

// TestMergeWaitsForWhatChanges: the next step does not wait for PGs to which the last one has done
// nothing, however often the pool changes for other reasons; it does wait for those that it moved.
func TestMergeWaitsForWhatChanges(t *testing.T) {
	r := newResizer(t)
	pace := PoolPace{Misplaced: 0.5, PGs: 32}
	step := func(what string, want ...PoolStep) {
		t.Helper()
		r.p.Refresh(r.m)
		if got := r.p.ResizeSteps(r.m, pace); !slices.Equal(got, want) {
			t.Fatalf("%s: %v, want %v", what, got, want)
		}
	}
	for seed := range uint32(4) {
		r.say(seed, r.m.Epoch, Active|Clean)
	}
	r.change(true, func(pool *osdmap.Pool, _ *osdmap.Incremental) {
		pool.PGNumTarget, pool.PGPNumTarget = 2, 2
	})
	r.remove(1, 1) // the pool changes: no PG has reported since
	step("idle PGs", PoolStep{1, true, 3})
	r.numbers(true, 4, 3, 4)
	step("3 has to move, and to say so")
	r.say(3, r.m.Epoch, Active|Remapped)
	r.remove(2, 1)
	step("3 is moving, pgp_num goes on", PoolStep{1, true, 2})
	r.say(3, r.m.Epoch, Active|Clean)
	step("3 has moved", PoolStep{1, false, 3})
	r.numbers(true, 4, 3, 3)
	step("a merge is announced")
	r.say(3, r.m.Epoch, Peered|Premerge|Clean)
	r.say(1, r.m.Epoch, Peered|Premerge|Clean)
	r.numbers(true, 3, 3, 3)
	step("1 has not been heard of since it was merged")
	r.say(1, r.m.Epoch, Active|Clean)
	r.remove(3, 1)
	step("it has", PoolStep{1, true, 2})
}
