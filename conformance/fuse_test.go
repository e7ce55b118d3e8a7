package conformance

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFuse: an image as a file, by stock's rbd-fuse: it can be read and written. (What is written
// to a file that is made there goes to another image, on a real cluster too.)
func TestFuse(t *testing.T) {
	if _, err := exec.LookPath("rbd-fuse"); err != nil {
		t.Skip("rbd-fuse is missing: apt-get install rbd-fuse")
	}
	if _, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil {
		t.Skipf("this machine mounts nothing by FUSE: %v", err)
	}
	const name = "fuseimg"
	body := pattern(6<<20+4096, 31)
	rbd(t, "import", "--no-progress", file(t, "in", body), name)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cmd := shared.command(ctx, "rbd-fuse", "-f", "-c", shared.conf, "-p", pool, dir)
	var says bytes.Buffer
	cmd.Stdout, cmd.Stderr = &says, &says
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer exec.Command("umount", "-l", dir).Run()
	disk := filepath.Join(dir, name)
	waitFor(t, "it is mounted", func() bool {
		select {
		case err := <-ended:
			if strings.Contains(says.String(), "not permitted") {
				t.Skipf("this machine mounts nothing by FUSE: %s", says.String())
			}
			t.Fatalf("rbd-fuse: %v\n%s", err, says.String())
		default:
		}
		_, err := os.Stat(disk)
		return err == nil
	})
	if got := read(t, disk); !bytes.HasPrefix(got, body) {
		t.Error("the file is not what was imported")
	}
	patch := pattern(1<<20, 32)
	must(t, "dd", "if="+file(t, "patch", patch), "of="+disk, "bs=64k", "seek=20", "conv=notrunc",
		"status=none")
	copy(body[20*64<<10:], patch)
	if got := read(t, disk); !bytes.HasPrefix(got, body) {
		t.Error("the file does not have what was written")
	}
	must(t, "umount", dir)
	if err := <-ended; err != nil {
		t.Errorf("rbd-fuse ends with %v\n%s", err, says.String())
	}
	out := filepath.Join(t.TempDir(), "out")
	rbd(t, "export", "--no-progress", name, out)
	if !bytes.Equal(read(t, out), body) {
		t.Error("rbd export gives something else")
	}
	rbd(t, "rm", "--no-progress", name)
}
