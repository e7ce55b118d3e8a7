package conformance

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestCrash: a daemon that crashes is reported once it runs again; the report warns until somebody
// takes note of it, and outlives the manager.
func TestCrash(t *testing.T) {
	t.Parallel()
	c := startFor(t, "--split")
	c.process(t, "osd.1").Signal(syscall.SIGABRT)
	waitFor(t, "osd.1 has ended", func() bool {
		out, err := c.run("ceph", "osd", "stat")
		return err == nil && strings.Contains(out, "3 osds: 2 up")
	})
	c.up(t)
	waitFor(t, "a warning", func() bool {
		out, err := c.run("ceph", "health", "detail")
		return err == nil && strings.Contains(out, "RECENT_CRASH: 1 daemons have recently crashed")
	})
	ls := c.must(t, "ceph", "crash", "ls-new")
	m := regexp.MustCompile(`(?m)^(\S+Z_\S+)  osd\.1    \*   $`).FindStringSubmatch(ls)
	if m == nil {
		t.Fatalf("crash ls-new: %q", ls)
	}
	id := m[1]
	has(t, c.must(t, "ceph", "health", "detail"), "osd.1 crashed on host ")
	var info struct {
		ID        string `json:"crash_id"`
		Entity    string `json:"entity_name"`
		Message   string `json:"go_message"`
		Signature string `json:"stack_sig"`
		Backtrace []string
	}
	text := c.must(t, "ceph", "crash", "info", id)
	if err := json.Unmarshal([]byte(text), &info); err != nil || info.ID != id ||
		info.Entity != "osd.1" || !strings.Contains(info.Message, "SIGABRT") ||
		len(info.Backtrace) == 0 || len(info.Signature) != 64 {
		t.Errorf("%v: %s", err, text)
	}
	has(t, c.must(t, "ceph", "crash", "stat"), "1 crashes recorded")
	if err := c.process(t, "mgr.x").Kill(); err != nil {
		t.Fatal(err)
	}
	c.up(t)
	c.until(t, id, "crash", "ls")
	c.must(t, "ceph", "crash", "archive", id)
	waitFor(t, "health", func() bool {
		out, err := c.run("ceph", "health")
		return err == nil && out == "HEALTH_OK\n"
	})
	if out := strings.TrimSpace(c.must(t, "ceph", "crash", "ls-new")); out != "" {
		t.Errorf("crash ls-new after archive: %q", out)
	}
	has(t, c.must(t, "ceph", "crash", "ls"), id)

	// What an agent posts, as ceph-crash does.
	at := time.Now().AddDate(0, 0, -60).UTC().Format("2006-01-02T15:04:05.000000Z")
	meta := `{"crash_id":"x1","timestamp":"` + at + `",` +
		`"process_name":"ceph-mds","entity_name":"mds.z",` +
		`"backtrace":["(foo(int)+0x12) [0x1234]","(bar()+0x1) [0x99]"]}`
	c.must(t, "ceph", "crash", "post", "-i", file(t, "meta", []byte(meta)))
	has(t, c.must(t, "ceph", "crash", "info", "x1"),
		"61366fe4e06bd1c06cac527f19908e44b5ce3bfe8c6c756f6c889ad940adb602")
	has(t, c.must(t, "ceph", "crash", "json_report", "24"), `"ceph-mds": 1`, `"glue": 1`)
	has(t, c.must(t, "ceph", "crash", "stat"), "2 crashes recorded", "1 older than 7 days old:\nx1")
	c.must(t, "ceph", "crash", "prune", "30")
	if out := c.must(t, "ceph", "crash", "ls"); strings.Contains(out, "x1") ||
		!strings.Contains(out, id) {
		t.Errorf("after prune: %s", out)
	}
	c.must(t, "ceph", "crash", "rm", id)
	has(t, c.must(t, "ceph", "crash", "stat"), "0 crashes recorded")
	if got, _ := filepath.Glob(filepath.Join(c.dir, "crash", "posted", id, "meta")); got == nil {
		t.Error("the report is not in crash/posted")
	}
}

// TestProgress: what moves after an OSD was marked out is shown, ends, and is remembered.
func TestProgress(t *testing.T) {
	t.Parallel()
	c := startFor(t, "--osds", "4", "--set", "mgr_stats_period=1")
	c.must(t, "ceph", "config", "set", "mgr", "mgr/progress/sleep_interval", "1")
	c.fill(t)
	stops := []string{"norecover", "nobackfill"} // until what is shown has been looked at
	for _, flag := range stops {
		c.must(t, "ceph", "osd", "set", flag)
	}
	c.must(t, "ceph", "osd", "out", "1")
	c.until(t, "Rebalancing after osd.1 marked out (", "progress")
	waitFor(t, "the global event in the status", func() bool {
		out, err := c.run("ceph", "-s")
		shown := regexp.MustCompile(`(?m)^  progress:\n    Global Recovery Event \(\d+s\)\n` +
			`      \[[=.]{28}\] `)
		return err == nil && shown.MatchString(out)
	})
	has(t, c.must(t, "ceph", "-s", "-f", "json"), `"add_to_ceph_s":true`, "Global Recovery Event (")
	has(t, c.must(t, "ceph", "progress", "json"), `"message": "Rebalancing after osd.1 marked out"`,
		`"refs": [`, `"time_remaining"`)
	for _, flag := range stops {
		c.must(t, "ceph", "osd", "unset", flag)
	}
	c.clean(t)
	c.until(t, "[Complete]: Rebalancing after osd.1 marked out (", "progress")
	c.until(t, "[Complete]: Global Recovery Event (", "progress")
	waitFor(t, "a status without progress", func() bool {
		out, err := c.run("ceph", "-s")
		return err == nil && !strings.Contains(out, "progress:")
	})
	c.must(t, "ceph", "progress", "clear")
	r, err := c.exec("", "ceph", "progress")
	if err != nil || r.code != 0 || !strings.Contains(r.stderr, "Nothing in progress") {
		t.Errorf("%+v, %v", r, err)
	}
	c.must(t, "ceph", "progress", "off")
	c.must(t, "ceph", "osd", "in", "1")
	c.clean(t)
	has(t, c.must(t, "ceph", "progress", "json"), `"completed": []`, `"events": []`)
	c.must(t, "ceph", "progress", "on")
}
