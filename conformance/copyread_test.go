package conformance

import (
	"encoding/json"
	"fmt"
	"testing"
)

// copyReads is how many reads came to OSDs that are not the primary of the object, and how many of
// these they answered.
func (c *cluster) copyReads(t *testing.T) (came, served int) {
	t.Helper()
	for osd := range 3 {
		var d struct {
			OSD struct {
				Came   int `json:"replica_read"`
				Served int `json:"replica_read_served"`
			} `json:"osd"`
		}
		out := c.must(t, "ceph", "tell", fmt.Sprintf("osd.%d", osd), "perf", "dump")
		if err := json.Unmarshal([]byte(out), &d); err != nil {
			t.Fatal(err)
		}
		came, served = came+d.OSD.Came, served+d.OSD.Served
	}
	return came, served
}

// TestReadsOfCopies: what stock clients read with the flags of balanced and localized reads comes
// from all copies, and is never older than what was written before.
func TestReadsOfCopies(t *testing.T) {
	c := startFor(t, "--set", "osd_pool_default_read_lease_ratio=0.1") // 2 s
	before, was := 0, 0
	more := func(what string) {
		t.Helper()
		came, served := c.copyReads(t)
		t.Logf("%s: other copies served %d of %d reads", what, served-was, came-before)
		if served-was < 20 {
			t.Errorf("%s: other copies served %d of %d reads", what, served-was, came-before)
		}
		before, was = came, served
	}
	c.python(t, "copyreads.py", "rbd", "8")
	more("librados")

	c.must(t, "ceph", "osd", "set-require-min-compat-client", "octopus")
	c.must(t, "rbd", "create", "--size", "64M", "disk")
	c.must(t, "rbd", "bench", "--io-type", "write", "--io-size", "1M", "--io-total", "64M", "disk")
	out := c.must(t, "rbd", "export", "--no-progress", "disk", "-")
	for _, policy := range []string{"balance", "localize"} {
		args := []string{"--rbd_read_from_replica_policy", policy, "--crush_location", "host=x",
			"--rbd_cache", "false"}
		c.must(t, "rbd", append(args, "bench", "--io-type", "read", "--io-size", "4K",
			"--io-total", "12M", "--io-pattern", "rand", "disk")...)
		args = append(args, "export", "--no-progress", "disk", "-")
		if got := c.must(t, "rbd", args...); got != out {
			t.Errorf("%s: another content", policy)
		}
		if policy == "balance" {
			more("rbd " + policy)
		}
	}
}
