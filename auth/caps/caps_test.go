package caps

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"glue/ceph"
)

// parseCases: an empty want accepts; else it is the stock error's text after the service's name.
var parseCases = []struct{ service, text, want string }{
	{"mon", "allow *", ""},
	{"mon", "allow r, allow service osd rw;allow command \"auth get\" with entity=x", ""},
	{"mon", "allow all", ""},
	{"mon", "  allow rwx  ", ""},
	{"mon", "profile rbd", ""},
	{"mon", "allow profile osd", ""},
	{"mon", "profile=osd", ""},
	{"mon", "allow r network 10.0.0.0/8", ""},
	{"mon", "allow rw fsname=cephfs", ""},
	{"mon", "allow command foo with a=b c prefix d e regex \"f.*\" network ::1/128", ""},
	{"mon", "allow r\n,\tallow w", ""},
	{"mon", "", "stopped at end of ''"},
	{"mon", "allow", "stopped at 'allow' of 'allow'"},
	{"mon", "allow ", "stopped at 'allow ' of 'allow '"},
	{"mon", "allow rfoo", "stopped at 'foo' of 'allow rfoo'"},
	{"mon", "allow r w", "stopped at 'w' of 'allow r w'"},
	{"mon", "allow r, bogus", "stopped at ', bogus' of 'allow r, bogus'"},
	{"mon", "foo", "stopped at 'foo' of 'foo'"},
	{"mon", "allow wr", "stopped at 'r' of 'allow wr'"},
	{"mgr", "allow *", ""},
	{"mgr", "allow module rbd_support with pool = rbd rw", ""},
	{"mgr", "profile rbd pool=rbd namespace=x", ""},
	{"mgr", "allow command \"crash post\"", ""},
	{"mgr", "profile what", "during profile evaluation: unrecognized profile 'what'"},
	{"mgr", "profile rbd key=x",
		"during profile evaluation: profile 'rbd' does not recognize key 'key'"},
	{"mgr", "x", "stopped at 'x' of 'x'"},
	{"osd", "allow *", ""},
	{"osd", "allow rw pool foo", ""},
	{"osd", "allow pool foo rwx", ""},
	{"osd", "allow rwx pool=foo namespace=bar", ""},
	{"osd", "allow r namespace \"\"", ""},
	{"osd", "allow r pool foo namespace bar* object_prefix baz", ""},
	{"osd", "allow rw class-read class-write", ""},
	{"osd", "allow class foo bar", ""},
	{"osd", "allow class foo, allow r", ""},
	{"osd", "allow rw tag cephfs data=*", ""},
	{"osd", "allow rw namespace=ns tag rgw *=*", ""},
	{"osd", "profile rbd pool=vms, profile rbd-read-only pool=images", ""},
	{"osd", "allow *, allow r network 10.1.2.3/24", ""},
	{"osd", "allow rw pool=", "stopped at 'pool=' of 'allow rw pool='"},
	{"osd", "", "stopped at '' of ''"},
	{"osd", "allow", "stopped at 'allow' of 'allow'"},
	{"osd", "allow rwx foo", "stopped at 'foo' of 'allow rwx foo'"},
	{"osd", "allow profile rbd", "stopped at 'allow profile rbd' of 'allow profile rbd'"},
	{"mds", "allow", ""},
	{"mds", "allow *", ""},
	{"mds", "allow rw path=/a uid=1 gids=1,2, allow r fsname=x path=\"/b c\" root_squash", ""},
	{"mds", "allow rwx", "stopped at 'x' of 'allow rwx'"},
	{"mds", "deny", "stopped at 'deny' of 'deny'"},
}

func TestParse(t *testing.T) {
	for _, c := range parseCases {
		err := Validate(c.service, c.text)
		want := ""
		if c.want != "" {
			want = c.service + " capability parse failed, " + c.want
			want = strings.Replace(want, "failed, during", "failed during", 1)
		}
		got := ""
		if err != nil {
			got = err.Error()
			if !errors.Is(err, ErrParse) {
				t.Errorf("%s %q: the error is not ErrParse", c.service, c.text)
			}
		}
		if got != want {
			t.Errorf("%s %q:\n got %q\nwant %q", c.service, c.text, got, want)
		}
	}
	if err := Validate("nfs", "allow *"); err == nil || err.Error() != "unknown cap type 'nfs'" {
		t.Errorf("got %v", err)
	}
}

func blocklist(addr string) MonQuery {
	return MonQuery{Service: "osd", Command: "osd blocklist", Need: R | W | X,
		Args: map[string]string{"blocklistop": "add", "addr": addr}}
}

func own(verb, key string) MonQuery {
	return MonQuery{Entity: ceph.AuthName{Type: ceph.TypeOSD, ID: "3"}, Service: "config-key",
		Command: "config-key " + verb, Need: R | W, Args: map[string]string{"key": key}}
}

func a(value string) map[string]string { return map[string]string{"a": value} }

var peer = netip.MustParseAddr("10.1.2.3")

var monCases = []struct {
	caps string
	q    MonQuery
	want bool
}{
	{"", MonQuery{Service: "mon", Need: R}, false},
	{"", MonQuery{Service: "mon"}, false},
	{"allow *", MonQuery{Service: "config-key", Need: R | W | X}, true},
	{"allow r", MonQuery{Service: "mon", Need: R}, true},
	{"allow r", MonQuery{Service: "mon", Need: R | W}, false},
	{"allow r, allow w", MonQuery{Service: "mon", Need: R | W}, true},
	{"allow rwx", MonQuery{Service: "config-key", Need: R}, false},
	{"allow rw", MonQuery{Service: "auth", Need: R | X}, false},
	{"allow service osd rw", MonQuery{Service: "osd", Need: R | W}, true},
	{"allow service osd rw", MonQuery{Service: "mon", Need: R}, false},
	{"allow service osd *", MonQuery{Service: "auth", Need: R}, false},
	{"allow command foo", MonQuery{Service: "osd", Command: "foo", Need: R | W | X}, true},
	{"allow command foo", MonQuery{Service: "osd", Command: "foo bar", Need: R}, false},
	{"allow command foo with a=b", MonQuery{Command: "foo", Args: a("b"), Need: W}, true},
	{"allow command foo with a=b", MonQuery{Command: "foo", Args: a("c"), Need: W}, false},
	{"allow command foo with a=b", MonQuery{Command: "foo", Need: W}, false},
	{"allow command foo with a prefix b", MonQuery{Command: "foo", Args: a("bx"), Need: W}, true},
	{
		"allow command foo with a regex \"b+\"",
		MonQuery{Command: "foo", Args: a("bbb"), Need: W}, true,
	},
	{
		"allow command foo with a regex \"b+\"",
		MonQuery{Command: "foo", Args: a("bbbc"), Need: W}, false,
	},
	{
		"allow command foo with a regex \"b(\"",
		MonQuery{Command: "foo", Args: a("b("), Need: W}, false,
	},
	{"profile rbd", MonQuery{Service: "osd", Need: R}, true},
	{"profile rbd", MonQuery{Service: "osd", Need: W}, false},
	{"profile rbd", MonQuery{Service: "auth", Need: R}, false},
	{"profile rbd", blocklist("1.2.3.4:0/123"), true},
	{"profile rbd", blocklist("1.2.3.4"), false},
	{"profile rbd-read-only", MonQuery{Service: "mon", Need: R}, true},
	{"profile osd", MonQuery{Service: "osd", Need: R | W | X}, true},
	{"profile osd", MonQuery{Service: "auth", Need: R}, false},
	{"profile osd", own("put", "daemon-private/osd.3/x"), true},
	{"profile osd", own("put", "daemon-private/osd.33/x"), false},
	{"profile osd", own("put", "daemon-private/osd.4/x"), false},
	{"profile crash", MonQuery{Service: "mon", Need: R}, true},
	{"profile crash", MonQuery{Service: "osd", Need: R}, false},
	{"profile role-definer", MonQuery{Service: "auth", Need: R | W | X}, true},
	{"profile role-definer", MonQuery{Service: "osd", Need: R}, false},
	{"profile bootstrap-osd", MonQuery{Service: "osd", Command: "osd new", Need: R | W}, true},
	{"profile bootstrap-osd", MonQuery{Service: "auth", Command: "auth ls", Need: R}, false},
	{"profile simple-rados-client", MonQuery{Service: "pg", Need: R}, true},
	{"profile simple-rados-client", MonQuery{Service: "pg", Need: W}, false},
	{"profile unknown", MonQuery{Service: "mon", Need: R}, false},
	{"allow r network 10.0.0.0/8", MonQuery{Service: "mon", Need: R, Peer: peer}, true},
	{"allow r network 11.0.0.0/8", MonQuery{Service: "mon", Need: R, Peer: peer}, false},
	{"allow * network 11.0.0.0/8", MonQuery{Service: "mon", Need: R, Peer: peer}, false},
	{"allow r network bad", MonQuery{Service: "mon", Need: R, Peer: peer}, false},
	{"allow r network 10.0.0.0", MonQuery{Service: "mon", Need: R, Peer: peer}, false},
	{"allow rw fsname=a", MonQuery{Service: "mds", Need: R}, true},
}

func TestMonAllowed(t *testing.T) {
	for _, c := range monCases {
		m, err := ParseMon(c.caps)
		if err != nil {
			t.Errorf("%q: %v", c.caps, err)
			continue
		}
		if got := m.Allowed(c.q); got != c.want {
			t.Errorf("%q allows %+v: %v", c.caps, c.q, got)
		}
		if m.String() != c.caps {
			t.Errorf("%q prints as %q", c.caps, m)
		}
	}
}

type calls = []ClassCall

var (
	lock = ClassCall{Class: "lock", Method: "lock", Read: true, Write: true, Allowed: true}
	info = ClassCall{Class: "lock", Method: "get_info", Read: true, Allowed: true}
	odd  = ClassCall{Class: "odd", Method: "do", Read: true, Write: true}
	app  = map[string]map[string]string{"cephfs": {"data": "fs1"}, "rgw": {}}
)

var osdCases = []struct {
	caps string
	q    OSDQuery
	want bool
}{
	{"", OSDQuery{Pool: "a"}, false},
	{"allow *", OSDQuery{Pool: "a", Read: true, Write: true, Classes: calls{odd}}, true},
	{"allow r", OSDQuery{Pool: "a", Read: true}, true},
	{"allow r", OSDQuery{Pool: "a", Write: true}, false},
	{"allow r, allow w", OSDQuery{Pool: "a", Read: true, Write: true}, false},
	{"allow rw pool=a", OSDQuery{Pool: "a", Read: true, Write: true}, true},
	{"allow rw pool=a", OSDQuery{Pool: "b", Read: true}, false},
	{"allow pool a rw", OSDQuery{Pool: "a", Read: true}, true},
	{"allow rw pool a, allow r pool b", OSDQuery{Pool: "b", Read: true}, true},
	{"allow r namespace=n", OSDQuery{Namespace: "n", Read: true}, true},
	{"allow r namespace=n", OSDQuery{Namespace: "nn", Read: true}, false},
	{"allow r namespace=n*", OSDQuery{Namespace: "nn", Read: true}, true},
	{"allow r namespace=\"\"", OSDQuery{Namespace: "", Read: true}, true},
	{"allow r namespace=\"\"", OSDQuery{Namespace: "x", Read: true}, false},
	{"allow r object_prefix ab", OSDQuery{Object: "abc", Read: true}, true},
	{"allow r object_prefix ab", OSDQuery{Object: "a", Read: true}, false},
	{"allow x", OSDQuery{Classes: calls{lock, info}}, true},
	{"allow x", OSDQuery{Read: true, Classes: calls{info}}, false},
	{"allow rx", OSDQuery{Read: true, Classes: calls{lock}}, true},
	{"allow rwx", OSDQuery{Read: true, Write: true, Classes: calls{odd}}, false},
	{"allow class-read", OSDQuery{Classes: calls{info}}, true},
	{"allow class-read", OSDQuery{Classes: calls{lock}}, false},
	{"allow class-read class-write", OSDQuery{Classes: calls{lock}}, true},
	{"allow class odd", OSDQuery{Classes: calls{odd}}, true},
	{"allow class odd do", OSDQuery{Classes: calls{odd}}, true},
	{"allow class odd else", OSDQuery{Classes: calls{odd}}, false},
	{"allow class odd, allow x", OSDQuery{Classes: calls{odd, lock}}, true},
	{"allow class odd, allow r", OSDQuery{Classes: calls{odd, lock}}, false},
	{"allow rw tag cephfs data=fs1", OSDQuery{Application: app, Read: true}, true},
	{"allow rw tag cephfs data=fs2", OSDQuery{Application: app, Read: true}, false},
	{"allow rw tag cephfs *=fs1", OSDQuery{Application: app, Read: true}, true},
	{"allow rw tag cephfs data=*", OSDQuery{Application: app, Read: true}, true},
	{"allow rw tag cephfs metadata=*", OSDQuery{Application: app, Read: true}, false},
	{"allow rw tag rgw *=*", OSDQuery{Application: app, Read: true}, true},
	{"allow rw tag rbd *=*", OSDQuery{Application: app, Read: true}, false},
	{
		"profile rbd pool=a",
		OSDQuery{Pool: "a", Read: true, Write: true, Classes: calls{lock}}, true,
	},
	{"profile rbd pool=a", OSDQuery{Pool: "b", Read: true}, false},
	{"profile rbd pool=a", OSDQuery{Pool: "b", Object: "rbd_info", Read: true}, true},
	{"profile rbd pool=a", OSDQuery{Pool: "b", Object: "rbd_info", Write: true}, false},
	{"profile rbd-read-only pool=a", OSDQuery{Pool: "a", Read: true, Classes: calls{info}}, true},
	{"profile rbd-read-only pool=a", OSDQuery{Pool: "a", Write: true}, false},
	{"profile rbd-read-only", OSDQuery{Object: "rbd_header.1",
		Classes: calls{{Class: "rbd", Method: "child_attach", Write: true}}}, true},
	{"profile rbd-read-only", OSDQuery{Object: "rbd_data.1",
		Classes: calls{{Class: "rbd", Method: "child_attach", Write: true}}}, false},
	{"profile unknown", OSDQuery{Read: true}, false},
	{
		"allow * network 10.0.0.0/8",
		OSDQuery{Read: true, Peer: netip.MustParseAddr("::ffff:10.0.0.1")}, true,
	},
	{
		"allow * network 10.0.0.0/8",
		OSDQuery{Read: true, Peer: netip.MustParseAddr("9.0.0.1")}, false,
	},
}

func TestOSDAllowed(t *testing.T) {
	for _, c := range osdCases {
		o, err := ParseOSD(c.caps)
		if err != nil {
			t.Errorf("%q: %v", c.caps, err)
			continue
		}
		if got := o.Allowed(&c.q); got != c.want {
			t.Errorf("%q allows %+v: %v", c.caps, c.q, got)
		}
	}
	o, err := ParseOSD("allow rwx pool=a")
	if err != nil {
		t.Fatal(err)
	}
	query := OSDQuery{Pool: "a", Read: true, Write: true, Classes: calls{lock}}
	if n := testing.AllocsPerRun(100, func() { o.Allowed(&query) }); n > 0 {
		t.Errorf("matching allocates %v times", n)
	}
}

func TestMgrAllowed(t *testing.T) {
	type q = MgrQuery
	pool := func(p string) map[string]string { return map[string]string{"pool": p} }
	for _, c := range []struct {
		caps string
		q    q
		want bool
	}{
		{"", q{Service: "mgr", Need: R}, false},
		{"allow *", q{Service: "mgr", Need: R | W | X}, true},
		{"allow r", q{Service: "pg", Need: R}, true},
		{"allow r", q{Service: "pg", Need: W}, false},
		{"allow service pg rw", q{Service: "pg", Need: W}, true},
		{"allow service pg rw", q{Service: "osd", Need: R}, false},
		{"allow module m r", q{Module: "m", Command: "m x", Need: R}, true},
		{"allow module m r", q{Module: "n", Command: "n x", Need: R}, false},
		{"allow command a with pool=x", q{Command: "a", Args: pool("x"), Need: W}, true},
		{"allow command a with pool=x", q{Command: "a", Args: pool("y"), Need: W}, false},
		{"profile rbd pool=x", q{Module: "rbd_support", Args: pool("x"), Need: W}, true},
		{"profile rbd pool=x", q{Module: "rbd_support", Args: pool("y"), Need: R}, false},
		{"profile rbd-read-only", q{Module: "rbd_support", Need: W}, false},
		{"profile crash", q{Command: "crash post", Need: R | W}, true},
		{"profile osd", q{Service: "mgr", Need: R}, false},
	} {
		m, err := ParseMgr(c.caps)
		if err != nil {
			t.Errorf("%q: %v", c.caps, err)
			continue
		}
		if got := m.Allowed(c.q); got != c.want {
			t.Errorf("%q allows %+v: %v", c.caps, c.q, got)
		}
	}
}

func TestAllowAll(t *testing.T) {
	for text, want := range map[string]bool{
		"allow *": true, "allow r, allow *": true, "allow r": false,
		"allow * network 10.0.0.0/8": false, "": false,
	} {
		m, _ := ParseMon(text)
		o, _ := ParseOSD(text)
		g, _ := ParseMgr(text)
		if m.AllowAll() != want || o.AllowAll() != want || g.AllowAll() != want {
			t.Errorf("%q: %v %v %v", text, m.AllowAll(), o.AllowAll(), g.AllowAll())
		}
	}
	if o, _ := ParseOSD("allow * pool=a"); o.AllowAll() {
		t.Error("all of one pool is not all")
	}
}

func FuzzCaps(f *testing.F) {
	for _, s := range []string{
		"allow *", "profile rbd pool=a namespace=b*", "allow rw tag a b=c network ::/0",
		"allow command \"a b\" with c=d e regex 'f'", "allow class a b; allow rwx class-read",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, service := range []string{"mon", "osd", "mgr", "mds"} {
			err := Validate(service, text)
			if err != nil && !strings.Contains(err.Error(), "capability parse failed") {
				t.Fatalf("%s: %v", service, err)
			}
		}
		if m, err := ParseMon(text); err == nil {
			m.Allowed(MonQuery{Service: "osd", Need: R, Args: map[string]string{"a": "b"}})
		}
		if o, err := ParseOSD(text); err == nil {
			o.Allowed(&OSDQuery{Pool: "a", Read: true})
		}
	})
}

// TestStockParse holds the parsers against what a stock 16.2.15 monitor answered to
// "ceph auth caps": service, text with escapes, and "ok" or the error.
func TestStockParse(t *testing.T) {
	b, err := os.ReadFile("testdata/stock.txt")
	if err != nil {
		t.Fatal(err)
	}
	unescape := strings.NewReplacer(`\n`, "\n", `\t`, "\t")
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		got := "ok"
		if err := Validate(f[0], unescape.Replace(f[1])); err != nil {
			got = err.Error()
		}
		if got != f[2] {
			t.Errorf("%s %q:\n got %s\nwant %s", f[0], f[1], got, f[2])
		}
	}
}

func TestWritesPool(t *testing.T) {
	here := netip.MustParseAddr("10.0.0.7")
	for text, want := range map[string]string{
		"":                                     "",
		"allow r":                              "",
		"allow w":                              "images volumes",
		"allow *":                              "images volumes",
		"allow w pool=images":                  "images",
		"allow rw pool=images namespace=one":   "images",
		"allow rw namespace=one":               "",
		"allow rw tag rbd *=*":                 "",
		"allow rw network 10.1.0.0/16":         "",
		"allow rw network 10.0.0.0/16":         "images volumes",
		"profile rbd":                          "images volumes",
		"profile rbd pool=images":              "images",
		"profile rbd pool=images namespace=on": "images",
		"profile rbd-read-only pool=images":    "",
		"allow r, allow x, profile rbd pool=volumes": "volumes",
	} {
		o, err := ParseOSD(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		var got []string
		for _, pool := range []string{"images", "volumes", ""} {
			if o.WritesPool(pool, here) {
				got = append(got, pool)
			}
		}
		if s := strings.TrimSpace(strings.Join(got, " ")); s != want {
			t.Errorf("%q writes %q, want %q", text, s, want)
		}
	}
}
