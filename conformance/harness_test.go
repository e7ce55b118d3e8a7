package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const (
	commandLimit = 5 * time.Minute
	pool         = "conf"
)

// A cluster is one to test: its ceph.conf and, if it is of this tree, its folder.
type cluster struct {
	conf string
	dir  string // empty for a foreign cluster
	tmp  string
}

var shared *cluster

func TestMain(m *testing.M) {
	code := 1
	err := func() error {
		for _, tool := range []string{"ceph", "rados", "rbd"} {
			if _, err := exec.LookPath(tool); err != nil {
				return fmt.Errorf("%s is missing: apt-get install ceph-common", tool)
			}
		}
		tmp, err := os.MkdirTemp("", "gc")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		shared = &cluster{conf: os.Getenv("GLUE_TEST_CONF"), tmp: tmp}
		if shared.conf == "" {
			base, release := freePorts()
			defer release()
			if shared, err = start(tmp, "shared", base); err != nil {
				return err
			}
			defer shared.glue("down", "--data", shared.dir)
		}
		if _, err := shared.run("ceph", "config", "set", "mon", "mon_allow_pool_delete",
			"true"); err != nil {
			return err
		}
		if _, err := shared.run("ceph", "osd", "pool", "create", pool, "16"); err != nil {
			return err
		}
		if _, err := shared.run("rbd", "pool", "init", pool); err != nil {
			return err
		}
		if err := shared.waitClean(time.Minute); err != nil {
			return err
		}
		code = m.Run()
		shared.run("ceph", "osd", "pool", "rm", pool, pool, "--yes-i-really-really-mean-it")
		return nil
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
	}
	os.Exit(code)
}

// root is the checkout.
func root() string {
	dir, err := filepath.Abs("..")
	if err != nil {
		panic(err)
	}
	return dir
}

// start creates a cluster of this tree and waits until it is healthy.
func start(tmp, name string, base int, flags ...string) (*cluster, error) {
	c := &cluster{dir: filepath.Join(tmp, name), tmp: tmp}
	c.conf = filepath.Join(c.dir, "ceph.conf")
	// Pools keep the PGs that tests, and the recordings of real clusters, have made them with.
	args := append([]string{"up", "--data", c.dir, "--detach", "--port-base",
		fmt.Sprint(base), "--set", "osd_pool_default_pg_autoscale_mode=off"}, flags...)
	if out, err := c.glue(args...); err != nil {
		c.glue("down", "--data", c.dir)
		return nil, fmt.Errorf("glue %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return c, nil
}

// Blocks of ports are below those that outgoing connections take, on Linux, and none has the ports
// where monitors of another, of nine at most, speak msgr v1.
const (
	portBlock           = 30
	firstPort, lastPort = 25000, 28480
	legacyPorts, mons   = 6789 - 3300, 9
)

var portsTried atomic.Int64

// freePorts is the first of 29 ports that nobody listens on, and that nobody else is given until
// they are released: a listener at the last of the block tells other runs.
func freePorts() (base int, release func()) {
	const blocks = (lastPort - firstPort) / portBlock
	for range blocks {
		base := firstPort + (int(portsTried.Add(1))+os.Getpid())%blocks*portBlock
		hold, err := net.Listen("tcp", fmt.Sprintf(":%d", base+portBlock-1))
		if err != nil {
			continue
		}
		free := true
		for p := base; p < base+portBlock-1 && free; p++ {
			free = isFree(p) && (p >= base+mons || isFree(p+legacyPorts))
		}
		if free {
			return base, func() { hold.Close() }
		}
		hold.Close()
	}
	panic("no free ports")
}

// portsFor is freePorts until the test ends.
func portsFor(t *testing.T) int {
	base, release := freePorts()
	t.Cleanup(release)
	return base
}

// isFree says whether nobody listens at a port of any address.
func isFree(port int) bool {
	ln, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return false
	}
	ln.Close()
	return true
}

// startFor starts a cluster of its own for one test, stopped at its end.
func startFor(t *testing.T, flags ...string) *cluster {
	t.Helper()
	if shared.dir == "" {
		t.Skip("starts and stops clusters of this tree; GLUE_TEST_CONF names a foreign one")
	}
	tmp, err := os.MkdirTemp("", "gc")
	if err != nil {
		t.Fatal(err)
	}
	c, err := start(tmp, "c", portsFor(t), flags...)
	t.Cleanup(func() {
		if c != nil {
			c.glue("down", "--data", c.dir)
		}
		os.RemoveAll(tmp)
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A result is how a command ended.
type result struct {
	stdout, stderr string
	code           int
}

// waitClean waits until all PGs are active+clean.
func (c *cluster) waitClean(limit time.Duration) error {
	return c.waitPGs(limit, `active\+clean`)
}

// waitPGs waits until the states of all PGs match a pattern.
func (c *cluster) waitPGs(limit time.Duration, states string) error {
	all := regexp.MustCompile(`^\d+ pgs: \d+ (` + states + `)(, \d+ (` + states + `))*;`)
	for deadline := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		out, err := c.run("ceph", "pg", "stat")
		if err != nil {
			return err
		}
		if all.MatchString(out) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not clean after %v: %s", limit, out)
		}
	}
}

func (c *cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "CEPH_CONF="+c.conf, "CEPH_ARGS=", "LC_ALL=C.UTF-8")
	cmd.Dir = c.tmp
	return cmd
}

// exec runs a command whose failure is an answer; an error means that it did not end.
func (c *cluster) exec(stdin string, name string, args ...string) (result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	cmd := c.command(ctx, name, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Stdin = &out, &errs, strings.NewReader(stdin)
	err := cmd.Run()
	r := result{stdout: out.String(), stderr: errs.String()}
	if ctx.Err() != nil {
		return r, fmt.Errorf("%s %s: not done after %v; stderr: %s", name, strings.Join(args, " "),
			commandLimit, r.stderr)
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		r.code = exit.ExitCode()
		return r, nil
	}
	return r, err
}

// run is exec for a command that must succeed.
func (c *cluster) run(name string, args ...string) (string, error) {
	r, err := c.exec("", name, args...)
	if err == nil && r.code != 0 {
		err = fmt.Errorf("%s %s: exit code %d: %s%s", name, strings.Join(args, " "), r.code,
			r.stdout, r.stderr)
	}
	return r.stdout, err
}

func (c *cluster) glue(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	out, err := c.command(ctx, filepath.Join(root(), "glue"), args...).CombinedOutput()
	return string(out), err
}

// must runs a command that has to succeed and returns its standard output.
func (c *cluster) must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := c.run(name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// must is for the shared cluster.
func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	return shared.must(t, name, args...)
}

// fails runs a command that has to end with the exit code and say something on stderr.
func fails(t *testing.T, code int, says string, name string, args ...string) {
	t.Helper()
	r, err := shared.exec("", name, args...)
	if err != nil {
		t.Fatal(err)
	}
	if r.code != code || !strings.Contains(r.stderr, says) {
		t.Errorf("%s %s: exit code %d, stderr %q; want %d and %q", name, strings.Join(args, " "),
			r.code, r.stderr, code, says)
	}
}

// has checks that text has all the parts.
func has(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is missing in:\n%s", p, text)
		}
	}
}

// asJSON runs a command with -f json and decodes the answer.
func asJSON(t *testing.T, v any, name string, args ...string) {
	t.Helper()
	out := must(t, name, append(args, "-f", "json")...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		t.Fatalf("%s %s -f json: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// file writes a file into the test's folder and returns its path.
func file(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// pattern is n bytes that differ everywhere and repeat nowhere near.
func pattern(n int, seed uint64) []byte {
	out := make([]byte, n)
	x := seed*2862933555777941757 + 3037000493
	for i := range out {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		out[i] = byte(x >> 24)
	}
	return out
}

// python runs a script of the python folder with the interpreter that has rados and rbd.
func python(t *testing.T, script string) {
	t.Helper()
	shared.python(t, script, pool)
}

func (c *cluster) python(t *testing.T, script string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	path := filepath.Join(root(), "conformance", "python", script)
	args = append(append([]string{path}, args...), "-v")
	out, err := c.command(ctx, "/usr/bin/python3", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	if !strings.Contains(string(out), "\nOK") {
		t.Fatalf("%s ran no test:\n%s", script, out)
	}
}
