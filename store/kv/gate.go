package kv

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// gateFS holds back the creation of sorted tables. Whatever a table can contain was applied before
// its file is created, so a journal that has caught up at that moment covers it.
type gateFS struct {
	vfs.FS
	gate  func() error
	fatal func(error)
}

// Create waits at the gate if the file is a table. Before a marker is made to name a file, that
// file's own name is made durable: Pebble syncs the directory once for both names, which is
// enough only where the file system keeps their order.
func (g gateFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	base := g.PathBase(name)
	table := strings.HasSuffix(base, ".sst")
	if table && g.gate != nil {
		if err := g.gate(); err != nil {
			return nil, err
		}
	}
	if strings.HasPrefix(base, "marker.") {
		if err := g.syncDir(g.PathDir(name)); err != nil {
			return nil, err
		}
	}
	f, err := g.FS.Create(name, category)
	if err != nil || !table {
		return f, err
	}
	return tableFile{f}, nil
}

// A tableFile lets others run after each block. Compactions compute for longer than the scheduler
// lets anybody wait, and where there are few processors, that is who answers a client.
type tableFile struct{ vfs.File }

func (f tableFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	runtime.Gosched()
	return n, err
}

func (g gateFS) syncDir(dir string) error {
	d, err := g.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// OpenDir opens a directory whose sync must not fail: Pebble would panic.
func (g gateFS) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil || g.fatal == nil {
		return f, err
	}
	return syncedDir{f, g.fatal}, nil
}

type syncedDir struct {
	vfs.File
	fatal func(error)
}

// Sync returns only if it has succeeded.
func (d syncedDir) Sync() error {
	err := d.File.Sync()
	if err != nil {
		d.fatal(fmt.Errorf("sync directory: %w", err))
	}
	return err
}

// Unwrap lets Pebble find the file system below.
func (g gateFS) Unwrap() vfs.FS { return g.FS }
