package optrack

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A Slow sums up the requests of a daemon that have been under way for too long.
type Slow struct {
	N      int
	Oldest time.Duration
	stages map[string]int // by the last stage
	pools  map[int64]int
}

// Add counts one.
func (s *Slow) Add(age time.Duration, pool int64, history []Mark) {
	if s.N++; s.stages == nil {
		s.stages, s.pools = map[string]int{}, map[int64]int{}
	}
	s.Oldest = max(s.Oldest, age)
	s.pools[pool]++
	if len(history) > 0 {
		s.stages[history[len(history)-1].Stage.Awaits().String()]++
	}
}

// Text is the line for the cluster log.
func (s *Slow) Text(poolName func(int64) string) string {
	var kinds []string
	for _, k := range slices.Sorted(maps.Keys(s.stages)) {
		kinds = append(kinds, fmt.Sprintf("'%s' : %d", k, s.stages[k]))
	}
	most, n := int64(-1), 0
	for _, id := range slices.Sorted(maps.Keys(s.pools)) {
		if s.pools[id] > n {
			most, n = id, s.pools[id]
		}
	}
	return fmt.Sprintf("%d slow requests (by type [ %s ] most affected pool [ '%s' : %d ])", s.N,
		strings.Join(kinds, " "), poolName(most), n)
}
