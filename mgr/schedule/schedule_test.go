package schedule

import (
	"encoding/json"
	"slices"
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
	for name, want := range map[string]struct {
		Level
		image, normal string
	}{"": {}, "p/": {}, "p//": {Level: Level{Spaced: true}},
		"p/n/":  {Level: Level{Spaced: true, Namespace: "n"}},
		"p/i":   {Level{Spaced: true}, "i", "p/i"},
		"p//i":  {Level{Spaced: true}, "i", "p/i"},
		"p/n/i": {Level{Spaced: true, Namespace: "n"}, "i", "p/n/i"}} {
		if want.Name = name; want.normal != "" {
			want.Name = want.normal
		}
		pool, image, l, ok := splitLevel(name)
		if !ok || l != want.Level || image != want.image || (pool == "p") != (name != "") {
			t.Errorf("%q: %q %q %+v %v", name, pool, image, l, ok)
		}
	}
	for _, name := range []string{"/", "p", "p/n/i/x", "p/i@s"} {
		if _, _, _, ok := splitLevel(name); ok {
			t.Errorf("%q is a level", name)
		}
	}
	levels := []Level{{}, {Pool: 1}, {Pool: 1, Spaced: true}, {Pool: 1, Spaced: true, Image: "i"},
		{Pool: 1, Spaced: true, Namespace: "n"},
		{Pool: 1, Spaced: true, Namespace: "n", Image: "i"}, {Pool: 2}}
	inside := map[int][]int{1: {0}, 2: {0, 1}, 3: {0, 1, 2}, 4: {0, 1}, 5: {0, 1, 4}, 6: {0}}
	keys := []string{"", "1", "1/", "1//i", "1/n", "1/n/i", "2"}
	for a := range levels {
		if got := levels[a].ID(); got != keys[a] {
			t.Errorf("%+v: key %q", levels[a], got)
		}
		for b := range levels {
			if levels[a].within(levels[b]) != slices.Contains(inside[a], b) {
				t.Errorf("%+v within %+v", levels[a], levels[b])
			}
		}
	}
	for _, c := range [][2]string{{"p/n/i", "n"}, {"p/i", ""}, {"p/n/", "n"}, {"p/", ""}} {
		if pool, namespace := Scope(c[0]); pool != "p" || namespace != c[1] {
			t.Errorf("%s is about %q %q", c[0], pool, namespace)
		}
	}
}

// TestKeys: what was kept is found again, unless what it is for is gone.
func TestKeys(t *testing.T) {
	w := world{pools: map[int64]string{1: "p"}, spaces: map[space]map[string]string{
		{1, ""}: {"7": "i"}, {1, "n"}: {"8": "j"}}}
	for key, name := range map[string]string{"1": "p/", "1/": "p//", "1/n": "p/n/",
		"1//7": "p/i", "1/n/8": "p/n/j"} {
		l, ok := w.level(key, 1)
		if !ok || l.Name != name || l.ID() != key {
			t.Errorf("%q: %+v %v", key, l, ok)
		}
	}
	for _, key := range []string{"", "2", "1/x", "1//8", "1/n/7", "1/n/8/9", "x"} {
		if l, ok := w.level(key, 1); ok {
			t.Errorf("%q: %+v", key, l)
		}
	}
}

// TestNearest: the schedule in force is the one of the smallest level.
func TestNearest(t *testing.T) {
	s := New(Purge, Options{})
	at := target{space{1, "n"}, "i"}
	for _, l := range []Level{{}, {Pool: 1}, {Pool: 1, Spaced: true, Namespace: "n"},
		{Pool: 1, Spaced: true, Namespace: "n", Image: "i"}} {
		s.schedules[l.ID()] = &schedule{level: l}
		if got := s.find(at); got == nil || got.level != l {
			t.Errorf("%+v: %+v", l, got)
		}
	}
	if got := s.find(target{space{1, "n"}, "k"}); got == nil || got.level.ID() != "1/n" {
		t.Errorf("another image: %+v", got)
	}
}
