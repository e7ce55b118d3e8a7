package osdmap

import (
	"fmt"
	"net/netip"
	"testing"

	"glue/ceph"
	"glue/cluster/crush"
)

// largeMap has 1,000 OSDs on 50 hosts and 20 pools of 1,024 PGs.
func largeMap(b *testing.B) *Map {
	m := Empty()
	m.Epoch, m.RequireOSDRelease, m.Flags = 9, Pacific, FlagsFresh
	m.SetMaxOSD(1000)
	c, err := crush.Default(0, "host")
	if err != nil {
		b.Fatal(err)
	}
	for osd := range int32(1000) {
		loc := crush.Location{"root": "default", "host": fmt.Sprint("h", osd/20)}
		if err := c.InsertItem(osd, 1<<16, fmt.Sprint("osd.", osd), loc); err != nil {
			b.Fatal(err)
		}
		a := ceph.AddrVec{{Type: ceph.AddrMsgr2, Nonce: 7,
			AddrPort: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(osd / 256),
				byte(osd)}), 6800)}}
		m.State[osd], m.Weight[osd] = OSDExists|OSDUp, WeightIn
		m.ClientAddrs[osd], m.ClusterAddrs[osd] = a, a
		m.HBBackAddrs[osd], m.HBFrontAddrs[osd] = a, a
	}
	m.Crush = c
	m.Pools, m.PoolNames = map[int64]*Pool{}, map[int64]string{}
	for id := range int64(20) {
		p := NewPool()
		p.Size, p.MinSize, p.PGNum, p.PGPNum, p.Flags = 3, 2, 1024, 1024, PoolHashPSPool
		m.Pools[id+1], m.PoolNames[id+1] = p, fmt.Sprint("p", id)
	}
	m.index()
	m.seal()
	return m
}

func BenchmarkApply(b *testing.B) {
	m := largeMap(b)
	inc := NewIncremental(m, ceph.Time{Sec: 1})
	inc.NewState = map[int32]State{77: OSDUp}
	n, _, err := m.Commit(inc)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(n.Encode())))
	for b.Loop() {
		if _, err := m.Apply(inc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	enc := largeMap(b).Encode()
	b.SetBytes(int64(len(enc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(enc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPlaceAll(b *testing.B) {
	m := largeMap(b)
	pg := ceph.PGID{Pool: 1}
	b.ReportAllocs()
	for b.Loop() {
		m.PGMapping(pg)
		pg.Seed = (pg.Seed + 1) % 1024
	}
}
