package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A told is a command to one daemon, and how a stock daemon answers it.
type told struct {
	words string
	code  int
	says  string // in the output or on standard error
}

// everyDaemon are commands that monitors, managers and OSDs share; the option is one that Ceph and
// Glue have with the same default.
var everyDaemon = []told{
	{"version", 0, `"release": "pacific"`},
	{"git_version", 0, `"git_version"`},
	{"help", 0, "config diff get <var>"},
	{"config get osd_op_complaint_time", 0, `"osd_op_complaint_time": "30.000000"`},
	{"config get nosuch", 2, "error getting 'nosuch': (2) No such file or directory"},
	{"config set osd_op_complaint_time 20", 0, `"success": "osd_op_complaint_time = '20.000000' `},
	{"config set osd_op_complaint_time xx", 22,
		"error setting 'osd_op_complaint_time' to 'xx': (22) Invalid argument"},
	{"config set nosuch 1", 2, "error setting 'nosuch' to '1': (2) No such file or directory"},
	{"config set osd_data /x", 1, "error setting 'osd_data' to '/x': (1) Operation not permitted"},
	{"config diff", 0, `"override": 20,`},
	{"config unset osd_op_complaint_time", 0, "osd_op_complaint_time = '30.000000' "},
	{"config unset nosuch", 22, "error unsetting 'nosuch': (22) Invalid argument"},
	{"config help osd_op_complaint_time", 0, `"default": 30,`},
	{"config help nosuch", 2, "Setting not found: 'nosuch'"},
	{"config show", 0, `"osd_op_complaint_time": "30.000000"`},
	{"injectargs --osd_op_complaint_time=25", 0, "osd_op_complaint_time = '25.000000' "},
	{"injectargs --osd_op_complaint_time=abc", 22,
		"(strict_strtod: expected double, got: 'abc')."},
	{"injectargs --nosuch=5", 22, "failed to parse arguments: --nosuch=5"},
	{"injectargs --osd_data=5", 1, "(Configuration option 'osd_data' may not be modified"},
	{"config unset osd_op_complaint_time", 0, "{}"},
	{"log flush", 0, "{}"},
	{"log reopen", 0, "{}"},
	{"log dump", 0, "{}"},
	{"perf dump", 0, "{"},
	{"perf schema", 0, "{"},
	{"perf histogram dump", 0, "{"},
	{"perf histogram schema", 0, "{"},
	{"perf reset all", 0, `"success": "perf reset all"`},
	{"perf reset nosuch", 0, `"error": "Not find: nosuch"`},
	{"dump_mempools", 0, `"by_pool"`},
	{"nonsense", 22, "no valid command found"},
}

var oneDaemon = map[string][]told{
	"osd.0": {
		{"status", 0, `"state": "active"`},
		{"dump_ops_in_flight", 0, `"num_ops": `},
		{"ops", 0, `"num_ops": `},
		{"dump_blocked_ops", 0, `"complaint_time": 30,`},
		{"dump_historic_ops", 0, `"duration": 600,`},
		{"dump_historic_ops_by_duration", 0, `"size": 20,`},
		{"dump_historic_slow_ops", 0, `"threshold to keep": 10,`},
		{"dump_watchers", 0, "["},
		{"get_mapped_pools", 0, "["},
		{"flush_pg_stats", 0, ""},
		{"get_latest_osdmap", 0, ""},
		{"send_beacon", 0, ""},
		{"cluster_log error a line for the log", 0, ""},
		{"heap bogus", 22, "bogus not in dump|start_profiler"},
	},
	"mon.a": {
		{"mon_status", 0, `"state": "leader"`},
		{"sessions", 0, `"con_type": `},
		{"ops", 0, `"num_ops": `},
	},
	"mgr.x": {
		{"mgr_status", 0, `"initialized": true`},
	},
}

// TestTellEach: each command through the stock command line, by network and by the admin socket.
func TestTellEach(t *testing.T) {
	for _, daemon := range []string{"mon.a", "osd.0", "mgr.x"} {
		t.Run(daemon, func(t *testing.T) {
			for _, c := range append(everyDaemon[:len(everyDaemon):len(everyDaemon)],
				oneDaemon[daemon]...) {
				checkTold(t, c, "tell", daemon)
			}
		})
	}
	has(t, must(t, "ceph", "tell", "osd.*", "version"), "osd.0: {", "osd.1: {", "osd.2: {")
	fails(t, 2, "problem getting command descriptions", "ceph", "tell", "osd.99", "version")
	fails(t, 2, "problem getting command descriptions", "ceph", "tell", "mon.zz", "version")
}

func checkTold(t *testing.T, c told, how ...string) {
	t.Helper()
	r, err := shared.exec("", "ceph", append(how, strings.Fields(c.words)...)...)
	if err != nil {
		t.Fatal(err)
	}
	if r.code != c.code || !strings.Contains(r.stdout+r.stderr, c.says) {
		t.Errorf("%v %s: exit code %d, %q %q; want %d and %q", how, c.words, r.code, r.stdout,
			r.stderr, c.code, c.says)
	}
}

// TestAdminSocket: the same tables; a failure is told in the output, and the exit code is 0, as
// "ceph daemon" does.
func TestAdminSocket(t *testing.T) {
	if shared.dir == "" {
		t.Skip("knows the sockets of clusters of this tree only")
	}
	for _, daemon := range []string{"mon.a", "osd.0", "mgr.x"} {
		path := filepath.Join(shared.dir, "run", daemon+".asok")
		checkTold(t, told{"version", 0, `"release": "pacific"`}, "daemon", path)
		checkTold(t, told{"git_version -f xml", 0, "<version><git_version>"}, "daemon", path)
		checkTold(t, told{"config show", 0, `"name": "` + daemon + `"`}, "daemon", daemon)
		checkTold(t, told{"config get nosuch", 0, "ERROR: (2) No such file or directory\n" +
			"error getting 'nosuch': (2) No such file or directory\n"}, "daemon", path)
		checkTold(t, told{"nonsense", 22, "no valid command found"}, "daemon", path)
	}
}

// TestTellCaps: only "allow *" for the kind of daemon opens its commands.
func TestTellCaps(t *testing.T) {
	for caps, opens := range map[string]string{
		"mon|allow r": "", "mon|allow r|osd|allow rwx": "", "mon|allow r|osd|allow *": "osd.0",
		"mon|allow *": "mon.a", "mon|allow rw": "", "mon|allow r|mgr|allow rw": "",
		"mon|allow r|mgr|allow *": "mgr.x",
	} {
		args := append([]string{"auth", "get-or-create", "client.tell"},
			strings.Split(caps, "|")...)
		key := file(t, "keyring", []byte(must(t, "ceph", args...)))
		for _, daemon := range []string{"mon.a", "osd.0", "mgr.x"} {
			r, err := shared.exec("", "ceph", "-n", "client.tell", "-k", key, "tell", daemon,
				"version")
			if err != nil {
				t.Fatal(err)
			}
			if want := map[bool]int{true: 0, false: 13}[daemon == opens]; r.code != want {
				t.Errorf("%s with %s: exit code %d, want %d: %s", daemon, caps, r.code, want,
					r.stderr)
			}
		}
		must(t, "ceph", "auth", "rm", "client.tell")
	}
}

// TestConfigShow: the central configuration reaches daemons at once, overrides go over it, and the
// manager knows both with their sources.
func TestConfigShow(t *testing.T) {
	const option = "osd_recovery_max_active"
	defer must(t, "ceph", "config", "rm", "osd", option)
	must(t, "ceph", "config", "set", "osd", option, "3")
	shared.until(t, `"3"`, "tell", "osd.0", "config", "get", option)
	must(t, "ceph", "tell", "osd.0", "config", "set", option, "7")
	has(t, must(t, "ceph", "tell", "osd.0", "config", "diff"), `"mon": 3,`, `"override": 7,`)
	shared.until(t, "7\n", "config", "show", "osd.0", option)
	shared.until(t, "3\n", "config", "show", "osd.1", option)
	has(t, must(t, "ceph", "config", "show", "osd.0"), "override  mon[3]")
	has(t, must(t, "ceph", "config", "show-with-defaults", "osd.0"), "osd_heartbeat_interval")
	must(t, "ceph", "tell", "osd.0", "config", "unset", option)
	shared.until(t, "3\n", "config", "show", "osd.0", option)
	for _, daemon := range []string{"mon.a", "mgr.x"} {
		has(t, must(t, "ceph", "config", "show", daemon), "NAME", "SOURCE", "file")
	}
	fails(t, 2, "no config state for daemon osd.99", "ceph", "config", "show", "osd.99")
	fails(t, 22, "invalid daemon name: use <type>.<id>", "ceph", "config", "show", "foo")
}

// TestSlowOps: writes that wait for an OSD that hangs raise SLOW_OPS, can be looked at, and clear
// it when they are done.
func TestSlowOps(t *testing.T) {
	c := startFor(t, "--split", "--set", "osd_heartbeat_grace=300")
	c.must(t, "ceph", "config", "set", "osd", "osd_op_complaint_time", "1")
	c.must(t, "ceph", "config", "set", "osd", "osd_op_history_slow_op_threshold", "1")
	name := c.objectOf(t, func(primary int) bool { return primary != 1 })
	hung := c.process(t, "osd.1")
	if err := hung.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer hung.Signal(syscall.SIGCONT)
	done := make(chan error, 1)
	go func() {
		_, err := c.run("rados", "-p", "rbd", "put", name, c.conf)
		done <- err
	}()
	c.untilHealth(t, func(checks map[string]check) bool {
		return strings.Contains(checks["SLOW_OPS"].Summary.Message, "slow ops, oldest one blocked")
	})
	found := false
	for _, osd := range []string{"osd.0", "osd.2"} { // one of them is the primary
		out := c.must(t, "ceph", "tell", osd, "dump_blocked_ops")
		found = found || strings.Contains(out, "writefull 0~") &&
			strings.Contains(out, `"flag_point": "waiting for subops from 1"`)
	}
	if !found {
		t.Error("no OSD shows the write that waits for osd.1")
	}
	if err := hung.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	c.untilHealth(t, func(checks map[string]check) bool { return len(checks) == 0 })
	past := c.must(t, "ceph", "tell", "osd.0", "dump_historic_slow_ops") +
		c.must(t, "ceph", "tell", "osd.2", "dump_historic_slow_ops")
	has(t, past, "writefull 0~", `"commit_sent"`)
	has(t, c.must(t, "ceph", "log", "last", "20"), "1 slow requests (by type [ 'waiting for subops")
}

// objectOf finds a name in pool rbd whose primary is as wanted.
func (c *cluster) objectOf(t *testing.T, ok func(primary int) bool) string {
	t.Helper()
	for i := range 100 {
		var at struct {
			Primary int `json:"acting_primary"`
		}
		name := fmt.Sprint("object", i)
		out := c.must(t, "ceph", "osd", "map", "rbd", name, "-f", "json")
		if err := json.Unmarshal([]byte(out), &at); err != nil {
			t.Fatal(err)
		}
		if ok(at.Primary) {
			return name
		}
	}
	t.Fatal("no such object")
	return ""
}

// process is a daemon of a cluster with one process each.
func (c *cluster) process(t *testing.T, name string) *os.Process {
	t.Helper()
	pid := 0
	text := strings.TrimSpace(string(read(t, filepath.Join(c.dir, "run", name+".pid"))))
	if err := json.Unmarshal([]byte(text), &pid); err != nil {
		t.Fatal(err)
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

type check struct {
	Severity string
	Summary  struct{ Message string }
}

// untilHealth waits until the health checks are as they should.
func (c *cluster) untilHealth(t *testing.T, ok func(map[string]check) bool) {
	t.Helper()
	deadline := time.Now().Add(45 * time.Second)
	for {
		var h struct{ Checks map[string]check }
		out := c.must(t, "ceph", "health", "detail", "-f", "json")
		if err := json.Unmarshal([]byte(out), &h); err != nil {
			t.Fatal(err)
		}
		if ok(h.Checks) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("health: %s", out)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
