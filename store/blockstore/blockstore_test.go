package blockstore_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"glue/store/blockstore"
	"glue/store/disk"
	"glue/store/objectstore"
	"glue/store/storetest"
)

// randomOptions draws what may differ between stores.
func randomOptions(rng *rand.Rand) blockstore.Options {
	return blockstore.Options{
		Size: 128 << 20, JournalBytes: []int64{4 << 20, 8 << 20, 32 << 20}[rng.IntN(3)],
		OnodeCacheBytes: []int64{1, 100 << 10, 8 << 20}[rng.IntN(3)],
		KVCacheBytes:    1 << 20,
		MemTableBytes:   []uint64{256 << 10, 4 << 20}[rng.IntN(2)],
		DeferBytes:      []int64{1, 64 << 10, 4 << 20}[rng.IntN(3)],
		LogWriteBlocks:  []int{1, 4, 16}[rng.IntN(3)],
	}
}

func mustOpen(t testing.TB, dir string, o blockstore.Options) *blockstore.Store {
	t.Helper()
	s, err := blockstore.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func fsck(t testing.TB, s objectstore.Store) {
	t.Helper()
	r, err := s.(*blockstore.Store).Fsck(context.Background(), true)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range r.Errors {
		t.Error(e)
	}
}

// On a simulated disk, with options drawn at random.
func TestConformance(t *testing.T) {
	conform(t, func(_ testing.TB, o *blockstore.Options) string {
		sim := disk.NewSim(o.Size)
		o.Disk, o.KVFS = sim.Open, vfs.NewMem()
		return "/osd"
	})
}

// On real files, where direct IO has its own demands.
func TestConformanceOnFiles(t *testing.T) {
	conform(t, func(t testing.TB, _ *blockstore.Options) string { return t.TempDir() })
}

// conform runs the suite on stores in the places that place chooses.
func conform(t *testing.T, place func(testing.TB, *blockstore.Options) string) {
	opts := map[objectstore.Store]blockstore.Options{}
	dirs := map[objectstore.Store]string{}
	storetest.Run(t, storetest.Target{
		New: func(t testing.TB, rng *rand.Rand) objectstore.Store {
			o := randomOptions(rng)
			dir := place(t, &o)
			if err := blockstore.Format(dir, o); err != nil {
				t.Fatal(err)
			}
			s := mustOpen(t, dir, o)
			opts[s], dirs[s] = o, dir
			return s
		},
		Reopen: func(t testing.TB, s objectstore.Store, rng *rand.Rand) objectstore.Store {
			o := opts[s]
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			n := randomOptions(rng)
			n.Disk, n.KVFS = o.Disk, o.KVFS
			reopened := mustOpen(t, dirs[s], n)
			opts[reopened], dirs[reopened] = n, dirs[s]
			return reopened
		},
		Check: fsck,
	})
}

// On a real file.
func TestFile(t *testing.T) {
	dir := t.TempDir()
	o := blockstore.Options{Size: 64 << 20, Label: "osd.0 of some cluster"}
	if err := blockstore.Format(dir, o); err != nil {
		t.Fatal(err)
	}
	if err := blockstore.Format(dir, o); !errors.Is(err, blockstore.ErrFormatted) {
		t.Fatalf("formatted twice: %v", err)
	}
	s := mustOpen(t, dir, o)
	if _, err := blockstore.Open(dir, o); !errors.Is(err, disk.ErrLocked) {
		t.Fatalf("second opener: %v", err)
	}
	gen := storetest.NewGenerator(rand.New(rand.NewPCG(1, 2)), s, storetest.GeneratorOptions{})
	for range 300 {
		if err := s.Submit(gen.Next(), nil); err != nil {
			continue // the generator draws some that must fail
		}
	}
	fsck(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir, o)
	fsck(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
