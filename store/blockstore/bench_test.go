package blockstore_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"glue/ceph"
	"glue/store/blockstore"
	"glue/store/disk"
	"glue/store/objectstore"
)

func cpuTime() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func benchStore(b *testing.B) *blockstore.Store {
	dir := b.TempDir()
	if d := os.Getenv("GLUE_BENCH_DIR"); d != "" {
		dir = d
	}
	o := blockstore.Options{Size: 4 << 30, Preallocate: true}
	if err := blockstore.Format(dir, o); err != nil {
		b.Fatal(err)
	}
	s := mustOpen(b, dir, o)
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
		os.RemoveAll(dir)
	})
	return s
}

// image is a virtual disk of 64 objects of 4 MiB, as librbd names them.
func image(i int) ceph.HObject {
	return ceph.HObject{
		Pool: 1, Name: fmt.Sprintf("rbd_data.10226b8b4567.%016x", i),
		Hash: uint32(i) * 2654435761, Snap: ceph.NoSnap,
	}
}

var benchPG = ceph.SPG{PGID: ceph.PGID{Pool: 1}, Shard: ceph.NoShard}

// vmWrite is what an OSD submits for a small write: data, object info, log entry, PG info.
func vmWrite(i uint64, rng *rand.Rand, data, info []byte) *objectstore.Transaction {
	t := new(objectstore.Transaction)
	o := image(rng.IntN(64))
	t.Write(benchPG, o, rng.Uint64N(1024)*4096, data)
	t.SetAttr(benchPG, o, "_", info[:250])
	t.LogAppend(benchPG, ceph.Eversion{Epoch: 1, Version: i}, info[:200])
	t.PutMeta("pginfo.1.0", info[:300])
	if i > 3000 {
		t.LogTrim(benchPG, ceph.Eversion{Epoch: 1, Version: i - 3000})
	}
	return t
}

func submitWait(b testing.TB, s objectstore.Store, t *objectstore.Transaction) {
	ch := make(chan error, 1)
	if err := s.Submit(t, func(err error) { ch <- err }); err != nil {
		b.Fatal(err)
	}
	if err := <-ch; err != nil {
		b.Fatal(err)
	}
}

func prepare(b testing.TB, s objectstore.Store) {
	t := new(objectstore.Transaction)
	t.MkColl(benchPG)
	submitWait(b, s, t)
	for i := range 64 {
		t := new(objectstore.Transaction)
		t.Write(benchPG, image(i), 0, disk.Aligned(4<<20))
		submitWait(b, s, t)
	}
}

type meter struct {
	cpu   time.Duration
	start time.Time
	c     blockstore.Counters
}

func startMeter(s *blockstore.Store) meter { return meter{cpuTime(), time.Now(), s.Counters()} }

func (m meter) report(b *testing.B, s *blockstore.Store, n int) {
	cpu, c := cpuTime()-m.cpu, s.Counters()
	per := func(v float64) float64 { return v / float64(n) }
	b.ReportMetric(per(float64(cpu.Microseconds())), "µs-cpu/op")
	b.ReportMetric(per(float64(c.Syncs-m.c.Syncs)), "syncs/op")
	b.ReportMetric(per(float64(c.DataBytes+c.JournalBytes+c.DeferBytes-
		m.c.DataBytes-m.c.JournalBytes-m.c.DeferBytes)), "B-written/op")
	b.ReportMetric(float64(n)/time.Since(m.start).Seconds(), "op/s")
	b.ReportMetric(float64(c.Checkpoints-m.c.Checkpoints), "checkpoints")
}

func benchWrite4K(b *testing.B, depth int) {
	s := benchStore(b)
	prepare(b, s)
	rng := rand.New(rand.NewPCG(1, 1))
	data, info := disk.Aligned(4096), make([]byte, 512)
	for i := range data {
		data[i] = byte(i * 7)
	}
	slots := make(chan struct{}, depth)
	var wg sync.WaitGroup
	b.ResetTimer()
	b.ReportAllocs()
	m := startMeter(s)
	for i := range b.N {
		slots <- struct{}{}
		wg.Add(1)
		err := s.Submit(vmWrite(uint64(i+1), rng, data, info), func(error) { <-slots; wg.Done() })
		if err != nil {
			b.Fatal(err)
		}
	}
	wg.Wait()
	m.report(b, s, b.N)
}

func BenchmarkWrite4K(b *testing.B) {
	for _, depth := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(depth), func(b *testing.B) { benchWrite4K(b, depth) })
	}
}

func BenchmarkWrite4M(b *testing.B) {
	s := benchStore(b)
	prepare(b, s)
	data := disk.Aligned(4 << 20)
	slots := make(chan struct{}, 8)
	var wg sync.WaitGroup
	b.SetBytes(4 << 20)
	b.ResetTimer()
	m := startMeter(s)
	for i := range b.N {
		t := new(objectstore.Transaction)
		t.Write(benchPG, image(i%64), 0, data)
		t.LogAppend(benchPG, ceph.Eversion{Epoch: 1, Version: uint64(i + 1)}, data[:200])
		slots <- struct{}{}
		wg.Add(1)
		if err := s.Submit(t, func(error) { <-slots; wg.Done() }); err != nil {
			b.Fatal(err)
		}
	}
	wg.Wait()
	m.report(b, s, b.N)
}

func BenchmarkRead4K(b *testing.B) {
	s := benchStore(b)
	prepare(b, s)
	rng := rand.New(rand.NewPCG(1, 1))
	b.ResetTimer()
	b.ReportAllocs()
	m := startMeter(s)
	for range b.N {
		off := rng.Uint64N(1024) * 4096
		if _, err := s.Read(benchPG, image(rng.IntN(64)), off, 4096); err != nil {
			b.Fatal(err)
		}
	}
	m.report(b, s, b.N)
}

// nullDisk takes writes and forgets them, which leaves the store's own work to be measured.
type nullDisk struct{ disk.File }

func (nullDisk) WriteVec([][]byte, int64) error { return nil }
func (nullDisk) Sync() error                    { return nil }

// BenchmarkSubmit is the store's own CPU time for a small write, without the kernel's.
func BenchmarkSubmit(b *testing.B) {
	sim := disk.NewSim(1 << 30)
	o := blockstore.Options{Disk: sim.Open, KVFS: vfs.NewMem()}
	if err := blockstore.Format("/osd", o); err != nil {
		b.Fatal(err)
	}
	o.Disk = func() (disk.File, error) {
		f, err := sim.Open()
		return nullDisk{f}, err
	}
	s := mustOpen(b, "/osd", o)
	prepare(b, s)
	rng := rand.New(rand.NewPCG(1, 1))
	data, info := disk.Aligned(4096), make([]byte, 512)
	slots := make(chan struct{}, 16)
	b.ResetTimer()
	b.ReportAllocs()
	m := startMeter(s)
	for i := range b.N {
		slots <- struct{}{}
		err := s.Submit(vmWrite(uint64(i+1), rng, data, info), func(error) { <-slots })
		if err != nil {
			b.Fatal(err)
		}
	}
	m.report(b, s, b.N)
	b.StopTimer()
	submitWait(b, s, new(objectstore.Transaction))
	s.Close()
}

// BenchmarkOmap changes keys of 10,000 that an object has, in memory.
func BenchmarkOmap(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	key := func(i uint64) string { return fmt.Sprintf("key %012d", i) }
	set := func(t *objectstore.Transaction, i uint64) {
		t.OmapSet(benchPG, image(0), map[string][]byte{key(i): make([]byte, 100)})
	}
	remove := func(t *objectstore.Transaction, i uint64) {
		t.OmapRm(benchPG, image(0), []string{key(i)})
	}
	for _, c := range []struct {
		name string
		fill func(t *objectstore.Transaction, i int)
	}{
		{"Set", func(t *objectstore.Transaction, _ int) { set(t, rng.Uint64N(10000)) }},
		{"RmOrSet", func(t *objectstore.Transaction, i int) {
			[]func(*objectstore.Transaction, uint64){remove, set}[i%2](t, uint64(i)/2%10000)
		}},
		{"SetAndRm", func(t *objectstore.Transaction, _ int) {
			set(t, rng.Uint64N(10000))
			remove(t, rng.Uint64N(10000))
		}},
		{"Set8", func(t *objectstore.Transaction, _ int) {
			pairs := map[string][]byte{}
			for range 8 {
				pairs[key(rng.Uint64N(10000))] = make([]byte, 100)
			}
			t.OmapSet(benchPG, image(0), pairs)
		}},
	} {
		b.Run(c.name, func(b *testing.B) { benchOmap(b, set, c.fill) })
	}
}

func benchOmap(
	b *testing.B, set func(*objectstore.Transaction, uint64),
	fill func(*objectstore.Transaction, int),
) {
	sim := disk.NewSim(1 << 30)
	o := blockstore.Options{Disk: sim.Open, KVFS: vfs.NewMem(), Size: 1 << 30}
	if err := blockstore.Format("/osd", o); err != nil {
		b.Fatal(err)
	}
	s := mustOpen(b, "/osd", o)
	defer s.Close()
	t := new(objectstore.Transaction)
	t.MkColl(benchPG)
	for i := range uint64(10000) {
		set(t, i)
	}
	submitWait(b, s, t)
	slots := make(chan struct{}, 16)
	b.ResetTimer()
	b.ReportAllocs()
	m := startMeter(s)
	for i := range b.N {
		slots <- struct{}{}
		t := new(objectstore.Transaction)
		fill(t, i)
		if err := s.Submit(t, func(error) { <-slots }); err != nil {
			b.Fatal(err)
		}
	}
	m.report(b, s, b.N)
	b.StopTimer()
}

func BenchmarkRead4M(b *testing.B) {
	s := benchStore(b)
	prepare(b, s)
	b.SetBytes(4 << 20)
	b.ResetTimer()
	m := startMeter(s)
	for i := range b.N {
		if _, err := s.Read(benchPG, image(i%64), 0, 0); err != nil {
			b.Fatal(err)
		}
	}
	m.report(b, s, b.N)
}
