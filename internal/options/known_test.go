package options

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestKnown: every line is found by its name, its default is a value that it takes, and nothing is
// found that is not there.
func TestKnown(t *testing.T) {
	n, before := 0, ""
	for line := range strings.Lines(knownText) {
		name, _, _ := strings.Cut(line, "\t")
		if name <= before {
			t.Errorf("%s is not behind %s", name, before)
		}
		before = name
		o, ok := known(name)
		if !ok || o.Name != name {
			t.Fatalf("%s: found %v", name, o)
		}
		n++
		for _, daemon := range []bool{false, true} {
			if v := o.DefaultOf(daemon); v != "" {
				if _, err := o.Check(v); err != nil {
					t.Errorf("%s: the default is refused: %v", name, err)
				}
			}
		}
		if _, ok := known(name + "!"); ok {
			t.Errorf("%s! is found", name)
		}
		if _, err := json.Marshal(o.Describe()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		(Set{}).Get(name)
	}
	if n < 1900 {
		t.Errorf("%d options", n)
	}
	for _, name := range []string{"", "a", "zzz", "rbd_cache\ttrue"} {
		if _, ok := Lookup(name); ok {
			t.Errorf("%q is found", name)
		}
	}
}

// differs are the options of Glue that are not Ceph's in name, type or default, and why.
var differs = map[string]string{
	"log_level": "ours: Glue's log has four levels for all parts", "mgr_beacon_period": "ours",
	"fsid": "none is none, not one of zeros", "keyring": "the data folder has it",
	"run_dir": "the data folder has it", "mon_data": "named when the cluster is made",
	"osd_data": "named when the cluster is made", "public_addr": "may be a host's name",
	"cluster_addr": "as public_addr", "auth_client_required": "nobody is let in without a key",
	"auth_allow_insecure_global_id_reclaim":   "no client of Glue was older than the fix",
	"osd_op_queue":                            "clients come first",
	"osd_mclock_max_sequential_bandwidth_hdd": "of later releases, as the profiles are",
	"osd_mclock_max_sequential_bandwidth_ssd": "of later releases, as the profiles are",
	"osd_class_load_list":                     "all are always there",
	"osd_class_default_list":                  "all are always there",
}

// TestTableAsCeph compares the table with the options of Ceph: what Glue has is of the same type,
// or of one that takes times with units too, and has the same default.
func TestTableAsCeph(t *testing.T) {
	for _, o := range table {
		k, ok := known(o.Name)
		kind := ok && (k.Kind == o.Kind || o.Kind == Secs && (k.Kind == Int || k.Kind == Float))
		same := false
		if kind {
			a, _ := o.normal(o.Default)
			b, _ := o.normal(k.Default)
			same = a == b
		}
		if same == (differs[o.Name] != "") {
			t.Errorf("%s: %v %q, Ceph has %v %q", o.Name, o.Kind, o.Default, k.Kind, k.Default)
		}
	}
}

// TestReadOptionsAreOurs: an option that code reads must be in the table, since those that are not
// are said to be without effect.
func TestReadOptionsAreOurs(t *testing.T) {
	read := regexp.MustCompile(`\.(?:Str|Int|Float|Bool|Duration|Get)\("([a-z_]+)"\)`)
	err := filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") ||
			strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range read.FindAllStringSubmatch(string(b), -1) {
			if _, ok := known(m[1]); ok && byName[m[1]] == nil {
				t.Errorf("%s reads %s, which is not in the table", path, m[1])
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestKnownValues: values are held to the type of the option, and are kept as stock keeps them.
func TestKnownValues(t *testing.T) {
	for _, c := range []struct{ name, in, want, err string }{
		{"rbd_cache", "no", "false", ""},
		{"rbd_cache", "nope", "", "to be true or false"},
		{"rbd_cache_size", "32K", "32768", ""},
		{"rbd_cache_policy", "fast", "", "not one of the permitted values: writethrough"},
		{"debug_osd", "20", "20/20", ""},
		{"debug_osd", "1/5", "1/5", ""},
		{"debug_osd", "loud", "", "the form N or N/M"},
		{"debug_osd", "100", "", "in range [0, 99]"},
		{"rados_osd_op_timeout", "1.5", "", "Expected a time"},
		{"rados_osd_op_timeout", "1h 30m", "5400", ""},
		{"cephsqlite_lock_renewal_interval", "99", "", "below minimum 100"},
		{"public_addrv", "192.0.2.1", "v2:192.0.2.1:0/0", ""},
		{"public_addrv", "[v2:192.0.2.1:1/0,v1:[2001:db8::1]:2/7]",
			"[v2:192.0.2.1:1/0,v1:[2001:db8::1]:2/7]", ""},
		{"public_addrv", "somewhere", "", "an address such as"},
		{"public_bind_addr", "-", "-", ""},
		{"osd_uuid", "A2B3FBD4-0000-0000-0000-000000000001",
			"a2b3fbd4-0000-0000-0000-000000000001", ""},
		{"osd_uuid", "1", "", "a UUID"},
		{"rbd_default_features", "layering,exclusive-lock", "5", ""},
		{"rbd_default_features", "speed", "", "not a feature"},
		{"mgr/balancer/mode", "upmap", "upmap", ""},
	} {
		o, ok := Lookup(c.name)
		if !ok {
			t.Errorf("%s is not known", c.name)
			continue
		}
		got, err := o.Check(c.in)
		if got != c.want || (err == nil) != (c.err == "") ||
			err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s=%s: %q, %v", c.name, c.in, got, err)
		}
	}
}
