package perf

import "testing"

// TestHistogram: a value is counted in the bucket whose printed range holds it.
func TestHistogram(t *testing.T) {
	var r Registry
	h := r.Group("osd").NewHistogram("h", "help", Axis{"Latency (usec)", 100000},
		Axis{"Request size (bytes)", 512})
	for _, v := range []int64{-5, 0, 99999, 100000, 199999, 200000, 399999, 400000, 1 << 62} {
		h.Observe(v, v)
	}
	d := r.Histograms("osd", "h")["osd"]["h"].(HistogramDump)
	for axis := range d.Axes {
		want := [buckets]int64{}
		for _, v := range []int64{-5, 0, 99999, 100000, 199999, 200000, 399999, 400000, 1 << 62} {
			for i, r := range d.Axes[axis].Ranges {
				if (r.Min == nil || v >= *r.Min) && (r.Max == nil || v <= *r.Max) {
					want[i]++
				}
			}
		}
		var got [buckets]int64
		for i := range d.Values {
			for j, n := range d.Values[i] {
				if axis == 0 {
					got[i] += n
				} else {
					got[j] += n
				}
			}
		}
		if got != want {
			t.Errorf("axis %d: %v, want %v", axis, got, want)
		}
	}
	if !r.Reset("osd") || r.Reset("nosuch") {
		t.Error("reset of the wrong groups")
	}
	d = r.Histograms("", "")["osd"]["h"].(HistogramDump)
	if d.Values[1][1] != 0 {
		t.Error("still there after the reset")
	}
}
