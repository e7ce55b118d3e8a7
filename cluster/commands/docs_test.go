package commands

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

//go:generate go test . -run TestDocs -update

var update = flag.Bool("update", false, "write docs/COMMANDS.md anew")

const docsPath = "../../docs/COMMANDS.md"

// TestDocs: docs/COMMANDS.md is what the tables say.
func TestDocs(t *testing.T) {
	want := docs()
	if *update {
		if err := os.WriteFile(docsPath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docsPath)
	if err != nil || string(got) != want {
		t.Errorf("docs/COMMANDS.md is not what the tables say (%v); write it anew with: "+
			"go generate ./cluster/commands", err)
	}
}

// docs is the page about commands.
func docs() string {
	tables := []struct {
		title, text string
		rows        []Descriptor
	}{
		{"Answered by the manager", "", Manager},
		{"Answered by the manager: what stock managers have modules for", "", Modules},
		{"Answered by the monitors", "", Monitor},
		{"Answered by the monitors: the OSD map", "", OSDMap},
	}
	var body strings.Builder
	var n counts
	for _, t := range tables {
		fmt.Fprintf(&body, "\n## %s\n%s\n| Command | Caps | State |\n|---|---|---|\n",
			t.title, t.text)
		for i := range t.rows {
			d := &t.rows[i]
			fmt.Fprintf(&body, "| `%s` | %s %s | %s |\n", usage(d), d.Module, d.Perm, n.state(d))
		}
	}
	return fmt.Sprintf(`# Commands

This page is generated from the tables of package cluster/commands with
    go generate ./cluster/commands
The stock command line offers %d commands here, those of Ceph 16.2's monitors and a few of its
managers' modules: %d are implemented, %d belong to features that do not exist yet and answer
ENOTSUP with one sentence that says so, and %d are obsolete in Ceph too and refused.

*Caps* is the service that a command belongs to and what a key must be granted there: "osd rw" is
granted by "allow rw", "allow service osd rw" or "allow command ..." in the caps for the daemons
that answer ("mon" or "mgr"). Arguments in brackets are optional, "…" marks what may come several
times. Commands marked *tell* reach one monitor: ceph tell mon.ID COMMAND. What else daemons
answer there they list themselves: ceph tell osd.0 help.
%s
## Features that commands wait for

| Feature | Commands | What to do now |
|---|---|---|
%s`, n.all, n.done, n.waiting, n.obsolete, body.String(), waiting())
}

// counts counts the states of commands.
type counts struct{ all, done, waiting, obsolete int }

func (n *counts) state(d *Descriptor) string {
	n.all++
	var s string
	switch p := d.Prefix(); {
	case Unavailable[p] != "":
		n.waiting++
		s = "waits: " + featureOf(p)
	case d.Flags&FlagObsolete != 0:
		n.obsolete++
		s = "obsolete"
	default:
		n.done++
		s = "implemented"
	}
	if d.Flags&FlagDeprecated != 0 {
		s += ", deprecated"
	}
	if d.Flags&FlagTell == FlagTell {
		s += ", tell"
	}
	return s
}

func featureOf(prefix string) string {
	for _, m := range absent {
		for _, p := range m.prefixes {
			if p == prefix {
				return m.what
			}
		}
	}
	return ""
}

func waiting() string {
	var b strings.Builder
	for _, m := range absent {
		instead := m.instead
		if instead == "" {
			instead = "—"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", m.what, "`"+strings.Join(m.prefixes, "`, `")+"`",
			instead)
	}
	return b.String()
}

// usage is the signature for people.
func usage(d *Descriptor) string {
	var out []string
	for w := range strings.FieldsSeq(d.Sig) {
		if !strings.Contains(w, ":") {
			out = append(out, w)
			continue
		}
		a := parseArg(w)
		s := "<" + a.Name + ">"
		switch {
		case a.Type == "Bool":
			s = "--" + strings.ReplaceAll(a.Name, "_", "-")
		case a.Repeats:
			s += "…"
		}
		if a.Optional {
			s = "[" + s + "]"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

// TestEveryCommandIsCompared: each command that is implemented is among the command lines that
// the conformance suite compares with stock.
func TestEveryCommandIsCompared(t *testing.T) {
	text, err := os.ReadFile("../../conformance/testdata/commands.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range [][]Descriptor{Manager, Monitor, OSDMap} {
		for i := range table {
			d := &table[i]
			p := d.Prefix()
			if Unavailable[p] == "" && d.Flags&FlagObsolete == 0 && !notCompared[p] &&
				!regexp.MustCompile(`(?m)^([1~] )?(tell mon\.a )?`+regexp.QuoteMeta(p)+`( |$)`).
					Match(text) {
				t.Errorf("%s: no line in conformance/testdata/commands.txt", p)
			}
		}
	}
}

// notCompared are commands that scripts of the monitor and other tests of the suite run: they would
// leave a real cluster changed, or wait.
var notCompared = map[string]bool{}
