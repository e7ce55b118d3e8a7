package osd

import (
	"errors"
	"fmt"
	"time"

	"glue/ceph"
	"glue/internal/admin"
	"glue/store/objectstore"
)

// benchColl is the collection of "tell osd.N bench", which is no PG.
var benchColl = ceph.SPG{PGID: ceph.PGID{Pool: -3}, Shard: ceph.NoShard}

// Limits of a bench: what it may write, and how much at once.
const (
	benchBytes    = 1 << 30
	benchBlock    = 4 << 20
	benchMaxBlock = 64 << 20
	benchDepth    = 16
)

// cmdBench writes objects straight into the store, waits until they are durable, and removes them.
func (d *Daemon) cmdBench(args admin.Args) (any, error) {
	total, err := args.Int("count", benchBytes)
	if err != nil {
		return nil, err
	}
	size, err := args.Int("size", benchBlock)
	if err != nil {
		return nil, err
	}
	if size < 1 || size > benchMaxBlock || total < size || total > 16*benchBytes {
		return nil, fmt.Errorf("block size up to %d and a total up to %d: %w", benchMaxBlock,
			int64(16*benchBytes), ceph.EINVAL)
	}
	if !d.benching.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("a bench is running: %w", ceph.EBUSY)
	}
	defer d.benching.Store(false)
	took, err := d.bench(total, size)
	if err = errors.Join(err, d.removeBench()); err != nil {
		return nil, err
	}
	secs := took.Seconds()
	return struct {
		Bytes int64   `json:"bytes_written"`
		Block int64   `json:"blocksize"`
		Secs  float64 `json:"elapsed_sec"`
		Rate  float64 `json:"bytes_per_sec"`
		IOPS  float64 `json:"iops"`
	}{total, size, secs, float64(total) / secs, float64(total/size) / secs}, nil
}

func (d *Daemon) bench(total, size int64) (time.Duration, error) {
	var mk objectstore.Transaction
	mk.MkColl(benchColl)
	if err := d.store.Submit(&mk, d.storeDone); err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i * 7)
	}
	done := make(chan error, benchDepth)
	start := time.Now()
	flying := 0
	var failed error
	wait := func() {
		failed = errors.Join(failed, <-done)
		flying--
	}
	for n := int64(0); n < total/size && failed == nil; n++ {
		t := &objectstore.Transaction{}
		t.Write(benchColl, ceph.HObject{Pool: -3, Name: fmt.Sprint(n), Hash: uint32(n)}, 0, data)
		if err := d.store.Submit(t, func(err error) { done <- err }); err != nil {
			failed = err
			break
		}
		if flying++; flying == benchDepth {
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

func (d *Daemon) removeBench() error {
	var t objectstore.Transaction
	t.RmColl(benchColl)
	if err := d.store.Submit(&t, d.storeDone); err != nil {
		return fmt.Errorf("remove the bench's objects: %w", err)
	}
	return nil
}
