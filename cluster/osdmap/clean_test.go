package osdmap

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"glue/ceph"
)

// upmapCommands is an incremental's upmaps as osdmaptool --upmap-cleanup prints them.
func upmapCommands(inc *Incremental) string {
	var b strings.Builder
	for _, pg := range inc.OldPGUpmap {
		fmt.Fprintf(&b, "ceph osd rm-pg-upmap %v\n", pg)
	}
	for _, pg := range inc.OldPGUpmapItems {
		fmt.Fprintf(&b, "ceph osd rm-pg-upmap-items %v\n", pg)
	}
	for _, pg := range slices.SortedFunc(maps.Keys(inc.NewPGUpmapItems), ceph.PGID.Compare) {
		fmt.Fprintf(&b, "ceph osd pg-upmap-items %v", pg)
		for _, r := range inc.NewPGUpmapItems[pg] {
			fmt.Fprintf(&b, " %d %d", r.From, r.To)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestUpmapCleanupAgainstOsdmaptool(t *testing.T) {
	tool, err := exec.LookPath("osdmaptool")
	if err != nil {
		t.Skip("osdmaptool is not installed")
	}
	dir, kinds := t.TempDir(), map[string]int{}
	for seed := range *mapCount {
		r := seeded(uint64(seed))
		m := randomMap(t, r)
		for id, p := range m.Pools { // upmaps that mean something
			for s := range p.PGNum {
				pg := ceph.PGID{Pool: id, Seed: s}
				if raw := m.RawOSDs(pg); len(raw) > 0 && r.IntN(3) == 0 {
					m.PGUpmapItems[pg] = []Remap{{raw[0], r.Int32N(m.MaxOSD)},
						{r.Int32N(m.MaxOSD), r.Int32N(m.MaxOSD)}}
				}
			}
		}
		file, out := filepath.Join(dir, "map"), filepath.Join(dir, "out")
		if err := os.WriteFile(file, m.Encode(), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := exec.Command(tool, file, "--upmap-cleanup", out).Run(); err != nil {
			t.Fatalf("map %d: osdmaptool: %v", seed, err)
		}
		want, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		m.PGTemp, m.PrimaryTemp = nil, nil
		inc := NewIncremental(m, ceph.Time{Sec: 1})
		if err := m.Clean(inc); err != nil {
			t.Fatal(err)
		}
		sameLines(t, fmt.Sprint("map ", seed), upmapCommands(inc), string(want))
		for _, l := range strings.Split(string(want), "\n") {
			kinds[strings.Join(strings.Fields(l + " . . .")[:3], " ")]++
		}
		if t.Failed() {
			return
		}
	}
	t.Log(kinds)
}

func TestCleanTemps(t *testing.T) {
	m, err := Decode(captured(t, "11.full"))
	if err != nil {
		t.Fatal(err)
	}
	m = m.Clone()
	p := NewPool()
	p.Size, p.MinSize, p.PGNum, p.PGPNum, p.Flags = 2, 1, 16, 16, PoolHashPSPool
	p.PGNumPending = 16
	m.Pools[9] = p
	pg := func(seed uint32) ceph.PGID { return ceph.PGID{Pool: 9, Seed: seed} }
	up := func(seed uint32) []int32 { return m.PGMapping(pg(seed)).Up }
	swap := func(v []int32) []int32 { return []int32{v[1], v[0]} }
	m.PGTemp = map[ceph.PGID][]int32{
		pg(0): up(0), pg(1): swap(up(1)), pg(2): {0, 1, 2}, {Pool: 77}: {0}, pg(3): {2},
	}
	m.PrimaryTemp = map[ceph.PGID]int32{pg(4): up(4)[0], pg(5): up(5)[1], pg(6): 2}
	inc := NewIncremental(m, ceph.Time{Sec: 1})
	inc.NewState = map[int32]State{2: OSDUp}
	inc.NewPGTemp = map[ceph.PGID][]int32{pg(7): nil}
	down := m.Clone()
	down.State[2] &^= OSDUp
	inc.NewPGTemp[pg(8)] = down.PGMapping(pg(8)).Up // wished for and void
	if err := m.Clean(inc); err != nil {
		t.Fatal(err)
	}
	removed := func(k ceph.PGID) bool {
		v, ok := inc.NewPGTemp[k]
		return ok && len(v) == 0
	}
	for k, want := range map[ceph.PGID]bool{
		pg(0): slices.Equal(up(0), down.PGMapping(pg(0)).Up), pg(2): true, {Pool: 77}: true,
		pg(3): true, pg(7): true,
	} {
		if removed(k) != want {
			t.Errorf("pg_temp of %v is removed: %v", k, !want)
		}
	}
	if _, ok := inc.NewPGTemp[pg(8)]; ok {
		t.Error("a pg_temp that says what CRUSH says is still wished for")
	}
	if v, ok := inc.NewPrimaryTemp[pg(6)]; !ok || v != -1 {
		t.Error("a primary_temp to an OSD that goes down stays")
	}
	n, _, err := m.Commit(inc)
	if err != nil {
		t.Fatal(err)
	}
	again := NewIncremental(n, ceph.Time{Sec: 2})
	if err := n.Clean(again); err != nil || len(again.NewPGTemp)+len(again.NewPrimaryTemp) > 0 {
		t.Errorf("cleaning twice: %v, %v, %v", err, again.NewPGTemp, again.NewPrimaryTemp)
	}
}
