package sim

import (
	"bytes"
	"slices"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/osd/ops"
	"glue/osd/snaps"
	"glue/store/objectstore"
)

// kept is what an object is at a snapshot, or now, as a store has it.
func (o *osdHost) kept(pg ceph.SPG, h ceph.HObject, set *snaps.Set, at ceph.SnapID) objState {
	if at > 0 {
		id, ok := snaps.Find(set, at)
		if !ok {
			return objState{}
		}
		h.Snap = id
	}
	if st, err := ops.LoadState(o.store, pg, h); err != nil || !st.Visible() {
		return objState{}
	}
	data, err := o.store.Read(pg, h, 0, 0)
	if err != nil {
		return objState{}
	}
	attrs, _ := o.store.GetAttrs(pg, h)
	omap, _ := o.store.OmapGet(pg, h, []string{omapKey(0), omapKey(1), omapKey(2)})
	return stateOf(data, attrs["_a"], omap)
}

// withSnaps is an object now and at all snapshots that there are.
func (o *osdHost) withSnaps(pg ceph.SPG, h ceph.HObject) snapState {
	st, err := ops.LoadState(o.store, pg, h)
	if err != nil {
		o.w.fail("osd.%d: %v: %v", o.id, h, err)
		return snapState{}
	}
	set := st.Info.Snaps
	s := snapState{objState: o.kept(pg, h, set, 0), seq: snaps.Seq(set)}
	if o.c.snaps == nil {
		return s
	}
	if o.c.snaps.ofPool {
		s.seq = o.c.snaps.taken(s.seq)
	}
	for _, id := range slices.Backward(o.c.snaps.context.Snaps) {
		if id > s.seq {
			continue
		}
		if was := o.kept(pg, h, set, id); was.exists {
			s.at = append(s.at, keptState{id, was})
		}
	}
	return s
}

// shared is how many bytes less than their sizes the clones of an object stand for, negative.
func (o *osdHost) shared(pg ceph.SPG, h ceph.HObject) int {
	sum := 0
	if st, err := ops.LoadState(o.store, pg, h); h.Snap == ceph.NoSnap && err == nil {
		if set := st.Info.Snaps; set != nil {
			for i := range set.Clones {
				sum += int(snaps.Bytes(&set.Clones[i])) - int(set.Clones[i].Size)
			}
		}
	}
	return sum
}

// checkSnaps wants every clone to be one that its head knows, as large as that says and the same
// where that says so; what was removed to have no clone and to be off the map.
func (c *cluster) checkSnaps() {
	if c.snaps == nil {
		return
	}
	m := c.newestMap()
	trimmed := c.w.now-max(c.cleanAt, c.snaps.removed) >= trimsWithin
	for _, o := range c.osds {
		for _, p := range o.m.PGs() {
			if p.Primary && m.Pools[p.ID.Pool] != nil {
				c.checkFamilies(o, p.ID)
			}
			for _, id := range c.snaps.gone {
				list, _ := o.store.Tagged(p.ID, uint64(id), ceph.HObject{}, 9)
				if trimmed && len(list) > 0 {
					c.w.fail("osd.%d: %v stand for snapshot %d, which was removed", o.id, list, id)
				}
			}
		}
	}
	for _, id := range c.snaps.gone {
		told := c.w.now-c.snaps.trims >= trimsWithin
		queued := osdmap.ContainsSnap(m.RemovedSnapsQueue[c.pool], id)
		if trimmed && told && queued && !c.snaps.known(id) {
			c.w.fail("snapshot %d was removed and is still in the map's queue\n%s", id, c.status())
		}
	}
}

func (c *cluster) checkFamilies(o *osdHost, pg ceph.SPG) {
	var clones []ceph.HObject
	for _, h := range o.list(pg) {
		if clones = append(clones, h); h.Snap == ceph.NoSnap {
			c.checkFamily(o, pg, clones)
			clones = nil
		}
	}
	if len(clones) > 0 {
		c.w.fail("osd.%d: %v have no head", o.id, clones)
	}
}

// checkFamily looks at clones of one object and the head, which comes last.
func (c *cluster) checkFamily(o *osdHost, pg ceph.SPG, family []ceph.HObject) {
	head := family[len(family)-1]
	st, err := ops.LoadState(o.store, pg, head)
	set := st.Info.Snaps
	if set == nil {
		set = &snaps.Set{}
	}
	if err != nil || len(family) != len(set.Clones)+1 ||
		st.Info.IsWhiteout() && len(set.Clones) == 0 {
		c.w.fail("osd.%d: there are %v, the head knows %+v, %v", o.id, family, set, err)
		return
	}
	for i := range set.Clones {
		n, h := &set.Clones[i], family[i]
		data, _ := o.store.Read(pg, h, 0, 0)
		next, _ := o.store.Read(pg, family[i+1], 0, 0)
		tags, _ := o.store.GetAttr(pg, h, objectstore.TagAttr)
		if h.Snap != n.ID || h.Name != head.Name || uint64(len(data)) != n.Size ||
			!bytes.Equal(tags, snaps.Attr(n.Snaps)) {
			c.w.fail("osd.%d: clone %v of %d bytes for %x; the head knows %+v", o.id, h, len(data),
				tags, n)
		}
		for _, r := range n.Overlap {
			if r.End > uint64(min(len(next), len(data))) ||
				!bytes.Equal(data[r.Begin:r.End], next[r.Begin:r.End]) {
				c.w.fail("osd.%d: %v and %v do not have %v in common", o.id, h, family[i+1], r)
			}
		}
		c.w.result.Clones++
	}
}

// snapList is the snapshots that there are.
func (c *cluster) snapList() []ceph.SnapID {
	if c.snaps == nil {
		return nil
	}
	return c.snaps.context.Snaps
}
