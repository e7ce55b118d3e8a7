package conformance

import (
	"bytes"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// loopDevice is a block device of so many bytes, and the file behind it.
func loopDevice(t *testing.T, name string, size int64) (dev, behind string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to make a loop device")
	}
	behind = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(behind, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(behind, size); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", behind).CombinedOutput()
	if err != nil {
		t.Skipf("this machine has no loop device to give: %v: %s", err, out)
	}
	dev = strings.TrimSpace(string(out))
	t.Cleanup(func() { exec.Command("losetup", "--detach", dev).Run() })
	return dev, behind
}

// asRoot runs a tool of the system.
func asRoot(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// first is the checksum of the first 8 MiB of a device, which every refusal has to leave alone.
func first(t *testing.T, dev string) []byte {
	t.Helper()
	f, err := os.Open(dev)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 8<<20)
	n, _ := f.ReadAt(b, 0)
	sum := sha256.Sum256(b[:n])
	return sum[:]
}

// TestCreateOnDevice makes an OSD of a block device, refuses devices that anybody uses or that hold
// anything, and gives a device back.
func TestCreateOnDevice(t *testing.T) {
	dev, behind := loopDevice(t, "disk", 2<<30)
	small, _ := loopDevice(t, "small", 512<<20)
	c := startFor(t, "--split", "--set", "mon_tick_interval=1")
	create := func(args ...string) []string {
		return append([]string{"osd", "create", "--data", c.dir}, args...)
	}
	refused := func(says string, args ...string) {
		t.Helper()
		before := first(t, dev)
		c.glueFails(t, says, create(args...)...)
		if !bytes.Equal(first(t, dev), before) {
			t.Errorf("the refusal %q changed %s", says, dev)
		}
		if left, _ := filepath.Glob(filepath.Join(c.dir, ".osd-creating-*")); len(left) > 0 {
			t.Errorf("the refusal %q left %v", says, left)
		}
	}
	refused("too few for an OSD, it needs at least 1G", small)
	refused("--size is for a file that is made", dev, "--size", "2G")
	refused("is in use by "+dev, behind)
	asRoot(t, "mkfs.ext4", "-q", dev)
	refused("holds an ext file system: nothing was changed", dev)
	refused("holds an ext file system, not what --force xfs says", dev, "--force", "xfs")
	mount := t.TempDir()
	asRoot(t, "mount", dev, mount)
	t.Cleanup(func() { exec.Command("umount", mount).Run() })
	refused("in use: mounted at "+mount, dev)
	refused("in use: mounted at "+mount, dev, "--force", "ext4")
	asRoot(t, "umount", mount)
	refused("there is no osd.9", dev, "--force", "ext4", "--replace", "9")

	c.fill(t)
	before := c.checksum(t)
	c.glueMust(t, "osd.3 is up", create(dev, "--force", "ext4")...)
	c.clean(t)
	has(t, c.must(t, "ceph", "osd", "metadata", "3"), `"id": 3`)
	has(t, c.must(t, "ceph", "osd", "df", "tree"), "1.9 GiB")
	refused("in use", dev)
	refused("in use", dev, "--force", "glue")
	if out, err := exec.Command("mkfs.ext4", "-q", dev).CombinedOutput(); err == nil ||
		!strings.Contains(string(out), "in use by the system") {
		t.Errorf("mkfs.ext4 on the device of an OSD that runs: %v\n%s", err, out)
	}
	c.glueFails(t, "is in use by "+dev, create(behind, "--force", "glue")...)
	c.must(t, "rados", "-p", "rbd", "bench", "2", "write", "-b", "65536", "--no-cleanup")

	// The device is found again by its store after a kill, and holds all.
	c.kill9(t, "osd.3")
	refused("holds an OSD's store (OSD ", dev)
	c.up(t)
	c.clean(t)
	has(t, c.must(t, "ceph", "osd", "stat"), "4 osds: 4 up")
	c.must(t, "ceph", "osd", "deep-scrub", "all")

	// Out of service, it is another's until somebody says that it is not.
	c.must(t, "ceph", "osd", "out", "3")
	waitFor(t, "osd.3 is empty", func() bool {
		r, err := c.exec("", "ceph", "osd", "safe-to-destroy", "3")
		return err == nil && r.code == 0
	})
	c.kill9(t, "osd.3")
	c.must(t, "ceph", "osd", "down", "3")
	c.must(t, "ceph", "osd", "purge", "3", "--force")
	refused("holds an OSD's store (OSD ", dev)
	c.glueMust(t, "osd.3 is up", create(dev, "--force", "glue")...)
	c.clean(t)
	c.sameAfterRestart(t, before)
}

// sameAfterRestart looks for what fill wrote, before and after a stop and a start of four OSDs.
func (c *cluster) sameAfterRestart(t *testing.T, before string) {
	t.Helper()
	if after := c.checksum(t); after != before {
		t.Errorf("data before:\n%s\nafter:\n%s", before, after)
	}
	c.glueMust(t, "", "down", "--data", c.dir)
	c.glueMust(t, "healthy", "up", "--data", c.dir, "--detach")
	has(t, c.must(t, "ceph", "osd", "stat"), "4 osds: 4 up")
	if after := c.checksum(t); after != before {
		t.Errorf("data before:\n%s\nafter a stop and a start:\n%s", before, after)
	}
}
