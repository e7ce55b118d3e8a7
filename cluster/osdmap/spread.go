package osdmap

import (
	"fmt"
	"math"
	"slices"

	"glue/ceph"
	"glue/cluster/crush"
	"glue/internal/cephjson"
)

// A Spread says how evenly the copies of PGs lie on the OSDs that are in, and how they would under
// another map (OSDMap::summarize_mapping_stats).
type Spread struct {
	other         bool // there is another map to compare with
	osds          int
	total, moved  int     // copies that should be; moved to another OSD under the other map
	mean          float64 // copies per OSD
	dev, newDev   float64 // standard deviation
	low, high     int32   // OSD with the fewest and the most copies, -1 for none
	before, after map[int32]int
}

// Spread counts the copies of some pools' PGs; nil means all pools. other may be nil.
func (m *Map) Spread(other *Map, pools []int64) Spread {
	s := Spread{other: other != nil, low: -1, high: -1, before: map[int32]int{},
		after: map[int32]int{}}
	for _, id := range m.PoolIDs() {
		if pools != nil && !slices.Contains(pools, id) {
			continue
		}
		p := m.Pools[id]
		s.total += int(p.PGNum) * int(p.Size)
		for seed := range p.PGNum {
			s.addPG(m, other, ceph.PGID{Pool: id, Seed: seed})
		}
	}
	var in []int32
	for _, id := range m.OSDs() {
		if !m.IsIn(id) {
			continue
		}
		in = append(in, id)
		if s.low < 0 || s.before[id] < s.before[s.low] {
			s.low = id
		}
		if s.high < 0 || s.before[id] > s.before[s.high] {
			s.high = id
		}
	}
	if s.osds = len(in); s.osds > 0 {
		s.mean = float64(s.total) / float64(s.osds)
		s.dev, s.newDev = deviation(in, s.before, s.mean), deviation(in, s.after, s.mean)
	}
	return s
}

func (s *Spread) addPG(m, other *Map, pg ceph.PGID) {
	up := m.PGMapping(pg).Up
	var then []int32
	if other != nil {
		then = other.PGMapping(pg).Up
	}
	for _, id := range then {
		s.after[id]++
	}
	for _, id := range up {
		if id == crush.None {
			continue
		}
		s.before[id]++
		if other != nil && !slices.Contains(then, id) {
			s.moved++
		}
	}
}

func deviation(osds []int32, count map[int32]int, mean float64) float64 {
	sum := 0.0
	for _, id := range osds {
		d := float64(count[id]) - mean
		sum += d * d
	}
	return float64(float32(math.Sqrt(sum / float64(len(osds))))) // stock has single precision here
}

// baseline is the deviation that chance alone would make.
func (s *Spread) baseline() float64 {
	if s.osds == 0 {
		return 0
	}
	n := float64(s.osds)
	return float64(float32(math.Sqrt(float64(s.total) * (1 / n) * (1 - 1/n))))
}

// Dump is the spread as a JSON object.
func (s *Spread) Dump() cephjson.Object {
	var o cephjson.Object
	add := func(onlyOther bool, key string, v any) {
		if s.other || !onlyOther {
			o = append(o, cephjson.Member{Key: key, Value: v})
		}
	}
	add(true, "moved_pgs", s.moved)
	add(true, "total_pgs", s.total)
	add(false, "avg_pgs", cephjson.Float(s.mean))
	add(false, "std_dev", cephjson.Float(s.dev))
	add(false, "expected_baseline_std_dev", cephjson.Float(s.baseline()))
	add(true, "new_std_dev", cephjson.Float(s.newDev))
	add(false, "min_osd", s.low)
	add(false, "min_osd_pgs", s.before[s.low])
	add(true, "new_min_osd_pgs", s.after[s.low])
	add(false, "max_osd", s.high)
	add(false, "max_osd_pgs", s.before[s.high])
	add(true, "new_max_osd_pgs", s.after[s.high])
	return o
}

// Text is the spread in lines.
func (s *Spread) Text() string {
	out, mean := "", s.mean
	if s.other {
		share := 0.0
		if s.total > 0 {
			share = float64(s.moved) / float64(s.total) * 100
		}
		out = fmt.Sprintf("moved %d / %d (%s%%)\n", s.moved, s.total, plain(share))
	}
	out += fmt.Sprintf("avg %s\nstddev %s", plain(mean), plain(s.dev))
	if s.other {
		out += " -> " + plain(s.newDev)
	}
	out += fmt.Sprintf(" (expected baseline %s)\n", plain(s.baseline()))
	if mean == 0 {
		mean = 1
	}
	return out + s.end("min", s.low, mean) + s.end("max", s.high, mean)
}

// end is the line about the OSD with the fewest or the most copies.
func (s *Spread) end(word string, id int32, mean float64) string {
	if id < 0 {
		return ""
	}
	was, is := s.before[id], s.after[id]
	if !s.other {
		return fmt.Sprintf("%s osd.%d with %d pgs (%s * mean)\n", word, id, was,
			plain(float64(was)/mean))
	}
	return fmt.Sprintf("%s osd.%d with %d -> %d pgs (%s -> %s * mean)\n", word, id, was, is,
		plain(float64(was)/mean), plain(float64(is)/mean))
}

// With is the map with other weights of some OSDs; it is for comparing, not for publishing.
func (m *Map) With(weights map[int32]uint32) (*Map, error) {
	inc := NewIncremental(m, m.Modified)
	inc.NewWeight = weights
	then, _, err := m.Commit(inc)
	return then, err
}
