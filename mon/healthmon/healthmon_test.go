package healthmon

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"glue/mon/service"
)

type nowhere struct{}

func (nowhere) Set(string, []byte)  {}
func (nowhere) Delete(string)       {}
func (nowhere) DeletePrefix(string) {}

// A bench is a service with checks that the test sets, whose changes are applied at once.
type bench struct {
	t      *testing.T
	s      *Service
	checks Checks
	lines  []string
	now    time.Time
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, checks: Checks{}, now: time.Unix(1_800_000_000, 0)}
	b.s = New(func(time.Time) Checks { return b.checks },
		func(text string) { b.lines = append(b.lines, text) })
	return b
}

func (b *bench) tick() {
	b.t.Helper()
	b.s.Tick(b.now)
	b.apply()
}

func (b *bench) apply() {
	b.t.Helper()
	if !b.s.Dirty() {
		return
	}
	change, err := b.s.Change()
	if err == nil {
		err = b.s.Apply(change, nowhere{})
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) mute(m mute) {
	c := b.checks[m.Code]
	m.Summary, m.Count = c.Summary, c.Count
	b.s.put(m)
	b.apply()
}

func (b *bench) muted() string { return b.s.Report(b.now).mutedNote() }

// TestMuteEnds: a mute ends when its check is gone or has grown, and when its time is up; a sticky
// one only for the latter.
func TestMuteEnds(t *testing.T) {
	for _, c := range []struct {
		name   string
		sticky bool
		then   func(b *bench)
		line   string // in the cluster log; empty: the mute holds
	}{
		{"as it was", false, func(*bench) {}, ""},
		{"cleared", false, func(b *bench) { delete(b.checks, "A") }, "(health alert cleared)"},
		{"grown", false, func(b *bench) { b.checks.Add("A", Warn, 4, "four") },
			"(count increased from 3 to 4)"},
		{"fallen", false, func(b *bench) { b.checks.Add("A", Warn, 2, "two") }, ""},
		{"fallen and grown back", false, func(b *bench) {
			b.checks.Add("A", Warn, 2, "two")
			b.tick()
			b.checks.Add("A", Warn, 3, "three")
		}, "(count increased from 2 to 3)"},
		{"in time", false, func(b *bench) { b.now = b.now.Add(59 * time.Second) }, ""},
		{"time is up", false, func(b *bench) { b.now = b.now.Add(time.Minute) }, "(passed TTL "},
		{"sticky cleared", true, func(b *bench) { delete(b.checks, "A") }, ""},
		{"sticky grown", true, func(b *bench) { b.checks.Add("A", Warn, 9, "nine") }, ""},
		{"sticky, time is up", true, func(b *bench) { b.now = b.now.Add(time.Minute) },
			"(passed TTL "},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.checks.Add("A", Warn, 3, "three")
			b.mute(mute{Code: "A", Sticky: c.sticky, TTL: b.now.Add(time.Minute).Unix()})
			c.then(b)
			b.tick()
			text := strings.Join(b.lines, "\n")
			if ended := b.muted() == ""; ended != (c.line != "") ||
				!strings.Contains(text, c.line) || c.line == "" && text != "" {
				t.Errorf("muted %q, log %q; want %q", b.muted(), text, c.line)
			}
		})
	}
}

// TestMuteWithoutCount: what has no count is compared by its summary.
func TestMuteWithoutCount(t *testing.T) {
	b := newBench(t)
	b.checks.Add("A", Warn, 0, "one thing")
	b.mute(mute{Code: "A"})
	b.tick()
	if b.muted() != "(muted: A)" {
		t.Errorf("muted %q", b.muted())
	}
	b.checks.Add("A", Warn, 0, "another")
	b.tick()
	if b.muted() != "" || fmt.Sprint(b.lines) !=
		"[Health alert mute A cleared (summary changed)]" {
		t.Errorf("muted %q, log %q", b.muted(), b.lines)
	}
}

// TestText: a muted check does not count for the status, and says how long it is muted.
func TestText(t *testing.T) {
	b := newBench(t)
	b.checks.Add("B", Err, 1, "bad", "line 1", "line 2")
	b.checks.Add("A", Warn, 1, "not good")
	b.mute(mute{Code: "B", TTL: b.now.Add(time.Hour).Unix(), Sticky: true})
	b.mute(mute{Code: "C", TTL: 0, Sticky: true})
	r := b.s.Report(b.now.Add(time.Second))
	want := "HEALTH_WARN not good; (muted: B(59m) C)\n[WRN] A: not good\n" +
		"(MUTED ttl 59m, STICKY) [ERR] B: bad\n    line 1\n    line 2\n"
	if got := r.Text(true); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := strings.Join(r.Lines(), "|"); got != "HEALTH_WARN|not good|(muted: B(59m) C)" {
		t.Errorf("lines %s", got)
	}
}

func TestSpan(t *testing.T) {
	for text, want := range map[string]string{
		"30": "30s", "119s": "119s", "10m": "10m", "2h": "2h", "1h30m": "90m", "3 days": "3d",
		"1w 1d": "8d", "1mo": "4w", "23mo": "23M", "5years": "5y", "0": "0s",
	} {
		d, err := parseSpan(text)
		if err != nil || span(d) != want {
			t.Errorf("%q: %v, %v; want %s", text, span(d), err, want)
		}
	}
	for _, text := range []string{"", "xx", "5x", "m5", "-1", "9999999999d", "101y"} {
		if d, err := parseSpan(text); err == nil {
			t.Errorf("%q was taken for %v", text, d)
		}
	}
}

var _ service.Writer = nowhere{}
