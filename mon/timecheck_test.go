package mon

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestMeasure(t *testing.T) {
	at := time.Unix(1000, 0)
	for _, x := range []struct {
		theirs, answered time.Duration
		skew             float64
	}{
		{0, 0, 0},
		{5 * time.Millisecond, 10 * time.Millisecond, 0}, // in the middle
		{9 * time.Millisecond, 10 * time.Millisecond, 0}, // within what the way may have taken
		{time.Second, 0, 1},                                 // ahead
		{-time.Second, 0, -1},                               // behind
		{time.Second, 100 * time.Millisecond, 0.9},          // at least that much
		{-time.Second, 100 * time.Millisecond, -1.05 + .05}, // the same the other way
	} {
		k := measure(at, at.Add(x.theirs), at.Add(x.answered))
		if math.Abs(k.skew-x.skew) > 1e-6 || k.latency != x.answered.Seconds() {
			t.Errorf("%v after %v: %+v, want skew %v", x.theirs, x.answered, k, x.skew)
		}
	}
}

// TestClockSkew puts the clock of a follower forward, and back.
func TestClockSkew(t *testing.T) {
	k := newCouncil(t, "a", "b", "c")
	lead := k.leader()
	name := "a"
	if k.ws["a"] == lead {
		name = "b"
	}
	w, off := k.ws[name], 700*time.Millisecond
	w.c.now = func() time.Time { return w.time.Add(off) }
	lead.c.clocks.at = time.Time{} // a new round is due
	health := func() string {
		out := lead.c.checks(lead.time)["MON_CLOCK_SKEW"]
		return out.Summary + ": " + strings.Join(out.Detail, "; ")
	}
	k.until("the skew is told of", func() bool {
		return strings.HasPrefix(health(), "clock skew detected on mon."+name+": mon."+name+
			" clock skew 0.7s > max 0.05s (latency ")
	})
	s, l := lead.session("client.admin", "allow *")
	_, _, out := lead.command(s, l, `{"prefix":"time-sync-status","format":"json"}`, nil)
	for _, part := range []string{`"time_skew_status":{"a":`, `"health":"HEALTH_WARN"`,
		`"details":"clock skew 0.7s > max 0.05s"`} {
		if !contains(out, part) {
			t.Errorf("%s is missing in %s", part, out)
		}
	}
	off = 0
	for range 2 * 30 * 20 { // twice mon_timecheck_skew_interval
		k.step()
	}
	if h := health(); h != ": " {
		t.Errorf("the clocks agree again: %s", h)
	}
}
