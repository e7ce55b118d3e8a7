package kv

import (
	"errors"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"glue/store/objectstore"
)

// TestUnreadable: what can't be read is an error that ends the store, which hears of it.
func TestUnreadable(t *testing.T) {
	var bad atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if bad.Load() && op.Kind == errorfs.OpFileReadAt {
			return syscall.EIO
		}
		return nil
	}))
	open := func(report func(error)) *DB {
		d, err := Open("/kv", Options{FS: fs, CacheBytes: 1 << 20, MemTableBytes: 1 << 20,
			OnError: report})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := open(func(error) {})
	put(t, d, "key")
	if err := errors.Join(d.Flush(nil), d.Close()); err != nil {
		t.Fatal(err)
	}
	var heard error
	d = open(func(err error) { heard = err })
	bad.Store(true)
	_, _, err := d.Get(nil, []byte("key"))
	for _, err := range []error{err, heard} {
		if !errors.Is(err, objectstore.ErrFailed) || !errors.Is(err, syscall.EIO) {
			t.Errorf("%v", err)
		}
	}
	bad.Store(false)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}
