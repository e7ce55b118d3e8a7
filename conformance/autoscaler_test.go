package conformance

import (
	"strings"
	"testing"
)

// TestAutoscaler: a pool that expects all the space is said to have too few PGs, and gets them in
// mode on.
func TestAutoscaler(t *testing.T) {
	t.Parallel()
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

// TestAutoscaleByDefault: pools are made with mode on, and one of few PGs is split under a client
// that knows what every object must hold.
func TestAutoscaleByDefault(t *testing.T) {
	t.Parallel()
	c := startFor(t, "--set", "osd_pool_default_pg_autoscale_mode=on", "--set",
		"mgr_stats_period=1", "--set", "target_max_misplaced_ratio=0.3")
	const off = "mgr/pg_autoscaler/noautoscale" // it may look for the first time just now
	c.must(t, "ceph", "config", "set", "mgr", off, "true")
	c.must(t, "ceph", "osd", "pool", "create", "few", "4")
	c.must(t, "ceph", "osd", "pool", "application", "enable", "few", "rados")
	has(t, c.must(t, "ceph", "osd", "pool", "ls", "detail"), "pg_num 4 pgp_num 4 autoscale_mode on")
	c.clean(t)
	end := c.model(t, "few", 1)
	c.must(t, "ceph", "config", "set", "mgr", "mgr/pg_autoscaler/sleep_interval", "1")
	c.must(t, "ceph", "config", "rm", "mgr", off)
	c.until(t, "PG autoscaler increasing pool 2 PGs from 4 to 32", "progress")
	waitFor(t, "32 PGs", func() bool {
		out, err := c.run("ceph", "osd", "pool", "ls", "detail")
		return err == nil && strings.Contains(out, " pg_num 32 pgp_num 32 autoscale_mode on") &&
			!strings.Contains(out, "_target ")
	})
	c.clean(t)
	end()
	has(t, c.must(t, "ceph", "health", "detail"), "HEALTH_OK")
}
