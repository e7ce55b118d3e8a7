package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func rbd(t *testing.T, args ...string) string {
	t.Helper()
	return must(t, "rbd", append([]string{"-p", pool}, args...)...)
}

// checkMap wants an image's object map to be right. The stock command ends well in any case, and
// marks a map that is not right as invalid.
func (c *cluster) checkMap(t *testing.T, spec string) {
	t.Helper()
	c.must(t, "rbd", "object-map", "check", "--no-progress", spec)
	if out := c.must(t, "rbd", "info", "--format", "json", spec); !strings.Contains(out,
		`"flags":[]`) {
		t.Errorf("the object map of %s is not right:\n%s", spec, out)
	}
}

func TestRBDImageLife(t *testing.T) {
	rbd(t, "create", "--size", "64M", "life")
	info := rbd(t, "info", "life")
	has(t, info, "size 64 MiB in 16 objects", "order 22 (4 MiB objects)", "snapshot_count: 0",
		"format: 2", "features: layering, exclusive-lock, object-map, fast-diff, deep-flatten")
	if got := rbd(t, "ls"); got != "life\n" {
		t.Errorf("ls: %q", got)
	}
	has(t, rbd(t, "ls", "-l"), "NAME", "life", "64 MiB")
	fails(t, 17, "(17) File exists", "rbd", "-p", pool, "create", "--size", "1M", "life")
	fails(t, 2, "(2) No such file or directory", "rbd", "-p", pool, "info", "nope")
	has(t, rbd(t, "status", "life"), "Watchers: none")

	rbd(t, "resize", "--no-progress", "--size", "128M", "life")
	has(t, rbd(t, "info", "life"), "size 128 MiB in 32 objects")
	fails(t, 22, "shrinking an image", "rbd", "-p", pool, "resize", "--no-progress", "--size",
		"8M", "life")
	rbd(t, "resize", "--no-progress", "--size", "8M", "--allow-shrink", "life")
	has(t, rbd(t, "info", "life"), "size 8 MiB in 2 objects")

	rbd(t, "rename", "life", "renamed")
	if got := rbd(t, "ls"); got != "renamed\n" {
		t.Errorf("ls after rename: %q", got)
	}
	rbd(t, "image-meta", "set", "renamed", "k", "v")
	if got := rbd(t, "image-meta", "get", "renamed", "k"); got != "v\n" {
		t.Errorf("image-meta: %q", got)
	}
	has(t, rbd(t, "image-meta", "list", "renamed"), "k   ", "v")
	rbd(t, "image-meta", "remove", "renamed", "k")
	rbd(t, "cp", "--no-progress", "renamed", pool+"/copied")
	rbd(t, "rm", "--no-progress", "renamed")
	rbd(t, "rm", "--no-progress", "copied")
	if got := rbd(t, "ls"); got != "" {
		t.Errorf("ls at the end: %q", got)
	}
}

func TestRBDFeatures(t *testing.T) {
	rbd(t, "create", "--size", "16M", "feat")
	rbd(t, "feature", "disable", "feat", "fast-diff,object-map")
	if strings.Contains(rbd(t, "info", "feat"), "object-map") {
		t.Error("object-map is still enabled")
	}
	rbd(t, "feature", "enable", "feat", "object-map,fast-diff")
	has(t, rbd(t, "info", "feat"), "object-map, fast-diff")
	rbd(t, "object-map", "rebuild", "--no-progress", "feat")
	shared.checkMap(t, pool+"/feat")
	rbd(t, "rm", "--no-progress", "feat")
	rbd(t, "create", "--size", "16M", "--image-feature", "layering", "plain")
	has(t, rbd(t, "info", "plain"), "features: layering\n")
	rbd(t, "rm", "--no-progress", "plain")
}

func TestRBDImportExport(t *testing.T) {
	// Two runs of data with a hole between and an odd length.
	body := make([]byte, 20<<20+1536)
	copy(body[1<<20:], pattern(5<<20, 3))
	copy(body[18<<20:], pattern(2<<20+1536, 4))
	in, out := file(t, "in", body), filepath.Join(t.TempDir(), "out")
	rbd(t, "import", "--no-progress", in, "imp")
	rbd(t, "export", "--no-progress", "imp", out)
	got := read(t, out)
	if len(got) < len(body) || !bytes.Equal(got[:len(body)], body) {
		t.Fatal("what was exported is not what was imported")
	}
	var du struct {
		Images []struct {
			Used        int64 `json:"used_size"`
			Provisioned int64 `json:"provisioned_size"`
		} `json:"images"`
	}
	if err := json.Unmarshal([]byte(rbd(t, "du", "imp", "--format", "json")), &du); err != nil {
		t.Fatal(err)
	}
	if len(du.Images) != 1 || du.Images[0].Used == 0 ||
		du.Images[0].Used >= du.Images[0].Provisioned {
		t.Errorf("du: %+v", du)
	}
	diff := rbd(t, "diff", "imp")
	has(t, diff, "Offset", "data")
	if regexp.MustCompile(`(?m)^8388608 `).MatchString(diff) {
		t.Errorf("the hole is listed in the diff:\n%s", diff)
	}
	stdin, err := shared.exec(string(body), "rbd", "-p", pool, "import", "--no-progress", "-",
		"piped")
	if err != nil || stdin.code != 0 {
		t.Fatalf("import from stdin: %+v %v", stdin.stderr, err)
	}
	again := filepath.Join(t.TempDir(), "again")
	rbd(t, "export", "--no-progress", "piped", again)
	if got := read(t, again); !bytes.HasPrefix(got, body) {
		t.Error("the piped image differs")
	}
	rbd(t, "rm", "--no-progress", "imp")
	rbd(t, "rm", "--no-progress", "piped")
}

func TestRBDTrash(t *testing.T) {
	rbd(t, "create", "--size", "8M", "junk")
	rbd(t, "trash", "mv", "junk")
	list := rbd(t, "trash", "ls")
	id, name, _ := strings.Cut(strings.TrimSpace(list), " ")
	if name != "junk" || id == "" {
		t.Fatalf("trash ls: %q", list)
	}
	if got := rbd(t, "ls"); got != "" {
		t.Errorf("ls shows the trash: %q", got)
	}
	rbd(t, "trash", "restore", id)
	if got := rbd(t, "ls"); got != "junk\n" {
		t.Errorf("ls after restore: %q", got)
	}
	rbd(t, "trash", "mv", "junk")
	rbd(t, "trash", "rm", "--no-progress", id)
	if got := rbd(t, "trash", "ls"); got != "" {
		t.Errorf("trash at the end: %q", got)
	}
}

func TestRBDLock(t *testing.T) {
	rbd(t, "create", "--size", "8M", "--image-feature", "layering", "lk")
	rbd(t, "lock", "add", "lk", "mine")
	list := rbd(t, "lock", "ls", "lk")
	has(t, list, "There is 1 exclusive lock on this image.", "mine")
	locker := regexp.MustCompile(`client\.\d+`).FindString(list)
	fails(t, 16, "lock is already held", "rbd", "-p", pool, "lock", "add", "lk", "other")
	rbd(t, "lock", "rm", "lk", "mine", locker)
	if got := rbd(t, "lock", "ls", "lk"); got != "" {
		t.Errorf("lock ls at the end: %q", got)
	}
	rbd(t, "rm", "--no-progress", "lk")
}

func TestRBDBench(t *testing.T) {
	rbd(t, "create", "--size", "64M", "bench")
	has(t, rbd(t, "bench", "--io-type", "write", "--io-size", "4K", "--io-threads", "16",
		"--io-total", "8M", "bench"), "ops/sec")
	has(t, rbd(t, "bench", "--io-type", "read", "--io-size", "64K", "--io-total", "8M", "bench"),
		"ops/sec")
	rbd(t, "rm", "--no-progress", "bench")
}

func TestQemuImage(t *testing.T) {
	need(t, "qemu-img", "mkfs.ext4", "e2fsck")
	disk := filepath.Join(t.TempDir(), "disk.raw")
	must(t, "truncate", "-s", "64M", disk)
	tree := t.TempDir()
	for i := range 20 {
		name := filepath.Join(tree, fmt.Sprintf("f%d", i))
		if err := os.WriteFile(name, pattern(i*50000, uint64(i)+1), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	must(t, "mkfs.ext4", "-q", "-d", tree, disk)
	target := "rbd:" + pool + "/vm:conf=" + shared.conf
	must(t, "qemu-img", "create", "-f", "raw", target, "64M")
	must(t, "qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", disk, target)
	has(t, must(t, "qemu-img", "compare", "-f", "raw", "-F", "raw", disk, target),
		"Images are identical.")
	has(t, must(t, "qemu-img", "info", target), "virtual size: 64 MiB")
	back := filepath.Join(t.TempDir(), "back.raw")
	must(t, "qemu-img", "convert", "-f", "raw", "-O", "raw", target, back)
	must(t, "e2fsck", "-f", "-n", back)
	qcow := "rbd:" + pool + "/vmq:conf=" + shared.conf
	must(t, "qemu-img", "create", "-f", "qcow2", qcow, "64M")
	must(t, "qemu-img", "convert", "-n", "-f", "raw", "-O", "qcow2", disk, qcow)
	has(t, must(t, "qemu-img", "check", "-f", "qcow2", qcow), "No errors were found")
	must(t, "qemu-img", "compare", "-f", "raw", "-F", "qcow2", disk, qcow)
	rbd(t, "rm", "--no-progress", "vm")
	rbd(t, "rm", "--no-progress", "vmq")
}

// TestQemuSnapshots: what QEMU calls internal snapshots of an image are those of `rbd snap`.
func TestQemuSnapshots(t *testing.T) {
	need(t, "qemu-img", "qemu-io")
	rbd(t, "create", "--size", "32M", "vm")
	target := "rbd:" + pool + "/vm:conf=" + shared.conf
	write := func(pattern string) {
		must(t, "qemu-io", "-f", "raw", "-c", "write -P "+pattern+" 3M 6M", target)
	}
	reads := func(pattern, target string) {
		t.Helper()
		out := must(t, "qemu-io", "-r", "-f", "raw", "-c", "read -P "+pattern+" 3M 6M", target)
		if strings.Contains(out, "verification failed") {
			t.Errorf("%s is not %s:\n%s", target, pattern, out)
		}
	}
	write("0x11")
	must(t, "qemu-img", "snapshot", "-c", "first", target)
	write("0x22")
	must(t, "qemu-img", "snapshot", "-c", "second", target)
	has(t, must(t, "qemu-img", "snapshot", "-l", target), "first", "second", "32 MiB")
	has(t, rbd(t, "snap", "ls", "vm"), "first", "second", "32 MiB")
	reads("0x11", "rbd:"+pool+"/vm@first:conf="+shared.conf)
	write("0x33")
	must(t, "qemu-img", "snapshot", "-a", "first", target)
	reads("0x11", target)
	must(t, "qemu-img", "snapshot", "-a", "second", target)
	reads("0x22", target)
	must(t, "qemu-img", "snapshot", "-d", "first", target)
	fails(t, 1, "No such file or directory", "qemu-img", "snapshot", "-a", "first", target)
	must(t, "qemu-img", "snapshot", "-d", "second", target)
	shared.checkMap(t, pool+"/vm")
	rbd(t, "rm", "--no-progress", "vm")
}

func TestQemuIO(t *testing.T) {
	need(t, "qemu-io")
	rbd(t, "create", "--size", "32M", "io")
	target := "rbd:" + pool + "/io:conf=" + shared.conf
	out := must(t, "qemu-io", "-f", "raw",
		"-c", "write -P 0x11 513 100001", "-c", "write -P 0x22 4194000 5000",
		"-c", "write -z 70000 3000", "-c", "discard 8M 4M", "-c", "flush",
		"-c", "read -P 0x11 513 69487", "-c", "read -P 0 70000 3000",
		"-c", "read -P 0x11 73000 27514", "-c", "read -P 0x22 4194000 5000",
		"-c", "read -P 0 8M 4M", "-c", "aio_write -P 0x33 12M 1M", "-c", "aio_write -P 0x44 13M 1M",
		"-c", "aio_flush", "-c", "read -P 0x33 12M 1M", "-c", "read -P 0x44 13M 1M", target)
	if strings.Contains(out, "verification failed") || strings.Contains(out, "error") {
		t.Errorf("qemu-io:\n%s", out)
	}
	rbd(t, "rm", "--no-progress", "io")
}

func TestFio(t *testing.T) {
	need(t, "fio")
	rbd(t, "create", "--size", "64M", "fio")
	out := must(t, "fio", "--name=v", "--ioengine=rbd", "--clientname=admin", "--pool="+pool,
		"--rbdname=fio", "--rw=randwrite", "--bsrange=512-64k", "--size=32M", "--iodepth=16",
		"--verify=crc32c", "--do_verify=1", "--verify_fatal=1")
	has(t, out, "err= 0")
	rbd(t, "rm", "--no-progress", "fio")
}

func TestRBDPython(t *testing.T) { python(t, "rbd_api.py") }

func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is missing; ./test installs it", tool)
		}
	}
}
