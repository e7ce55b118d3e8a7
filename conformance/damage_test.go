package conformance

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// A damageReport is what python/damage.py prints.
type damageReport struct {
	PGs       int            `json:"inconsistent pgs"`
	Keys      []string       `json:"keys"`
	Objects   map[string]any `json:"objects"`
	Health    map[string]any `json:"health"`
	Text      []string       `json:"text"`
	Left      []string       `json:"left"`
	LeftState bool           `json:"left state"`
	Changed   []string       `json:"changed"`
}

// TestScrubFindsDamage damages copies of objects in the stores of stopped OSDs in every way that a
// scrub has to find. What the stock client lists then is what it lists on a real cluster with the
// same damage (testdata/damage_stock.json, made by "damage.py ceph DIR" on 16.2.15). A bad block
// met by a read is answered right and mended at once. A repair mends everything.
func TestScrubFindsDamage(t *testing.T) {
	t.Parallel()
	c := startFor(t, "--split")
	script := filepath.Join(root(), "conformance", "python", "damage.py")
	var got, want damageReport
	list := filepath.Join(t.TempDir(), "rados.test") // our client lists the same as the stock one
	must(t, "go", "test", "-C", root(), "-c", "-o", list, "./client/rados")
	for text, r := range map[string]*damageReport{
		c.must(t, "env", "GLUE_TEST_CONF="+c.conf, "/usr/bin/python3", script, "glue", c.dir, list,
			"-test.run", "TestInconsistentAsStock"): &got,
		string(read(t, filepath.Join("testdata", "damage_stock.json"))): &want,
	} {
		if err := json.Unmarshal([]byte(text), r); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	// Nothing is selected of what is to be removed.
	delete(want.Objects["ghost"].(map[string]any), "selected_object_info")
	for name, w := range want.Objects {
		w, g := undigested(w), undigested(got.Objects[name])
		if !reflect.DeepEqual(g, w) {
			a, _ := json.MarshalIndent(g, "", " ")
			b, _ := json.MarshalIndent(w, "", " ")
			t.Errorf("%s is listed as\n%s\nwant\n%s", name, a, b)
		}
		delete(got.Objects, name)
	}
	if len(want.Objects) < 30 || len(got.Objects) > 0 {
		t.Errorf("%d objects in the recording; besides them are listed %v", len(want.Objects),
			got.Objects)
	}
	if got.PGs != want.PGs || !slices.Equal(got.Keys, want.Keys) ||
		!reflect.DeepEqual(got.Health, want.Health) || len(got.Text) != 2 ||
		got.Text[1] != want.Text[1] {
		t.Errorf("%d PGs, keys %v, health %v %v; want %d, %v, %v %v", got.PGs, got.Keys,
			got.Health, got.Text, want.PGs, want.Keys, want.Health, want.Text)
	}
	// The real cluster takes the primary's word for attributes and omaps, and for what was
	// deleted; here the majority and the log decide.
	if len(got.Left) > 0 || got.LeftState || len(got.Changed) > 0 {
		t.Errorf("after the repair %v are inconsistent, %v have another content", got.Left,
			got.Changed)
	}
	waitFor(t, "health", func() bool {
		out, err := c.run("ceph", "health")
		return err == nil && out == "HEALTH_OK\n"
	})
	osd := filepath.Join(c.dir, "osd.0")
	c.glueFails(t, "is in use by a daemon", "store", "object", osd, "2.0", "sound", "get-bytes")
	c.kill9(t, "osd.0")
	pg := "2.0"
	c.glueMust(t, "datadata", "store", "object", osd, pg, "sound-primary", "get-bytes")
	c.glueMust(t, "_color", "store", "object", osd, pg, "sound-primary", "list-attrs")
	for says, args := range map[string][]string{
		"has no object":    {"nobody", "get-bytes"},
		"add --force":      {"sound-primary", "remove"},
		"wrong arguments":  {"sound-primary", "get-attr"},
		"is no command":    {"sound-primary", "frobnicate"},
		"no attribute":     {"sound-primary", "get-attr", "_taste"},
		"no omap key":      {"sound-primary", "get-omap", "key"},
		"is no line of":    {"{", "get-bytes"},
		"there is no copy": nil,
	} {
		if args == nil {
			c.glueFails(t, says, "store", "object", osd, "9.0", "sound-primary", "get-bytes")
			continue
		}
		c.glueFails(t, says, append([]string{"store", "object", osd, pg}, args...)...)
	}
}

// undigested takes out what depends on object infos having the digest of their data. Here they
// have none, as the store checks each block.
func undigested(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if v["oid"] != nil { // an object info
			delete(v, "data_digest")
		}
		for k := range v {
			v[k] = undigested(v[k])
		}
	case []any:
		out := []any{}
		for _, x := range v {
			if x != "data_digest" && x != "data_digest_mismatch_info" {
				out = append(out, undigested(x))
			}
		}
		return out
	}
	return v
}

// A clonesReport is what python/clones.py prints.
type clonesReport struct {
	Found struct {
		Snapsets, Objects map[string]any
		Inconsistent      bool
		Health            []string
	}
	Left struct {
		Snapsets, Objects []string
		Inconsistent      bool
	}
}

// TestScrubFindsClones damages clones and heads on all copies, so that these agree and the clones
// do not fit their heads. What the stock client lists then is what it lists on a real cluster
// (testdata/clones_stock.json, made by "clones.py ceph DIR" on 16.2.15).
func TestScrubFindsClones(t *testing.T) {
	t.Parallel()
	c := startFor(t, "--split")
	script := filepath.Join(root(), "conformance", "python", "clones.py")
	var got, want clonesReport
	for text, r := range map[string]*clonesReport{
		c.must(t, "/usr/bin/python3", script, "glue", c.dir):            &got,
		string(read(t, filepath.Join("testdata", "clones_stock.json"))): &want,
	} {
		if err := json.Unmarshal([]byte(text), r); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	// Here the log decides what was deleted, and a repair removes it.
	delete(want.Found.Snapsets, "ghost head")
	delete(want.Found.Snapsets, "ghost 3")
	if got.Found.Objects["ghost 3"] == nil {
		t.Error("a clone that was deleted is not listed")
	}
	delete(got.Found.Objects, "ghost 3")
	ghostly := func(name string) bool { return strings.HasPrefix(name, "ghost ") }
	want.Left.Snapsets = slices.DeleteFunc(want.Left.Snapsets, ghostly)
	// A head whose info is lost does not know its clones either.
	for _, name := range []string{"head-info-gone", "head-info-bad"} {
		head, ok := got.Found.Snapsets[name+" head"].(map[string]any)
		if errs, _ := head["errors"].([]any); !ok || !slices.Contains(errs, any("info_missing")) {
			t.Errorf("%s is listed as %v", name, head)
		}
		for _, at := range []string{" head", " s1", " s2"} {
			delete(got.Found.Snapsets, name+at)
			delete(want.Found.Snapsets, name+at)
			is := func(s string) bool { return s == name+at }
			got.Left.Snapsets = slices.DeleteFunc(got.Left.Snapsets, is)
			want.Left.Snapsets = slices.DeleteFunc(want.Left.Snapsets, is)
		}
	}
	compare := func(what string, got, want map[string]any) {
		for name, w := range want {
			w, g := undigested(w), undigested(got[name])
			if !reflect.DeepEqual(g, w) {
				a, _ := json.MarshalIndent(g, "", " ")
				b, _ := json.MarshalIndent(w, "", " ")
				t.Errorf("%s: %s is listed as\n%s\nwant\n%s", what, name, a, b)
			}
			delete(got, name)
		}
		if len(got) > 0 {
			t.Errorf("%s: besides, %v", what, got)
		}
	}
	compare("snapsets", got.Found.Snapsets, want.Found.Snapsets)
	compare("objects", got.Found.Objects, want.Found.Objects)
	if !got.Found.Inconsistent || !slices.Equal(got.Found.Health, want.Found.Health) ||
		len(want.Found.Snapsets) < 10 {
		t.Errorf("%+v; want %+v", got.Found, want.Found)
	}
	if !reflect.DeepEqual(got.Left, want.Left) {
		t.Errorf("after the repair %+v, want %+v", got.Left, want.Left)
	}
}
