package conformance

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var useLab = flag.Bool("lab", false,
	"also tests with virtual machines; they need ../shared/lab and the guest that it builds")

// What runs on this machine has this address on the lab's network, which guests are on.
const labIP = "10.77.0.254"

// A lab is the folder of scripts that start virtual machines with Linux kernels.
type lab struct{ dir, built string }

// theLab skips the test where there are no virtual machines.
func theLab(t *testing.T) lab {
	t.Helper()
	if !*useLab {
		t.Skip("starts virtual machines: minutes each; -lab is not given")
	}
	l := lab{filepath.Join(root(), "..", "shared", "lab"), os.Getenv("VMLAB_DIR")}
	if l.built == "" {
		l.built = filepath.Join(os.TempDir(), "vmlab")
	}
	if _, err := os.Stat(filepath.Join(l.dir, "vmrun")); err != nil {
		t.Skipf("no lab: %v", err)
	}
	if _, err := os.Stat(filepath.Join(l.built, "guest", "root.ext4")); err != nil {
		t.Skipf("no guest: run %s/mkguest first (%v)", l.dir, err)
	}
	must(t, filepath.Join(l.dir, "labnet"), "up")
	return l
}

// start starts a cluster that guests reach, and returns it with the /etc/ceph that they need.
func (l lab) start(t *testing.T, flags ...string) (c *cluster, etc string) {
	t.Helper()
	c = startFor(t, append([]string{"--split", "--set", "public_addr=" + labIP}, flags...)...)
	c.must(t, "rbd", "pool", "init", "rbd")
	etc = t.TempDir()
	var host string
	for line := range strings.Lines(string(read(t, c.conf))) {
		if strings.Contains(line, "mon host") {
			host = strings.TrimSpace(line)
		}
	}
	conf := "[global]\n" + host + "\n"
	key := c.must(t, "ceph", "auth", "get-key", "client.admin")
	keyring := fmt.Sprintf("[client.admin]\n\tkey = %s\n", key)
	for name, text := range map[string]string{"ceph.conf": conf,
		"ceph.client.admin.keyring": keyring} {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c, etc
}

// A guest is a virtual machine that runs until the test ends.
type guest struct {
	t    *testing.T
	lab  lab
	name string
	cmd  *exec.Cmd
	log  bytes.Buffer
}

// boot starts a virtual machine and waits until it takes commands.
func (l lab) boot(t *testing.T, flags ...string) *guest {
	t.Helper()
	g := &guest{t: t, lab: l, name: fmt.Sprintf("g%d", os.Getpid())}
	// An emulated machine takes all the processor that it gets; the cluster comes first.
	args := append([]string{"-n", "5", filepath.Join(l.dir, "vmrun"), "--ssh", "--name", g.name,
		"--timeout", "3000"}, flags...)
	g.cmd = exec.Command("nice", append(args, "-c", "sleep 3000")...)
	g.cmd.Stdout, g.cmd.Stderr = &g.log, &g.log
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.cmd.Process.Signal(syscall.SIGTERM)
		g.cmd.Wait()
		t.Logf("%s", &g.log)
	})
	for deadline := time.Now().Add(4 * time.Minute); ; time.Sleep(time.Second) {
		if _, err := g.try("true"); err == nil {
			return g
		} else if time.Now().After(deadline) {
			t.Fatalf("the guest takes no commands: %v", err)
		}
	}
}

func (g *guest) ssh(ctx context.Context, script string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(g.lab.dir, "vmssh"), g.name,
		"set -eo pipefail; exec 2>&1; "+script)
	cmd.Env = append(os.Environ(), "VMLAB_DIR="+g.lab.built)
	return cmd
}

// try runs commands of bash in the guest.
func (g *guest) try(script string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	out, err := g.ssh(ctx, script).Output()
	return string(out), err
}

// run is try for commands that have to succeed.
func (g *guest) run(script string, args ...any) string {
	g.t.Helper()
	script = fmt.Sprintf(script, args...)
	begin := time.Now()
	out, err := g.try(script)
	g.t.Logf("%5.1f s  %s", time.Since(begin).Seconds(), script)
	if err != nil {
		log, _ := g.try("dmesg | tail -30")
		g.t.Fatalf("in the guest: %s: %v\n%s\n%s", script, err, out, log)
	}
	return strings.TrimSpace(out)
}

// A task is commands that go on in a guest beside the test.
type task struct {
	g      *guest
	script string
	out    bytes.Buffer
	ended  chan error
}

func (g *guest) begin(script string) *task {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	g.t.Cleanup(cancel)
	k := &task{g: g, script: script, ended: make(chan error, 1)}
	cmd := g.ssh(ctx, script)
	cmd.Stdout = &k.out
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	go func() { k.ended <- cmd.Wait() }()
	return k
}

// alive makes sure that the commands go on.
func (k *task) alive() {
	k.g.t.Helper()
	select {
	case err := <-k.ended:
		k.g.t.Fatalf("in the guest: %s: ended too early: %v\n%s", k.script, err, &k.out)
	default:
	}
}

// wait is for the commands' success.
func (k *task) wait() string {
	k.g.t.Helper()
	if err := <-k.ended; err != nil {
		log, _ := k.g.try("dmesg | tail -30")
		k.g.t.Fatalf("in the guest: %s: %v\n%s\n%s", k.script, err, &k.out, log)
	}
	return k.out.String()
}

// freeze stops the machine as a whole, until thaw is called: no answer, no goodbye.
func (g *guest) freeze() (thaw func()) {
	g.t.Helper()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", g.cmd.Process.Pid))
	if err != nil {
		g.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(children)))
	if err != nil {
		g.t.Fatalf("children of vmrun: %q", children)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		g.t.Fatal(err)
	}
	return func() { syscall.Kill(pid, syscall.SIGCONT) }
}

// md5 of the first n MiB of a device, past the guest's caches.
func (g *guest) md5(dev string, mib int) string {
	g.t.Helper()
	return g.run("dd if=%s bs=1M count=%d iflag=direct status=none | md5sum | cut -c1-32", dev,
		mib)
}

func (c *cluster) md5(t *testing.T, spec string) string {
	t.Helper()
	out := c.must(t, "bash", "-o", "pipefail", "-c",
		"rbd export --no-progress "+spec+" - | md5sum")
	return out[:32]
}

// fio writes a file at random and verifies it: about seconds' worth at the pace of an emulated
// machine, and longer while an OSD is gone.
func fio(file string, seconds int) string {
	return fmt.Sprintf("fio --name=v --filename=%s --size=%dk --bs=4k-32k --rw=randwrite "+
		"--ioengine=libaio --iodepth=8 --direct=1 --rate=512k --verify=crc32c --verify_fatal=1 "+
		"--do_verify=1 --end_fsync=1 --fallocate=none", file, 512*seconds)
}

// outage kills and restarts daemons one after the other while a load goes on in the guest.
func (c *cluster) outage(t *testing.T, load *task, daemons ...string) {
	t.Helper()
	for _, d := range daemons {
		time.Sleep(3 * time.Second)
		c.kill9(t, d)
		load.alive()
		time.Sleep(8 * time.Second) // clients notice, and OSDs report it
		c.up(t)
	}
	has(t, load.wait(), "err= 0")
	if err := c.waitClean(2 * time.Minute); err != nil {
		t.Error(err)
	}
}
