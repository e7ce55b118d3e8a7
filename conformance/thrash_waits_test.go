package conformance

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A span is from one time to another, in seconds since 1970; it goes on if the end is 0.
type span struct{ From, To float64 }

func unixNow() float64 { return float64(time.Now().UnixMicro()) / 1e6 }

// within is the part of a span that lies in another, as it is now.
func (s span) within(o span) (span, bool) {
	if s.To == 0 {
		s.To = unixNow()
	}
	s.From, s.To = max(s.From, o.From), min(s.To, o.To)
	return s, s.From < s.To
}

// A remark is what a thrasher said of what it did.
type remark struct {
	at   float64
	text string
}

// A history is what was done to a cluster, and when.
type history struct {
	said  []remark
	spans map[string][]span // by what was the case, as "osd.3 killed"
	two   []span            // when two OSDs were gone: PGs with both may have to wait
}

// turn notes that something is the case from now on, or no more.
func turn(list []span, is bool) []span {
	open := len(list) > 0 && list[len(list)-1].To == 0
	switch {
	case is && !open:
		list = append(list, span{From: unixNow()})
	case !is && open:
		list[len(list)-1].To = unixNow()
	}
	return list
}

// note keeps what is the case now.
func (h *thrasher) note() {
	now := map[string]bool{}
	for name := range h.dead {
		now[name+" killed"] = true
	}
	for name := range h.held {
		now[name+" stopped"] = true
	}
	for id := range h.outs {
		now[osdName(id)+" out"] = true
	}
	if h.spans == nil {
		h.spans = map[string][]span{}
	}
	for what := range now {
		h.spans[what] = turn(h.spans[what], true)
	}
	for what := range h.spans {
		h.spans[what] = turn(h.spans[what], now[what])
	}
	h.two = turn(h.two, h.goneOf("osd") > 1)
}

// outside is the longest part of a span that none of the others cover.
func (s span) outside(others []span) (longest float64) {
	slices.SortFunc(others, func(a, b span) int { return cmp.Compare(a.From, b.From) })
	from := s.From
	for _, o := range others {
		if p, ok := o.within(span{from, s.To}); ok {
			longest = max(longest, p.From-from)
			from = p.To
		}
	}
	return max(longest, s.To-from)
}

// alone is the longest part of the slow requests in which at most one OSD was gone.
func (h *thrasher) alone(slow []slowRequest) (longest float64) {
	for _, s := range slow {
		longest = max(longest, s.outside(slices.Clone(h.two)))
	}
	return longest
}

// aftermath is how long what was done to an OSD may go on to matter, in seconds: it starts, or the
// lease that it had, or the grace before it is marked down, is waited for.
const aftermath = 8

// explain prints the longest waits of the clients with what was done meanwhile; a star marks the
// OSDs of their PGs.
func (h *thrasher) explain(slow []slowRequest) {
	h.t.Helper()
	over := len(slices.DeleteFunc(slices.Clone(slow),
		func(s slowRequest) bool { return s.To-s.From < 5 }))
	h.t.Logf("%d requests took more than 5 s; the longest wait with at most one OSD gone: %.1f s",
		over, h.alone(slow))
	slices.SortFunc(slow, func(a, b slowRequest) int {
		return cmp.Compare(b.To-b.From, a.To-a.From)
	})
	past := &mapHistory{h: h, dumps: map[int]*pastMap{}}
	printed := 0
	seen := map[slowRequest]bool{}
	for _, s := range slow {
		// Requests for one object wait for each other: the first stands for all.
		key := slowRequest{span{To: float64(int(s.To))}, s.Pool, s.Object}
		if seen[key] {
			continue
		}
		seen[key] = true
		h.explainOne(past, s)
		if printed++; printed == 10 {
			break
		}
	}
}

func (h *thrasher) explainOne(m *mapHistory, s slowRequest) {
	h.t.Helper()
	pg, first := m.place(s, s.From)
	_, last := m.place(s, s.To)
	var cover []span
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(h.spans)) {
		sum := 0.0
		name, how, _ := strings.Cut(what, " ")
		member := slices.Contains(append(slices.Clone(first), last...), name)
		for _, x := range h.spans[what] {
			if p, ok := x.within(s.span); ok {
				sum += p.To - p.From
			}
			if x.To != 0 {
				x.To += aftermath
			}
			if member && how != "out" {
				cover = append(cover, x)
			}
		}
		if member {
			what = "*" + what
		}
		if sum > 0 {
			parts = append(parts, fmt.Sprintf("%s %.1f s", what, sum))
		}
	}
	for _, r := range h.said {
		osd := regexp.MustCompile(`osd\.\d+`).FindString(r.text)
		about := slices.Contains(first, osd) || slices.Contains(last, osd) ||
			strings.Contains(r.text, "pg "+pg+" ") || strings.HasPrefix(r.text, "pg_num") ||
			strings.HasPrefix(r.text, "size")
		if r.at > s.From-aftermath && r.at < s.To && about {
			parts = append(parts, fmt.Sprintf("%+.1f s %s", r.at-s.From, r.text))
		}
	}
	at := time.UnixMicro(int64(s.From * 1e6)).UTC().Format(clockTime)
	h.t.Logf("%.1f s from %s on: %s/%s in pg %s, on %v, then %v: %s; the longest part in which "+
		"none of them was gone: %.1f s", s.To-s.From, at, s.Pool, s.Object, pg, first, last,
		strings.Join(parts, ", "), s.outside(cover))
}

// A mapHistory finds where objects were, with stock tools, from the maps that monitors have kept.
type mapHistory struct {
	h     *thrasher
	dumps map[int]*pastMap
}

// A pastMap is what "osd dump" says of an epoch.
type pastMap struct {
	Epoch    int
	Modified string
	Pools    []struct {
		ID   int    `json:"pool"`
		Name string `json:"pool_name"`
	}
}

// dump is the map of an epoch, 0 for the newest; nil if the monitors have it no more.
func (m *mapHistory) dump(epoch int) *pastMap {
	if d, ok := m.dumps[epoch]; ok {
		return d
	}
	args := []string{"osd", "dump", "-f", "json"}
	if epoch > 0 {
		args = []string{"osd", "dump", strconv.Itoa(epoch), "-f", "json"}
	}
	var d *pastMap
	r, err := m.h.exec("", "ceph", args...)
	if err == nil {
		err = json.Unmarshal([]byte(r.stdout), &d)
	}
	if err != nil || r.code != 0 {
		m.h.t.Logf("ceph %v: %v, exit code %d: %s", args, err, r.code, r.stderr)
		d = nil
	}
	m.dumps[epoch] = d
	return d
}

// at is the map of a time.
func (m *mapHistory) at(t float64) *pastMap {
	newest := m.dump(0)
	if newest == nil {
		return nil
	}
	lo, hi := 1, newest.Epoch
	for lo < hi {
		mid := (lo + hi + 1) / 2
		d := m.dump(mid)
		var made time.Time
		if d != nil {
			made, _ = time.Parse("2006-01-02T15:04:05.999999-0700", d.Modified)
		}
		if d == nil || float64(made.UnixMicro())/1e6 <= t {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return m.dump(lo)
}

// place is the PG of a request's object and the OSDs that it was on; "?" if nobody knows.
func (m *mapHistory) place(s slowRequest, at float64) (pg string, osds []string) {
	d := m.at(at)
	if d == nil {
		m.h.t.Log("no map of that time is left")
		return "?", nil
	}
	path := filepath.Join(m.h.t.TempDir(), "map")
	if _, err := m.h.run("ceph", "osd", "getmap", strconv.Itoa(d.Epoch), "-o", path); err != nil {
		m.h.t.Log(err)
		return "?", nil
	}
	for _, p := range d.Pools {
		if p.Name != s.Pool {
			continue
		}
		out, err := exec.Command("osdmaptool", path, "--test-map-object", s.Object, "--pool",
			strconv.Itoa(p.ID)).CombinedOutput()
		f := regexp.MustCompile(`-> (\S+) -> \[([\d,]*)\]`).FindStringSubmatch(string(out))
		if f == nil {
			m.h.t.Logf("osdmaptool: %v: %s", err, out)
			return "?", nil
		}
		for _, id := range strings.Split(f[2], ",") {
			osds = append(osds, "osd."+id)
		}
		return f[1], osds
	}
	m.h.t.Logf("epoch %d has no pool %s: %+v", d.Epoch, s.Pool, d.Pools)
	return "?", nil
}

// TestOutside: what others cover of a wait, in whatever order and however long they go on.
func TestOutside(t *testing.T) {
	wait := span{100, 130}
	for _, c := range []struct {
		others []span
		want   float64
	}{
		{nil, 30},
		{[]span{{90, 95}, {140, 150}}, 30},
		{[]span{{90, 112}}, 18},
		{[]span{{125, 126}, {105, 110}, {108, 111}}, 14},
		{[]span{{101, 0}}, 1},
		{[]span{{0, 200}}, 0},
	} {
		if got := wait.outside(c.others); got != c.want {
			t.Errorf("outside %v: %v, want %v", c.others, got, c.want)
		}
	}
}
