package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// A pgReport is what python/pgquery.py prints of a PG in one state.
type pgReport struct {
	Query  map[string]any `json:"query"`
	Health []string       `json:"health"`
	Listed bool           `json:"listed"`
	Stuck  bool           `json:"stuck"`
}

// TestPGQueryAsStock: of a PG that is clean, down, incomplete, or lacks an object, `pg query` has
// the keys, the nesting, the states and the comments that it has on a real cluster, and health and
// the lists of PGs say the same (testdata/pgquery_stock.json, made by "pgquery.py ceph DIR" on
// 16.2.15).
func TestPGQueryAsStock(t *testing.T) {
	t.Parallel()
	c := startFor(t, "--osds", "3", "--split", "--set", "mon_osd_min_in_ratio=0")
	script := filepath.Join(root(), "conformance", "python", "pgquery.py")
	var got, want map[string]pgReport
	for text, r := range map[string]*map[string]pgReport{
		c.must(t, "/usr/bin/python3", script, "glue", c.dir):             &got,
		string(read(t, filepath.Join("testdata", "pgquery_stock.json"))): &want,
	} {
		if err := json.Unmarshal([]byte(text), r); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	if len(want) != 4 {
		t.Fatalf("%d states are recorded", len(want))
	}
	for name, w := range want {
		g := got[name]
		a, b := paths(g.Query), paths(w.Query)
		for _, line := range a {
			if !slices.Contains(b, line) {
				t.Errorf("%s: more than stock has: %s", name, line)
			}
		}
		for _, line := range b {
			if !slices.Contains(a, line) {
				t.Errorf("%s: stock has: %s", name, line)
			}
		}
		if !slices.Equal(words(g.Health), words(w.Health)) || g.Listed != w.Listed ||
			g.Stuck != w.Stuck {
			t.Errorf("%s: health %q, listed %v, stuck %v; stock: %q, %v, %v", name, g.Health,
				g.Listed, g.Stuck, w.Health, w.Listed, w.Stuck)
		}
	}
}

// words are lines without numbers.
func words(list []string) []string {
	out := slices.Clone(list)
	for i := range out {
		out[i] = strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return '#'
			}
			return r
		}, sized(out[i]))
	}
	return out
}

// sized is a text without "undersized", which is said here of every PG with too few copies, by
// stock only of those that are active.
func sized(text string) string {
	text = strings.ReplaceAll(text, "undersized+", "")
	return strings.ReplaceAll(text, "+undersized", "")
}

// telling are the keys whose values are compared, too.
var telling = []string{"name", "comment", "blocked", "state", "status", "detail"}

// paths are the places of a value with the kinds of what is there, in their order.
func paths(v any) []string {
	out := map[string]bool{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		if strings.HasSuffix(path, "info.stats") {
			return // they differ with what was written when; of other copies nothing is known here
		}
		switch v := v.(type) {
		case map[string]any:
			out[path+" {}"] = true
			for k, x := range v {
				if s, ok := x.(string); ok && slices.Contains(telling, k) {
					out[path+"."+k+" = "+sized(s)] = true
					continue
				}
				if path == ".recovery_state" { // each state has keys of its own
					walk(path+"."+fmt.Sprint(v["name"])+"."+k, x)
					continue
				}
				walk(path+"."+k, x)
			}
		case []any:
			out[path+" []"] = true
			for _, x := range v {
				walk(path, x)
			}
		default:
			out[path+" "+fmt.Sprint(reflect.TypeOf(v))] = true
		}
	}
	walk("", v)
	return slices.Sorted(maps.Keys(out))
}
