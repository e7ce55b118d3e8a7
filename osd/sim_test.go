package osd

import (
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"glue/ceph"
	"glue/cluster/crush"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
	"glue/osd/endpoints"
	"glue/osd/heartbeat"
	"glue/osd/pinger"
	"glue/osd/snaps"
	"glue/store/memstore"
	"glue/store/objectstore"
	"glue/wire/message"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "run this seed only")
	simFrom  = flag.Uint64("sim.from", 1, "the first seed of many")
	simRuns  = flag.Int("sim.runs", 25, "how many seeds to run")
	simFresh = flag.Int("sim.fresh", 5, "and how many that nobody has tried")
	simTrace = flag.Bool("sim.trace", false, "log what the OSDs do")
)

// A sim is a few OSDs, a monitor and clients in one goroutine, driven by a seed: every message,
// completion of the store, turn of a shard and fault is a choice of the generator.
type sim struct {
	t      testing.TB
	rng    *rand.Rand
	clock  time.Time
	m      *osdmap.Map
	full   map[ceph.Epoch][]byte
	incs   map[ceph.Epoch][]byte
	nodes  []*simNode
	links  map[[2]int32][]message.Body
	held   map[*Daemon]int // clients' requests that it has not released
	names  [][2]int32      // keys of links, for a fixed order
	cl     []*simClient
	port   uint16
	temp   map[ceph.PGID][]int32
	thru   map[int32]ceph.Epoch
	steps  int
	merges int  // of PGs
	quiet  bool // no new faults
	// lateMerge: PGs are merged when everybody has heard that they were clean.
	lateMerge bool
	// forward hands messages between OSDs over as they are.
	forward bool
	odds    odds
	grace   string // osd_heartbeat_grace, of which a lease is the larger part
	// tamper changes a message on its way, as if its sender had a bug.
	tamper  func(b message.Body)
	plant   func(t *objectstore.Transaction) // the same for what an OSD stores
	errors  []string                         // in the cluster log
	noScrub bool                             // in the middle of a run
	noSnaps bool
	snaps   snaps.Context        // of the clients that begin something now
	gone    map[ceph.SnapID]bool // snapshots that were removed
	readers bool                 // clients read more, mostly of any copy
	// copyReads came to copies that are not the primary; served are those that these answered.
	copyReads, served int
}

// odds are how rarely each fault may happen: once in so many steps of a node, or of all for out and
// flags.
type odds struct{ slander, isolate, crash, out, resize, flags int }

type simNode struct {
	s     *sim
	id    int32
	store *memstore.Store
	d     *Daemon // nil while down
	epoch ceph.Epoch
	addrs ceph.AddrVec
	since time.Time // of the crash
	off   bool      // stays down
	hung  bool      // its disk does nothing
	// apart is until when no monitor and no other OSD hears this one, or is heard by it; clients
	// are, and some of them hear nothing of the others either.
	apart time.Time
}

// isApart says whether a node is cut off from the others now.
func (n *simNode) isApart() bool { return n.s.clock.Before(n.apart) }

// The node as its daemon's monitor client.
func (n *simNode) Send(b message.Body) {
	if n.isApart() {
		return
	}
	switch b := b.(type) {
	case *message.MOSDAlive:
		n.s.thru[n.id] = max(n.s.thru[n.id], b.Want)
	case *message.MOSDMarkMeDown:
		if n.s.m.IsUp(n.id) && b.Addrs.Equal(n.s.m.ClientAddrs[n.id]) {
			n.s.markDown(n.id)
		}
	case *message.MLog:
		n.s.hearLog(b)
	case *message.MOSDPGTemp:
		maps.Copy(n.s.temp, b.Temp)
	case *message.MOSDPGReadyToMerge:
		if !n.s.lateMerge || n.s.silent() {
			n.s.merge(b)
		}
	}
}
func (n *simNode) Subscribe(string, uint64, bool)         {}
func (n *simNode) Got(string, uint64)                     {}
func (n *simNode) AskVersion(string, func(uint64, error)) {}

const simPool = 1

func newSim(t testing.TB, seed uint64, osds int) *sim {
	s := &sim{t: t, rng: rand.New(rand.NewPCG(seed, 7)), clock: time.Unix(1e9, 0),
		full: map[ceph.Epoch][]byte{}, incs: map[ceph.Epoch][]byte{},
		links: map[[2]int32][]message.Body{}, held: map[*Daemon]int{}, port: 7000,
		odds:  odds{1500, 700, 400, 3000, 600, 1000},
		grace: []string{"0.5", "2.5"}[seed%2],
		temp:  map[ceph.PGID][]int32{}, thru: map[int32]ceph.Epoch{},
		gone: map[ceph.SnapID]bool{}}
	if seed%3 == 0 { // calm enough for PGs to be merged, which takes all their copies
		s.odds = odds{9000, 6000, 3000, 30000, 150, 6000}
	}
	cm, err := crush.Default(osds, "osd")
	if err != nil {
		t.Fatal(err)
	}
	m := osdmap.Empty()
	m.FSID = ceph.UUID{1}
	inc := osdmap.NewIncremental(m, ceph.TimeOf(s.clock))
	inc.SetCrush(cm)
	inc.NewMaxOSD = int32(osds)
	inc.NewState = map[int32]osdmap.State{}
	inc.NewWeight = map[int32]uint32{}
	for o := range int32(osds) {
		inc.NewState[o] = osdmap.OSDExists
		inc.NewWeight[o] = osdmap.WeightIn
	}
	s.m = m
	s.commit(inc)
	for o := range int32(osds) {
		s.nodes = append(s.nodes, &simNode{s: s, id: o,
			store: memstore.New(memstore.Options{Manual: true})})
	}
	for _, n := range s.nodes {
		s.start(n)
	}
	pool := osdmap.NewPool()
	pool.Type, pool.Size, pool.MinSize = osdmap.Replicated, 3, 2
	pool.PGNum, pool.PGPNum, pool.ObjectHash = 4, 4, 2
	pool.PGNumTarget, pool.PGPNumTarget, pool.PGNumPending = 4, 4, 4
	pool.Flags = osdmap.PoolHashPSPool
	inc = s.change()
	inc.NewPoolMax = simPool
	inc.NewPools = map[int64]*osdmap.Pool{simPool: pool}
	inc.NewPoolNames = map[int64]string{simPool: "p"}
	s.commit(inc)
	return s
}

func (s *sim) change() *osdmap.Incremental {
	return osdmap.NewIncremental(s.m, ceph.TimeOf(s.clock))
}

func (s *sim) commit(inc *osdmap.Incremental) {
	if err := pginfo.AbandonMerges(s.m, inc); err != nil {
		s.t.Fatal(err)
	}
	m, raw, err := s.m.Commit(inc)
	if err != nil {
		s.t.Fatal(err)
	}
	s.m, s.incs[m.Epoch], s.full[m.Epoch] = m, raw, m.Encode()
}

// start runs a node's daemon on its store, at a new address, and marks it up.
func (s *sim) start(n *simNode) {
	s.renew(n)
	log := slog.New(slog.DiscardHandler)
	if *simTrace {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	d, err := newDaemon(Options{ID: n.id, FSID: s.m.FSID, UUID: ceph.UUID{2, byte(n.id)},
		Store: plantedStore{n.store, s.plant}, Log: log,
		Config: map[string]string{"osd_heartbeat_grace": s.grace,
			"osd_max_markdown_count": "1000000",
			"osd_min_pg_log_entries": "20", "osd_max_pg_log_entries": "40",
			"osd_target_pg_log_entries_per_osd": "40", "osd_pg_log_dups_tracked": "100",
			"osd_scrub_min_interval": "1e6", "osd_scrub_max_interval": "1e7",
			"osd_deep_scrub_interval": "1e7", "osd_scrub_chunk_max": "3",
			"osd_scrub_chunk_min": "1", "osd_deep_scrub_stride": "4096",
			"osd_backfill_retry_interval": "0.2", "osd_recovery_sleep": "0.005",
			"osd_op_queue":       []string{"mclock_scheduler", "wpq"}[s.rng.IntN(2)],
			"osd_mclock_profile": []string{"balanced", "high_client_ops"}[s.rng.IntN(2)],
			"osd_max_backfills":  fmt.Sprint(1 + s.rng.IntN(2))},
		OnFatal: func(err error) { panic(err) }}, func() time.Time { return s.clock })
	if err != nil {
		s.t.Fatal(err)
	}
	d.mon, d.addrs.Public, d.boot.asking = n, n.addrs, true
	d.beat = func(heartbeat.Net, ceph.AddrVec) pinger.Beat { return noBeat{} }
	d.renew = func() endpoints.Addrs { return endpoints.Addrs{Public: s.renew(n)} }
	d.send = func(m *osdmap.Map, osd int32, b message.Body) { s.sendOSD(n, m, osd, b) }
	n.d, n.epoch = d, d.super.Newest
	if s.m.IsUp(n.id) {
		s.markDown(n.id)
	}
	s.boot(n)
}

// crash ends a node: what its store had not completed is lost, and so is all that is on its way.
func (s *sim) crash(n *simNode) {
	if *simTrace {
		fmt.Fprintln(os.Stderr, "--- crash of", n.id, "at", s.steps)
	}
	if s.rng.IntN(3) == 0 {
		n.store.Complete(s.rng.IntN(n.store.Pending() + 1))
	}
	n.store = n.store.Crash()
	n.d, n.since = nil, s.clock
	s.cut(n)
	for _, c := range s.cl {
		c.lost(n.id)
	}
}

// cut loses what is on its way to and from a node.
func (s *sim) cut(n *simNode) {
	for k := range s.links {
		if k[0] == n.id || k[1] == n.id {
			delete(s.links, k)
		}
	}
}

// renew gives a node another address; its connections are gone.
func (s *sim) renew(n *simNode) ceph.AddrVec {
	s.cut(n)
	s.port++
	n.addrs = ceph.AddrVec{{Type: ceph.AddrMsgr2, Nonce: uint32(s.port),
		AddrPort: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), s.port)}}
	return n.addrs
}

func (s *sim) sendOSD(from *simNode, m *osdmap.Map, osd int32, b message.Body) {
	to := s.nodes[osd]
	if to.d == nil || !m.ClusterAddrs[osd].Equal(to.addrs) {
		return
	}
	k := [2]int32{from.id, osd}
	if !slices.Contains(s.names, k) {
		s.names = append(s.names, k)
	}
	s.links[k] = append(s.links[k], b)
}

// deliver hands the oldest message of a link over, through its encoding.
func (s *sim) deliver(k [2]int32) {
	q := s.links[k]
	b := q[0]
	s.links[k] = q[1:]
	n := s.nodes[k[1]]
	if *simTrace {
		fmt.Fprintf(os.Stderr, "%d: %d to %d: %T %+v\n", s.steps, k[0], k[1], b, b)
	}
	if s.forward {
		n.d.deliverPeer(message.New(b))
		return
	}
	front, _, data := message.New(b).Segments(ceph.FeaturesAll)
	m := &message.Message{Version: 1, Compat: 1, Data: slices.Concat(data...)}
	m.Version = rowOf(b).Version
	if err := m.Decode(b.Type(), front, ceph.FeaturesAll); err != nil {
		s.t.Fatalf("%T does not decode: %v", b, err)
	}
	if s.tamper != nil {
		s.tamper(m.Body)
	}
	n.d.deliverPeer(m)
}

func rowOf(b message.Body) message.Row {
	i := slices.IndexFunc(message.Table, func(r message.Row) bool { return r.Type == b.Type() })
	return message.Table[i]
}

// publish gives a node some of the maps that it lacks.
func (s *sim) publish(n *simNode) {
	to := n.epoch + 1 + ceph.Epoch(s.rng.IntN(int(s.m.Epoch-n.epoch)))
	b := &message.MOSDMap{FSID: s.m.FSID, Oldest: 1, Newest: to,
		Incrementals: map[ceph.Epoch][]byte{}, Maps: map[ceph.Epoch][]byte{}}
	for e := n.epoch + 1; e <= to; e++ {
		if e == 1 {
			b.Maps[e] = s.full[e]
		} else {
			b.Incrementals[e] = s.incs[e]
		}
	}
	old := n.d.osdmap.Load()
	n.d.handleMaps(b)
	n.epoch = to
	reaches := func(m *osdmap.Map, o *simNode) bool {
		return m != nil && m.IsUp(o.id) && m.ClusterAddrs[o.id].Equal(o.addrs)
	}
	for _, o := range s.nodes {
		if reaches(old, o) && !reaches(n.d.osdmap.Load(), o) {
			// It ends the session, and what either has sent on it is lost.
			delete(s.links, [2]int32{n.id, o.id})
			delete(s.links, [2]int32{o.id, n.id})
		}
	}
}

// An action is one thing that may happen now, with its weight.
type action struct {
	weight int
	run    func()
}

// step lets one thing happen.
func (s *sim) step() {
	s.steps++
	// Every PG has its leases to renew: the more there are, the more happens in the same time.
	s.clock = s.clock.Add(time.Duration(s.rng.IntN(2000)) * time.Microsecond * 4 / s.load())
	var acts []action
	add := func(w int, f func()) { acts = append(acts, action{w, f}) }
	for _, k := range s.names {
		if len(s.links[k]) > 0 && s.nodes[k[1]].d != nil && !s.nodes[k[0]].isApart() &&
			!s.nodes[k[1]].isApart() {
			add(10, func() { s.deliver(k) })
		}
	}
	for _, n := range s.nodes {
		s.nodeActions(n, add)
	}
	s.monActions(add)
	for _, c := range s.cl {
		c.actions(add)
	}
	total := 0
	for _, a := range acts {
		total += a.weight
	}
	pick := s.rng.IntN(total)
	for _, a := range acts {
		if pick -= a.weight; pick < 0 {
			a.run()
			return
		}
	}
}

func (s *sim) nodeActions(n *simNode, add func(int, func())) {
	if n.d == nil {
		down := s.clock.Sub(n.since)
		if s.m.IsUp(n.id) && down > 100*time.Millisecond {
			add(1, func() { s.markDown(n.id) })
		}
		if down > 300*time.Millisecond && !n.off {
			add(1, func() { s.start(n) })
		}
		return
	}
	for _, sh := range n.d.shards {
		if len(sh.in) > 0 || sh.bg.Len() > 0 {
			add(20, func() { sh.turn() })
		}
	}
	if len(n.d.inbox) > 0 {
		add(20, func() { (<-n.d.inbox)() })
	}
	if p := n.store.Pending(); p > 0 && !n.hung {
		add(15, func() { n.store.Complete(1 + s.rng.IntN(p)) })
	}
	if n.epoch < s.m.Epoch && !n.isApart() {
		add(3, func() { s.publish(n) })
	}
	add(1, func() {
		for _, sh := range n.d.shards {
			sh.post(event{kind: evTick})
		}
	})
	if !s.m.IsUp(n.id) && n.epoch == s.m.Epoch && !n.isApart() {
		add(2, func() { s.boot(n) })
	}
	if !s.quiet && s.m.IsUp(n.id) && s.rng.IntN(s.odds.slander) == 0 {
		add(20, func() { s.slander(n) })
	}
	if !s.quiet && s.m.IsUp(n.id) && s.rng.IntN(s.odds.isolate) == 0 {
		add(20, func() { s.isolate(n) })
	}
	if !s.quiet && !s.noScrub && s.rng.IntN(200) == 0 {
		add(20, func() { s.scrubSome(n) })
	}
	if !s.quiet && s.rng.IntN(s.odds.crash) == 0 {
		add(20, func() { s.crash(n) })
	}
}

// monActions are the monitor's: up_thru, pg_temp, out and in.
func (s *sim) monActions(add func(int, func())) {
	for _, o := range slices.Sorted(maps.Keys(s.thru)) {
		e := s.thru[o]
		if s.m.IsUp(o) && s.m.Info[o].UpThru < e {
			add(5, func() {
				inc := s.change()
				inc.NewUpThru = map[int32]ceph.Epoch{o: s.m.Epoch}
				s.commit(inc)
				delete(s.thru, o)
			})
			break
		}
	}
	if len(s.temp) > 0 {
		add(5, func() {
			inc := s.change()
			inc.NewPGTemp = s.temp
			s.temp = map[ceph.PGID][]int32{}
			s.commit(inc)
		})
	}
	s.snapActions(add)
	if !s.quiet && s.rng.IntN(s.odds.resize) == 0 {
		add(20, s.resize)
	}
	if !s.quiet && s.rng.IntN(s.odds.out) == 0 {
		add(20, func() {
			inc := s.change()
			o := int32(s.rng.IntN(len(s.nodes)))
			w := uint32(osdmap.WeightIn)
			if s.m.IsIn(o) {
				w = 0
			}
			inc.NewWeight = map[int32]uint32{o: w}
			s.commit(inc)
		})
	}
	if !s.quiet && s.rng.IntN(s.odds.flags) == 0 {
		add(20, s.flag)
	}
}

// heal ends the faults and waits until every PG is clean.
func (s *sim) heal() {
	s.quiet = true
	inc := s.change()
	inc.NewWeight = map[int32]uint32{}
	for _, n := range s.nodes {
		inc.NewWeight[n.id] = osdmap.WeightIn
	}
	inc.NewState = map[int32]osdmap.State{}
	for _, n := range s.nodes {
		full := s.m.State[n.id] & (osdmap.OSDBackfillfull | osdmap.OSDFull)
		if full != 0 {
			inc.NewState[n.id] = full
		}
	}
	inc.NewFlags = int32(s.m.Flags &^ (osdmap.FlagNoRecover | osdmap.FlagNoBackfill |
		osdmap.FlagNoRebalance))
	s.commit(inc)
	for _, n := range s.nodes {
		n.apart = time.Time{}
		if n.d == nil {
			s.start(n)
		}
	}
	limit := s.steps + 60000
	for !s.settled() {
		if s.steps > limit {
			s.t.Fatalf("not clean after %d steps: %s", s.steps, s.states())
		}
		s.step()
	}
}

func (s *sim) settled() bool {
	for _, c := range s.cl {
		if c.op != nil {
			return false
		}
	}
	clean := 0
	for _, n := range s.nodes {
		if n.epoch < s.m.Epoch || n.store.Pending() > 0 {
			return false
		}
		for _, sh := range n.d.shards {
			if len(sh.in) > 0 {
				return false
			}
			for _, p := range sh.pgs {
				if p.primary && p.m.IsClean() && !p.stats.Estimated {
					clean++
				}
			}
		}
	}
	return s.silent() && clean == int(s.m.Pools[simPool].PGNum) &&
		len(s.m.RemovedSnapsQueue[simPool]) == 0
}

// silent says whether nothing is on its way between OSDs.
func (s *sim) silent() bool {
	for _, q := range s.links {
		if len(q) > 0 {
			return false
		}
	}
	return true
}

func (s *sim) states() string {
	out := fmt.Sprintf("epoch %d, temp %v;", s.m.Epoch, s.m.PGTemp)
	for _, n := range s.nodes {
		out += fmt.Sprintf("\nosd.%d epoch %d pending %d:", n.id, n.epoch, n.store.Pending())
		for _, sh := range n.d.shards {
			out += fmt.Sprintf("\n (%d events, stopped %v, %d in the background, %d moving)",
				len(sh.in), sh.stopped, sh.bg.Len(), sh.moving)
			for _, p := range sh.pgs {
				up, _ := p.m.Up()
				acting, _ := p.m.Acting()
				out += fmt.Sprintf(" [%v %v up %v acting %v missing %d %v pulls %d pushes %d %v]",
					p.id, p.m.State(), up, acting, p.m.Missing().Len(), p.m.Info().LastUpdate,
					len(p.recovery.pulls), len(p.recovery.pushes), p.state())
				for o, pl := range p.recovery.pulls {
					out += fmt.Sprintf("\n  pull %v %+v", o, *pl)
				}
				for o, ps := range p.recovery.pushes {
					out += fmt.Sprintf("\n  push %v %+v", o, *ps)
				}
			}
		}
	}
	for _, c := range s.cl {
		out += fmt.Sprintf("\nclient %d: %+v", c.id, c.op)
	}
	return out
}

func (s *sim) run(steps int) {
	for i := range 3 {
		s.cl = append(s.cl, &simClient{s: s, id: i})
	}
	for range steps {
		s.step()
	}
	s.heal()
	s.check()
	s.checkLogs()
	s.checkScrub()
	s.checkPlaces()
	s.checkSnaps()
	s.checkSlots()
	s.checkHeld()
	s.t.Logf("%d steps, epoch %d, %d merges, %d of %d reads of other copies", s.steps, s.m.Epoch,
		s.merges, s.served, s.copyReads)
}

// TestSim runs clusters under random faults: no acknowledged write is lost, reads are
// linearizable, and afterwards every PG becomes clean with identical copies.
func TestSim(t *testing.T) {
	var seeds []uint64
	for i := range uint64(*simRuns) {
		seeds = append(seeds, *simFrom+i)
	}
	for range *simFresh {
		seeds = append(seeds, uint64(time.Now().UnixNano()))
	}
	if *simSeed != 0 {
		seeds = []uint64{*simSeed}
	}
	for _, seed := range seeds {
		if !t.Run(fmt.Sprint(seed), simulate(seed)) {
			return
		}
	}
}
