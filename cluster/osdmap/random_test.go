package osdmap

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"glue/ceph"
	"glue/cluster/crush"
)

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }

// randomMap is a map with OSDs in every state, pools of both types and every exception to CRUSH's
// placement.
func randomMap(t testing.TB, r *rand.Rand) *Map {
	t.Helper()
	osds := int32(4 + r.IntN(36))
	m := Empty()
	m.Epoch, m.RequireOSDRelease, m.RequireMinCompatClient = 9, Pacific, Luminous
	m.Flags, m.FullRatio, m.BackfillfullRatio, m.NearfullRatio = FlagsFresh, .95, .9, .85
	m.SetMaxOSD(osds)
	c, err := crush.Default(0, "host")
	if err != nil {
		t.Fatal(err)
	}
	for osd := range osds {
		loc := crush.Location{"root": "default", "host": fmt.Sprint("h", r.IntN(9))}
		weight := uint32(r.IntN(4 << 16))
		if err := c.InsertItem(osd, weight, fmt.Sprint("osd.", osd), loc); err != nil {
			t.Fatal(err)
		}
		randomOSD(m, r, osd)
	}
	rules := []uint8{0}
	for i, domain := range []string{"osd", "host"} {
		for _, indep := range []bool{false, true} {
			rule := crush.SimpleRule{Name: fmt.Sprintf("r%d%v", i, indep), Root: "default",
				FailureDomain: domain, Indep: indep, Type: crush.TypeReplicated}
			if indep {
				rule.Type = crush.TypeErasure
			}
			id, err := c.AddSimpleRule(rule)
			if err != nil {
				t.Fatal(err)
			}
			rules = append(rules, uint8(id))
		}
	}
	m.Crush = c
	m.Pools, m.PoolNames = map[int64]*Pool{}, map[int64]string{}
	for id := range int64(2 + r.IntN(4)) {
		m.Pools[id+1] = randomPool(r, c, rules)
		m.PoolNames[id+1] = fmt.Sprint("pool", id)
		m.PoolMax = int32(id + 1)
	}
	randomExceptions(m, r)
	m.index()
	return m
}

func randomOSD(m *Map, r *rand.Rand, osd int32) {
	if r.IntN(20) > 0 {
		m.State[osd] = OSDExists
		if r.IntN(6) > 0 {
			m.State[osd] |= OSDUp
		}
	}
	switch r.IntN(8) {
	case 0:
	case 1, 2:
		m.Weight[osd] = uint32(r.IntN(WeightIn))
	default:
		m.Weight[osd] = WeightIn
	}
	if r.IntN(3) == 0 {
		if m.PrimaryAffinity == nil {
			m.ownAffinity()
		}
		m.PrimaryAffinity[osd] = uint32(r.IntN(WeightIn + 1))
	}
}

func randomPool(r *rand.Rand, c *crush.Map, rules []uint8) *Pool {
	p := NewPool()
	p.CrushRule = rules[r.IntN(len(rules))]
	p.Type = PoolType(c.Rule(int(p.CrushRule)).Type)
	p.Size, p.MinSize = uint8(1+r.IntN(5)), 1
	if p.IsErasure() {
		p.Size = uint8(3 + r.IntN(5))
	}
	p.PGNum = uint32(1 + r.IntN(60))
	p.PGPNum = uint32(1 + r.IntN(int(p.PGNum)))
	if r.IntN(4) > 0 {
		p.PGPNum = p.PGNum
		p.Flags |= PoolHashPSPool
	}
	p.PGNumTarget, p.PGPNumTarget, p.PGNumPending = p.PGNum, p.PGPNum, p.PGNum
	return p
}

func randomExceptions(m *Map, r *rand.Rand) {
	m.PGTemp, m.PrimaryTemp = map[ceph.PGID][]int32{}, map[ceph.PGID]int32{}
	m.PGUpmap, m.PGUpmapItems = map[ceph.PGID][]int32{}, map[ceph.PGID][]Remap{}
	some := func(n int) []int32 {
		var out []int32
		for range n {
			out = append(out, r.Int32N(m.MaxOSD))
		}
		return out
	}
	for id, p := range m.Pools {
		for seed := range p.PGNum {
			pg := ceph.PGID{Pool: id, Seed: seed}
			switch r.IntN(12) {
			case 0:
				m.PGTemp[pg] = some(int(p.Size))
			case 1:
				m.PrimaryTemp[pg] = r.Int32N(m.MaxOSD)
			case 2:
				m.PGUpmap[pg] = some(int(p.Size))
			case 3, 4:
				for range 1 + r.IntN(3) {
					m.PGUpmapItems[pg] = append(m.PGUpmapItems[pg],
						Remap{r.Int32N(m.MaxOSD), r.Int32N(m.MaxOSD)})
				}
			}
		}
	}
}

// randomRest fills what does not matter for placement.
func randomRest(m *Map, r *rand.Rand) {
	tm := func() ceph.Time { return ceph.Time{Sec: r.Uint32() >> 1, Nsec: r.Uint32N(1e9)} }
	addr := func() ceph.Addr {
		a := ceph.Addr{Type: ceph.AddrType(1 + r.IntN(3)), Nonce: r.Uint32()}
		if r.IntN(2) == 0 {
			a.AddrPort = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(r.Uint32()), 3, 4}),
				uint16(r.Uint32()))
		} else {
			a.AddrPort = netip.AddrPortFrom(netip.AddrFrom16([16]byte{0xfd, byte(r.Uint32()), 9}),
				uint16(r.Uint32()))
		}
		return a
	}
	for osd := range m.MaxOSD {
		m.ClientAddrs[osd] = ceph.AddrVec{addr(), addr()}
		m.HBBackAddrs[osd] = ceph.AddrVec{addr()}
		m.Info[osd] = OSDInfo{UpFrom: ceph.Epoch(r.Uint32()), LostAt: 3}
		m.XInfo[osd] = OSDXInfo{DownStamp: tm(), LaggyProbability: r.Float32(),
			Features: r.Uint64() >> 1, DeadEpoch: 4}
		m.UUIDs[osd] = ceph.UUID{byte(osd), 1}
	}
	m.Blocklist, m.RangeBlocklist = map[ceph.Addr]ceph.Time{}, map[ceph.Addr]ceph.Time{}
	for range r.IntN(20) {
		m.Blocklist[addr()] = tm()
	}
	if r.IntN(2) == 0 {
		m.RangeBlocklist[addr()] = tm()
	}
	m.Stretch = Stretch{Enabled: r.IntN(2) == 0, BucketCount: r.Uint32N(4), Bucket: 8}
	if !m.Stretch.Enabled && len(m.RangeBlocklist) == 0 {
		m.Stretch = Stretch{}
	}
	m.ECProfiles = map[string]map[string]string{"p": {"k": "2", "m": "1"}, "q": nil}
	m.RemovedSnapsQueue = map[int64][]SnapRange{1: {{2, 3}, {9, 1}}}
	m.NewRemovedSnaps, m.NewPurgedSnaps = m.RemovedSnapsQueue, m.RemovedSnapsQueue
	m.CrushNodeFlags = map[int32]uint32{-1: uint32(OSDNoOut), 3: uint32(OSDNoUp | OSDNoDown)}
	m.Created, m.Modified, m.LastUpChange, m.LastInChange = tm(), tm(), tm(), tm()
	for _, p := range m.Pools {
		p.Snaps = map[ceph.SnapID]PoolSnap{4: {4, tm(), "s"}, 6: {6, tm(), "t"}}
		p.SnapSeq, p.Flags = 7, p.Flags|PoolPoolSnaps
		p.Opts = map[PoolOpt]OptValue{OptPGNumMax: {Type: OptInt, Int: -r.Int64()},
			OptCompressionMode:   {Type: OptStr, Str: "force"},
			OptTargetSizeRatio:   {Type: OptDouble, Float: r.Float64()},
			OptDedupCDCChunkSize: {Type: OptInt}}
		p.Applications = map[string]map[string]string{"rbd": {"a": "b"}, "x": nil}
		p.HitSet = HitSetParams{Type: uint8(r.IntN(4))}
		if p.HitSet.Type == hitSetBloom {
			p.HitSet.FPPMicro, p.HitSet.Seed = r.Uint32N(1e6), r.Uint64()>>1
		}
		p.Tiers, p.CreateTime = []uint64{3, 8}, tm()
	}
}
