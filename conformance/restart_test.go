package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pid of a daemon, or of the whole cluster as "glue".
func (c *cluster) pid(t *testing.T, name string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(string(read(t,
		filepath.Join(c.dir, "run", name+".pid")))))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func (c *cluster) kill9(t *testing.T, names ...string) {
	t.Helper()
	for _, n := range names {
		if err := syscall.Kill(c.pid(t, n), syscall.SIGKILL); err != nil {
			t.Fatalf("kill -9 %s: %v", n, err)
		}
	}
	for _, n := range names {
		proc := fmt.Sprintf("/proc/%d", c.pid(t, n))
		waitFor(t, n+" is gone", func() bool {
			_, err := os.Stat(proc)
			return err != nil
		})
	}
}

func (c *cluster) up(t *testing.T) {
	t.Helper()
	if out, err := c.glue("up", "--data", c.dir, "--detach"); err != nil {
		t.Fatalf("glue up: %v\n%s", err, out)
	}
}

// checksum has an md5 of everything that fill wrote, with omap and attributes, so that "byte for
// byte" can be shown.
func (c *cluster) checksum(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "export")
	c.must(t, "rbd", "export", "--no-progress", "disk", out)
	sum := c.must(t, "md5sum", out)
	os.Remove(out)
	for _, o := range strings.Fields(c.must(t, "rados", "-p", "rbd", "-N", "keep", "ls")) {
		c.must(t, "rados", "-p", "rbd", "-N", "keep", "get", o, out)
		sum += o + " " + c.must(t, "md5sum", out)
		sum += c.must(t, "rados", "-p", "rbd", "-N", "keep", "listomapvals", o)
		sum += c.must(t, "rados", "-p", "rbd", "-N", "keep", "getxattr", o, "x")
	}
	return regexp.MustCompile(`/\S+`).ReplaceAllString(sum, "")
}

func (c *cluster) fill(t *testing.T) {
	t.Helper()
	c.must(t, "rbd", "import", "--no-progress", file(t, "disk", pattern(16<<20, 9)), "disk")
	for i := range 8 {
		o := fmt.Sprintf("o%d", i)
		in := file(t, o, pattern(1<<(2*i), uint64(i)))
		c.must(t, "rados", "-p", "rbd", "-N", "keep", "put", o, in)
		c.must(t, "rados", "-p", "rbd", "-N", "keep", "setomapval", o, "k", o)
		c.must(t, "rados", "-p", "rbd", "-N", "keep", "setxattr", o, "x", o)
	}
}

func TestDownAndUp(t *testing.T) {
	t.Parallel()
	c := startFor(t)
	c.fill(t)
	before := c.checksum(t)
	for _, how := range []string{"down", "kill -9"} {
		if how == "down" {
			if out, err := c.glue("down", "--data", c.dir); err != nil {
				t.Fatalf("glue down: %v\n%s", err, out)
			}
		} else {
			c.kill9(t, "glue")
		}
		c.up(t)
		if after := c.checksum(t); after != before {
			t.Errorf("after %s:\n%s\nbefore:\n%s", how, after, before)
		}
		has(t, c.must(t, "ceph", "-s"), "HEALTH_OK", "3 up")
	}
}

// TestFewOSDs: a cluster with fewer OSDs than copies elsewhere is well, and takes data.
func TestFewOSDs(t *testing.T) {
	t.Parallel()
	for _, n := range []string{"1", "2"} {
		c := startFor(t, "--osds", n)
		c.fill(t)
		has(t, c.must(t, "ceph", "-s"), "HEALTH_OK")
		has(t, c.must(t, "ceph", "osd", "pool", "ls", "detail"), "'rbd' replicated size "+n)
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
