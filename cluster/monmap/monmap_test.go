package monmap

import (
	"bytes"
	"os"
	"testing"

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

// The files are what a stock 16.2.15 monitor stored and printed.
func TestCaptured(t *testing.T) {
	b := load(t, "one.monmap")
	m := &Map{}
	if err := denc.Unmarshal(b, m, ceph.FeaturesAll); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(denc.Marshal(m, ceph.FeaturesAll), b) {
		t.Error("encodes to other bytes")
	}
	if got := m.Text(); got != string(load(t, "one.print")) {
		t.Errorf("prints\n%s", got)
	}
	if got := cephjson.Marshal(m.Dump(), true); !bytes.Equal(got, load(t, "one.json")) {
		t.Errorf("dumps\n%s", got)
	}
	want := "e1: 1 mons at {a=v2:127.0.0.1:21700/0} removed_ranks: {}"
	if got := m.Summary(); got != want {
		t.Errorf("summary %q, want %q", got, want)
	}
	for n := range len(b) {
		if denc.Unmarshal(b[:n], &Map{}, ceph.FeaturesAll) == nil {
			t.Fatalf("the first %d of %d bytes decode", n, len(b))
		}
	}
}

func TestEdit(t *testing.T) {
	m := New(ceph.UUID{1}, ceph.Time{Sec: 7})
	for _, name := range []string{"a", "b", "c"} {
		m.Add(Mon{Name: name})
	}
	n := m.Clone()
	n.Remove("b")
	n.Remove("none")
	if m.Rank("c") != 2 || n.Rank("c") != 1 || n.Rank("b") != -1 || len(m.Mons) != 3 {
		t.Errorf("ranks %v, after the removal %v", m.Ranks, n.Ranks)
	}
	got := &Map{}
	if err := denc.Unmarshal(denc.Marshal(n, ceph.FeaturesAll), got, ceph.FeaturesAll); err != nil {
		t.Fatal(err)
	}
	if _, ok := got.RemovedRanks[1]; !ok {
		t.Error("the removed rank is forgotten")
	}
	if _, ok := got.At(5); ok || got.Addrs(-1) != nil {
		t.Error("there is a monitor at a rank that there is not")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(load(f, "one.monmap"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &Map{}
		if denc.Unmarshal(b, m, ceph.FeaturesAll) == nil {
			m.Text()
			cephjson.Marshal(m.Dump(), false)
		}
	})
}
