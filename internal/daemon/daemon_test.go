package daemon

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"glue/internal/admin"
	"glue/internal/options"
)

func newTable(t *testing.T) (*Config, *admin.Table) {
	t.Helper()
	c, bad := NewConfig("osd", "3", map[string]string{"osd_max_object_size": "64M",
		"key": "AQBsecret", "no_such": "1"})
	if fmt.Sprint(bad) != "[no_such]" {
		t.Errorf("refused %v", bad)
	}
	return c, admin.NewTable(Commands(c, nil, nil))
}

// TestConfigCommands: what each command prints and answers, in the words and numbers of stock.
func TestConfigCommands(t *testing.T) {
	c, table := newTable(t)
	c.Central(map[string]string{"osd_recovery_max_active": "3"})
	for _, k := range []struct {
		command string // prefix, then name=value
		errno   int
		want    string // part of the output, or the text
	}{
		{"config get var=osd_recovery_max_active", 0, `"osd_recovery_max_active": "3"`},
		{"config get var=nosuch", 2, "error getting 'nosuch': (2) No such file or directory"},
		{"config set var=osd_recovery_max_active val=7", 0,
			`"success": "osd_recovery_max_active = '7' "`},
		{"config set var=osd_recovery_max_active val=x", 22,
			"error setting 'osd_recovery_max_active' to 'x': (22) Invalid argument"},
		{"config set var=nosuch val=1", 2,
			"error setting 'nosuch' to '1': (2) No such file or directory"},
		{"config set var=osd_data val=/x", 1,
			"error setting 'osd_data' to '/x': (1) Operation not permitted"},
		{"config set var=mon_allow_pool_delete val=true", 0, "not observed"},
		{"config diff", 0, `"mon": 3,`},
		{"config diff get var=osd_recovery_max_active", 0, `"override": 7,`},
		{"config unset var=osd_recovery_max_active", 0, "osd_recovery_max_active = '3' "},
		{"config unset var=nosuch", 22, "error unsetting 'nosuch': (22) Invalid argument"},
		{"config show", 0, `"osd_max_object_size": "67108864"`},
		{"config help var=osd_op_complaint_time", 0, `"default": 30,`},
		{"config help var=nosuch", 2, "Setting not found: 'nosuch'"},
		{"injectargs injected_args=--osd_recovery_max_active=4", 0,
			"osd_recovery_max_active = '4' "},
		{"injectargs injected_args=--no-mon_allow_pool_delete", 0,
			"mon_allow_pool_delete = 'false' "},
		{"injectargs injected_args=--no-osd_recovery_max_active", 22,
			"failed to parse arguments: --no-osd_recovery_max_active"},
		{"injectargs injected_args=--nosuch=4", 22, "failed to parse arguments: --nosuch=4"},
		{"injectargs injected_args=--osd_data=4", 1, "may not be modified at runtime"},
		{"injectargs injected_args=--osd_recovery_max_active=x", 22,
			"Parse error setting osd_recovery_max_active to 'x' using injectargs"},
		{"heap heapcmd=stats", 0, "held from the system"},
		{"heap heapcmd=start_profiler", 95, "tcmalloc"},
		{"perf reset var=nosuch", 0, "Not find: nosuch"},
		{"log flush", 0, "{}"},
		{"version", 0, `"release_type": "stable"`},
		{"nonsense", 22, "unrecognized command"},
	} {
		words := strings.Fields(k.command)
		request, n := map[string]string{}, 0
		for n < len(words) && !strings.Contains(words[n], "=") {
			n++
		}
		request["prefix"] = strings.Join(words[:n], " ")
		for _, w := range words[n:] {
			name, value, _ := strings.Cut(w, "=")
			request[name] = value
		}
		out, text, err := table.Run(jsonOf(request))
		if int(admin.Errno(err)) != k.errno {
			t.Errorf("%s: errno %d, want %d (%s)", k.command, admin.Errno(err), k.errno, text)
		}
		if !strings.Contains(string(out)+text, k.want) {
			t.Errorf("%s: %s%s, want %s", k.command, out, text, k.want)
		}
	}
}

func jsonOf(m map[string]string) string {
	var parts []string
	for k, v := range m {
		parts = append(parts, fmt.Sprintf("%q:%q", k, v))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// TestNoSecrets: a key is in no answer.
func TestNoSecrets(t *testing.T) {
	c, table := newTable(t)
	for _, prefix := range []string{"config show", "config diff", "config get"} {
		out, text, _ := table.Run(jsonOf(map[string]string{"prefix": prefix, "var": "key"}))
		if strings.Contains(string(out)+text, "AQBsecret") {
			t.Errorf("%s: %s", prefix, out)
		}
	}
	if strings.Contains(fmt.Sprint(c.Report()), "AQBsecret") {
		t.Error("the report to the manager has the key")
	}
}

// TestChangesReachTheDaemon: an override holds over a later change of the central configuration,
// and taking it away brings that into force.
func TestChangesReachTheDaemon(t *testing.T) {
	c, _ := newTable(t)
	var got []int64
	c.OnChange(func(s options.Set) { got = append(got, s.Int("osd_recovery_max_active")) })
	if err := c.Override("osd_recovery_max_active", "9"); err != nil {
		t.Fatal(err)
	}
	c.Central(map[string]string{"osd_recovery_max_active": "2"})
	c.Unset("osd_recovery_max_active")
	c.Central(nil)
	if fmt.Sprint(got) != "[0 9 9 2 0]" {
		t.Errorf("values %v", got)
	}
}

func TestLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	l, err := NewLog(&bytes.Buffer{}, path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	read := func() string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	set, _ := options.Set{}.With(map[string]string{"log_level": "warn"})
	l.Follow(set)
	l.Logger().Info("not to be seen")
	l.Logger().Warn("first")
	if got := read(); strings.Contains(got, "not to be") || !strings.Contains(got, "first") {
		t.Errorf("log %q", got)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	l.Logger().Warn("second")
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.Logger().Warn("third")
	if got := read(); strings.Contains(got, "second") || !strings.Contains(got, "third") {
		t.Errorf("log after it was reopened %q", got)
	}
	if err := l.Dump(); err != nil {
		t.Fatal(err)
	}
	got := read()
	if i, j := strings.Index(got, "first"), strings.LastIndex(got, "third"); i < 0 || j < i {
		t.Errorf("dump %q", got)
	}
	// The memory is bounded, and holds the newest lines in their order.
	for i := range recentLines + 7 {
		l.Logger().Warn("n", "i", i)
	}
	if len(l.ring) != recentLines || !strings.Contains(string(l.ring[l.next]), "i=7\n") {
		t.Errorf("%d lines, the oldest %q", len(l.ring), l.ring[l.next])
	}
}

// TestHeapDump: the profile is beside the log, and is one that pprof reads.
func TestHeapDump(t *testing.T) {
	folder := t.TempDir()
	l, err := NewLog(os.Stderr, filepath.Join(folder, "osd.3.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, _ := NewConfig("osd", "3", nil)
	out, _, err := admin.NewTable(Commands(c, l, nil)).Run(
		jsonOf(map[string]string{"prefix": "heap", "heapcmd": "dump"}))
	files, _ := filepath.Glob(filepath.Join(folder, "osd.3.log.profile.*.heap"))
	if err != nil || len(files) != 1 || !strings.Contains(string(out), files[0]) {
		t.Fatalf("%s, %v: %v", out, err, files)
	}
	if b, _ := os.ReadFile(files[0]); !bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		t.Errorf("no profile: %q", b[:min(len(b), 20)])
	}
}
