package ceph

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"glue/ceph/denc"
)

// A kind is a type with a wire format and a way to make random values.
type kind struct {
	empty  func() denc.Value
	random func(r *rand.Rand) denc.Value
}

func word(r *rand.Rand) string {
	b := make([]byte, r.IntN(12))
	for i := range b {
		b[i] = byte('a' + r.IntN(26))
	}
	return string(b)
}

func randomAddr(r *rand.Rand) Addr {
	a := Addr{Type: AddrType(r.IntN(5)), Nonce: r.Uint32()}
	port := uint16(r.Uint32())
	switch r.IntN(3) {
	case 0:
		a.AddrPort = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 2, byte(r.Uint32())}), port)
	case 1:
		a.AddrPort = netip.AddrPortFrom(netip.AddrFrom16([16]byte{0xfd, 1, byte(r.Uint32())}), port)
	}
	return a
}

func randomPG(r *rand.Rand) PGID { return PGID{Pool: r.Int64(), Seed: r.Uint32()} }

var kinds = map[string]kind{
	"entity_addr_t": {func() denc.Value { return &Addr{} },
		func(r *rand.Rand) denc.Value { a := randomAddr(r); return &a }},
	"entity_addrvec_t": {func() denc.Value { return &AddrVec{} }, func(r *rand.Rand) denc.Value {
		var v AddrVec
		for range r.IntN(4) {
			v = append(v, randomAddr(r))
		}
		return &v
	}},
	"uuid_d": {func() denc.Value { return &UUID{} },
		func(r *rand.Rand) denc.Value { return &UUID{byte(r.Uint32()), 7, 15: 1} }},
	"entity_name_t": {func() denc.Value { return &EntityName{} }, func(r *rand.Rand) denc.Value {
		return &EntityName{Type: TypeOSD, Num: int64(r.Uint64())}
	}},
	"EntityName": {func() denc.Value { return &AuthName{} }, func(r *rand.Rand) denc.Value {
		return &AuthName{Type: TypeClient, ID: word(r)}
	}},
	"osd_reqid_t": {func() denc.Value { return &ReqID{} }, func(r *rand.Rand) denc.Value {
		return &ReqID{Name: EntityName{TypeClient, r.Int64()}, TID: r.Uint64(), Inc: -3}
	}},
	"pg_t": {func() denc.Value { return &PGID{} },
		func(r *rand.Rand) denc.Value { p := randomPG(r); return &p }},
	"spg_t": {func() denc.Value { return &SPG{} }, func(r *rand.Rand) denc.Value {
		return &SPG{randomPG(r), Shard(r.IntN(5) - 1)}
	}},
	"pg_shard_t": {func() denc.Value { return &PGShard{} }, func(r *rand.Rand) denc.Value {
		return &PGShard{r.Int32(), Shard(r.IntN(5) - 1)}
	}},
	"hobject_t": {func() denc.Value { return &HObject{} }, func(r *rand.Rand) denc.Value {
		return &HObject{Key: word(r), Name: word(r), Snap: NoSnap, Hash: r.Uint32(),
			Namespace: word(r), Pool: 1 + r.Int64N(1e6), Max: r.IntN(8) == 0}
	}},
	"object_locator_t": {func() denc.Value { return &Locator{} }, func(r *rand.Rand) denc.Value {
		return &Locator{Pool: r.Int64(), Key: word(r), Namespace: word(r), Hash: -1}
	}},
	"eversion_t": {func() denc.Value { return &Eversion{} }, func(r *rand.Rand) denc.Value {
		return &Eversion{r.Uint64(), Epoch(r.Uint32())}
	}},
	"utime_t": {func() denc.Value { return &Time{} },
		func(r *rand.Rand) denc.Value { return &Time{r.Uint32(), r.Uint32N(1e9)} }},
}

func TestRandomFillAndCut(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for name, k := range kinds {
		for range 200 {
			want := k.random(r)
			b := denc.Marshal(want, FeaturesAll)
			got := k.empty()
			if err := denc.Unmarshal(b, got, FeaturesAll); err != nil {
				t.Fatalf("%s: %+v: %v", name, want, err)
			}
			if !reflect.DeepEqual(got, want) && fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%s: %+v came back as %+v", name, want, got)
			}
			for n := range len(b) {
				if err := denc.Unmarshal(b[:n], k.empty(), FeaturesAll); err == nil {
					t.Fatalf("%s: the first %d of %d bytes decode", name, n, len(b))
				}
			}
		}
	}
}

func TestEncodingIsReadOnly(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for name, k := range kinds {
		v := k.random(r)
		want := denc.Marshal(v, FeaturesAll)
		var wg sync.WaitGroup
		for range 4 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for range 50 {
					if !bytes.Equal(denc.Marshal(v, FeaturesAll), want) {
						t.Errorf("%s: encodings differ", name)
					}
				}
			}()
		}
		wg.Wait()
	}
}

// The bytes are those of stock monitors and OSDs.
func TestKnownBytes(t *testing.T) {
	v4 := Addr{AddrMsgr2, 17, netip.MustParseAddrPort("127.0.0.1:6789")}
	for want, v := range map[string]denc.Value{
		"0101011c000000020000001100000010000000" + "02001a857f0000010000000000000000": &v4,
		"02010000000101011c000000020000001100000010000000" +
			"02001a857f0000010000000000000000": &AddrVec{v4},
		"01070000000000000005000000ffffffff":               &PGID{7, 5},
		"01011200000001070000000000000005000000ffffffffff": &SPG{PGID{7, 5}, NoShard},
		"0101050000000300000002":                           &PGShard{3, 2},
		"090000000000000004000000":                         &Eversion{9, 4},
		"04ffffffffffffffff":                               &EntityName{TypeOSD, -1},
		"080000000500000061646d696e":                       &AuthName{TypeClient, "admin"},
		"06031c0000000200000000000000ffffffff00000000" + "00000000" + "ffffffffffffffff": &Locator{
			Pool: 2, Hash: -1},
	} {
		if got := hex.EncodeToString(denc.Marshal(v, FeaturesAll)); got != want {
			t.Errorf("%v:\n got %s\nwant %s", v, got, want)
		}
	}
}

func TestOddAddresses(t *testing.T) {
	lone, _ := hex.DecodeString("0101011c000000020000001100000010000000" +
		"02001a857f0000010000000000000000")
	var v AddrVec
	if err := denc.Unmarshal(lone, &v, 0); err != nil || len(v) != 1 || v[0].Nonce != 17 {
		t.Errorf("a lone address as a list: %v, %v", v, err)
	}
	for what, text := range map[string]string{
		"a list with another marker": "03",
		"an address of marker 2":     "02010000000201",
		"a family that there is none": "0101011c000000020000001100000010000000" + "0900" +
			strings.Repeat("00", 14),
		"an address without room": "0101011c0000000200000011000000020000000200",
	} {
		b, _ := hex.DecodeString(text)
		if err := denc.Unmarshal(b, &AddrVec{}, 0); err == nil {
			t.Errorf("%s decodes", what)
		}
	}
	unspec, _ := hex.DecodeString("0101010e000000020000001100000002000000" + "0000")
	var a Addr
	if err := denc.Unmarshal(unspec, &a, 0); err != nil || !a.IsBlank() || a.Nonce != 17 {
		t.Errorf("an address without a family: %v, %v", a, err)
	}
}

func TestTextForms(t *testing.T) {
	v6 := Addr{AddrLegacy, 3, netip.MustParseAddrPort("[fd00::1]:80")}
	v4 := Addr{AddrMsgr2, 0, netip.MustParseAddrPort("1.2.3.4:80")}
	day := Time{Sec: 1700000000, Nsec: 123456789}
	for want, v := range map[string]fmt.Stringer{
		"v1:[fd00::1]:80/3":                    v6,
		"v2:1.2.3.4:80/0":                      AddrVec{v4},
		"[v2:1.2.3.4:80/0,v1:[fd00::1]:80/3]":  AddrVec{v4, v6},
		"-":                                    Addr{},
		"2023-11-14T22:13:20.123456+0000":      day,
		"5.000001":                             Time{Sec: 5, Nsec: 1999},
		"3.1f":                                 PGID{3, 31},
		"3.1fs2":                               SPG{PGID{3, 31}, 2},
		"4(1)":                                 PGShard{4, 1},
		"12'34":                                Eversion{34, 12},
		"head":                                 NoSnap,
		"1f":                                   SnapID(31),
		"osd.4":                                EntityName{TypeOSD, 4},
		"client.?":                             EntityName{TypeClient, -1},
		"client.4123.0:77":                     ReqID{EntityName{TypeClient, 4123}, 77, 0},
		"MAX":                                  MaxHObject(),
		"MIN":                                  HObject{},
		"1:80000000:ns:key:name:head":          HObject{"key", "name", NoSnap, 1, false, "ns", 1},
		"01020000-0000-0000-0000-000000000003": UUID{1, 2, 15: 3},
	} {
		if got := v.String(); got != want {
			t.Errorf("%#v prints %q, want %q", v, got, want)
		}
	}
}

func TestParsers(t *testing.T) {
	for _, s := range []string{"v2:1.2.3.4:80/5", "v1:[fd00::1]:80/3", "any:1.2.3.4:0/0"} {
		if a, err := ParseAddr(s, AddrAny); err != nil ||
			a.String() != strings.TrimPrefix(s, "any:") {
			t.Errorf("%q parses to %v, %v", s, a, err)
		}
	}
	if a, err := ParseAddr("1.2.3.4", AddrMsgr2); err != nil || a.AddrPort.Port() != 0 {
		t.Errorf("an address without port: %v, %v", a, err)
	}
	if p, err := ParsePGID("12.ff"); err != nil || p != (PGID{12, 255}) {
		t.Errorf("12.ff is %v, %v", p, err)
	}
	if v, err := ParseEversion("3'4"); err != nil || v != (Eversion{4, 3}) {
		t.Errorf("3'4 is %v, %v", v, err)
	}
	if n, err := ParseAuthName("client.a.b"); err != nil || n != (AuthName{TypeClient, "a.b"}) {
		t.Errorf("client.a.b is %v, %v", n, err)
	}
	u := UUID{1, 2, 3, 15: 9}
	if v, err := ParseUUID(u.String()); err != nil || v != u {
		t.Errorf("%v is %v, %v", u, v, err)
	}
	bad := func(what string, err error) {
		if err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
	for _, s := range []string{"", "x", "1.2.3.4:99999", "1.2.3.4:1/x", "v3:1.2.3.4:1"} {
		_, err := ParseAddr(s, AddrAny)
		bad("address "+s, err)
	}
	for _, s := range []string{"", "1", "1.", ".1", "-1.0", "1.g", "1.1ffffffff"} {
		_, err := ParsePGID(s)
		bad("PG "+s, err)
	}
	for _, s := range []string{"", "client", "nobody.x"} {
		_, err := ParseAuthName(s)
		bad("name "+s, err)
	}
	for _, s := range []string{"", "x", strings.Repeat("0", 36), strings.Repeat("-", 36)} {
		_, err := ParseUUID(s)
		bad("uuid "+s, err)
	}
	_, err := ParseEversion("3")
	bad("version 3", err)
}

// The order of objects is what backfill and listing walk in.
func TestObjectOrder(t *testing.T) {
	want := []HObject{
		{Pool: math.MinInt64},
		{Pool: 1, Hash: 0x80000000, Name: "b"},
		{Pool: 1, Hash: 1, Name: "a", Snap: 4},
		{Pool: 1, Hash: 1, Name: "a", Snap: NoSnap},
		{Pool: 1, Hash: 1, Name: "z", Key: "b", Snap: NoSnap},
		{Pool: 1, Hash: 1, Name: "a", Namespace: "n", Snap: NoSnap},
		{Pool: 1, Hash: 3, Name: "a"},
		{Pool: 2},
		MaxHObject(),
	}
	got := slices.Clone(want)
	r := rand.New(rand.NewPCG(3, 3))
	for range 50 {
		r.Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
		slices.SortFunc(got, HObject.Compare)
		if !slices.Equal(got, want) {
			t.Fatalf("sorted:\n%v", got)
		}
	}
	if h := want[2].Head(); h != want[3] {
		t.Errorf("head of %v is %v", want[2], h)
	}
}

func TestErrno(t *testing.T) {
	wrapped := fmt.Errorf("reading: %w", ENOENT)
	for _, c := range []struct {
		err  error
		want int32
	}{{nil, 0}, {ENOENT, -2}, {wrapped, -2}, {errors.New("disk on fire"), -5}} {
		if got := ResultOf(c.err); got != c.want {
			t.Errorf("%v is %d, want %d", c.err, got, c.want)
		}
	}
	if ErrorOf(0) != nil || ErrorOf(7) != nil || ErrorOf(-17) != EEXIST {
		t.Error("numbers don't become the errors they mean")
	}
	if got := ENOENT.Error(); got != "(2) No such file or directory" {
		t.Logf("ENOENT prints as %q", got)
	}
}

func TestTime(t *testing.T) {
	for _, v := range []Time{{}, {1, 2}, {1 << 31, 999999999}} {
		if got := TimeOf(v.Go()); got != v {
			t.Errorf("%v came back as %v", v, got)
		}
	}
	if got := TimeOf(time.Unix(-5, 0)); got != (Time{}) {
		t.Errorf("a moment before 1970 is %v", got)
	}
	if d := TimeSpan(1500 * time.Millisecond); d != (Time{1, 5e8}) || d.Duration() != 15e8 {
		t.Errorf("1.5 s is %v", d)
	}
}

func TestJSON(t *testing.T) {
	v := AddrVec{{AddrMsgr2, 5, netip.MustParseAddrPort("1.2.3.4:80")}}
	for _, c := range []struct {
		v    any
		want string
	}{
		{v, `{"addrvec":[{"type":"v2","addr":"1.2.3.4:80","nonce":5}]}`},
		{AddrVec(nil), `{"addrvec":[]}`},
		{AddrType(9), `9`},
	} {
		if b, err := json.Marshal(c.v); err != nil || string(b) != c.want {
			t.Errorf("%v: %s, %v, want %s", c.v, b, err, c.want)
		}
	}
	if got := v.Legacy(); got != v[0] {
		t.Errorf("legacy address %v", got)
	}
	if got := AddrVec(nil).Legacy().LegacyString(); got != "(unrecognized address family 0)/0" {
		t.Errorf("no address prints %q", got)
	}
}

func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(9, 9))
	for _, k := range kinds {
		f.Add(denc.Marshal(k.random(r), FeaturesAll))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, k := range kinds {
			v := k.empty()
			if denc.Unmarshal(b, v, FeaturesAll) != nil {
				continue
			}
			_ = fmt.Sprint(v)
			if err := denc.Unmarshal(denc.Marshal(v, FeaturesAll), k.empty(), 0); err != nil {
				t.Fatalf("%s: %v decodes, its encoding does not: %v", name, v, err)
			}
		}
	})
}

func TestParseAddrVec(t *testing.T) {
	for text, want := range map[string]string{
		"1.2.3.4:80":                       "v2:1.2.3.4:80/0",
		"[::1]:80":                         "v2:[::1]:80/0",
		"[v2:[::1]:80]":                    "v2:[::1]:80/0",
		"v2:[::1]:80/7":                    "v2:[::1]:80/7",
		"[v1:[::1]:81,v2:[::1]:80]":        "[v1:[::1]:81/0,v2:[::1]:80/0]",
		"[v2:1.2.3.4:80/7, v1:1.2.3.4:81]": "[v2:1.2.3.4:80/7,v1:1.2.3.4:81/0]",
		"v2:1.2.3.4:80,v1:1.2.3.4:81":      "[v2:1.2.3.4:80/0,v1:1.2.3.4:81/0]",
		"":                                 "",
		"[::1]":                            "v2:[::1]:0/0",
		"[v2:[::1]:80":                     "",
		"v1:1.2.3.4:81":                    "",
		"[v2:1.2.3.4:80,v1:1.2.3.4:80]":    "",
		"[v2:1.2.3.4:80,v2:1.2.3.4:81]":    "",
		"[v2:1.2.3.4:80,v1:1.2.3.4:81],[]": "",
	} {
		v, err := ParseAddrVec(text)
		if got := v.String(); (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("%q: %s, %v; want %q", text, got, err, want)
		}
	}
}
