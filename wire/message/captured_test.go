package message

import (
	"encoding/hex"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
)

// What a real cluster and its clients said decodes, and encodes to the same bytes again.
func TestCapturedBytes(t *testing.T) {
	text, err := os.ReadFile("testdata/captured.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[Type]int{}
	for n, line := range strings.Split(string(text), "\n") {
		f := strings.Fields(line)
		if len(f) != 5 || f[0] == "#" {
			continue
		}
		typ, version := number(t, f[0]), number(t, f[1])
		front, data := raw(t, f[3]), raw(t, f[4])
		m := &Message{Version: version, Compat: number(t, f[2]), Data: data}
		if err := m.Decode(Type(typ), front, ceph.FeaturesAll); err != nil {
			t.Errorf("line %d: %v", n+1, err)
			continue
		}
		c := denc.NewEncoder(nil, ceph.FeaturesAll)
		m.Body.Denc(c, version)
		if !slices.Equal(c.Bytes(), front) {
			t.Errorf("line %d: %v encodes to\n%x, was\n%x", n+1, m.Body.Type(), c.Bytes(), front)
		}
		if p, ok := m.Body.(Payload); ok && !slices.Equal(slices.Concat(p.Data()...), data) {
			t.Errorf("line %d: the data of %v change", n+1, m.Body.Type())
		}
		seen[Type(typ)]++
	}
	if len(seen) < 14 {
		t.Errorf("only %d types were captured: %v", len(seen), seen)
	}
}

func number(t *testing.T, s string) uint16 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return uint16(n)
}

func raw(t *testing.T, s string) []byte {
	t.Helper()
	if s == "-" {
		return nil
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
