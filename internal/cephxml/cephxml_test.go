package cephxml

import (
	"bufio"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestAsStock: what a real cluster answers as XML is what its JSON makes, for every command whose
// answer has a form. The rows are its answers with their lists and objects cut short; names that
// are not XML are compared as they are mended.
func TestAsStock(t *testing.T) {
	f, err := os.Open("testdata/stock.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tags, rows := regexp.MustCompile(`<[^>]*>`), 0
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for ; sc.Scan(); rows++ {
		var r struct {
			Prefix, XML string
			Args        map[string]string
			JSON        json.RawMessage
		}
		if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		arg := func(name string) string { return r.Args[name] }
		want := tags.ReplaceAllStringFunc(r.XML, func(tag string) string {
			name := strings.Trim(tag, "</>")
			return strings.Replace(tag, name, elementName(name), 1)
		})
		got := string(FromJSON(r.Prefix, arg, r.JSON, false))
		if got != want {
			t.Errorf("%s %v\n%s, stock\n%s", r.Prefix, r.Args, got, want)
		}
	}
	if sc.Err() != nil || rows < 100 {
		t.Errorf("%d rows, %v", rows, sc.Err())
	}
}

func none(string) string { return "" }

// TestPretty: with a space a level, lists that hold nothing on two lines, and an empty line behind.
func TestPretty(t *testing.T) {
	got := string(FromJSON("osd pool ls", none, []byte(`["a",{"b":[],"c":1.50}]`), true))
	want := "<pools>\n <pool_name>a</pool_name>\n <pool>\n  <b>\n  </b>\n  <c>1.50</c>\n" +
		" </pool>\n</pools>\n\n"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestNames: spaces become underscores, what would not be a name is mended, and what would not be
// text is escaped or replaced.
func TestNames(t *testing.T) {
	for in, want := range map[string]string{
		`{"a b":"<&>\"'\t"}`:    "<osd_df><a_b>&lt;&amp;&gt;&quot;&apos;\t</a_b></osd_df>",
		`{"16.2 (x)":true}`:     "<osd_df><_16.2__x_>true</_16.2__x_></osd_df>",
		`{"":"\u0001\r"}`:       "<osd_df><_>\ufffd&#x0d;</_></osd_df>",
		` {"up:standby":null} `: "<osd_df><up:standby></up:standby></osd_df>",
		`{"host":[[1]]}`:        "<osd_df><host><item><item>1</item></item></host></osd_df>",
		`32768`:                 "32768",
		"text\n":                "text\n",
		`{"a":`:                 `{"a":`,
		"":                      "",
	} {
		if got := string(FromJSON("osd df", none, []byte(in), false)); got !=
			strings.ReplaceAll(want, "osd_df", "df") {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

// FuzzFromJSON: whatever JSON is, its XML reads.
func FuzzFromJSON(f *testing.F) {
	for _, text := range []string{`{"a b":[1,{"c":"<\u0000"}]}`, `[[],{},null,true,"x"]`, `{`, `1`,
		`{"<>":{"":1e9}}`, `{":":[]}`, `{"é\ud800":"\uffff"}`} {
		f.Add("osd pool ls", text, true)
		f.Add("tell x", text, false)
	}
	f.Fuzz(func(t *testing.T, prefix, text string, pretty bool) {
		out := FromJSON(prefix, func(a string) string { return prefix + a }, []byte(text), pretty)
		if first := strings.TrimLeft(text, " \t\r\n"); !json.Valid([]byte(text)) ||
			first[0] != '{' && first[0] != '[' {
			if string(out) != text {
				t.Fatalf("%q became %q", text, out)
			}
			return
		}
		// A colon is a letter like others in XML, but not for readers that know namespaces.
		d := xml.NewDecoder(strings.NewReader(strings.ReplaceAll(string(out), ":", "-")))
		for {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatalf("%q became %q: %v", text, out, err)
			}
		}
	})
}
