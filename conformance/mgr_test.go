package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// addManager starts a second manager of a cluster as an operator would: a key, an address, a
// process.
func (c *cluster) addManager(t *testing.T, name string) *os.Process {
	t.Helper()
	dir := filepath.Join(c.dir, "mgr."+name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	key := c.must(t, "ceph", "auth", "get-or-create", "mgr."+name, "mon", "allow profile mgr",
		"osd", "allow *", "mds", "allow *")
	conf := string(read(t, c.conf)) + fmt.Sprintf("[mgr.%s]\npublic addr = 127.0.0.1:%d\n", name,
		portsFor(t))
	for path, text := range map[string]string{filepath.Join(dir, "keyring"): key, c.conf: conf} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(filepath.Join(root(), "glue"), "mgr", "--id", name, "-c", c.conf)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd.Process
}

// TestManagerFailover: a standby takes over when the active manager is failed by command and when
// it dies; what it answers is complete, and nobody is alarmed by what it does not know yet.
func TestManagerFailover(t *testing.T) {
	t.Parallel()
	c := startFor(t, "--split", "--set", "mon_mgr_beacon_grace=4", "--set", "mon_tick_interval=1")
	c.addManager(t, "y")
	c.until(t, "x(active", "-s")
	c.until(t, "standbys: y", "-s")
	has(t, c.must(t, "ceph", "mgr", "stat"), `"num_standby": 1`)
	c.must(t, "ceph", "mgr", "fail", "x")
	c.until(t, "y(active", "-s")
	c.calm(t)
	c.until(t, "standbys: x", "-s")
	has(t, c.must(t, "ceph", "pg", "stat"), "32 pgs: 32 active+clean")
	c.until(t, "osd_data", "config", "show", "osd.0")
	has(t, c.must(t, "ceph", "tell", "mgr.y", "mgr_status"), `"initialized": true`)
	has(t, c.must(t, "ceph", "log", "last", "20"), "Manager daemon x was failed by command",
		"Activating manager daemon y", "Manager daemon y is now available")

	c.must(t, "ceph", "mgr", "fail") // the active one
	c.until(t, "x(active", "-s")
	c.until(t, "standbys: y", "-s")
	x := c.process(t, "mgr.x")
	if err := x.Kill(); err != nil {
		t.Fatal(err)
	}
	c.until(t, "y(active", "-s")
	c.calm(t)
	has(t, c.must(t, "ceph", "log", "last", "20"), "Manager daemon x is unresponsive")
	if out := c.must(t, "ceph", "-s"); strings.Contains(out, "standbys") {
		t.Errorf("a dead manager stands by:\n%s", out)
	}
}

// TestTaskFailover: a task about an image goes on under the next manager, as the same task.
func TestTaskFailover(t *testing.T) {
	t.Parallel()
	c := startFor(t, "--split")
	c.addManager(t, "y")
	c.until(t, "standbys: y", "-s")
	c.must(t, "ceph", "osd", "pool", "create", "images", "16")
	c.must(t, "rbd", "pool", "init", "images")
	c.must(t, "rbd", "-p", "images", "create", "--size", "4T", "--image-feature", "layering", "i")
	type task struct {
		ID         string
		Sequence   int
		InProgress bool `json:"in_progress"`
	}
	running := func() task {
		var list []task
		unmarshal(t, c.must(t, "ceph", "rbd", "task", "list"), &list)
		if len(list) != 1 {
			t.Fatalf("tasks: %+v", list)
		}
		return list[0]
	}
	var made task
	unmarshal(t, c.must(t, "ceph", "rbd", "task", "add", "remove", "images/i"), &made)
	waitFor(t, "a task that runs", func() bool { return running().InProgress })
	c.must(t, "ceph", "mgr", "fail")
	c.until(t, "y(active", "-s")
	waitFor(t, "the task running anew", func() bool { return running().InProgress })
	if again := running(); again != (task{made.ID, made.Sequence, true}) {
		t.Errorf("task %+v became %+v", made, again)
	}
	c.must(t, "ceph", "rbd", "task", "cancel", made.ID)
	c.until(t, "[Failed]: Removing image images/i (", "progress")
}

func unmarshal(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
}

// calm says that for a few seconds nothing is wrong with the PGs.
func (c *cluster) calm(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(6 * time.Second); time.Now().Before(end); {
		var h struct{ Checks map[string]check }
		out := c.must(t, "ceph", "health", "-f", "json")
		if err := json.Unmarshal([]byte(out), &h); err != nil {
			t.Fatal(err)
		}
		for code, what := range h.Checks {
			if strings.HasPrefix(code, "PG_") {
				t.Fatalf("%s: %s", code, what.Summary.Message)
			}
		}
	}
}

// TestManagerThroughMonitors: the monitors pass the manager's commands on.
func TestManagerThroughMonitors(t *testing.T) { shared.python(t, "mon_proxy.py") }

// TestServices: daemons that register through librados.
func TestServices(t *testing.T) { shared.python(t, "service.py") }

// TestModuleCommands: what stock managers have modules for; see mgr/modules.go for why not.
func TestModuleCommands(t *testing.T) {
	if shared.dir == "" {
		t.Skip("a stock manager has these modules")
	}
	for _, c := range []told{
		{"osd status", 0, "ID  HOST"},
		{"osd status nosuch", 22, "Bucket 'nosuch' not found"},
		{"osd pool autoscale-status", 0, "RAW CAPACITY"},
		{"progress", 0, "Nothing in progress"},
		{"progress json", 0, `"events": []`},
		{"balancer status", 0, `"active": true`},
		{"balancer off", 0, ""},
		{"balancer status", 0, `"active": false`},
		{"balancer mode upmap", 0, ""},
		{"balancer on", 0, ""},
		{"orch status", 2, "No orchestrator configured"},
		{"orch ps", 2, "No orchestrator configured"},
		{"crash ls", 0, ""},
		{"crash stat", 0, "0 crashes recorded"},
		{"crash info nosuch", 22, "crash info: nosuch not found"},
		{"crash archive nosuch", 22, "crash info: nosuch not found"},
		{"crash prune x", 22, "keep argument must be integer"},
		{"telemetry status", 0, `"enabled": false`},
		{"telemetry on", 1, "licensed under the Community Data License"},
		{"telemetry on sharing-1-0", 95, "Telemetry is not available"},
		{"fs status", 0, ""},
		{"fs volume ls", 0, "[]"},
		{"device ls", 0, "DEVICE  HOST:DEV"},
		{"device ls-by-daemon osd.0", 0, "DEVICE  HOST:DEV"},
		{"device ls-by-daemon osd.99", 2, "daemon osd.99 not found"},
		{"device info nosuch", 2, "device nosuch not found"},
		{"device get-health-metrics nosuch", 95, "Watching disks"},
		{"service dump", 0, `"services": {}`},
		{"service status", 0, "{}"},
		{"mgr services", 0, "{}"},
		{"mgr module ls", 0, `"enabled_modules": []`},
		{"mgr module enable nosuch", 2, "all mgr daemons do not support module 'nosuch'"},
		{"mgr fail nosuch", 0, "Daemon not found 'nosuch', already failed?"},
		{"mgr metadata nosuch", 2, "mgr.nosuch does not exist"},
	} {
		checkTold(t, c)
	}
}
