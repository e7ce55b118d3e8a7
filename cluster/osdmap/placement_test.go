package osdmap

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"glue/ceph"
	"glue/cluster/crush"
)

var (
	mapCount = flag.Int("maps", 40, "random maps to compare with osdmaptool")
	keepMaps = flag.Bool("keepmaps", false, "write the first maps and their PGs to testdata")
)

// pgsText is the placement of all PGs in the form of osdmaptool --test-map-pgs-dump-all.
func pgsText(m *Map) string {
	var b strings.Builder
	for _, id := range m.PoolIDs() {
		for seed := range m.Pools[id].PGNum {
			pg := ceph.PGID{Pool: id, Seed: seed}
			raw, w := m.RawOSDs(pg), m.PGMapping(pg)
			fmt.Fprintf(&b, "%v raw (%s, p%d) up (%s, p%d) acting (%s, p%d)\n", pg,
				formatOSDs(raw), firstOSD(raw), formatOSDs(w.Up), w.UpPrimary,
				formatOSDs(w.Acting), w.ActingPrimary)
		}
	}
	return b.String()
}

// onlyPGs drops the lines of a dump that are not about PGs.
func onlyPGs(dump string) string {
	var b strings.Builder
	for _, l := range strings.SplitAfter(dump, "\n") {
		if strings.Contains(l, " raw (") {
			b.WriteString(l)
		}
	}
	return b.String()
}

// The maps are random, the placements osdmaptool's of 16.2.15.
func TestPlacementIsStock(t *testing.T) {
	for _, name := range capturedNames(t, "random*.map") {
		m, err := Decode(captured(t, name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		sameLines(t, name, pgsText(m), string(captured(t, strings.TrimSuffix(name, "map")+"pgs")))
	}
}

func TestPlacementAgainstOsdmaptool(t *testing.T) {
	tool, err := exec.LookPath("osdmaptool")
	if err != nil {
		t.Skip("osdmaptool is not installed")
	}
	pgs, dir := 0, t.TempDir()
	for seed := range *mapCount {
		m := randomMap(t, seeded(uint64(seed)))
		file := filepath.Join(dir, "map")
		if err := os.WriteFile(file, m.Encode(), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(tool, file, "--test-map-pgs-dump-all").Output()
		if err != nil {
			t.Fatalf("map %d: osdmaptool: %v", seed, err)
		}
		want := onlyPGs(string(out))
		sameLines(t, fmt.Sprint("map ", seed), pgsText(m), want)
		pgs += strings.Count(want, "\n")
		if *keepMaps && seed < 4 {
			base := fmt.Sprintf("testdata/random%d", seed)
			os.WriteFile(base+".map", m.Encode(), 0o600)
			os.WriteFile(base+".pgs", []byte(want), 0o600)
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d PGs of %d maps", pgs, *mapCount)
}

// What stock clients computed for these names; the hash is the locator key's or the name's.
func TestObjectPG(t *testing.T) {
	m := randomMap(t, seeded(1))
	m.Pools[1].PGNum, m.Pools[1].PGPNum = 16, 16
	for _, c := range []struct {
		name, key, namespace string
		hash                 uint32
	}{
		{"foo", "", "", crush.HashString("foo")},
		{"foo", "bar", "", crush.HashString("bar")},
		{"foo", "", "ns", crush.HashString("ns\x1ffoo")},
		{"rbd_directory", "", "", 0x30a98c1c},
	} {
		raw, err := m.ObjectPG(1, c.name, c.key, c.namespace)
		if err != nil || raw.Seed != c.hash {
			t.Errorf("%q key %q namespace %q: %v, %v, want hash %x", c.name, c.key, c.namespace,
				raw, err, c.hash)
		}
		if pg := m.RawToPG(raw); pg.Seed != c.hash%16 {
			t.Errorf("%v folds to %v", raw, pg)
		}
	}
	if _, err := m.ObjectPG(99, "x", "", ""); ceph.ResultOf(err) != ceph.ENOENT.Result() {
		t.Errorf("an object of no pool: %v", err)
	}
	if up, p, acting, q := m.PGToUpActing(ceph.PGID{Pool: 99}); up != nil || p != -1 ||
		acting != nil || q != -1 {
		t.Error("a PG of no pool is placed")
	}
}

// SplitChildren is checked against the definition: the new PGs that fold to the old one.
func TestSplitChildren(t *testing.T) {
	for oldNum := uint32(1); oldNum < 40; oldNum++ {
		for newNum := oldNum; newNum < 90; newNum++ {
			want := map[uint32][]uint32{}
			for s := oldNum; s < newNum; s++ {
				parent := StableMod(s, oldNum, maskFor(oldNum))
				want[parent] = append(want[parent], s)
			}
			for seed := range oldNum {
				got := SplitChildren(ceph.PGID{Pool: 1, Seed: seed}, oldNum, newNum)
				var seeds []uint32
				for _, c := range got {
					seeds = append(seeds, c.Seed)
				}
				if fmt.Sprint(seeds) != fmt.Sprint(want[seed]) {
					t.Fatalf("PG %d from %d to %d: %v, want %v", seed, oldNum, newNum, seeds,
						want[seed])
				}
			}
		}
	}
}

func BenchmarkPGMapping(b *testing.B) {
	m := randomMap(b, seeded(3))
	pg := ceph.PGID{Pool: 1}
	for b.Loop() {
		pg.Seed = (pg.Seed + 1) % m.Pools[1].PGNum
		m.PGMapping(pg)
	}
}
