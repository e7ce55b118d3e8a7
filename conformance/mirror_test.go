package conformance

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var mirrorPeer = flag.String("mirror", "", "runs TestMirror: `peer` is own, another cluster "+
	"of this tree, or the ceph.conf of a cluster for throwing away")

const mirrorPool = "mirrored"

// A site is one of two clusters that mirror each other's images by stock's rbd-mirror.
type site struct {
	*cluster
	name   string
	log    string
	mirror *exec.Cmd
}

func (s *site) rbd(t *testing.T, args ...string) string {
	t.Helper()
	return s.must(t, "rbd", append([]string{"-p", mirrorPool}, args...)...)
}

// daemon runs rbd-mirror, which brings to this site what is primary at the other.
func (s *site) daemon(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	s.log = filepath.Join(dir, "log")
	log, err := os.Create(s.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	name := "client.rbd-mirror." + s.name
	keyring := file(t, "keyring", []byte(s.must(t, "ceph", "auth", "get-or-create", name, "mon",
		"profile rbd-mirror", "osd", "profile rbd")))
	t.Cleanup(func() { s.run("ceph", "auth", "rm", name) })
	cmd := exec.Command("rbd-mirror", "-d", "--name", name, "--keyring", keyring, "--admin-socket",
		filepath.Join(dir, "s"), "--rbd-mirror-pool-replayers-refresh-interval=5",
		"--rbd-mirror-image-state-check-interval=5")
	cmd.Env, cmd.Dir = append(os.Environ(), "CEPH_CONF="+s.conf), dir
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.mirror = cmd
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := os.ReadFile(s.log)
			t.Logf("rbd-mirror of %s:\n%s", s.name, text[max(0, len(text)-8000):])
		}
		cmd.Process.Kill()
		cmd.Wait()
	})
}

// startSites starts two clusters that mirror a pool both ways.
func startSites(t *testing.T) (a, b *site) {
	t.Helper()
	if *mirrorPeer == "" {
		t.Skip("takes 5 minutes; -mirror is not given")
	}
	if _, err := exec.LookPath("rbd-mirror"); err != nil {
		t.Skip("rbd-mirror is missing: apt-get install rbd-mirror")
	}
	a = &site{cluster: startFor(t), name: "a"}
	if b = (&site{name: "b"}); *mirrorPeer == "own" {
		b.cluster = startFor(t)
	} else {
		b.cluster = &cluster{conf: *mirrorPeer, tmp: t.TempDir()}
	}
	for _, s := range []*site{a, b} {
		s.must(t, "ceph", "config", "set", "mon", "mon_allow_pool_delete", "true")
		s.must(t, "ceph", "osd", "pool", "create", mirrorPool, "8")
		t.Cleanup(func() {
			s.run("ceph", "osd", "pool", "rm", mirrorPool, mirrorPool,
				"--yes-i-really-really-mean-it")
		})
		s.must(t, "rbd", "pool", "init", mirrorPool)
		s.must(t, "rbd", "mirror", "pool", "enable", mirrorPool, "image")
	}
	token := a.must(t, "rbd", "mirror", "pool", "peer", "bootstrap", "create", "--site-name",
		a.name, mirrorPool)
	b.must(t, "rbd", "mirror", "pool", "peer", "bootstrap", "import", "--site-name", b.name,
		mirrorPool, file(t, "token", []byte(token)))
	a.daemon(t)
	b.daemon(t)
	return a, b
}

// content is all of an image that its copy must have: the data of the head and of every snapshot
// of users.
func (s *site) content(image string) (string, error) {
	out, err := s.run("rbd", "-p", mirrorPool, "snap", "ls", image, "--format", "json")
	if err != nil {
		return "", err
	}
	var snaps []struct{ Name string }
	if err := json.Unmarshal([]byte(out), &snaps); err != nil {
		return "", err
	}
	all := ""
	for _, of := range append(snaps, struct{ Name string }{}) {
		spec := strings.TrimSuffix(image+"@"+of.Name, "@")
		r, err := s.run("bash", "-o", "pipefail", "-c", "rbd -p "+mirrorPool+
			" export --no-progress "+spec+" - | md5sum && rbd -p "+mirrorPool+" info "+spec+
			" | grep -o 'size .*'")
		if err != nil {
			return "", err
		}
		all += spec + " " + r
	}
	return all, nil
}

// same waits until the other site has what this one has.
func (s *site) same(t *testing.T, other *site, image, when string) {
	t.Helper()
	want, err := s.content(image)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	s.waitLong(t, "the copy of "+image+" "+when, func() (string, bool) {
		got, err := other.content(image)
		return fmt.Sprintf("%s: want\n%s, has\n%s, %v", s.name, want, got, err), got == want
	})
	t.Logf("%s: equal after %.1f s %s", image, time.Since(begin).Seconds(), when)
}

// waitLong gives what rbd-mirror does by its timers time.
func (s *site) waitLong(t *testing.T, what string, ok func() (string, bool)) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(time.Second) {
		state, done := ok()
		if done {
			return
		}
		if time.Now().After(deadline) {
			r, _ := s.exec("", "rbd", "mirror", "pool", "status", mirrorPool, "--verbose")
			t.Fatalf("not within 3 minutes: %s: %s\n%s%s", what, state, r.stdout, r.stderr)
		}
	}
}

// write writes and, where images are mirrored by snapshots, makes one.
func (s *site) write(t *testing.T, image, mode string, seed int) {
	t.Helper()
	s.must(t, "qemu-io", "-f", "raw", "-c", fmt.Sprintf("write -P %d %dk 300k", seed, seed*100),
		"-c", fmt.Sprintf("write -P %d 4090k 20k", seed), "-c", "discard 1M 64k",
		"rbd:"+mirrorPool+"/"+image+":conf="+s.conf)
	if mode == "snapshot" {
		s.rbd(t, "mirror", "image", "snapshot", image)
	}
}

// oursJournaled changes an image with a journal by our client; a stock one goes on.
func (s *site) oursJournaled(t *testing.T, to *site, image string) {
	t.Helper()
	for _, args := range [][]string{
		{"bench", "--io-type", "write", "--io-pattern", "rand", "--io-total", "2M", image},
		{"snap", "create", image + "@ours"}, {"snap", "protect", image + "@ours"},
		{"resize", "--size", "32M", image}, {"image-meta", "set", image, "key", "value"},
		{"bench", "--io-type", "write", "--io-pattern", "rand", "--io-total", "1M",
			"--cache", image},
		{"snap", "unprotect", image + "@ours"}, {"snap", "create", image + "@gone"},
		{"snap", "rename", image + "@ours", image + "@kept"}, {"snap", "rm", image + "@gone"},
	} {
		s.must(t, filepath.Join(root(), "glue"), append([]string{"rbd", "-c", s.conf, "-p",
			mirrorPool, "--no-progress"}, args...)...)
	}
	s.same(t, to, image, "after ours wrote")
}

// state of an image as this site's rbd-mirror tells it.
func (s *site) state(image string) string {
	out, err := s.run("rbd", "-p", mirrorPool, "mirror", "image", "status", image, "--format",
		"json")
	var got struct{ State string }
	if err == nil {
		json.Unmarshal([]byte(out), &got)
	}
	return got.State
}

// promote is retried: the demotion has to have come here first.
func (s *site) promote(t *testing.T, image string) {
	t.Helper()
	s.waitLong(t, image+" is promoted at "+s.name, func() (string, bool) {
		r, err := s.exec("", "rbd", "-p", mirrorPool, "mirror", "image", "promote", image)
		return r.stderr, err == nil && r.code == 0
	})
}

// TestMirror: stock's rbd-mirror between two clusters, by journals and by snapshots, through the
// life of an image: first copy, writes, snapshots, sizes, failing over and back, split brain.
func TestMirror(t *testing.T) {
	a, b := startSites(t)
	for _, mode := range []string{"journal", "snapshot"} {
		t.Run(mode, func(t *testing.T) { mirrorLife(t, a, b, mode) })
	}
	for _, s := range []*site{a, b} {
		s.waitLong(t, "health of mirroring", func() (string, bool) {
			out, err := s.run("rbd", "mirror", "pool", "status", mirrorPool)
			return out, err == nil && strings.Contains(out, "health: OK")
		})
	}
	var dump struct {
		Services map[string]struct{ Daemons map[string]any }
	}
	unmarshal(t, a.must(t, "ceph", "service", "dump", "-f", "json"), &dump)
	if n := len(dump.Services["rbd-mirror"].Daemons); n != 2 { // and the summary
		t.Errorf("rbd-mirror among the services: %+v", dump)
	}
	text := read(t, a.log)
	for _, bad := range []string{"Operation not supported", "Permission denied"} {
		if bytes.Contains(text, []byte(bad)) {
			t.Errorf("rbd-mirror was told %q:\n%s", bad, text)
		}
	}
}

func mirrorLife(t *testing.T, a, b *site, mode string) {
	image := "by-" + mode
	features := "layering,exclusive-lock,object-map,fast-diff,deep-flatten"
	if mode == "journal" {
		features += ",journaling"
	}
	a.rbd(t, "import", "--no-progress", "--image-feature", features,
		file(t, "disk", pattern(24<<20, 5)), image)
	a.rbd(t, "snap", "create", "--no-progress", image+"@before")
	a.rbd(t, "mirror", "image", "enable", image, mode)
	a.same(t, b, image, "at first")
	a.waitLong(t, "replaying", func() (string, bool) {
		s := b.state(image)
		return s, s == "up+replaying"
	})
	r, err := b.exec("", "rbd", "bench", "--io-type", "write", "--io-total", "4K",
		mirrorPool+"/"+image)
	if err != nil || r.code == 0 {
		t.Errorf("a write to the copy: %+v %v", r, err)
	}
	r, err = b.exec("", filepath.Join(root(), "glue"), "rbd", "-c", b.conf, "-p", mirrorPool,
		"bench", "--io-type", "write", "--io-total", "4K", image)
	if mode == "journal" && (err != nil || !strings.Contains(r.stderr, "not primary")) {
		t.Errorf("a write of ours to the copy: %+v %v", r, err)
	}
	a.write(t, image, mode, 7)
	a.rbd(t, "snap", "create", "--no-progress", image+"@during")
	if mode == "journal" {
		a.oursJournaled(t, b, image)
	}
	a.rbd(t, "resize", "--no-progress", "--size", "40M", image)
	a.write(t, image, mode, 9)
	a.same(t, b, image, "after writes")
	a.rbd(t, "snap", "rm", "--no-progress", image+"@before")
	a.rbd(t, "resize", "--no-progress", "--allow-shrink", "--size", "20M", image)
	a.write(t, image, mode, 11)
	a.same(t, b, image, "after it was made smaller")
	if mode == "snapshot" {
		a.scheduled(t, b, image)
	}
	a.rbd(t, "mirror", "image", "demote", image)
	b.promote(t, image)
	b.write(t, image, mode, 13)
	b.same(t, a, image, "after failing over")
	// Both sites write: one has to give in and takes all of the other's.
	a.rbd(t, "mirror", "image", "promote", "--force", image)
	a.write(t, image, mode, 17)
	b.write(t, image, mode, 19)
	b.rbd(t, "mirror", "image", "demote", image)
	a.waitLong(t, "split brain is seen", func() (string, bool) {
		s := b.state(image)
		return s, s == "up+error"
	})
	b.rbd(t, "mirror", "image", "resync", image)
	a.same(t, b, image, "after a resync")
	a.rbd(t, "mirror", "image", "disable", image)
	a.waitLong(t, "the copy is removed", func() (string, bool) {
		out, err := b.run("rbd", "-p", mirrorPool, "ls")
		return out, err == nil && !slices.Contains(strings.Fields(out), image)
	})
}

// scheduled sees a write come over by a snapshot that the manager makes.
func (s *site) scheduled(t *testing.T, other *site, image string) {
	t.Helper()
	s.rbd(t, "mirror", "snapshot", "schedule", "add", "--image", image, "1m")
	s.write(t, image, "", 15)
	s.same(t, other, image, "by the manager's snapshot")
	s.rbd(t, "mirror", "snapshot", "schedule", "rm", "--image", image)
}

// ordered is a command that writes or checks an image's blocks in their order.
func (s *site) ordered(image, what string) []string {
	return []string{filepath.Join(root(), "conformance", "python", "ordered.py"), mirrorPool, image,
		what}
}

// TestMirrorDisaster: a cluster dies as a whole while it is written to. The other has an earlier
// state of the image, whole, and goes on with it; the first takes it over when it is back.
func TestMirrorDisaster(t *testing.T) {
	a, b := startSites(t)
	for _, mode := range []string{"journal", "snapshot"} {
		image := "of-" + mode
		features := "layering,exclusive-lock,object-map,fast-diff,deep-flatten"
		if mode == "journal" {
			features += ",journaling"
		}
		a.rbd(t, "create", "--size", "64M", "--image-feature", features, image)
		a.rbd(t, "mirror", "image", "enable", image, mode)
		a.same(t, b, image, "at first")
		a.disaster(t, b, image, mode)

		b.write(t, image, mode, 21)
		a.up(t)
		a.rbd(t, "mirror", "image", "demote", image)
		a.waitLong(t, "split brain is seen", func() (string, bool) {
			s := a.state(image)
			return s, s == "up+error"
		})
		a.rbd(t, "mirror", "image", "resync", image)
		b.same(t, a, image, "after the first is back")
	}
}

// disaster kills this site in the middle of writes, and promotes the image at the other.
func (s *site) disaster(t *testing.T, other *site, image, mode string) {
	t.Helper()
	var writer process
	writer.run(t, s.cluster, "/usr/bin/python3", s.ordered(image, "write")...)
	for end := time.Now().Add(12 * time.Second); time.Now().Before(end); {
		time.Sleep(3 * time.Second)
		if mode == "snapshot" {
			s.rbd(t, "mirror", "image", "snapshot", image)
		}
	}
	s.kill9(t, "glue")
	writer.alive(t)
	writer.cancel()
	<-writer.ended
	if mode == "snapshot" {
		// Of stock: an rbd-mirror that waits for a site that is gone does not give the image away.
		other.mirror.Process.Kill()
		other.mirror.Wait()
		defer other.daemon(t)
	}
	other.rbd(t, "mirror", "image", "promote", "--force", image)
	there := number(t, `^(\d+)\n$`, other.must(t, "/usr/bin/python3",
		other.ordered(image, "check")...))
	acked := bytes.Count(writer.out.Bytes(), []byte("\n"))
	t.Logf("%s: %d of %d acknowledged blocks are at the other site, in order", mode, there, acked)
	if there == 0 || there > acked+1 {
		t.Errorf("%d blocks are there, %d were acknowledged", there, acked)
	}
}
