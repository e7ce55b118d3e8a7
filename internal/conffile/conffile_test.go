package conffile

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	f, err := Parse(`
# a comment
fsid = 1 ; another
[global]
mon host = v2:127.0.0.1:1/0, \
   v2:127.0.0.1:2/0
keyring = "/a # b/$name"
[osd]
osd-max-backfills=3
[osd.1]
osd max backfills = 4
`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ typ, id, name, want string }{
		{"osd", "0", "fsid", "1"},
		{"osd", "0", "osd_max_backfills", "3"},
		{"osd", "1", "osd_max_backfills", "4"},
		{"client", "admin", "keyring", "/a # b/client.admin"},
		{"mon", "a", "osd_max_backfills", ""},
	} {
		if got := f.For(c.typ, c.id)[c.name]; got != c.want {
			t.Errorf("%s.%s %s: %q, want %q", c.typ, c.id, c.name, got, c.want)
		}
	}
	hosts, _ := f.Get("global", "mon host")
	if got := strings.Fields(strings.ReplaceAll(hosts, ",", " ")); len(got) != 2 {
		t.Errorf("continued line: %q", hosts)
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"[global":       "line 1",
		"\nnonsense":    `"nonsense" is not of the form`,
		"[ ]":           "section header",
		"[global]\n= 3": "line 2",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("[a]\nb = c\\\n d # e")
	f.Fuzz(func(t *testing.T, text string) {
		if file, err := Parse(text); err == nil {
			file.For("osd", "0")
		}
	})
}
