package mon

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"glue/cluster/osdmap"
	"glue/wire/message"
)

// operate is a world with OSDs on hosts, and its operator, who must succeed.
func operate(t *testing.T, hosts ...string) (*world, func(format string, args ...any) string) {
	t.Helper()
	w := newWorld(t)
	for id, h := range hosts {
		w.bootOn(h, int32(id), 1, 0)
	}
	return w, w.operator()
}

func (w *world) operator() func(format string, args ...any) string {
	w.t.Helper()
	s, l := w.session("client.admin", "allow *")
	return func(format string, args ...any) string {
		w.t.Helper()
		r, text, out := w.command(s, l, fmt.Sprintf(format, args...), nil)
		if r != 0 {
			w.t.Fatalf(format+": %d %s", append(args, r, text)...)
		}
		return out
	}
}

const setOption = `{"prefix":"config set","who":"mon","name":"%s","value":"%v"}`

// who lists the OSDs that have a property.
func who(m *osdmap.Map, is func(int32) bool) string {
	var out []int32
	for _, id := range m.OSDs() {
		if is(id) {
			out = append(out, id)
		}
	}
	return fmt.Sprint(out)
}

func (w *world) wantUp(what, list string) {
	w.t.Helper()
	if got := who(w.c.osd.Map(), w.c.osd.Map().IsUp); got != list {
		w.t.Errorf("%s: up are %s, want %s", what, got, list)
	}
}

func (w *world) wantIn(what, list string) {
	w.t.Helper()
	if got := who(w.c.osd.Map(), w.c.osd.Map().IsIn); got != list {
		w.t.Errorf("%s: in are %s, want %s", what, got, list)
	}
}

// TestReportersInPlaces: reporters count once for each bucket of a type, or each on its own where
// there is none.
func TestReportersInPlaces(t *testing.T) {
	for _, c := range []struct {
		level     string
		least     int
		reporters []int32
		gone      string // from the CRUSH map
		down      bool
	}{
		{"host", 2, []int32{0, 1}, "", false},
		{"host", 2, []int32{0, 2}, "", true},
		{"host", 1, []int32{1}, "", true},
		{"host", 3, []int32{0, 1, 2, 3}, "", false},
		{"host", 2, []int32{0, 1}, "osd.1", true},
		{"osd", 2, []int32{0, 1}, "", true},
		{"osd", 4, []int32{0, 1, 2}, "", false},
		{"rack", 2, []int32{0, 1}, "", true}, // there are no racks
	} {
		t.Run(fmt.Sprintf("%s %d %v%s", c.level, c.least, c.reporters, c.gone), func(t *testing.T) {
			w, run := operate(t, "a", "a", "b", "b", "c")
			run(setOption, "mon_osd_reporter_subtree_level", c.level)
			run(setOption, "mon_osd_min_down_reporters", c.least)
			if c.gone != "" {
				run(`{"prefix":"osd crush rm","name":"%s"}`, c.gone)
			}
			for _, r := range c.reporters {
				w.failure(r, 4, message.FailureFailed, 100)
			}
			w.pass(time.Second)
			if up := w.c.osd.Map().IsUp(4); up == c.down {
				t.Errorf("up: %v", up)
			}
		})
	}
}

// TestOldReport: a report that was not taken back does not count for ever.
func TestOldReport(t *testing.T) {
	w, run := operate(t, "a", "b", "c")
	run(setOption, "osd_heartbeat_stale", 100)
	w.failure(0, 2, message.FailureFailed, 30)
	w.pass(80 * time.Second)
	w.failure(0, 1, message.FailureFailed, 30)
	w.pass(50 * time.Second)
	w.failure(1, 2, message.FailureFailed, 30)
	w.wantUp("160 s after the first report", "[0 1 2]")
	w.failure(2, 1, message.FailureFailed, 30)
	w.wantUp("80 s after the first report", "[0 2]")
}

// TestSilentOSD: an OSD that sends no beacon goes down, though nobody reports it.
func TestSilentOSD(t *testing.T) {
	w, run := operate(t, "a", "b", "c")
	run(setOption, "mon_osd_report_timeout", 60)
	beacons := func(ids ...int32) {
		for _, id := range ids {
			s, _ := w.session(fmt.Sprint("osd.", id), "allow profile osd")
			w.send(s, &message.MOSDBeacon{OSD: id})
		}
	}
	w.pass(50 * time.Second)
	beacons(0, 1)
	w.pass(5 * time.Second)
	w.wantUp("after 55 s", "[0 1 2]")
	run(`{"prefix":"osd set","key":"nodown"}`)
	w.pass(10 * time.Second)
	w.wantUp("with nodown", "[0 1 2]")
	w.reopen() // a leader that knows of no beacons waits for as long
	run = w.operator()
	run(`{"prefix":"osd unset","key":"nodown"}`)
	w.pass(50 * time.Second)
	w.wantUp("50 s after a restart", "[0 1 2]")
	beacons(0, 1)
	w.pass(15 * time.Second)
	w.wantUp("15 s later", "[0 1]")
}

// TestSparedOSDs: while all of a bucket is down its OSDs stay in, and once one is back the others
// have the whole interval to come back.
func TestSparedOSDs(t *testing.T) {
	w, run := operate(t, "a", "a", "b", "b", "c")
	run(setOption, "mon_osd_min_in_ratio", 0.1)
	run(setOption, "mon_osd_report_timeout", 100_000)
	run(setOption, "mon_osd_down_out_subtree_limit", "host")
	run(`{"prefix":"osd down","ids":["0","1","2"]}`)
	w.pass(time.Hour)
	w.wantIn("a whole host is down, and half of one", "[0 1 3 4]")
	w.bootOn("a", 0, 2, 0)
	w.pass(590 * time.Second)
	w.wantIn("half of it came back", "[0 1 3 4]")
	w.pass(20 * time.Second)
	w.wantIn("after the interval", "[0 3 4]")
}

// TestInRatio: no more OSDs go out than mon_osd_min_in_ratio allows, and none when the interval is
// 0.
func TestInRatio(t *testing.T) {
	w, run := operate(t, "a", "b", "c", "d")
	run(setOption, "mon_osd_report_timeout", 100_000)
	run(setOption, "mon_osd_down_out_interval", 0)
	run(`{"prefix":"osd down","ids":["2","3"]}`)
	w.pass(time.Hour)
	w.wantIn("with an interval of 0", "[0 1 2 3]")
	run(setOption, "mon_osd_down_out_interval", 60)
	w.pass(time.Second)
	w.wantIn("with a minute", "[0 1 3]")
	run(setOption, "mon_osd_min_in_ratio", 0.5)
	w.pass(time.Second)
	w.wantIn("with half of them", "[0 1]")
}

// TestSlowOSD: an OSD that boots again though its process went on gets more time the next time, and
// its reports about others less weight; one that was restarted less so.
func TestSlowOSD(t *testing.T) {
	w, run := operate(t, "a", "b", "c", "d")
	run(setOption, "mon_osd_report_timeout", 100_000_000)
	nonce, first := uint32(1), w.c.osd.Map().Info[3].UpFrom
	again := func(down time.Duration, restarted bool) {
		t.Helper()
		run(`{"prefix":"osd down","ids":["3"]}`)
		w.pass(down)
		nonce++
		if restarted {
			w.bootOn("d", 3, nonce, 0)
		} else {
			w.bootOn("d", 3, nonce, first)
		}
	}
	learnt := func(probability float64, interval uint32) {
		t.Helper()
		x := w.c.osd.Map().XInfo[3]
		if math.Abs(float64(x.LaggyProbability)-probability) > 1e-6 || x.LaggyInterval != interval {
			t.Errorf("learnt %v %d, want %v %d", x.LaggyProbability, x.LaggyInterval, probability,
				interval)
		}
	}
	again(100*time.Second, true)
	learnt(0, 0)
	again(100*time.Second, false)
	learnt(.3, 30)
	again(time.Hour, false) // counts as five minutes
	learnt(.51, 111)
	if out := run(`{"prefix":"osd dump","format":"json"}`); !strings.Contains(out,
		`"laggy_probability":0.50999`) || !strings.Contains(out, `"laggy_interval":111`) {
		t.Errorf("osd dump: %s", out)
	}
	again(10*time.Second, true)
	learnt(.357, 77)

	// 77 s with the probability .357 are 27.489 s, of which a minute of an hour leaves 98.9 %.
	missed := func(reporter, target int32, age int32) {
		t.Helper()
		for _, r := range []int32{0, reporter} {
			w.failure(r, target, message.FailureFailed, age)
		}
		w.pass(time.Second)
	}
	missed(1, 3, 30)
	w.wantUp("missed for 31 s", "[0 1 2 3]")
	w.pass(10 * time.Second)
	w.wantUp("missed for 41 s", "[0 1 2 3]")
	w.pass(8 * time.Second)
	w.wantUp("missed for 49 s", "[0 1 2]")
	again(0, true)
	learnt(.2499, 53)
	missed(3, 2, 22) // 53 s with .2499, halved for two reporters, are 6.6 s
	w.wantUp("missed for 23 s by a slow one", "[0 1 2 3]")
	w.pass(5 * time.Second)
	w.wantUp("missed for 28 s by a slow one", "[0 1 3]")
	w.bootOn("c", 2, 9, 0)
	w.pass(4 * time.Hour) // leaves a sixteenth
	missed(3, 2, 20)
	w.wantUp("missed for 21 s by one that was slow long ago", "[0 1 3]")
	run(setOption, "mon_osd_adjust_heartbeat_grace", false)
	missed(1, 3, 20)
	w.wantUp("missed for 21 s, all being equal", "[0 1]")

	again(time.Second, true)
	w.pass(49 * time.Hour)
	again(0, true)
	learnt(0, 0) // two days without going down
}

// TestSlowOSDStaysIn: what was learnt of an OSD also gives it more time before it is put out.
func TestSlowOSDStaysIn(t *testing.T) {
	w, run := operate(t, "a", "b", "c", "d")
	run(setOption, "mon_osd_report_timeout", 100_000)
	run(setOption, "mon_osd_laggy_weight", 1)
	run(setOption, "mon_osd_laggy_halflife", 100_000)
	run(`{"prefix":"osd down","ids":["3"]}`)
	w.pass(5 * time.Minute)
	w.bootOn("d", 3, 2, w.c.osd.Map().Info[3].UpFrom)
	run(`{"prefix":"osd down","ids":["3"]}`)
	w.pass(13 * time.Minute)
	w.wantIn("13 minutes", "[0 1 2 3]")
	w.pass(2 * time.Minute)
	w.wantIn("15 minutes", "[0 1 2]")
	w.bootOn("d", 3, 3, w.c.osd.Map().Info[3].UpFrom)
	w.wantIn("back", "[0 1 2 3]")
	run(setOption, "mon_osd_adjust_down_out_interval", false)
	run(`{"prefix":"osd down","ids":["3"]}`)
	w.pass(11 * time.Minute)
	w.wantIn("11 minutes, all being equal", "[0 1 2]")
}
