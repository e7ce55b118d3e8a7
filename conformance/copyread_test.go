package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	library "glue/client/rados"
)

// copyReads is how many reads came to some OSDs that are not the object's primary, and how many of
// these they answered.
func (c *cluster) copyReads(t *testing.T, osds ...int) (came, served int) {
	t.Helper()
	for _, osd := range osds {
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
	t.Parallel()
	c := startFor(t, "--set", "osd_pool_default_read_lease_ratio=0.1") // 2 s
	before, was := 0, 0
	more := func(what string) {
		t.Helper()
		came, served := c.copyReads(t, 0, 1, 2)
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
	c.localized(t)
}

// localized: reads of our client that is where one OSD is come from there.
func (c *cluster) localized(t *testing.T) {
	t.Helper()
	c.must(t, "ceph", "osd", "crush", "create-or-move", "osd.2", "1", // which keeps its weight
		"root=default", "host=near")
	// The leases of one look at the counters are to hold in the next on a slow machine, too: 16 s.
	c.must(t, "ceph", "tell", "osd.*", "config", "set", "osd_pool_default_read_lease_ratio", "0.8")
	if err := c.waitClean(time.Minute); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	r, err := library.Connect(ctx, library.Options{ConfFile: c.conf,
		Set: map[string]string{"crush_location": "host=near root=default"}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	x, err := r.OpenPool(ctx, "rbd")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		if err := x.WriteFull(ctx, fmt.Sprint("near.", i), []byte(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	near := x.WithLocalizedReads()
	waitFor(t, "a host's reads from its OSD", func() bool {
		came, served := c.copyReads(t, 2)
		elsewhere, _ := c.copyReads(t, 0, 1)
		for i := range 30 {
			b, err := near.Read(ctx, fmt.Sprint("near.", i), 0, 0)
			if err != nil || string(b) != fmt.Sprint(i) {
				t.Fatalf("object %d: %q, %v", i, b, err)
			}
		}
		more, answered := c.copyReads(t, 2)
		if now, _ := c.copyReads(t, 0, 1); now != elsewhere {
			t.Fatalf("%d reads came to OSDs that are not near", now-elsewhere)
		}
		// Objects of which it is the primary are not counted.
		t.Logf("localized: the near copy served %d of %d reads", answered-served, more-came)
		return more-came == answered-served && more-came >= 5
	})
}
