package conformance

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// ours runs glue on the cluster under test, whichever it is.
func ours(t *testing.T, args ...string) string {
	t.Helper()
	return must(t, filepath.Join(root(), "glue"), args...)
}

// TestOurRados: what our client writes the stock client reads, and the other way round.
func TestOurRados(t *testing.T) {
	body := pattern(9<<20+17, 5)
	in, out := file(t, "in", body), filepath.Join(t.TempDir(), "out")
	ours(t, "rados", "-c", shared.conf, "-p", pool, "put", "ours", in)
	rados(t, "get", "ours", out)
	if !bytes.Equal(read(t, out), body) {
		t.Error("the stock client read something else")
	}
	rados(t, "put", "theirs", in)
	out = filepath.Join(t.TempDir(), "out")
	ours(t, "rados", "-c", shared.conf, "-p", pool, "get", "theirs", out)
	if !bytes.Equal(read(t, out), body) {
		t.Error("our client read something else")
	}
	list := ours(t, "rados", "-c", shared.conf, "-p", pool, "ls")
	has(t, list, "ours\n", "theirs\n")
	ours(t, "rados", "-c", shared.conf, "-p", pool, "setxattr", "ours", "k", "v")
	if got := strings.TrimSpace(rados(t, "getxattr", "ours", "k")); got != "v" {
		t.Errorf("xattr: %q", got)
	}
	ours(t, "rados", "-c", shared.conf, "-p", pool, "setomapval", "ours", "ok", "ov")
	has(t, rados(t, "listomapvals", "ours"), "ok\nvalue (2 bytes)")
	has(t, ours(t, "rados", "-c", shared.conf, "-p", pool, "stat", "theirs"), "size 9437201")
	has(t, ours(t, "rados", "-c", shared.conf, "-p", pool, "bench", "1", "write", "-b", "4096"),
		"Average IOPS")
	ours(t, "rados", "-c", shared.conf, "-p", pool, "rm", "ours")
	remove(t, "theirs")
}

func TestOurRBD(t *testing.T) {
	body := pattern(13<<20+512, 6)
	in, out := file(t, "in", body), filepath.Join(t.TempDir(), "out")
	ours(t, "rbd", "-c", shared.conf, "-p", pool, "import", in, "oursimg")
	rbd(t, "export", "--no-progress", "oursimg", out)
	if got := read(t, out); !bytes.HasPrefix(got, body) {
		t.Error("the stock client exported something else")
	}
	rbd(t, "object-map", "check", "--no-progress", "oursimg")
	has(t, rbd(t, "info", "oursimg"), "exclusive-lock", "object-map")
	rbd(t, "import", "--no-progress", in, "theirsimg")
	out = filepath.Join(t.TempDir(), "out")
	ours(t, "rbd", "-c", shared.conf, "-p", pool, "export", "theirsimg", out)
	if got := read(t, out); !bytes.HasPrefix(got, body) {
		t.Error("our client exported something else")
	}
	has(t, ours(t, "rbd", "-c", shared.conf, "-p", pool, "ls"), "oursimg\n", "theirsimg\n")
	has(t, ours(t, "rbd", "-c", shared.conf, "-p", pool, "info", "theirsimg"), "size 13")
	ours(t, "rbd", "-c", shared.conf, "-p", pool, "resize", "--size", "32M", "oursimg")
	has(t, rbd(t, "info", "oursimg"), "size 32 MiB")
	ours(t, "rbd", "-c", shared.conf, "-p", pool, "rm", "theirsimg")
	rbd(t, "rm", "--no-progress", "oursimg")
	if got := rbd(t, "ls"); strings.Contains(got, "img") {
		t.Errorf("left over: %q", got)
	}
}
