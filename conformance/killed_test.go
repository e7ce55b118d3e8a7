package conformance

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

var killedRounds = flag.Int("killed.rounds", 1, "how often each client of an image is killed")

// TestKilledClients: stock clients of images with object maps are killed in the middle of writes,
// discards and snapshots (python/killed.py).
func TestKilledClients(t *testing.T) {
	t.Parallel()
	must(t, "ceph", "osd", "pool", "create", "killed", "8")
	defer shared.run("ceph", "osd", "pool", "rm", "killed", "killed",
		"--yes-i-really-really-mean-it")
	must(t, "rbd", "pool", "init", "killed")
	shared.python(t, "killed.py", "killed", "4", fmt.Sprint(*killedRounds), fmt.Sprint(os.Getpid()))
}
