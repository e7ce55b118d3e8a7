package mapcache_test

import (
	"testing"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/osd/mapcache"
)

// TestCache: the newest maps stay, whatever their order, and increments go with their maps.
func TestCache(t *testing.T) {
	var c mapcache.Cache
	if c.Map(1) != nil || c.Increment(1) != nil {
		t.Error("an empty cache has something")
	}
	const last = mapcache.Size + 10
	for e := ceph.Epoch(last); e > 0; e-- {
		c.Add(&osdmap.Map{Epoch: e}, []byte{byte(e)})
	}
	for e := ceph.Epoch(1); e <= last; e++ {
		m, inc := c.Map(e), c.Increment(e)
		if kept := e > last-mapcache.Size; (m != nil) != kept || (inc != nil) != kept ||
			kept && (m.Epoch != e || inc[0] != byte(e)) {
			t.Errorf("epoch %d: %v, %v", e, m, inc)
		}
	}
	c.Add(&osdmap.Map{Epoch: last}, nil)
	if c.Increment(last) == nil {
		t.Error("an increment is forgotten before its map")
	}
}
