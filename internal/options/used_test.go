package options

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOptionsAreRead: an option that no code names does nothing, and has to say so.
func TestOptionsAreRead(t *testing.T) {
	var all strings.Builder
	err := filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") ||
			strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "options/table.go") {
			return err
		}
		b, err := os.ReadFile(path)
		all.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	text := all.String()
	for _, o := range table {
		if used := strings.Contains(text, `"`+o.Name+`"`); !used && !o.Unused {
			t.Errorf("%s: nothing reads it; mark it Unused", o.Name)
		}
	}
}
