package conformance

import (
	"strings"
	"testing"
)

// TestAutoscaler: a pool that expects all the space is said to have too few PGs, and gets them in
// mode on.
func TestAutoscaler(t *testing.T) {
	c := startFor(t, "--set", "mgr_stats_period=1")
	c.must(t, "ceph", "config", "set", "mgr", "mgr/pg_autoscaler/sleep_interval", "1")
	c.must(t, "ceph", "osd", "pool", "create", "all", "8")
	c.must(t, "ceph", "osd", "pool", "set", "all", "target_size_ratio", "1")
	c.must(t, "ceph", "osd", "pool", "set", "all", "pg_autoscale_mode", "warn")
	waitFor(t, "a warning", func() bool {
		out, err := c.run("ceph", "health", "detail")
		return err == nil && strings.Contains(out, "POOL_TOO_FEW_PGS") &&
			strings.Contains(out, "Pool all has 8 placement groups, should have 128")
	})
	has(t, c.must(t, "ceph", "osd", "pool", "autoscale-status", "-f", "json"),
		`"would_adjust":true`, `"pg_num_final":128`)
	c.must(t, "ceph", "osd", "pool", "set", "all", "pg_autoscale_mode", "on")
	waitFor(t, "128 PGs", func() bool {
		out, err := c.run("ceph", "osd", "pool", "get", "all", "pg_num")
		return err == nil && strings.Contains(out, "pg_num: 128")
	})
	c.clean(t)
	has(t, c.must(t, "ceph", "health", "detail"), "HEALTH_OK")
}
