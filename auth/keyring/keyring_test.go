package keyring

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
)

// stock is what "ceph-authtool" wrote.
const stock = `[client.admin]
	key = AQBsYytnAAAAABAA0l0MkhSVTSyBVe5J2EqZ2w==
	caps mds = "allow *"
	caps mon = "allow *"
	caps osd = "allow rw pool=\"a b\""
[osd.0]
	key = AQBsYytnAAAAABAA0l0MkhSVTSyBVe5J2EqZ2w==
`

func TestKeyringRoundTrip(t *testing.T) {
	k, err := Parse(stock)
	if err != nil {
		t.Fatal(err)
	}
	admin, ok := k.Get(ceph.AuthName{Type: ceph.TypeClient, ID: "admin"})
	if !ok || admin.Caps["osd"] != `allow rw pool="a b"` || admin.Caps["mon"] != "allow *" {
		t.Fatalf("got %+v", admin)
	}
	again, err := Parse(k.Format())
	if err != nil || !reflect.DeepEqual(again, k) {
		t.Fatalf("printed and parsed again: %v\n%s", err, k.Format())
	}
	first, _, _ := strings.Cut(k.Format(), "[client.admin]")
	if !strings.HasPrefix(first, "[osd.0]\n\tkey = AQBs") {
		t.Fatalf("entity types out of order:\n%s", k.Format())
	}
}

func TestKeyringForms(t *testing.T) {
	const key = "AQBsYytnAAAAABAA0l0MkhSVTSyBVe5J2EqZ2w=="
	for _, c := range []struct{ name, text, mon string }{
		{
			"comments",
			"# c\n; c\n[client.a] # c\nkey=" + key + " # c\ncaps mon = allow r # c\n", "allow r",
		},
		{"quotes", "[client.a]\n key = " + key + "\n caps_mon = 'allow \"r\"'\n", `allow "r"`},
		{"escapes", `[client.a]` + "\nkey=" + key + "\ncaps  mon = \"a \\\"b\\\\\" ; c", `a "b\`},
		{"continued", "[client.a]\nkey = \\\n" + key + "\ncaps mon = allow \\\nrw", "allow rw"},
		{
			"two parts",
			"[client.a]\nauid = 0\nkey=" + key + "\n[global]\nx = y\n[client.a]\ncaps mon = x", "x",
		},
	} {
		k, err := Parse(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		e, ok := k.Get(ceph.AuthName{Type: ceph.TypeClient, ID: "a"})
		if !ok || e.Caps["mon"] != c.mon || e.Key.Base64() != key {
			t.Errorf("%s: got %q, %v", c.name, e.Caps["mon"], e.Key.Base64())
		}
	}
}

func TestKeyringErrors(t *testing.T) {
	for _, text := range []string{
		"key = x", "[client.a", "[client.a] x", "[nobody]\n", "[client.a]\nkey = AAAA",
		"[client.a]\nkey = %%%", "[client.a]\nwhat = x", "[client.a]\nkey",
		"[client.a]\ncaps mon = \"allow", "[client.a]\ncaps mon = \"allow\" x",
		"[client.a]\nkey = AAAAAAAAAAAAAA==", // type 0, no bytes
		"[client.a]\nkey = AgBsYytnAAAAABAA0l0MkhSVTSyBVe5J2EqZ2w==",
	} {
		if _, err := Parse(text); !errors.Is(err, ErrParse) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestKeyCodec(t *testing.T) {
	k, err := Generate(strings.NewReader("0123456789abcdef"), time.Unix(1700000000, 0))
	if err != nil {
		t.Fatal(err)
	}
	b := denc.Marshal(&k, 0)
	want := "\x01\x00\x00\xf1\x53\x65\x00\x00\x00\x00\x10\x000123456789abcdef"
	if string(b) != want {
		t.Fatalf("encoded %x", b)
	}
	for n := range b {
		var got Key
		if denc.Unmarshal(b[:n], &got, 0) == nil {
			t.Fatalf("cut at %d was accepted", n)
		}
	}
	if strings.Contains(k.String(), "0123") || strings.Contains(k.String(), k.Base64()) {
		t.Fatal("String shows the secret")
	}
	if _, err := Generate(strings.NewReader("short"), time.Time{}); err == nil {
		t.Fatal("a short random source made a key")
	}
}

func TestSeal(t *testing.T) {
	key := [SealKeyBytes]byte{1, 2, 3}
	plain := []byte("a secret of an entity")
	sealed, err := Seal(key, "auth/client.a", plain, strings.NewReader("nonce-of-12b"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Open(key, "auth/client.a", sealed)
	if err != nil || !bytes.Equal(got, plain) || bytes.Contains(sealed, plain) {
		t.Fatalf("opened %q, %v", got, err)
	}
	for i := range len(sealed) * 8 {
		b := bytes.Clone(sealed)
		b[i/8] ^= 1 << (i % 8)
		if _, err := Open(key, "auth/client.a", b); !errors.Is(err, ErrSeal) {
			t.Fatalf("bit %d flipped: %v", i, err)
		}
	}
	for n := range sealed {
		if _, err := Open(key, "auth/client.a", sealed[:n]); !errors.Is(err, ErrSeal) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	if _, err := Open(key, "auth/client.b", sealed); !errors.Is(err, ErrSeal) {
		t.Fatal("opened under another label")
	}
	if _, err := Open([SealKeyBytes]byte{9}, "auth/client.a", sealed); !errors.Is(err, ErrSeal) {
		t.Fatal("opened under another key")
	}
}

func FuzzKeyring(f *testing.F) {
	f.Add(stock)
	f.Add("[client.a]\nkey = \\\ncaps mon = 'x")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := Parse(text)
		if err != nil {
			return
		}
		for n, e := range k.Entries {
			if e.Key.IsZero() || strings.ContainsAny(n.ID, "]\n") || weird(e) {
				return // such an entry has no printed form
			}
		}
		again, err := Parse(k.Format())
		if err != nil || !reflect.DeepEqual(k, again) {
			t.Fatalf("printed and parsed again: %v\n%s", err, k.Format())
		}
	})
}

// weird says whether caps have line breaks, which keyring files can't hold.
func weird(e Entry) bool {
	for s, c := range e.Caps {
		if strings.ContainsAny(s+c, "\n\r=") || strings.TrimSpace(s) != s || s == "" {
			return true
		}
	}
	return false
}
