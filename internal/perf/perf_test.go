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
