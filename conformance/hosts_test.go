package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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
	back   bool // OSDs reach each other over a second bridge
}

const clientIP = "10.89.0.254"

// newLAN makes n hosts, which vanish with the test.
func newLAN(t *testing.T, n int) *lan {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs network namespaces")
	}
	l := &lan{t: t, bridge: "gluebr"}
	l.add(l.bridge, "type", "bridge", "forward_delay", "0")
	l.ip("addr", "add", clientIP+"/24", "dev", l.bridge)
	l.ip("link", "set", l.bridge, "up")
	for i := range n {
		h := &host{lan: l, name: fmt.Sprintf("glueh%d", i+1), ip: fmt.Sprintf("10.89.0.%d", i+1)}
		exec.Command("ip", "netns", "del", h.name).Run() // of a run that was killed
		l.ip("netns", "add", h.name)
		t.Cleanup(func() { l.ip("netns", "del", h.name) })
		l.add(h.name, "type", "veth", "peer", "name", "eth0", "netns", h.name)
		l.ip("link", "set", h.name, "master", l.bridge, "up")
		l.ip("-n", h.name, "addr", "add", h.ip+"/24", "dev", "eth0")
		l.ip("-n", h.name, "link", "set", "lo", "up")
		l.ip("-n", h.name, "link", "set", "eth0", "up")
		l.hosts = append(l.hosts, h)
	}
	return l
}

// newLANs is newLAN with a second bridge, for the OSDs to reach each other over.
func newLANs(t *testing.T, n int) *lan {
	t.Helper()
	l := newLAN(t, n)
	l.back = true
	l.add("gluebk", "type", "bridge", "forward_delay", "0")
	l.ip("link", "set", "gluebk", "up")
	for _, h := range l.hosts {
		l.add(h.name+"b", "type", "veth", "peer", "name", "eth1", "netns", h.name)
		l.ip("link", "set", h.name+"b", "master", "gluebk", "up")
		l.ip("-n", h.name, "addr", "add", h.backIP()+"/24", "dev", "eth1")
		l.ip("-n", h.name, "link", "set", "eth1", "up")
	}
	return l
}

// add makes a device that vanishes with the test, not later with its namespace, and takes the place
// of one that a killed run has left.
func (l *lan) add(name string, args ...string) {
	l.t.Helper()
	exec.Command("ip", "link", "del", name).Run()
	l.ip(append([]string{"link", "add", name}, args...)...)
	l.t.Cleanup(func() { l.ip("link", "del", name) })
}

// backIP is the host's address on the second bridge.
func (h *host) backIP() string { return strings.Replace(h.ip, "10.89.", "10.88.", 1) }

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

// cutBack takes it off the second bridge.
func (h *host) cutBack() { h.lan.ip("link", "set", h.name+"b", "down") }

func (h *host) mendBack() { h.lan.ip("link", "set", h.name+"b", "up") }

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
		"[osd]\n\tosd data = %[1]s/osd.$id\n\tpublic addr = %[2]s:0\n",
		h.dir, h.ip)
	if h.back {
		text += "\tcluster network = 10.99.0.0/24, 10.88.0.0/24\n"
	}
	text += fmt.Sprintf("[client]\n\tkeyring = %s\n",
		filepath.Join(first.dir, "c", "ceph.client.admin.keyring"))
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

// onFirst makes a cluster on the first host: a monitor and two OSDs. Its clients know of the
// monitors to come.
func onFirst(t *testing.T, l *lan) *cluster {
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
	flags := []string{"up", "--data", c.dir, "--detach", "--split", "--osds", "2",
		"--set", "public_addr=" + first.ip, "--set", "osd_heartbeat_interval=1",
		"--set", "osd_heartbeat_grace=6", "--set", "mon_osd_down_out_interval=600"}
	if l.back {
		flags = append(flags, "--set", "cluster_addr="+first.backIP())
	}
	first.glue(flags...)
	// Clients have to know all monitors to get past one that is cut off.
	var all []string
	for _, h := range l.hosts {
		all = append(all, h.ip+":3300")
	}
	c.conf = file(t, "ceph.conf", regexp.MustCompile(`(?m)^(\s*mon host = ).*$`).ReplaceAll(
		read(t, c.conf), []byte("${1}"+strings.Join(all, ","))))
	return c
}

// growOver lets the cluster grow over the other hosts: a monitor and two OSDs on each.
func (c *cluster) growOver(t *testing.T, l *lan) {
	t.Helper()
	mons := []string{"a"}
	for i, h := range l.hosts[1:] {
		mons = append(mons, string(rune('b'+i)))
		h.grow(l.hosts[0], mons[i+1], 2)
	}
	c.must(t, "ceph", "osd", "crush", "rule", "create-replicated", "hosts", "default", "host")
	c.must(t, "ceph", "osd", "pool", "set", "rbd", "crush_rule", "hosts")
	c.must(t, "ceph", "config", "rm", "global", "osd_pool_default_size")
	c.must(t, "ceph", "osd", "pool", "set", "rbd", "size", "3")
	c.waitQuorum(t, mons...)
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

// A fault of the network. goesOn: a command and a write are done while it lasts. check looks at
// what has become of it, just before it is mended.
type fault struct {
	name      string
	cut, mend func()
	goesOn    bool
	check     func(t *testing.T)
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
	if f.check != nil {
		f.check(t)
	}
	f.mend()
	mended := time.Now()
	c.allUp(t)
	t.Logf("%s: clean %.1f s after it was mended", f.name, time.Since(mended).Seconds())
}

// lives are the OSDs that are up and since which epoch.
func (c *cluster) lives(t *testing.T) string {
	t.Helper()
	var dump struct {
		OSDs []struct {
			OSD, Up int
			UpFrom  int `json:"up_from"`
		}
	}
	if err := json.Unmarshal([]byte(c.must(t, "ceph", "osd", "dump", "-f", "json")),
		&dump); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(dump.OSDs)
}

// partition is the fault that two hosts do not hear each other, but all else. OSDs of one host are
// not enough to have an OSD marked down, as in Ceph: nobody is, and what one of them would have to
// copy to the other waits.
func (c *cluster) partition(t *testing.T, a, b *host, ofA, ofB []int) fault {
	var before string
	return fault{name: "two hosts do not hear each other",
		cut: func() {
			before = c.lives(t)
			a.deaf(b.ip)
			b.deaf(a.ip)
		},
		mend: func() { a.hear(b.ip); b.hear(a.ip) },
		check: func(t *testing.T) {
			t.Helper()
			reported := func(target, by []int) bool {
				log := c.must(t, "ceph", "log", "last", "500", "debug", "cluster")
				for _, x := range target {
					for _, y := range by {
						if strings.Contains(log,
							fmt.Sprintf("osd.%d reported failed by osd.%d", x, y)) {
							return true
						}
					}
				}
				return false
			}
			waitFor(t, "reports of each side about the other", func() bool {
				return reported(ofA, ofB) && reported(ofB, ofA)
			})
			for _, w := range []struct {
				led     []int
				limit   string
				outcome int
			}{{[]int{0, 1}, "10", 0}, {ofA, "3", 124}, {ofB, "3", 124}} {
				o := c.objectOf(t, func(osd int) bool { return slices.Contains(w.led, osd) })
				r, err := c.exec("x", "timeout", w.limit, "rados", "-p", "rbd", "put", o, "-")
				if err != nil || r.code != w.outcome {
					t.Errorf("a write led by one of %v: %+v %v, want %d", w.led, r, err, w.outcome)
				}
			}
			if after := c.lives(t); after != before {
				t.Errorf("OSDs before: %s, while they do not hear each other: %s", before, after)
			}
		}}
}

// TestThreeHosts grows a cluster from one host to three, and cuts links between them in several
// ways, all under a client that knows what every object must hold.
func TestThreeHosts(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 3)
	c := onFirst(t, l)
	end := c.model(t, "rbd", 7)
	c.growOver(t, l)
	c.allUp(t)
	if got := fmt.Sprint(c.hostsOf(t)); got != "map[glueh1:2 glueh2:2 glueh3:2]" {
		t.Fatalf("OSDs by host: %s", got)
	}
	h1, h2, h3 := l.hosts[0], l.hosts[1], l.hosts[2]
	for _, f := range []fault{
		{name: "a host is cut off", cut: h3.cut, mend: h3.mend, goesOn: true},
		{name: "the first host is cut off", cut: h1.cut, mend: h1.mend, goesOn: true},
		c.partition(t, h2, h3, []int{2, 3}, []int{4, 5}),
		{name: "a host can't send to another", cut: func() { h1.deaf(h2.ip) },
			mend: func() { h1.hear(h2.ip) }, goesOn: true},
		{name: "a host can't answer clients", cut: func() { h2.deaf(clientIP) },
			mend: func() { h2.hear(clientIP) }},
		{name: "two of three are cut off", cut: func() { h2.cut(); h3.cut() },
			mend: func() { h2.mend(); h3.mend() }},
	} {
		c.suffer(t, f)
	}
	end()
	c.waitQuorum(t, "a", "b", "c")
	has(t, c.must(t, "ceph", "-s"), "6 up")
}

// upOn are the OSDs that are up, by host of their front addresses, and what their entries say.
func (c *cluster) upOn(t *testing.T) (up map[string]int, list []osdEntry) {
	t.Helper()
	var dump struct{ OSDs []osdEntry }
	if err := json.Unmarshal([]byte(c.must(t, "ceph", "osd", "dump", "-f", "json")),
		&dump); err != nil {
		t.Fatal(err)
	}
	up = map[string]int{}
	for _, o := range dump.OSDs {
		ip, _, _ := strings.Cut(o.Public, ":")
		up[ip] += o.Up
	}
	return up, dump.OSDs
}

// An osdEntry is an OSD in the dump of the map.
type osdEntry struct {
	OSD, Up int
	UpFrom  int    `json:"up_from"`
	Public  string `json:"public_addr"`
	Cluster string `json:"cluster_addr"`
	Back    string `json:"heartbeat_back_addr"`
	Front   string `json:"heartbeat_front_addr"`
}

// TestTwoNetworks: clients and OSDs have a network each. A host that loses either of them has its
// OSDs marked down, although they hear each other over the other one; they stay down for as long,
// and come back.
func TestTwoNetworks(t *testing.T) {
	l := newLANs(t, 3)
	c := onFirst(t, l)
	c.growOver(t, l)
	c.allUp(t)
	h3 := l.hosts[2]
	_, list := c.upOn(t)
	for _, o := range list {
		at := map[string]bool{}
		for text, net := range map[string]string{o.Public: "10.89.0.", o.Front: "10.89.0.",
			o.Cluster: "10.88.0.", o.Back: "10.88.0."} {
			if at[text] = true; !strings.HasPrefix(text, net) {
				t.Errorf("osd.%d: %s is not on %s: %+v", o.OSD, text, net, o)
			}
		}
		if len(at) != 4 {
			t.Errorf("osd.%d has two addresses that are the same: %+v", o.OSD, o)
		}
	}
	meta := c.must(t, "ceph", "osd", "metadata", "0")
	has(t, meta, `"hb_front_addr": "v2:10.89.`, `"hb_back_addr": "v2:10.88.`,
		`"front_addr": "[v2:10.89.`, `"back_addr": "v2:10.88.`)
	for _, f := range []struct {
		name      string
		cut, mend func()
	}{{"front", h3.cut, h3.mend}, {"back", h3.cutBack, h3.mendBack}} {
		begin := time.Now()
		f.cut()
		waitFor(t, "the OSDs of the host are down without its "+f.name, func() bool {
			up, _ := c.upOn(t)
			return up[h3.ip] == 0
		})
		t.Logf("%s: down after %.1f s", f.name, time.Since(begin).Seconds())
		c.must(t, "timeout", "60", "rados", "-p", "rbd", "put", "during-"+f.name, c.conf)
		_, before := c.upOn(t)
		time.Sleep(15 * time.Second) // in which they would come back twice
		if _, after := c.upOn(t); fmt.Sprint(before) != fmt.Sprint(after) {
			t.Errorf("%s: what is up changes while it is cut:\n%v\n%v", f.name, before, after)
		}
		f.mend()
		mended := time.Now()
		c.allUp(t)
		t.Logf("%s: clean %.1f s after it was mended", f.name, time.Since(mended).Seconds())
	}
}
