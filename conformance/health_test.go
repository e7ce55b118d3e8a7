package conformance

import (
	"strings"
	"testing"
	"time"
)

// TestHealthMute: a muted alert does not count, says how long it is muted, and counts again when it
// has become worse or has come again.
func TestHealthMute(t *testing.T) {
	c := startFor(t, "--set", "mon_tick_interval=1")
	has(t, c.must(t, "ceph", "health", "detail"), "HEALTH_OK\n")
	refuses := func(code int, says string, args ...string) {
		t.Helper()
		r, err := c.exec("", "ceph", args...)
		if err != nil || r.code != code || !strings.Contains(r.stderr, says) {
			t.Errorf("%v: %+v %v; want %d and %q", args, r, err, code, says)
		}
	}
	refuses(2, "health alert NOSUCH is not currently raised", "health", "mute", "NOSUCH")
	refuses(22, "invalid duration: xx (expected digit)", "health", "mute", "NOSUCH", "xx")
	refuses(22, "Invalid command", "health", "history")
	c.must(t, "ceph", "health", "mute", "NOSUCH", "10m", "--sticky")
	has(t, c.must(t, "ceph", "health"), "HEALTH_OK (muted: NOSUCH(9m))\n")
	c.must(t, "ceph", "health", "unmute", "NOSUCH")

	c.must(t, "ceph", "osd", "set", "noout")
	c.until(t, "HEALTH_WARN noout flag(s) set\n", "health")
	c.must(t, "ceph", "health", "mute", "OSDMAP_FLAGS", "1h")
	has(t, c.must(t, "ceph", "health", "detail"), "HEALTH_OK (muted: OSDMAP_FLAGS(59m))\n"+
		"(MUTED ttl 59m) [WRN] OSDMAP_FLAGS: noout flag(s) set\n")
	has(t, c.must(t, "ceph", "-s"), "health: HEALTH_OK\n            (muted: OSDMAP_FLAGS(59m))\n")
	c.must(t, "ceph", "osd", "unset", "noout")
	c.until(t, "HEALTH_OK\n", "health")
	c.until(t, "Health alert mute OSDMAP_FLAGS cleared (health alert cleared)", "log", "last", "9")
	c.must(t, "ceph", "osd", "set", "noout")
	c.until(t, "HEALTH_WARN noout flag(s) set\n", "health")
	c.must(t, "ceph", "health", "mute", "OSDMAP_FLAGS", "2s")
	has(t, c.must(t, "ceph", "health"), "HEALTH_OK (muted: OSDMAP_FLAGS(")
	c.until(t, "HEALTH_WARN noout flag(s) set\n", "health")
	c.must(t, "ceph", "osd", "unset", "noout")
}

// TestMonitorConditions: what monitors know of themselves raises alerts, and options that take
// effect at once clear them.
func TestMonitorConditions(t *testing.T) {
	t.Parallel()
	c := startFor(t, "--mons", "3", "--set", "mon_tick_interval=1")
	c.must(t, "ceph", "config", "set", "mon", "mon_data_size_warn", "1K")
	c.until(t, "mons a,b,c are using a lot of disk space", "health", "detail")
	has(t, c.must(t, "ceph", "health", "detail"), "[WRN] MON_DISK_BIG: ", "    mon.b is ",
		" >= mon_data_size_warn (1 KiB)\n")
	c.must(t, "ceph", "config", "rm", "mon", "mon_data_size_warn")
	c.must(t, "ceph", "config", "set", "mon", "auth_allow_insecure_global_id_reclaim", "true")
	c.until(t, "AUTH_INSECURE_GLOBAL_ID_RECLAIM_ALLOWED: mons a,b,c are allowing insecure "+
		"global_id reclaim", "health", "detail")
	c.must(t, "ceph", "config", "rm", "mon", "auth_allow_insecure_global_id_reclaim")
	c.must(t, "ceph", "config", "set", "mon.a", "mon_osd_down_out_interval", "0")
	c.until(t, "mon a has mon_osd_down_out_interval set to 0", "health")
	c.must(t, "ceph", "config", "rm", "mon.a", "mon_osd_down_out_interval")
	c.until(t, "HEALTH_OK\n", "health")
	for _, name := range []string{"mon.a", "mon.b", "mon.c"} {
		c.until(t, "mon_data_size_warn", "config", "show-with-defaults", name)
	}
}

// until repeats a command of ceph until its output has a part.
func (c *cluster) until(t *testing.T, part string, args ...string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		out := c.must(t, "ceph", args...)
		if strings.Contains(out, part) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v does not say %q:\n%s", args, part, out)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
