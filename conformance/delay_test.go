package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// apart puts each OSD of a cluster of glue up --split on a network of its own, which only proxies
// connect with the others', the monitors', the manager's and the clients': each passes on what is
// said to one OSD, or to the others, as its weather is: clients' requests, replication and the
// heartbeats of both networks. Each OSD has ports that no other has.
func (h *thrasher) apart(osds int) (to []*weather, others *weather) {
	h.t.Helper()
	var spec struct {
		Base int `json:"port_base"`
	}
	if err := json.Unmarshal(read(h.t, filepath.Join(h.dir, "glue.json")), &spec); err != nil {
		h.t.Fatal(err)
	}
	addr := func(offset int) string { return fmt.Sprintf("127.0.0.1:%d", spec.Base+offset) }
	network := func(id any) string { return fmt.Sprintf("glue%d-%v", spec.Base, id) }
	const mgr, firstOSD, free = 9, 10, 4 // for msgr v1, other OSDs, and two for heartbeats
	firstFree := func(id int) int { return firstOSD + osds + free*id }
	others = &weather{}
	text := string(read(h.t, h.conf))
	for id := range osds {
		section := fmt.Sprintf("[%s]\n", osdName(id))
		first := spec.Base + firstFree(id)
		text = strings.Replace(text, section, fmt.Sprintf("%s\tms bind port min = %d\n"+
			"\tms bind port max = %d\n", section, first, first+free-1), 1)
		h.kill9(h.t, osdName(id))
		for _, args := range [][]string{{"netns", "add", network(id)},
			{"-n", network(id), "link", "set", "lo", "up"}} {
			if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
				h.t.Skipf("needs network namespaces: ip %v: %v %s", args, err, out)
			}
		}
		h.t.Cleanup(func() { exec.Command("ip", "netns", "del", network(id)).Run() })
		to = append(to, &weather{})
	}
	if err := os.WriteFile(h.conf, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
	for id, w := range to {
		at := []string{addr(firstOSD + id)}
		for port := range free {
			at = append(at, addr(firstFree(id)+port))
		}
		for _, a := range at {
			proxy(h.t, w, a, "", network(id))
			for from := range osds {
				if from != id {
					proxy(h.t, w, a, network(from), network(id))
				}
			}
		}
		proxy(h.t, others, addr(0), network(id), "")
		proxy(h.t, others, addr(mgr), network(id), "")
	}
	h.words = func(kind, id string) []string {
		return []string{"ip", "netns", "exec", network(id), filepath.Join(root(), "bin", "glue"),
			kind, "--data", h.dir, "--id", id}
	}
	for id := range osds {
		h.start(osdName(id))
	}
	return to, others
}

// incarnations says since which epochs OSDs are up.
func (c *cluster) incarnations(t *testing.T) string {
	t.Helper()
	var dump struct {
		OSDs []struct {
			OSD, Up int
			UpFrom  int `json:"up_from"`
		}
	}
	out := c.must(t, "ceph", "osd", "dump", "-f", "json")
	if err := json.Unmarshal([]byte(out), &dump); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(dump.OSDs)
}

// TestDelays: links to OSDs get slow, uneven and silent for seconds, of one OSD and of all, shorter
// than the grace. Nothing is lost or stale, and nobody is marked down.
func TestDelays(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs network namespaces")
	}
	const grace, osds, ms = 8, 3, time.Millisecond
	h := &thrasher{t: t, cluster: startFor(t, "--split", "--set", "osd_heartbeat_interval=1",
		"--set", fmt.Sprint("osd_heartbeat_grace=", grace))}
	to, others := h.apart(osds)
	waitFor(t, "OSDs are up on their networks", func() bool {
		out, err := h.run("ceph", "osd", "stat")
		return err == nil && strings.Contains(out, "3 up")
	})
	h.ceph("osd", "pool", "create", "pooled", "8")
	h.ceph("osd", "pool", "application", "enable", "pooled", "rados")
	h.clean(t)
	before := h.incarnations(t)
	end := h.model(t, "rbd", time.Now().UnixNano(), "pooled")
	watch := h.stopwatch(t, "rbd")
	watch.lap(t)
	all := append([]*weather{others}, to...)
	for _, phase := range []struct {
		what                 string
		links                []*weather
		delay, jitter, stall time.Duration
	}{
		{"all links 10 ms", all, 10 * ms, 0, 0},
		{"all links 5 to 100 ms", all, 5 * ms, 95 * ms, 0},
		{"one OSD 150 to 400 ms away", to[:1], 150 * ms, 250 * ms, 0},
		{"one OSD silent for 4 s", to[1:2], 0, 0, 4 * time.Second},
		{"two OSDs silent for 3 s, then 50 ms away", to[1:], 50 * ms, 0, 3 * time.Second},
		{"monitors and manager silent for 4 s", all[:1], 0, 0, 4 * time.Second},
		{"all silent for 4 s", all, 0, 10 * ms, 4 * time.Second},
	} {
		for _, w := range phase.links {
			w.set(phase.delay, phase.jitter, phase.stall)
		}
		time.Sleep(phase.stall + 2*time.Second)
		lap := watch.lap(t)
		t.Logf("%s: %d requests, the longest %.3f s (%s)", phase.what, lap.Requests, lap.Longest,
			lap.What)
		// All OSDs have everything: each request passes to each of them.
		least := 2*phase.delay + phase.stall - 500*ms
		if phase.links[0] != others || len(phase.links) > 1 {
			if got := time.Duration(lap.Longest * float64(time.Second)); got < least {
				t.Errorf("%s: the longest request took %v only", phase.what, got)
			}
		}
		for _, w := range phase.links {
			w.set(0, 0, 0)
		}
	}
	slow := end()
	h.clean(t)
	if after := h.incarnations(t); after != before {
		t.Errorf("OSDs, whether up, and since which epoch: %s before, %s after", before, after)
	}
	for i, w := range all {
		if w.passed.Load() < 1<<20 && i > 0 {
			t.Errorf("only %d bytes passed the proxies to osd.%d", w.passed.Load(), i-1)
		}
	}
	t.Logf("%d requests of the model took more than 2 s", len(slow))
}
