package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	monsLong = flag.Bool("mons.long", false, "monitors: five of them, and more rounds")
	monsSoak = flag.Duration("mons.soak", 0, "monitors: how long to kill and restart them")
)

// A monLoop is commands and writes that go on while a test does something to the monitors.
type monLoop struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   bytes.Buffer
	errs  bytes.Buffer
}

// clockTime is a time of day as the daemons' logs have it.
const clockTime = "15:04:05.000"

// A loopResult is what python/mon_loop.py prints.
type loopResult struct {
	Commands int      `json:"commands"`
	Writes   int      `json:"writes"`
	Gap      float64  `json:"gap"`
	GapAt    float64  `json:"gap_at"`
	WriteGap float64  `json:"write_gap"`
	Errors   []string `json:"errors"`
	// Gaps are those of more than 4 s, with when each ended in Unix seconds.
	Gaps [][2]float64 `json:"gaps"`
	Late float64      `json:"late"` // by how much the machine woke a thread too late
}

func (c *cluster) loop(t *testing.T) *monLoop {
	t.Helper()
	l := &monLoop{}
	l.cmd = c.command(context.Background(), "/usr/bin/python3",
		filepath.Join(root(), "conformance", "python", "mon_loop.py"), c.conf, "rbd")
	in, err := l.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	l.stdin, l.cmd.Stdout, l.cmd.Stderr = in, &l.out, &l.errs
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.cmd.Process.Kill() })
	return l
}

// end stops the loop and checks that nothing that was acknowledged is lost.
func (l *monLoop) end(t *testing.T) loopResult {
	t.Helper()
	l.stdin.Close()
	kill := time.AfterFunc(time.Minute, func() { l.cmd.Process.Kill() })
	defer kill.Stop()
	err := l.cmd.Wait()
	var r loopResult
	if err = errorsJoin(err, json.Unmarshal(l.out.Bytes(), &r)); err != nil {
		t.Fatalf("the loop of commands and writes: %v\n%s%s", err, l.out.String(),
			l.errs.String())
	}
	for _, e := range r.Errors {
		t.Errorf("loop: %s", e)
	}
	if r.Commands == 0 || r.Writes == 0 {
		t.Errorf("%d commands and %d writes were made", r.Commands, r.Writes)
	}
	t.Logf("%d commands, longest gap %.2f s; %d writes, longest gap %.2f s", r.Commands, r.Gap,
		r.Writes, r.WriteGap)
	for _, g := range r.Gaps {
		t.Logf("no command was answered for %.1f s up to %v", g[0],
			time.UnixMilli(int64(g[1]*1000)).Format(clockTime))
	}
	t.Logf("a thread of the loop was woken up to %.2f s late", r.Late)
	return r
}

func errorsJoin(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

type quorumStatus struct {
	Names  []string `json:"quorum_names"`
	Leader string   `json:"quorum_leader_name"`
	Map    struct {
		Mons []struct {
			Name string `json:"name"`
		} `json:"mons"`
	} `json:"monmap"`
}

func (c *cluster) quorum(t *testing.T) quorumStatus {
	t.Helper()
	var q quorumStatus
	if err := json.Unmarshal([]byte(c.must(t, "ceph", "quorum_status")), &q); err != nil {
		t.Fatal(err)
	}
	return q
}

// waitQuorum waits until exactly these monitors are in the map and in the quorum.
func (c *cluster) waitQuorum(t *testing.T, names ...string) {
	t.Helper()
	waitFor(t, "quorum of "+strings.Join(names, ","), func() bool {
		q := c.quorum(t)
		slices.Sort(q.Names)
		return slices.Equal(q.Names, names) && len(q.Map.Mons) == len(names)
	})
}

func (c *cluster) mustGlue(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.glue(args...)
	if err != nil {
		t.Fatalf("glue %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// TestMonitorsGrowAndShrink goes from one monitor to three and back to one under commands and
// writes; with -mons.long to five, and each one that is removed leads.
func TestMonitorsGrowAndShrink(t *testing.T) {
	c := startFor(t, "--split")
	l := c.loop(t)
	all := []string{"a", "b", "c"}
	c.mustGlue(t, "up", "--data", c.dir, "--detach", "--mons", "3")
	c.waitQuorum(t, all...)
	if *monsLong {
		all = append(all, "d", "e")
		c.mustGlue(t, "up", "--data", c.dir, "--detach", "--mons", "5")
		c.waitQuorum(t, all...)
	}
	has(t, c.must(t, "ceph", "health"), "HEALTH_OK")
	for len(all) > 1 {
		leader := c.quorum(t).Leader
		gone := leader
		if !*monsLong {
			gone = all[slices.IndexFunc(all, func(n string) bool { return n != leader })]
		}
		c.must(t, "ceph", "mon", "ok-to-rm", gone)
		c.must(t, "ceph", "mon", "rm", gone)
		all = slices.DeleteFunc(all, func(n string) bool { return n == gone })
		c.waitQuorum(t, all...)
		proc := fmt.Sprintf("/proc/%d/exe", c.pid(t, "mon."+gone))
		waitFor(t, "mon."+gone+" has ended", func() bool {
			_, err := os.Readlink(proc)
			return err != nil
		})
	}
	r := l.end(t)
	if r.Gap > 6 {
		t.Errorf("no command was answered for %.1f s", r.Gap)
	}
	has(t, c.must(t, "ceph", "mon", "stat"), ": 1 mons at")
	fail, err := c.exec("", "ceph", "mon", "rm", all[0])
	if err != nil || fail.code != 22 {
		t.Errorf("removal of the last monitor: %v %+v", err, fail)
	}
	// What was removed is not started again, and the cluster comes back as it was.
	c.mustGlue(t, "down", "--data", c.dir)
	c.up(t)
	has(t, c.must(t, "ceph", "-s"), "mon: 1 daemons", "HEALTH_OK")
}

// TestMonitorFailover kills the leader under commands and writes. Each monitor answers tell.
func TestMonitorFailover(t *testing.T) {
	c := startFor(t, "--split", "--mons", "3")
	for _, n := range []string{"a", "b", "c"} {
		has(t, c.must(t, "ceph", "tell", "mon."+n, "mon_status"), `"name": "`+n+`"`)
	}
	has(t, c.must(t, "ceph", "tell", "mon.*", "version"), "mon.a: ", "mon.b: ", "mon.c: ")
	rounds := 1
	if *monsLong {
		rounds = 10
	}
	for range rounds {
		l := c.loop(t)
		time.Sleep(time.Second) // the loop has to be under way
		gone := c.quorum(t).Leader
		c.kill9(t, "mon."+gone)
		waitFor(t, "another leads", func() bool { return c.quorum(t).Leader != gone })
		waitFor(t, "the health tells", func() bool {
			return strings.Contains(c.must(t, "ceph", "health", "detail"),
				"MON_DOWN: 1/3 mons down, quorum ")
		})
		has(t, c.must(t, "ceph", "health", "detail"), "mon."+gone+" (rank ",
			"is down (out of quorum)")
		if r := l.end(t); r.Gap > 3 {
			t.Errorf("no command was answered for %.2f s after the leader died", r.Gap)
		}
		c.up(t)
		c.waitQuorum(t, "a", "b", "c")
		has(t, c.must(t, "ceph", "health"), "HEALTH_OK")
	}
}

// TestMonitorLosesDisk makes a monitor anew with what the quorum has.
func TestMonitorLosesDisk(t *testing.T) {
	t.Parallel()
	c := startFor(t, "--split", "--mons", "3")
	l := c.loop(t)
	for _, gone := range []string{c.quorum(t).Leader, "b"} {
		c.kill9(t, "mon."+gone)
		if err := os.RemoveAll(filepath.Join(c.dir, "mon."+gone)); err != nil {
			t.Fatal(err)
		}
		cmd := c.command(context.Background(), filepath.Join(root(), "glue"), "mon", "--id", gone,
			"--data", c.dir, "--join")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		waitFor(t, "mon."+gone+" is in the quorum", func() bool { // its leader may think so before
			r, err := c.exec("", "ceph", "--admin-daemon",
				filepath.Join(c.dir, "run", "mon."+gone+".asok"), "mon_status")
			in := regexp.MustCompile(`"state": ?"(peon|leader)"`)
			return err == nil && in.MatchString(r.stdout)
		})
		c.waitQuorum(t, "a", "b", "c")
		cmd.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil {
			t.Fatalf("glue mon --join: %v\n%s", err, out.String())
		}
		c.up(t)
		c.waitQuorum(t, "a", "b", "c")
	}
	l.end(t)
	has(t, c.must(t, "ceph", "health"), "HEALTH_OK")
	r, err := c.exec("", filepath.Join(root(), "glue"), "mon", "--id", "a", "--data", c.dir,
		"--join")
	if err != nil || r.code == 0 || !strings.Contains(r.stderr, "store is there already") {
		t.Errorf("--join with a store: %v %+v", err, r)
	}
}

// TestMonitorRescue loses two of three monitors with their disks.
func TestMonitorRescue(t *testing.T) {
	t.Parallel()
	c := startFor(t, "--split", "--mons", "3")
	c.fill(t)
	before := c.checksum(t)
	c.must(t, "ceph", "config-key", "set", "keep", "me")
	waitFor(t, "all have the newest state", func() bool { return c.sameEpochs(t) })
	c.mustGlue(t, "down", "--data", c.dir)
	for _, n := range []string{"a", "c"} {
		if err := os.RemoveAll(filepath.Join(c.dir, "mon."+n)); err != nil {
			t.Fatal(err)
		}
	}
	out, err := c.glue("mon", "rescue", "--id", "b", "--data", c.dir)
	if err == nil {
		t.Errorf("a rescue without being asked twice:\n%s", out)
	}
	has(t, out, "is lost", "with a, c besides", "--yes-i-really-mean-it")
	c.mustGlue(t, "mon", "rescue", "--id", "b", "--data", c.dir, "--yes-i-really-mean-it")
	c.up(t)
	c.waitQuorum(t, "b")
	if got := c.must(t, "ceph", "config-key", "get", "keep"); got != "me" {
		t.Errorf("a key is %q", got)
	}
	if after := c.checksum(t); after != before {
		t.Errorf("after:\n%s\nbefore:\n%s", after, before)
	}
	c.mustGlue(t, "up", "--data", c.dir, "--detach", "--mons", "3")
	c.waitQuorum(t, "a", "b", "c")
	has(t, c.must(t, "ceph", "health"), "HEALTH_OK")
}

// sameEpochs says whether all monitors have the same monitor map and a quorum.
func (c *cluster) sameEpochs(t *testing.T) bool {
	seen := map[string]bool{}
	for _, n := range c.quorum(t).Names {
		var s struct {
			State string `json:"state"`
			Map   struct {
				Epoch int `json:"epoch"`
			} `json:"monmap"`
		}
		out := c.must(t, "ceph", "tell", "mon."+n, "mon_status")
		if err := json.Unmarshal([]byte(out), &s); err != nil {
			t.Fatal(err)
		}
		if s.State != "leader" && s.State != "peon" {
			return false
		}
		seen[fmt.Sprint(s.Map.Epoch)] = true
	}
	return len(seen) == 1
}

// TestMonitorSoak kills and restarts monitors at random for as long as -mons.soak says, under
// commands, writes and rados bench.
func TestMonitorSoak(t *testing.T) {
	if *monsSoak == 0 {
		t.Skip("takes long; -mons.soak=20m runs it")
	}
	c := startFor(t, "--split", "--mons", "3")
	seed := time.Now().UnixNano()
	r := rand.New(rand.NewSource(seed))
	t.Logf("seed %d", seed)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	benches, clis := 0, 0
	wg.Go(func() {
		for ctx.Err() == nil {
			if out, err := c.run("rados", "bench", "-p", "rbd", "10", "write", "-b", "65536", "-t",
				"4"); err != nil {
				t.Errorf("rados bench: %v\n%s", err, out)
				return
			}
			benches++
		}
	})
	wg.Go(func() {
		for ctx.Err() == nil {
			if _, err := c.run("ceph", "osd", "stat"); err != nil {
				t.Error(err)
				return
			}
			clis++
		}
	})
	l := c.loop(t)
	kills, begin := 0, time.Now()
	for time.Since(begin) < *monsSoak && !t.Failed() {
		time.Sleep(time.Duration(r.Intn(4000)) * time.Millisecond)
		names := []string{"mon.a", "mon.b", "mon.c"}
		r.Shuffle(3, func(i, j int) { names[i], names[j] = names[j], names[i] })
		n := 1
		if r.Intn(5) == 0 {
			n = 1 + r.Intn(3) // now and then the majority, or all of them
		}
		killed := time.Now()
		c.kill9(t, names[:n]...)
		kills += n
		time.Sleep(time.Duration(r.Intn(3000)) * time.Millisecond)
		again := time.Now()
		c.up(t)
		up := time.Now()
		c.waitQuorum(t, "a", "b", "c")
		t.Logf("%v killed at %s, started from %s to %s, in the quorum at %s", names[:n],
			killed.Format(clockTime), again.Format(clockTime), up.Format(clockTime),
			time.Now().Format(clockTime))
	}
	cancel()
	wg.Wait()
	l.end(t)
	waitFor(t, "all have the newest state", func() bool { return c.sameEpochs(t) })
	has(t, c.must(t, "ceph", "health"), "HEALTH_OK")
	t.Logf("%v: %d kills, %d ceph commands, %d runs of rados bench", time.Since(begin), kills, clis,
		benches)
}
