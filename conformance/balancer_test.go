package conformance

import (
	"encoding/json"
	"strings"
	"testing"
)

// spread is the largest and the smallest number of PGs of an OSD.
func (c *cluster) spread(t *testing.T) (most, least int) {
	t.Helper()
	var df struct {
		Nodes []struct {
			PGs int `json:"pgs"`
		} `json:"nodes"`
	}
	out := c.must(t, "ceph", "osd", "df", "-f", "json")
	if err := json.Unmarshal([]byte(out), &df); err != nil || len(df.Nodes) == 0 {
		t.Fatalf("%v: %s", err, out)
	}
	least = df.Nodes[0].PGs
	for _, n := range df.Nodes {
		most, least = max(most, n.PGs), min(least, n.PGs)
	}
	return most, least
}

// TestBalancer balances a cluster by a plan, then by itself, with the stock client and its words.
func TestBalancer(t *testing.T) {
	t.Parallel()
	c := startFor(t, "--osds", "5")
	answer := func(code int, says string, args ...string) {
		t.Helper()
		r, err := c.exec("", "ceph", args...)
		if err != nil || r.code != code || !strings.Contains(r.stderr+r.stdout, says) {
			t.Errorf("ceph %v: %+v %v; want %d and %q", args, r, err, code, says)
		}
	}
	answer(0, `"active": true`, "balancer", "status")
	answer(0, `"mode": "upmap"`, "balancer", "status")
	answer(22, "Balancer enabled, disable to optimize manually", "balancer", "optimize", "p")
	answer(22, "Balancer enabled, disable to execute a plan", "balancer", "execute", "p")
	answer(0, "", "balancer", "off")
	answer(0, "", "config", "set", "mgr", "mgr/balancer/upmap_max_deviation", "1")
	answer(0, "", "config", "set", "mgr", "mgr/balancer/upmap_max_optimizations", "3")
	answer(0, "", "osd", "pool", "create", "many", "64")
	answer(0, "", "osd", "pool", "set", "many", "size", "2")
	c.clean(t)
	c.fill(t)
	before := c.checksum(t)
	most, least := c.spread(t)

	answer(2, "plan p not found", "balancer", "show", "p")
	answer(22, "pool(s) ['none'] not found", "balancer", "optimize", "p", "none")
	answer(22, `option "none" not a plan or a pool`, "balancer", "eval", "none")
	waitFor(t, "a plan", func() bool {
		r, err := c.exec("", "ceph", "balancer", "optimize", "p")
		return err == nil && r.code == 0
	})
	answer(0, `"p"`, "balancer", "ls")
	answer(0, "ceph osd pg-upmap-items ", "balancer", "show", "p")
	answer(0, `"new_pg_upmap_items"`, "balancer", "dump", "p")
	answer(0, `plan "p" score 0.`, "balancer", "eval", "p")
	answer(0, `pool "many" score 0.`, "balancer", "eval", "many")
	answer(0, "", "balancer", "execute", "p")
	has(t, c.must(t, "ceph", "osd", "dump"), "pg_upmap_items ")
	answer(0, "", "balancer", "pool", "add", "many")
	answer(0, `"many"`, "balancer", "pool", "ls")
	answer(0, "", "balancer", "pool", "rm", "many")
	answer(0, "", "config", "set", "mgr", "mgr/balancer/sleep_interval", "1")
	answer(0, "", "balancer", "on")
	waitFor(t, "the balancer is content", func() bool {
		return strings.Contains(c.must(t, "ceph", "balancer", "status"),
			"distribution is already perfect")
	})
	c.clean(t)
	m, l := c.spread(t)
	t.Logf("PGs of an OSD: %d to %d before, %d to %d after", least, most, l, m)
	if m-l > 4 { // within about one of what each should have, pool by pool
		t.Errorf("OSDs have between %d and %d PGs", l, m)
	}
	if after := c.checksum(t); after != before {
		t.Errorf("data before:\n%s\nafter:\n%s", before, after)
	}
	// An OSD that goes takes the upmaps to it along.
	answer(0, "marked out osd.4", "osd", "out", "4")
	c.clean(t)
	for _, line := range strings.Split(c.must(t, "ceph", "osd", "dump"), "\n") {
		if w, ok := strings.CutPrefix(line, "pg_upmap_items "); ok && strings.Contains(w, ",4]") {
			t.Errorf("an upmap to an OSD that is out is left: %s", line)
		}
	}
}
