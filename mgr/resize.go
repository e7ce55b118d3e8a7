package mgr

import (
	"context"
	"fmt"
	"slices"
	"time"

	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
)

// resizePause is until the next steps when the map does not have the last ones.
const resizePause = 500 * time.Millisecond

// A resizing is the steps of pools that the monitors were last asked for.
type resizing struct {
	asking bool // they have not answered
	steps  []pgstat.PoolStep
	until  time.Time // when they are given up
}

// waits says whether the map is still to get what was asked for. What else there is to wait for is
// in the reports of PGs.
func (r *resizing) waits(m *osdmap.Map, now time.Time) bool {
	return r.asking || now.Before(r.until) && slices.ContainsFunc(r.steps,
		func(s pgstat.PoolStep) bool { return !s.Done(m) })
}

// resizePools has the monitors take the next steps towards the numbers of PGs that pools are to
// have; one step of each at a time, when the PGs have told that they are through with the last.
func (m *Manager) resizePools(now time.Time) {
	s := &m.state
	if s.resize.waits(s.osdmap, now) || !s.complete(now) {
		return
	}
	s.pgs.Refresh(s.osdmap)
	steps := s.pgs.ResizeSteps(s.osdmap, pgstat.PoolPace{
		Misplaced: s.set.Float("target_max_misplaced_ratio"),
		PGs:       uint32(s.set.Int("mgr_max_pg_num_change"))})
	if len(steps) == 0 {
		return
	}
	var cmds []map[string]string
	for _, step := range steps {
		name := "pg_num_actual"
		if step.PGP {
			name = "pgp_num_actual"
		}
		m.log.Info("adjusting a pool", "pool", s.osdmap.PoolName(step.Pool), "var", name,
			"to", step.To)
		cmds = append(cmds, map[string]string{"prefix": "osd pool set",
			"pool": s.osdmap.PoolName(step.Pool), "var": name, "val": fmt.Sprint(step.To)})
	}
	s.resize = resizing{true, steps, now.Add(resizePause)}
	m.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), relayTimeout)
		defer cancel()
		for _, cmd := range cmds {
			if _, err := m.client.Command(ctx, cmd, nil); err != nil {
				m.log.Warn("a pool could not be adjusted", "pool", cmd["pool"], "err", err)
			}
		}
		m.post(func(m *Manager) { m.state.resize.asking = false })
	})
}
