package disk_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"glue/store/disk"
)

// TestProbe: what each kind of content is taken for, that only emptiness counts as empty, and that
// wiping makes it so.
func TestProbe(t *testing.T) {
	const size = 64 << 20
	put := func(off int64, text string) func(*os.File) {
		return func(f *os.File) { f.WriteAt([]byte(text), off) }
	}
	for name, c := range map[string]struct {
		fill func(*os.File)
		kind string
	}{
		"empty":         {func(*os.File) {}, ""},
		"store":         {put(0, "GLUE-BLOCKSTORE\n"), "glue"},
		"bluestore":     {put(0, "bluestore block device\n"), "bluestore"},
		"gpt":           {put(510, "\x55\xaaEFI PART"), "gpt"},
		"gpt backup":    {put(size-512, "EFI PART"), "gpt"},
		"mbr":           {put(510, "\x55\xaa"), "mbr"},
		"lvm":           {put(512, "LABELONE................LVM2 001"), "lvm"},
		"one byte":      {put(700_000, "x"), "data"},
		"the last byte": {put(size-1, "x"), "data"},
		"inside":        {put(size/2, "x"), "data"},
		"btrfs":         {put(65600, "_BHRfS_M"), "btrfs"},
	} {
		path := filepath.Join(t.TempDir(), "disk")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		f.Truncate(size)
		c.fill(f)
		f.Close()
		got, err := disk.Probe(path)
		if err != nil || got.Kind != c.kind || got.Size != size || got.Device ||
			(got.What == "") != (c.kind == "") {
			t.Errorf("%s: %+v %v, want %q", name, got, err, c.kind)
		}
		if name == "inside" {
			continue
		}
		if err := disk.Wipe(path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := disk.Probe(path); err != nil || got.Kind != "" {
			t.Errorf("%s after wiping: %+v %v", name, got, err)
		}
	}
}

// TestProbeRealFileSystems holds the signatures against what the tools make.
func TestProbeRealFileSystems(t *testing.T) {
	for tool, kind := range map[string]string{"mkfs.ext4": "ext4", "mkfs.xfs": "xfs",
		"mkswap": "swap", "mkfs.btrfs": "btrfs", "mkfs.vfat": "vfat"} {
		if _, err := exec.LookPath(tool); err != nil {
			continue
		}
		path := filepath.Join(t.TempDir(), "disk")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		os.Truncate(path, 512<<20)
		if out, err := exec.Command(tool, path).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", tool, err, out)
		}
		if got, err := disk.Probe(path); err != nil || got.Kind != kind {
			t.Errorf("%s: %+v %v", tool, got, err)
		}
	}
}

// TestProbeInUse: a file that a daemon has open, and what is no disk, are refused.
func TestProbeInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	f, err := disk.Create(path, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{func() error { _, err := disk.Probe(path); return err }(),
		disk.Wipe(path)} {
		if !errors.Is(err, disk.ErrInUse) || !strings.Contains(err.Error(), "daemon") {
			t.Errorf("a file in use: %v", err)
		}
	}
	f.Close()
	if _, err := disk.Probe(path); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{t.TempDir(), "/dev/null", path + ".none"} {
		if _, err := disk.Probe(bad); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

// TestDeviceInUse: a device that is open is nobody else's, and udev, which locks a device for a
// moment after it was written to, is waited for.
func TestDeviceInUse(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to make a loop device")
	}
	path := filepath.Join(t.TempDir(), "disk")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 64<<20)); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", path).CombinedOutput()
	if err != nil {
		t.Skipf("no loop device to be had: %v: %s", err, out)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() { exec.Command("losetup", "--detach", dev).Run() })
	if _, err := disk.Probe(path); !errors.Is(err, disk.ErrInUse) ||
		!strings.Contains(err.Error(), dev) {
		t.Errorf("the file of a loop device: %v", err)
	}

	udev, err := os.Open(dev)
	if err != nil {
		t.Fatal(err)
	}
	defer udev.Close()
	if err := unix.Flock(int(udev.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(200*time.Millisecond, func() { unix.Flock(int(udev.Fd()), unix.LOCK_UN) })
	f, err := disk.Open(dev)
	if err != nil {
		t.Fatalf("while udev looks at it: %v", err)
	}
	if _, err := disk.Open(dev); !errors.Is(err, disk.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	if _, err := disk.Probe(dev); !errors.Is(err, disk.ErrInUse) {
		t.Errorf("a device that is open: %v", err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", dev).CombinedOutput(); err == nil ||
		!strings.Contains(string(out), "in use") {
		t.Errorf("mkfs.ext4 on a device that is open: %v %s", err, out)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := disk.Probe(dev); err != nil {
		t.Error(err)
	}
}
