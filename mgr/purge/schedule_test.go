package purge

import (
	"encoding/json"
	"testing"
	"time"
)

// stock is a record that a manager of Ceph 16.2 has written.
const stock = "[\n    {\n        \"interval\": \"1m\",\n        \"start_time\": null\n    },\n" +
	"    {\n        \"interval\": \"2h\",\n        \"start_time\": \"14:00:00+02:00\"\n    }\n]"

func TestRecord(t *testing.T) {
	s, err := decode(Level{}, []byte(stock))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(s.encode()); got != stock {
		t.Errorf("written %s", got)
	}
	for _, bad := range []string{"", "{}", `[{"interval":"1x"}]`, `[{"interval":"0m"}]`,
		`[{"interval":"1m","start_time":"bad"}]`} {
		if _, err := decode(Level{}, []byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// TestNext compares with what the stock module's arithmetic gives.
func TestNext(t *testing.T) {
	at := func(text string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04:05", text, time.FixedZone("", 2*3600))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct{ now, interval, start, want string }{
		{"2026-11-27 11:40:10", "1m", "", "2026-11-27 11:41:00"},
		{"2026-11-27 11:40:00", "1m", "", "2026-11-27 11:41:00"},
		{"2026-11-27 11:40:10", "1d", "", "2026-11-28 00:00:00"},
		{"2026-11-27 11:40:10", "1d", "09:30", "2026-11-28 09:30:00"},
		{"2026-11-27 11:40:10", "1d", "12:30", "2026-11-27 12:30:00"},
		{"2026-11-27 11:40:10", "2h", "14:00+02:00", "2026-11-27 12:00:00"},
		{"2026-11-27 11:40:10", "90", "", "2026-11-27 12:00:00"},
	} {
		i, err := parseItem(c.interval, c.start)
		if err != nil {
			t.Fatal(err)
		}
		s := &schedule{}
		s.add(i)
		if got := s.next(at(c.now)); !got.Equal(at(c.want)) {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestItems(t *testing.T) {
	for text, want := range map[string]string{"60": "1h", "1440m": "1d", "90m": "90m", "2d": "2d",
		"25h": "25h"} {
		i, err := parseItem(text, "")
		if err != nil || i.interval() != want {
			t.Errorf("%s: %s, %v", text, i.interval(), err)
		}
	}
	for _, bad := range [][2]string{{"", ""}, {"1x", ""}, {"0", ""}, {"-1", ""}, {"1m", "25:00"},
		{"1m", "noon"}, {"99999999999999999999d", ""}} {
		if i, err := parseItem(bad[0], bad[1]); err == nil {
			t.Errorf("%q: %+v", bad, i)
		}
	}
	s := &schedule{}
	for _, start := range []string{"", "00:00", "9:30", "09:30:00"} {
		i, err := parseItem("1d", start)
		if err != nil {
			t.Fatal(err)
		}
		s.add(i)
	}
	text, _ := json.Marshal(s.dump())
	if string(text) != `[{"interval":"1d","start_time":null},{"interval":"1d","start_time":`+
		`"00:00:00"},{"interval":"1d","start_time":"09:30:00"}]` {
		t.Errorf("%s", text)
	}
}

func TestLevels(t *testing.T) {
	for name, want := range map[string]Level{"": {}, "p/": {}, "p//": {Spaced: true},
		"p/n/": {Spaced: true, Namespace: "n"}} {
		want.Name = name
		pool, l, bad := splitLevel(name)
		if bad != "" || l != want || (pool == "p") != (name != "") {
			t.Errorf("%q: %q %+v %s", name, pool, l, bad)
		}
	}
	for name, want := range map[string]string{"/": "failed to parse /", "p": "failed to parse p",
		"p/i": "invalid name p/i: image level is not allowed", "p/n/i/x": "failed to parse " +
			"p/n/i/x"} {
		if _, _, bad := splitLevel(name); bad != want {
			t.Errorf("%q: %q", name, bad)
		}
	}
	all, pool, space := Level{}, Level{Pool: 1}, Level{Pool: 1, Spaced: true}
	if !pool.within(all) || !space.within(all) || !space.within(pool) || pool.within(space) ||
		all.within(all) || space.within(Level{Pool: 2}) {
		t.Error("within")
	}
}
