package conformance

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"
)

// A pgRow is what "pg ls" says of a PG.
type pgRow struct {
	ID    string `json:"pgid"`
	State string `json:"state"`
	Up    []int  `json:"up"`
	Sum   struct {
		Bytes     int64 `json:"num_bytes"`
		Recovered int64 `json:"num_bytes_recovered"`
	} `json:"stat_sum"`
}

// pgs lists the PGs of a pool.
func (c *cluster) pgs(t *testing.T, pool string) map[string]pgRow {
	t.Helper()
	out := c.must(t, "ceph", "pg", "ls-by-pool", pool, "-f", "json")
	var ls struct {
		PGs []pgRow `json:"pg_stats"`
	}
	if err := json.Unmarshal([]byte(out), &ls); err != nil || len(ls.PGs) == 0 {
		t.Fatalf("pg ls-by-pool: %v\n%s", err, out)
	}
	byID := map[string]pgRow{}
	for _, p := range ls.PGs {
		byID[p.ID] = p
	}
	return byID
}

// settled is pgs when the statistics have changed no more for several periods of reports.
func (c *cluster) settled(t *testing.T, pool string) map[string]pgRow {
	t.Helper()
	last, same := c.pgs(t, pool), 0
	for begin := time.Now(); same < 4; time.Sleep(time.Second) {
		now := c.pgs(t, pool)
		if same++; !reflect.DeepEqual(now, last) {
			last, same = now, 0
		}
		if time.Since(begin) > time.Minute {
			t.Fatal("statistics of PGs change all the time")
		}
	}
	return last
}

// TestBytesMovedByAnOSD fills a pool and adds an OSD: what is recovered then is what the maps ask
// for, and that is what the new OSD has to hold, with a twentieth more at most. What CRUSH moves
// among the others depends on the pool's number (0 to 7 % of it with so few OSDs) and is the same
// on every run.
func TestBytesMovedByAnOSD(t *testing.T) {
	t.Parallel()
	c := startFor(t, "--split", "--osds", "5", "--set", "mgr_stats_period=1")
	c.must(t, "ceph", "balancer", "off") // which might even out more than the OSD asks for
	c.must(t, "ceph", "osd", "pool", "create", "filled", "64")
	c.must(t, "ceph", "osd", "pool", "application", "enable", "filled", "rados")
	c.clean(t)
	c.must(t, "rados", "-p", "filled", "bench", "3", "write", "-b", "131072", "-t", "8",
		"--no-cleanup")
	before := c.settled(t, "filled")
	begin := time.Now()
	c.glueMust(t, "osd.5 is up", "osd", "create", "--data", c.dir)
	waitFor(t, "PGs go to osd.5", func() bool {
		for _, p := range c.pgs(t, "filled") {
			if slices.Contains(p.Up, 5) {
				return true
			}
		}
		return false
	})
	c.clean(t)
	took := time.Since(begin)
	var all, moved, asked, held int64
	for id, p := range c.settled(t, "filled") {
		was := before[id]
		if p.Sum.Bytes != was.Sum.Bytes {
			t.Errorf("pg %s had %d bytes and has %d", id, was.Sum.Bytes, p.Sum.Bytes)
		}
		all += p.Sum.Bytes
		moved += p.Sum.Recovered - was.Sum.Recovered
		for _, osd := range p.Up {
			if !slices.Contains(was.Up, osd) {
				asked += p.Sum.Bytes
			}
			if osd == 5 {
				held += p.Sum.Bytes
			}
		}
	}
	ratio := float64(moved) / float64(held)
	t.Logf("of %d MB in three copies %d MB were moved in %v; the maps ask for %d MB, the new OSD "+
		"holds %d MB: %.3f times that", 3*all>>20, moved>>20, took.Round(time.Second/10),
		asked>>20, held>>20, ratio)
	if moved < asked || float64(moved) > 1.05*float64(asked) || held == 0 || ratio > 1.05 {
		t.Errorf("%d bytes were moved, the maps ask for %d, the new OSD holds %d", moved, asked,
			held)
	}
}
