package heartbeat

import (
	"reflect"
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
			h.Heard(1)
		}
		if got := tick(c.wait); !reflect.DeepEqual(got, c.want) {
			t.Errorf("step %d: %v, want %v", i, got, c.want)
		}
	}
	m.Info[1].UpFrom = 9
	if dead = false; !reflect.DeepEqual(tick(0), []int(nil)) || len(h.peers) != 0 {
		t.Error("another incarnation is judged by what was heard of the one before")
	}
}
