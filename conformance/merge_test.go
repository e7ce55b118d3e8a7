package conformance

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// mergeLimit is for 16 merges of PGs; it takes 12 to 18 s on two quiet cores, and Ceph 16.2 100 s.
const mergeLimit = 90 * time.Second

// TestMergeWithSnapshots: a pool whose snapshots come and go all the time shrinks, and these are
// purged meanwhile: each of them changes the pool, which once held every merge up.
func TestMergeWithSnapshots(t *testing.T) {
	t.Parallel()
	// All PGs are trimmed at once: else each waits for its turn longer than the merges take.
	c := startFor(t, "--osd-size", "2G", "--set", "osd_max_trimming_pgs=32")
	c.must(t, "ceph", "osd", "pool", "create", "m", "32", "32")
	c.must(t, "ceph", "osd", "pool", "set", "m", "pg_autoscale_mode", "off")
	c.must(t, "ceph", "osd", "pool", "application", "enable", "m", "rbd")
	c.must(t, "rbd", "create", "--size", "64M", "--object-size", "64K", "m/d")
	c.must(t, "rbd", "bench", "--io-type", "write", "--io-size", "64K", "--io-total", "64M", "m/d")
	time.Sleep(6 * time.Second) // the manager knows how many objects there are
	var wg sync.WaitGroup
	stop, made := make(chan struct{}), 0
	// Trimming is throttled: with what a fast machine makes without a pause it never keeps up.
	pace := time.NewTicker(500 * time.Millisecond)
	defer pace.Stop()
	wg.Go(func() {
		for ; ; made++ {
			select {
			case <-stop:
				c.run("rbd", "snap", "purge", "m/d")
				return
			case <-pace.C:
			}
			c.run("rbd", "snap", "create", "--no-progress", fmt.Sprintf("m/d@s%d", made))
			c.run("rbd", "bench", "--io-type", "write", "--io-pattern", "rand", "--io-size", "4K",
				"--io-total", "256K", "m/d")
			if made >= 2 {
				c.run("rbd", "snap", "rm", "--no-progress", fmt.Sprintf("m/d@s%d", made-2))
			}
		}
	})
	begin, first, purged := time.Now(), "", 0
	c.must(t, "ceph", "osd", "pool", "set", "m", "pg_num", "16")
	for ; ; time.Sleep(200 * time.Millisecond) {
		out := c.must(t, "ceph", "osd", "pool", "ls", "detail")
		if strings.Contains(out, "'m' ") && strings.Contains(out, " pg_num 16 pgp_num 16 ") &&
			!strings.Contains(out, "_target ") {
			break
		}
		was := first
		_, queue, _ := strings.Cut(out, "removed_snaps_queue [")
		if first, _, _ = strings.Cut(queue, "~"); was != "" && was != first {
			purged++ // the oldest that is removed is another now
		}
		if time.Since(begin) > mergeLimit {
			t.Fatalf("16 PGs are not reached in %v:\n%s", mergeLimit, out)
		}
	}
	took := time.Since(begin)
	close(stop)
	wg.Wait()
	waitFor(t, "all snapshots purged", func() bool {
		return !strings.Contains(c.must(t, "ceph", "osd", "pool", "ls", "detail"),
			"removed_snaps_queue")
	})
	t.Logf("32 to 16 PGs in %.1f s, with %d snapshots made meanwhile; some were purged %d times",
		took.Seconds(), made, purged)
	if made < 3 || made > 6 && purged == 0 {
		t.Errorf("%d snapshots were made, and purged %d times while PGs were merged", made, purged)
	}
	if err := c.waitClean(time.Minute); err != nil {
		t.Error(err)
	}
}
