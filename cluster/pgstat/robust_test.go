package pgstat

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/osdmap"
	"glue/internal/cephjson"
	"glue/internal/options"
)

// stockSums is the head of a stock monitor's PGMapDigest: pool sums, their sum and the OSDs'.
type stockSums struct {
	counts [4]uint64
	order  []int32
	pools  []Pool
	sum    Pool
	osds   OSD
}

func (s *stockSums) Denc(c *denc.Coder) {
	f := c.Begin(4, 1)
	for i := range s.counts {
		c.U64(&s.counts[i])
	}
	n := c.Count(len(s.order), 4)
	if !c.Encoding() {
		s.order, s.pools = make([]int32, n), make([]Pool, n)
	}
	for i := range s.order { // in a hash table's order
		c.I32(&s.order[i])
		s.pools[i].Denc(c)
	}
	s.sum.Denc(c)
	s.osds.Denc(c)
	f.End()
}

func TestSumsHaveStockBytes(t *testing.T) {
	b := []byte(load(t, "digest.stock"))
	var s stockSums
	if err := denc.Unmarshal(b, &s, ceph.FeaturesAll); err != nil {
		t.Fatal(err)
	}
	got := denc.Marshal(&s, ceph.FeaturesAll)
	osds := len(denc.Marshal(&s.osds, ceph.FeaturesAll)) // a monitor writes older latencies here
	if n := len(got) - osds; n < 1000 || !bytes.Equal(got[6:n], b[6:n]) {
		t.Errorf("pool_stat_t has other bytes")
	}
	if s.counts != [4]uint64{37, 37, 0, 3} || len(s.pools) != 5 || s.sum.Stats.Sum.Objects == 0 ||
		s.osds.Statfs.Total != 12<<30 || s.osds.NumOSDs != 3 {
		t.Errorf("%v, %d pools, %+v", s.counts, len(s.pools), s.osds)
	}
}

// fill sets every number in v to a random one, and lists and maps to a few elements.
func fill(r *rand.Rand, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		fill(r, v.Elem(), depth)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(r, v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		n := r.IntN(3)
		if n == 0 {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(r, v.Index(i), depth+1)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i), depth+1)
		}
	case reflect.Map:
		n := r.IntN(3)
		if n == 0 {
			return
		}
		v.Set(reflect.MakeMap(v.Type()))
		for range n {
			key, val := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(r, key, depth+1)
			fill(r, val, depth+1)
			v.SetMapIndex(key, val)
		}
	case reflect.String:
		v.SetString(strings.Repeat("x", r.IntN(5)))
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	default:
		if v.CanInt() {
			v.SetInt(int64(r.Uint64() >> (64 - v.Type().Bits())))
		} else if v.CanUint() {
			v.SetUint(r.Uint64() >> (64 - v.Type().Bits()))
		}
	}
}

var records = map[string]func() denc.Value{
	"object_stat_sum_t": func() denc.Value { return &Sum{} },
	"pg_stat_t":         func() denc.Value { return &PG{} },
	"osd_stat_t":        func() denc.Value { return &OSD{} },
	"pool_stat_t":       func() denc.Value { return &Pool{} },
	"store_statfs_t":    func() denc.Value { return &Statfs{} },
	"digest":            func() denc.Value { return &Digest{} },
	"checks":            func() denc.Value { return &Checks{} },
}

func TestRandomFillAndCut(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for name, empty := range records {
		for range 30 {
			want := empty()
			fill(r, reflect.ValueOf(want), 0)
			b := denc.Marshal(want, ceph.FeaturesAll)
			got := empty()
			if err := denc.Unmarshal(b, got, ceph.FeaturesAll); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !reflect.DeepEqual(got, want) && len(b) > 4 {
				t.Fatalf("%s:\n got %+v\nwant %+v", name, got, want)
			}
			for n := range len(b) {
				if denc.Unmarshal(b[:n], empty(), ceph.FeaturesAll) == nil {
					t.Fatalf("%s: the first %d of %d bytes decode", name, n, len(b))
				}
			}
		}
	}
}

func TestEncodingIsReadOnly(t *testing.T) {
	p, _ := stock(t)
	want := denc.Marshal(&p.Digest, ceph.FeaturesAll)
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 10 {
				if !bytes.Equal(denc.Marshal(&p.Digest, ceph.FeaturesAll), want) {
					t.Error("encodings differ")
				}
			}
		}()
	}
	wg.Wait()
}

// What the monitors compute from the digest is what the manager would.
func TestDigestCarriesAll(t *testing.T) {
	p, m := stock(t)
	b, health := p.Report(m, ceph.TimeOf(p.Stamp.Go().Add(time.Second)), options.Set{})
	d, checks := &Digest{}, Checks{}
	if err := denc.Unmarshal(b, d, ceph.FeaturesAll); err != nil {
		t.Fatal(err)
	}
	if err := denc.Unmarshal(health, &checks, ceph.FeaturesAll); err != nil {
		t.Fatal(err)
	}
	if d.StatusText() != p.StatusText() || d.DFText(m, true) != p.DFText(m, true) {
		t.Error("status or df from the digest differ")
	}
	if !bytes.Equal(cephjson.Marshal(d.Status(), false), cephjson.Marshal(p.Status(), false)) {
		t.Error("JSON status from the digest differs")
	}
	if s := d.Space(m, -1); s.KB != 12<<20 || s.Objects != 27 || s.KBAvail+s.KBUsed != s.KB {
		t.Errorf("space of the cluster: %+v", s)
	}
	if s := d.Space(m, 4); s.Objects != 12 || s.KBUsed != 116656>>10 || s.KBAvail == 0 {
		t.Errorf("space of a pool: %+v", s)
	}
}

func TestRates(t *testing.T) {
	p, m := stock(t)
	at := p.Stamp
	tick := func(d time.Duration) { at = ceph.TimeOf(at.Go().Add(d)) }
	roll := func() {
		tick(5 * time.Second)
		p.stale = true
		p.Roll(m, at)
	}
	p.Delta, p.lastSum = Delta{}, Sum{}
	roll()
	roll()
	if s := p.StatusText(); strings.Contains(s, "io:") {
		t.Errorf("a cluster at rest has traffic:\n%s", s)
	}
	id := ceph.PGID{Pool: 5, Seed: 1}
	g := *p.PGs[id]
	g.Stats.Sum.Writes += 100
	g.Stats.Sum.WriteKB += 10240
	p.PGs[id] = &g
	roll()
	if s := p.StatusText(); !strings.HasSuffix(s,
		" \n  io:\n    client:   1 MiB/s wr, 0 op/s rd, 10 op/s wr\n") {
		t.Errorf("10 MiB in 10 s:\n%s", s)
	}
	if s := p.PoolStatsText(m, []int64{5}); !strings.Contains(s,
		"  client io 1 MiB/s wr, 0 op/s rd, 10 op/s wr\n") {
		t.Errorf("10 MiB in 10 s:\n%s", s)
	}
	for range 5 {
		roll()
	}
	if s := p.StatusText(); !strings.Contains(s, "io:") {
		t.Error("the traffic is forgotten too early")
	}
	roll()
	if s := p.StatusText(); strings.Contains(s, "io:") {
		t.Errorf("the traffic is never forgotten:\n%s", s)
	}
	g.Stats.Sum.Writes = 0 // an OSD that restarted
	p.PGs[id] = &g
	roll()
	if s := p.StatusText(); strings.Contains(s, "io:") {
		t.Errorf("a counter that went back is traffic:\n%s", s)
	}
}

func TestFollowsTheMap(t *testing.T) {
	_, m := stock(t)
	p := NewPGMap()
	now := ceph.Time{Sec: 1e9}
	p.TakeMap(m, now)
	p.Refresh(m)
	if p.NumPG != 41 || p.NumPGUnknown != 41 || p.ByState[0] != 41 {
		t.Fatalf("a fresh map has %d PGs, %d unknown", p.NumPG, p.NumPGUnknown)
	}
	id := ceph.PGID{Pool: 2, Seed: 3}
	report := func(epoch ceph.Epoch, seq uint64, s State) {
		p.TakeReport(0, &OSD{NumOSDs: 1}, map[ceph.PGID]*PG{
			id:         {ReportedEpoch: epoch, ReportedSeq: seq, State: s},
			{Pool: 77}: {State: Active}, {Pool: 2, Seed: 99}: {State: Active},
		}, m, now)
		p.Refresh(m)
	}
	report(5, 7, Active|Clean)
	report(5, 6, Down)
	report(4, 99, Down)
	if p.NumPG != 41 || p.PGs[id].State != Active|Clean || p.NumPGActive != 1 {
		t.Errorf("%d PGs, %v", p.NumPG, p.PGs[id].State)
	}
	inc := osdmap.NewIncremental(m, now)
	inc.NewState = map[int32]osdmap.State{0: osdmap.OSDUp}
	inc.OldPools = []int64{7}
	down, _, err := m.Commit(inc)
	if err != nil {
		t.Fatal(err)
	}
	p.TakeMap(down, now)
	p.Refresh(down)
	if p.NumPG != 37 || p.PGs[id].State != Active|Clean|Stale {
		t.Errorf("%d PGs after a pool is gone; of a dead primary: %v", p.NumPG, p.PGs[id].State)
	}
}

func TestChecks(t *testing.T) {
	p, m := stock(t)
	now := ceph.TimeOf(p.Stamp.Go().Add(time.Hour))
	want := []string{
		"PG_DEGRADED HEALTH_WARN Degraded data redundancy: 2/81 objects degraded (2.469%), " +
			"1 pg degraded, 5 pgs undersized",
		"POOL_APP_NOT_ENABLED HEALTH_WARN 2 pool(s) do not have an application enabled",
	}
	var got []string
	for _, c := range p.Checks(m, now, DefaultLimits()) {
		got = append(got, c.Code+" "+c.Severity+" "+c.Summary)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for id, pg := range p.PGs {
		g := *pg
		g.State = Incomplete | Down | Peering
		if id.Pool == 2 {
			g.State = 0
		}
		p.PGs[id] = &g
	}
	p.stale = true
	c := p.Checks(m, now, DefaultLimits())
	if c[0].Code != "PG_AVAILABILITY" || !strings.HasPrefix(c[0].Summary,
		"Reduced data availability: 41 pgs inactive, 25 pgs down, ") || len(c[0].Detail) != 41 {
		t.Errorf("%+v", c[0])
	}
}

func TestUnits(t *testing.T) {
	for v, want := range map[uint64]string{
		0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 10239: "10 KiB",
		1 << 20: "1 MiB", 123456789: "118 MiB", 1<<40 + 1: "1.0 TiB", 1<<64 - 1: "16 EiB",
	} {
		if got := FormatBytes(v); got != want {
			t.Errorf("%d bytes print as %q, want %q", v, got, want)
		}
	}
	for v, want := range map[uint64]string{
		999: "999", 1000: "1k", 1234: "1.23k", 99999: "100.00k",
	} {
		if got := FormatCount(v); got != want {
			t.Errorf("%d prints as %q, want %q", v, got, want)
		}
	}
}

func TestStateNames(t *testing.T) {
	all := State(0)
	for _, row := range stateTable {
		s, ok := ParseState(row.name)
		if !ok || s != row.bit || s.String() != row.name || all.Any(s) {
			t.Errorf("state %s", row.name)
		}
		all |= s
	}
	if got := (Active | Clean | Remapped | Degraded).String(); got !=
		"active+clean+degraded+remapped" {
		t.Error(got)
	}
	if State(0).String() != "unknown" {
		t.Error(State(0).String())
	}
}

func FuzzDecode(f *testing.F) {
	p, m := stock(f)
	f.Add(denc.Marshal(&p.Digest, ceph.FeaturesAll))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, empty := range records {
			_ = denc.Unmarshal(b, empty(), ceph.FeaturesAll)
		}
		d := &Digest{}
		if denc.Unmarshal(b, d, ceph.FeaturesAll) == nil {
			d.StatusText()
			d.DFText(m, true)
		}
	})
}
