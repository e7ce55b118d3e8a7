package conformance

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// libvirt runs one of its own for the test, as nobody, with all of its files in one folder: the
// machine's libvirt is left alone.
type libvirt struct {
	t   *testing.T
	dir string
}

const nobody = 65534

func startLibvirt(t *testing.T) *libvirt {
	t.Helper()
	for _, tool := range []string{"virsh", "libvirtd", "qemu-system-x86_64"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is missing: apt-get install libvirt-clients libvirt-daemon "+
				"libvirt-daemon-driver-storage-rbd qemu-system-x86 qemu-block-extra", tool)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("runs libvirt as nobody, which only root can")
	}
	dir, err := os.MkdirTemp("", "lv") // short: it has sockets
	if err != nil {
		t.Fatal(err)
	}
	l := &libvirt{t: t, dir: dir}
	for _, d := range []string{"", "home", "run", "cfg", "cache", "data"} {
		os.Mkdir(filepath.Join(dir, d), 0o700)
		if err := os.Chown(filepath.Join(dir, d), nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	daemon := l.command(context.Background(), "libvirtd")
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		daemon.Process.Signal(syscall.SIGTERM)
		daemon.Wait()
		os.RemoveAll(dir)
	})
	waitFor(t, "libvirtd listens", func() bool {
		_, err := os.Stat(filepath.Join(dir, "run", "libvirt", "libvirt-sock"))
		return err == nil
	})
	return l
}

func (l *libvirt) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = filepath.Join(l.dir, "home")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "HOME=" + cmd.Dir}
	for of, d := range map[string]string{"RUNTIME_DIR": "run", "CONFIG_HOME": "cfg",
		"CACHE_HOME": "cache", "DATA_HOME": "data"} {
		cmd.Env = append(cmd.Env, "XDG_"+of+"="+filepath.Join(l.dir, d))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody,
		Gid: nobody}}
	return cmd
}

func (l *libvirt) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	out, err := l.command(ctx, "virsh", append([]string{"-q", "-c", "qemu:///session"},
		args...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// virsh runs a command that has to succeed.
func (l *libvirt) virsh(args ...string) string {
	l.t.Helper()
	out, err := l.try(args...)
	if err != nil {
		l.t.Fatalf("virsh %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// refused runs a command that has to fail and say something.
func (l *libvirt) refused(says string, args ...string) {
	l.t.Helper()
	if out, err := l.try(args...); err == nil || !strings.Contains(out, says) {
		l.t.Errorf("virsh %s: %v, %q; want a failure and %q", strings.Join(args, " "), err, out,
			says)
	}
}

// xml is a file that libvirt can read.
func (l *libvirt) xml(text string) string {
	l.t.Helper()
	path := filepath.Join(l.dir, fmt.Sprintf("%d.xml", time.Now().UnixNano()))
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
	return path
}

const secretID = "5b353214-338b-4d94-a59b-43f79c2ae2d9"

// source is how libvirt names where images are, and with which key it comes.
func source(t *testing.T) (host, auth string) {
	t.Helper()
	m := regexp.MustCompile(`v2:([\d.]+):(\d+)`).FindStringSubmatch(must(t, "ceph", "mon", "dump"))
	if m == nil {
		t.Fatal("no monitor's address")
	}
	return fmt.Sprintf(`<host name='%s' port='%s'/>`, m[1], m[2]),
		`<auth type='ceph' username='libvirt'><secret type='ceph' uuid='` + secretID +
			`'/></auth>`
}

// TestLibvirt: a pool of images as libvirt manages it, and a machine with a disk in it.
func TestLibvirt(t *testing.T) {
	l := startLibvirt(t)
	key := strings.TrimSpace(must(t, "ceph", "auth", "get-or-create-key", "client.libvirt", "mon",
		"profile rbd", "osd", "profile rbd pool="+pool))
	t.Cleanup(func() { shared.run("ceph", "auth", "rm", "client.libvirt") })
	if _, err := base64.StdEncoding.DecodeString(key); err != nil {
		t.Fatalf("a key: %q", key)
	}
	l.virsh("secret-define", l.xml(fmt.Sprintf(`<secret><uuid>%s</uuid><usage type='ceph'>`+
		`<name>client.libvirt secret</name></usage></secret>`, secretID)))
	l.virsh("secret-set-value", secretID, key)
	l.pool()
	l.volumes()
	l.machine()
	l.virsh("pool-destroy", "glue")
	l.virsh("pool-undefine", "glue")
}

func (l *libvirt) pool() {
	t := l.t
	host, auth := source(t)
	l.virsh("pool-define", l.xml(`<pool type='rbd'><name>glue</name><source>`+host+
		`<name>`+pool+`</name>`+auth+`</source></pool>`))
	l.virsh("pool-start", "glue")
	l.virsh("pool-refresh", "glue")
	has(t, l.virsh("pool-info", "glue"), "State:          running", "Capacity:")
	if got := l.virsh("vol-list", "glue"); got != "" {
		t.Errorf("volumes at first: %q", got)
	}
}

func (l *libvirt) volumes() {
	t := l.t
	l.virsh("vol-create-as", "glue", "one", "64M")
	has(t, rbd(t, "info", "one"), "size 64 MiB", "layering")
	must(t, "qemu-io", "-f", "raw", "-c", "write -P 0x5a 1M 1M",
		"rbd:"+pool+"/one:conf="+shared.conf)
	l.virsh("vol-resize", "one", "96M", "--pool", "glue")
	has(t, l.virsh("vol-info", "one", "--pool", "glue"), "network", "96.00 MiB")
	rbd(t, "create", "--size", "64M", "beside") // known after a refresh
	l.virsh("pool-refresh", "glue")
	has(t, l.virsh("vol-list", "glue"), pool+"/beside", pool+"/one")
	has(t, l.virsh("vol-info", "beside", "--pool", "glue"), "network", "64.00 MiB")
	l.virsh("vol-delete", "beside", "--pool", "glue")

	l.virsh("vol-clone", "one", "two", "--pool", "glue")
	has(t, rbd(t, "info", "two"), "parent: "+pool+"/one@", "size 96 MiB")
	l.virsh("vol-clone", "one", "three", "--pool", "glue") // of the same snapshot
	has(t, must(t, "qemu-io", "-f", "raw", "-c", "read -P 0x5a 1M 1M", "-c", "read -P 0 2M 64k",
		"rbd:"+pool+"/three:conf="+shared.conf), "read 1048576/1048576")
	l.refused("failed to remove volume '"+pool+"/one'", "vol-delete", "one", "--pool", "glue")
	l.virsh("vol-wipe", "three", "--pool", "glue")
	has(t, must(t, "qemu-io", "-f", "raw", "-c", "read -P 0 1M 1M",
		"rbd:"+pool+"/three:conf="+shared.conf), "read 1048576/1048576")
	l.virsh("vol-delete", "three", "--pool", "glue")
	l.virsh("vol-delete", "two", "--pool", "glue")
	l.virsh("vol-delete", "one", "--pool", "glue", "--delete-snapshots")
	if got := rbd(t, "ls"); got != "" {
		t.Errorf("images at the end: %q", got)
	}
}

// machine has a disk in the pool. It runs no system, but its firmware reads the disk.
func (l *libvirt) machine() {
	t := l.t
	host, auth := source(t)
	l.virsh("vol-create-as", "glue", "disk", "64M")
	disk := func(image, dev string) string {
		return `<disk type='network' device='disk'><driver name='qemu' type='raw' ` +
			`cache='writeback' discard='unmap'/>` + auth + `<source protocol='rbd' name='` + pool +
			`/` + image + `'>` + host + `</source><target dev='` + dev + `' bus='virtio'/></disk>`
	}
	l.virsh("define", l.xml(`<domain type='qemu'><name>vm</name><memory unit='MiB'>64</memory>`+
		`<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>`+disk("disk", "vda")+
		`</devices></domain>`))
	l.virsh("start", "vm")
	has(t, rbd(t, "status", "disk"), "watcher=")
	l.virsh("blockresize", "vm", "vda", "96M")
	has(t, rbd(t, "info", "disk"), "size 96 MiB")
	l.virsh("vol-create-as", "glue", "more", "16M")
	l.virsh("attach-device", "vm", l.xml(disk("more", "vdb")), "--live")
	has(t, l.virsh("domblklist", "vm"), pool+"/disk", pool+"/more")
	has(t, l.virsh("domblkinfo", "vm", "vdb"), "16777216")
	l.virsh("destroy", "vm")
	waitFor(t, "nobody watches", func() bool {
		return strings.Contains(rbd(t, "status", "disk")+rbd(t, "status", "more"),
			"Watchers: none\nWatchers: none")
	})
	l.virsh("undefine", "vm")
	l.virsh("vol-delete", "disk", "--pool", "glue")
	l.virsh("vol-delete", "more", "--pool", "glue")
}
