package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

var killRounds = flag.Int("kill.rounds", 1, "how often each daemon, and the cluster, is killed")

// A load writes while daemons are killed, and knows what was acknowledged.
type load interface {
	start(t *testing.T, c *cluster)
	// killed is called right after the kill, before anything is restarted.
	killed(t *testing.T)
	// verify waits for the load's end and looks for every acknowledged write.
	verify(t *testing.T, c *cluster) (acked int)
}

// process is a command that runs beside the test.
type process struct {
	cmd       *exec.Cmd
	out, errs bytes.Buffer
	ended     chan error
	cancel    func()
}

func (p *process) run(t *testing.T, c *cluster, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	t.Cleanup(cancel)
	p.cancel, p.cmd, p.ended = cancel, c.command(ctx, name, args...), make(chan error, 1)
	p.cmd.Dir = t.TempDir() // where fio keeps its state
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.errs
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
}

// alive makes sure that the kill was in the middle of the load.
func (p *process) alive(t *testing.T) {
	t.Helper()
	select {
	case err := <-p.ended:
		t.Fatalf("%v ended before the kill: %v\n%s%s", p.cmd.Args, err, &p.out, &p.errs)
	default:
	}
}

// wait for the end, which must be a success.
func (p *process) wait(t *testing.T) string {
	t.Helper()
	if err := <-p.ended; err != nil {
		t.Fatalf("%v: %v\n%s%s", p.cmd.Args, err, &p.out, &p.errs)
	}
	return p.out.String()
}

// benchLoad is `rados bench`: it outlives the kill, and writes each object once.
type benchLoad struct {
	process
	run string
}

func (b *benchLoad) start(t *testing.T, c *cluster) {
	t.Helper()
	b.run = fmt.Sprintf("run%d", time.Now().UnixNano())
	b.process.run(t, c, "rados", "-p", "rbd", "bench", "5", "write", "-b", "16384", "-t", "16",
		"--no-cleanup", "--run-name", b.run)
}

func (b *benchLoad) killed(t *testing.T) {
	t.Helper()
	b.alive(t)
}

func (b *benchLoad) verify(t *testing.T, c *cluster) int {
	t.Helper()
	wrote := number(t, `Total writes made: +(\d+)`, b.wait(t))
	// Contents are compared by the benchmark itself, which fails if they differ.
	out := c.must(t, "rados", "-p", "rbd", "bench", "120", "seq", "-t", "16", "--run-name", b.run)
	if n := number(t, `Total reads made: +(\d+)`, out); n != wrote || wrote == 0 {
		t.Errorf("rados bench wrote %d objects and found %d:\n%s", wrote, n, out)
	}
	c.must(t, "rados", "-p", "rbd", "cleanup", "--run-name", b.run)
	return wrote
}

func number(t *testing.T, pattern, text string) int {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %q in:\n%s", pattern, text)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// fioLoad is a verified write: it outlives the kill, writes each block of a new image once, and
// then reads all of them back and compares.
type fioLoad struct{ process }

const fioBlocks = 3000

func (f *fioLoad) start(t *testing.T, c *cluster) {
	t.Helper()
	c.must(t, "rbd", "create", "--size", "64M", "fio")
	f.run(t, c, "fio", "--name=v", "--ioengine=rbd", "--clientname=admin", "--pool=rbd",
		"--rbdname=fio", "--rw=randwrite", "--bs=4k", fmt.Sprintf("--size=%dk", 4*fioBlocks),
		"--iodepth=16", "--rate_iops=600", "--verify=crc32c", "--verify_fatal=1",
		"--do_verify=1", "--output-format=json")
}

func (f *fioLoad) killed(t *testing.T) {
	t.Helper()
	f.alive(t)
}

func (f *fioLoad) verify(t *testing.T, c *cluster) int {
	t.Helper()
	var report struct {
		Jobs []struct {
			Error int
			Read  struct {
				Total int `json:"total_ios"`
			}
			Write struct {
				Total int `json:"total_ios"`
			}
		}
	}
	out := f.wait(t)
	if err := json.Unmarshal([]byte(out), &report); err != nil || len(report.Jobs) != 1 {
		t.Fatalf("fio says %v:\n%s", err, out)
	}
	j := report.Jobs[0]
	if j.Error != 0 || j.Write.Total != fioBlocks || j.Read.Total != fioBlocks {
		t.Errorf("fio wrote %d blocks and verified %d of %d, error %d:\n%s", j.Write.Total,
			j.Read.Total, fioBlocks, j.Error, out)
	}
	c.checkMap(t, "fio")
	c.must(t, "rbd", "rm", "--no-progress", "fio")
	return j.Write.Total
}

// writerLoad is python/writer.py, which overwrites objects and notes what was acknowledged. It is
// killed together with the daemons, so that nothing is sent again.
type writerLoad struct {
	process
	acked string
}

func (w *writerLoad) start(t *testing.T, c *cluster) {
	t.Helper()
	w.acked = filepath.Join(t.TempDir(), "acked")
	w.run(t, c, "/usr/bin/python3", writerScript(), "rbd", "write", w.acked)
	waitFor(t, "the first acknowledged writes", func() bool { return w.lines() > 200 })
}

func writerScript() string { return filepath.Join(root(), "conformance", "python", "writer.py") }

func (w *writerLoad) lines() int {
	b, _ := os.ReadFile(w.acked)
	return bytes.Count(b, []byte("\n"))
}

func (w *writerLoad) killed(t *testing.T) {
	t.Helper()
	w.alive(t)
	w.cancel()
	<-w.ended
}

func (w *writerLoad) verify(t *testing.T, c *cluster) int {
	t.Helper()
	if out, err := c.run("/usr/bin/python3", writerScript(), "rbd", "check", w.acked); err != nil {
		t.Errorf("acknowledged writes are not there: %v\n%s", err, out)
	}
	return w.lines()
}

// killUnderLoad kills daemons in the middle of all loads, starts them again, and looks for all
// that was acknowledged before and after.
func (c *cluster) killUnderLoad(t *testing.T, daemons ...string) (acked int) {
	t.Helper()
	loads := []load{new(writerLoad), new(fioLoad), new(benchLoad)} // the shortest last
	for _, l := range loads {
		l.start(t, c)
	}
	time.Sleep(500*time.Millisecond + time.Duration(time.Now().UnixNano()%1000)*time.Millisecond)
	c.kill9(t, daemons...)
	for _, l := range loads {
		l.killed(t)
	}
	c.up(t)
	for _, l := range loads {
		acked += l.verify(t, c)
	}
	if err := c.waitClean(time.Minute); err != nil {
		t.Error(err)
	}
	t.Logf("kill -9 %v: %d acknowledged writes are there", daemons, acked)
	return acked
}

func TestKillUnderLoad(t *testing.T) {
	t.Parallel()
	need(t, "fio")
	c := startFor(t)
	acked, kills := 0, 0
	for range 2 * *killRounds {
		acked += c.killUnderLoad(t, "glue")
		kills++
	}
	t.Logf("%d kills, all of %d acknowledged writes are there: %v", kills, acked, !t.Failed())
}

func TestSplitKillUnderLoad(t *testing.T) {
	t.Parallel()
	need(t, "fio")
	c := startFor(t, "--split")
	all := []string{"osd.0", "osd.1", "osd.2", "mon.a", "mgr.x"}
	acked, kills := 0, 0
	for range *killRounds {
		for _, d := range all {
			acked += c.killUnderLoad(t, d)
			kills++
		}
		acked += c.killUnderLoad(t, all...)
		kills += len(all)
	}
	t.Logf("%d kills, all of %d acknowledged writes are there: %v", kills, acked, !t.Failed())
}
