package sim

import (
	"time"

	"glue/ceph"
	"glue/cluster/pgstat"
)

// auditEvery is how often PGs that serve are looked at.
const auditEvery = 3 * time.Second

// A thinPG is a PG that serves with too few copies, as its primary sees it.
type thinPG struct {
	osd int32
	pg  ceph.PGID
}

// audit wants PGs not to serve with fewer copies than min_size says. One that has just heard of
// another map gets time to see it.
func (c *cluster) audit() {
	if c.w.over() {
		return
	}
	thin := map[thinPG]ceph.Epoch{}
	for _, o := range c.osds {
		if o.m == nil || o.stopped > c.w.now || o.m.OSDMap() == nil {
			continue
		}
		m := c.maps.seenBy(o.m.OSDMap())
		for _, p := range o.m.PGs() {
			pool := m.Pools[p.ID.Pool]
			if !p.Primary || pool == nil || !p.State.Has(pgstat.Active) ||
				len(p.Acting) >= int(pool.MinSize) {
				continue
			}
			k := thinPG{o.id, p.ID.PGID}
			if thin[k] = m.Epoch; c.thin[k] == m.Epoch {
				c.w.fail("osd.%d: %v is %v with acting %v, min_size is %d", o.id, p.ID, p.State,
					p.Acting, pool.MinSize)
			}
		}
	}
	c.thin = thin
	c.w.after(auditEvery, c.audit)
}
