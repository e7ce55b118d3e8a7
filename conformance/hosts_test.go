package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A host is a network namespace with an address and a host name of its own. All are on one bridge,
// and so is the machine's own network, where clients are.
type host struct {
	*lan
	name, ip, dir, conf string
}

// A lan is the bridge and its hosts.
type lan struct {
	t      *testing.T
	bridge string
	hosts  []*host
}

const clientIP = "10.89.0.254"

// newLAN makes n hosts, which vanish with the test.
func newLAN(t *testing.T, n int) *lan {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs network namespaces")
	}
	l := &lan{t: t, bridge: "gluebr"}
	l.ip("link", "add", l.bridge, "type", "bridge", "forward_delay", "0")
	t.Cleanup(func() { l.ip("link", "del", l.bridge) })
	l.ip("addr", "add", clientIP+"/24", "dev", l.bridge)
	l.ip("link", "set", l.bridge, "up")
	for i := range n {
		h := &host{lan: l, name: fmt.Sprintf("glueh%d", i+1), ip: fmt.Sprintf("10.89.0.%d", i+1)}
		l.ip("netns", "add", h.name)
		t.Cleanup(func() { l.ip("netns", "del", h.name) })
		l.ip("link", "add", h.name, "type", "veth", "peer", "name", "eth0", "netns", h.name)
		l.ip("link", "set", h.name, "master", l.bridge, "up")
		l.ip("-n", h.name, "addr", "add", h.ip+"/24", "dev", "eth0")
		l.ip("-n", h.name, "link", "set", "lo", "up")
		l.ip("-n", h.name, "link", "set", "eth0", "up")
		l.hosts = append(l.hosts, h)
	}
	return l
}

func (l *lan) ip(args ...string) {
	l.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		l.t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// command is one of glue's on the host.
func (h *host) command(args ...string) *exec.Cmd {
	words := []string{"netns", "exec", h.name, "unshare", "--uts", "sh", "-c",
		`hostname "$0" && exec "$@"`, h.name, filepath.Join(root(), "bin", "glue")}
	return exec.Command("ip", append(words, args...)...)
}

func (h *host) glue(args ...string) {
	h.t.Helper()
	if out, err := h.command(args...).CombinedOutput(); err != nil {
		h.t.Fatalf("on %s: glue %s: %v\n%s", h.name, strings.Join(args, " "), err, out)
	}
}

// run starts a daemon that stays until the test ends.
func (h *host) run(args ...string) {
	h.t.Helper()
	cmd := h.command(args...)
	log, err := os.OpenFile(filepath.Join(h.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		h.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
}

// cut takes the host off the network.
func (h *host) cut() { h.lan.ip("link", "set", h.name, "down") }

func (h *host) mend() { h.lan.ip("link", "set", h.name, "up") }

// deaf makes the host unable to send anything to another, or to clients.
func (h *host) deaf(ip string) { h.lan.ip("-n", h.name, "route", "add", "blackhole", ip+"/32") }

func (h *host) hear(ip string) { h.lan.ip("-n", h.name, "route", "del", "blackhole", ip+"/32") }

// grow makes h part of the cluster whose first host is first: a monitor and OSDs.
func (h *host) grow(first *host, mon string, osds int) {
	h.t.Helper()
	conf := string(read(h.t, first.conf))
	global := regexp.MustCompile(`(?s)^.*?\[global\].*?\n\[`).FindString(conf)
	h.conf = filepath.Join(h.dir, "ceph.conf")
	text := strings.TrimSuffix(global, "[") + fmt.Sprintf("[mon]\n\tmon data = %[1]s/mon.$id\n"+
		"\tkeyring = %[1]s/mon.$id/keyring\n\tpublic addr = %[2]s:3300\n"+
		"[osd]\n\tosd data = %[1]s/osd.$id\n\tpublic addr = %[2]s:0\n[client]\n\tkeyring = %[3]s\n",
		h.dir, h.ip, filepath.Join(first.dir, "c", "ceph.client.admin.keyring"))
	if err := os.WriteFile(h.conf, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
	h.run("mon", "--join", "--id", mon, "-c", h.conf)
	for i := range osds {
		cmd := h.command("osd", "create", filepath.Join(h.dir, fmt.Sprint("disk", i)), "-c", h.conf,
			"--size", "10G")
		out, err := cmd.CombinedOutput()
		m := regexp.MustCompile(`osd\.(\d+) is made`).FindSubmatch(out)
		if err != nil || m == nil {
			h.t.Fatalf("glue osd create: %v\n%s", err, out)
		}
		h.run("osd", "--id", string(m[1]), "-c", h.conf)
	}
}

// onHosts makes a cluster that spans the hosts: a monitor and two OSDs on each.
func onHosts(t *testing.T, l *lan) *cluster {
	t.Helper()
	tmp, err := os.MkdirTemp("", "gh")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(tmp) })
	for _, h := range l.hosts {
		h.dir = filepath.Join(tmp, h.name)
		if err := os.Mkdir(h.dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	first := l.hosts[0]
	c := &cluster{dir: filepath.Join(first.dir, "c"), tmp: tmp}
	c.conf = filepath.Join(c.dir, "ceph.conf")
	first.conf = c.conf
	t.Cleanup(func() { first.glue("down", "--data", c.dir) })
	first.glue("up", "--data", c.dir, "--detach", "--split", "--osds", "2",
		"--set", "public_addr="+first.ip, "--set", "osd_heartbeat_interval=1",
		"--set", "osd_heartbeat_grace=6", "--set", "mon_osd_down_out_interval=600")
	for i, h := range l.hosts[1:] {
		h.grow(first, string(rune('b'+i)), 2)
	}
	c.must(t, "ceph", "osd", "crush", "rule", "create-replicated", "hosts", "default", "host")
	c.must(t, "ceph", "osd", "pool", "set", "rbd", "crush_rule", "hosts")
	c.must(t, "ceph", "config", "rm", "global", "osd_pool_default_size")
	c.must(t, "ceph", "osd", "pool", "set", "rbd", "size", "3")
	c.waitQuorum(t, "a", "b", "c")
	// Clients have to know all monitors to get past one that is cut off.
	c.conf = file(t, "ceph.conf", regexp.MustCompile(`(?m)^(\s*mon host = ).*$`).ReplaceAll(
		read(t, c.conf), []byte("${1}10.89.0.1:3300,10.89.0.2:3300,10.89.0.3:3300")))
	return c
}

// hostsOf counts the OSDs of each host in the CRUSH map.
func (c *cluster) hostsOf(t *testing.T) map[string]int {
	t.Helper()
	var tree struct {
		Nodes []struct {
			Name, Type string
			Children   []int
		}
	}
	if err := json.Unmarshal([]byte(c.must(t, "ceph", "osd", "tree", "-f", "json")),
		&tree); err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for _, n := range tree.Nodes {
		if n.Type == "host" {
			out[n.Name] = len(n.Children)
		}
	}
	return out
}

// allUp waits until six OSDs are up and all PGs are clean.
func (c *cluster) allUp(t *testing.T) {
	t.Helper()
	waitFor(t, "all OSDs are up", func() bool {
		out, err := c.run("ceph", "osd", "stat")
		return err == nil && strings.Contains(out, "6 up")
	})
	if err := c.waitClean(2 * time.Minute); err != nil {
		t.Fatal(err)
	}
}

// A fault of the network. goesOn: a command and a write are done while it lasts.
type fault struct {
	name      string
	cut, mend func()
	goesOn    bool
}

// suffer lets a fault last long enough for OSDs to be reported and marked down.
func (c *cluster) suffer(t *testing.T, f fault) {
	t.Helper()
	begin := time.Now()
	f.cut()
	if f.goesOn {
		r, err := c.exec("x", "timeout", "60", "rados", "-p", "rbd", "put", "during", "-")
		wrote := time.Since(begin)
		if err != nil || r.code != 0 {
			t.Errorf("%s: a write: %+v %v", f.name, r, err)
		}
		c.must(t, "ceph", "osd", "stat")
		t.Logf("%s: a write was done after %.1f s, a command after %.1f s", f.name,
			wrote.Seconds(), time.Since(begin).Seconds())
	}
	time.Sleep(12*time.Second - time.Since(begin))
	f.mend()
	mended := time.Now()
	c.allUp(t)
	t.Logf("%s: clean %.1f s after it was mended", f.name, time.Since(mended).Seconds())
}

// TestThreeHosts grows a cluster from one host to three, and cuts links between them in several
// ways, under a client that knows what every object must hold.
func TestThreeHosts(t *testing.T) {
	l := newLAN(t, 3)
	c := onHosts(t, l)
	c.allUp(t)
	if got := fmt.Sprint(c.hostsOf(t)); got != "map[glueh1:2 glueh2:2 glueh3:2]" {
		t.Fatalf("OSDs by host: %s", got)
	}
	end := c.model(t, "rbd", 7)
	h1, h2, h3 := l.hosts[0], l.hosts[1], l.hosts[2]
	for _, f := range []fault{
		{"a host is cut off", h3.cut, h3.mend, true},
		{"the first host is cut off", h1.cut, h1.mend, true},
		// An OSD is marked down when OSDs of two hosts report it, as in Ceph: here nobody is, and
		// writes to both hosts wait.
		{"two hosts do not hear each other", func() { h2.deaf(h3.ip); h3.deaf(h2.ip) },
			func() { h2.hear(h3.ip); h3.hear(h2.ip) }, false},
		{"a host can't send to another", func() { h1.deaf(h2.ip) }, func() { h1.hear(h2.ip) },
			true},
		{"a host can't answer clients", func() { h2.deaf(clientIP) },
			func() { h2.hear(clientIP) }, false},
		{"two of three are cut off", func() { h2.cut(); h3.cut() },
			func() { h2.mend(); h3.mend() }, false},
	} {
		c.suffer(t, f)
	}
	end()
	c.waitQuorum(t, "a", "b", "c")
	has(t, c.must(t, "ceph", "-s"), "6 up")
}
