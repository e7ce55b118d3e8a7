package mgr

import (
	"errors"
	"strings"
	"testing"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
)

// TestForceOfPools: the PGs of a pool that it makes sense for are taken, of the others it is said
// why not; so is an OSD that is away.
func TestForceOfPools(t *testing.T) {
	s := newState(t)
	pool := osdmap.NewPool()
	pool.PGNum, pool.PGPNum = 3, 3
	inc := osdmap.NewIncremental(osdmap.Empty(), ceph.Time{})
	inc.NewPoolMax = 4
	inc.NewPools = map[int64]*osdmap.Pool{4: pool}
	inc.NewPoolNames = map[int64]string{4: "p"}
	m, _, err := osdmap.Empty().Commit(inc)
	if err != nil {
		t.Fatal(err)
	}
	s.osdmap = m
	for seed, state := range []pgstat.State{pgstat.Active | pgstat.Clean,
		pgstat.Active | pgstat.RecoveryWait,
		pgstat.Active | pgstat.RecoveryWait | pgstat.ForcedRecovery} {
		id := ceph.PGID{Pool: 4, Seed: uint32(seed)}
		s.pgs.PGs[id] = &pgstat.PG{State: state, ActingPrimary: 7}
	}
	for command, want := range map[string]string{
		"force-recovery": "pg 4.0 doesn't require recovery; pg 4.2 recovery already forced; " +
			"osd.7 is not currently connected; ",
		"cancel-force-recovery": "pg 4.0 recovery not forced; pg 4.1 recovery not forced; " +
			"osd.7 is not currently connected; ",
	} {
		r := s.ask(t, `{"prefix":"osd pool `+command+`","who":["p"]}`)
		if r.status != want || !errors.Is(r.err, ceph.EAGAIN) {
			t.Errorf("%s: %q, %v; want %q", command, r.status, r.err, want)
		}
	}
	r := s.ask(t, `{"prefix":"osd pool force-backfill","who":["q"]}`)
	if !strings.Contains(r.status, "unrecognized pool 'q'") || !errors.Is(r.err, ceph.ENOENT) {
		t.Errorf("an unknown pool: %q, %v", r.status, r.err)
	}
}
