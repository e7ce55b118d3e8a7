package heartbeat

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"glue/cluster/osdmap"
)

func cluster(n int32) *osdmap.Map {
	m := osdmap.Empty()
	m.MaxOSD = n
	for range n {
		m.State = append(m.State, osdmap.OSDExists|osdmap.OSDUp)
		m.Info = append(m.Info, osdmap.OSDInfo{UpFrom: 3})
	}
	return m
}

func TestRingIsBounded(t *testing.T) {
	m := cluster(100)
	in := map[int32]int{}
	for o := range int32(100) {
		ring := Ring(m, o)
		if len(ring) != most {
			t.Fatalf("osd.%d pings %d", o, len(ring))
		}
		for _, p := range ring {
			in[p]++
		}
	}
	for o := range int32(100) {
		if in[o] < most/2 {
			t.Errorf("osd.%d is pinged by %d only", o, in[o])
		}
	}
	if got := Ring(cluster(3), 1); !reflect.DeepEqual(got, []int32{0, 2}) {
		t.Errorf("of three: %v", got)
	}
}

// TestReports: a peer that falls silent is reported after the grace and again later, taken back
// when it answers, and one that refuses connections is reported at once.
func TestReports(t *testing.T) {
	m, h := cluster(2), Peers{}
	r := Rules{Interval: time.Second, Grace: 3 * time.Second, Again: 2 * time.Second}
	at, dead := time.Unix(100, 0), false
	tick := func(wait time.Duration) (what []int) {
		at = at.Add(wait)
		tasks, _ := h.Tick(m, 0, at, r, func(int32) bool { return dead })
		for _, x := range tasks {
			what = append(what, x.What)
		}
		return what
	}
	for i, c := range []struct {
		wait  time.Duration
		heard bool
		dead  bool
		want  []int
	}{
		{0, false, false, []int{Ping}},
		{time.Second, true, false, []int{Ping}},
		{500 * time.Millisecond, false, false, nil},
		{3 * time.Second, false, false, []int{Ping, Silent}},
		{time.Second, false, false, []int{Ping}},
		{time.Second, false, false, []int{Ping, Silent}},
		{time.Second, true, false, []int{Ping, Alive}},
		{time.Second, true, true, []int{Ping, Refused}},
	} {
		if dead = c.dead; c.heard {
			h.Heard(1, Back, at)
			h.Heard(1, Front, at)
		}
		if got := tick(c.wait); !reflect.DeepEqual(got, c.want) {
			t.Errorf("step %d: %v, want %v", i, got, c.want)
		}
	}
	m.Info[1].UpFrom = 9
	if dead = false; !reflect.DeepEqual(tick(0), []int{Gone}) || len(h.peers) != 0 {
		t.Error("another incarnation is judged by what was heard of the one before")
	}
}

// pinged ticks a pair of OSDs every second, with answers over each network as late as said, none
// for a negative time.
func pinged(h *Peers, seconds int, late [Nets]time.Duration) (reports []Task) {
	m, r := cluster(2), Rules{Interval: time.Second, Grace: 5 * time.Second, Again: time.Hour}
	at := time.Unix(1000, 0)
	for range seconds {
		at = at.Add(time.Second)
		for n := range Nets {
			if late[n] >= 0 {
				h.Heard(1, n, at.Add(-late[n]))
			}
		}
		tasks, _ := h.Tick(m, 0, at, r, func(int32) bool { return false })
		for _, x := range tasks {
			if x.What != Ping {
				reports = append(reports, x)
			}
		}
	}
	return reports
}

// TestWorseOfBoth: a peer is judged by the network that is worse, and by when it answers, not by
// whether anything comes.
func TestWorseOfBoth(t *testing.T) {
	const never, soon, slow = -1, time.Second, 8 * time.Second
	for _, c := range []struct {
		late [Nets]time.Duration
		over Net
		well bool
	}{
		{[Nets]time.Duration{soon, soon}, 0, true},
		{[Nets]time.Duration{never, soon}, Back, false},
		{[Nets]time.Duration{soon, never}, Front, false},
		{[Nets]time.Duration{never, never}, Nets, false},
		{[Nets]time.Duration{soon, slow}, Front, false},
		{[Nets]time.Duration{slow, soon}, Back, false},
	} {
		var h Peers
		got := pinged(&h, 20, c.late)
		if c.well != (len(got) == 0) || !c.well && (got[0].What != Silent ||
			got[0].Over != c.over || got[0].Age < 5*time.Second) {
			t.Errorf("%v: %+v", c.late, got)
		}
		want := 0
		if c.well {
			want = 1
		}
		if n, all := h.Healthy(time.Unix(1020, 0), 5*time.Second); n != want || all != 1 {
			t.Errorf("%v: %d of %d are healthy", c.late, n, all)
		}
	}
	var h Peers
	pinged(&h, 1, [Nets]time.Duration{never, never})
	if n, _ := h.Healthy(time.Unix(1001, 0), time.Hour); n != 0 {
		t.Error("a peer that has never been heard is healthy")
	}
}

// TestOwnSleep: who did not run for long has not heard of others, which says nothing about them.
func TestOwnSleep(t *testing.T) {
	m, h, at := cluster(2), Peers{}, time.Unix(100, 0)
	r := Rules{Interval: time.Second, Grace: 3 * time.Second, Again: time.Second}
	silent := func(after time.Duration) bool {
		at = at.Add(after)
		tasks, _ := h.Tick(m, 0, at, r, func(int32) bool { return false })
		return slices.ContainsFunc(tasks, func(x Task) bool { return x.What == Silent })
	}
	silent(0)
	if silent(time.Minute) {
		t.Error("a peer is reported for the minute in which this process was stopped")
	}
	if silent(2*time.Second) || !silent(2*time.Second) {
		t.Error("a silent peer is not reported one grace after this process woke")
	}
}

// TestWatch: what is busy and makes no progress hangs, what is idle or slow does not, and neither
// does anything in a process that did not run.
func TestWatch(t *testing.T) {
	at := time.Unix(100, 0)
	run := func(ticks int, every time.Duration, mark func(i int) Mark) time.Duration {
		var w Watch
		var stuck time.Duration
		for i := range ticks {
			at = at.Add(every)
			_, stuck = w.Look(at, []Mark{mark(i), {}})
		}
		return stuck
	}
	const tick = 250 * time.Millisecond
	hangs := func(int) Mark { return Mark{true, 7} }
	for _, c := range []struct {
		name     string
		ticks    int
		every    time.Duration
		mark     func(i int) Mark
		from, to time.Duration
	}{
		{"hangs", 400, tick, hangs, 99 * time.Second, 100 * time.Second},
		{"idle", 400, tick, func(int) Mark { return Mark{false, 7} }, 0, 0},
		{"works", 400, tick, func(i int) Mark { return Mark{true, uint64(i)} }, 0, 0},
		{"slow", 400, tick, func(i int) Mark { return Mark{true, uint64(i / 40)} }, 0,
			10 * time.Second},
		{"stopped for long twice", 3, 10 * time.Minute, hangs, 0, 2 * time.Second},
		{"clock goes back", 10, -time.Hour, hangs, 0, 0},
	} {
		if got := run(c.ticks, c.every, c.mark); got < c.from || got > c.to {
			t.Errorf("%s: stuck for %v", c.name, got)
		}
	}
}

// TestMarkdowns: only those of the last period count.
func TestMarkdowns(t *testing.T) {
	var m Markdowns
	at := time.Unix(100, 0)
	for i, c := range []struct {
		after time.Duration
		n     int
		many  bool
	}{{0, 1, false}, {time.Minute, 2, false}, {time.Minute, 3, true},
		{9*time.Minute + time.Second, 2, false}, {time.Second, 3, true}} {
		at = at.Add(c.after)
		if n, many := m.Add(at, 2, 10*time.Minute); n != c.n || many != c.many {
			t.Errorf("%d: %d, %v", i, n, many)
		}
	}
}
