package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var stallKills = flag.Int("stall.kills", 8, "how many OSDs TestKillStall kills")

// A stopwatch is python/stall.py at work.
type stopwatch struct {
	in   io.Writer
	out  *bufio.Scanner
	kill func() error
}

type stall struct {
	Requests int
	Longest  float64 // seconds
	What     string
}

func (c *cluster) stopwatch(t *testing.T, pool string) *stopwatch {
	t.Helper()
	cmd := c.command(context.Background(), "/usr/bin/python3",
		filepath.Join(root(), "conformance", "python", "stall.py"), pool)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return &stopwatch{in, bufio.NewScanner(out), cmd.Process.Kill}
}

// lap is what the requests since the last lap took, of each worker until one that begins now.
func (s *stopwatch) lap(t *testing.T) (l stall) {
	t.Helper()
	defer time.AfterFunc(commandLimit, func() { s.kill() }).Stop()
	fmt.Fprintln(s.in)
	if !s.out.Scan() {
		t.Fatalf("the stop-watch ended: %v", s.out.Err())
	}
	if err := json.Unmarshal(s.out.Bytes(), &l); err != nil || l.Requests == 0 {
		t.Fatalf("the stop-watch: %v: %s", err, s.out.Text())
	}
	return l
}

// TestKillStall: an OSD that is killed holds clients up for at most a second. All OSDs have a copy
// of everything, so each kill hits primaries and other copies. What counts is the median of the
// kills: a busy machine may be slow once.
func TestKillStall(t *testing.T) {
	c := startFor(t, "--split")
	h := &thrasher{t: t, cluster: c}
	c.clean(t)
	watch := c.stopwatch(t, "rbd")
	watch.lap(t)
	var kills []float64
	for i := range *stallKills {
		time.Sleep(time.Second)
		before := watch.lap(t)
		name := osdName(i % 3)
		c.kill9(t, name)
		waitFor(t, name+" is down", func() bool {
			out, err := c.run("ceph", "osd", "tree", "down")
			return err == nil && strings.Contains(out, name)
		})
		time.Sleep(300 * time.Millisecond)
		killed := watch.lap(t)
		h.start(name)
		waitFor(t, name+" is up", func() bool {
			out, err := c.run("ceph", "osd", "stat")
			return err == nil && strings.Contains(out, "3 up")
		})
		c.clean(t)
		back := watch.lap(t)
		kills = append(kills, killed.Longest)
		t.Logf("%s killed: longest request %.3f s (%s); before %.3f s, when it came back %.3f s "+
			"(%s); %d requests", name, killed.Longest, killed.What, before.Longest, back.Longest,
			back.What, before.Requests+killed.Requests+back.Requests)
	}
	slices.Sort(kills)
	median := kills[len(kills)/2]
	t.Logf("the longest request of each of %d kills: %.3f s, median %.3f s", len(kills), kills,
		median)
	if median > 1 {
		t.Errorf("a killed OSD holds clients up for %.3f s, the median of %.3f", median, kills)
	}
}
