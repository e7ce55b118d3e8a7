package commands

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// notation is a descriptor as testdata/stock.txt has it.
func notation(d *Descriptor) string {
	return fmt.Sprintf("%s %s %d %s", d.Module, d.Perm, d.Flags, d.Sig)
}

// stockCommands are the lines of testdata/stock.txt.
func stockCommands(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/stock.txt")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Split(strings.TrimSpace(string(text)), "\n"),
		func(l string) bool { return strings.HasPrefix(l, "#") })
}

// TestDescribesStock: our signatures are the stock monitor's, one for one, and those of stock
// managers' modules are a table of their own.
func TestDescribesStock(t *testing.T) {
	var ours []string
	for _, table := range [][]Descriptor{Manager, Monitor, OSDMap} {
		for i := range table {
			ours = append(ours, notation(&table[i]))
		}
	}
	stock := stockCommands(t)
	if len(stock) != 348 {
		t.Errorf("%d stock commands", len(stock))
	}
	for _, l := range stock {
		i := slices.Index(ours, l)
		if i < 0 {
			t.Errorf("not described: %s", l)
			continue
		}
		ours = slices.Delete(ours, i, i+1)
	}
	for _, l := range ours {
		t.Errorf("described, but not by stock: %s", l)
	}
}

// TestDescribe: what clients get is the notation spelt out.
func TestDescribe(t *testing.T) {
	var got map[string]description
	if err := json.Unmarshal(Describe([]Descriptor{{
		"osd", "rw", FlagMgr, "osd x a:Int{0|5}? b:String[a-z]* c:Choices(u|v)", "help",
	}}), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]description{"cmd000": {
		Help: "help", Module: "osd", Perm: "rw", Flags: 8,
		Sig: []any{"osd", "x",
			map[string]any{"name": "a", "type": "CephInt", "range": "0|5", "req": "false"},
			map[string]any{"name": "b", "type": "CephString", "goodchars": "[a-z]", "n": "N"},
			map[string]any{"name": "c", "type": "CephChoices", "strings": "u|v"}},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
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

// TestFormats: XML is named after the command, and what is no format is plain.
func TestFormats(t *testing.T) {
	pretty := "{\n    \"a\": [\n        1\n    ]\n}\n"
	for format, want := range map[string]struct {
		f   Format
		out string
	}{
		"": {Plain, pretty}, "plain": {Plain, pretty}, "yaml": {Plain, pretty},
		"json": {JSON, `{"a":[1]}`}, "json-pretty": {JSONPretty, pretty},
		"table":      {JSON, `{"a":[1]}`},
		"xml":        {XML, "<k><a><item>1</item></a></k>"},
		"xml-pretty": {XMLPretty, "<k>\n <a>\n  <item>1</item>\n </a>\n</k>\n\n"},
	} {
		c, err := Parse([]string{`{"prefix":"osd count-metadata","property":"k",`,
			`"format":"` + format + `"}`})
		if err != nil {
			t.Fatal(err)
		}
		got := string(c.Print(map[string][]int{"a": {1}}))
		if c.Format() != want.f || got != want.out {
			t.Errorf("%q: format %d, %q", format, c.Format(), got)
		}
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
