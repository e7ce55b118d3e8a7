package rbd_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"glue/ceph"
)

// TestMigrationRefused: what is not carried on here is refused before anything has changed, in
// words that say by whom it is, and the stock client does it then. (There is no new image of
// format 1.)
func TestMigrationRefused(t *testing.T) {
	s := store(t, connect(t))
	pool := s.IO().PoolName()
	data := make([]byte, 3<<20)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	file := filepath.Join(t.TempDir(), "raw")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	stock(t, s, "mirror", "pool", "enable", "image")
	for _, x := range []struct {
		what    string
		prepare func(t *testing.T, from, to string)
	}{
		{"an image that is mirrored", func(t *testing.T, from, to string) {
			stock(t, s, "import", file, from)
			stock(t, s, "mirror", "image", "enable", from, "journal")
			stock(t, s, "migration", "prepare", pool+"/"+from, pool+"/"+to)
		}},
		{"what is not an image of this cluster", func(t *testing.T, _, to string) {
			spec := fmt.Sprintf(`{"type":"raw","stream":{"type":"file","file_path":%q}}`, file)
			stock(t, s, "migration", "prepare", "--import-only", "--source-spec", spec, pool+"/"+to)
		}},
	} {
		t.Run(x.what, func(t *testing.T) {
			ctx := within(t, 2*time.Minute)
			from := strings.ReplaceAll(x.what, " ", "-")
			to := "to-" + from
			x.prepare(t, from, to)
			err := s.MigrationExecute(ctx, to, nil)
			if !errors.Is(err, ceph.EOPNOTSUPP) || !strings.Contains(err.Error(), x.what) ||
				!strings.Contains(err.Error(), "rbd migration") {
				t.Errorf("execute: %v", err)
			}
			if err := s.MigrationAbort(ctx, to, nil); !errors.Is(err, ceph.EOPNOTSUPP) {
				t.Errorf("abort: %v", err)
			}
			stock(t, s, "migration", "execute", to)
			if err := s.MigrationCommit(ctx, to, nil); !errors.Is(err, ceph.EOPNOTSUPP) {
				t.Errorf("commit: %v", err)
			}
			stock(t, s, "migration", "commit", to)
			out := filepath.Join(t.TempDir(), "out")
			stock(t, s, "export", to, out)
			if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, data) {
				t.Errorf("the image has something else (%d bytes): %v", len(got), err)
			}
		})
	}
}
