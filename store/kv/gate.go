package kv

import (
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// gateFS holds back the creation of sorted tables. Whatever a table can contain was applied before
// its file is created, so a journal that has caught up at that moment covers it.
type gateFS struct {
	vfs.FS
	gate func() error
}

// Create waits at the gate if the file is a table.
func (g gateFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if g.gate != nil && strings.HasSuffix(name, ".sst") {
		if err := g.gate(); err != nil {
			return nil, err
		}
	}
	return g.FS.Create(name, category)
}

// Unwrap lets Pebble find the file system below.
func (g gateFS) Unwrap() vfs.FS { return g.FS }
