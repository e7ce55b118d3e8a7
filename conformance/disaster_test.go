package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestDisaster loses all daemons that have copies of some PGs, of which one disk survives, and
// brings the data back by exporting the PGs from it and importing them into living OSDs.
func TestDisaster(t *testing.T) {
	t.Parallel()
	c := startFor(t, "--osds", "5", "--split", "--set", "mon_tick_interval=1",
		"--set", "mon_osd_min_in_ratio=0")
	c.fill(t)
	before := c.checksum(t)
	var place struct {
		Acting []int `json:"acting"`
	}
	out := c.must(t, "ceph", "osd", "map", "rbd", "o7", "keep", "-f", "json")
	if err := json.Unmarshal([]byte(out), &place); err != nil || len(place.Acting) != 3 {
		t.Fatalf("%v: %s", err, out)
	}
	osdDir := func(id int) string { return filepath.Join(c.dir, fmt.Sprint("osd.", id)) }
	living := 0
	for slices.Contains(place.Acting, living) {
		living++
	}
	for _, id := range place.Acting {
		c.kill9(t, fmt.Sprint("osd.", id))
	}
	dead, target := osdDir(place.Acting[1]), osdDir(living)
	waitFor(t, "three OSDs are down", func() bool {
		out, err := c.run("ceph", "osd", "stat")
		return err == nil && strings.Contains(out, "5 osds: 2 up")
	})
	c.glueFails(t, "is in use by a daemon; stop that OSD first", "store", "fsck", target)
	c.glueMust(t, `"in_use": true`, "store", "info", target)
	c.glueMust(t, fmt.Sprintf(`"whoami": %d`, place.Acting[1]), "store", "info", dead)
	has(t, c.glueMust(t, ": 0 errors", "store", "fsck", "--deep", dead), "PGs")
	c.glueFails(t, "there is no copy of PG 99.0", "store", "list", dead, "99.0")

	lost := c.orphans(t, dead)
	if len(lost) == 0 {
		t.Fatal("no PG has all its copies on the dead")
	}
	c.kill9(t, fmt.Sprint("osd.", living))
	for _, pg := range lost {
		c.carry(t, pg, dead, target)
	}
	c.glueMust(t, ": 0 errors", "store", "fsck", "--deep", target)
	for _, id := range place.Acting {
		c.must(t, "ceph", "osd", "lost", fmt.Sprint(id), "--yes-i-really-mean-it")
		c.must(t, "ceph", "osd", "purge", fmt.Sprint(id), "--force")
	}
	c.must(t, "ceph", "osd", "pool", "set", "rbd", "size", "2")
	c.must(t, "ceph", "osd", "pool", "set", "rbd", "min_size", "1")
	c.up(t)
	if err := c.waitClean(2 * time.Minute); err != nil {
		t.Fatal(err, c.must(t, "ceph", "pg", "dump", "pgs_brief"))
	}
	if after := c.checksum(t); after != before {
		t.Errorf("data before:\n%s\nafter:\n%s", before, after)
	}
	t.Logf("%d PGs brought back", len(lost))
}

// orphans are the PGs of a dead store that are mapped to nobody who lives: all their copies are on
// the dead.
func (c *cluster) orphans(t *testing.T, dead string) []string {
	t.Helper()
	var lost []string
	for _, line := range strings.Split(c.glueMust(t, "", "store", "list", dead), "\n") {
		var pg struct {
			ID string `json:"pgid"`
		}
		if line == "" {
			continue
		}
		if err := json.Unmarshal([]byte(line), &pg); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		var at struct {
			Acting []int `json:"acting"`
		}
		out := c.must(t, "ceph", "pg", "map", pg.ID, "-f", "json")
		if err := json.Unmarshal([]byte(out), &at); err != nil {
			t.Fatal(err)
		}
		if len(at.Acting) == 0 {
			lost = append(lost, pg.ID)
		}
	}
	return lost
}

// carry takes a PG from one store to another, and shows what is refused on the way.
func (c *cluster) carry(t *testing.T, pg, dead, target string) {
	t.Helper()
	path := filepath.Join(c.tmp, pg)
	c.glueMust(t, "objects", "store", "export", dead, pg, path)
	c.glueFails(t, "is there already", "store", "export", dead, pg, path)
	cut := filepath.Join(c.tmp, "cut")
	whole := read(t, path)
	if err := os.WriteFile(cut, whole[:len(whole)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	c.glueFails(t, "the export is damaged", "store", "import", target, cut)
	c.glueFails(t, "has a copy of PG", "store", "import", dead, path)
	if out := c.glueMust(t, "", "store", "list", target); strings.Contains(out, `"`+pg+`"`) {
		c.glueFails(t, "add --force", "store", "remove", target, pg)
		c.glueMust(t, "", "store", "remove", target, pg, "--force")
	}
	c.glueMust(t, "objects", "store", "import", target, path)
}
