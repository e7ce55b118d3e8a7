package conformance

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestKernelRBD: the Linux kernel's rbd, by msgr v1 and by msgr2, against `rbd` on this machine.
func TestKernelRBD(t *testing.T) {
	need(t, "qemu-io")
	l := theLab(t)
	c, etc := l.start(t, "--mons", "3")
	g := l.boot(t, "--file", etc+":/etc/ceph")
	g.run("modprobe rbd")
	for _, mode := range []struct{ name, options string }{
		{"legacy", "rw"}, // no ms_mode: msgr v1
		{"crc", "ms_mode=crc"},
		{"secure", "ms_mode=secure"},
	} {
		t.Run(mode.name, func(t *testing.T) {
			k := &kernelImage{guest: g, c: c, name: mode.name, options: mode.options}
			k.t = t
			k.life(t)
			k.handover(t)
			if mode.name != "secure" {
				k.outage(t)
			}
			if mode.name == "crc" {
				k.fenced(t)
			}
			k.run("rbd unmap %s", k.dev)
			if out := c.must(t, "rbd", "status", k.name); !strings.Contains(out, "none") {
				t.Errorf("unmapped, and watched still:\n%s", out)
			}
			c.checkMap(t, k.name)
			c.must(t, "rbd", "snap", "purge", "--no-progress", k.name)
			c.must(t, "rbd", "rm", "--no-progress", k.name)
		})
	}
}

// A kernelImage is an image that a guest has mapped.
type kernelImage struct {
	*guest
	c                  *cluster
	name, options, dev string
}

func (k *kernelImage) life(t *testing.T) {
	k.c.must(t, "rbd", "create", "--size", "64M", k.name)
	k.dev = k.run("rbd map -o %s rbd/%s", k.options, k.name)
	if !regexp.MustCompile(`^/dev/rbd\d+$`).MatchString(k.dev) {
		t.Fatalf("mapped at %q", k.dev)
	}
	t.Log(k.run("cat /sys/bus/rbd/devices/*/config_info"))
	k.run("mkfs.ext4 -q -E nodiscard %s; mkdir -p /mnt/r; mount %s /mnt/r", k.dev, k.dev)
	has(t, k.run("%s", fio("/mnt/r/f", 16)), "err= 0")
	k.run("umount /mnt/r")

	// A snapshot made on the other side is what the device holds now, and stays so.
	k.c.must(t, "rbd", "snap", "create", "--no-progress", k.name+"@s")
	snap := k.run("rbd map --read-only -o %s rbd/%s@s", k.options, k.name)
	sum := k.md5(k.dev, 64)
	k.run("dd if=/dev/urandom of=%s bs=1M count=4 seek=8 oflag=direct status=none", k.dev)
	for what, got := range map[string]string{"the kernel": k.md5(snap, 64),
		"rbd export": k.c.md5(t, k.name+"@s")} {
		if got != sum {
			t.Errorf("the snapshot is %s by %s, the device was %s", got, what, sum)
		}
	}
	if got := k.c.md5(t, k.name); got != k.md5(k.dev, 64) || got == sum {
		t.Errorf("rbd export of the image: %s; the snapshot is %s", got, sum)
	}
	if out, err := k.try("dd if=/dev/zero of=" + snap + " bs=4k count=1 oflag=direct"); err == nil {
		t.Errorf("a write to the snapshot: %s", out)
	}
	k.run("rbd unmap %s", snap)
	k.c.must(t, "rbd", "resize", "--no-progress", "--size", "96M", k.name)
	waitFor(t, "the kernel sees the new size", func() bool {
		return k.run("blockdev --getsize64 %s", k.dev) == fmt.Sprint(96<<20)
	})
}

// handover: whoever writes asks the other for the exclusive lock, and what one wrote the other
// reads.
func (k *kernelImage) handover(t *testing.T) {
	target := "rbd:rbd/" + k.name + ":conf=" + k.c.conf
	owner := regexp.MustCompile(`client\.\d+`)
	held := func() string { return owner.FindString(k.c.must(t, "rbd", "lock", "ls", k.name)) }
	kernel := k.run("cat /sys/bus/rbd/devices/%s/client_id", strings.TrimPrefix(k.dev, "/dev/rbd"))
	kernel = strings.Replace(kernel, "client", "client.", 1)
	for round := range 3 {
		k.run("head -c 65536 /dev/zero | tr '\\0' %d | dd of=%s bs=64k count=1 seek=%d "+
			"oflag=direct iflag=fullblock status=none", round, k.dev, round)
		if got := held(); got != kernel {
			t.Errorf("the kernel, %s, wrote, and the lock is held by %q", kernel, got)
		}
		out := k.c.must(t, "qemu-io", "-f", "raw", "-c",
			fmt.Sprintf("write -P %d %dk 64k", 40+round, 1024+64*round), "-c",
			fmt.Sprintf("read -v %dk 16", 64*round), target)
		has(t, out, strings.Repeat(fmt.Sprintf("%02x ", '0'+round), 16))
		want := strings.TrimSpace(strings.Repeat(fmt.Sprintf(" %02x", 40+round), 16)) + "\n*"
		if got := k.run("dd if=%s bs=64k count=1 skip=%d iflag=direct status=none | od -An -tx1",
			k.dev, 16+round); got != want {
			t.Errorf("the kernel reads %q, want %q", got, want)
		}
	}
	// Who maps it exclusively keeps the lock.
	k.run("rbd unmap %s", k.dev)
	k.dev = k.run("rbd map -o %s,exclusive rbd/%s", k.options, k.name)
	r, err := k.c.exec("", "timeout", "30", "rbd", "bench", "--io-type", "write", "--io-total",
		"4K", k.name)
	if err != nil || r.code == 0 {
		t.Errorf("a write beside the owner of the lock: %+v %v", r, err)
	}
	k.run("rbd unmap %s", k.dev)
	k.dev = k.run("rbd map -o %s rbd/%s", k.options, k.name)
}

// outage: an OSD and a monitor die and come back while the kernel writes.
func (k *kernelImage) outage(t *testing.T) {
	k.run("mkfs.ext4 -q -F -E nodiscard %s; mount %s /mnt/r", k.dev, k.dev)
	k.c.outage(t, k.begin(fio("/mnt/r/f", 60)), "osd.1", "mon.a")
	k.run("umount /mnt/r; e2fsck -fn %s", k.dev)
	if got, want := k.c.md5(t, k.name), k.md5(k.dev, 96); got != want {
		t.Errorf("rbd export: %s; the device: %s", got, want)
	}
}

// fenced: a machine that hangs with the exclusive lock is shut out by who needs the image, and
// changes nothing when it comes back.
func (k *kernelImage) fenced(t *testing.T) {
	target := "rbd:rbd/" + k.name + ":conf=" + k.c.conf
	k.run("dd if=/dev/zero of=%s bs=64k count=1 oflag=direct status=none", k.dev)
	write := k.begin("dd if=/dev/zero of=" + k.dev + " bs=64k count=1000 seek=1 oflag=direct" +
		" status=none")
	time.Sleep(2 * time.Second)
	write.alive()
	thaw := k.freeze()
	begin := time.Now()
	k.c.must(t, "qemu-io", "-f", "raw", "-c", "write -P 0x77 0 80M", target)
	t.Logf("written in place of a frozen owner after %.1f s", time.Since(begin).Seconds())
	has(t, k.c.must(t, "ceph", "osd", "blocklist", "ls"),
		string(read(t, filepath.Join(k.lab.built, "run", "name."+k.guest.name)))+":0/")
	sum := k.c.md5(t, k.name)
	thaw()
	waitFor(t, "the machine's write fails", func() bool { return len(write.ended) > 0 })
	if err := <-write.ended; err == nil {
		t.Error("who was shut out has written")
	}
	out, err := k.try("dd if=/dev/zero of=" + k.dev + " bs=64k count=1 oflag=direct")
	if err == nil {
		t.Errorf("who was shut out writes: %s", out)
	}
	if got := k.c.md5(t, k.name); got != sum {
		t.Errorf("the image was %s and is %s", sum, got)
	}
	// It has to map the image anew, as a new client.
	k.run("rbd unmap %s", k.dev)
	k.dev = k.run("rbd map -o %s,noshare rbd/%s", k.options, k.name)
	k.run("dd if=/dev/zero of=%s bs=64k count=1 oflag=direct status=none", k.dev)
}

// TestNBD: Debian's rbd-nbd, with the nbd driver of Linux.
func TestNBD(t *testing.T) {
	need(t, "rbd-nbd")
	l := theLab(t)
	c, etc := l.start(t)
	const lib = "/usr/lib/x86_64-linux-gnu/"
	g := l.boot(t, "--kernel", "full", "--file", etc+":/etc/ceph", "--file",
		"/usr/bin/rbd-nbd:/usr/bin/rbd-nbd",
		"--file", lib+"libnl-genl-3.so.200:"+lib+"libnl-genl-3.so.200",
		"--file", lib+"libnl-3.so.200:"+lib+"libnl-3.so.200")
	g.run("modprobe nbd nbds_max=4")
	c.must(t, "rbd", "create", "--size", "64M", "disk")
	dev := g.run("rbd-nbd map rbd/disk")
	has(t, g.run("rbd-nbd list-mapped"), "rbd ", "disk", dev)
	g.run("mkfs.ext4 -q -E nodiscard %s; mkdir -p /mnt/n; mount %s /mnt/n", dev, dev)
	has(t, g.run("%s", fio("/mnt/n/f", 16)), "err= 0")

	c.must(t, "rbd", "resize", "--no-progress", "--size", "96M", "disk")
	waitFor(t, "the device has the new size", func() bool {
		return g.run("blockdev --getsize64 %s", dev) == fmt.Sprint(96<<20)
	})
	g.run("resize2fs %s", dev)
	g.run("test $(df -BM --output=size /mnt/n | tail -1 | tr -d M) -gt 75")

	g.run("sync; fsfreeze -f /mnt/n")
	c.must(t, "rbd", "snap", "create", "--no-progress", "disk@s")
	g.run("fsfreeze -u /mnt/n; rm /mnt/n/f; sync")
	snap := g.run("rbd-nbd map --read-only rbd/disk@s")
	has(t, g.run("rbd-nbd list-mapped --format json"), `"snap":"s"`, `"device":"`+snap+`"`)
	if got := g.run("blockdev --getro %s", snap); got != "1" {
		t.Errorf("getro of the snapshot: %s", got)
	}
	if got, want := g.md5(snap, 96), c.md5(t, "disk@s"); got != want {
		t.Errorf("the snapshot: %s; rbd export: %s", got, want)
	}
	g.run("mkdir -p /mnt/s; mount -o ro,noload %s /mnt/s; test $(stat -c %%s /mnt/s/f) -gt 8000000",
		snap)
	g.run("umount /mnt/s; rbd-nbd unmap %s", snap)

	c.outage(t, g.begin(fio("/mnt/n/g", 60)), "osd.2", "osd.0")
	g.run("umount /mnt/n; e2fsck -fn %s", dev)
	if got, want := g.md5(dev, 96), c.md5(t, "disk"); got != want {
		t.Errorf("the device: %s; rbd export: %s", got, want)
	}
	g.run("rbd-nbd unmap %s", dev)
	if got := g.run("rbd-nbd list-mapped"); got != "" {
		t.Errorf("list-mapped at the end: %q", got)
	}
	has(t, c.must(t, "rbd", "status", "disk"), "Watchers: none")
	c.must(t, "rbd", "snap", "purge", "--no-progress", "disk")
	c.must(t, "rbd", "rm", "--no-progress", "disk")
}

// TestBootClones: a machine boots from an image and writes; then clones of a snapshot of it boot at
// once, write, and boot again. They have what was written before the snapshot.
func TestBootClones(t *testing.T) {
	l := theLab(t)
	c, _ := l.start(t)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	run := func(script string, args ...string) string {
		cmd := c.command(ctx, filepath.Join(l.dir, script), args...)
		cmd.Env = append(cmd.Env, "CONF="+c.conf, "INIT=mini", "TMO=500", "VMLAB_DIR="+l.built)
		b, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", script, err, b)
		}
		return string(b)
	}
	disk := func(image string) string { return "rbd:rbd/" + image + ":conf=" + c.conf }
	boot := func(image, orders string) string {
		return run("vmrun", "--root", disk(image), "--bios", "--init", "mini", "--persist", "--mem",
			"512", "--smp", "1", "--timeout", "500", "-c", orders)
	}
	run("labnet", "exec", "qemu-img", "convert", "-f", "raw", "-O", "raw",
		filepath.Join(l.built, "guest", "root.ext4"), disk("vmbase"))
	boot("vmbase", "echo before the snapshot >/root/base; sync")
	c.must(t, "rbd", "snap", "create", "--no-progress", "vmbase@gold")
	c.must(t, "rbd", "snap", "protect", "vmbase@gold")
	out := run(filepath.Join("tests", "bootrbd"), "3", "rbd") // finds vmbase@gold
	t.Log(out)
	for _, part := range []string{"data: OK", "e2fsck clean"} {
		if n := strings.Count(out, part); n != 3 {
			t.Errorf("%q %d times, want 3", part, n)
		}
	}
	c.must(t, "rbd", "clone", "vmbase@gold", "vm-4")
	has(t, boot("vm-4", "cat /root/base"), "before the snapshot")
}
