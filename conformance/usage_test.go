package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// A poolSpace is what `ceph df detail` and `rados df` say of a pool, per copy.
type poolSpace struct{ Objects, Stored, Blocks, Omap int64 }

// filled is what python/usage.py writes.
var filled = map[string]poolSpace{
	"sizes": {9, 1 + 4096 + 5000 + 4<<20 + 3000 + 10000 + 5000 + 4096,
		1 + 1 + 2 + 1024 + 1 + 3 + 2 + 1, 0},
	"sparse": {2, 4096 + 100 + 32*4096, 2 + 32, 0},
	"omap":   {1, 0, 0, 30*205 + 4},
	"clones": {2, 2 << 20, 256 + 2, 0},
}

// copies is the pools' size.
const copies = 3

// A dfDetail is what the test looks at of `ceph df detail`.
type dfDetail struct {
	Pools []struct {
		Name  string
		Stats struct {
			Objects    int64
			Stored     int64
			StoredData int64 `json:"stored_data"`
			StoredOmap int64 `json:"stored_omap"`
			Used       int64 `json:"bytes_used"`
			UsedData   int64 `json:"data_bytes_used"`
			UsedOmap   int64 `json:"omap_bytes_used"`
			StoredRaw  int64 `json:"stored_raw"`
			Compressed int64 `json:"compress_bytes_used"`
			Under      int64 `json:"compress_under_bytes"`
		}
	}
}

// TestSpaceOfPools writes objects whose space is known to the byte and finds it in the columns of
// `ceph df`, `ceph df detail`, `rados df` and `ceph osd df`. A real cluster, of GLUE_TEST_CONF,
// has the same numbers, but for omap, which it estimates.
func TestSpaceOfPools(t *testing.T) {
	t.Parallel()
	c := shared
	if c.dir != "" {
		c = startFor(t)
	}
	for name := range filled {
		c.must(t, "ceph", "osd", "pool", "create", name, "8")
		c.must(t, "ceph", "osd", "pool", "set", name, "size", fmt.Sprint(copies))
	}
	if err := c.waitClean(time.Minute); err != nil {
		t.Fatal(err)
	}
	c.python(t, "usage.py", "fill")
	c.settleSpace(t, filled)
	c.checkTables(t)
	if c.dir != "" {
		c.checkOSDs(t)
	}
	c.python(t, "usage.py", "empty")
	c.settleSpace(t, map[string]poolSpace{"sizes": {}, "sparse": {}, "omap": {}, "clones": {}})
	for name := range filled {
		if c.dir == "" {
			c.must(t, "ceph", "osd", "pool", "rm", name, name, "--yes-i-really-really-mean-it")
		}
	}
}

// settleSpace waits until each pool has what it should.
func (c *cluster) settleSpace(t *testing.T, want map[string]poolSpace) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(500 * time.Millisecond) {
		wrong := c.wrongSpace(t, want)
		if len(wrong) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after a minute:\n%s", strings.Join(wrong, "\n"))
		}
	}
}

// wrongSpace compares all numbers of the pools.
func (c *cluster) wrongSpace(t *testing.T, want map[string]poolSpace) (wrong []string) {
	t.Helper()
	var df dfDetail
	var rados struct {
		Pools []struct {
			Name    string
			Objects int64 `json:"num_objects"`
			Copies  int64 `json:"num_object_copies"`
			Bytes   int64 `json:"size_bytes"`
		}
	}
	c.json(t, &df, "ceph", "df", "detail", "--format=json")
	c.json(t, &rados, "rados", "df", "--format=json")
	seen := 0
	is := func(pool, what string, got, want int64) {
		if got != want {
			wrong = append(wrong, fmt.Sprintf("%s: %s is %d, want %d", pool, what, got, want))
		}
	}
	for _, p := range df.Pools {
		w, ok := want[p.Name]
		if !ok {
			continue
		}
		seen++
		s := &p.Stats
		is(p.Name, "OBJECTS", s.Objects, w.Objects)
		is(p.Name, "STORED (DATA)", s.StoredData, w.Stored)
		is(p.Name, "USED (DATA)", s.UsedData, w.Blocks*4096*copies)
		is(p.Name, "USED COMPR", s.Compressed, 0)
		is(p.Name, "UNDER COMPR", s.Under, 0)
		is(p.Name, "STORED", s.Stored, s.StoredData+s.StoredOmap)
		is(p.Name, "USED", s.Used, s.UsedData+s.UsedOmap)
		is(p.Name, "stored_raw", s.StoredRaw, s.Stored*copies)
		if c.dir != "" {
			is(p.Name, "STORED (OMAP)", s.StoredOmap, w.Omap)
			is(p.Name, "USED (OMAP)", s.UsedOmap, w.Omap*copies)
		}
		for _, r := range rados.Pools {
			if r.Name != p.Name {
				continue
			}
			seen++
			is(p.Name, "rados df OBJECTS", r.Objects, w.Objects)
			is(p.Name, "rados df COPIES", r.Copies, w.Objects*copies)
			is(p.Name, "rados df USED", r.Bytes, s.Used)
		}
	}
	is("all", "pools seen", int64(seen), int64(2*len(want)))
	return wrong
}

func (c *cluster) json(t *testing.T, v any, name string, args ...string) {
	t.Helper()
	out := c.must(t, name, args...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// checkTables reads the numbers as people do.
func (c *cluster) checkTables(t *testing.T) {
	t.Helper()
	for _, x := range []struct{ command, row string }{
		{"ceph df", "clones 2 MiB 2 3.0 MiB"},
		{"ceph df detail", "clones 2 MiB 2 MiB 0 B 2 3.0 MiB 3.0 MiB 0 B"},
		{"rados df", "clones 3.0 MiB 2 1 6"},
	} {
		args := strings.Fields(x.command)
		name, rest, _ := strings.Cut(x.row, " ")
		found := false
		for line := range strings.Lines(c.must(t, args[0], args[1:]...)) {
			line = strings.Join(strings.Fields(line), " ")
			found = found || strings.HasPrefix(line, name+" ") && strings.Contains(line, rest)
		}
		if !found {
			t.Errorf("%s has no row of %q", x.command, x.row)
		}
	}
}

// checkOSDs: the OSDs' columns add up to those of the pools.
func (c *cluster) checkOSDs(t *testing.T) {
	t.Helper()
	var df dfDetail
	var osds struct{ Nodes []map[string]any }
	c.json(t, &df, "ceph", "df", "detail", "--format=json")
	c.json(t, &osds, "ceph", "osd", "df", "--format=json")
	sum := map[string]int64{}
	for _, n := range osds.Nodes {
		for _, k := range []string{"kb_used_data", "kb_used_omap", "kb_used_meta"} {
			v, ok := n[k].(float64)
			if !ok {
				t.Fatalf("osd df has no %s: %v", k, slices.Sorted(maps.Keys(n)))
			}
			sum[k] += int64(v)
		}
	}
	data, omap := int64(0), int64(0)
	for _, p := range df.Pools {
		data, omap = data+p.Stats.UsedData, omap+p.Stats.UsedOmap
	}
	if got := sum["kb_used_data"] << 10; got != data {
		t.Errorf("osd df: DATA is %d in all, the pools have %d", got, data)
	}
	// Each OSD's bytes of omap are cut to KiB.
	if got := sum["kb_used_omap"]; got > omap>>10 || got < omap>>10-copies {
		t.Errorf("osd df: OMAP is %d KiB in all, the pools have %d bytes", got, omap)
	}
}
