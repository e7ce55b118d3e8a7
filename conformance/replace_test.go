package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// glueMust runs glue with a folder, which has to succeed and to say something.
func (c *cluster) glueMust(t *testing.T, says string, args ...string) string {
	t.Helper()
	out, err := c.glue(args...)
	if err != nil || !strings.Contains(out, says) {
		t.Fatalf("glue %s: %v\n%s\nwant %q", strings.Join(args, " "), err, out, says)
	}
	return out
}

// glueFails runs glue, which has to refuse and to say why.
func (c *cluster) glueFails(t *testing.T, says string, args ...string) {
	t.Helper()
	out, err := c.glue(args...)
	if err == nil || !strings.Contains(out, says) {
		t.Errorf("glue %s: %v\n%s\nwant a refusal with %q", strings.Join(args, " "), err, out, says)
	}
}

// TestAddOSD adds an OSD to a cluster in one process, which keeps it over a stop and a start, and
// refuses disks that hold something.
func TestAddOSD(t *testing.T) {
	t.Parallel()
	c := startFor(t)
	c.fill(t)
	before := c.checksum(t)
	c.glueMust(t, "osd.3 is up", "osd", "create", "--data", c.dir)
	has(t, c.must(t, "ceph", "osd", "tree"), "osd.3      up")
	c.clean(t)
	disk := filepath.Join(c.tmp, "disk")
	if err := os.WriteFile(disk, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, 1<<30); err != nil {
		t.Fatal(err)
	}
	c.glueFails(t, "holds data of a kind that is not recognised: nothing was changed",
		"osd", "create", "--data", c.dir, disk)
	c.glueFails(t, "not what --force ext4 says", "osd", "create", "--data", c.dir, disk,
		"--force", "ext4")
	c.glueFails(t, "is in use by a daemon", "osd", "create", "--data", c.dir,
		filepath.Join(c.dir, "osd.3", "block"), "--force", "glue")
	c.glueFails(t, "neither a block device nor a regular file", "osd", "create", "--data", c.dir,
		c.dir)
	c.glueFails(t, "osd.1 is in use", "osd", "create", "--data", c.dir, "--replace", "1")
	c.glueFails(t, "there is no osd.9", "osd", "create", "--data", c.dir, "--replace", "9")
	if got := read(t, disk); string(got[:8]) != "precious" {
		t.Errorf("the file that was refused begins with %q", got[:8])
	}
	has(t, c.must(t, "ceph", "osd", "stat"), "4 osds: 4 up")
	c.glueMust(t, "osd.4 is up", "osd", "create", "--data", c.dir, disk, "--force", "data")
	c.clean(t)
	c.glueMust(t, "", "down", "--data", c.dir)
	c.glueFails(t, "does not run; start it", "osd", "create", "--data", c.dir)
	c.glueMust(t, "healthy", "up", "--data", c.dir, "--detach")
	has(t, c.must(t, "ceph", "osd", "stat"), "5 osds: 5 up")
	if after := c.checksum(t); after != before {
		t.Errorf("data before:\n%s\nafter:\n%s", before, after)
	}
}

// TestReplaceDisk loses a disk for good, and gives its number to another one.
func TestReplaceDisk(t *testing.T) {
	t.Parallel()
	c := startFor(t, "--osds", "4", "--split", "--set", "mon_tick_interval=1")
	c.fill(t)
	before := c.checksum(t)
	c.kill9(t, "osd.2")
	if err := os.RemoveAll(filepath.Join(c.dir, "osd.2")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "osd.2 is down", func() bool {
		out, err := c.run("ceph", "osd", "tree", "down")
		return err == nil && strings.Contains(out, "osd.2")
	})
	c.glueFails(t, "osd.2 is in use", "osd", "create", "--data", c.dir, "--replace", "2")
	if r, err := c.exec("", "ceph", "osd", "safe-to-destroy", "2"); err != nil || r.code == 0 {
		t.Errorf("while PGs are degraded osd.2 is said to be safe to destroy: %+v %v", r, err)
	}
	if r, err := c.exec("", "ceph", "osd", "destroy", "2"); err != nil || r.code == 0 {
		t.Errorf("destroy without --force: %+v %v", r, err)
	}
	// The new disk's daemon learns the maps from many on, in which the number is the old disk's.
	for i := range 60 {
		c.must(t, "ceph", "osd", "primary-affinity", "1", fmt.Sprint(0.5+float64(i%2)/10))
	}
	c.must(t, "ceph", "osd", "primary-affinity", "1", "1")
	place := c.must(t, "ceph", "osd", "crush", "tree")
	c.must(t, "ceph", "osd", "destroy", "2", "--force")
	has(t, c.must(t, "ceph", "osd", "tree"), "osd.2  destroyed")
	c.glueMust(t, "osd.2 is up", "osd", "create", "--data", c.dir, "--replace", "2")
	c.clean(t)
	tree := c.must(t, "ceph", "osd", "tree")
	if strings.Contains(tree, "destroyed") || !strings.Contains(tree, "osd.2      up") {
		t.Error(tree)
	}
	if got := c.must(t, "ceph", "osd", "crush", "tree"); got != place {
		t.Errorf("CRUSH before %s, after %s", place, got)
	}
	has(t, c.must(t, "ceph", "osd", "ls"), "0\n1\n2\n3\n")
	if after := c.checksum(t); after != before {
		t.Errorf("data before:\n%s\nafter:\n%s", before, after)
	}

	// A destroyed OSD is not waited for, and a purged one forgotten.
	c.kill9(t, "osd.3")
	waitFor(t, "osd.3 is destroyed", func() bool {
		r, err := c.exec("", "ceph", "osd", "destroy", "3", "--force")
		return err == nil && r.code == 0
	})
	c.must(t, "ceph", "osd", "out", "3")
	c.glueMust(t, "osd.3 is destroyed", "up", "--data", c.dir, "--detach")
	c.clean(t)
	c.must(t, "ceph", "osd", "purge", "3", "--force")
	c.glueMust(t, "osd.3 was purged", "up", "--data", c.dir, "--detach")
	has(t, c.must(t, "ceph", "health", "detail"), "HEALTH_OK")
}

// clean waits until all PGs are clean.
func (c *cluster) clean(t *testing.T) {
	t.Helper()
	if err := c.waitClean(2 * time.Minute); err != nil {
		t.Fatal(err)
	}
}
