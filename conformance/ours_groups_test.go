package conformance

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// bare are the two clients without a pool, which the groups are named with.
func bare() (glue, stock client) {
	glue = func(t *testing.T, args ...string) string {
		t.Helper()
		return ours(t, append([]string{"rbd", "-c", shared.conf, "--no-progress"}, args...)...)
	}
	stock = func(t *testing.T, args ...string) string {
		t.Helper()
		return must(t, "rbd", args...)
	}
	return glue, stock
}

// TestOurGroups: a group, its images and snapshots that one client makes are listed alike, rolled
// back and removed by the other one.
func TestOurGroups(t *testing.T) {
	const far = "ourgroups"
	must(t, "ceph", "osd", "pool", "create", far, "8")
	t.Cleanup(func() {
		must(t, "ceph", "osd", "pool", "rm", far, far, "--yes-i-really-really-mean-it")
	})
	glue, stock := bare()
	stock(t, "namespace", "create", pool+"/ourgroups")
	stock(t, "namespace", "create", far+"/ourgroups")
	t.Cleanup(func() { stock(t, "namespace", "rm", pool+"/ourgroups") })
	for maker, pair := range map[string][2]client{"ours-stock": {glue, stock},
		"stock-ours": {stock, glue}} {
		for place, namespace := range map[string]string{"": "/", "/namespace": "/ourgroups/"} {
			t.Run(maker+place, func(t *testing.T) {
				sharedGroup(t, pair[0], pair[1], pool+namespace, far+namespace)
			})
		}
	}
}

// sharedGroup is a group that one client makes and the other one uses; here and far are where its
// images are.
func sharedGroup(t *testing.T, one, other client, here, far string) {
	group, images := here+"gr", []string{here + "grimage", far + "grimage"}
	same := func(want string, args ...string) {
		t.Helper()
		a, b := one(t, args...), other(t, args...)
		// The stock client ends its JSON with a line's end.
		if !strings.Contains(a, want) ||
			strings.TrimSuffix(a, "\n") != strings.TrimSuffix(b, "\n") {
			t.Errorf("rbd %v: one says %q, the other %q; want %q", args, a, b, want)
		}
	}
	bodies := [][]byte{pattern(3<<20+512, 31), pattern(5<<20+512, 32)}
	one(t, "group", "create", here+"gr0")
	one(t, "group", "rename", here+"gr0", group)
	for n, image := range images {
		one(t, "import", file(t, "in", bodies[n]), image)
		one(t, "group", "image", "add", group, image)
	}
	same("gr\n", "group", "ls", strings.TrimSuffix(here, "/"))
	same(images[0]+" \n"+images[1]+" \n", "group", "image", "ls", group)
	same(`"state":0`, "group", "image", "ls", "--format", "json", group)
	one(t, "group", "snap", "create", group+"@a")
	for _, image := range images {
		other(t, "bench", "--io-type", "write", "--io-size", "64K", "--io-total", "1M", image)
		other(t, "resize", "--allow-shrink", "--size", "2M", image)
	}
	other(t, "group", "snap", "create", group+"@b")
	other(t, "group", "snap", "rename", group+"@a", "first")
	for _, name := range []string{"first", "b"} {
		same(name, "group", "snap", "ls", group)
	}
	same(`"state":"ok"`, "group", "snap", "ls", "--format", "json", group)
	other(t, "group", "snap", "rollback", group+"@first")
	out := filepath.Join(t.TempDir(), "out")
	for n, image := range images {
		for _, c := range []client{one, other} {
			os.Remove(out)
			if c(t, "export", image, out); !bytes.HasPrefix(read(t, out), bodies[n]) {
				t.Errorf("image %s is not what it was", image)
			}
		}
		shared.checkMap(t, image)
	}
	other(t, "group", "snap", "rm", group+"@first")
	one(t, "group", "image", "rm", group, images[0])
	same(images[1]+" \n", "group", "image", "ls", group)
	other(t, "group", "rm", group) // with its other snapshot
	for _, image := range images {
		same("", "snap", "ls", "--all", image)
		other(t, "rm", image)
	}
}

// TestOurGroupMoment: our snapshot of a group is one moment of all its images, under a stock client
// that writes to them in order.
func TestOurGroupMoment(t *testing.T) {
	glue, stock := bare()
	group := pool + "/grm"
	stock(t, "group", "create", group)
	// The writer's are the first and the last one, as a snapshot takes them: one after the other,
	// there would be time to write between.
	byID := map[string]string{}
	for n := range 8 {
		image := fmt.Sprint("grm", n)
		stock(t, "create", "--size", "4M", pool+"/"+image)
		glue(t, "group", "image", "add", group, pool+"/"+image)
		byID[imageID(t, pool, image)] = image
	}
	ids := slices.Sorted(maps.Keys(byID))
	images := []string{byID[ids[0]], byID[ids[len(ids)-1]]}
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	writer := shared.command(ctx, "/usr/bin/python3",
		filepath.Join(root(), "conformance", "python", "in_order.py"), pool, images[0], images[1])
	in, _ := writer.StdinPipe()
	out, _ := writer.StdoutPipe()
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	const snaps = 12
	for n := range snaps {
		time.Sleep(50 * time.Millisecond) // it gets to both
		glue(t, "group", "snap", "create", fmt.Sprint(group, "@", n))
	}
	in.Close()
	text, _ := io.ReadAll(out)
	if err := writer.Wait(); err != nil {
		t.Fatal(err)
	}
	written, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	file := filepath.Join(t.TempDir(), "out")
	last := 0
	for n := range snaps {
		glue(t, "group", "snap", "rollback", fmt.Sprint(group, "@", n))
		var got [2]int
		for k, image := range images {
			os.Remove(file)
			stock(t, "export", pool+"/"+image, file)
			got[k], _ = strconv.Atoi(string(read(t, file)[:8]))
		}
		if a, b := got[0], got[1]; a == 0 || a != b && a != b+1 || a < last {
			t.Errorf("snapshot %d has %d, and then %d; before it was %d", n, a, b, last)
		}
		last = got[0]
	}
	if written < snaps || last < snaps {
		t.Errorf("%d numbers were written, %d before the last snapshot", written, last)
	}
	stock(t, "group", "rm", group)
	for _, image := range byID {
		glue(t, "rm", pool+"/"+image)
	}
}
