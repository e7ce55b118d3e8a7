package osdmap

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"glue/cluster/crush"
	"glue/cluster/health"
	"glue/internal/cephjson"
)

// healthJSON has the form of osdmaptool --health.
func healthJSON(checks health.Checks) string {
	type message struct {
		Message string `json:"message"`
	}
	o := cephjson.Object{}
	for _, c := range checks {
		lines := []message{}
		for _, d := range c.Detail {
			lines = append(lines, message{d})
		}
		o = append(o, cephjson.Member{Key: c.Code, Value: cephjson.Object{
			{Key: "severity", Value: c.Severity},
			{Key: "summary", Value: cephjson.Object{
				{Key: "message", Value: c.Summary}, {Key: "count", Value: c.Count}}},
			{Key: "detail", Value: lines},
		}})
	}
	return string(cephjson.Marshal(o, true))
}

// unwell makes much go wrong in a random map.
func unwell(m *Map, r *rand.Rand) {
	for osd := range m.MaxOSD {
		if r.IntN(2) == 0 {
			m.State[osd] &^= OSDUp
		}
		if r.IntN(4) == 0 {
			m.State[osd] |= []State{OSDFull, OSDNearfull, OSDBackfillfull, OSDNoIn,
				OSDNoUp | OSDNoOut, OSDDestroyed}[r.IntN(6)]
		}
	}
	if r.IntN(2) == 0 {
		for osd := range m.MaxOSD { // one host as a whole
			if m.Location(osd) == m.Location(0) {
				m.State[osd] &^= OSDUp
			}
		}
	}
	if r.IntN(8) == 0 {
		for osd := range m.MaxOSD {
			m.State[osd] &^= OSDUp
		}
	}
	m.Flags |= Flags(r.Uint32()) & warnFlags
	if r.IntN(4) == 0 {
		m.Flags &^= FlagSortBitwise
		m.Crush.SetProfile([]string{"argonaut", "bobtail", "firefly", "hammer"}[r.IntN(4)])
		for _, b := range m.Crush.Buckets {
			if b != nil && r.IntN(2) == 0 {
				b.Alg = crush.Straw2
			}
		}
	}
	for _, ratio := range []*float32{&m.FullRatio, &m.BackfillfullRatio, &m.NearfullRatio} {
		if r.IntN(3) == 0 {
			*ratio = r.Float32()
		}
	}
	m.CrushNodeFlags = map[int32]uint32{-1: uint32(OSDNoOut), 1: uint32(OSDNoUp | OSDNoDown)}
	for _, p := range m.Pools {
		p.Flags |= PoolFlags(r.Uint32()) & (PoolFull | PoolFullQuota | PoolNearfull |
			PoolBackfillfull | PoolNoScrub | PoolNoDeepScrub)
		p.CacheMode = CacheMode(r.IntN(7))
		p.HitSet.Type = uint8(r.IntN(2))
	}
	m.Stretch = Stretch{Enabled: r.IntN(2) == 0, BucketCount: 2, Bucket: 1, Degraded: r.Uint32N(2),
		Recovering: r.Uint32N(2)}
	if !m.Stretch.Enabled {
		m.Stretch = Stretch{}
	}
}

func TestHealthAgainstOsdmaptool(t *testing.T) {
	tool, err := exec.LookPath("osdmaptool")
	if err != nil {
		t.Skip("osdmaptool is not installed")
	}
	file, codes := filepath.Join(t.TempDir(), "map"), map[string]int{}
	for seed := range *mapCount {
		r := seeded(uint64(seed))
		m := randomMap(t, r)
		if seed%8 > 0 {
			unwell(m, r)
		}
		if seed%8 == 1 { // two sites beside the hosts
			m.Stretch = Stretch{Enabled: true, BucketCount: 2, Bucket: 8}
			for i := range 2 {
				name := fmt.Sprint("dc", i)
				if _, err := m.Crush.AddBucket(0, crush.Straw2, 8, name); err != nil {
					t.Fatal(err)
				}
				loc := crush.Location{"datacenter": name}
				osd := m.MaxOSD + int32(i)
				weight := uint32(0x10000 + i*(seed%16/8)<<14)
				if err := m.Crush.InsertItem(osd, weight, fmt.Sprint("osd.", osd),
					loc); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := os.WriteFile(file, m.Encode(), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(tool, file, "--health").Output()
		if err != nil {
			t.Fatalf("map %d: osdmaptool: %v", seed, err)
		}
		checks := m.Checks(DefaultHealthOptions())
		sameLines(t, fmt.Sprint("map ", seed), healthJSON(checks), string(out))
		for _, c := range checks {
			codes[c.Code]++
		}
		if t.Failed() {
			return
		}
	}
	t.Log(codes)
}

func TestHealthOfCaptured(t *testing.T) {
	m, err := Decode(captured(t, "48.full"))
	if err != nil {
		t.Fatal(err)
	}
	want := health.Checks{
		{Code: "OSD_DOWN", Severity: health.Warn, Summary: "1 osds down", Count: 1,
			Detail: []string{"osd.1 (root=default,host=vm) is down"}},
		{Code: "OSD_FLAGS", Severity: health.Warn, Summary: "1 OSDs or CRUSH {nodes, " +
			"device-classes} have {NOUP,NODOWN,NOIN,NOOUT} flags set", Count: 1,
			Detail: []string{"device class 'hdd' has flags noin"}},
	}
	if got := m.Checks(DefaultHealthOptions()); healthJSON(got) != healthJSON(want) {
		t.Errorf("%s", healthJSON(got))
	}
}
