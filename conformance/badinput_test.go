package conformance

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// refusesToStart runs glue up, which has to fail and say why; the folder must stay as it was.
func refusesToStart(t *testing.T, says string, args ...string) {
	t.Helper()
	c := &cluster{tmp: t.TempDir()}
	out, err := c.glue(append([]string{"up", "--detach"}, args...)...)
	if err == nil || !strings.Contains(out, says) {
		t.Errorf("glue up %s: %v; want a failure with %q, got:\n%s", strings.Join(args, " "), err,
			says, out)
	}
}

func TestBadFlags(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	refusesToStart(t, "which cluster? name its folder with --data DIR")
	refusesToStart(t, "unknown flag: --nonsense", "--data", dir, "--nonsense")
	refusesToStart(t, "is not understood here", "--data", dir, "stray")
	refusesToStart(t, "is not a size such as 10G", "--data", dir, "--osd-size", "big")
	refusesToStart(t, "an OSD needs at least 1G", "--data", dir, "--osd-size", "1M")
	refusesToStart(t, "a cluster has 1 to 9 monitors", "--data", dir, "--mons", "12")
	refusesToStart(t, "unrecognized config option 'nonsense'", "--data", dir, "--set", "nonsense=1")
	refusesToStart(t, "to be true or false", "--data", dir, "--set", "mon_allow_pool_delete=2x")
	refusesToStart(t, "192.0.2.1 is not an address of this machine", "--data", dir, "--set",
		"public_addr=192.0.2.1")
	refusesToStart(t, "say the IP address of this machine", "--data", dir, "--set",
		"public_addr=127.0.0.1:3300")
	if _, err := os.Stat(dir); err == nil {
		t.Error("a refused start left the folder behind")
	}
}

func TestForeignFolder(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "precious")
	if err := os.WriteFile(mine, []byte("data"), 0o644); err != nil {
		t.Fatal(err)
	}
	refusesToStart(t, "holds precious and no cluster of Glue's", "--data", dir)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || string(read(t, mine)) != "data" {
		t.Errorf("the folder was changed: %v %v", entries, err)
	}
}

func TestPortInUse(t *testing.T) {
	port := portsFor(t)
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dir := filepath.Join(t.TempDir(), "d")
	refusesToStart(t, "port "+strconv.Itoa(port)+" is taken", "--data", dir, "--port-base",
		strconv.Itoa(port))
	refusesToStart(t, "192.0.2.1 is not an address of this machine", "--data", dir, "--set",
		"public_addr=192.0.2.1")
	refusesToStart(t, "say the IP address of this machine", "--data", dir, "--set",
		"public_addr=127.0.0.1:3300")
	if _, err := os.Stat(dir); err == nil {
		t.Error("a refused start left the folder behind")
	}
}

// TestPortsTaken: an OSD and a manager whose ports others have taken while they were down take free
// ones, where all find them; later they have their own again.
func TestPortsTaken(t *testing.T) {
	t.Parallel()
	c := startFor(t)
	c.fill(t)
	sum := c.checksum(t)
	type addrs struct {
		List []struct{ Type, Addr string } `json:"addrvec"`
	}
	ports := func() string { // of msgr2, which ceph.conf sets
		t.Helper()
		var osds struct {
			OSDs []struct {
				Addrs addrs `json:"public_addrs"`
			}
		}
		var mgr struct {
			Addrs addrs `json:"active_addrs"`
		}
		unmarshal(t, c.must(t, "ceph", "osd", "dump", "-f", "json"), &osds)
		unmarshal(t, c.must(t, "ceph", "mgr", "dump", "-f", "json"), &mgr)
		var out []string
		for _, a := range append(osds.OSDs[1].Addrs.List, mgr.Addrs.List...) {
			if a.Type == "v2" {
				out = append(out, a.Addr)
			}
		}
		return strings.Join(out, " ")
	}
	own := ports()
	text := string(read(t, c.conf))
	for _, addr := range strings.Fields(own) {
		has(t, text, "public addr = "+addr+"\n")
	}
	c.mustGlue(t, "down", "--data", c.dir)
	var thieves []net.Listener
	for _, addr := range strings.Fields(own) {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		thieves = append(thieves, ln)
	}
	c.up(t)
	for i, addr := range strings.Fields(ports()) {
		_, text, _ := strings.Cut(addr, ":")
		port, err := strconv.Atoi(text)
		if err != nil || port < 6800 || port > 7300 {
			t.Errorf("at %s instead of %s", addr, strings.Fields(own)[i])
		}
	}
	has(t, c.must(t, "ceph", "-s"), "HEALTH_OK", "3 up")
	if got := c.checksum(t); got != sum {
		t.Errorf("%s\nbefore:\n%s", got, sum)
	}
	c.must(t, "ceph", "tell", "osd.1", "version")
	c.must(t, "ceph", "pg", "dump")
	for _, ln := range thieves {
		ln.Close()
	}
	c.mustGlue(t, "down", "--data", c.dir)
	c.up(t)
	if got := ports(); got != own {
		t.Errorf("at %s, and %s was free again", got, own)
	}
}

func TestUnknownVerb(t *testing.T) {
	c := &cluster{tmp: t.TempDir()}
	out, err := c.glue("frobnicate")
	if err == nil || !strings.Contains(out, `unknown command "frobnicate"`) {
		t.Errorf("%v: %s", err, out)
	}
	out, err = c.glue("down", "--data", c.tmp)
	if err == nil || !strings.Contains(out, "there is no cluster in this folder") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestForeignStore: a disk of another cluster in the place of an OSD's.
func TestForeignStore(t *testing.T) {
	t.Parallel()
	a, b := startFor(t), startFor(t)
	for _, c := range []*cluster{a, b} {
		if out, err := c.glue("down", "--data", c.dir); err != nil {
			t.Fatalf("glue down: %v\n%s", err, out)
		}
	}
	own := filepath.Join(a.dir, "osd.0")
	if err := os.Rename(own, own+".away"); err != nil {
		t.Fatal(err)
	}
	a.must(t, "cp", "-a", "--sparse=always", filepath.Join(b.dir, "osd.0"), own)
	a.must(t, "cp", filepath.Join(own+".away", "keyring"), own)
	out, err := a.glue("up", "--data", a.dir, "--detach")
	if err == nil || !strings.Contains(out, "the store belongs to cluster") {
		t.Errorf("a foreign store was taken: %v\n%s", err, out)
	}
	if err := os.RemoveAll(own); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(own+".away", own); err != nil {
		t.Fatal(err)
	}
	a.up(t)
	has(t, a.must(t, "ceph", "-s"), "HEALTH_OK")
}

// TestTruncatedStore: an OSD's file that lost its end.
func TestTruncatedStore(t *testing.T) {
	t.Parallel()
	c := startFor(t)
	if out, err := c.glue("down", "--data", c.dir); err != nil {
		t.Fatalf("glue down: %v\n%s", err, out)
	}
	block := filepath.Join(c.dir, "osd.1", "block")
	st, err := os.Stat(block)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(block, st.Size()/2); err != nil {
		t.Fatal(err)
	}
	out, err := c.glue("up", "--data", c.dir, "--detach")
	if err == nil || !strings.Contains(out, "osd.1") || strings.Contains(out, "panic") {
		t.Errorf("a truncated store was taken: %v\n%s", err, out)
	}
	after, err := os.Stat(block)
	if err != nil || after.Size() != st.Size()/2 {
		t.Errorf("the truncated file was changed: %v %v", after, err)
	}
}

// TestFullCluster: writes that do not fit are refused with the errno that says so, no daemon gives
// up, deletes work, and then there is room again.
func TestFullCluster(t *testing.T) {
	c := startFor(t, "--osd-size", "1G")
	r, err := c.exec("", "rados", "-p", "rbd", "bench", "120", "write", "-b", "4194304", "-t", "8",
		"--no-cleanup")
	if err != nil || r.code == 0 ||
		!strings.Contains(r.stdout+r.stderr, "No space left on device") {
		t.Fatalf("filling the disks: %v, exit code %d\n%s", err, r.code, r.stderr)
	}
	has(t, c.must(t, "ceph", "osd", "stat"), "3 osds: 3 up")
	c.must(t, "rados", "-p", "rbd", "cleanup")
	c.must(t, "rados", "-p", "rbd", "put", "after", file(t, "in", pattern(1<<20, 1)))
	if out, err := c.glue("down", "--data", c.dir); err != nil {
		t.Fatalf("glue down: %v\n%s", err, out)
	}
	c.up(t)
	has(t, c.must(t, "rados", "-p", "rbd", "stat", "after"), "size 1048576")
}
