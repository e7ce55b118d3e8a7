package osd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/wire/message"
)

// configure overrides an option of all OSDs.
func (s *sim) configure(pairs ...string) {
	s.t.Helper()
	for _, n := range s.nodes {
		for i := 0; i < len(pairs); i += 2 {
			if err := n.d.conf.Override(pairs[i], pairs[i+1]); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// scheduled is a cluster whose PGs are scrubbed every second of its clock, and no one deep.
func scheduled(t *testing.T, seed uint64) *sim {
	s := whole(t, seed)
	s.configure("osd_scrub_min_interval", "1", "osd_scrub_interval_randomize_ratio", "0",
		"osd_deep_scrub_randomize_ratio", "0")
	return s
}

// A scrubs is how often PGs were scrubbed, and how often deeply.
type scrubs struct{ all, deep int }

// watchScrubs steps for a while and counts.
func (s *sim) watchScrubs(span time.Duration) (out scrubs) {
	type stamps struct{ last, deep ceph.Time }
	seen := map[ceph.SPG]stamps{}
	for end := s.clock.Add(span); s.clock.Before(end); s.step() {
		for _, p := range s.primaries() {
			h := &p.m.Info().History
			is := stamps{h.LastScrubStamp, h.LastDeepScrubStamp}
			if was, ok := seen[p.id]; ok && was.last != is.last {
				out.all++
				if was.deep != is.deep {
					out.deep++
				}
			}
			seen[p.id] = is
		}
	}
	return out
}

// TestScheduledScrubs: PGs are scrubbed without being asked: as often as the options, the pool and
// the flags say.
func TestScheduledScrubs(t *testing.T) {
	s := scheduled(t, 3)
	pool := func(change func(p *osdmap.Pool)) {
		inc := s.change()
		p := *s.m.Pools[simPool]
		change(&p)
		inc.NewPools = map[int64]*osdmap.Pool{simPool: &p}
		s.commit(inc)
		s.until("the map is known", s.settled)
	}
	flags := func(f osdmap.Flags) {
		s.flags(f)
		s.until("the map is known", s.settled)
	}
	expect := func(what string, scrub, deep bool) {
		t.Helper()
		s.watchScrubs(time.Second) // what goes on ends
		got := s.watchScrubs(4 * time.Second)
		// Four PGs are due four times each, or hardly ever.
		if scrub != (got.all >= 8) || !scrub && got.all > 0 || deep != (got.deep >= 4) ||
			!deep && got.deep > 0 {
			t.Errorf("%s: %+v", what, got)
		}
		for _, e := range s.errors {
			t.Errorf("%s: %s", what, e)
		}
		s.errors = nil
	}
	expect("every second", true, false)
	flags(osdmap.FlagNoScrub)
	expect("noscrub", false, false)
	s.configure("osd_deep_scrub_interval", "1")
	expect("noscrub, deep is due", true, true)
	flags(osdmap.FlagNoScrub | osdmap.FlagNoDeepScrub)
	expect("noscrub and nodeep-scrub", false, false)
	flags(0)
	expect("deep is due", true, true)
	pool(func(p *osdmap.Pool) { p.Flags |= osdmap.PoolNoDeepScrub })
	expect("the pool's nodeep-scrub", true, false)
	pool(func(p *osdmap.Pool) {
		p.Flags &^= osdmap.PoolNoDeepScrub
		p.Opts = map[osdmap.PoolOpt]osdmap.OptValue{
			osdmap.OptScrubMinInterval: {Type: osdmap.OptDouble, Float: 1e6}}
	})
	expect("the pool's interval", false, false)
	s.configure("osd_scrub_min_interval", "1e6")
	pool(func(p *osdmap.Pool) {
		p.Opts = map[osdmap.PoolOpt]osdmap.OptValue{
			osdmap.OptScrubMinInterval:  {Type: osdmap.OptDouble, Float: 1},
			osdmap.OptDeepScrubInterval: {Type: osdmap.OptDouble, Float: 1e6}}
	})
	expect("the pool's intervals", true, false)
}

// TestScrubsAreHeldBack: load, hours and recovery hold back what is due, until the maximum; a
// request is held back by nothing.
func TestScrubsAreHeldBack(t *testing.T) {
	for name, hold := range map[string]func(s *sim){
		"load": func(s *sim) {
			for _, n := range s.nodes {
				n.d.load.Read = func() (one, fifteen float64) { return 7, 7 }
			}
		},
		"hours": func(s *sim) {
			h := s.clock.Local().Hour()
			s.configure("osd_scrub_begin_hour", fmt.Sprint((h+5)%24), "osd_scrub_end_hour",
				fmt.Sprint((h+6)%24))
		},
		"week": func(s *sim) {
			d := int(s.clock.Local().Weekday())
			s.configure("osd_scrub_begin_week_day", fmt.Sprint((d+2)%7), "osd_scrub_end_week_day",
				fmt.Sprint((d+3)%7))
		},
		"flags": func(s *sim) {
			s.flags(osdmap.FlagNoScrub | osdmap.FlagNoDeepScrub)
			s.until("the map is known", s.settled)
		},
		"recovery": func(s *sim) {
			for _, n := range s.nodes {
				n.d.slots.active.Store(1)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := scheduled(t, 5)
			hold(s)
			s.watchScrubs(time.Second)
			if got := s.watchScrubs(3 * time.Second); got.all > 0 {
				t.Errorf("%+v", got)
			}
			before := s.victim().m.Info().History.LastDeepScrubStamp
			s.scrubAll(false)
			if s.victim().m.Info().History.LastDeepScrubStamp == before {
				t.Error("a request is held back")
			}
			switch name {
			case "flags":
				return
			case "recovery":
				s.configure("osd_scrub_during_recovery", "true")
			default:
				s.configure("osd_scrub_max_interval", "1")
			}
			if got := s.watchScrubs(3 * time.Second); got.all < 4 {
				t.Errorf("at last: %+v", got)
			}
		})
	}
}

// TestMaxScrubs: an OSD takes part in no more scrubs than osd_max_scrubs, and all PGs have their
// turn.
func TestMaxScrubs(t *testing.T) {
	for most := range 3 {
		s := scheduled(t, uint64(most+1))
		s.configure("osd_max_scrubs", fmt.Sprint(most))
		peak := 0
		before := map[ceph.SPG]ceph.Time{}
		for _, p := range s.primaries() {
			before[p.id] = p.m.Info().History.LastScrubStamp
		}
		for end := s.clock.Add(8 * time.Second); s.clock.Before(end); s.step() {
			for _, n := range s.nodes {
				now := 0
				n.d.sortedPGs(func(p *pg) {
					if local, remote := p.scrub.Slots(); local || remote {
						now++
					}
				})
				peak = max(peak, now)
			}
		}
		if peak != most {
			t.Errorf("%d scrubs at once, want %d", peak, most)
		}
		for _, p := range s.primaries() {
			if did := p.m.Info().History.LastScrubStamp != before[p.id]; did != (most > 0) {
				t.Errorf("of %d at once: %v scrubbed: %v", most, p.id, did)
			}
		}
	}
}

// TestOldestFirst: of PGs that are due, the one goes first that was scrubbed last longest ago.
func TestOldestFirst(t *testing.T) {
	s := whole(t, 1)
	inc := s.change()
	pool := *s.m.Pools[simPool]
	pool.PGNum, pool.PGNumTarget, pool.PGNumPending = 16, 16, 16
	inc.NewPools = map[int64]*osdmap.Pool{simPool: &pool}
	s.commit(inc)
	s.until("16 PGs are clean", s.settled)
	sh := s.victim().s
	var mine []*pg
	for _, p := range s.primaries() {
		if p.s == sh {
			mine = append(mine, p)
		}
	}
	if len(mine) < 2 {
		t.Fatal("the shard has one PG")
	}
	for i, p := range mine {
		p.m.Info().History.LastScrubStamp = ceph.TimeOf(s.clock.Add(-time.Duration(i+1) * 1e17))
	}
	sh.now = s.clock
	sh.scrubTick()
	for i, p := range mine {
		if local, _ := p.scrub.Slots(); local != (i == len(mine)-1) {
			t.Errorf("%d of %d: scrubbed is %v", i+1, len(mine), local)
		}
	}
}

// pair is a PG that has two objects at least.
func (s *sim) pair() *pg {
	a, b := s.together()
	s.put(s.cl[0], a, "some value")
	s.put(s.cl[0], b, "another value")
	s.until("all is clean", s.settled)
	n, p := s.pgOf(a)
	return n.d.shardOf(p.id).pgs[p.id]
}

// A repairCase is damage, and what scrubs make of it.
type repairCase struct {
	what     []string // an object each
	both     bool     // on two of three copies, differently
	deep     bool     // is due
	noDeep   bool     // is set
	operator bool     // asks instead
	set      []string
	heals    bool
	quiet    bool // nothing is found
}

// TestAutoRepair: a scrub by schedule repairs what is certain, and only so many errors; a scrub by
// an operator nothing.
func TestAutoRepair(t *testing.T) {
	gone, other := []string{"gone"}, []string{"other data"}
	two, most := []string{"gone", "gone"}, "osd_scrub_auto_repair_num_errors"
	off := []string{"osd_scrub_auto_repair", "false"}
	for name, c := range map[string]repairCase{
		"by majority":           {what: other, deep: true, heals: true},
		"by itself":             {what: []string{"shorter"}, deep: true, heals: true},
		"omap":                  {what: []string{"other omap value"}, deep: true, heals: true},
		"off":                   {what: gone, deep: true, set: off},
		"operator":              {what: gone, operator: true},
		"not certain":           {what: other, both: true, deep: true},
		"shallow sees none":     {what: other, quiet: true},
		"shallow":               {what: gone, heals: true},
		"shallow, nodeep-scrub": {what: gone, noDeep: true},
		"as many as allowed":    {what: two, deep: true, heals: true, set: []string{most, "2"}},
		"too many":              {what: two, deep: true, set: []string{most, "1"}},
		"too many, shallow":     {what: two, set: []string{most, "1"}},
	} {
		t.Run(name, func(t *testing.T) { c.run(whole(t, 4)) })
	}
}

func (c *repairCase) run(s *sim) {
	p := s.pair()
	before := s.snapshot()
	for i, o := range s.nodes[p.s.d.opt.ID].list(p.id)[:len(c.what)] {
		w := s.wound(p, 1, o)
		at := slices.IndexFunc(damages, func(d damage) bool { return d.name == c.what[i] })
		damages[at].do(w)
		w.n.write(&w.t)
		if c.both {
			w := s.wound(p, 2, o)
			w.t.Write(w.c, w.o, 1, []byte("!!!"))
			w.n.write(&w.t)
		}
	}
	want := s.snapshot()
	if c.heals {
		want = before
	}
	s.configure("osd_scrub_auto_repair", "true", "osd_deep_scrub_randomize_ratio", "0")
	s.configure(c.set...)
	if c.noDeep {
		s.flags(osdmap.FlagNoDeepScrub)
		s.until("the map is known", s.settled)
	}
	if c.deep {
		s.configure("osd_deep_scrub_interval", "1")
	}
	if c.operator {
		s.scrubAll(false)
	} else {
		s.configure("osd_scrub_min_interval", "1")
		s.watchScrubs(5 * time.Second)
	}
	s.until("all is clean", s.settled)
	if got := s.snapshot(); got != want {
		s.t.Errorf("healed: %v; want\n%s\ngot\n%s", got == before, want, got)
	}
	if known := p.stats.Scrub.Errors() > 0; known == (c.heals || c.quiet) {
		s.t.Errorf("known of: %v; %v", p.stats.Scrub, s.errors)
	}
	if (len(s.errors) == 0) != c.quiet {
		s.t.Errorf("said %v", s.errors)
	}
}

// stash takes answers of replicas to the primary's scrub off their way, of a chunk or all but it.
func (s *sim) stash(keep func(tag uint64) bool) (out map[[2]int32][]message.Body) {
	out = map[[2]int32][]message.Body{}
	for _, k := range s.names {
		var rest []message.Body
		for _, b := range s.links[k] {
			if m, ok := b.(*message.MOSDRepScrubMap); ok && !keep(m.Tag) {
				out[k] = append(out[k], b)
			} else {
				rest = append(rest, b)
			}
		}
		s.links[k] = rest
	}
	return out
}

// TestScrubIsPreempted: a write to the chunk that is scrubbed goes through at once, as often as
// osd_scrub_max_preemptions says; then it waits for that chunk, and for nothing else.
func TestScrubIsPreempted(t *testing.T) {
	s := whole(t, 4)
	p := s.pair()
	o := s.nodes[p.s.d.opt.ID].list(p.id)[0]
	c, object := s.cl[0], 0
	for c.name(object) != o.Name {
		object++
	}
	s.configure("osd_scrub_max_preemptions", "2", "osd_scrub_chunk_max", "1")
	newest, held := uint64(0), map[[2]int32][]message.Body{}
	step := func() {
		s.step()
		for k, list := range s.stash(func(uint64) bool { return false }) {
			held[k] = append(held[k], list...)
			newest = max(newest, list[len(list)-1].(*message.MOSDRepScrubMap).Tag)
		}
	}
	chunk := func(tag uint64) { // there is a map of it
		t.Helper()
		for n := s.steps; newest < tag; step() {
			if s.steps > n+5000 {
				t.Fatalf("no map of a chunk after %d", newest)
			}
		}
	}
	write := func(limit int) bool {
		c.begin(&simOp{object: object, value: fmt.Sprint(s.steps)})
		for n := s.steps; c.op != nil && s.steps < n+limit; step() {
		}
		return c.op == nil
	}
	p.scrub.Ask(true, false)
	for i := range uint64(2) {
		chunk(2*i + 1) // there are two tags to each: it was begun, and given up
		if !write(3000) {
			t.Fatalf("write %d waits for a scrub", i)
		}
	}
	chunk(5)
	if write(3000) || len(p.scrubHeld) != 1 {
		t.Fatalf("a write is not held back; %d are", len(p.scrubHeld))
	}
	// The maps of that chunk come, no later ones.
	free := newest
	for k, list := range held {
		for _, b := range list {
			if b.(*message.MOSDRepScrubMap).Tag == free {
				s.links[k] = append(s.links[k], b)
			}
		}
	}
	for n := s.steps; c.op != nil; {
		s.step()
		s.stash(func(tag uint64) bool { return tag == free })
		if s.steps > n+5000 {
			t.Fatal("a write waits for more than its chunk")
		}
	}
	if local, _ := p.scrub.Slots(); !local {
		t.Error("the write has waited for the whole scrub")
	}
	if strings.Contains(p.state().String(), "inconsistent") {
		t.Error("the scrub has found what it interrupted")
	}
}

// TestScrubStepsWait: steps of a scrub run when the shard has nothing else to do.
func TestScrubStepsWait(t *testing.T) {
	s := whole(t, 2)
	p := s.victim()
	sh := p.s
	s.until("nothing to do", func() bool { return len(sh.in) == 0 && sh.bg.Len() == 0 })
	ran := 0
	scrubHost{p}.Later(0, func() { ran++ })
	for range 3 {
		sh.in = append(sh.in, event{kind: evCall, call: func(*shard) {
			sh.post(event{kind: evCall, call: func(*shard) {}}) // the shard stays busy
		}})
		if sh.turn(); ran > 0 {
			t.Fatal("a step ran before what came later")
		}
	}
	s.clock = s.clock.Add(150 * time.Millisecond)
	sh.in = append(sh.in, event{kind: evCall, call: func(*shard) {
		sh.post(event{kind: evCall, call: func(*shard) {}})
	}})
	if sh.turn(); ran != 1 {
		t.Error("a step waits for ever")
	}
	scrubHost{p}.Later(0, func() { ran++ })
	sh.in = nil
	if sh.turn(); ran != 2 {
		t.Error("a step waits for nothing")
	}
}
