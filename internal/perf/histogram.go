package perf

import (
	"math/bits"
	"sync/atomic"
)

const buckets = 32

// An Axis is one dimension of a histogram: bucket 1 holds values from 0 to Quant-1, and each one
// after it is twice as wide. Bucket 0 is for negative values, the last one has no end.
type Axis struct {
	Name  string
	Quant int64
}

func (a *Axis) bucket(v int64) int {
	if v < 0 {
		return 0
	}
	return min(1+bits.Len64(uint64(v/a.Quant)), buckets-1)
}

// A Histogram counts values in two dimensions. Any goroutine may call Observe.
type Histogram struct {
	Name, Help string
	X, Y       Axis
	counts     [buckets][buckets]atomic.Int64
}

// Observe counts one pair of values.
func (h *Histogram) Observe(x, y int64) { h.counts[h.X.bucket(x)][h.Y.bucket(y)].Add(1) }

// NewHistogram adds a histogram to the group; only during start-up.
func (g *Group) NewHistogram(name, help string, x, y Axis) *Histogram {
	h := &Histogram{Name: name, Help: help, X: x, Y: y}
	g.histograms = append(g.histograms, h)
	return h
}

type rangeDump struct {
	Min *int64 `json:"min,omitempty"`
	Max *int64 `json:"max,omitempty"`
}

type axisDump struct {
	Name    string      `json:"name"`
	Min     int64       `json:"min"`
	Quant   int64       `json:"quant_size"`
	Buckets int         `json:"buckets"`
	Scale   string      `json:"scale_type"`
	Ranges  []rangeDump `json:"ranges"`
}

func (a *Axis) dump() axisDump {
	out := axisDump{Name: a.Name, Quant: a.Quant, Buckets: buckets, Scale: "log2"}
	below := int64(-1)
	out.Ranges = append(out.Ranges, rangeDump{Max: &below})
	from, to := int64(0), a.Quant
	for i := 1; i < buckets; i++ {
		lo, hi := from, to-1
		r := rangeDump{Min: &lo, Max: &hi}
		if i == buckets-1 {
			r.Max = nil
		}
		out.Ranges = append(out.Ranges, r)
		from, to = to, 2*to
	}
	return out
}

// A HistogramDump is how "perf histogram dump" prints a histogram.
type HistogramDump struct {
	Axes   []axisDump       `json:"axes"`
	Values [buckets][]int64 `json:"values"`
}

func (h *Histogram) dump() HistogramDump {
	d := HistogramDump{Axes: []axisDump{h.X.dump(), h.Y.dump()}}
	for i := range h.counts {
		for j := range h.counts[i] {
			d.Values[i] = append(d.Values[i], h.counts[i][j].Load())
		}
	}
	return d
}

func (h *Histogram) reset() {
	for i := range h.counts {
		for j := range h.counts[i] {
			h.counts[i][j].Store(0)
		}
	}
}

// Histograms is the values for "perf histogram dump"; of one group or histogram unless the names
// are empty.
func (r *Registry) Histograms(group, name string) map[string]map[string]any {
	return r.eachHistogram(group, name, func(h *Histogram) any { return h.dump() })
}

// HistogramSchema is the descriptions for "perf histogram schema".
func (r *Registry) HistogramSchema() map[string]map[string]any {
	return r.eachHistogram("", "", func(h *Histogram) any {
		return Schema{Type: 16 | 8 | 2, MetricType: "counter", ValueType: "integer-2d-histogram",
			Description: h.Help, Priority: 5, Units: "none"}
	})
}

func (r *Registry) eachHistogram(
	group, name string, f func(*Histogram) any,
) map[string]map[string]any {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]map[string]any{}
	for _, g := range r.groups {
		if group != "" && g.Name != group {
			continue
		}
		m := map[string]any{}
		for _, h := range g.histograms {
			if name == "" || h.Name == name {
				m[h.Name] = f(h)
			}
		}
		out[g.Name] = m
	}
	return out
}
