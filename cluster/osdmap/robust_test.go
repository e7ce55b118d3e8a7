package osdmap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"reflect"
	"sync"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/internal/cephjson"
	"glue/internal/crc32c"
)

// resealed is b with the checksum that its bytes have, as a liar would send it.
func resealed(b []byte, tail int) []byte {
	b = bytes.Clone(b)
	at := len(b) - tail - 4
	if at < 0 {
		return b
	}
	crc := crc32c.Update(crc32c.Update(checksumSeed, b[:at]), b[at+4:])
	binary.LittleEndian.PutUint32(b[at:], crc)
	return b
}

func TestCutAtEveryByte(t *testing.T) {
	full, inc := captured(t, "37.full"), captured(t, "21.inc")
	for n := range len(full) {
		if _, err := Decode(full[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes of a map decode", n, len(full))
		}
		cut := bytes.Clone(full[:n])
		if n >= 10 {
			binary.LittleEndian.PutUint32(cut[2:], uint32(n-6))
			if _, err := Decode(resealed(cut, 0)); err == nil {
				t.Fatalf("the first %d bytes of a map decode when they say so", n)
			}
		}
	}
	for n := range len(inc) {
		if _, err := DecodeIncremental(inc[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes of an incremental decode", n, len(inc))
		}
	}
}

func TestEveryFlippedBitIsSeen(t *testing.T) {
	for _, name := range []string{"2.full", "48.full"} {
		b := bytes.Clone(captured(t, name))
		for i := seeded(1).IntN(16); i < len(b)*8; i += 1 + i%11 {
			b[i/8] ^= 1 << (i % 8)
			if _, err := Decode(b); err == nil {
				t.Fatalf("%s: bit %d flipped and not seen", name, i)
			}
			b[i/8] ^= 1 << (i % 8)
		}
	}
	b := bytes.Clone(captured(t, "21.inc"))
	for i := 0; i < len(b)*8; i += 3 {
		b[i/8] ^= 1 << (i % 8)
		if _, err := DecodeIncremental(b); err == nil {
			t.Fatalf("incremental: bit %d flipped and not seen", i)
		}
		b[i/8] ^= 1 << (i % 8)
	}
}

// Bytes with a right checksum and wrong content must not panic, whatever is done with them.
func TestDamagedButSealed(t *testing.T) {
	r := seeded(4)
	for _, name := range []string{"11.full", "37.full", "48.full"} {
		b := captured(t, name)
		for range 200 {
			d := bytes.Clone(b)
			for range 1 + r.IntN(4) {
				d[r.IntN(len(d))] = byte(r.Uint32())
			}
			m, err := Decode(resealed(d, 0))
			if err != nil || m.MaxOSD > 10000 {
				continue
			}
			use(m)
		}
	}
}

// use does to a map what daemons do.
func use(m *Map) {
	m.Encode()
	m.Text()
	m.TreeText(0, "")
	cephjson.Marshal(m.Dump(), false)
	for _, id := range m.PoolIDs() {
		if m.Crush.ChooseTotalTries > 60 {
			break // legal, and slow
		}
		for seed := range min(m.Pools[id].PGNum, 8) {
			m.PGMapping(ceph.PGID{Pool: id, Seed: seed})
		}
	}
	m.Blocklisted(ceph.Addr{})
}

func TestRandomMapsRoundTrip(t *testing.T) {
	for seed := range uint64(60) {
		r := seeded(seed)
		m := randomMap(t, r)
		randomRest(m, r)
		b := m.encode()
		n, err := Decode(b)
		if err != nil {
			t.Fatalf("map %d: %v", seed, err)
		}
		if !bytes.Equal(n.encode(), b) || n.CRC() != m.CRC() {
			t.Fatalf("map %d: decoded and encoded it has other bytes", seed)
		}
		d, e := cephjson.Marshal(m.Dump(), false), cephjson.Marshal(n.Dump(), false)
		if !bytes.Equal(d, e) {
			t.Fatalf("map %d: dumps differ\n%s\n%s", seed, d, e)
		}
	}
}

func TestEncodingIsReadOnly(t *testing.T) {
	m, inc := randomMap(t, seeded(8)), &Incremental{}
	randomRest(m, seeded(8))
	inc, err := DecodeIncremental(captured(t, "21.inc"))
	if err != nil {
		t.Fatal(err)
	}
	want, wantInc := m.encode(), inc.Encode()
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 20 {
				if !bytes.Equal(m.encode(), want) || !bytes.Equal(inc.Encode(), wantInc) {
					t.Error("encodings differ")
				}
			}
		}()
	}
	wg.Wait()
}

func TestApplyRefuses(t *testing.T) {
	m, err := Decode(captured(t, "11.full"))
	if err != nil {
		t.Fatal(err)
	}
	for what, edit := range map[string]func(*Incremental){
		"a gap":              func(i *Incremental) { i.Epoch++ },
		"another cluster":    func(i *Incremental) { i.FSID[3]++ },
		"a wrong checksum":   func(i *Incremental) { i.HasCRC, i.FullCRC = true, 1 },
		"an OSD too high":    func(i *Incremental) { i.NewState = map[int32]State{99: OSDUp} },
		"a negative OSD":     func(i *Incremental) { i.NewUpThru = map[int32]ceph.Epoch{-1: 2} },
		"a pool without PGs": func(i *Incremental) { i.NewPools = map[int64]*Pool{9: NewPool()} },
		"a broken CRUSH map": func(i *Incremental) { i.Crush = []byte{1, 2, 3} },
		"a broken full map":  func(i *Incremental) { i.FullMap = []byte{8, 7} },
		"a shrunk OSD in use": func(i *Incremental) {
			i.NewMaxOSD, i.NewWeight = 1, map[int32]uint32{2: 0}
		},
		"an impossible number": func(i *Incremental) { i.NewMaxOSD = maxOSDs + 1 },
	} {
		inc := NewIncremental(m, ceph.Time{Sec: 9})
		edit(inc)
		if n, err := m.Apply(inc); err == nil || n != nil {
			t.Errorf("%s: %v, %v", what, n, err)
		}
	}
	inc := NewIncremental(m, ceph.Time{Sec: 9})
	inc.HasCRC, inc.FullCRC = true, 1
	if _, err := m.Apply(inc); !errors.Is(err, ErrCRC) {
		t.Errorf("a wrong checksum gives %v", err)
	}
}

// Commit's result equals what another daemon gets from the bytes.
func TestCommitAndShare(t *testing.T) {
	m, err := Decode(captured(t, "48.full"))
	if err != nil {
		t.Fatal(err)
	}
	before := m.encode()
	inc := NewIncremental(m, ceph.Time{Sec: 99})
	inc.NewState = map[int32]State{0: OSDUp}
	inc.NewPGTemp = map[ceph.PGID][]int32{{Pool: 2, Seed: 5}: {2, 1}}
	inc.NewUpThru = map[int32]ceph.Epoch{2: 7}
	n, b, err := m.Commit(inc)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := DecodeIncremental(b)
	if err != nil {
		t.Fatal(err)
	}
	k, err := m.Apply(theirs)
	if err != nil || !bytes.Equal(k.Encode(), n.Encode()) {
		t.Fatalf("the other side's map differs: %v", err)
	}
	if !bytes.Equal(m.encode(), before) {
		t.Error("the map before has changed")
	}
	if n.IsUp(0) || n.Info[0].DownAt != n.Epoch || n.Info[2].UpThru != 7 || !m.IsUp(0) {
		t.Error("the change is not in the new map alone")
	}
	same := func(a, b any) bool {
		return reflect.ValueOf(a).UnsafePointer() == reflect.ValueOf(b).UnsafePointer()
	}
	if !same(m.Pools, n.Pools) || !same(m.Weight, n.Weight) || m.Crush != n.Crush ||
		!same(m.ClientAddrs, n.ClientAddrs) || !same(m.Blocklist, n.Blocklist) {
		t.Error("parts that did not change are not shared")
	}
	if same(m.State, n.State) || same(m.PGTemp, n.PGTemp) {
		t.Error("parts that changed are shared")
	}
}

func TestDestroyedOSDIsForgotten(t *testing.T) {
	m, err := Decode(captured(t, "48.full"))
	if err != nil {
		t.Fatal(err)
	}
	inc := NewIncremental(m, ceph.Time{Sec: 99})
	inc.NewState = map[int32]State{1: OSDExists}
	n, _, err := m.Commit(inc)
	if err != nil {
		t.Fatal(err)
	}
	if n.Exists(1) || !n.UUIDs[1].IsZero() || n.Info[1] != (OSDInfo{}) || n.ClientAddrs[1] != nil ||
		n.Affinity(1) != WeightIn || !m.Exists(1) || m.UUIDs[1].IsZero() {
		t.Errorf("osd.1 is %v with %+v", n.State[1], n.Info[1])
	}
}

func TestBlocklist(t *testing.T) {
	addr := func(s string, typ ceph.AddrType) ceph.Addr {
		a, err := ceph.ParseAddr(s, typ)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	m := Empty()
	until := ceph.Time{Sec: 5}
	m.Blocklist = map[ceph.Addr]ceph.Time{
		addr("10.0.0.1:600/7", ceph.AddrAny): until, addr("10.0.0.2:0/0", ceph.AddrAny): until,
	}
	for s, want := range map[string]bool{
		"v2:10.0.0.1:600/7": true, "v1:10.0.0.1:600/7": true, "v2:10.0.0.1:600/8": false,
		"v2:10.0.0.1:601/7": false, "v2:10.0.0.2:1/2": true, "v2:10.0.0.3:0/0": false,
		"v2:10.9.1.2:1/2": false,
	} {
		if got := m.Blocklisted(addr(s, ceph.AddrAny)); got != want {
			t.Errorf("%s blocklisted: %v", s, got)
		}
	}
	m.Blocklist = nil
	m.RangeBlocklist = map[ceph.Addr]ceph.Time{
		{Type: ceph.AddrCIDR, Nonce: 16, AddrPort: netip.MustParseAddrPort("10.9.0.0:0")}: until,
		{Type: ceph.AddrCIDR, Nonce: 64, AddrPort: netip.MustParseAddrPort("[fd00::]:0")}: until,
	}
	for s, want := range map[string]bool{
		"v2:10.9.1.2:1/2": true, "v2:10.8.1.2:1/2": false, "v2:[fd00::1]:1/2": true,
		"v2:[fd00:0:0:1::1]:1/2": false,
	} {
		if got := m.BlocklistedAny(ceph.AddrVec{addr(s, ceph.AddrAny)}); got != want {
			t.Errorf("%s in a blocklisted range: %v", s, got)
		}
	}
}

func TestSnapRanges(t *testing.T) {
	r := seeded(3)
	for range 2000 {
		set := map[ceph.SnapID]bool{}
		var ranges []SnapRange
		for range 12 {
			s := ceph.SnapID(r.IntN(30))
			if r.IntN(3) > 0 {
				ranges = AddSnap(ranges, s)
				set[s] = true
			} else {
				ranges = SubtractSnaps(ranges, []SnapRange{{s, uint64(r.IntN(4))}})
				set = map[ceph.SnapID]bool{}
				for k := range ceph.SnapID(40) {
					if ContainsSnap(ranges, k) {
						set[k] = true
					}
				}
			}
			for k := range ceph.SnapID(40) {
				if ContainsSnap(ranges, k) != set[k] {
					t.Fatalf("%v: snap %d", ranges, k)
				}
			}
			for i := 1; i < len(ranges); i++ {
				if ranges[i-1].end() >= ranges[i].Start {
					t.Fatalf("%v: adjacent or unordered", ranges)
				}
			}
		}
	}
}

func TestPoolVersions(t *testing.T) {
	p := randomMap(t, seeded(2)).Pools[1]
	p.PeeringBucketCount, p.PeeringBucketTarget = 2, 4
	b := denc.Marshal(p, ceph.FeaturesAll)
	if b[0] != 30 {
		t.Errorf("a stretch pool has version %d", b[0])
	}
	q := &Pool{}
	if err := denc.Unmarshal(b, q, ceph.FeaturesAll); err != nil || q.PeeringBucketTarget != 4 {
		t.Errorf("%v, %+v", err, q)
	}
	newer := bytes.Clone(b)
	newer[0] = 40
	newer = append(newer, 1, 2, 3)
	binary.LittleEndian.PutUint32(newer[2:], uint32(len(newer)-6))
	if err := denc.Unmarshal(newer, &Pool{}, ceph.FeaturesAll); err != nil {
		t.Errorf("a pool of a later version: %v", err)
	}
	for v := byte(5); v < 29; v++ {
		older := bytes.Clone(b)
		older[0] = v
		q := &Pool{}
		if err := denc.Unmarshal(older, q, ceph.FeaturesAll); err != nil || q.PGNum != p.PGNum ||
			q.PGNumTarget != p.PGNum && v < 28 {
			t.Errorf("version %d: %v", v, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, name := range []string{"1.full", "37.full", "48.full"} {
		f.Add(captured(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(resealed(b, 0))
		if err == nil && m.MaxOSD < 10000 {
			use(m)
		}
	})
}

func FuzzIncremental(f *testing.F) {
	for _, name := range []string{"1.inc", "21.inc", "48.inc"} {
		f.Add(captured(f, name))
	}
	base, err := Decode(captured(f, "11.full"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		inc, err := DecodeIncremental(resealed(b, 4))
		if err != nil {
			return
		}
		inc.Encode()
		inc.Epoch, inc.FSID, inc.HasCRC = base.Epoch+1, base.FSID, false
		if inc.NewMaxOSD > 10000 {
			return
		}
		if m, err := base.Apply(inc); err == nil {
			use(m)
		}
	})
}
