package imageperf

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"glue/cluster/imagestat"
)

type report = map[imagestat.Key]*imagestat.Counters

type answer struct {
	Timestamp float64
	Pools     map[string]string      `json:"pool_descriptors"`
	Stats     []map[string][]float64 `json:"stats"`
	Counters  []map[string][]float64 `json:"counters"`
}

var pools = map[int64]string{1: "rbd", 2: "other"}

func ask(t *testing.T, w *Watch, now time.Time, scope string, counters bool) answer {
	t.Helper()
	s, err := ParseScope(scope)
	if err != nil {
		t.Fatal(err)
	}
	text := w.Ask(now, s, pools, imagestat.WriteOps, counters)
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestRates(t *testing.T) {
	var w Watch
	now := time.Unix(1e9, 0)
	x, y := imagestat.Key{Pool: 1, Image: "x"}, imagestat.Key{Pool: 1, Namespace: "n", Image: "y"}
	w.Take(report{x: {9, 9, 9, 9, 9, 9}})
	if a := ask(t, &w, now, "", false); len(a.Stats) != 0 || w.pending != nil {
		t.Fatalf("nobody had asked: %+v", a)
	}
	ask(t, &w, now, "rbd", false)
	step := func() []Place {
		w.Take(report{x: {10, 0, 100, 0, 500, 0}, y: {20, 5, 0, 0, 0, 0}})
		w.Take(report{{Pool: 9, Image: "z"}: {1}})
		w.Take(report{x: {10, 0, 100, 0, 500, 0}})
		p := w.Step(now, pools)
		now = now.Add(10 * time.Second)
		return p
	}
	if p := step(); fmt.Sprint(p) != "[{1 } {1 n}]" {
		t.Errorf("places without names: %v", p)
	}
	if a := ask(t, &w, now, "", false); len(a.Stats) != 0 {
		t.Errorf("images without names, and without a rate yet: %+v", a)
	}
	w.Named(now, Place{1, ""}, map[string]string{"x": "one"})
	w.Named(now, Place{1, "n"}, map[string]string{"y": "two"})
	if p := step(); len(p) != 0 {
		t.Errorf("names are known: %v", p)
	}
	a := ask(t, &w, now, "", false)
	if fmt.Sprint(a.Pools, a.Stats) != "map[0:rbd 1:rbd/n] [map[0/one:[2 0 20 0 50 0]] "+
		"map[1/two:[2 0.5 0 0 0 0]]]" {
		t.Errorf("rates %+v", a)
	}
	a = ask(t, &w, now, "rbd", true)
	if fmt.Sprint(a.Pools, a.Counters) != "map[0:rbd] [map[0/one:[40 0 400 0 2000 0]]]" {
		t.Errorf("counters %+v", a)
	}
	w.Step(now, pools) // nothing came
	if a := ask(t, &w, now, "rbd", false); len(a.Stats) != 0 {
		t.Errorf("idle: %+v", a)
	}
	w.Named(now, Place{1, ""}, nil)
	if a := ask(t, &w, now, "rbd", true); len(a.Counters) != 0 {
		t.Errorf("the image was removed: %+v", a)
	}
	w.Step(now.Add(2*time.Minute), pools)
	if w.Active() {
		t.Error("nobody asks any more")
	}
}

func TestScope(t *testing.T) {
	for text, want := range map[string]Scope{"": {All: true}, "p": {Pool: "p"},
		"p/n": {Pool: "p", Namespace: "n"}} {
		if got, err := ParseScope(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"/", "p/", "p/n/x"} {
		if _, err := ParseScope(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
