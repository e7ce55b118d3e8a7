package osd

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/inconsistent"
	"glue/cluster/pginfo"
	"glue/store/objectstore"
	"glue/wire/message"
)

// hearLog keeps what OSDs tell the cluster log of errors.
func (s *sim) hearLog(m *message.MLog) {
	for _, e := range m.Entries {
		if e.Priority == message.LogError {
			s.errors = append(s.errors, fmt.Sprintf("%v: %s", e.Rank, e.Message))
		}
	}
}

// scrubSome has an operator ask for a scrub of a PG in the middle of everything.
func (s *sim) scrubSome(n *simNode) {
	sh := n.d.shards[s.rng.IntN(len(n.d.shards))]
	if pgs := sh.sorted(); len(pgs) > 0 {
		if p := pgs[s.rng.IntN(len(pgs))]; p.primary {
			p.scrub.Ask(s.rng.IntN(2) == 0, false)
		}
	}
}

// primaries are the PG copies that are primaries, in order.
func (s *sim) primaries() (out []*pg) {
	for _, n := range s.nodes {
		if n.d == nil {
			continue
		}
		for _, sh := range n.d.shards {
			for _, p := range sh.sorted() {
				if p.primary {
					out = append(out, p)
				}
			}
		}
	}
	return out
}

// scrubAll has every PG scrubbed and waits until that is done, and what it repairs is too.
func (s *sim) scrubAll(repair bool) {
	s.t.Helper()
	from := ceph.TimeOf(s.clock)
	for _, p := range s.primaries() {
		p.scrub.Ask(true, repair)
	}
	for limit := s.steps + 200_000; ; s.step() {
		left := 0
		for _, p := range s.primaries() {
			h := &p.m.Info().History
			local, remote := p.scrub.Slots()
			if h.LastDeepScrubStamp.Compare(from) <= 0 || local || remote || p.scrub.Asked() {
				left++
				if s.settled() && !local && !p.scrub.Asked() {
					p.scrub.Ask(true, repair) // who was asked is not the primary any more
				}
			}
		}
		if left == 0 && s.settled() && s.told() {
			return
		}
		if s.steps > limit {
			s.t.Fatalf("%d PGs are not scrubbed: %s\n%s", left, s.slotsTaken(), s.states())
		}
	}
}

// told says whether the cluster log has all that there is to say.
func (s *sim) told() bool {
	return !slices.ContainsFunc(s.nodes, func(n *simNode) bool { return len(n.d.inbox) > 0 })
}

// checkScrub scrubs everything: nothing may be wrong, and nothing may have been thought so before.
func (s *sim) checkScrub() {
	s.scrubAll(false)
	for _, e := range s.errors {
		s.t.Errorf("scrub: %s", e)
	}
}

// damage does something to one copy of an object; it returns the errors that a scrub must find at
// that copy and in the object.
type damage struct {
	name          string
	shard, object uint64
	do            func(w *wound)
}

// A wound is where damage is done.
type wound struct {
	n      *simNode
	c      ceph.SPG
	o      ceph.HObject
	t      objectstore.Transaction
	faults *faultStore
}

func (w *wound) info(change func(*pginfo.ObjectInfo)) {
	raw, _ := w.n.store.GetAttr(w.c, w.o, "_")
	var i pginfo.ObjectInfo
	if err := denc.Unmarshal(raw, &i, ceph.FeaturesAll); err != nil {
		panic(err)
	}
	change(&i)
	w.t.SetAttr(w.c, w.o, "_", denc.Marshal(&i, ceph.FeaturesAll))
}

var damages = []damage{
	{"other data", 0, inconsistent.DataMismatch,
		func(w *wound) { w.t.Write(w.c, w.o, 2, []byte("??")) }},
	{"shorter", inconsistent.ShardObjectMismatch | inconsistent.ShardSizeMismatch,
		inconsistent.SizeMismatch | inconsistent.DataMismatch,
		func(w *wound) { w.t.Truncate(w.c, w.o, 3) }},
	{"longer", inconsistent.ShardObjectMismatch | inconsistent.ShardSizeMismatch,
		inconsistent.SizeMismatch | inconsistent.DataMismatch,
		func(w *wound) { w.t.Truncate(w.c, w.o, 99) }},
	{"gone", inconsistent.ShardMissing, 0, func(w *wound) { w.t.Remove(w.c, w.o) }},
	{"no info", inconsistent.ShardInfoMissing, 0, func(w *wound) { w.t.RmAttr(w.c, w.o, "_") }},
	{"garbage for info", inconsistent.ShardInfoCorrupted, 0,
		func(w *wound) { w.t.SetAttr(w.c, w.o, "_", []byte{1, 2, 3}) }},
	{"info of another object", inconsistent.ShardInfoCorrupted, 0,
		func(w *wound) { w.info(func(i *pginfo.ObjectInfo) { i.Object.Name = "other" }) }},
	{"older version", 0, inconsistent.InfoInconsistency, func(w *wound) {
		w.info(func(i *pginfo.ObjectInfo) { i.Version.Version-- })
	}},
	{"a version that never was", 0, inconsistent.InfoInconsistency, func(w *wound) {
		w.info(func(i *pginfo.ObjectInfo) { i.Version.Version += 1000 })
	}},
	{"other attribute", 0, inconsistent.AttrValueMismatch,
		func(w *wound) { w.t.SetAttr(w.c, w.o, "_x1", []byte("w")) }},
	{"lost attribute", 0, inconsistent.AttrNameMismatch,
		func(w *wound) { w.t.RmAttr(w.c, w.o, "_x1") }},
	{"strange attribute", 0, inconsistent.AttrNameMismatch,
		func(w *wound) { w.t.SetAttr(w.c, w.o, "_x9", []byte("v")) }},
	{"other omap value", 0, inconsistent.OmapMismatch,
		func(w *wound) { w.t.OmapSet(w.c, w.o, map[string][]byte{"k1": []byte("w")}) }},
	{"lost omap key", 0, inconsistent.OmapMismatch,
		func(w *wound) { w.t.OmapRm(w.c, w.o, []string{"k2"}) }},
	{"other omap header", 0, inconsistent.OmapMismatch,
		func(w *wound) { w.t.OmapSetHeader(w.c, w.o, []byte("h2")) }},
	{"data that can't be read", inconsistent.ShardReadError, 0,
		func(w *wound) { w.faults.data[w.o] = true }},
	{"attributes that can't be read", inconsistent.ShardStatError, 0,
		func(w *wound) { w.faults.attrs[w.o] = true }},
}

// faultStore can't read some objects until they are written anew.
type faultStore struct {
	objectstore.Store
	data, attrs map[ceph.HObject]bool
}

func (f *faultStore) Lend(c ceph.SPG, o ceph.HObject, off, n uint64) (objectstore.Loan, error) {
	if f.data[o] {
		return objectstore.Loan{}, objectstore.ErrCorrupt
	}
	return f.Store.Lend(c, o, off, n)
}

func (f *faultStore) Read(c ceph.SPG, o ceph.HObject, off, n uint64) ([]byte, error) {
	if f.data[o] {
		return nil, objectstore.ErrCorrupt
	}
	return f.Store.Read(c, o, off, n)
}

func (f *faultStore) GetAttrs(c ceph.SPG, o ceph.HObject) (map[string][]byte, error) {
	if f.attrs[o] {
		return nil, objectstore.ErrCorrupt
	}
	return f.Store.GetAttrs(c, o)
}

func (f *faultStore) GetAttr(c ceph.SPG, o ceph.HObject, name string) ([]byte, error) {
	if f.attrs[o] {
		return nil, objectstore.ErrCorrupt
	}
	return f.Store.GetAttr(c, o, name)
}

func (f *faultStore) SubmitAll(batch []objectstore.Submission) []error {
	for _, b := range batch {
		for _, op := range b.Transaction.Ops {
			if op.Code == objectstore.OpRemove || op.Code == objectstore.OpMoveRename {
				delete(f.data, op.Object)
				delete(f.attrs, op.Object)
			}
		}
	}
	return f.Store.SubmitAll(batch)
}

// whole is a cluster of three with objects that have everything, all copies alike.
func whole(t *testing.T, seed uint64) *sim {
	s := newSim(t, seed, 3)
	s.odds = odds{1e9, 1e9, 1e9, 1e9, 1e9, 1e9}
	s.noScrub, s.noSnaps = true, true
	for i := range 3 {
		s.cl = append(s.cl, &simClient{s: s, id: i})
	}
	for range 800 {
		s.step()
	}
	s.heal()
	for _, n := range s.nodes {
		for _, c := range n.collections() {
			for _, o := range n.list(c) {
				var tr objectstore.Transaction
				tr.SetAttrs(c, o, map[string][]byte{"_x1": []byte("v"), "_x2": []byte("u")})
				tr.OmapSet(c, o, map[string][]byte{"k1": []byte("a"), "k2": []byte("b")})
				tr.OmapSetHeader(c, o, []byte("h"))
				n.write(&tr)
			}
		}
	}
	return s
}

func (n *simNode) collections() []ceph.SPG {
	list, _ := n.store.Collections()
	return list
}

func (n *simNode) list(c ceph.SPG) []ceph.HObject {
	list, _, _ := n.store.List(c, ceph.HObject{Pool: simPool}, 100)
	return list
}

// write changes the store behind the daemon's back.
func (n *simNode) write(t *objectstore.Transaction) {
	if t.Empty() {
		return
	}
	if err := n.store.Submit(t, func(error) {}); err != nil {
		panic(err)
	}
	n.store.Complete(n.store.Pending())
	if n.d != nil {
		for _, sh := range n.d.shards {
			for _, p := range sh.pgs {
				clear(p.objects)
			}
		}
	}
}

// snapshot is everything that the copies hold.
func (s *sim) snapshot() string {
	var out bytes.Buffer
	for _, n := range s.nodes {
		for _, c := range n.collections() {
			for _, o := range n.list(c) {
				fmt.Fprintf(&out, "%d %v %v: %s", n.id, c, o, n.contents(c, o))
				for kv := range n.store.OmapScan(c, o, "") {
					fmt.Fprintf(&out, "|%s:%s", kv.Key, kv.Value)
				}
				header, _ := n.store.OmapHeader(c, o)
				fmt.Fprintf(&out, "|%s\n", header)
			}
		}
	}
	return out.String()
}

var damageRuns = flag.Int("sim.damage", 1, "how often each damage is done at each place")

// TestScrubFindsDamage injects every kind of damage at the primary and at each replica: a deep
// scrub finds it at the right copy and changes nothing, a repair undoes it, and nothing spreads.
func TestScrubFindsDamage(t *testing.T) {
	for i, d := range damages {
		for at := range 3 {
			t.Run(fmt.Sprintf("%s/%d", d.name, at), func(t *testing.T) {
				for run := range *damageRuns {
					damageAndRepair(t, uint64(1000*run+100*i+at+1), &d, at)
				}
			})
		}
	}
}

func damageAndRepair(t *testing.T, seed uint64, d *damage, at int) {
	s := whole(t, seed)
	before := s.snapshot()
	p := s.victim()
	list := s.nodes[p.s.d.opt.ID].list(p.id)
	w := s.wound(p, at, list[int(seed/1000)%len(list)])
	d.do(w)
	w.n.write(&w.t)
	hurt := s.snapshot()
	s.scrubAll(false)
	if s.snapshot() != hurt {
		t.Errorf("seed %d: a scrub has changed something", seed)
	}
	s.found(p, w, d)
	s.errors = nil
	s.scrubAll(true)
	if len(s.errors) == 0 {
		t.Errorf("seed %d: the repair says nothing", seed)
	}
	s.errors = nil
	s.scrubAll(false)
	if after := s.snapshot(); after != before {
		t.Errorf("seed %d: not healed; before:\n%s\nafter:\n%s", seed, before, after)
	}
	if len(s.errors) > 0 || p.stats.Scrub.Errors() != 0 {
		t.Errorf("seed %d: after repair: %v, %+v", seed, s.errors, p.stats.Scrub)
	}
}

// victim is a PG with objects.
func (s *sim) victim() *pg {
	for _, p := range s.primaries() {
		if len(s.nodes[p.s.d.opt.ID].list(p.id)) > 0 {
			return p
		}
	}
	panic("no PG has objects")
}

// wound prepares damage to an object on the at-th OSD of a PG.
func (s *sim) wound(p *pg, at int, o ceph.HObject) *wound {
	acting, _ := p.m.Acting()
	n := s.nodes[acting[at]]
	f := &faultStore{n.store, map[ceph.HObject]bool{}, map[ceph.HObject]bool{}}
	n.d.store = f
	for _, sh := range n.d.shards {
		for _, q := range sh.pgs {
			q.setEnv()
		}
	}
	return &wound{n: n, c: p.id, o: o, faults: f}
}

// found checks what is known after a scrub.
func (s *sim) found(p *pg, w *wound, d *damage) {
	s.t.Helper()
	records := p.scrub.Records()
	if len(records) != 1 || records[0].Object != w.o {
		s.t.Fatalf("records %+v; want one of %v\n%v", records, w.o, s.errors)
	}
	r := &records[0]
	if r.Errors != d.object || !slices.Equal(r.Bad, []int32{w.n.id}) || r.Auth == w.n.id {
		s.t.Errorf("errors %#x, bad %v, right %d; want %#x, [%d]", r.Errors, r.Bad, r.Auth,
			d.object, w.n.id)
	}
	for _, sh := range r.Shards {
		want := uint64(0)
		if sh.OSD == w.n.id {
			want = d.shard
		}
		if sh.Errors != want {
			s.t.Errorf("osd.%d has errors %#x, want %#x", sh.OSD, sh.Errors, want)
		}
	}
	said := slices.ContainsFunc(s.errors, func(e string) bool {
		return strings.Contains(e, fmt.Sprintf("shard %d ", w.n.id)) &&
			strings.Contains(e, w.o.Name)
	})
	if !said || p.stats.Scrub.Errors() == 0 {
		s.t.Errorf("the cluster log does not name the copy: %v; %+v", s.errors, p.stats.Scrub)
	}
}

// TestScrubRemovesWhatWasDeleted: a copy still has an object that the log says was deleted.
func TestScrubRemovesWhatWasDeleted(t *testing.T) {
	for at := range 3 {
		s := whole(t, uint64(at+7))
		p := s.victim()
		o := s.nodes[p.s.d.opt.ID].list(p.id)[0]
		w := s.wound(p, at, o)
		data, _ := w.n.store.Read(p.id, o, 0, 0)
		attrs, _ := w.n.store.GetAttrs(p.id, o)
		c := s.cl[0]
		for i := range simObjects {
			if c.name(i) == o.Name {
				c.op = &simOp{object: i, remove: true, tid: c.tid + 1, call: int64(s.steps)}
			}
		}
		for c.op != nil || !s.settled() {
			s.step()
		}
		before := s.snapshot()
		w.t.Write(p.id, o, 0, data)
		w.t.SetAttrs(p.id, o, maps.Clone(attrs))
		w.n.write(&w.t)
		s.scrubAll(false)
		if r := p.scrub.Records(); len(r) != 1 || !r[0].Remove ||
			!slices.Equal(r[0].Bad, []int32{w.n.id}) {
			t.Fatalf("records %+v", r)
		}
		s.scrubAll(true)
		if after := s.snapshot(); after != before {
			t.Errorf("not healed; before:\n%s\nafter:\n%s", before, after)
		}
	}
}

// TestScrubLeavesWhatIsNotCertain: of two copies that differ and are both sound, neither is taken.
func TestScrubLeavesWhatIsNotCertain(t *testing.T) {
	s := whole(t, 3)
	p := s.victim()
	o := s.nodes[p.s.d.opt.ID].list(p.id)[0]
	for at := range 2 {
		w := s.wound(p, at, o)
		w.t.Write(p.id, o, 0, []byte{byte('A' + at)})
		w.n.write(&w.t)
	}
	before := s.snapshot()
	s.scrubAll(true)
	if r := p.scrub.Records(); len(r) != 1 || !r[0].Disputed() || len(r[0].Bad) != 0 {
		t.Errorf("records %+v", r)
	}
	if s.snapshot() != before || p.stats.Scrub.Errors() == 0 || !strings.Contains(
		p.state().String(), "failed_repair") {
		t.Errorf("state %v, %+v", p.state(), p.stats.Scrub)
	}
}

// TestScrubMendsCounts: statistics that are wrong are counted anew.
func TestScrubMendsCounts(t *testing.T) {
	s := whole(t, 5)
	p := s.victim()
	want := p.stats
	p.stats.Objects, p.stats.Bytes = 77, 1
	s.scrubAll(false)
	if p.stats.Objects != want.Objects || p.stats.Bytes != want.Bytes || len(s.errors) != 2 {
		t.Errorf("%+v, want %+v; %v", p.stats, want, s.errors)
	}
}

// TestReadOfDamage: a read of an object that is damaged at the primary is answered from another
// copy, which also heals it.
func TestReadOfDamage(t *testing.T) {
	for _, attrs := range []bool{false, true} {
		s := whole(t, 9)
		p := s.victim()
		o := s.nodes[p.s.d.opt.ID].list(p.id)[0]
		before := s.snapshot()
		w := s.wound(p, 0, o)
		clear(p.objects)
		w.faults.data[o], w.faults.attrs[o] = !attrs, attrs
		c := s.cl[0]
		for i := range simObjects {
			if c.name(i) == o.Name {
				c.op = &simOp{object: i, read: true, tid: c.tid + 1, call: int64(s.steps)}
			}
		}
		for c.op != nil || !s.settled() {
			s.step() // an error would end the test
		}
		if got, _ := p.s.d.store.Read(p.id, o, 0, 0); len(got) == 0 || s.snapshot() != before {
			t.Errorf("%q is not healed", got)
		}
		s.check()
	}
}

// slotsTaken says who takes part in scrubs.
func (s *sim) slotsTaken() (out string) {
	for _, n := range s.nodes {
		if n.d == nil {
			continue
		}
		out += fmt.Sprintf("\nosd.%d has %d scrubs:", n.id, n.d.scrubs.Load())
		n.d.sortedPGs(func(p *pg) {
			local, remote := p.scrub.Slots()
			out += fmt.Sprintf(" %v local %v remote %v asked %v plan %+v;", p.id, local, remote,
				p.scrub.Asked(), p.scrub.Plan())
		})
	}
	return out
}

func (d *Daemon) sortedPGs(f func(*pg)) {
	for _, sh := range d.shards {
		for _, p := range sh.sorted() {
			f(p)
		}
	}
}

// TestScrubFindsSkippedWrites: a replica that logs a write and does not do it is found out by the
// first scrub.
func TestScrubFindsSkippedWrites(t *testing.T) {
	for seed := range uint64(5) {
		v := &verdict{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			s := newSim(v, seed+1, 3)
			s.odds, s.noScrub = odds{1e9, 1e9, 1e9, 1e9, 1e9, 1e9}, true
			skipped := false
			s.tamper = func(b message.Body) {
				if m, ok := b.(*message.MOSDRepOp); ok && !s.quiet && s.steps > 1500 {
					m.Txn, m.Missing, skipped = nil, true, true
				}
			}
			for i := range 3 {
				s.cl = append(s.cl, &simClient{s: s, id: i})
			}
			for range 2000 {
				s.step()
			}
			s.heal()
			if skipped {
				s.checkScrub()
			} else {
				v.failed = true
			}
		}()
		if <-done; !v.failed {
			t.Errorf("seed %d: a skipped write was not found", seed+1)
		}
	}
}
