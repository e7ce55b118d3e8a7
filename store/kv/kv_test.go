package kv

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func openMem(t *testing.T, gate func() error) *DB {
	t.Helper()
	d, err := Open("/kv", Options{FS: vfs.NewMem(), CacheBytes: 1 << 20, MemTableBytes: 1 << 20,
		Gate: gate, OnError: func(error) {}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func put(t *testing.T, d *DB, key string) {
	t.Helper()
	b := d.NewBatch()
	defer b.Close()
	if err := errors.Join(b.Set([]byte(key), make([]byte, 100), nil), d.Apply(b)); err != nil {
		t.Fatal(err)
	}
}

// A database whose tables can't be written any more closes, whoever is about to flush it.
func TestCloseWithGivenUpFlushes(t *testing.T) {
	for round := range 100 {
		d := openMem(t, func() error { return errors.New("the journal has failed") })
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for i := range 4 {
			put(t, d, fmt.Sprint(i))
			wg.Go(func() {
				if err := d.Flush(stop); !errors.Is(err, ErrStopped) {
					t.Errorf("a flush that can't succeed: %v", err)
				}
			})
		}
		time.Sleep(time.Duration(round%10) * 20 * time.Microsecond)
		close(stop)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
	}
}

// Whoever comes after Close gets an error, and Close waits for whoever came before.
func TestCloseWaits(t *testing.T) {
	d := openMem(t, nil)
	put(t, d, "a")
	it, err := d.NewIter([]byte("a"), []byte("b"))
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	go func() { closed <- d.Close() }()
	for d.enter() == nil {
		d.leave()
		time.Sleep(time.Millisecond)
	}
	if !it.First() || string(it.Key()) != "a" {
		t.Error("an iterator does not outlive the call of Close")
	}
	select {
	case <-closed:
		t.Error("Close does not wait for an iterator")
	default:
	}
	if err := errors.Join(it.Close(), <-closed); err != nil {
		t.Fatal(err)
	}
	b := d.NewBatch()
	defer b.Close()
	indexed := d.NewIndexedBatch()
	defer indexed.Close()
	_, _, getErr := d.Get(nil, []byte("a"))
	_, _, durableErr := d.Durable([]byte("a"))
	_, iterErr := d.NewIter(nil, nil)
	_, batchErr := d.BatchIter(indexed, nil, nil)
	for what, err := range map[string]error{
		"get": getErr, "durable": durableErr, "iterator": iterErr, "batch iterator": batchErr,
		"apply": d.Apply(b), "apply repr": d.ApplyRepr(b.Repr()), "flush": d.Flush(nil),
	} {
		if !errors.Is(err, ErrStopped) {
			t.Errorf("%s of a closed database: %v", what, err)
		}
	}
	if err := d.Close(); err != nil || d.DiskBytes() != 0 {
		t.Errorf("a second Close: %v", err)
	}
}

// Far more flushes than there may be tables on the first level go through: compactions keep up.
func TestCompacts(t *testing.T) {
	d := openMem(t, nil)
	stop := make(chan struct{})
	defer time.AfterFunc(30*time.Second, func() { close(stop) }).Stop()
	for range 100 {
		put(t, d, "a")
		if err := d.Flush(stop); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}
