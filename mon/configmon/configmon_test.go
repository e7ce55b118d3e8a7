package configmon

import (
	"testing"
	"time"

	"glue/ceph"
)

// TestPrecedence: of the settings of one option the most special one that applies holds.
func TestPrecedence(t *testing.T) {
	s := New(Env{})
	for _, v := range []value{
		{Section: "global", Value: "1"},
		{Section: "osd", Value: "2"},
		{Section: "osd.3", Value: "3"},
		{Section: "osd", Class: "ssd", Value: "4"},
		{Section: "osd", Host: "h", Value: "5"},
		{Section: "client.rgw", Value: "6"},
		{Section: "client", Value: "7"},
	} {
		v.Name = "x"
		s.values[v.id()] = &v
	}
	for _, c := range []struct {
		who, host, class, want string
	}{
		{"mon.a", "", "", "1"}, {"osd.1", "", "", "2"}, {"osd.3", "", "", "3"},
		{"osd.3", "", "ssd", "4"}, {"osd.3", "h", "ssd", "5"}, {"osd.3", "other", "hdd", "3"},
		{"client.rgw.a", "", "", "6"}, {"client.rgwx", "", "", "7"}, {"mgr.x", "h", "ssd", "1"},
	} {
		n, err := ceph.ParseAuthName(c.who)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.For(Entity{Name: n, Host: c.host, Class: c.class})["x"]; got != c.want {
			t.Errorf("%s on %q, class %q: %s, want %s", c.who, c.host, c.class, got, c.want)
		}
	}
}

func TestParseWho(t *testing.T) {
	for who, want := range map[string]bool{
		"global": true, "osd": true, "osd.1": true, "osd/class:ssd": true, "mon/host:a": true,
		"client.foo/host:abc": true, "": false, "xx": false, "osd/": false, "osd/rack:x": false,
		"osd.": false, "auth.x": false,
	} {
		if _, ok := parseWho(who); ok != want {
			t.Errorf("%q: %v", who, ok)
		}
	}
}

// mem is a store in memory.
type mem map[string][]byte

func (m mem) Set(k string, v []byte) { m[k] = v }
func (m mem) Delete(k string)        { delete(m, k) }
func (m mem) DeletePrefix(string)    {}
func (m mem) Scan(prefix string, f func(string, []byte) bool) error {
	for k, v := range m {
		if len(k) >= len(prefix) && k[:len(prefix)] == prefix && !f(k, v) {
			break
		}
	}
	return nil
}
func (m mem) Get(k string) ([]byte, bool, error) { v, ok := m[k]; return v, ok, nil }

// TestInitial: bad values of a bootstrap are refused, good ones are there after a load.
func TestInitial(t *testing.T) {
	now := time.Unix(1e9, 0)
	if Initial(mem{}, map[string]string{"no_such_option": "1"}, now) == nil ||
		Initial(mem{}, map[string]string{"osd_pool_default_size": "99"}, now) == nil {
		t.Error("a bad value was taken")
	}
	m := mem{}
	if err := Initial(m, map[string]string{"osd pool default size": "2"}, now); err != nil {
		t.Fatal(err)
	}
	s := New(Env{})
	if err := s.Load(m); err != nil {
		t.Fatal(err)
	}
	if got := s.For(Entity{})["osd_pool_default_size"]; got != "2" || s.Version() != 2 {
		t.Errorf("value %q, version %d", got, s.Version())
	}
}
