package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false,
	"record what the cluster of GLUE_TEST_CONF, a real one, answers, for comparing with later")

// An answered is what one command line gave, plain and as JSON, without what differs from run to
// run (python/commands.py).
type answered struct {
	Line  string `json:"line"`
	Code  int    `json:"code"`
	Err   string `json:"err"`
	Out   string `json:"out"` // the first line
	JCode int    `json:"jcode"`
	JErr  string `json:"jerr"`
	JSON  any    `json:"json"` // its shape: keys and kinds of values
}

// lines reads a file of JSON lines.
func lines[T any](t *testing.T, text []byte) []T {
	t.Helper()
	var out []T
	sc := bufio.NewScanner(bytes.NewReader(text))
	sc.Buffer(nil, 4<<20)
	for sc.Scan() {
		var v T
		if err := json.Unmarshal(sc.Bytes(), &v); err != nil {
			t.Fatalf("%v in %.200s", err, sc.Text())
		}
		out = append(out, v)
	}
	return out
}

// script runs one of the python scripts that print JSON lines.
func script(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	args = append([]string{filepath.Join(root(), "conformance", "python", name)}, args...)
	cmd := shared.command(ctx, "/usr/bin/python3", args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, errs.String())
	}
	return out.Bytes()
}

// record writes what a real cluster answers, or reads what one has answered.
func record(t *testing.T, path string, got []byte) []byte {
	t.Helper()
	if *update {
		if shared.dir != "" {
			t.Fatal("-update records what a real cluster answers: set GLUE_TEST_CONF")
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return read(t, path)
}

// TestCommandsAsStock runs a thousand command lines through the stock command line and compares
// exit codes, what is said, the first line that is printed, and the keys of the JSON with what a
// real cluster has given. What differs has to be in commands_known.txt with its reason, and what is
// there has to differ.
func TestCommandsAsStock(t *testing.T) {
	testdata := filepath.Join(root(), "conformance", "testdata")
	shared.must(t, "ceph", "balancer", "off") // what it moves would be in "osd dump"
	defer shared.must(t, "ceph", "balancer", "on")
	out := script(t, "commands.py", filepath.Join(testdata, "commands.txt"), t.TempDir())
	stock := lines[answered](t, record(t, filepath.Join(testdata, "commands_stock.jsonl"), out))
	got := lines[answered](t, out)
	if len(got) != len(stock) {
		t.Fatalf("%d cases, but %d are recorded: run with -update on a real cluster", len(got),
			len(stock))
	}
	known := readKnown(t, filepath.Join(testdata, "commands_known.txt"))
	waits, differ := 0, 0
	for i, g := range got {
		if g.Line != stock[i].Line {
			t.Fatalf("case %d is %q, but %q is recorded", i, g.Line, stock[i].Line)
		}
		if unavailable.MatchString(g.Err) {
			waits++
			continue
		}
		for _, d := range differences(g, stock[i]) {
			if differ++; !known.has(g.Line, d) {
				t.Errorf("ceph %s\n\t%s", g.Line, d)
			}
		}
	}
	known.unused(t)
	t.Logf("%d command lines, %d of features that are not there yet, %d differences, all known",
		len(got), waits, differ)
}

var unavailable = regexp.MustCompile(`^Error ENOTSUP: .* not available in this release of Glue`)

// differences lists how two answers differ.
func differences(got, stock answered) []string {
	var out []string
	add := func(form string, a, b any) {
		if a != b {
			out = append(out, fmt.Sprintf(form, a, b))
		}
	}
	add("exit code %d, stock %d", got.Code, stock.Code)
	add("says %q, stock %q", got.Err, stock.Err)
	add("prints %q, stock %q", got.Out, stock.Out)
	if got.JCode != got.Code || stock.JCode != stock.Code {
		add("with -f json exit code %d, stock %d", got.JCode, stock.JCode)
	}
	if got.JErr != got.Err || stock.JErr != stock.Err {
		add("with -f json says %q, stock %q", got.JErr, stock.JErr)
	}
	g, s := map[string]bool{}, map[string]bool{}
	flatten(g, "", got.JSON)
	flatten(s, "", stock.JSON)
	for _, k := range slices.Sorted(maps.Keys(s)) {
		if !g[k] {
			out = append(out, "lacks "+k)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(g)) {
		if !s[k] {
			out = append(out, "has "+k)
		}
	}
	return out
}

// flatten lists the paths of a shape.
func flatten(to map[string]bool, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			flatten(to, strings.TrimPrefix(path+"."+k, "."), e)
		}
		if len(v) == 0 {
			to[path+"{}"] = true
		}
	case []any:
		for _, e := range v {
			flatten(to, path+"[]", e)
		}
		if len(v) == 0 {
			to[path+"[]"] = true
		}
	case string:
		to[path+":"+v] = true
	}
}

// A knownList is the differences that are meant to be.
type knownList []*knownRow

// A knownRow is patterns of a command line and of a difference.
type knownRow struct {
	text       string
	line, diff *regexp.Regexp
	used       bool
}

// readKnown reads lines COMMAND => DIFFERENCE, in which * stands for anything; what is behind a #
// is the reason of the lines after it. With =>? instead the difference is there at times only.
func readKnown(t *testing.T, path string) knownList {
	t.Helper()
	var out knownList
	reason := ""
	for _, l := range strings.Split(string(read(t, path)), "\n") {
		always, sometimes := " => ", " =>? "
		line, diff, ok := strings.Cut(strings.Replace(l, sometimes, always, 1), always)
		switch {
		case strings.HasPrefix(l, "#"):
			reason = l
		case ok && reason == "":
			t.Fatalf("%s: no reason for %q", path, l)
		case ok:
			out = append(out, &knownRow{text: l, line: glob(line), diff: glob(diff),
				used: strings.Contains(l, sometimes)})
		case l != "":
			t.Fatalf("%s: %q is neither a reason nor a difference", path, l)
		default:
			reason = ""
		}
	}
	return out
}

func glob(s string) *regexp.Regexp {
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(s), `\*`, ".*") + "$")
}

// has says whether a difference is known.
func (k knownList) has(line, diff string) bool {
	found := false
	for _, r := range k {
		if r.line.MatchString(line) && r.diff.MatchString(diff) {
			r.used, found = true, true
		}
	}
	return found
}

// unused fails the test for what is known and not so any more.
func (k knownList) unused(t *testing.T) {
	t.Helper()
	for _, r := range k {
		if !r.used && shared.dir != "" {
			t.Errorf("known as a difference, but there is none any more: %s", r.text)
		}
	}
}
