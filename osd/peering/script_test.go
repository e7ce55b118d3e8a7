package peering

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"glue/ceph"
	"glue/cluster/crush"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
	"glue/osd/pglog"
)

var rewrite = flag.Bool("rewrite", false, "write the outputs of the scripts anew")

// A world is the machines of one PG and the monitors' map, driven by a script.
type world struct {
	t        *testing.T
	maps     []*osdmap.Map // by epoch
	machines map[int32]*Machine
	copies   map[int32]bool // OSDs with a stored copy; the others answer that they have none
	wire     []Send
	from     []int32
	durable  []func()
	temp     map[ceph.PGID][]int32
	thru     map[int32]bool
	out      strings.Builder
	clock    time.Time // a second per line of the script
}

var begun = time.Unix(0, 0)

var scriptPG = ceph.SPG{PGID: ceph.PGID{Pool: 1}, Shard: ceph.NoShard}

func (w *world) printf(format string, args ...any) { fmt.Fprintf(&w.out, format, args...) }

func (w *world) now() *osdmap.Map { return w.maps[len(w.maps)-1] }

func (w *world) commit(f func(inc *osdmap.Incremental)) {
	inc := osdmap.NewIncremental(w.now(), ceph.Time{})
	f(inc)
	m, _, err := w.now().Commit(inc)
	if err != nil {
		w.t.Fatal(err)
	}
	w.maps = append(w.maps, m)
}

// cluster makes the map: OSDs that are up, and a pool of one PG.
func (w *world) cluster(osds int, size, minSize uint8) {
	cm, err := crush.Default(osds, "osd")
	if err != nil {
		w.t.Fatal(err)
	}
	m := osdmap.Empty()
	m.FSID = ceph.UUID{1}
	w.maps = []*osdmap.Map{m}
	w.commit(func(inc *osdmap.Incremental) {
		inc.SetCrush(cm)
		inc.NewMaxOSD = int32(osds)
		inc.NewState, inc.NewWeight = map[int32]osdmap.State{}, map[int32]uint32{}
		for o := range int32(osds) {
			inc.NewState[o], inc.NewWeight[o] = osdmap.OSDExists, osdmap.WeightIn
		}
	})
	w.commit(func(inc *osdmap.Incremental) {
		for o := range int32(osds) {
			up(inc, o, w.now().Epoch)
		}
	})
	w.commit(func(inc *osdmap.Incremental) {
		p := osdmap.NewPool()
		p.Type, p.Size, p.MinSize, p.PGNum, p.PGPNum = osdmap.Replicated, size, minSize, 1, 1
		p.ObjectHash, p.Flags = 2, osdmap.PoolHashPSPool
		inc.NewPoolMax = 1
		inc.NewPools = map[int64]*osdmap.Pool{1: p}
		inc.NewPoolNames = map[int64]string{1: "p"}
	})
	_, _, acting, _ := w.now().PGToUpActing(scriptPG.PGID)
	for _, o := range acting {
		w.copies[o] = true
		w.machines[o] = New(scriptPG, o, Created(scriptPG, w.now().Epoch), w.now(), 100)
	}
	w.printf("epoch %d acting %v\n", w.now().Epoch, acting)
	w.step(acting[0], MapsDone{})
	for _, o := range acting[1:] {
		w.step(o, MapsDone{})
	}
}

func up(inc *osdmap.Incremental, o int32, nonce ceph.Epoch) {
	a := ceph.AddrVec{{Type: ceph.AddrMsgr2, Nonce: uint32(nonce)}}
	for _, m := range []*map[int32]ceph.AddrVec{&inc.NewUpClient, &inc.NewUpCluster,
		&inc.NewHBBack, &inc.NewHBFront} {
		if *m == nil {
			*m = map[int32]ceph.AddrVec{}
		}
		(*m)[o] = a
	}
}

// step gives a machine an event and prints and carries out what follows.
func (w *world) step(o int32, ev Event) {
	ma := w.machines[o]
	ma.At(w.clock)
	before := ma.State()
	effects := ma.Step(ev)
	ch := ma.TakeChanges()
	ma.Log().TakeDirty()
	ma.Missing().TakeDirty()
	if ma.State() != before {
		w.printf("osd.%d %v -> %v\n", o, before, ma.State())
	}
	if len(ch.Removed) > 0 {
		w.printf("osd.%d removes %v\n", o, names(ch.Removed))
	}
	for _, e := range effects {
		w.effect(o, e)
	}
}

func names(objects []ceph.HObject) []string {
	out := make([]string, len(objects))
	for i, o := range objects {
		out[i] = o.Name
	}
	return out
}

func (w *world) effect(o int32, e Effect) {
	switch e := e.(type) {
	case Send:
		w.wire, w.from = append(w.wire, e), append(w.from, o)
	case AwaitDurable:
		w.durable = append(w.durable, func() { w.step(o, Durable{e.Token}) })
	case WantUpThru:
		w.thru[o] = true
		w.printf("osd.%d wants up_thru %d\n", o, e.Epoch)
	case WantPGTemp:
		w.temp[scriptPG.PGID] = e.OSDs
		w.printf("osd.%d wants acting %v\n", o, e.OSDs)
	case Active:
		w.printf("osd.%d active, writeable %v\n", o, e.Writeable)
	case Delete:
		delete(w.machines, o)
		delete(w.copies, o)
		w.printf("osd.%d deletes its copy\n", o)
	}
}

// run delivers messages, and lets writes become durable, until nothing is left.
func (w *world) run() {
	for n := 0; len(w.wire)+len(w.durable) > 0; n++ {
		if n > 1000 {
			w.t.Fatal("the machines don't come to rest")
		}
		if len(w.wire) > 0 {
			s, from := w.wire[0], w.from[0]
			w.wire, w.from = w.wire[1:], w.from[1:]
			w.deliver(from, s)
			continue
		}
		f := w.durable[0]
		w.durable = w.durable[1:]
		f()
	}
}

func (w *world) deliver(from int32, s Send) {
	w.printf("  %d>%d %s\n", from, s.To, describe(s.Msg))
	if !w.now().IsUp(s.To) || !w.now().IsUp(from) {
		w.printf("  lost\n")
		return
	}
	if w.machines[s.To] == nil {
		w.without(s)
		return
	}
	w.step(s.To, s.Msg)
}

// without is what an OSD does that has no copy of the PG.
func (w *world) without(s Send) {
	h := Head{From: s.To, Epoch: w.now().Epoch}
	switch m := s.Msg.(type) {
	case Query:
		h.Interval = m.Epoch
		info := pginfo.Info{PGID: scriptPG, LastBackfill: ceph.MaxHObject()}
		w.wire, w.from = append(w.wire, Send{m.From, Notify{Head: h, Info: info}}),
			append(w.from, s.To)
	case LogMsg:
		c := Created(scriptPG, m.Info.History.EpochCreated)
		c.Info.History, c.Past = m.Info.History, m.Past
		w.copies[s.To] = true
		w.machines[s.To] = New(scriptPG, s.To, c, w.now(), 100)
		w.step(s.To, MapsDone{})
		w.step(s.To, m)
	}
}

func describe(ev Event) string {
	switch m := ev.(type) {
	case Notify:
		return fmt.Sprintf("notify %s", infoText(&m.Info))
	case Query:
		return fmt.Sprintf("query %d since %v", m.Kind, m.Since)
	case InfoMsg:
		return fmt.Sprintf("info %s", infoText(&m.Info))
	case LogMsg:
		return fmt.Sprintf("log %s (%v,%v] %d entries, %d missing", infoText(&m.Info), m.Log.Tail,
			m.Log.Head, len(m.Log.Entries), len(m.Missing))
	}
	return fmt.Sprintf("%T", ev)
}

func infoText(i *pginfo.Info) string {
	s := fmt.Sprintf("lu %v les %d/%d", i.LastUpdate, i.LastEpochStarted,
		i.History.LastEpochStarted)
	if i.IsIncomplete() {
		s += " lb " + i.LastBackfill.Name
	}
	return s
}

// publish steps every machine through the maps that it lacks.
func (w *world) publish() {
	for _, o := range slices.Sorted(maps.Keys(w.machines)) {
		ma := w.machines[o]
		if !w.now().IsUp(o) {
			continue
		}
		for e := ma.Map().Epoch + 1; e <= w.now().Epoch; e++ {
			w.step(o, MapChange{w.maps[e]})
		}
		if w.machines[o] != nil {
			w.step(o, MapsDone{})
		}
	}
}

// mon grants what was wanted, and runs, until nothing is wanted.
func (w *world) mon() {
	for len(w.temp)+len(w.thru) > 0 {
		w.commit(func(inc *osdmap.Incremental) {
			inc.NewPGTemp = w.temp
			inc.NewUpThru = map[int32]ceph.Epoch{}
			for o := range w.thru {
				inc.NewUpThru[o] = w.now().Epoch
			}
		})
		w.temp, w.thru = map[ceph.PGID][]int32{}, map[int32]bool{}
		_, _, acting, _ := w.now().PGToUpActing(scriptPG.PGID)
		w.printf("epoch %d acting %v\n", w.now().Epoch, acting)
		w.publish()
		w.run()
	}
}

// write appends an update of an object to the logs of some copies.
func (w *world) write(object string, osds []int32) {
	first := w.machines[osds[0]]
	o := ceph.HObject{Pool: 1, Name: object, Snap: ceph.NoSnap}
	prior, _ := first.Log().Latest(o)
	e := pglog.Entry{Op: pginfo.LogModify, Object: o, PriorVersion: prior,
		Version: ceph.Eversion{Version: first.Info().LastUpdate.Version + 1,
			Epoch: first.Map().Epoch}}
	for _, osd := range osds {
		w.machines[osd].Wrote(&e)
	}
}

// recover gives every copy what it is missing, the primary first.
func (w *world) recover() {
	_, _, acting, primary := w.now().PGToUpActing(scriptPG.PGID)
	ma := w.machines[primary]
	for _, o := range ma.Missing().InOrder() {
		it, _ := ma.Missing().Get(o)
		ma.GotObject(o, it.Need)
		w.printf("osd.%d pulls %s %v\n", primary, o.Name, it.Need)
	}
	w.effects(primary, ma.Recovered())
	for _, osd := range ma.Members() {
		for _, o := range ma.Peer(osd).Missing.InOrder() {
			it, _ := ma.Peer(osd).Missing.Get(o)
			w.machines[osd].GotObject(o, it.Need)
			w.printf("osd.%d is pushed %s %v\n", osd, o.Name, it.Need)
			w.effects(primary, ma.PeerRecovered(osd, o))
		}
	}
	for _, osd := range ma.BackfillTargets() {
		w.machines[osd].SetLastBackfill(ceph.MaxHObject())
		w.printf("osd.%d is backfilled\n", osd)
		w.effects(primary, ma.Backfilled(osd, ceph.MaxHObject()))
	}
	_ = acting
	w.run()
}

func (w *world) effects(o int32, effects []Effect) {
	w.machines[o].TakeChanges()
	for _, e := range effects {
		w.effect(o, e)
	}
}

func (w *world) show() {
	for _, o := range slices.Sorted(maps.Keys(w.machines)) {
		ma := w.machines[o]
		w.printf("osd.%d %v %s log (%v,%v] missing %v", o, ma.State(), infoText(ma.Info()),
			ma.Log().Tail(), ma.Log().Head(), names(ma.Missing().InOrder()))
		if ma.IsClean() {
			w.printf(" clean")
		}
		if b := ma.BlockedBy(); b != nil {
			w.printf(" blocked by %v", b)
		}
		w.printf("\n")
	}
}

// status prints what "pg query" tells of a copy's peering.
func (w *world) status(o int32) {
	st := w.machines[o].Status()
	for _, l := range st.Levels {
		w.printf("%s since line %d\n", l.Name, l.Since.Sub(begun)/time.Second)
	}
	past := w.machines[o].Past()
	w.printf("past %d to %d of %v: %v\n", past.First, past.Last, past.Participants, past.RW)
	w.printf("probes %v, would %v, blocked %v by %v, asked %v\n", st.Probe, st.Down,
		st.IsBlocked, st.Blocked, st.Asked)
	if st.HistoryBound {
		w.printf("bound by the history\n")
	}
}

func numbers(t *testing.T, words []string) []int32 {
	var out []int32
	for _, word := range words {
		n, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, int32(n))
	}
	return out
}

// command runs one line of a script.
func (w *world) command(line string) {
	words := strings.Fields(line)
	w.clock = w.clock.Add(time.Second)
	switch args := words[1:]; words[0] {
	case "cluster":
		n := numbers(w.t, args)
		w.cluster(int(n[0]), uint8(n[1]), uint8(n[2]))
	case "run":
		w.run()
	case "mon":
		w.mon()
	case "down", "up", "out", "lost":
		w.commit(func(inc *osdmap.Incremental) {
			for _, o := range numbers(w.t, args) {
				w.mark(inc, words[0], o)
			}
		})
	case "maps":
		_, _, acting, _ := w.now().PGToUpActing(scriptPG.PGID)
		w.printf("epoch %d acting %v\n", w.now().Epoch, acting)
		w.publish()
	case "write":
		w.write(args[0], numbers(w.t, args[1:]))
	case "trim":
		for _, o := range numbers(w.t, args) {
			ma := w.machines[o]
			ma.Trim(ma.Info().LastUpdate)
		}
	case "recover":
		w.recover()
	case "show":
		w.show()
	case "status":
		w.status(numbers(w.t, args)[0])
	default:
		w.t.Fatalf("command %q", line)
	}
}

func (w *world) mark(inc *osdmap.Incremental, what string, o int32) {
	switch what {
	case "up":
		up(inc, o, inc.Epoch)
	case "down":
		if inc.NewState == nil {
			inc.NewState = map[int32]osdmap.State{}
		}
		inc.NewState[o] = osdmap.OSDUp
	case "out":
		inc.NewWeight = map[int32]uint32{o: 0}
	case "lost":
		inc.NewLost = map[int32]ceph.Epoch{o: w.now().Epoch}
	}
}

// TestScripts runs testdata/*.txt: blocks of commands, a line of dashes, and what they print.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(raw))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(raw) {
				t.Errorf("%s prints:\n%s", file, got)
			}
		})
	}
}

func runScript(t *testing.T, text string) string {
	w := &world{t: t, clock: begun, machines: map[int32]*Machine{}, copies: map[int32]bool{},
		temp: map[ceph.PGID][]int32{}, thru: map[int32]bool{}}
	var out []string
	for _, block := range strings.Split(strings.TrimRight(text, "\n"), "\n\n") {
		head, _, _ := strings.Cut(block, "\n----")
		w.out.Reset()
		for _, line := range strings.Split(head, "\n") {
			if line != "" && !strings.HasPrefix(line, "#") {
				w.command(line)
			}
		}
		out = append(out, strings.TrimRight(head+"\n----\n"+w.out.String(), "\n"))
	}
	return strings.Join(out, "\n\n") + "\n"
}
