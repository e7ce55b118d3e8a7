package mgr

import (
	"context"
	"fmt"
	"time"

	"glue/cluster/commands"
	"glue/cluster/health"
	"glue/internal/texttable"
	"glue/mgr/autoscaler"
)

// autoscaling is when pools were last looked at.
type autoscaling struct {
	at       time.Time
	carrying bool // commands are at the monitors
}

// autoscale finds how many PGs pools should have.
func (s *state) autoscale() []autoscaler.Row {
	return autoscaler.Plan(autoscaler.Input{Map: s.osdmap,
		PerOSD: s.set.Float("mon_target_pg_per_osd"),
		Stored: func(pool int64) int64 { return s.pgs.Pools[pool].Stats.Sum.Bytes },
		Size: func(osd int32) uint64 {
			if o := s.pgs.OSDs[osd]; o != nil {
				return o.Statfs.Total
			}
			return 0
		}})
}

// autoscaleChecks warn of pools whose mode is to warn.
func (s *state) autoscaleChecks() []health.Check {
	if !s.ready {
		return nil
	}
	return autoscaler.Checks(s.osdmap, s.autoscale())
}

// autoscaleTick gives pools whose mode is on the PGs that they should have.
func (m *Manager) autoscaleTick(now time.Time) {
	s := &m.state
	every := s.set.Duration("mgr/pg_autoscaler/sleep_interval")
	if s.scale.carrying || now.Sub(s.scale.at) < every || !s.complete(now) ||
		s.set.Bool("mgr/pg_autoscaler/noautoscale") {
		return
	}
	s.scale.at = now
	s.pgs.Refresh(s.osdmap)
	var cmds []map[string]string
	for _, r := range s.autoscale() {
		if r.Mode.String() != "on" || !r.Adjust {
			continue
		}
		name := s.osdmap.PoolName(r.Pool)
		m.log.Info("pool should have another number of PGs", "pool", name, "is", r.Now,
			"will", r.Final)
		if s.kept.loaded {
			s.kept.progress.Adjust(now, s.osdmap, r.Pool, r.Final)
		}
		cmds = append(cmds, map[string]string{"prefix": "osd pool set", "pool": name,
			"var": "pg_num", "val": fmt.Sprint(r.Final)})
	}
	if len(cmds) == 0 {
		return
	}
	s.scale.carrying = true
	m.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), relayTimeout)
		defer cancel()
		for _, cmd := range cmds {
			if _, err := m.client.Command(ctx, cmd, nil); err != nil {
				m.log.Warn("the monitors refuse a number of PGs", "pool", cmd["pool"], "err", err)
			}
		}
		m.post(func(m *Manager) { m.state.scale.carrying = false })
	})
}

// An autoscaleRow is a pool in the JSON of "osd pool autoscale-status".
type autoscaleRow struct {
	ActualRatio float64 `json:"actual_capacity_ratio"`
	ActualRaw   float64 `json:"actual_raw_used"`
	Bias        float64 `json:"bias"`
	Bulk        bool    `json:"bulk"`
	Ratio       float64 `json:"capacity_ratio"`
	Root        int32   `json:"crush_root_id"`
	Effective   float64 `json:"effective_target_ratio"`
	Logical     int64   `json:"logical_used"`
	Mode        string  `json:"pg_autoscale_mode"`
	Final       uint32  `json:"pg_num_final"`
	Ideal       uint32  `json:"pg_num_ideal"`
	Target      uint32  `json:"pg_num_target"`
	ID          int64   `json:"pool_id"`
	Name        string  `json:"pool_name"`
	Raw         float64 `json:"raw_used"`
	Rate        float64 `json:"raw_used_rate"`
	Capacity    uint64  `json:"subtree_capacity"`
	TargetBytes int64   `json:"target_bytes"`
	TargetRatio float64 `json:"target_ratio"`
	Adjust      bool    `json:"would_adjust"`
}

func autoscaleStatus(s *state, c *commands.Command) result {
	rows := []autoscaleRow{}
	for _, r := range s.autoscale() {
		rows = append(rows, autoscaleRow{r.ActualRatio, r.ActualRaw, r.Bias, r.Bulk, r.Ratio,
			r.Root, r.EffectiveRatio, r.Logical, r.Mode.String(), r.Final, r.Ideal, r.Now, r.Pool,
			s.osdmap.PoolName(r.Pool), r.Raw, r.Rate, r.Capacity, r.TargetBytes, r.TargetRatio,
			r.Adjust})
	}
	return printed(c, func() any { return rows }, func() string { return autoscaleText(rows) })
}

func autoscaleText(rows []autoscaleRow) string {
	columns := []texttable.Column{{Heading: "POOL"}}
	for _, h := range []string{"SIZE", "TARGET SIZE", "RATE", "RAW CAPACITY", "RATIO",
		"TARGET RATIO", "EFFECTIVE RATIO", "BIAS", "PG_NUM", "NEW PG_NUM"} {
		columns = append(columns, texttable.Column{Heading: h, HeadingSide: texttable.Right,
			CellSide: texttable.Right})
	}
	t := texttable.New(append(columns, texttable.Column{Heading: "AUTOSCALE"},
		texttable.Column{Heading: "BULK"})...)
	where := func(ok bool, format string, v any) string {
		if !ok {
			return ""
		}
		return fmt.Sprintf(format, v)
	}
	for _, r := range rows {
		t.Row(r.Name, short(float64(r.Logical), 6, 1024),
			where(r.TargetBytes > 0, "%s", short(float64(r.TargetBytes), 6, 1024)),
			fmt.Sprintf("%.1f", r.Rate), short(float64(r.Capacity), 6, 1024),
			fmt.Sprintf("%.4f", r.Ratio), where(r.TargetRatio > 0, "%.4f", r.TargetRatio),
			where(r.Effective > 0, "%.4f", r.Effective), fmt.Sprintf("%.1f", r.Bias), r.Target,
			where(r.Adjust, "%d", r.Final), r.Mode, map[bool]string{true: "True",
				false: "False"}[r.Bulk])
	}
	return t.String()
}
