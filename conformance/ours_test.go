package conformance

import (
	"bytes"
	"os"
	"os/exec"
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
	shared.checkMap(t, pool+"/oursimg")
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

// TestOurClientLibraries runs the tests of client/rados, client/rbd and client/striper, which are
// skipped without a cluster, on the one under test.
func TestOurClientLibraries(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes minutes")
	}
	cmd := exec.Command("go", "test", "-count=1", "-timeout", "30m", "./client/rados",
		"./client/rbd", "./client/striper")
	cmd.Dir = root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GLUE_TEST_CONF="+shared.conf)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestOurSnapshots: snapshots, a clone and differences by our commands, read by the stock ones.
func TestOurSnapshots(t *testing.T) {
	glue := func(args ...string) string {
		t.Helper()
		return ours(t, append([]string{"rbd", "-c", shared.conf, "-p", pool, "--no-progress"},
			args...)...)
	}
	body := pattern(5<<20+512, 7)
	in, out, diff := file(t, "in", body), filepath.Join(t.TempDir(), "out"),
		filepath.Join(t.TempDir(), "diff")
	glue("import", in, "snapimg")
	glue("snap", "create", "snapimg@one")
	has(t, rbd(t, "snap", "ls", "snapimg"), "one", "5.0 MiB")
	glue("clone", "--rbd-default-clone-format", "2", "snapimg@one", "cloneimg")
	has(t, rbd(t, "info", "cloneimg"), "parent: "+pool+"/snapimg@one", "clone-child")
	has(t, glue("children", "snapimg@one"), pool+"/cloneimg\n")
	rbd(t, "export", "--no-progress", "cloneimg", out)
	if got := read(t, out); !bytes.HasPrefix(got, body) {
		t.Error("the stock client exported something else of the clone")
	}
	glue("export-diff", "snapimg@one", diff)
	rbd(t, "create", "--size", "1M", "diffimg")
	rbd(t, "import-diff", "--no-progress", diff, "diffimg")
	glue("export", "diffimg@one", out)
	if got := read(t, out); !bytes.HasPrefix(got, body) {
		t.Error("the differences make another image")
	}
	glue("flatten", "cloneimg")
	for _, image := range []string{"cloneimg", "diffimg", "snapimg"} {
		shared.checkMap(t, pool+"/"+image)
		glue("snap", "purge", image)
		glue("rm", image)
	}
}
