package fsmap

import (
	"bytes"
	"os"
	"reflect"
	"strings"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/internal/cephjson"
)

func load(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The files are what a stock 16.2.15 monitor without file systems sent and printed.
func TestCaptured(t *testing.T) {
	m := &Map{}
	if err := denc.Unmarshal(load(t, "empty.fsmap"), m, ceph.FeaturesAll); err != nil {
		t.Fatal(err)
	}
	if got := denc.Marshal(m, ceph.FeaturesAll); !bytes.Equal(got, load(t, "empty.fsmap")) {
		t.Errorf("encodes to other bytes:\n%x", got)
	}
	if got := denc.Marshal(Empty(), ceph.FeaturesAll); !bytes.Equal(got, load(t, "empty.fsmap")) {
		t.Errorf("Empty is another map:\n%x", got)
	}
	user := User{&Map{}}
	if err := denc.Unmarshal(load(t, "empty.fsmapuser"), user, ceph.FeaturesAll); err != nil {
		t.Fatal(err)
	}
	if want := (Map{Epoch: 1, Legacy: NoFilesystem}); !reflect.DeepEqual(*user.Map, want) {
		t.Errorf("users' map %+v, want %+v", *user.Map, want)
	}
	if got := denc.Marshal(User{m}, ceph.FeaturesAll); !bytes.Equal(got,
		load(t, "empty.fsmapuser")) {
		t.Errorf("users' map encodes to other bytes:\n%x", got)
	}
	if got := cephjson.Marshal(m.Dump(), true); strings.TrimSpace(string(got)) !=
		strings.TrimSpace(string(load(t, "empty.json"))) {
		t.Errorf("dump:\n%s", got)
	}
	if got := m.Text(); got != string(load(t, "empty.txt")) {
		t.Errorf("text:\n%s", got)
	}
}

// A map with file systems is refused, not taken for one without.
func TestFilesystemsAreRefused(t *testing.T) {
	b := load(t, "empty.fsmap")
	for back := 5; back <= 17; back += 4 { // the counts of the four lists before the last byte
		at := len(b) - back
		bad := bytes.Clone(b)
		bad[at] = 1
		if err := denc.Unmarshal(bad, &Map{}, ceph.FeaturesAll); err == nil ||
			!strings.Contains(err.Error(), "map of file systems with 1") {
			t.Errorf("count at %d: %v", at, err)
		}
	}
}
