package conformance

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	thrashTime = flag.Duration("thrash", 30*time.Second, "how long TestThrash torments a cluster")
	thrashSeed = flag.Int64("thrash.seed", 0, "of TestThrash; 0: of the clock")
	thrashOnly = flag.String("thrash.only", "", "torments to choose from; none: all")
	thrashKeep = flag.String("thrash.keep", "", "folder for logs and stores of a failed TestThrash")
)

// A torment does something to the cluster that no client may notice, but for a pause. It returns
// false if it is not the time for it.
type torment struct {
	name   string
	weight int
	do     func(*thrasher) bool
}

// What needs a clean cluster is first: after each calm all is done that was not done yet.
var torments = []torment{
	{"wipe", 1, (*thrasher).wipe},
	{"kill", 8, (*thrasher).kill}, {"revive", 8, (*thrasher).revive},
	{"pause", 4, (*thrasher).pause}, {"killmon", 2, (*thrasher).killMon},
	{"killmgr", 1, (*thrasher).killMgr}, {"out", 2, (*thrasher).out}, {"in", 2, (*thrasher).in},
	{"reweight", 2, (*thrasher).reweight}, {"affinity", 1, (*thrasher).affinity},
	{"pgnum", 2, (*thrasher).pgNum}, {"size", 1, (*thrasher).size},
	{"scrub", 2, (*thrasher).scrub},
	{"down", 1, (*thrasher).down},
	{"add", 1, (*thrasher).add}, {"purge", 2, (*thrasher).purge},
	{"crushweight", 2, (*thrasher).crushWeight}, {"upmap", 3, (*thrasher).upmap},
	{"rmupmap", 2, (*thrasher).rmUpmap}, {"balancer", 1, (*thrasher).balancer},
}

// A thrasher torments one cluster. At most one OSD of three copies is dead or stopped longer than
// a moment, so that clients can always go on; a second one may join it for a while.
type thrasher struct {
	*cluster
	t        *testing.T
	r        *rand.Rand
	ids      []int // the OSDs that there are
	own      int   // how many of them were there first; the others may be purged
	mons     int
	dead     map[string]bool // killed
	held     map[string]time.Time
	outs     map[int]bool
	leaving  map[int]bool // out for good, to be purged
	balanced bool         // the balancer was switched on
	done     map[string]int
	history
	memories

	words func(kind, id string) []string // the command of a daemon, unless it is glue's
}

// newThrasher is for a cluster with so many OSDs.
func newThrasher(t *testing.T, c *cluster, osds int, seed int64) *thrasher {
	h := &thrasher{t: t, cluster: c, r: rand.New(rand.NewSource(seed)), own: osds,
		mons: 1, dead: map[string]bool{}, held: map[string]time.Time{}, outs: map[int]bool{},
		leaving: map[int]bool{}, done: map[string]int{}}
	for id := range osds {
		h.ids = append(h.ids, id)
	}
	return h
}

func (h *thrasher) id() int            { return h.ids[h.r.Intn(len(h.ids))] }
func osdName(id int) string            { return fmt.Sprintf("osd.%d", id) }
func (h *thrasher) gone(n string) bool { return h.dead[n] || !h.held[n].IsZero() }

// goneOf counts the daemons of a kind that do not answer.
func (h *thrasher) goneOf(kind string) (n int) {
	for name := range h.dead {
		if strings.HasPrefix(name, kind) {
			n++
		}
	}
	for name := range h.held {
		if strings.HasPrefix(name, kind) {
			n++
		}
	}
	return n
}

func (h *thrasher) say(format string, args ...any) {
	h.t.Helper()
	text := fmt.Sprintf(format, args...)
	h.said = append(h.said, remark{unixNow(), text})
	h.t.Logf("%s %s", time.Now().UTC().Format(clockTime), text)
}

// ceph runs a command that may meet a dying monitor or manager but has to work in the end.
func (h *thrasher) ceph(args ...string) bool {
	r, err := h.exec("", "ceph", args...)
	for range 30 { // a manager that has just begun does not know all OSDs yet
		if err != nil || r.code != int(syscall.EAGAIN) {
			break
		}
		time.Sleep(time.Second)
		r, err = h.exec("", "ceph", args...)
	}
	if err != nil || r.code != 0 {
		h.t.Errorf("ceph %v: %+v %v", args, r, err)
		return false
	}
	return true
}

func (h *thrasher) signal(name string, s syscall.Signal) {
	if err := syscall.Kill(h.pid(h.t, name), s); err != nil {
		h.t.Errorf("%v to %s: %v", s, name, err)
	}
}

// start runs one daemon as glue up --split does, or as h.words says.
func (h *thrasher) start(name string) {
	kind, id, _ := strings.Cut(name, ".")
	log, err := os.OpenFile(filepath.Join(h.dir, "log", name+".log"),
		os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		h.t.Fatal(err)
	}
	defer log.Close()
	words := []string{filepath.Join(root(), "bin", "glue"), kind, "--data", h.dir, "--id", id}
	if h.words != nil {
		words = h.words(kind, id)
	}
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	go cmd.Wait()
	pid := filepath.Join(h.dir, "run", name+".pid")
	if err := os.WriteFile(pid, []byte(strconv.Itoa(cmd.Process.Pid)+"\n"), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

func (h *thrasher) kill() bool {
	name := osdName(h.id())
	if h.gone(name) || h.goneOf("osd") >= 1+h.r.Intn(2) {
		return false
	}
	h.kill9(h.t, name)
	h.dead[name] = true
	h.say("killed %s", name)
	return true
}

func (h *thrasher) revive() bool {
	for name := range h.dead {
		h.start(name)
		delete(h.dead, name)
		h.say("started %s", name)
		return true
	}
	return false
}

func (h *thrasher) pause() bool {
	name := osdName(h.id())
	if h.mons > 1 && h.r.Intn(4) == 0 {
		name = "mon." + string("abc"[h.r.Intn(h.mons)])
	}
	kind, _, _ := strings.Cut(name, ".")
	if h.gone(name) || h.goneOf(kind) > 0 {
		return false
	}
	h.signal(name, syscall.SIGSTOP)
	h.held[name] = time.Now().Add(time.Duration(h.r.Intn(30)) * time.Second)
	h.say("stopped %s", name)
	return true
}

// release lets those go on whose pause is over, or all.
func (h *thrasher) release(all bool) {
	for name, until := range h.held {
		if all || time.Now().After(until) {
			h.signal(name, syscall.SIGCONT)
			delete(h.held, name)
			h.say("%s goes on", name)
		}
	}
}

func (h *thrasher) killMon() bool {
	name := "mon." + string("abc"[h.r.Intn(h.mons)])
	if h.goneOf("mon") > 0 {
		return false
	}
	h.kill9(h.t, name)
	h.dead[name] = true
	h.say("killed %s", name)
	return true
}

func (h *thrasher) killMgr() bool {
	if h.goneOf("mgr") > 0 {
		return false
	}
	h.kill9(h.t, "mgr.x")
	h.start("mgr.x")
	h.say("restarted mgr.x")
	return true
}

func (h *thrasher) out() bool {
	id := h.id()
	if h.outs[id] || h.leaving[id] || len(h.outs) >= 2 {
		return false
	}
	h.outs[id] = true
	h.say("osd.%d out", id)
	return h.ceph("osd", "out", strconv.Itoa(id))
}

func (h *thrasher) in() bool {
	for id := range h.outs {
		delete(h.outs, id)
		h.say("osd.%d in", id)
		return h.ceph("osd", "in", strconv.Itoa(id))
	}
	return false
}

func (h *thrasher) reweight() bool {
	id := h.id()
	if h.outs[id] || h.leaving[id] {
		return false
	}
	w := fmt.Sprintf("%.2f", 0.2+0.8*h.r.Float64())
	h.say("osd.%d reweight %s", id, w)
	return h.ceph("osd", "reweight", strconv.Itoa(id), w)
}

func (h *thrasher) affinity() bool {
	id, w := osdName(h.id()), fmt.Sprintf("%.2f", h.r.Float64())
	h.say("%s primary-affinity %s", id, w)
	return h.ceph("osd", "primary-affinity", id, w)
}

func (h *thrasher) pgNum() bool {
	n := strconv.Itoa(8 + h.r.Intn(40))
	h.say("pg_num %s", n)
	return h.ceph("osd", "pool", "set", "rbd", "pg_num", n)
}

func (h *thrasher) size() bool {
	n := strconv.Itoa(3 + h.r.Intn(2))
	h.say("size %s", n)
	return h.ceph("osd", "pool", "set", "rbd", "size", n)
}

func (h *thrasher) scrub() bool {
	what := []string{"scrub", "deep-scrub"}[h.r.Intn(2)]
	h.say("%s", what)
	return h.ceph("osd", what, "all")
}

// down marks an OSD down that lives: it has to come back by itself.
func (h *thrasher) down() bool {
	id := h.id()
	h.say("osd.%d marked down", id)
	return h.ceph("osd", "down", strconv.Itoa(id))
}

// wipe replaces the disk of an OSD with an empty one, when nothing else is missing.
func (h *thrasher) wipe() bool {
	if len(h.dead)+len(h.held)+len(h.outs) > 0 || h.waitWhole(20*time.Second) != nil {
		return false
	}
	id := h.r.Intn(h.own)
	name := osdName(id)
	h.say("%s loses its disk", name)
	h.kill9(h.t, name)
	h.dead[name] = true
	h.note()
	if err := os.RemoveAll(filepath.Join(h.dir, name)); err != nil {
		h.t.Fatal(err)
	}
	if !h.ceph("osd", "down", strconv.Itoa(id)) ||
		!h.ceph("osd", "destroy", strconv.Itoa(id), "--yes-i-really-mean-it") {
		return false
	}
	if out, err := h.glue("osd", "create", "--data", h.dir, "--replace",
		strconv.Itoa(id)); err != nil {
		h.t.Errorf("glue osd create: %v\n%s", err, out)
		return false
	}
	delete(h.dead, name)
	return true
}

// waitWhole is waitClean while snapshots are removed all the time, which PGs trim.
func (h *thrasher) waitWhole(limit time.Duration) error {
	return h.waitPGs(limit, `active\+clean(\+snaptrim(_wait)?)?`)
}

// calm mends all that was done and waits until the cluster is clean and scrubs find nothing.
func (h *thrasher) calm() {
	h.release(true)
	for name := range h.dead {
		h.start(name)
		delete(h.dead, name)
	}
	h.note()
	for _, id := range h.ids {
		if h.leaving[id] {
			continue
		}
		delete(h.outs, id)
		h.ceph("osd", "in", strconv.Itoa(id))
		h.ceph("osd", "reweight", strconv.Itoa(id), "1")
		h.ceph("osd", "crush", "reweight", osdName(id), fmt.Sprint(crushWeight))
	}
	begin := time.Now()
	if err := h.waitWhole(5 * time.Minute); err != nil {
		out, _ := h.run("ceph", "health", "detail")
		h.t.Fatalf("%v\n%s", err, out)
	}
	h.say("clean after %v", time.Since(begin))
	h.deepScrubbed()
}

// deepScrubbed waits until each PG was deep scrubbed after now, and nothing was found.
func (h *thrasher) deepScrubbed() {
	type pg struct {
		ID    string `json:"pgid"`
		State string `json:"state"`
		Deep  string `json:"last_deep_scrub_stamp"`
	}
	stamps := func() (out []pg) {
		var dump struct {
			PGs []pg `json:"pg_stats"`
		}
		text, err := h.run("ceph", "pg", "ls", "-f", "json")
		if err != nil || json.Unmarshal([]byte(text), &dump) != nil {
			h.t.Fatalf("pg ls: %v\n%s", err, text)
		}
		return dump.PGs
	}
	before := map[string]string{}
	for _, p := range stamps() {
		before[p.ID] = p.Deep
	}
	h.ceph("osd", "deep-scrub", "all")
	asked, begin := time.Now(), time.Now()
	for {
		left := slices.DeleteFunc(stamps(), func(p pg) bool { return p.Deep != before[p.ID] })
		if len(left) == 0 {
			break
		}
		if time.Since(begin) > 5*time.Minute {
			h.t.Fatalf("not scrubbed: %+v", left)
		}
		if time.Since(asked) > 20*time.Second { // a PG that was not clean then takes no order
			h.ceph("osd", "deep-scrub", "all")
			asked = time.Now()
		}
		time.Sleep(200 * time.Millisecond)
	}
	for _, p := range stamps() {
		if strings.Contains(p.State, "inconsistent") {
			out, _ := h.run("rados", "list-inconsistent-obj", p.ID)
			h.t.Errorf("pg %s is %s: %s", p.ID, p.State, out)
		}
	}
	h.say("deep scrubs of %d PGs took %v", len(before), time.Since(begin))
}

// disks writes and verifies a disk with fio again and again until ctx ends.
func (h *thrasher) disks(ctx context.Context) (rounds int) {
	h.must(h.t, "rbd", "create", "--size", "64M", "thrashed")
	for ctx.Err() == nil && !h.t.Failed() {
		cmd := h.command(context.Background(), "fio", "--name=v", "--ioengine=rbd",
			"--clientname=admin", "--pool=rbd", "--rbdname=thrashed", "--rw=randwrite",
			"--bsrange=4k-64k", "--size=32m", "--iodepth=8", "--rate=1m", "--verify=crc32c",
			"--verify_fatal=1", "--do_verify=1", "--randrepeat=0")
		cmd.Dir = h.t.TempDir()
		if out, err := cmd.CombinedOutput(); err != nil {
			h.t.Errorf("fio: %v\n%s", err, out)
			return rounds
		}
		rounds++
	}
	return rounds
}

// chosen are the torments that -thrash.only names.
func chosen() (from []torment) {
	for _, m := range torments {
		if *thrashOnly == "" || slices.Contains(strings.Split(*thrashOnly, ","), m.name) {
			from = append(from, m)
		}
	}
	return from
}

func (h *thrasher) try(m torment) {
	if m.do(h) {
		h.done[m.name]++
	}
	h.note()
}

func (h *thrasher) torment(from []torment) {
	sum := 0
	for _, m := range from {
		sum += m.weight
	}
	n := h.r.Intn(sum)
	for _, m := range from {
		if n -= m.weight; n < 0 {
			h.try(m)
			return
		}
	}
}

// thrash torments the cluster under the clients for as long as is wanted. In a run of ten minutes
// nothing may have been left out.
func (h *thrasher) thrash(from []torment, seed int64) {
	h.ceph("osd", "pool", "create", "pooled", "8")
	h.ceph("osd", "pool", "application", "enable", "pooled", "rados")
	h.ceph("config", "set", "mgr", "mgr/balancer/sleep_interval", "5")
	h.ceph("config", "set", "mgr", "mgr/balancer/upmap_max_deviation", "1")
	end := h.model(h.t, "rbd", seed, "pooled")
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	rounds := 0
	wg.Go(func() { rounds = h.disks(ctx) })
	begin, calmed := time.Now(), time.Now()
	for time.Since(begin) < *thrashTime && !h.t.Failed() {
		h.release(false)
		h.torment(from)
		time.Sleep(time.Duration(h.r.Intn(2000)) * time.Millisecond)
		if time.Since(calmed) > 3*time.Minute {
			h.calm()
			h.remember()
			for _, m := range from {
				if h.done[m.name] == 0 {
					h.try(m)
				}
			}
			calmed = time.Now()
		}
	}
	h.calm()
	cancel()
	wg.Wait()
	slow := end()
	h.trimmed()
	h.remember()
	h.t.Logf("%v: %v; %d verified disks", time.Since(begin).Round(time.Second), h.done, rounds)
	h.explain(slow)
	for _, m := range from {
		if h.done[m.name] == 0 && *thrashTime >= 10*time.Minute {
			h.t.Errorf("%s was not done", m.name)
		}
	}
}

// TestThrash torments a cluster of 3 monitors and 6 OSDs at random, each a process of its own,
// under a client that knows what every object must hold and under verified disks.
func TestThrash(t *testing.T) {
	need(t, "fio")
	seed := *thrashSeed
	if seed == 0 {
		seed = time.Now().UnixNano()
	}
	t.Logf("-thrash.seed=%d", seed)
	h := newThrasher(t, startFor(t, "--split", "--mons", "3", "--osds", "6",
		"--set", "osd_heartbeat_interval=1", "--set", "osd_heartbeat_grace=6",
		"--set", "osd_max_markdown_count=100", // it marks them down on purpose
		"--set", "mon_osd_down_out_interval=20"), 6, seed)
	h.mons = 3
	t.Cleanup(func() {
		if t.Failed() && *thrashKeep != "" {
			h.release(true)
			cp := exec.Command("cp", "-a", "--sparse=always", h.dir, *thrashKeep)
			out, err := cp.CombinedOutput()
			t.Logf("kept in %s: %v %s", *thrashKeep, err, out)
		}
	})
	h.thrash(chosen(), seed)
	h.flat()
}

// TestResizeUnderKills: the PGs of a pool are split and merged while OSDs die in the middle, under
// the same client.
func TestResizeUnderKills(t *testing.T) {
	t.Parallel()
	h := newThrasher(t, startFor(t, "--split", "--osds", "4",
		"--set", "osd_heartbeat_interval=1", "--set", "osd_heartbeat_grace=6",
		"--set", "mgr_stats_period=1", "--set", "target_max_misplaced_ratio=0.2"), 4,
		time.Now().UnixNano())
	end := h.model(t, "rbd", 1)
	for _, n := range []int{16, 6} {
		h.ceph("osd", "pool", "set", "rbd", "pg_num", strconv.Itoa(n))
		kills, begin := 0, time.Now()
		// The first one dies before anybody asks: on a busy machine an answer takes seconds.
		for done := false; !done; done = h.resized(n) {
			if time.Since(begin) > 4*time.Minute {
				t.Fatalf("pg_num %d is not reached: %s", n, h.must(t, "ceph", "osd", "pool", "ls",
					"detail"))
			}
			if kills == 4 {
				time.Sleep(200 * time.Millisecond)
				continue
			}
			time.Sleep(time.Duration(h.r.Intn(1500)) * time.Millisecond)
			if h.kill() {
				if !h.resized(n) {
					kills++
				}
				time.Sleep(time.Duration(h.r.Intn(2500)) * time.Millisecond)
				h.revive()
			}
		}
		if err := h.waitClean(2 * time.Minute); err != nil {
			t.Fatalf("%v\n%s", err, h.must(t, "ceph", "health", "detail"))
		}
		h.say("pg_num %d after %v and %d kills -9", n, time.Since(begin), kills)
		if kills == 0 {
			t.Errorf("pg_num %d was reached before anything could be killed", n)
		}
		h.deepScrubbed()
	}
	end()
}

// resized says whether a pool has as many PGs, and places them so.
func (h *thrasher) resized(n int) bool {
	out, err := h.run("ceph", "osd", "pool", "ls", "detail")
	return err == nil && strings.Contains(out, fmt.Sprintf(" pg_num %d pgp_num %d ", n, n)) &&
		!strings.Contains(out, "_target ")
}
