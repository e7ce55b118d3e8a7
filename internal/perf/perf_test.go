package perf

import (
	"encoding/json"
	"testing"
	"time"
)

func TestDump(t *testing.T) {
	var r Registry
	g := r.Group("osd")
	ops := g.New(Counter, "op", "client operations")
	lat := g.New(Average, "op_latency", "latency of client operations")
	ops.Add(2)
	lat.Observe(time.Second)
	lat.Observe(3 * time.Second)
	if r.Group("osd") != g {
		t.Error("a second group under the same name")
	}
	b, err := json.Marshal(r.Dump("", ""))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"osd":{"op":2,"op_latency":{"avgcount":2,"sum":4,"avgtime":2}}}`
	if string(b) != want {
		t.Errorf("dump %s, want %s", b, want)
	}
	s := r.Schema()["osd"]["op"].(Schema)
	if s.MetricType != "counter" || s.Type != 10 || s.Description != "client operations" {
		t.Errorf("schema %+v", s)
	}
}

// TestAverage: an average is over what came since the mark, and a reset does not make it negative.
func TestAverage(t *testing.T) {
	var r Registry
	v := r.Group("osd").New(Average, "lat", "")
	v.Observe(2 * time.Millisecond)
	v.Observe(4 * time.Millisecond)
	var mark Mark
	for i, want := range []time.Duration{3 * time.Millisecond, 0, 10 * time.Millisecond} {
		if i == 2 {
			r.Reset("all")
			v.Observe(10 * time.Millisecond)
		}
		var got time.Duration
		if got, mark = v.Average(mark); got != want {
			t.Errorf("interval %d: %v, want %v", i, got, want)
		}
	}
}
