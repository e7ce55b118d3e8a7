package sim

import (
	"time"

	"glue/cluster/osdmap"
)

// changePool changes how many PGs there are to be, where they are, how many copies, or how many of
// these there have to be.
func (f *faults) changePool() {
	c, w := f.w.cluster, f.w
	m := c.newestMap()
	if m == nil || m.Pools[c.pool] == nil {
		return
	}
	p := m.Pools[c.pool]
	switch w.rng.IntN(5) {
	case 0:
		c.setPool("pg_num", 1+w.rng.IntN(16))
	case 1:
		c.setPool("pg_num", min(16, 2*int(p.PGNum)))
	case 2:
		c.setPool("pgp_num", 1+w.rng.IntN(int(p.PGNum)))
	case 3:
		size := 2 + w.rng.IntN(min(3, len(c.osds)/c.perHost)-1)
		if c.rotten == nil { // it sets min_size, to 1 for two copies
			c.setPool("size", size)
		}
	default:
		if c.rotten == nil {
			c.setPool("min_size", 1+w.rng.IntN(int(p.Size)))
		}
	}
}

func (c *cluster) setPool(name string, value int) {
	c.operator.do(cmd(`{"prefix":"osd pool set","pool":%q,"var":%q,"val":"%d"}`, poolName, name,
		value), nil)
}

// resizes takes the steps of a manager to the numbers of PGs that the pool is to have, while there
// are faults.
func (c *cluster) resizes() {
	if c.w.over() {
		return
	}
	if m := c.newestMap(); !c.calm && m != nil && m.Pools[c.pool] != nil && c.clean() == "" {
		if name, value := resizeStep(m.Pools[c.pool]); name != "" {
			c.w.result.Resized++
			c.setPool(name, value)
		}
	}
	c.w.after(500*time.Millisecond, c.resizes)
}

// resizeStep is the next setting and its value.
func resizeStep(p *osdmap.Pool) (name string, value int) {
	fewer := int(p.PGNum) - 1
	switch {
	case p.PGNumTarget > p.PGNum:
		return "pg_num_actual", int(p.PGNumTarget)
	case p.PGNumTarget < p.PGNum && int(p.PGPNum) > fewer:
		return "pgp_num_actual", fewer
	case p.PGNumTarget < p.PGNum:
		return "pg_num_actual", fewer
	case p.PGPNumTarget != p.PGPNum:
		return "pgp_num_actual", int(p.PGPNumTarget)
	}
	return "", 0
}
