package crush

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/internal/cephjson"
)

var (
	mapCount = flag.Int("maps", 240, "random maps to compare with the stock tools")
	mapSeed  = flag.Uint64("seed", 1, "first seed of the random maps")
)

// crushtool runs the stock tool, or skips the test where there is none.
func crushtool(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("crushtool"); err != nil {
		t.Skip("crushtool is not installed (Debian package ceph-base)")
	}
	// Into a file: the tool loses what does not fit into a pipe's buffer.
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command("crushtool", args...)
	cmd.Stdout, cmd.Stderr = f, f
	err = cmd.Run()
	out, readErr := os.ReadFile(f.Name())
	if err != nil || readErr != nil {
		t.Fatalf("crushtool %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x6372757368)) }

func encode(m *Map) []byte { return denc.Marshal(m, ceph.FeaturesAll) }

// eachMap runs f for many random maps; the name of the subtest is the seed that replays it.
func eachMap(t *testing.T, f func(t *testing.T, r *rand.Rand, m *Map, dir string)) {
	n := *mapCount
	if testing.Short() {
		n = min(n, 40)
	}
	dir := t.TempDir()
	for i := range n {
		seed := *mapSeed + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := seeded(seed)
			f(t, r, randomMap(r), dir)
		})
	}
}

func firstDiff(t *testing.T, what, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range w {
		if i >= len(g) || g[i] != w[i] {
			t.Fatalf("%s, line %d of %d/%d:\n got %q\nwant %q", what, i+1, len(g), len(w),
				strings.Join(g[min(i, len(g)):min(i+2, len(g))], "\n"), w[i])
		}
	}
	t.Fatalf("%s: %d lines, want %d", what, len(g), len(w))
}

// TestMappingsAsStock is the proof of the package: zero differences in placement.
func TestMappingsAsStock(t *testing.T) {
	eachMap(t, func(t *testing.T, r *rand.Rand, m *Map, dir string) {
		file := filepath.Join(dir, "map")
		if err := os.WriteFile(file, encode(m), 0o600); err != nil {
			t.Fatal(err)
		}
		firstX := r.IntN(1 << 20)
		lastX := firstX + 24
		args := []string{"-i", file, "--test", "--show-mappings",
			"--min-x", fmt.Sprint(firstX), "--max-x", fmt.Sprint(lastX)}
		weights := make([]uint32, m.MaxDevices)
		total := uint32(0)
		for id := range weights {
			if m.Holds(int32(id)) {
				weights[id] = 0x10000
			}
			if r.IntN(5) == 0 {
				weights[id] = uint32(r.IntN(5)) << 14
				share := fmt.Sprint(float64(weights[id]) / 0x10000)
				args = append(args, "--weight", fmt.Sprint(id), share)
			}
			total += weights[id]
		}
		var want strings.Builder
		p := NewPlacer(m)
		for i, rule := range m.Rules {
			for n := int(rule.MinSize); n <= int(rule.MaxSize) && total > 0; n++ {
				for x := firstX; x <= lastX; x++ {
					out := fmt.Sprint(p.Do(i, uint32(x), n, weights, 0))
					out = strings.ReplaceAll(out, " ", ",")
					fmt.Fprintf(&want, "CRUSH rule %d x %d %s\n", i, x, out)
				}
			}
		}
		firstDiff(t, "mappings", want.String(), crushtool(t, args...))
	})
}

// TestTextAsStock compares both directions of the text form, to the byte.
func TestTextAsStock(t *testing.T) {
	eachMap(t, func(t *testing.T, _ *rand.Rand, m *Map, dir string) {
		bin, text := filepath.Join(dir, "map"), filepath.Join(dir, "text")
		bin2 := filepath.Join(dir, "map2")
		if err := os.WriteFile(bin, encode(m), 0o600); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := Decompile(&got, m); err != nil {
			t.Fatal(err)
		}
		want := crushtool(t, "-d", bin)
		firstDiff(t, "decompiled", got.String(), want)
		if err := os.WriteFile(text, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		crushtool(t, "-c", text, "-o", bin2)
		compiled, err := Compile(want)
		if err != nil {
			t.Fatal(err)
		}
		stock, err := os.ReadFile(bin2)
		if err != nil {
			t.Fatal(err)
		}
		var again Map
		if err := denc.Unmarshal(stock, &again, ceph.FeaturesAll); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(encode(compiled), stock) {
			firstDiff(t, "compiled", describe(compiled), describe(&again))
			t.Fatal("the compiled maps differ in their bytes only")
		}
		if !bytes.Equal(encode(&again), stock) {
			t.Fatal("a stock map does not re-encode to its bytes")
		}
	})
}

// describe prints a map for a readable difference.
func describe(m *Map) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %+v\n%v\n%v\n%v\n%v\n%v\n%v\n", m.MaxDevices, m.Tunables,
		m.Types, m.Names, m.RuleNames, m.ItemClasses, m.ClassNames, m.ClassBuckets)
	for i, bucket := range m.Buckets {
		fmt.Fprintf(&b, "slot %d: %+v\n", i, bucket)
	}
	for i, rule := range m.Rules {
		fmt.Fprintf(&b, "rule %d: %+v\n", i, rule)
	}
	for key, args := range m.ChooseArgs {
		for _, id := range argIDs(args) {
			fmt.Fprintf(&b, "args %d %d: %+v\n", key, id, args[id])
		}
	}
	return b.String()
}

// TestDumpAsStock compares the JSON and the tree.
func TestDumpAsStock(t *testing.T) {
	eachMap(t, func(t *testing.T, r *rand.Rand, m *Map, dir string) {
		if r.IntN(4) > 0 {
			return
		}
		file := filepath.Join(dir, "map")
		if err := os.WriteFile(file, encode(m), 0o600); err != nil {
			t.Fatal(err)
		}
		want := crushtool(t, "-i", file, "--dump")
		dump := string(cephjson.Marshal(m.Dump(), true))
		firstDiff(t, "dump", dump, strings.TrimRight(want, "\n")+"\n")
		firstDiff(t, "tree", m.TreeTable(true, nil), crushtool(t, "-i", file, "--tree"))
	})
}
