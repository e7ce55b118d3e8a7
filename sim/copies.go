package sim

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/anishathalye/porcupine"

	"glue/ceph"
	"glue/osd"
	"glue/osd/recovery"
	"glue/sim/loglen"
	"glue/store/storetest"
)

// forget begins with an empty history.
func (h *objects) forget() {
	h.ops, h.lost = map[string][]porcupine.Operation{}, map[string][]lostOp{}
}

// stored is an object as its primary has it.
func (c *cluster) stored(name string) snapState {
	m := c.newestMap()
	raw, err := m.ObjectPG(c.pool, name, "", "")
	if err != nil {
		c.w.fail("%s: %v", name, err)
		return snapState{}
	}
	pg := ceph.SPG{PGID: m.RawToPG(raw), Shard: ceph.NoShard}
	_, _, _, primary := m.PGToUpActing(pg.PGID)
	o := ceph.HObject{Pool: c.pool, Name: name, Hash: raw.Seed, Snap: ceph.NoSnap}
	return c.osds[primary].withSnaps(pg, o)
}

// contents is everything that a store has of an object, as text.
func (o *osdHost) contents(c ceph.SPG, h ceph.HObject) string {
	data, err := o.store.Read(c, h, 0, 0)
	if err != nil {
		return err.Error()
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%q", data)
	attrs, _ := o.store.GetAttrs(c, h)
	for _, k := range slices.Sorted(maps.Keys(attrs)) {
		fmt.Fprintf(&out, "|%s=%x", k, attrs[k])
	}
	header, _ := o.store.OmapHeader(c, h)
	fmt.Fprintf(&out, "|%x", header)
	for p, err := range o.store.OmapScan(c, h, "") {
		if err != nil {
			return err.Error()
		}
		fmt.Fprintf(&out, "|%s:%q", p.Key, p.Value)
	}
	return out.String()
}

// list is what a store has in a PG.
func (o *osdHost) list(c ceph.SPG) []ceph.HObject {
	list, _, err := o.store.List(c, ceph.HObject{}, 1_000_000)
	if err != nil {
		o.w.fail("osd.%d: list %v: %v", o.id, c, err)
	}
	return slices.DeleteFunc(list, recovery.IsTemp)
}

// compareCopies wants all copies to be the same and complete, objects to be where they belong,
// counts, those of space too, to be right, logs to be short, no request to be done twice, and no
// slot to be held.
func (c *cluster) compareCopies() {
	m := c.newestMap()
	for _, o := range c.osds {
		if err := storetest.CheckUsage(o.store); err != nil {
			c.w.fail("osd.%d: %v", o.id, err)
		}
		for _, p := range o.m.PGs() {
			pool := m.Pools[p.ID.Pool]
			if pool == nil {
				continue
			}
			c.checkLog(o, &p)
			if !p.Primary {
				continue
			}
			list, bytes := o.list(p.ID), 0
			for _, h := range list {
				if pool.FoldSeed(h.Hash) != p.ID.Seed {
					c.w.fail("osd.%d: %v is in %v", o.id, h, p.ID)
				}
				want := o.contents(p.ID, h)
				data, _ := o.store.Read(p.ID, h, 0, 0)
				bytes += len(data) + o.shared(p.ID, h)
				for _, other := range p.Acting {
					if got := c.osds[other].contents(p.ID, h); got != want {
						c.w.fail("%v on osd.%d is %s, on osd.%d %s", h, o.id, want, other, got)
					}
				}
			}
			for _, other := range p.Acting {
				if got := c.osds[other].list(p.ID); !slices.Equal(got, list) {
					c.w.fail("%v on osd.%d has %v, on osd.%d %v", p.ID, o.id, list, other, got)
				}
			}
			if int(p.Stats.Objects) != len(list) || int(p.Stats.Bytes) != bytes {
				c.w.fail("osd.%d: %v counts %d objects and %d bytes; it has %d and %d", o.id, p.ID,
					p.Stats.Objects, p.Stats.Bytes, len(list), bytes)
			}
		}
		if own, lent, moving := o.m.Slots(); own+lent+moving > 0 {
			c.w.fail("osd.%d: slots are left over: own %d, lent %d, moving %d", o.id, own, lent,
				moving)
		}
	}
}

// checkLog wants a PG's log to be short, and no request to be in it twice.
func (c *cluster) checkLog(o *osdHost, p *osd.PGCopy) {
	requests := 0
	for _, u := range c.users {
		requests += u.depth
	}
	dups, _ := strconv.Atoi(c.osdConfig["osd_pg_log_dups_tracked"])
	if why := loglen.Check(p, requests, dups); why != "" {
		c.w.fail("osd.%d: the log of %v %s", o.id, p.ID, why)
	}
}
