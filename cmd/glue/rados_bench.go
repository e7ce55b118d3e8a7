package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
)

// benchMeta is the object in which a benchmark says what it has written, for seq, rand and
// cleanup; its content is the stock tool's.
const (
	benchMeta   = "benchmark_last_metadata"
	benchPrefix = "benchmark_data"
)

// benchFlags are the flags of glue rados bench and cleanup.
type benchFlags struct {
	concurrent int
	maxObjects int
	noCleanup  bool
	runName    string
	prefix     string
	noVerify   bool
}

func (r *radosRun) benchFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVarP(&r.bench.concurrent, "concurrent-ios", "t", 16, "operations under way at a time")
	f.IntVar(&r.bench.maxObjects, "max-objects", 0, "stop after so many objects")
	f.BoolVar(&r.bench.noCleanup, "no-cleanup", false, "leave the objects for seq and rand")
	f.StringVar(&r.bench.runName, "run-name", benchMeta, "object that describes the run")
	f.BoolVar(&r.bench.noVerify, "no-verify", false, "do not check what is read")
}

func (r *radosRun) cleanupFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.bench.runName, "run-name", benchMeta, "object that describes the run")
	f.StringVar(&r.bench.prefix, "prefix", "", "remove the objects that start so")
	f.IntVarP(&r.bench.concurrent, "concurrent-ios", "t", 16, "operations under way at a time")
}

// A benchRecord is what the metadata object says.
type benchRecord struct {
	objectBytes uint64
	ops         int32
	pid         int32
	opBytes     uint64
}

// Denc is the stock tool's format.
func (b *benchRecord) Denc(c *denc.Coder) {
	c.U64(&b.objectBytes)
	c.I32(&b.ops)
	c.I32(&b.pid)
	c.U64(&b.opBytes)
}

func benchObject(pid int32, i int) (string, error) {
	host, err := os.Hostname()
	return fmt.Sprintf("%s_%s_%d_object%d", benchPrefix, host, pid, i), err
}

func (r *radosRun) runBench(ctx context.Context, args []string) error {
	seconds, err := strconv.Atoi(args[0])
	if err != nil || seconds < 1 {
		return fmt.Errorf("%q is not a number of seconds", args[0])
	}
	x, err := r.openIO(ctx)
	if err != nil {
		return err
	}
	limit := time.Duration(seconds) * time.Second
	switch args[1] {
	case "write":
		return r.benchWrite(ctx, x, limit)
	case "seq", "rand":
		return r.benchRead(ctx, x, limit, args[1] == "rand")
	}
	return fmt.Errorf("%q is not a benchmark: write, seq or rand", args[1])
}

// benchBody is what the i-th object holds: a mark and a zero, then only z, as the stock tool
// writes it and checks it.
func benchBody(buf []byte, i int) []byte {
	copy(buf, fmt.Sprintf("I'm the %16dth op!\x00", i))
	return buf
}

func (r *radosRun) benchWrite(ctx context.Context, x *rados.IOCtx, limit time.Duration) error {
	size := uint64(r.opBytes)
	pid := int32(os.Getpid())
	first, err := benchObject(pid, 0)
	if err != nil {
		return err
	}
	r.printf("hints = 1\nMaintaining %d concurrent writes of %d bytes to objects of size %d "+
		"for up to %d seconds or %d objects\n", r.bench.concurrent, size, size,
		int(limit.Seconds()), r.bench.maxObjects)
	r.printf("Object prefix: %s\n", strings.TrimSuffix(first, "_object0"))
	m := newMeter(r, "write", size, limit)
	bufs := sync.Pool{New: func() any {
		b := bytes.Repeat([]byte{'z'}, int(size))
		return &b
	}}
	runErr := m.run(ctx, r.bench.concurrent, r.bench.maxObjects, func(i int) error {
		buf := bufs.Get().(*[]byte)
		defer bufs.Put(buf)
		name, err := benchObject(pid, i)
		if err != nil {
			return err
		}
		return x.Operate(ctx, name, new(rados.WriteOp).AllocHint(size, size, 0).
			Write(benchBody(*buf, i), 0))
	})
	m.report("write", "Write", "writes")
	record := benchRecord{objectBytes: size, ops: int32(m.finished), pid: pid, opBytes: size}
	ctx = context.WithoutCancel(ctx)
	err = x.WriteFull(ctx, r.bench.runName, denc.Marshal(&record, ceph.FeaturesAll))
	if err != nil {
		return errors.Join(runErr, fmt.Errorf("record the run in %s: %w", r.bench.runName, err))
	}
	if r.bench.noCleanup {
		return runErr
	}
	r.printf("Cleaning up (deleting benchmark objects)\n")
	return errors.Join(runErr, r.cleanRun(ctx, x, r.bench.runName))
}

func (r *radosRun) record(ctx context.Context, x *rados.IOCtx, name string) (benchRecord, error) {
	var b benchRecord
	raw, err := x.Read(ctx, name, 0, 0)
	if errors.Is(err, ceph.ENOENT) {
		return b, fmt.Errorf("pool %s has no data of a benchmark (no object %s): write some "+
			"with: glue rados -p %s bench 10 write --no-cleanup: %w", r.pool, name, r.pool, err)
	}
	if err != nil {
		return b, err
	}
	if err := denc.Unmarshal(raw, &b, ceph.FeaturesAll); err != nil {
		return b, fmt.Errorf("object %s does not describe a benchmark: %w", name, err)
	}
	if b.objectBytes == 0 || b.opBytes == 0 || b.opBytes > b.objectBytes {
		return b, fmt.Errorf("object %s does not describe a benchmark", name)
	}
	return b, nil
}

func (r *radosRun) benchRead(
	ctx context.Context, x *rados.IOCtx, limit time.Duration, random bool,
) error {
	rec, err := r.record(ctx, x, r.bench.runName)
	if err != nil {
		return err
	}
	r.printf("hints = 1\n")
	m := newMeter(r, "read", rec.opBytes, limit)
	most := int(rec.ops)
	if random {
		most = 0
	}
	per := int(rec.objectBytes / rec.opBytes)
	err = m.run(ctx, r.bench.concurrent, most, func(i int) error {
		if random {
			i = rand.IntN(int(max(rec.ops, 1)))
		}
		name, err := benchObject(rec.pid, i/per)
		if err != nil {
			return err
		}
		data, err := x.Read(ctx, name, uint64(i%per)*rec.opBytes, rec.opBytes)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		want := fmt.Sprintf("I'm the %16dth op!", i)
		if !r.bench.noVerify && !strings.HasPrefix(string(data[:min(len(data), 64)]), want) {
			return fmt.Errorf("object %s does not hold what the benchmark wrote", name)
		}
		return nil
	})
	m.report("read", "Read", "reads")
	return err
}

func (r *radosRun) cleanup(ctx context.Context, _ []string) error {
	x, err := r.openIO(ctx)
	if err != nil {
		return err
	}
	if r.bench.prefix == "" {
		return r.cleanRun(ctx, x, r.bench.runName)
	}
	if !strings.HasPrefix(r.bench.prefix, benchPrefix) {
		return fmt.Errorf("prefix %q: only %s and what begins so can be cleaned up",
			r.bench.prefix, benchPrefix)
	}
	var names []string
	for o, err := range x.List(ctx) {
		if err != nil {
			return err
		}
		if strings.HasPrefix(o.Name, r.bench.prefix) {
			names = append(names, o.Name)
		}
	}
	return r.removeAll(ctx, x, names)
}

// cleanRun removes the objects of the run that a metadata object describes, and that object.
func (r *radosRun) cleanRun(ctx context.Context, x *rados.IOCtx, meta string) error {
	rec, err := r.record(ctx, x, meta)
	if err != nil {
		return err
	}
	per := int32(rec.objectBytes / rec.opBytes)
	var names []string
	for i := range (rec.ops + per - 1) / per {
		name, err := benchObject(rec.pid, int(i))
		if err != nil {
			return err
		}
		names = append(names, name)
	}
	if err := r.removeAll(ctx, x, names); err != nil {
		return err
	}
	return x.Remove(ctx, meta)
}

func (r *radosRun) removeAll(ctx context.Context, x *rados.IOCtx, names []string) error {
	begun := time.Now()
	var next, removed atomic.Int64
	errs := make(chan error, r.bench.concurrent)
	for range r.bench.concurrent {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(names) {
					errs <- nil
					return
				}
				err := x.Remove(ctx, names[i])
				switch {
				case err == nil:
					removed.Add(1)
				case !errors.Is(err, ceph.ENOENT):
					errs <- fmt.Errorf("remove %s: %w", names[i], err)
					return
				}
			}
		}()
	}
	var err error
	for range r.bench.concurrent {
		err = errors.Join(err, <-errs)
	}
	r.printf("Removed %d objects\n", removed.Load())
	r.printf("Clean up completed and total clean up time :%.6g\n", time.Since(begun).Seconds())
	return err
}

// stddev is the deviation of the mean of squares.
func stddev(sum, squares float64, n int) float64 {
	if n < 2 {
		return 0
	}
	mean := sum / float64(n)
	return math.Sqrt(max(0, (squares-float64(n)*mean*mean)/float64(n-1)))
}
