package conformance

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLifeOfAnOSD takes an OSD out of service and its number into use again, by the commands that
// ceph-volume and operators use.
func TestLifeOfAnOSD(t *testing.T) {
	t.Parallel()
	c := startFor(t, "--osds", "4", "--split", "--set", "mon_tick_interval=1")
	c.fill(t)
	before := c.checksum(t)
	answer := func(code int, says string, args ...string) {
		t.Helper()
		r, err := c.exec("", "ceph", args...)
		if err != nil || r.code != code || !strings.Contains(r.stderr+r.stdout, says) {
			t.Errorf("ceph %v: %+v %v; want %d and %q", args, r, err, code, says)
		}
	}
	answer(0, `"ok_to_stop":true,"osds":[3]`, "osd", "ok-to-stop", "3")
	answer(16, "unsafe to stop osd(s) at this time", "osd", "ok-to-stop", "1", "2", "3")
	answer(16, "pgs currently mapped to them", "osd", "safe-to-destroy", "3")
	answer(16, "You can proceed by passing --force", "osd", "destroy", "3")
	answer(16, "osd.3 is not `down`.", "osd", "destroy", "3", "--force")
	answer(16, "osd.3 is not `down`.", "osd", "purge", "osd.3", "--yes-i-really-mean-it")
	answer(0, "osd.77 does not exist", "osd", "destroy", "77")

	answer(0, "marked out osd.3", "osd", "out", "3")
	waitFor(t, "osd.3 is empty", func() bool {
		r, err := c.exec("", "ceph", "osd", "safe-to-destroy", "3")
		return err == nil && r.code == 0
	})
	c.kill9(t, "osd.3")
	answer(0, "", "osd", "down", "3")
	answer(0, "destroyed osd.3", "osd", "destroy", "3")
	answer(2, "failed to find osd.3 in keyring", "auth", "get", "osd.3")
	has(t, c.must(t, "ceph", "osd", "tree", "destroyed"), "osd.3  destroyed")

	const disk = "11111111-2222-3333-4444-555555555555"
	secret := file(t, "secret", []byte(
		`{"cephx_secret":"AQAO8MNkAAAAABAA4k2m1xX8zTzGNNzVrOQ8Ww=="}`))
	answer(0, "3", "osd", "new", disk, "3", "-i", secret)
	answer(0, "3", "osd", "new", disk, "3", "-i", secret)
	answer(0, "allow profile osd", "auth", "get", "osd.3")
	answer(0, disk, "osd", "find", "3")
	answer(0, "purged osd.3", "osd", "purge", "3", "--yes-i-really-mean-it")
	answer(2, "failed to find osd.3 in keyring", "auth", "get", "osd.3")
	if out := c.must(t, "ceph", "osd", "tree"); strings.Contains(out, "osd.3") {
		t.Error(out)
	}
	if err := c.waitClean(time.Minute); err != nil {
		t.Fatal(err)
	}
	if after := c.checksum(t); after != before {
		t.Errorf("data before:\n%s\nafter:\n%s", before, after)
	}
	answer(0, "HEALTH_OK", "health", "detail")
}

// TestAllMarkedDown: OSDs that are all marked down while they run come back by themselves, as soon
// as they may, and a request that came meanwhile waits for them.
func TestAllMarkedDown(t *testing.T) {
	t.Parallel()
	c := startFor(t, "--set", "mon_tick_interval=1")
	c.fill(t)
	before := c.checksum(t)
	c.must(t, "ceph", "osd", "set", "noup")
	c.must(t, "ceph", "osd", "down", "0", "1", "2")
	waitFor(t, "all are down", func() bool {
		out, err := c.run("ceph", "osd", "stat")
		return err == nil && strings.Contains(out, "0 up")
	})
	r, err := c.exec("", "timeout", "3", "rados", "-p", "rbd", "ls")
	if err != nil || r.code != 124 {
		t.Errorf("a listing without OSDs: %+v %v", r, err)
	}
	c.must(t, "ceph", "osd", "unset", "noup")
	if err := c.waitClean(time.Minute); err != nil {
		t.Fatal(err)
	}
	if after := c.checksum(t); after != before {
		t.Errorf("data before:\n%s\nafter:\n%s", before, after)
	}
}

// TestFullPools: a pool at its quota, and a pool on full OSDs, take no writes until there is room;
// deletes that say so go on.
func TestFullPools(t *testing.T) {
	c := startFor(t, "--set", "mon_tick_interval=1")
	in := file(t, "in", pattern(4<<10, 1))
	put := func(object string, blocked bool) {
		t.Helper()
		r, err := c.exec("", "timeout", "3", "rados", "-p", "rbd", "put", object, in)
		if err != nil || (r.code == 124) != blocked || !blocked && r.code != 0 {
			t.Errorf("put %s: %+v %v; blocked should be %v", object, r, err, blocked)
		}
	}
	health := func(want string) {
		t.Helper()
		waitFor(t, want, func() bool {
			out, err := c.run("ceph", "health", "detail")
			return err == nil && strings.Contains(out, want)
		})
	}
	for _, o := range []string{"a", "b"} {
		put(o, false)
	}
	for _, q := range []struct{ field, value, object string }{
		{"max_objects", "2", "c"}, {"max_bytes", "12K", "d"},
	} {
		c.must(t, "ceph", "osd", "pool", "set-quota", "rbd", q.field, q.value)
		health("    pool 'rbd' is full (running out of quota)")
		put(q.object, true)
		c.must(t, "ceph", "osd", "pool", "set-quota", "rbd", q.field, "0")
		health("HEALTH_OK")
		put(q.object, false)
	}

	ratios := func(near, backfill, full string) {
		t.Helper()
		c.must(t, "ceph", "osd", "set-nearfull-ratio", near)
		c.must(t, "ceph", "osd", "set-backfillfull-ratio", backfill)
		c.must(t, "ceph", "osd", "set-full-ratio", full)
	}
	ratios("0.00001", "0.9", "0.95")
	health("[WRN] OSD_NEARFULL: 3 nearfull osd(s)\n    osd.0 is near full")
	put("d", false)
	ratios("0.00001", "0.00002", "0.00003")
	health("[ERR] OSD_FULL: 3 full osd(s)\n    osd.0 is full")
	health("    pool 'rbd' is full (no space)")
	put("e", true)
	c.must(t, "rados", "-p", "rbd", "rm", "d", "--force-full")
	ratios("0.85", "0.9", "0.95")
	health("HEALTH_OK")
	put("e", false)
	if out := c.must(t, "rados", "-p", "rbd", "ls"); strings.Contains(out, "d") ||
		!strings.Contains(out, "e") {
		t.Errorf("objects %q", out)
	}

	c.must(t, "ceph", "tell", "osd.1", "injectfull", "backfillfull")
	health("[WRN] OSD_BACKFILLFULL: 1 backfillfull osd(s)\n    osd.1 is backfill full")
	c.must(t, "ceph", "tell", "osd.1", "injectfull", "failsafe")
	health("[ERR] OSD_FULL: 1 full osd(s)\n    osd.1 is full")
	put("f", true)
	c.must(t, "ceph", "tell", "osd.1", "injectfull", "none")
	health("HEALTH_OK")
	put("f", false)
}

// TestOSDPerf: OSDs report how long their stores take, and "osd perf" and "pg dump" print it.
func TestOSDPerf(t *testing.T) {
	f := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(f, make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	type perf struct {
		Commit int64 `json:"commit_latency_ns"`
		Apply  int64 `json:"apply_latency_ns"`
	}
	var got struct {
		Stats struct {
			Infos []struct {
				Perf perf `json:"perf_stats"`
			} `json:"osd_perf_infos"`
		} `json:"osdstats"`
	}
	waitFor(t, "latencies in osd perf", func() bool {
		must(t, "rados", "-p", pool, "put", "perf", f)
		out := must(t, "ceph", "osd", "perf", "-f", "json")
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
		for _, o := range got.Stats.Infos {
			if p := o.Perf; p.Commit > 1000 && p.Apply > 0 && p.Commit >= p.Apply &&
				p.Commit < int64(time.Minute) {
				return true
			}
		}
		return false
	})
	must(t, "rados", "-p", pool, "rm", "perf")
}

// TestSlowOSD: the map learns of an OSD that was marked down while it ran, and a real restart lets
// that fade.
func TestSlowOSD(t *testing.T) {
	c := startFor(t, "--split")
	learnt := func(want float64) {
		t.Helper()
		waitFor(t, fmt.Sprintf("osd.1 is slow with probability %v", want), func() bool {
			var dump struct {
				XInfo []struct {
					OSD         int
					Probability float64 `json:"laggy_probability"`
				} `json:"osd_xinfo"`
			}
			out, err := c.run("ceph", "osd", "dump", "-f", "json")
			if err != nil {
				return false
			}
			if err := json.Unmarshal([]byte(out), &dump); err != nil {
				t.Fatal(err)
			}
			x := dump.XInfo[1]
			return x.OSD == 1 && math.Abs(x.Probability-want) < 1e-6
		})
	}
	learnt(0)
	c.must(t, "ceph", "osd", "down", "1")
	learnt(.3)
	c.kill9(t, "osd.1")
	c.up(t)
	learnt(.21)
}
