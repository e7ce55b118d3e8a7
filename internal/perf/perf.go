// Package perf holds a daemon's counters: sets of named values that "perf dump" and "perf schema"
// print in Ceph's shape and that the manager collects. A counter is one atomic word, so the IO
// path may bump it from any goroutine; sets are built at start and never change their rows.
package perf

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Kind says how a counter is read.
type Kind uint8

// The kinds of counters, with the bits that "perf schema" prints.
const (
	Gauge   Kind = 2      // a level
	Counter Kind = 8 | 2  // only grows
	Average Kind = 4 | 1  // a sum of seconds and how many there were
	Bytes   Kind = 16 | 8 // a counter of bytes; never printed with this bit
)

// A Value is one counter.
type Value struct {
	Name, Help string
	Kind       Kind
	n, sum     atomic.Int64 // sum in nanoseconds for Average
}

// Add bumps a counter or a gauge by d.
func (v *Value) Add(d int64) { v.n.Add(d) }

// Set gives a gauge its level.
func (v *Value) Set(n int64) { v.n.Store(n) }

// Load is the count, or the level.
func (v *Value) Load() int64 { return v.n.Load() }

// Observe adds one duration to an average.
func (v *Value) Observe(d time.Duration) {
	v.sum.Add(int64(d))
	v.n.Add(1)
}

// Average is how long what was observed since mark took on average, 0 if nothing was, and the mark
// for the next interval. The zero Mark is the start.
func (v *Value) Average(since Mark) (time.Duration, Mark) {
	now := Mark{v.n.Load(), v.sum.Load()}
	if now.n < since.n { // the counters were reset
		since = Mark{}
	}
	if now.n == since.n {
		return 0, now
	}
	return time.Duration((now.sum - since.sum) / (now.n - since.n)), now
}

// A Mark is a moment in the life of an average.
type Mark struct{ n, sum int64 }

// A Group is the counters of one part of a daemon, such as "osd" or "bluestore".
type Group struct {
	Name       string
	values     []*Value
	histograms []*Histogram
}

// New adds a counter to the group; only during start-up.
func (g *Group) New(kind Kind, name, help string) *Value {
	v := &Value{Name: name, Help: help, Kind: kind}
	g.values = append(g.values, v)
	return v
}

// A Registry is all groups of one daemon.
type Registry struct {
	mu     sync.Mutex
	groups []*Group
}

// Group returns the group of that name, made if it is not there.
func (r *Registry) Group(name string) *Group {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, g := range r.groups {
		if g.Name == name {
			return g
		}
	}
	g := &Group{Name: name}
	r.groups = append(r.groups, g)
	slices.SortFunc(r.groups, func(a, b *Group) int { return strings.Compare(a.Name, b.Name) })
	return g
}

// An Avg is how "perf dump" prints an average; times are seconds.
type Avg struct {
	Count   int64   `json:"avgcount"`
	Sum     float64 `json:"sum"`
	AvgTime float64 `json:"avgtime"`
}

// Dump is the values for "perf dump": group, counter, number or Avg; of one group or counter unless
// the names are empty.
func (r *Registry) Dump(group, counter string) map[string]map[string]any {
	return r.each(group, counter, func(v *Value) any {
		if v.Kind != Average {
			return v.Load()
		}
		a := Avg{Count: v.n.Load(), Sum: time.Duration(v.sum.Load()).Seconds()}
		if a.Count > 0 {
			a.AvgTime = a.Sum / float64(a.Count)
		}
		return a
	})
}

// A Schema is how "perf schema" describes a counter.
type Schema struct {
	Type        Kind   `json:"type"`
	MetricType  string `json:"metric_type"`
	ValueType   string `json:"value_type"`
	Description string `json:"description"`
	Nick        string `json:"nick"`
	Priority    int    `json:"priority"`
	Units       string `json:"units"`
}

// Schema is the descriptions for "perf schema".
func (r *Registry) Schema() map[string]map[string]any {
	return r.each("", "", func(v *Value) any {
		s := Schema{Type: v.Kind, MetricType: "gauge", ValueType: "integer",
			Description: v.Help, Units: "none"}
		switch v.Kind {
		case Counter:
			s.MetricType = "counter"
		case Bytes:
			s.Type, s.MetricType, s.Units = Counter, "counter", "bytes"
		case Average:
			s.ValueType = "real-integer-pair"
		}
		return s
	})
}

// Reset sets the counters of one group, or of all, to nothing; gauges keep their level. It says
// whether there was such a group.
func (r *Registry) Reset(group string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := group == "all"
	for _, g := range r.groups {
		if group != "all" && g.Name != group {
			continue
		}
		found = true
		for _, v := range g.values {
			if v.Kind != Gauge {
				v.n.Store(0)
				v.sum.Store(0)
			}
		}
		for _, h := range g.histograms {
			h.reset()
		}
	}
	return found
}

func (r *Registry) each(group, counter string, f func(*Value) any) map[string]map[string]any {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]map[string]any{}
	for _, g := range r.groups {
		if group != "" && g.Name != group {
			continue
		}
		m := map[string]any{}
		for _, v := range g.values {
			if counter == "" || v.Name == counter {
				m[v.Name] = f(v)
			}
		}
		out[g.Name] = m
	}
	return out
}
