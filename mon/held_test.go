package mon

import (
	"fmt"
	"testing"
	"time"

	"glue/cluster/osdmap"
	"glue/wire/message"
)

// The ways to hold osd.3, alone on host d with the class nvme, and whether others are held too.
var holds = []struct {
	name, set, unset string
	all              bool
}{
	{"all", `{"prefix":"osd set","key":"%s"}`, `{"prefix":"osd unset","key":"%s"}`, true},
	{"one", `{"prefix":"osd set-group","flags":"%s","who":["osd.3"]}`,
		`{"prefix":"osd unset-group","flags":"%s","who":["osd.3"]}`, false},
	{"old", `{"prefix":"osd add-%s","ids":["3"]}`, `{"prefix":"osd rm-%s","ids":["3"]}`, false},
	{"host", `{"prefix":"osd set-group","flags":"%s","who":["d"]}`,
		`{"prefix":"osd unset-group","flags":"%s","who":["d"]}`, false},
	{"class", `{"prefix":"osd set-group","flags":"%s","who":["nvme"]}`,
		`{"prefix":"osd unset-group","flags":"%s","who":["nvme"]}`, false},
}

// TestHeldOSDs: noup, nodown, noin and noout, set in each of the ways, keep osd.3 as it is, and
// osd.2 only if they are for all; once unset they keep nobody.
func TestHeldOSDs(t *testing.T) {
	nonce := uint32(1)
	boot := func(w *world) {
		nonce++
		w.bootOn("c", 2, nonce, 0)
		w.bootOn("d", 3, nonce, 0)
	}
	const down = `{"prefix":"osd down","ids":["2","3"]}`
	isUp := func(m *osdmap.Map) func(int32) bool { return m.IsUp }
	isIn := func(m *osdmap.Map) func(int32) bool { return m.IsIn }
	for _, c := range []struct {
		flag        string
		before, try func(w *world, run func(string, ...any) string)
		is          func(m *osdmap.Map) func(int32) bool
		first, last string // of all OSDs
		others      string // if only osd.3 is held
	}{
		{"noup", func(w *world, run func(string, ...any) string) { run(down) },
			func(w *world, _ func(string, ...any) string) { boot(w) },
			isUp, "[0 1]", "[0 1 2 3]", "[0 1 2]"},
		{"nodown", func(*world, func(string, ...any) string) {},
			func(w *world, _ func(string, ...any) string) {
				for _, target := range []int32{2, 3} {
					w.failure(0, target, message.FailureFailed, 100)
					w.failure(1, target, message.FailureFailed, 100)
				}
			}, isUp, "[0 1 2 3]", "[0 1]", "[0 1 3]"},
		{"noin", func(w *world, run func(string, ...any) string) {
			run(down)
			w.pass(time.Hour)
		}, func(w *world, run func(string, ...any) string) {
			run(down)
			boot(w)
		}, isIn, "[0 1]", "[0 1 2 3]", "[0 1 2]"},
		{"noout", func(w *world, run func(string, ...any) string) { run(down) },
			func(w *world, _ func(string, ...any) string) { w.pass(time.Hour) },
			isIn, "[0 1 2 3]", "[0 1]", "[0 1 3]"},
	} {
		for _, h := range holds {
			t.Run(c.flag+" "+h.name, func(t *testing.T) {
				w, run := operate(t, "a", "b", "c", "d")
				for _, o := range []string{"mon_osd_min_in_ratio", "mon_osd_min_up_ratio"} {
					run(setOption, o, 0.1)
				}
				run(setOption, "mon_osd_report_timeout", 100_000)
				run(`{"prefix":"osd crush rm-device-class","ids":["3"]}`)
				run(`{"prefix":"osd crush set-device-class","class":"nvme","ids":["3"]}`)
				check := func(when, want string) {
					t.Helper()
					if got := who(w.c.osd.Map(), c.is(w.c.osd.Map())); got != want {
						t.Errorf("%s: %s, want %s", when, got, want)
					}
				}
				c.before(w, run)
				check("before", c.first)
				run(h.set, c.flag)
				c.try(w, run)
				if h.all {
					check("held", c.first)
				} else {
					check("held", c.others)
				}
				run(h.unset, c.flag)
				c.try(w, run)
				check("free", c.last)
			})
		}
	}
}

// TestHeldAtShutdown: an OSD that nodown holds stays up in the map also when it says that it ends.
func TestHeldAtShutdown(t *testing.T) {
	for _, h := range holds {
		w, run := operate(t, "a", "b", "c", "d")
		run(`{"prefix":"osd crush rm-device-class","ids":["3"]}`)
		run(`{"prefix":"osd crush set-device-class","class":"nvme","ids":["3"]}`)
		run(h.set, "nodown")
		bye := func() {
			s, _ := w.session("osd.3", "allow profile osd")
			w.send(s, &message.MOSDMarkMeDown{FSID: testFSID, OSD: 3,
				Addrs: w.c.osd.Map().Addrs(3), RequestAck: true})
			w.pass(time.Second)
		}
		bye()
		w.wantUp(h.name, "[0 1 2 3]")
		run(h.unset, "nodown")
		bye()
		w.wantUp(h.name, "[0 1 2]")
	}
}

// TestMarkedInAtBoot: which OSDs come in when they boot (mon_osd_auto_mark_...).
func TestMarkedInAtBoot(t *testing.T) {
	for _, c := range []struct {
		fresh, auto, any bool
		in               string
	}{
		{true, true, false, "[0 2 4]"},
		{false, true, false, "[0 2]"},
		{true, false, false, "[0 4]"},
		{false, false, true, "[0 1 2 4]"},
	} {
		t.Run(fmt.Sprint(c.fresh, c.auto, c.any), func(t *testing.T) {
			w, run := operate(t, "a", "b", "c", "d")
			run(setOption, "mon_osd_min_in_ratio", 0.1)
			run(setOption, "mon_osd_report_timeout", 100_000)
			run(setOption, "mon_osd_auto_mark_new_in", c.fresh)
			run(setOption, "mon_osd_auto_mark_auto_out_in", c.auto)
			run(setOption, "mon_osd_auto_mark_in", c.any)
			run(`{"prefix":"osd reweight","id":0,"weight":0.5}`)
			run(`{"prefix":"osd reweight","id":2,"weight":0.25}`)
			run(`{"prefix":"osd down","ids":["2","3"]}`)
			w.pass(time.Hour) // 2 and 3 go out, and 3 stays down
			run(`{"prefix":"osd out","ids":["1"]}`)
			run(`{"prefix":"osd down","ids":["0","1"]}`)
			for _, id := range []int32{0, 1, 2, 4} {
				w.bootOn("h", id, 2, 0)
			}
			w.wantIn("after boot", c.in)
			m := w.c.osd.Map()
			if m.Weight[0] != osdmap.WeightIn/2 || m.IsIn(2) && m.Weight[2] != osdmap.WeightIn/4 {
				t.Errorf("weights %x", m.Weight)
			}
		})
	}
}
