package pginfo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/crush"
	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
	"glue/internal/cephjson"
)

var records = map[string]func() denc.Value{
	"info":           func() denc.Value { return &Info{} },
	"history":        func() denc.Value { return &History{} },
	"stats":          func() denc.Value { return &Stats{} },
	"past intervals": func() denc.Value { return &PastIntervals{} },
	"log entry":      func() denc.Value { return &LogEntry{} },
	"log dup":        func() denc.Value { return &LogDup{} },
	"object info":    func() denc.Value { return &ObjectInfo{} },
	"snapset":        func() denc.Value { return &SnapSet{} },
}

// fill sets every number in v to a random one, and lists to a few elements.
func fill(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		fill(r, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() && v.Type().Field(i).Name != "AddrPort" {
				fill(r, v.Field(i))
			}
		}
	case reflect.Slice:
		if n := r.IntN(3); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fill(r, v.Index(i))
			}
		}
	case reflect.Map:
		if n := r.IntN(3); n > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for range n {
				key := reflect.New(v.Type().Key()).Elem()
				val := reflect.New(v.Type().Elem()).Elem()
				fill(r, key)
				fill(r, val)
				v.SetMapIndex(key, val)
			}
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

func TestRandomFillAndCut(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for name, empty := range records {
		for range 60 {
			want := empty()
			fill(r, reflect.ValueOf(want))
			b := denc.Marshal(want, ceph.FeaturesAll)
			got := empty()
			if err := denc.Unmarshal(b, got, ceph.FeaturesAll); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !bytes.Equal(denc.Marshal(got, ceph.FeaturesAll), b) {
				t.Fatalf("%s: encodes to other bytes the second time", name)
			}
			if !reflect.DeepEqual(got, want) &&
				fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
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
	r := rand.New(rand.NewPCG(2, 2))
	for name, empty := range records {
		v := empty()
		fill(r, reflect.ValueOf(v))
		want := denc.Marshal(v, ceph.FeaturesAll)
		var wg sync.WaitGroup
		for range 4 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for range 20 {
					if !bytes.Equal(denc.Marshal(v, ceph.FeaturesAll), want) {
						t.Errorf("%s: encodings differ", name)
					}
				}
			}()
		}
		wg.Wait()
	}
}

// The intervals are those of the comments and test instances of stock's pi_compact_rep: an interval
// whose members were all in an older one makes that one superfluous.
func TestPastIntervals(t *testing.T) {
	none := crush.None
	var p PastIntervals
	for _, i := range []Interval{
		{First: 10, Last: 20, Acting: []int32{0, 1, 2}, MaybeWentRW: true},
		{First: 21, Last: 30, Acting: []int32{none, 1, 2}, MaybeWentRW: true},
		{First: 31, Last: 35, Acting: []int32{2}},
		{First: 36, Last: 50, Acting: []int32{0, none, 2}, MaybeWentRW: true},
		{First: 51, Last: 60, Acting: []int32{5, 6}, MaybeWentRW: true},
	} {
		i.Up = i.Acting
		p.Add(i, func(int32) ceph.Epoch { return 0 })
	}
	if p.First != 10 || p.Last != 60 || p.IsEmpty() ||
		!reflect.DeepEqual(p.Participants, []int32{0, 1, 2, 5, 6}) {
		t.Errorf("%+v", p)
	}
	type seen struct {
		first  ceph.Epoch
		acting []int32
	}
	visit := func(since ceph.Epoch) (out []seen) {
		p.EachRW(since, func(first ceph.Epoch, acting []int32) {
			out = append(out, seen{first, acting})
		})
		return out
	}
	all := []seen{{51, []int32{5, 6}}, {36, []int32{0, 2}}, {21, []int32{1, 2}}}
	if got := visit(0); !reflect.DeepEqual(got, all) {
		t.Errorf("all: %v", got)
	}
	if got := visit(50); !reflect.DeepEqual(got, all[:2]) {
		t.Errorf("back to 50: %v", got)
	}
	if got := visit(51); !reflect.DeepEqual(got, all[:1]) {
		t.Errorf("back to 51: %v", got)
	}
}

// TestPastIntervalOfAnotherDisk: an interval counts as long as who was in a later one has lost the
// disk that it had in it.
func TestPastIntervalOfAnotherDisk(t *testing.T) {
	for lost, want := range map[ceph.Epoch]int{0: 1, 10: 1, 11: 2, 25: 2} {
		var p PastIntervals
		for _, first := range []ceph.Epoch{10, 30} {
			p.Add(Interval{First: first, Last: first + 9, Acting: []int32{0, 1},
				MaybeWentRW: true}, func(o int32) ceph.Epoch { return lost * ceph.Epoch(o) })
		}
		if len(p.RW) != want {
			t.Errorf("lost at %d: %+v", lost, p.RW)
		}
	}
}

// baseMap has three OSDs and one pool of eight PGs.
func baseMap(t *testing.T) *osdmap.Map {
	t.Helper()
	m := osdmap.Empty()
	m.Epoch, m.Flags = 10, osdmap.FlagsFresh
	m.RequireOSDRelease = osdmap.Pacific
	m.SetMaxOSD(3)
	c, err := crush.Default(3, "osd")
	if err != nil {
		t.Fatal(err)
	}
	m.Crush = c
	for osd := range 3 {
		m.State[osd], m.Weight[osd] = osdmap.OSDExists|osdmap.OSDUp, osdmap.WeightIn
	}
	p := osdmap.NewPool()
	p.Size, p.MinSize, p.PGNum, p.PGPNum = 3, 2, 8, 8
	p.PGNumPending, p.PGNumTarget, p.PGPNumTarget = 8, 8, 8
	m.Pools, m.PoolNames = map[int64]*osdmap.Pool{1: p}, map[int64]string{1: "p"}
	return m
}

func TestIsNewInterval(t *testing.T) {
	m := baseMap(t)
	pg := ceph.PGID{Pool: 1, Seed: 3}
	mapping := m.PGMapping(pg)
	if len(mapping.Acting) != 3 {
		t.Fatalf("%v is on %v", pg, mapping.Acting)
	}
	pool := func(edit func(*osdmap.Pool)) func(*osdmap.Incremental) {
		return func(i *osdmap.Incremental) {
			p := m.Pools[1].Clone()
			edit(p)
			i.NewPools = map[int64]*osdmap.Pool{1: p}
		}
	}
	for what, c := range map[string]struct {
		edit func(*osdmap.Incremental)
		want bool
	}{
		"nothing":    {func(*osdmap.Incremental) {}, false},
		"a snapshot": {pool(func(p *osdmap.Pool) { p.SnapSeq = 9 }), false},
		"an OSD is down": {func(i *osdmap.Incremental) {
			i.NewState = map[int32]osdmap.State{1: 0}
		}, true},
		"pg_temp": {func(i *osdmap.Incremental) {
			i.NewPGTemp = map[ceph.PGID][]int32{pg: {mapping.Acting[1], mapping.Acting[0]}}
		}, true},
		"another's pg_temp": {func(i *osdmap.Incremental) {
			i.NewPGTemp = map[ceph.PGID][]int32{{Pool: 1, Seed: 4}: {1, 0}}
		}, false},
		"primary_temp": {func(i *osdmap.Incremental) {
			i.NewPrimaryTemp = map[ceph.PGID]int32{pg: mapping.Acting[2]}
		}, true},
		"size":      {pool(func(p *osdmap.Pool) { p.Size, p.MinSize = 2, 2 }), true},
		"min_size":  {pool(func(p *osdmap.Pool) { p.MinSize = 1 }), true},
		"its split": {pool(func(p *osdmap.Pool) { p.PGNum, p.PGNumPending = 16, 16 }), true},
		"another's split": {pool(func(p *osdmap.Pool) { p.PGNum, p.PGNumPending = 9, 9 }),
			false},
		"its merge as source": {pool(func(p *osdmap.Pool) { p.PGNum, p.PGPNum = 3, 3 }), true},
		"its merge as target": {pool(func(p *osdmap.Pool) { p.PGNum, p.PGPNum = 7, 7 }), true},
		"its pending merge":   {pool(func(p *osdmap.Pool) { p.PGNumPending = 7 }), true},
		"a stretch rule":      {pool(func(p *osdmap.Pool) { p.PeeringBucketCount = 2 }), true},
		"recovery deletes": {func(i *osdmap.Incremental) {
			i.NewFlags = int32(osdmap.FlagSortBitwise | osdmap.FlagPGLogHardLimit)
		}, true},
		"noout": {func(i *osdmap.Incremental) {
			i.NewFlags = int32(osdmap.FlagsFresh | osdmap.FlagNoOut)
		}, false},
		"the pool is gone": {func(i *osdmap.Incremental) { i.OldPools = []int64{1} }, true},
	} {
		inc := osdmap.NewIncremental(m, ceph.Time{Sec: 1})
		c.edit(inc)
		n, err := m.Apply(inc)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if what == "its merge as target" {
			pg = ceph.PGID{Pool: 1, Seed: 3} // 7 folds to 3
		}
		if got := IsNewInterval(pg, Place(m, pg), Place(n, pg)); got != c.want {
			t.Errorf("%s: a new interval is %v", what, got)
		}
	}
	gone := m.Clone()
	gone.Pools = nil
	if IsNewInterval(pg, Place(gone, pg), Place(gone, pg)) {
		t.Error("a pool that was gone before begins an interval")
	}
}

func TestHistoryMerge(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for range 500 {
		var a, b History
		fill(r, reflect.ValueOf(&a))
		fill(r, reflect.ValueOf(&b))
		c := a
		changed := c.Merge(b)
		if changed != (c != a) {
			t.Fatal("says the wrong thing about whether it changed")
		}
		if c.Merge(a) || c.Merge(b) {
			t.Fatal("merging again changes something")
		}
		if c.LastEpochStarted != max(a.LastEpochStarted, b.LastEpochStarted) ||
			c.SameIntervalSince != a.SameIntervalSince {
			t.Fatal("epochs are not the newest, or what maps say was taken over")
		}
	}
}

// The keys and their order are a stock OSD's.
func TestDump(t *testing.T) {
	i := Info{PGID: ceph.SPG{PGID: ceph.PGID{Pool: 5, Seed: 1}, Shard: ceph.NoShard},
		LastUpdate: ceph.Eversion{Version: 10, Epoch: 70}, LastBackfill: ceph.MaxHObject()}
	b := cephjson.Marshal(i.Dump(&pgstat.PG{}), false)
	want := `{"pgid":"5.1","last_update":"70'10","last_complete":"0'0","log_tail":"0'0",` +
		`"last_user_version":0,"last_backfill":"MAX","purged_snaps":[],"history":{"epoch_created":0`
	if !strings.HasPrefix(string(b), want) || !json.Valid(b) {
		t.Errorf("%s", b)
	}
	if !strings.HasSuffix(string(b), `"empty":0,"dne":1,"incomplete":0,"last_epoch_started":0,`+
		`"hit_set_history":{"current_last_update":"0'0","history":[]}}`) {
		t.Errorf("%s", b)
	}
}

func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 5))
	for _, empty := range records {
		v := empty()
		fill(r, reflect.ValueOf(v))
		f.Add(denc.Marshal(v, ceph.FeaturesAll))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, empty := range records {
			v := empty()
			if denc.Unmarshal(b, v, ceph.FeaturesAll) != nil {
				continue
			}
			again := empty()
			if err := denc.Unmarshal(denc.Marshal(v, ceph.FeaturesAll), again, 0); err != nil {
				t.Fatalf("%s: what was decoded encodes to what does not decode: %v", name, err)
			}
		}
	})
}

// TestShare: nothing that is counted becomes more by a split, but for scrub errors, which no part
// may lose.
func TestShare(t *testing.T) {
	s := Stats{Objects: 10, Bytes: 1001, Scrub: ScrubStats{Shallow: 1, Deep: 9, LargeOmap: 5,
		Repaired: 3}}
	var sum Stats
	for parts := 4; parts > 1; parts-- {
		out := s.Share(parts)
		if !out.Estimated || out.Scrub.Shallow != 1 || out.Scrub.Deep < 2 || out.Scrub.Deep > 3 {
			t.Errorf("a part is %+v", out)
		}
		sum.Add(&out)
	}
	if !s.Estimated || s.Scrub.Shallow != 1 || s.Scrub.Deep != 3 {
		t.Errorf("what is left is %+v", s)
	}
	sum.Add(&s)
	if sum.Objects != 10 || sum.Bytes != 1001 || sum.Scrub.Deep != 9 || sum.Scrub.LargeOmap != 5 ||
		sum.Scrub.Repaired != 3 {
		t.Errorf("together %+v", sum)
	}
	clean := Stats{Objects: 3}
	if out := clean.Share(2); out.Scrub.Errors() != 0 || clean.Scrub.Errors() != 0 {
		t.Errorf("errors out of nothing: %+v, %+v", out, clean)
	}
}
