package mgrmap

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/internal/cephjson"
)

func load(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decode(t testing.TB, name string) *Map {
	t.Helper()
	m := &Map{}
	if err := denc.Unmarshal(load(t, name), m, ceph.FeaturesAll); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return m
}

// The files are what a stock 16.2.15 monitor stored.
func TestCaptured(t *testing.T) {
	for _, name := range []string{"active.mgrmap", "empty.mgrmap"} {
		if !bytes.Equal(denc.Marshal(decode(t, name), ceph.FeaturesAll), load(t, name)) {
			t.Errorf("%s: encodes to other bytes", name)
		}
	}
	got := string(cephjson.Marshal(decode(t, "active.mgrmap").Dump(), true))
	if got != string(load(t, "active.json")) {
		g, w := strings.Split(got, "\n"), strings.Split(string(load(t, "active.json")), "\n")
		for i := range min(len(g), len(w)) {
			if g[i] != w[i] {
				t.Fatalf("dump, line %d:\n got %s\nwant %s", i+1, g[i], w[i])
			}
		}
		t.Errorf("dump of %d lines, want %d", len(g), len(w))
	}
}

func TestStandbysAndServices(t *testing.T) {
	m := decode(t, "active.mgrmap")
	m.Standbys = map[uint64]Standby{
		9: {GID: 9, Name: "b", AvailableModules: m.AvailableModules[:2], Features: 7},
		5: {GID: 5, Name: "c"},
	}
	m.Services = map[string]string{"dashboard": "https://x:8443/"}
	b := denc.Marshal(m, ceph.FeaturesAll)
	n := &Map{}
	if err := denc.Unmarshal(b, n, ceph.FeaturesAll); err != nil {
		t.Fatal(err)
	}
	modules := n.Standbys[9].AvailableModules
	if !bytes.Equal(denc.Marshal(n, ceph.FeaturesAll), b) || len(modules) != 2 ||
		modules[1].Name != m.AvailableModules[1].Name || !n.HasName("c") || n.HasName("d") {
		t.Error("a map with standbys and services does not survive a round trip")
	}
	now := ceph.TimeOf(m.ActiveChange.Go().Add(5 * time.Minute))
	if got, want := n.SummaryText(now), "x(active, since 5m), standbys: c, b"; got != want {
		t.Errorf("summary %q, want %q", got, want)
	}
}

func TestCutAtEveryByte(t *testing.T) {
	b := load(t, "active.mgrmap")
	for n := range len(b) {
		if n > 2000 && n < len(b)-500 && n%37 != 0 {
			continue
		}
		if denc.Unmarshal(b[:n], &Map{}, ceph.FeaturesAll) == nil {
			t.Fatalf("the first %d of %d bytes decode", n, len(b))
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(load(f, "empty.mgrmap"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &Map{}
		if denc.Unmarshal(b, m, ceph.FeaturesAll) == nil {
			cephjson.Marshal(m.Dump(), false)
		}
	})
}
