package osdmap

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"glue/ceph"
	"glue/internal/cephjson"
)

// sameLines reports the first difference of two texts.
func sameLines(t *testing.T, what, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			t.Errorf("%s, line %d:\n got %q\nwant %q", what, i+1, a, b)
			return
		}
	}
}

// sortedBlocklist moves the lines of blocklists into our order: stock's is that of a hash table.
func sortedBlocklist(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		for j := i; j > 0 && strings.HasPrefix(lines[j], "blocklist ") &&
			strings.HasPrefix(lines[j-1], "blocklist ") && lines[j] < lines[j-1]; j-- {
			lines[j], lines[j-1] = lines[j-1], lines[j]
		}
	}
	return strings.Join(lines, "\n")
}

// The texts were printed by osdmaptool of 16.2.15 from the same bytes; blank lines, which the
// monitor leaves out, are left out of them.
func TestDumpsAreStock(t *testing.T) {
	for _, name := range capturedNames(t, "*.full") {
		m, err := Decode(captured(t, name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		base := strings.TrimSuffix(name, ".full")
		sameLines(t, base+".print", sortedBlocklist(m.Text()),
			sortedBlocklist(string(captured(t, base+".print"))))
		sameLines(t, base+".tree", m.TreeText(0, ""), string(captured(t, base+".tree")))
		sameLines(t, base+".tree.json", string(cephjson.Marshal(m.TreeDump(0, ""), true)),
			string(captured(t, base+".tree.json")))
		want := captured(t, base+".json")
		if len(m.Blocklist) < 2 {
			sameLines(t, base+".json", string(cephjson.Marshal(m.Dump(), true)), string(want))
			continue
		}
		var a, b any
		if err := json.Unmarshal(cephjson.Marshal(m.Dump(), false), &a); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(want, &b); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s.json differs", base)
		}
	}
}

// A stock tool reads every field that we write, stretch mode and range blocklists included.
func TestStockReadsRandomMaps(t *testing.T) {
	tool, err := exec.LookPath("osdmaptool")
	if err != nil {
		t.Skip("osdmaptool is not installed")
	}
	file := filepath.Join(t.TempDir(), "map")
	for seed := range uint64(12) {
		r := seeded(seed)
		m := randomMap(t, r)
		randomRest(m, r)
		for a, until := range m.Blocklist { // stock prints them in a hash table's order
			m.Blocklist = map[ceph.Addr]ceph.Time{a: until}
			break
		}
		if err := os.WriteFile(file, m.Encode(), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(tool, file, "--dump", "json-pretty").Output()
		if err != nil {
			t.Fatalf("map %d: osdmaptool: %v", seed, err)
		}
		want := string(out)
		if i := strings.Index(want, "{"); i >= 0 {
			want = want[i:]
		}
		sameLines(t, fmt.Sprint("map ", seed), string(cephjson.Marshal(m.Dump(), true)), want)
		out, err = exec.Command(tool, file, "--print").Output()
		if err != nil {
			t.Fatalf("map %d: osdmaptool: %v", seed, err)
		}
		want = string(out)
		for strings.Contains(want, "\n\n") {
			want = strings.ReplaceAll(want, "\n\n", "\n")
		}
		sameLines(t, fmt.Sprint("print of map ", seed), m.Text(), want)
	}
}
