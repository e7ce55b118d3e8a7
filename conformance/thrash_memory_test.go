package conformance

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A memory is the resident memory of a kind of daemon at a time, in MiB of one of them on average.
type memory struct{ at, mib float64 }

type memories struct{ of map[string][]memory }

// remember notes how much memory the daemons have, OSDs without the garbage that waits to be
// collected. That of each daemon it logs.
func (h *thrasher) remember() {
	sum, number, each := map[string]int{}, map[string]int{}, map[string]int{}
	for _, id := range h.ids {
		if h.words == nil { // Ceph does it with one of its allocators only
			h.ceph("tell", osdName(id), "heap", "release")
		}
	}
	files, _ := filepath.Glob(filepath.Join(h.dir, "run", "*.pid"))
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".pid")
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", h.pid(h.t, name)))
		if err != nil {
			h.t.Errorf("%s does not run", name)
			continue
		}
		pages, _ := strconv.Atoi(strings.Fields(string(b))[1])
		kind, _, _ := strings.Cut(name, ".")
		each[name] = pages * os.Getpagesize() >> 20
		sum[kind] += each[name]
		number[kind]++
	}
	if h.of == nil {
		h.of = map[string][]memory{}
	}
	for kind, n := range sum {
		h.of[kind] = append(h.of[kind], memory{unixNow(), float64(n) / float64(number[kind])})
	}
	h.say("resident MiB: %v, of each: %v", sum, each)
}

// flat fails if memory grew: by more than a quarter and 16 MiB since the first calm, or, with a
// certainty of 99 %, by more than a GiB a day in the second half.
func (h *thrasher) flat() {
	const day, most = 24 * 60 * 60, 1024
	for kind, all := range h.of {
		first, last := all[0].mib, all[len(all)-1].mib
		if last > first*5/4+16 {
			h.t.Errorf("a %s grew from %.0f to %.0f MiB", kind, first, last)
		}
		slope, margin := growth(all[len(all)/2:])
		h.t.Logf("MiB of a %s at each calm: %.0f; in the second half %+.0f ± %.0f a day", kind,
			mibs(all), slope*day, margin*day)
		if (slope-margin)*day > most {
			h.t.Errorf("a %s grows by more than %d MiB a day", kind, most)
		}
	}
}

func mibs(all []memory) (out []float64) {
	for _, m := range all {
		out = append(out, m.mib)
	}
	return out
}

// growth is the slope of the least squares, in MiB a second, and how much less it is at most with a
// certainty of 99 % (Student's t, one side); infinitely less with fewer than three.
func growth(all []memory) (slope, margin float64) {
	quantiles := []float64{31.82, 6.96, 4.54, 3.75, 3.36, 3.14, 3.00, 2.90, 2.82, 2.76}
	n, t, y := float64(len(all)), 0.0, 0.0
	for _, m := range all {
		t += m.at / n
		y += m.mib / n
	}
	xx, xy := 0.0, 0.0
	for _, m := range all {
		xx += (m.at - t) * (m.at - t)
		xy += (m.at - t) * (m.mib - y)
	}
	if len(all) < 3 || xx == 0 {
		return 0, math.Inf(1)
	}
	slope = xy / xx
	rest := 0.0
	for _, m := range all {
		d := m.mib - y - slope*(m.at-t)
		rest += d * d
	}
	q := quantiles[min(len(all)-3, len(quantiles)-1)]
	return slope, q * math.Sqrt(rest/(n-2)/xx)
}

// TestGrowth: noise is no growth, and growth is not taken for noise.
func TestGrowth(t *testing.T) {
	const day = 24 * 60 * 60
	at := func(mib ...float64) (out []memory) {
		for i, m := range mib {
			out = append(out, memory{float64(time.Hour/time.Second) + 210*float64(i), m})
		}
		return out
	}
	for _, c := range []struct {
		mib   []memory
		slope float64 // MiB a day
		grows bool
	}{
		{at(200, 207, 198, 204, 201), -41, false},
		{at(200, 210, 221, 230, 240), 4115, true},
		{at(200, 240, 205, 250, 230), 2880, false}, // not with certainty
		{at(200, 201, 202, 203, 204), 411, false},
		{at(200, 300), 0, false},
	} {
		slope, margin := growth(c.mib)
		if math.Abs(slope*day-c.slope) > 1 || (slope-margin)*day > 1024 != c.grows {
			t.Errorf("%v: %.1f ± %.1f MiB a day, want %.0f", mibs(c.mib), slope*day, margin*day,
				c.slope)
		}
	}
}
