package disk_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"glue/store/disk"
)

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "block")
	f, err := disk.Create(path, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Open(path); !errors.Is(err, disk.ErrLocked) {
		t.Fatalf("second opener: %v", err)
	}
	if _, err := disk.Create(path, 1<<20); err == nil {
		t.Fatal("created over an existing file")
	}
	a, b := disk.Aligned(4096), disk.Aligned(8192)
	a[5], b[8000] = 1, 2
	err = errors.Join(f.Reserve(0, 65536), f.WriteVec([][]byte{a, b}, 8192), f.Sync())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if f, err = disk.Open(path); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make([]byte, 12288)
	if err := f.ReadAt(got, 8192); err != nil || !bytes.Equal(got, append(a, b...)) {
		t.Fatalf("read back: %v", err)
	}
	if f.Size() != 1<<20 || f.ReadAt(got, 1<<20-4096) == nil {
		t.Fatal("read past the end succeeded")
	}
}

// A crash keeps what was synced and some part of the rest.
func TestSimCrash(t *testing.T) {
	d := disk.NewSim(1 << 16)
	one := bytes.Repeat([]byte{1}, 4096)
	two := bytes.Repeat([]byte{2}, 4096)
	if err := errors.Join(d.WriteVec([][]byte{one}, 0), d.Sync(),
		d.WriteVec([][]byte{two}, 0), d.WriteVec([][]byte{two}, 4096)); err != nil {
		t.Fatal(err)
	}
	seen := map[byte]bool{}
	for seed := range uint64(200) {
		c := d.Crash(rand.New(rand.NewPCG(seed, 1)))
		got := make([]byte, 8192)
		if err := c.ReadAt(got, 0); err != nil {
			t.Fatal(err)
		}
		for i, v := range got {
			if v > 2 || i < 4096 && v == 0 || i >= 4096 && v == 1 {
				t.Fatalf("byte %d is %d", i, v)
			}
			seen[v] = true
		}
	}
	if len(seen) != 3 {
		t.Fatalf("crashes showed only %v", seen)
	}
}
