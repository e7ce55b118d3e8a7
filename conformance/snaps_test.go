package conformance

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPoolSnapshots: what `rados` does with snapshots of a pool, and that removed ones leave
// nothing behind.
func TestPoolSnapshots(t *testing.T) {
	const p = "snapped"
	must(t, "ceph", "osd", "pool", "create", p, "4")
	t.Cleanup(func() {
		must(t, "ceph", "osd", "pool", "rm", p, p, "--yes-i-really-really-mean-it")
	})
	rados := func(args ...string) string {
		t.Helper()
		return must(t, "rados", append([]string{"-p", p}, args...)...)
	}
	one, two := file(t, "one", []byte("one")), file(t, "two", []byte("twotwo"))
	rados("put", "o", one)
	has(t, rados("mksnap", "s1"), "created pool snapped snap s1")
	fails(t, 1, "(17) File exists", "rados", "-p", p, "mksnap", "s1")
	rados("put", "o", two)
	rados("setxattr", "o", "k", "v")
	has(t, rados("lssnap"), "1\ts1\t", "1 snaps")
	if out := rados("-s", "s1", "get", "o", "-"); !strings.HasSuffix(out, "one") {
		t.Errorf("at the snapshot: %q", out)
	}
	has(t, rados("listsnaps", "o"), "cloneid\tsnaps\tsize\toverlap\n1\t1\t3\t[]\nhead\t-\t6")
	rados("rm", "o")
	fails(t, 1, "(2) No such file", "rados", "-p", p, "get", "o", "-")
	has(t, rados("df"), p)
	rados("rollback", "o", "s1")
	if out := rados("get", "o", "-"); out != "one" {
		t.Errorf("rolled back: %q", out)
	}
	fails(t, 1, "(22) Invalid", "rados", "-p", p, "selfmanaged-snap")
	must(t, "rados", "-p", p, "rm", "o")
	rados("rmsnap", "s1")
	noClones(t, p)
}

// noClones waits until a pool has no object any more.
func noClones(t *testing.T, p string) {
	t.Helper()
	left := ""
	waitFor(t, "removed snapshots are trimmed", func() bool {
		var d struct {
			Pools []struct {
				Name    string
				Objects int `json:"num_objects"`
				Clones  int `json:"num_object_clones"`
			}
		}
		asJSON(t, &d, "rados", "df", "--format=json")
		for _, x := range d.Pools {
			if x.Name == p {
				left = fmt.Sprintf("%+v", x)
				return x.Objects == 0 && x.Clones == 0
			}
		}
		return false
	})
	waitFor(t, "the map forgets them", func() bool {
		left = must(t, "ceph", "osd", "pool", "ls", "detail")
		return !strings.Contains(left, "removed_snaps_queue")
	})
}

// TestRBDSnapshots: images are snapshotted, compared, rolled back, cloned and flattened.
func TestRBDSnapshots(t *testing.T) {
	rbd(t, "create", "--size", "32M", "img")
	write := func(image string) {
		t.Helper()
		rbd(t, "bench", "--io-type", "write", "--io-size", "64K", "--io-total", "1M",
			"--io-pattern", "rand", image)
	}
	exports := 0
	export := func(spec string) string {
		t.Helper()
		exports++
		to := filepath.Join(t.TempDir(), fmt.Sprint("export", exports))
		rbd(t, "export", "--no-progress", spec, to)
		return string(read(t, to))
	}
	same := func(what, a, b string) {
		t.Helper()
		if a != b {
			t.Errorf("%s: not the same", what)
		}
	}
	write("img")
	rbd(t, "snap", "create", "--no-progress", "img@s1")
	first := export("img")
	write("img")
	second := export("img")
	same("the snapshot", export("img@s1"), first)
	diff := filepath.Join(t.TempDir(), "diff")
	rbd(t, "export-diff", "--no-progress", "--from-snap", "s1", "img", diff)
	whole := rbd(t, "diff", "--from-snap", "s1", "img")
	same("diff by object map", rbd(t, "diff", "--from-snap", "s1", "img"), whole)
	has(t, rbd(t, "du", "img"), "img@s1")
	rbd(t, "snap", "rollback", "--no-progress", "img@s1")
	same("rolled back", export("img"), first)
	rbd(t, "import-diff", "--no-progress", diff, "img")
	same("the difference applied", export("img"), second)

	rbd(t, "snap", "protect", "img@s1")
	rbd(t, "clone", "--rbd-default-clone-format", "1", "img@s1", pool+"/c1")
	fails(t, 16, "is protected", "rbd", "-p", pool, "snap", "rm", "--no-progress", "img@s1")
	same("a clone", export("c1"), first)
	write("c1")
	same("its parent", export("img@s1"), first)
	changed := export("c1")
	shared.checkMap(t, pool+"/c1")
	rbd(t, "flatten", "--no-progress", "c1")
	same("flattened", export("c1"), changed)
	rbd(t, "snap", "unprotect", "img@s1")
	rbd(t, "clone", "--rbd-default-clone-format", "2", "img@s1", pool+"/c2")
	rbd(t, "snap", "rm", "--no-progress", "img@s1")
	has(t, rbd(t, "snap", "ls", "--all", "img"), "trash (s1)")
	same("a clone of a removed snapshot", export("c2"), first)
	rbd(t, "rm", "--no-progress", "c2")
	if out := rbd(t, "snap", "ls", "--all", "img"); out != "" {
		t.Errorf("left over: %s", out)
	}
	shared.checkMap(t, pool+"/img")
	rbd(t, "rm", "--no-progress", "c1")
	rbd(t, "rm", "--no-progress", "img")
}

// snapModel runs python/snaps.py; the result is how often it did what.
func (c *cluster) snapModel(t *testing.T, p string, seed, seconds int) (end func() map[string]int) {
	t.Helper()
	var model process
	model.run(t, c, "/usr/bin/python3", filepath.Join(root(), "conformance", "python", "snaps.py"),
		p, fmt.Sprint(seed), fmt.Sprint(seconds))
	return func() map[string]int {
		t.Helper()
		var did map[string]int
		if out := model.wait(t); json.Unmarshal([]byte(out), &did) != nil {
			t.Fatalf("snaps.py says %q", out)
		}
		return did
	}
}

func TestOwnSnapshots(t *testing.T) {
	const p = "own"
	must(t, "ceph", "osd", "pool", "create", p, "8")
	t.Cleanup(func() {
		must(t, "ceph", "osd", "pool", "rm", p, p, "--yes-i-really-really-mean-it")
	})
	did := shared.snapModel(t, p, 1, 8)()
	t.Log(did)
	if did["snapshots"] == 0 || did["rollbacks"] == 0 || did["reads"] == 0 {
		t.Errorf("too little was done: %v", did)
	}
	noClones(t, p)
}

// TestSnapshotsUnderKills: OSDs are killed, and PGs split, while clients write under snapshots and
// while removed ones are trimmed; what the snapshots hold stays right, nothing is left over, and
// scrubs find nothing.
func TestSnapshotsUnderKills(t *testing.T) {
	t.Parallel()
	const p = "rbd"
	h := newThrasher(t, startFor(t, "--split", "--set", "osd_heartbeat_interval=1",
		"--set", "osd_heartbeat_grace=6", "--set", "mgr_stats_period=1",
		"--set", "osd_pool_default_pg_autoscale_mode=off"), 3, time.Now().UnixNano())
	seconds := 30 * max(1, *killRounds)
	end := h.snapModel(t, p, 2, seconds)
	kills := 0
	for until := time.Now().Add(time.Duration(seconds-5) * time.Second); time.Now().Before(until); {
		time.Sleep(time.Duration(h.r.Intn(1500)) * time.Millisecond)
		if h.kill() {
			kills++
			time.Sleep(time.Duration(h.r.Intn(2000)) * time.Millisecond)
			h.revive()
		}
		if kills == 3 {
			h.ceph("osd", "pool", "set", p, "pg_num", "64")
		}
	}
	t.Logf("%d kills -9: %v", kills, end())
	if err := h.waitClean(2 * time.Minute); err != nil {
		t.Fatalf("%v\n%s", err, h.must(t, "ceph", "health", "detail"))
	}
	waitFor(t, "clones are trimmed", func() bool {
		return !strings.Contains(h.must(t, "ceph", "osd", "pool", "ls", "detail"),
			"removed_snaps_queue")
	})
	h.deepScrubbed()
	var d struct {
		Pools []struct {
			Name    string
			Objects int `json:"num_objects"`
		}
	}
	if err := json.Unmarshal([]byte(h.must(t, "rados", "df", "--format=json")), &d); err != nil {
		t.Fatal(err)
	}
	for _, x := range d.Pools {
		if x.Name == p && x.Objects != 0 {
			t.Errorf("%d objects are left over", x.Objects)
		}
	}
}
