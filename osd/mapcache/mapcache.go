// Package mapcache keeps the newest of an OSD's maps in memory, decoded, with the increments that
// made them, for sharing. Any goroutine may use a cache.
package mapcache

import (
	"maps"
	"slices"
	"sync"

	"glue/ceph"
	"glue/cluster/osdmap"
)

// Size is how many maps stay.
const Size = 64

// A Cache gives the maps of past epochs; its zero value is empty.
type Cache struct {
	mu   sync.Mutex
	maps map[ceph.Epoch]*osdmap.Map
	incs map[ceph.Epoch][]byte // encoded
}

// Add keeps a map and its increment, which may be nil, and forgets the oldest if there are too
// many.
func (c *Cache) Add(m *osdmap.Map, inc []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.maps == nil {
		c.maps, c.incs = map[ceph.Epoch]*osdmap.Map{}, map[ceph.Epoch][]byte{}
	}
	c.maps[m.Epoch] = m
	if inc != nil {
		c.incs[m.Epoch] = inc
	}
	for len(c.maps) > Size {
		oldest := slices.Min(slices.Collect(maps.Keys(c.maps)))
		delete(c.maps, oldest)
		delete(c.incs, oldest)
	}
}

// Map is the map of an epoch, nil if it is not here.
func (c *Cache) Map(e ceph.Epoch) *osdmap.Map {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.maps[e]
}

// Increment is the encoded increment of an epoch, nil if it is not here.
func (c *Cache) Increment(e ceph.Epoch) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.incs[e]
}
