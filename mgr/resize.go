package mgr

import (
	"context"
	"fmt"
	"time"

	"glue/cluster/pgstat"
)

// resizePause is between two steps, also when the monitors refuse one.
const resizePause = 500 * time.Millisecond

// resizePools has the monitors take the next steps towards the numbers of PGs that pools are to
// have; one step of each at a time, when the PGs have told that they are through with the last.
func (m *Manager) resizePools(now time.Time) {
	s := &m.state
	if s.resizing || now.Before(s.resizeAt) || !s.complete(now) {
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
	s.resizing, s.resizeAt = true, now.Add(resizePause)
	m.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), relayTimeout)
		defer cancel()
		for _, cmd := range cmds {
			if _, err := m.client.Command(ctx, cmd, nil); err != nil {
				m.log.Warn("a pool could not be adjusted", "pool", cmd["pool"], "err", err)
			}
		}
		m.post(func(m *Manager) { m.state.resizing = false })
	})
}
