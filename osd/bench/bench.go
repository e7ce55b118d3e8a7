// Package bench measures a store for "tell osd.N bench": it writes objects straight into it, waits
// until they are durable, and removes them. Any goroutine may call it, one at a time per store.
package bench

import (
	"errors"
	"fmt"
	"time"

	"glue/ceph"
	"glue/internal/admin"
	"glue/store/objectstore"
)

// Coll is the collection of a bench, which is no PG. What a crash has left of it is removed at the
// next start.
var Coll = ceph.SPG{PGID: ceph.PGID{Pool: -3}, Shard: ceph.NoShard}

// Limits of a bench: what it may write, and how much at once.
const (
	defaultBytes = 1 << 30
	defaultBlock = 4 << 20
	maxBlock     = 64 << 20
	depth        = 16
)

// Run is the command; gone is called with the outcome of a removal.
func Run(s objectstore.Store, args admin.Args, gone func(error)) (any, error) {
	total, err := args.Int("count", defaultBytes)
	if err != nil {
		return nil, err
	}
	size, err := args.Int("size", defaultBlock)
	if err != nil {
		return nil, err
	}
	if size < 1 || size > maxBlock || total < 1 || total > 16*defaultBytes {
		return nil, fmt.Errorf("block size up to %d and a total up to %d: %w", maxBlock,
			int64(16*defaultBytes), ceph.EINVAL)
	}
	took, err := write(s, total, size, gone)
	if err = errors.Join(err, Remove(s, gone)); err != nil {
		return nil, err
	}
	secs := took.Seconds()
	return struct {
		Bytes int64   `json:"bytes_written"`
		Block int64   `json:"blocksize"`
		Secs  float64 `json:"elapsed_sec"`
		Rate  float64 `json:"bytes_per_sec"`
		IOPS  float64 `json:"iops"`
	}{total, size, secs, float64(total) / secs, float64(total) / float64(size) / secs}, nil
}

func write(s objectstore.Store, total, size int64, gone func(error)) (time.Duration, error) {
	var mk objectstore.Transaction
	mk.MkColl(Coll)
	if err := s.Submit(&mk, gone); err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i * 7)
	}
	done := make(chan error, depth)
	start := time.Now()
	flying := 0
	var failed error
	wait := func() {
		failed = errors.Join(failed, <-done)
		flying--
	}
	for n := int64(0); n*size < total && failed == nil; n++ { // whole blocks, as with stock
		t := &objectstore.Transaction{}
		t.Write(Coll, ceph.HObject{Pool: -3, Name: fmt.Sprint(n), Hash: uint32(n)}, 0, data)
		if err := s.Submit(t, func(err error) { done <- err }); err != nil {
			failed = err
			break
		}
		if flying++; flying == depth {
			wait()
		}
	}
	for flying > 0 {
		wait()
	}
	if failed != nil {
		return 0, fmt.Errorf("bench: %w", failed)
	}
	return time.Since(start), nil
}

// Remove removes what a bench has written.
func Remove(s objectstore.Store, gone func(error)) error {
	var t objectstore.Transaction
	t.RmColl(Coll)
	if err := s.Submit(&t, gone); err != nil {
		return fmt.Errorf("remove the bench's objects: %w", err)
	}
	return nil
}
