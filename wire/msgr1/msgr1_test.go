package msgr1

import (
	"errors"
	"net/netip"
	"testing"

	"glue/ceph"
	"glue/internal/crc32c"
)

func TestAddr(t *testing.T) {
	for _, text := range []string{"192.0.2.7:6789/5", "[2001:db8::1]:6800/4294967295"} {
		want, err := ceph.ParseAddr(text, ceph.AddrLegacy)
		if err != nil {
			t.Fatal(err)
		}
		b := AppendAddr(nil, want)
		if got, err := ParseAddr(b); len(b) != AddrBytes || err != nil || got != want {
			t.Errorf("%s: %d bytes, %v, %v", text, len(b), got, err)
		}
	}
	b := AppendAddr(nil, ceph.Addr{Nonce: 1, AddrPort: netip.MustParseAddrPort("1.2.3.4:5")})
	if string(b[8:16]) != "\x00\x02\x00\x05\x01\x02\x03\x04" {
		t.Errorf("socket address % x", b[8:16]) // network order, family included
	}
	b[8] = 1
	if _, err := ParseAddr(b); !errors.Is(err, ErrFormat) {
		t.Errorf("an unknown family gives %v", err)
	}
	if a, err := ParseAddr(make([]byte, AddrBytes)); err != nil || !a.IsBlank() {
		t.Errorf("a blank address is %v, %v", a, err)
	}
}

// TestSign compares with what openssl enc -aes-128-cbc makes of the same block.
func TestSign(t *testing.T) {
	key := []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	s, err := NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	h := Header{CRC: 0x01020304, Front: 41, Data: 4096, Seq: 1<<32 | 7}
	f := Footer{Front: 0xdeadbeef, Data: 0xcafebabe}
	for range 2 {
		if sig := s.Sign(&h, &f); sig != 0xf7265f9ec88b718a {
			t.Fatalf("signature %#x", sig)
		}
	}
	if _, err := NewSigner(key[:15]); err == nil {
		t.Error("a key of 15 bytes is taken")
	}
}

var limits = Limits{Front: 100, Middle: 10, Data: 1000}

// TestHeader: what is too long or damaged is refused before anything else is looked at.
func TestHeader(t *testing.T) {
	want := Header{Seq: 9, TID: 8, Type: 42, Priority: 127, Version: 8, Compat: 3, Front: 100,
		Middle: 10, Data: 1000, Source: ceph.EntityName{Type: ceph.TypeOSD, Num: 3}}
	b := make([]byte, HeaderBytes)
	want.Put(b)
	var got Header
	if err := got.Parse(b, limits); err != nil || got != want {
		t.Fatalf("got %+v, %v", got, err)
	}
	for bit := range len(b) * 8 {
		b[bit/8] ^= 1 << (bit % 8)
		if err := got.Parse(b, limits); !errors.Is(err, ErrCRC) {
			t.Fatalf("bit %d: %v", bit, err)
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
	for _, h := range []Header{{Front: 101}, {Middle: 11}, {Data: 1001}, {Front: 1<<32 - 1},
		{Data: 1<<32 - 1}} {
		h.Put(b)
		if err := got.Parse(b, limits); !errors.Is(err, ErrTooLong) {
			t.Errorf("%+v: %v", h, err)
		}
	}
}

func TestFooter(t *testing.T) {
	key := make([]byte, 16)
	in, _ := NewSigner(key)
	key[3] = 1
	other, _ := NewSigner(key)
	front, data := []byte("front"), []byte("data")
	h := Header{Front: len(front), Data: len(data)}
	h.Put(make([]byte, HeaderBytes))
	make1 := func(s *Signer) []byte {
		var f Footer
		f.Sums(front, nil)
		f.Data = crc32c.Update(0, data)
		return f.Append(nil, &h, s)
	}
	check := func(b []byte, s *Signer, data []byte) error {
		var f Footer
		f.Parse(b)
		return f.Check(&h, s, front, nil, data)
	}
	signed := make1(in)
	if err := check(signed, in, data); err != nil {
		t.Fatal(err)
	}
	if err := check(make1(nil), nil, data); err != nil {
		t.Fatal(err)
	}
	if err := check(make1(nil), in, data); !errors.Is(err, ErrSigned) {
		t.Errorf("without a signature: %v", err)
	}
	if err := check(make1(other), in, data); !errors.Is(err, ErrSigned) {
		t.Errorf("signed by another key: %v", err)
	}
	for bit := range len(signed) * 8 {
		signed[bit/8] ^= 1 << (bit % 8)
		if err := check(signed, in, data); err == nil {
			t.Errorf("bit %d is not noticed", bit)
		}
		signed[bit/8] ^= 1 << (bit % 8)
	}
	// Data can't be changed by saying that it has no checksum.
	signed[len(signed)-1] |= flagNoCRC
	if err := check(signed, in, []byte("DATA")); err == nil {
		t.Error("data without a checksum is taken under a signature that has one")
	}
}

func TestConnect(t *testing.T) {
	want := Connect{Features: ceph.FeaturesAll, Host: ceph.TypeClient, GlobalSeq: 1, ConnectSeq: 2,
		Protocol: 24, Method: 2, AuthorizerBytes: 4096, Flags: 1}
	b := want.Append(nil)
	if got, err := ParseConnect(b); err != nil || got != want || len(b) != ConnectBytes {
		t.Fatalf("got %+v, %v", got, err)
	}
	want.AuthorizerBytes++
	if _, err := ParseConnect(want.Append(nil)); !errors.Is(err, ErrTooLong) {
		t.Errorf("a long authorizer gives %v", err)
	}
	r := Reply{Tag: TagChallenge, Features: 5, GlobalSeq: 1, ConnectSeq: 2, Protocol: 24,
		Authorizer: []byte("abc"), Flags: FlagLossy}
	b = r.Append(nil)
	got, n := ParseReply(b)
	if got.Authorizer = r.Authorizer; n != 3 || len(b) != ReplyBytes+3 || got.Tag != r.Tag ||
		got.Features != 5 || got.Flags != FlagLossy || string(b[ReplyBytes:]) != "abc" {
		t.Errorf("got %+v, %d", got, n)
	}
}

// FuzzRecords: whatever comes is refused or within the limits.
func FuzzRecords(f *testing.F) {
	f.Add((&Connect{Features: 1, Host: 8}).Append(nil))
	f.Add(AppendAddr(nil, ceph.Addr{AddrPort: netip.MustParseAddrPort("1.2.3.4:5")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= ConnectBytes {
			c, err := ParseConnect(b)
			if err == nil && c.AuthorizerBytes > maxAuthorizer {
				t.Fatal(c)
			}
		}
		if len(b) >= AddrBytes {
			ParseAddr(b)
		}
		if len(b) >= HeaderBytes+FooterBytes {
			var h Header
			if h.Parse(b, limits) == nil && (h.Front > limits.Front || h.Data > limits.Data ||
				h.Middle > limits.Middle) {
				t.Fatal(h)
			}
			var foot Footer
			foot.Parse(b[HeaderBytes:])
			foot.Check(&h, nil, b, nil, nil)
		}
	})
}
