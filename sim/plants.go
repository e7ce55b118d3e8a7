package sim

import (
	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/sim/plant"
	"glue/wire/message"
)

// A Bug is what a run is made to do wrong.
type Bug = plant.Bug

// plant puts the bug of the run in its place.
func (c *cluster) plant(bug Bug) {
	if x, ok := plant.Snaps[bug]; ok {
		c.plantSnaps(x)
		return
	}
	c.hasty, c.spoil = plant.Hasties[bug], plant.Spoilers[bug]
	if c.maps.warp = plant.Warps[bug]; c.maps.warp != nil {
		c.maps.honest = map[ceph.Epoch]*osdmap.Map{}
	}
	if bug == plant.BackfillFar {
		c.tamper = farBackfill
	}
	f := plant.Tampers[bug]
	if f == nil {
		return
	}
	n := 0
	c.tamper = func(_, _ *osdHost, b message.Body) bool {
		n++
		return f(b, n)
	}
}

// plantSnaps puts such a bug in its place.
func (c *cluster) plantSnaps(x plant.Snap) {
	c.spoil, c.maps.warp = x.Spoil, x.Warp
	if x.Warp != nil {
		c.maps.honest = map[ceph.Epoch]*osdmap.Map{}
	}
	if x.Tamper != nil {
		c.tamper = func(_, _ *osdHost, b message.Body) bool {
			x.Tamper(b)
			return false
		}
	}
}
