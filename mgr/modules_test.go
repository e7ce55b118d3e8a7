package mgr

import (
	"strings"
	"testing"
	"time"

	"glue/ceph"
	"glue/cluster/commands"
	"glue/cluster/crush"
	"glue/cluster/osdmap"
	"glue/internal/daemon"
	"glue/wire/message"
)

func newState(t *testing.T) *state {
	t.Helper()
	conf, _ := daemon.NewConfig("mgr", "x", nil)
	s := &state{}
	s.init("x", conf)
	s.osdmap = &osdmap.Map{Epoch: 1, Crush: crush.New()}
	return s
}

func (s *state) ask(t *testing.T, command string) result {
	t.Helper()
	c, err := commands.Parse([]string{command})
	if err != nil {
		t.Fatal(err)
	}
	return s.run(c)
}

// TestEveryCommandAnswers: each command of the tables has an answer of its own, or the sentence
// that says why not; none panics without arguments.
func TestEveryCommandAnswers(t *testing.T) {
	s := newState(t)
	for _, table := range [][]commands.Descriptor{commands.Manager, commands.Modules} {
		for i := range table {
			p := table[i].Prefix()
			r := s.ask(t, `{"prefix":"`+p+`"}`)
			if ceph.ResultOf(r.err) == ceph.EOPNOTSUPP.Result() && r.status == "" {
				t.Errorf("%s: no reason", p)
			}
		}
	}
}

// TestSlowDaemons: what daemons tell of slow requests becomes one alert, which ends when they say
// that there are none.
func TestSlowDaemons(t *testing.T) {
	s := newState(t)
	tell := func(name string, n int, oldest time.Duration) {
		s.takeDaemon(nil, name, nil, &message.MMgrReport{
			Health: []message.HealthMetric{message.SlowOps(n, oldest)}})
	}
	tell("osd.1", 3, 40*time.Second)
	tell("osd.2", 0, 0)
	got := s.daemonChecks()
	if len(got) != 1 || got[0].Summary !=
		"3 slow ops, oldest one blocked for 40 sec, osd.1 has slow ops" {
		t.Errorf("one: %+v", got)
	}
	tell("mon.a", 1, 50*time.Second)
	got = s.daemonChecks()
	if len(got) != 1 || got[0].Count != 4 || got[0].Summary !=
		"4 slow ops, oldest one blocked for 50 sec, daemons [mon.a,osd.1] have slow ops." {
		t.Errorf("two: %+v", got)
	}
	s.dirty = false
	tell("osd.1", 0, 0)
	tell("mon.a", 0, 0)
	if got := s.daemonChecks(); len(got) != 0 || !s.dirty {
		t.Errorf("none: %+v, to be reported %v", got, s.dirty)
	}
	tell("osd.1", 1, 40*time.Second)
	s.forgetSilent(time.Now().Add(2 * silence))
	if got := s.daemonChecks(); len(got) != 0 {
		t.Errorf("after silence: %+v", got)
	}
}

// TestConfigShow: who is not known is told apart from who can't be.
func TestConfigShow(t *testing.T) {
	s := newState(t)
	for command, want := range map[string]string{
		`{"prefix":"config show","who":"osd.9"}`: "no config state for daemon osd.9",
		`{"prefix":"config show","who":"osd"}`:   "invalid daemon name: use <type>.<id>",
		`{"prefix":"config show","who":"x.1"}`:   "invalid daemon name: use <type>.<id>",
	} {
		if r := s.ask(t, command); r.status != want || r.err == nil {
			t.Errorf("%s: %q %v", command, r.status, r.err)
		}
	}
	r := s.ask(t, `{"prefix":"config show-with-defaults","who":"mgr.x"}`)
	if r.err != nil || !strings.Contains(string(r.out), "mgr_stats_period") {
		t.Errorf("our own: %s %v", r.out, r.err)
	}
	r = s.ask(t, `{"prefix":"config show","who":"mgr.x","key":"mgr_stats_period"}`)
	if string(r.out) != "5\n" {
		t.Errorf("one option: %q %v", r.out, r.err)
	}
}

// TestModulesPrintJSON: what is a module's in stock managers is text where XML is asked for.
func TestModulesPrintJSON(t *testing.T) {
	for prefix, want := range map[string]string{"osd pool autoscale-status": "text json text",
		"pg stat": "text json <pg_info><a>1</a></pg_info>"} {
		var got []string
		for _, format := range []string{"yaml", "json", "xml"} {
			c, err := commands.Parse([]string{`{"prefix":"` + prefix + `","format":"` + format +
				`"}`})
			if err != nil {
				t.Fatal(err)
			}
			out := printed(c, func() any { return map[string]int{"a": 1} },
				func() string { return "text" }).out
			got = append(got, strings.Replace(string(out), `{"a":1}`, "json", 1))
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %s, want %s", prefix, s, want)
		}
	}
}

// TestShort: as the stock modules print amounts.
func TestShort(t *testing.T) {
	for _, c := range []struct {
		n    float64
		want string
	}{{0, "0 "}, {9999, "9999 "}, {10240, "10k"}, {10402398208, "9920M"}, {335544320, "320M"}} {
		if got := short(c.n, 4, 1024); got != c.want {
			t.Errorf("%v: %q, want %q", c.n, got, c.want)
		}
	}
}
