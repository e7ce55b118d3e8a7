package rbd_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"glue/ceph"
	"glue/client/rbd"
	"glue/cluster/rbdspec"
)

// TestMigrationIsStopped stops every step of migrations over and over, at any request, and goes on
// with another call, as the manager after a failover does. The image and its snapshots have to be
// what they were, with the writes between preparing and the step that is stopped, and the
// other end has to be gone.
func TestMigrationIsStopped(t *testing.T) {
	c := connect(t)
	s := store(t, c)
	for n, end := range []string{"commit", "abort", "abort executed"} {
		t.Run(end, func(t *testing.T) { stopMigration(t, s, fmt.Sprint("i", n), end) })
	}
}

// prepared makes an image with snapshots and prepares its migration with the stock client, which
// then writes to it. It returns what the image and the snapshots hold.
func prepared(
	t *testing.T, ctx context.Context, s *rbd.Store, name string, seed uint64,
) (model []byte, snaps [][]byte) {
	const size = 6 << 20
	if err := s.Create(ctx, name, rbd.CreateOptions{Size: size, Order: 17}); err != nil {
		t.Fatal(err)
	}
	dice := rand.New(rand.NewPCG(7, seed))
	model = make([]byte, size)
	i := open(t, s, name)
	change := func() {
		for range 20 {
			p := make([]byte, 1+dice.IntN(300_000))
			for k := range p {
				p[k] = byte(dice.Uint32())
			}
			at := dice.IntN(size - len(p))
			copy(model[at:], p)
			if _, err := i.Write(ctx, p, int64(at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for n := range 3 {
		change()
		if err := i.CreateSnapshot(ctx, fmt.Sprint("s", n)); err != nil {
			t.Fatal(err)
		}
		snaps = append(snaps, append([]byte(nil), model...))
	}
	change()
	if err := i.Close(ctx); err != nil {
		t.Fatal(err)
	}
	pool := s.IO().PoolName()
	stock(t, s, "migration", "prepare", "--object-size", "256K", pool+"/"+name, pool+"/to-"+name)
	stock(t, s, "bench", "--io-type", "write", "--io-size", "4K", "--io-total", "64K",
		"--io-pattern", "rand", "to-"+name)
	file := filepath.Join(t.TempDir(), "now")
	stock(t, s, "export", "to-"+name, file)
	now, err := os.ReadFile(file)
	if err != nil || copy(model, now) != size {
		t.Fatalf("%d bytes exported: %v", len(now), err)
	}
	return model, snaps
}

func stopMigration(t *testing.T, s *rbd.Store, name, end string) {
	ctx := within(t, 5*time.Minute)
	model, snaps := prepared(t, ctx, s, name, uint64(len(end)))
	if end != "abort" {
		stopped(t, s, "to-"+name, s.MigrationExecute)
	}
	left, gone := "to-"+name, name
	if end == "commit" {
		stopped(t, s, left, s.MigrationCommit)
	} else {
		left, gone = name, left
		stopped(t, s, gone, s.MigrationAbort)
	}
	i := open(t, s, left)
	verify(t, i, model)
	if err := i.Close(ctx); err != nil {
		t.Fatal(err)
	}
	for n, want := range snaps {
		old, err := s.OpenSnapshot(ctx, left, fmt.Sprint("s", n))
		if err != nil {
			t.Fatal(err)
		}
		verify(t, old, want)
		if err := old.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
	checkMapFor(t, s, left, anyMap)
	if _, err := s.Open(ctx, gone, true); !errors.Is(err, ceph.ENOENT) {
		t.Errorf("the other end: %v", err)
	}
	list, err := s.TrashList(ctx)
	if err != nil || len(list) > 0 {
		t.Errorf("in the trash: %v %v", list, err)
	}
}

// stopped does a step with an end to its time that comes later and later, until it is done.
func stopped(
	t *testing.T, s *rbd.Store, name string,
	step func(context.Context, string, rbd.Progress) error,
) {
	t.Helper()
	for patience := 2 * time.Millisecond; ; patience += patience / 4 {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err := step(ctx, name, nil)
		cancel()
		switch {
		case err == nil:
			return
		case errors.Is(err, context.DeadlineExceeded):
		case errors.Is(err, ceph.EINVAL) || errors.Is(err, ceph.ENOENT):
			// The call before was done, and stopped when it wanted to say so.
			m, e := s.Migration(context.Background(), name)
			if e == nil && m.State != rbdspec.MigrationExecuted {
				t.Fatalf("it is in state %d, and yet: %v", m.State, err)
			}
			return
		default:
			t.Fatal(err)
		}
		if patience > time.Minute {
			t.Fatal(err)
		}
	}
}
