package options

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range table {
		if seen[o.Name] || o.Name != Canonical(o.Name) {
			t.Errorf("%s: twice in the table or not in canonical form", o.Name)
		}
		seen[o.Name] = true
		if o.Help == "" || !slices.Contains([]string{"basic", "advanced", "dev"}, o.Level) {
			t.Errorf("%s: help %q level %q", o.Name, o.Help, o.Level)
		}
		if o.Kind == Str && o.Default == "" {
			continue
		}
		if _, err := o.Check(o.Default); err != nil {
			t.Errorf("%s: the default is refused: %v", o.Name, err)
		}
	}
}

func TestValues(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"osd_max_object_size", "1Gi", "1073741824"},
		{"osd_max_object_size", "4K", "4096"},
		{"mon_max_pg_per_osd", "1k", "1000"},
		{"mon_osd_down_out_interval", "10m", "600"},
		{"osd_heartbeat_grace", "1.5", "1.5"},
		{"mon_allow_pool_delete", "YES", "true"},
		{"osd pool default size", "2", "2"},
		{"log-level", "debug", "debug"},
	} {
		s, err := Set{}.With(map[string]string{c.name: c.in})
		if err != nil {
			t.Errorf("%s=%s: %v", c.name, c.in, err)
		} else if got := s.Get(Canonical(c.name)); got != c.want {
			t.Errorf("%s=%s: %s, want %s", c.name, c.in, got, c.want)
		}
	}
	for _, c := range []struct{ name, in, err string }{
		{"no_such_option", "1", "unrecognized config option"},
		{"osd_heartbeat_interval", "0", "below minimum 1"},
		{"osd_pool_default_size", "11", "exceeds maximum 10"},
		{"osd_pool_default_size", "-1", "to be integer"},
		{"mon_allow_pool_delete", "maybe", "to be true or false"},
		{"log_level", "loud", "not one of the permitted"},
		{"osd_max_object_size", "9X", "to be integer"},
	} {
		_, err := Set{}.With(map[string]string{c.name: c.in})
		if err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s=%s: error %v, want %q", c.name, c.in, err, c.err)
		}
	}
}

func TestWithLeavesTheOldSetAlone(t *testing.T) {
	a, _ := Set{}.With(map[string]string{"osd_heartbeat_grace": "7"})
	b, _ := a.With(map[string]string{"osd_heartbeat_grace": "9"})
	if a.Duration("osd_heartbeat_grace") != 7*time.Second || b.Float("osd_heartbeat_grace") != 9 {
		t.Errorf("a %v b %v", a, b)
	}
	if d := (Set{}).Duration("osd_heartbeat_grace"); d != 20*time.Second {
		t.Errorf("default %v", d)
	}
}
