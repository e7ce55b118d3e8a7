package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFullHost fills the file system that the OSDs' sparse files are on: writes are refused with
// ENOSPC, no daemon ends, a killed cluster comes back, and deletes make room again.
func TestFullHost(t *testing.T) {
	if shared.dir == "" || os.Getuid() != 0 {
		t.Skip("mounts a small file system for a cluster of this tree")
	}
	dir := filepath.Join(shared.tmp, "small")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1500m", "tmpfs",
		dir).CombinedOutput(); err != nil {
		t.Skipf("no small file system to be had: %v %s", err, out)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", dir).Run() })
	c, err := start(dir, "c", portsFor(t), "--osd-size", "2G")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.glue("down", "--data", c.dir) })
	r, err := c.exec("", "rados", "-p", "rbd", "bench", "60", "write", "-b", "1048576", "-t", "8",
		"--no-cleanup")
	says := r.stdout + r.stderr
	if err != nil || r.code == 0 || !strings.Contains(says, "No space left on device") {
		t.Fatalf("a full host let everything in, or said something else: %+v %v", r, err)
	}
	up := func() bool {
		text, err := c.run("ceph", "-s")
		return err == nil && strings.Contains(text, "3 osds: 3 up") &&
			strings.Contains(text, "active+clean")
	}
	if !up() {
		t.Fatalf("not all OSDs are up:\n%s", c.must(t, "ceph", "-s"))
	}
	c.kill9(t, "glue")
	c.up(t)
	waitFor(t, "all OSDs after kill -9", up)
	names := strings.Fields(c.must(t, "rados", "-p", "rbd", "ls"))
	for len(names) > 0 {
		n := min(len(names), 100)
		c.must(t, "rados", append([]string{"-p", "rbd", "rm"}, names[:n]...)...)
		names = names[n:]
	}
	in := file(t, "in", []byte("fits"))
	for deadline := time.Now().Add(time.Minute); ; {
		if _, err := c.run("rados", "-p", "rbd", "put", "again", in); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no room although everything was deleted")
		}
	}
}
