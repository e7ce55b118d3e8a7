package mgr

import (
	"testing"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
)

// TestResizeWaits: a step that was asked for is not asked for again while the monitors work on it,
// and its map may be on its way; it does not hold up the next one longer than that.
func TestResizeWaits(t *testing.T) {
	now := time.Unix(1e9, 0)
	m := osdmap.Empty()
	pool := osdmap.NewPool()
	pool.PGNum, pool.PGNumPending, pool.PGPNum = 8, 8, 8
	m.Pools = map[int64]*osdmap.Pool{1: pool}
	for _, step := range []pgstat.PoolStep{{Pool: 1, To: 7}, {Pool: 1, PGP: true, To: 7}} {
		r := resizing{true, []pgstat.PoolStep{step}, now.Add(resizePause)}
		if !r.waits(m, now.Add(time.Minute)) {
			t.Error("asked for twice")
		}
		r.asking = false
		if !r.waits(m, now.Add(resizePause/2)) {
			t.Error("asked for again before its map could be here")
		}
		if r.waits(m, now.Add(resizePause)) {
			t.Error("not asked for again after it was refused")
		}
		q := pool.Clone()
		if step.PGP {
			q.PGPNum = 7
		} else {
			q.PGNumPending = 7
		}
		with := &osdmap.Map{Epoch: ceph.Epoch(2), Pools: map[int64]*osdmap.Pool{1: q}}
		if r.waits(with, now) || r.waits(osdmap.Empty(), now) {
			t.Error("waits for what the map has, or for a pool that is gone")
		}
	}
}
