package commands

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestDescribeStock compares the described signatures with the stock monitor's, when the list is
// at hand.
func TestDescribeStock(t *testing.T) {
	var got map[string]description
	if err := json.Unmarshal(Describe(Manager, Monitor, OSDMap), &got); err != nil {
		t.Fatal(err)
	}
	const stock, modules = 348, 3 // the stock list is without the commands of manager modules
	if len(got) != stock+modules {
		t.Errorf("%d commands are described, stock has %d and modules %d", len(got), stock, modules)
	}
	text, err := os.ReadFile("../../../shared/wire/command-signatures.json")
	if err != nil {
		t.Skip("no list of the stock monitor's commands here")
	}
	var want []description
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, d := range got {
		d.Help = ""
		b, _ := json.Marshal(d)
		have[string(b)] = true
	}
	for _, w := range want {
		for _, a := range w.Sig {
			if m, ok := a.(map[string]any); ok && m["req"] != nil {
				if m["req"] == "true" {
					delete(m, "req")
				} else {
					m["req"] = "false"
				}
			}
		}
		b, _ := json.Marshal(w)
		if !have[string(b)] && !strings.Contains(string(b), `"range]"`) {
			t.Errorf("not described: %s", b)
		}
	}
}

func TestGetters(t *testing.T) {
	c, err := Parse([]string{`{"prefix":"osd pool create","pool":"p","pg_num":"8","size":3,`,
		`"caps":["a","b"],"f":0.5,"yes_i_really_mean_it":"--yes-i-really-mean-it","b":true,` +
			`"format":"json-pretty","id":"osd.7"}`})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{c.Prefix, c.Need("pool"), c.Int("pg_num", 1), c.Int("size", 1), c.Int("none", 5),
		c.Strs("caps"), c.Float("f", 0), c.Bool("yes_i_really_mean_it"), c.Bool("b"),
		c.Bool("none"), c.Format(), c.OSD("id"), c.Err()}
	want := []any{"osd pool create", "p", int64(8), int64(3), int64(5), []string{"a", "b"}, 0.5,
		true, true, false, JSONPretty, int32(7), error(nil)}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("getter %d: %v, want %v", i, got[i], want[i])
		}
	}
	c.NeedInt("pool")
	if c.Err() == nil || c.Err().Error() != "bad or missing field 'pool'" {
		t.Errorf("a word as a number: %v", c.Err())
	}
}

func TestTextHidesSecrets(t *testing.T) {
	c, err := Parse([]string{`{"prefix":"config-key set","key":"k","val":"s3cret"}`})
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Text(); strings.Contains(s, "s3cret") || !strings.Contains(s, `"key":"k"`) {
		t.Errorf("audit text %s", s)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"prefix":"osd pool create","pool":"p","pg_num":1e9,"ids":["1",2,null]}`)
	f.Add(`{"prefix":1}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse([]string{text})
		if err != nil {
			return
		}
		for name := range c.args {
			c.Str(name)
			c.Strs(name)
			c.Int(name, 0)
			c.Float(name, 0)
			c.Floats(name)
			c.Bool(name)
			c.OSD(name)
		}
		c.Format()
		c.Text()
	})
}

// TestCapsArgs: what a bootstrap key's restriction sees is the list that is applied, whatever else
// the caller puts into the command.
func TestCapsArgs(t *testing.T) {
	c, err := Parse([]string{`{"prefix":"auth get-or-create","entity":"mds.a",` +
		`"caps":["mon","allow *","mds","allow"],` +
		`"caps_mon":"allow profile mds","caps_osd":"allow rwx"}`})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"prefix": "auth get-or-create", "entity": "mds.a", "caps": "mon allow * mds allow",
		"caps_mon": "allow *", "caps_mds": "allow",
	}
	got := c.Args()
	delete(want, "prefix")
	delete(got, "prefix")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}
