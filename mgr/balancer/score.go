package balancer

import (
	"maps"
	"math"
	"slices"
	"time"

	"glue/ceph"
	"glue/cluster/crush"
	"glue/cluster/osdmap"
)

// Load is what a PG holds: objects and bytes of one copy.
type Load func(pg ceph.PGID) (objects, bytes int64)

// A Stat is how evenly one thing lies on the OSDs of a root.
type Stat struct {
	Max, Min, Avg, StdDev, SumWeight, Score float64
}

// A RootScore is how evenly PGs, objects and bytes lie on the OSDs of a root.
type RootScore struct {
	Root   string
	Target map[int32]float64
	Count  [3]map[int32]float64 // PGs, objects and bytes by OSD
	Total  [3]float64
	Stats  [3]Stat
}

// Metrics are the names of what is counted.
var Metrics = [3]string{"pgs", "objects", "bytes"}

// A Score is how evenly pools lie on OSDs: 0 is even, less than 1 always.
type Score struct {
	Pools []int64
	Roots []RootScore
	Value float64
}

// Eval scores a map; the pools of nil are all.
func Eval(m *osdmap.Map, pools []int64, load Load) Score {
	s := Score{Pools: pools}
	if pools == nil {
		s.Pools = m.PoolIDs()
	}
	for _, id := range s.Pools {
		p := m.Pools[id]
		share := shares(m, p)
		if len(share) == 0 {
			continue
		}
		r := s.root(rootName(m, p), share)
		for seed := range p.PGNum {
			pg := ceph.PGID{Pool: id, Seed: seed}
			objects, bytes := load(pg)
			for _, osd := range m.PGMapping(pg).Up {
				if osd == crush.None {
					continue
				}
				for i, n := range [3]float64{1, float64(objects), float64(bytes)} {
					r.Count[i][osd] += n
					r.Total[i] += n
				}
			}
		}
	}
	for i := range s.Roots {
		r := &s.Roots[i]
		for k := range Metrics {
			r.Stats[k] = statOf(r.Count[k], r.Target, r.Total[k])
			s.Value += r.Stats[k].Score / float64(len(Metrics)*len(s.Roots))
		}
	}
	return s
}

// root finds a root's score, or begins it.
func (s *Score) root(name string, share map[int32]float64) *RootScore {
	i := slices.IndexFunc(s.Roots, func(r RootScore) bool { return r.Root == name })
	if i >= 0 {
		return &s.Roots[i]
	}
	r := RootScore{Root: name, Target: share}
	for k := range r.Count {
		r.Count[k] = map[int32]float64{}
		for osd := range share {
			r.Count[k][osd] = 0
		}
	}
	s.Roots = append(s.Roots, r)
	return &s.Roots[len(s.Roots)-1]
}

func rootName(m *osdmap.Map, p *osdmap.Pool) string {
	rule := m.Crush.FindRule(int(p.CrushRule), int(p.Type), int(p.Size))
	for _, id := range m.Crush.Takes(rule) {
		return m.Crush.Names[id]
	}
	return ""
}

// statOf scores one thing: by how much the OSDs that have too much have too much, as a share of
// the normal distribution, weighted by what they are to have (calc_stats of Ceph's balancer).
func statOf(count, target map[int32]float64, total float64) Stat {
	if total == 0 {
		return Stat{}
	}
	n := float64(max(len(target), 1))
	s := Stat{Min: math.Inf(1), Avg: total / n}
	dev := 0.0
	for _, osd := range slices.Sorted(maps.Keys(count)) {
		adjusted := 0.0
		if t := target[osd]; t > 0 {
			adjusted = count[osd] / t / n
		}
		if adjusted > s.Avg {
			s.Score += target[osd] * math.Erf((adjusted-s.Avg)/s.Avg/math.Sqrt2)
			s.SumWeight += target[osd]
		}
		dev += (s.Avg - adjusted) * (s.Avg - adjusted)
		s.Max, s.Min = max(s.Max, count[osd]), min(s.Min, count[osd])
	}
	s.StdDev = math.Sqrt(dev / max(n-1, 1))
	s.Score /= max(s.SumWeight, 1)
	return s
}

// A Window is when the balancer may work: times of day as HHMM, days from 0, a Sunday.
type Window struct {
	BeginTime, EndTime string
	BeginDay, EndDay   int64
}

// Open says whether t is within. An end before the beginning is of the next day, or week; equal
// days, and an end of 7, are all days.
func (w Window) Open(t time.Time) bool {
	within := func(x, begin, end int64) bool {
		if begin < end {
			return begin <= x && x < end
		}
		return x >= begin || x < end
	}
	clock := func(text string) int64 {
		n := int64(0)
		for _, c := range text {
			if c < '0' || c > '9' {
				return 0
			}
			n = n*10 + int64(c-'0')
		}
		return n
	}
	day := int64(t.Weekday())
	if w.BeginDay != w.EndDay && !within(day, w.BeginDay, w.EndDay) {
		return false
	}
	begin, end := clock(w.BeginTime), clock(w.EndTime)
	return begin == end || within(int64(t.Hour()*100+t.Minute()), begin, end)
}
