package conformance

import (
	"flag"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var thrashStock = flag.String("thrash.stock", "", "folder of a real Ceph cluster of one monitor "+
	"and six OSDs, as python/damage.py takes it, for TestThrashStock to torment")

// onStock are the torments that a cluster of one monitor survives, and for which Ceph needs no more
// than seconds.
var onStock = []string{"kill", "revive", "pause", "out", "in", "reweight", "affinity", "scrub",
	"down", "crushweight", "upmap", "rmupmap", "balancer"}

// TestThrashStock torments a real cluster under the client that torments of ours are under: what
// the client holds against it would be the client's fault, or Ceph's.
func TestThrashStock(t *testing.T) {
	if *thrashStock == "" {
		t.Skip("torments a real cluster; -thrash.stock names its folder")
	}
	need(t, "fio")
	dir, err := filepath.Abs(*thrashStock)
	if err != nil {
		t.Fatal(err)
	}
	seed := *thrashSeed
	if seed == 0 {
		seed = time.Now().UnixNano()
	}
	t.Logf("-thrash.seed=%d", seed)
	h := newThrasher(t, &cluster{conf: filepath.Join(dir, "ceph.conf"), dir: dir,
		tmp: t.TempDir()}, 6, seed)
	h.words = func(kind, id string) []string {
		return []string{"ceph-" + kind, "-f", "-c", h.conf, "-i", id}
	}
	h.ceph("osd", "pool", "create", "rbd", "16")
	h.must(t, "rbd", "pool", "init", "rbd")
	h.thrash(slices.DeleteFunc(chosen(), func(m torment) bool {
		return !slices.Contains(onStock, m.name)
	}), seed)
}
