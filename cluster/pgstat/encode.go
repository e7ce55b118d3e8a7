package pgstat

import (
	"cmp"
	"maps"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
)

// Encode is the map as Ceph's tools take it (version 8 of PGMap): statistics without their sums.
func (p *PGMap) Encode() []byte {
	c := denc.NewEncoder(nil, ceph.FeaturesAll)
	s := c.Begin(8, 8)
	c.U64(&p.Version)
	c.U32Const(uint32(len(p.PGs)))
	for _, id := range slices.SortedFunc(maps.Keys(p.PGs), ceph.PGID.Compare) {
		id.Denc(c)
		p.PGs[id].Denc(c)
	}
	denc.MapFunc(c, &p.OSDs, (*denc.Coder).I32, func(c *denc.Coder, o **OSD) { (*o).Denc(c) })
	p.OSDMapEpoch.Denc(c)
	c.U32Const(0) // last_pg_scan, which nothing uses any more
	p.Stamp.Denc(c)
	c.U32Const(uint32(len(p.PoolStatfs)))
	for _, k := range slices.SortedFunc(maps.Keys(p.PoolStatfs), PoolOSD.compare) {
		f := p.PoolStatfs[k]
		c.I64(&k.Pool)
		c.I32(&k.OSD)
		f.Denc(c)
	}
	s.End()
	return c.Bytes()
}

func (k PoolOSD) compare(o PoolOSD) int {
	return cmp.Or(cmp.Compare(k.Pool, o.Pool), cmp.Compare(k.OSD, o.OSD))
}
