package osdmap

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// captured is a file that a stock 16.2.15 monitor wrote.
func captured(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func capturedNames(t testing.TB, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no captured files %s: %v", pattern, err)
	}
	for i := range names {
		names[i] = filepath.Base(names[i])
	}
	return names
}

func TestCapturedFullMaps(t *testing.T) {
	for _, name := range capturedNames(t, "*.full") {
		b := captured(t, name)
		m, err := Decode(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := m.encode(); !bytes.Equal(got, b) {
			t.Errorf("%s: encodes to %d bytes, not the same %d", name, len(got), len(b))
		}
	}
}

func TestCapturedIncrementals(t *testing.T) {
	for _, name := range capturedNames(t, "*.inc") {
		b := captured(t, name)
		inc, err := DecodeIncremental(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := inc.Encode(); !bytes.Equal(got, b) {
			t.Errorf("%s: encodes to %d bytes, not the same %d", name, len(got), len(b))
		}
	}
}

// Every epoch of a cluster's life, from the first: each incremental states the checksum of the
// map that a stock monitor had after it.
func TestApplyWholeLife(t *testing.T) {
	m := Empty()
	for epoch := 1; epoch <= 74; epoch++ {
		inc, err := DecodeIncremental(captured(t, strconv.Itoa(epoch)+".inc"))
		if err != nil {
			t.Fatalf("epoch %d: %v", epoch, err)
		}
		before := m.encode()
		n, err := m.Apply(inc)
		if err != nil {
			t.Fatalf("epoch %d: %v", epoch, err)
		}
		if !bytes.Equal(m.encode(), before) {
			t.Fatalf("epoch %d: applying changed the map before", epoch)
		}
		m = n
		if full, err := os.ReadFile("testdata/" + strconv.Itoa(epoch) + ".full"); err == nil &&
			!bytes.Equal(m.Encode(), full) {
			t.Errorf("epoch %d: not the bytes of the stock map", epoch)
		}
	}
}

// Messages are in memory that is used again: nothing of it may stay in a map.
func TestMapsDontAliasTheirInput(t *testing.T) {
	b := bytes.Clone(captured(t, "48.full"))
	m, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	incBytes := bytes.Clone(captured(t, "49.inc"))
	inc, err := DecodeIncremental(incBytes)
	if err != nil {
		t.Fatal(err)
	}
	n, err := m.Apply(inc)
	if err != nil {
		t.Fatal(err)
	}
	want, text := bytes.Clone(n.Encode()), m.Text()
	clear(b)
	clear(incBytes)
	if !bytes.Equal(m.Encode(), captured(t, "48.full")) || m.Text() != text ||
		!bytes.Equal(n.encode(), want) || !bytes.Equal(n.Encode(), want) {
		t.Error("a map changes with the message that it came in")
	}
}
