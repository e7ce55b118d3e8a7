package crush

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
)

// use runs everything that a decoded map can be asked: nothing may panic or run away.
func use(t testing.TB, m *Map) {
	t.Helper()
	weights := slices.Repeat([]uint32{0x10000, 0x4000}, 64)
	p := NewPlacer(m)
	p.limit = 1 << 14 // hostile maps use all of it
	for rule := range min(len(m.Rules), 16) {
		p.Do(rule, 7, 4, weights, 0)
	}
	_ = m.Validate()
	_ = Decompile(&bytes.Buffer{}, m)
	if m.MaxDevices < 1<<12 {
		m.Dump()
		m.TreeDump(true, nil)
	}
	n := m.Clone()
	_ = n.RebuildShadows()
	_ = n.ReweightAll()
	_, _ = n.CreateOrMove(3, 0x10000, "osd.3", Location{"host": "h", "root": "default"})
}

// TestCutAnywhere: a map cut at any byte is an error, or one of the shorter old forms.
func TestCutAnywhere(t *testing.T) {
	for seed := range uint64(12) {
		m := randomMap(seeded(seed))
		for len(encode(m)) > 6000 {
			seed += 100
			m = randomMap(seeded(seed))
		}
		b := encode(m)
		for i := range len(b) {
			var got Map
			if err := denc.Unmarshal(slices.Clone(b[:i]), &got, 0); err == nil && i%7 == 0 {
				use(t, &got)
			}
		}
		var got Map
		if err := denc.Unmarshal(b, &got, 0); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(encode(&got), b) {
			t.Fatal("a map does not encode to what it was decoded from")
		}
	}
}

// TestFlippedBytes: damaged maps are refused or harmless, and cost little memory.
func TestFlippedBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	m := randomMap(seeded(5))
	for len(encode(m)) > 4000 || len(m.ChooseArgs) == 0 {
		m = randomMap(r)
	}
	b := encode(m)
	var before, after runtime.MemStats
	for range 1500 {
		bad := slices.Clone(b)
		for range 1 + r.IntN(3) {
			bad[r.IntN(len(bad))] = byte(r.IntN(256))
		}
		runtime.ReadMemStats(&before)
		var got Map
		err := denc.Unmarshal(bad, &got, 0)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
			t.Fatalf("decoding %d bytes allocated %d", len(bad), used)
		}
		if err == nil && r.IntN(8) == 0 {
			use(t, &got)
		}
	}
}

// TestHostileMaps: maps made to keep Do busy end soon.
func TestHostileMaps(t *testing.T) {
	m := testDefault(t)
	m.ChooseTotalTries = 1<<32 - 2
	m.ChooseleafDescendOnce = 0
	m.Rules[0].Steps[1] = Step{OpChooseLeafFirstN, 1<<31 - 1, 1}
	if got := m.Do(0, 1, 10, nil, 0); len(got) != 0 {
		t.Errorf("placed %v where all devices are out", got)
	}
	m.Rules[0].Steps[1].Op = OpChooseLeafIndep
	m.Do(0, 1, 10, nil, 0)
	// That it ends is the test: without its bound on work it would take days.
	loop := testDefault(t)
	root, _ := loop.ItemID("default")
	host, _ := loop.ItemID("host-a")
	must(loop.Bucket(host).add(loop, root, 0x10000))
	if err := denc.Unmarshal(encode(loop), &Map{}, 0); err == nil || loop.Validate() == nil {
		t.Error("a bucket inside itself is accepted")
	}
	loop.Do(0, 1, 3, nil, 0)
}

// TestSharedMap: published maps are read from many goroutines; run with -race.
func TestSharedMap(t *testing.T) {
	m := randomMap(seeded(3))
	before := encode(m)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for x := range uint32(50) {
				m.Do(0, x, 3, []uint32{0x10000, 0x10000}, 0)
			}
			if !bytes.Equal(encode(m), before) {
				t.Error("a shared map changed")
			}
			n := m.Clone()
			loc := Location{"root": "default"}
			if _, err := n.CreateOrMove(1000, 0x10000, "osd.1000", loc); err != nil {
				t.Error(err)
			}
			m.Tree(TreeOptions{})
			m.Dump()
		})
	}
	wg.Wait()
	if !bytes.Equal(encode(m), before) {
		t.Error("editing a clone changed the map")
	}
}

// TestPlacerAllocatesNothing after its first calls.
func TestPlacerAllocatesNothing(t *testing.T) {
	for seed := range uint64(20) {
		m := randomMap(seeded(seed))
		p := NewPlacer(m)
		weights := slices.Repeat([]uint32{0x10000}, int(m.MaxDevices))
		x := uint32(0)
		p.Do(0, x, 5, weights, 0)
		for range 200 { // permutations of all uniform buckets
			x++
			p.Do(0, x, 5, weights, 0)
		}
		if n := testing.AllocsPerRun(100, func() { p.Do(0, x%50, 5, weights, 0); x++ }); n > 0 {
			t.Errorf("map %d: %v allocations per placement", seed, n)
		}
	}
}

// smallMaps are seeds for the fuzzer, which is slow to start with large ones.
func smallMaps() []*Map {
	var out []*Map
	for seed := uint64(0); len(out) < 12; seed++ {
		if m := randomMap(seeded(seed)); len(encode(m)) < 1000 {
			out = append(out, m)
		}
	}
	return out
}

func FuzzDecode(f *testing.F) {
	for _, m := range smallMaps() {
		f.Add(encode(m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Map
		if denc.Unmarshal(b, &m, ceph.FeaturesAll) != nil {
			return
		}
		again := encode(&m)
		var second Map
		if err := denc.Unmarshal(again, &second, ceph.FeaturesAll); err != nil {
			t.Fatalf("own encoding: %v", err)
		}
		if !bytes.Equal(encode(&second), again) {
			t.Fatal("the encoding is not stable")
		}
		use(t, &m)
	})
}

func FuzzCompile(f *testing.F) {
	for _, m := range smallMaps() {
		var text strings.Builder
		if err := Decompile(&text, m); err != nil {
			f.Fatal(err)
		}
		f.Add(text.String())
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Compile(text)
		if err != nil {
			return
		}
		var again Map
		if err := denc.Unmarshal(encode(m), &again, ceph.FeaturesAll); err != nil {
			t.Fatalf("compiled map: %v", err)
		}
		use(t, &again)
	})
}

// benchMap is a cluster of hosts with ten devices each, in racks of twenty hosts.
func benchMap(b *testing.B, devices int) (*Map, []uint32) {
	m, err := Default(0, "host")
	if err != nil {
		b.Fatal(err)
	}
	root, _ := m.ItemID("default")
	var hosts []int32
	var weights []uint32
	for id := range int32(devices) {
		m.setName(id, "osd."+strings.Repeat("i", int(id%7))+string(rune('a'+id%26)))
		if id%10 == 0 {
			h, err := m.newBucket(Straw2, 0, 1, nil, nil)
			if err != nil || m.place(h, 0) != nil {
				b.Fatal(err)
			}
			hosts = append(hosts, h.ID)
		}
		h := m.Bucket(hosts[len(hosts)-1])
		if err := h.add(m, id, 0x10000+uint32(id)); err != nil {
			b.Fatal(err)
		}
		weights = append(weights, 0x10000)
	}
	for _, id := range hosts {
		if err := m.Bucket(root).add(m, id, m.Bucket(id).Weight); err != nil {
			b.Fatal(err)
		}
	}
	if err := m.finalize(); err != nil {
		b.Fatal(err)
	}
	return m, weights
}

func BenchmarkDo(b *testing.B) {
	for _, c := range []struct {
		name    string
		devices int
	}{{"40", 40}, {"500", 500}} {
		m, weights := benchMap(b, c.devices)
		p := NewPlacer(m)
		b.Run("placer/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				p.Do(0, uint32(i), 3, weights, 0)
			}
		})
		b.Run("map/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				m.Do(0, uint32(i), 3, weights, 0)
			}
		})
	}
}

func BenchmarkHashString(b *testing.B) {
	for b.Loop() {
		HashString("rbd_data.10226b8b4567.0000000000000000")
	}
}

func BenchmarkDecode(b *testing.B) {
	m, _ := benchMap(b, 500)
	enc := encode(m)
	for b.Loop() {
		var n Map
		if err := denc.Unmarshal(enc, &n, 0); err != nil {
			b.Fatal(err)
		}
	}
}
