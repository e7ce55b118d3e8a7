package conformance

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestOps runs every object operation and every method of every object class through the stock
// librados; the cluster has to answer as the real one did when osd/ops/testdata was recorded.
func TestOps(t *testing.T) {
	dir := filepath.Join(root(), "osd", "ops", "testdata")
	out := t.TempDir()
	must(t, "env", "CEPH_CONF="+shared.conf, "/usr/bin/python3",
		filepath.Join(dir, "capture.py"), pool, out)
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	for _, f := range files {
		name := filepath.Base(f)
		t.Run(strings.TrimSuffix(name, ".txt"), func(t *testing.T) {
			want, got := recording(t, f), recording(t, filepath.Join(out, name))
			if len(want) != len(got) {
				t.Fatalf("%d lines, want %d", len(got), len(want))
			}
			request := ""
			for i := range want {
				if strings.HasPrefix(want[i], "> ") {
					request = want[i]
				}
				if got[i] != want[i] {
					t.Fatalf("line %d\n%s\n got %s\nwant %s", i+1, request, got[i], want[i])
				}
			}
		})
	}
}

// recording reads what capture.py wrote, with the client's identity replaced by words.
func recording(t *testing.T, file string) []string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	first, rest, _ := strings.Cut(string(raw), "\n")
	var id uint64
	var addr string
	if _, err := fmt.Sscanf(first, "client %d %s", &id, &addr); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	_, nonce, _ := strings.Cut(addr, "/")
	n, err := strconv.ParseUint(nonce, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid := hex.EncodeToString(binary.LittleEndian.AppendUint64([]byte{8}, id))
	tail := hex.EncodeToString(binary.LittleEndian.AppendUint32(nil, uint32(n)))
	rest = strings.NewReplacer(
		hex.EncodeToString(fmt.Appendf(nil, "client.%d %s", id, addr)), "NAME-AND-ADDRESS",
		gid, "NAME", "01000000"+tail, "NONCE", "03000000"+tail, "NONCE",
	).Replace(rest)
	return strings.Split(rest, "\n")
}
