package osd

import (
	"fmt"
	"os"
	"testing"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
	"glue/wire/message"
)

// resize changes the numbers of PGs, as a manager does: only when all PGs have been active.
func (s *sim) resize() {
	p := *s.m.Pools[simPool]
	switch n := s.rng.IntN(5); {
	case n == 0 || n < 2 && p.PGPNum == p.PGNum:
		p.PGPNum = 1 + uint32(s.rng.IntN(int(p.PGNumPending)))
	case n < 4:
		last := ceph.PGID{Pool: simPool, Seed: p.PGNum - 1}
		if p.PGPNum < p.PGNum && p.PGNumPending == p.PGNum &&
			pginfo.Together(s.m, &p, last, osdmap.MergeTarget(last, p.PGNum-1)) {
			p.PGNumPending--
		}
	case p.PGNum < simMaxPGs && s.created():
		p.PGNum += 1 + uint32(s.rng.IntN(int(simMaxPGs-p.PGNum)))
		p.PGNumPending = p.PGNum
	}
	p.PGNumTarget, p.PGPNumTarget = p.PGNum, p.PGPNum
	if *simTrace {
		fmt.Fprintln(os.Stderr, "--- pg_num", p.PGNum, "pgp_num", p.PGPNum, "at", s.steps)
	}
	inc := s.change()
	inc.NewPools = map[int64]*osdmap.Pool{simPool: &p}
	s.commit(inc)
}

const simMaxPGs = 10

// merge is the monitor's answer to PGs that are ready to be merged, or won't be.
func (s *sim) merge(b *message.MOSDPGReadyToMerge) {
	p := s.m.Pools[simPool]
	if p.PGNumPending == p.PGNum || b.Source.Seed != p.PGNumPending {
		return
	}
	r := pginfo.Readiness{Source: b.Source, Primary: b.OSD, SourceSince: b.SourceSince,
		TargetSince: b.TargetSince, SourceVersion: b.SourceVersion,
		TargetVersion: b.TargetVersion}
	q := r.Merged(s.m, func(e ceph.Epoch) (*osdmap.Map, error) { return osdmap.Decode(s.full[e]) })
	if !b.Ready {
		q = p.Clone()
		q.PGNumPending = q.PGNum
	}
	if q == nil {
		return
	}
	if *simTrace {
		fmt.Fprintln(os.Stderr, "--- merged", b.Source, "at", s.steps, q.PGNum)
	}
	if q.PGNum < p.PGNum {
		s.merges++
	}
	inc := s.change()
	inc.NewPools = map[int64]*osdmap.Pool{simPool: q}
	s.commit(inc)
}

// created says whether every PG has been active, so that copies of it exist.
func (s *sim) created() bool {
	active := map[ceph.PGID]bool{}
	for _, n := range s.nodes {
		if n.d == nil {
			continue
		}
		for _, sh := range n.d.shards {
			for id, p := range sh.pgs {
				if p.m.Info().History.LastEpochStarted > 0 {
					active[id.PGID] = true
				}
			}
		}
	}
	return len(active) == int(s.m.Pools[simPool].PGNum)
}

// TestRestartAfterSplit: an OSD that starts takes its PGs through the maps from where each of them
// was stored last. One that was made by a split is not touched by the maps of before, which other
// PGs have yet to go through.
func TestRestartAfterSplit(t *testing.T) {
	s := newSim(t, 2, 3)
	s.odds = odds{1e9, 1e9, 1e9, 1e9, 1e9, 1e9}
	s.noScrub = true
	for i := range 3 {
		s.cl = append(s.cl, &simClient{s: s, id: i})
	}
	busy := func() {
		s.quiet = false
		for range 2000 {
			s.step()
		}
		s.heal()
	}
	busy()
	p := *s.m.Pools[simPool]
	p.PGNum, p.PGNumPending, p.PGNumTarget = 6, 6, 6 // two of four PGs are split
	inc := s.change()
	inc.NewPools = map[int64]*osdmap.Pool{simPool: &p}
	s.commit(inc)
	busy()
	for _, n := range s.nodes {
		n.store.Complete(n.store.Pending())
		s.crash(n)
	}
	s.heal()
	s.check()
	s.checkPlaces()
}
