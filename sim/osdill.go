package sim

import (
	"time"

	"glue/ceph"
	"glue/osd/ops"
	"glue/osd/recovery"
	"glue/sim/memdisk"
	"glue/sim/plant"
)

// diskFaults are the faults of OSDs' disks.
var diskFaults = []fault{
	{"OSD's disk fails", 6, (*faults).osdDiskFails},
	{"OSD's disk is full", 5, (*faults).fillOSD},
	{"OSD's disk rots", 6, (*faults).rotOSD},
	{"OSD's disk is lost", 5, (*faults).wipeOSD},
	{"a PG is scrubbed", 6, (*faults).scrubSome},
}

// osdDiskFails has a disk fail some accesses later, or the next start, until it is mended: it can't
// be written, or the records of the store can't be read. Both end the daemon.
func (f *faults) osdDiskFails() {
	o := f.someOSD()
	how := []memdisk.Failing{memdisk.NoWrites, memdisk.NoReads}[f.w.rng.IntN(2)]
	f.w.trace("disk fails", "osd", o.id, "how", int(how))
	o.ail.fails, o.ail.in = how, f.w.rng.IntN(1+f.w.rng.IntN(1000))
	if f.w.rng.IntN(4) == 0 {
		o.crash(false)
	}
	o.start()
	f.during(f.while(100*time.Millisecond, 60), func() {
		o.ail.fails = memdisk.Fine
		o.start()
	})
}

// fillOSD has others fill a disk: a little, so that the map says so, or until nothing is left.
func (f *faults) fillOSD() {
	o := f.someOSD()
	o.ail.fill = []float64{0.87, 0.92, 0.96, 0.98, 1}[f.w.rng.IntN(5)]
	f.w.result.Filled++
	f.w.trace("disk fills", "osd", o.id, "fill", o.ail.fill)
	f.during(f.while(time.Second, 90), func() { o.ail.fill = 0 })
}

// sound says whether every PG has all its copies, two at least: then one disk may be lost.
func (c *cluster) sound() bool {
	if c.clean() != "" {
		return false
	}
	for _, o := range c.osds {
		for _, p := range o.m.PGs() {
			if p.Primary && len(p.Acting) < 2 {
				return false
			}
		}
	}
	return true
}

// whenSound has something done as soon as all is sound, if that is within a while.
func (f *faults) whenSound(do func()) {
	c, until := f.w.cluster, f.w.now+time.Minute
	var look func()
	look = func() {
		switch {
		case c.sound():
			do()
		case f.w.now < until:
			f.later(200*time.Millisecond, look)
		}
	}
	look()
}

// rotOSD has some objects of one disk rot. No other disk is damaged until all has been scrubbed at
// the next rest. Until then there are two copies of what is acknowledged, as of what was before.
func (f *faults) rotOSD() {
	c, o := f.w.cluster, f.someOSD()
	if c.rotten != nil {
		o = c.rotten
	}
	c.rotten = o
	c.operator.do(cmd(`{"prefix":"osd pool set","pool":%q,"var":"min_size","val":"2"}`, poolName),
		func(result int32) {
			if result == 0 {
				f.whenSound(func() { o.rots(1 + f.w.rng.IntN(5)) })
			}
		})
}

// rots makes some objects unreadable.
func (o *osdHost) rots(n int) {
	var all []ceph.HObject
	colls, _ := o.store.Collections()
	for _, coll := range colls {
		for _, h := range o.list(coll) {
			st, err := o.store.Stat(coll, h)
			if err == nil && st.Size > 0 && !recovery.IsTemp(h) && !o.ail.rot[h] {
				all = append(all, h)
			}
		}
	}
	for range min(n, len(all)) {
		h := all[o.rng.IntN(len(all))]
		o.w.trace("rot", "osd", o.id, "object", h)
		if !o.ail.rot[h] {
			o.w.result.Rotted++
			o.ail.rot[h] = true
		}
		for _, other := range o.c.osds {
			if o.w.opt.Bug == plant.AllRot && !other.version(h).IsZero() {
				other.ail.rot[h] = true
			}
		}
	}
}

// wipeOSD has an OSD lose its disk for good, at a time when all PGs have all their copies. The next
// one gets its number.
func (f *faults) wipeOSD() {
	c, o := f.w.cluster, f.someOSD()
	f.whenSound(func() {
		if c.rotten != nil && c.rotten != o {
			o = c.rotten
		}
		f.w.result.OSDDisksLost++
		f.w.trace("disk is lost", "osd", o.id)
		o.crash(f.w.rng.IntN(2) == 0)
		_ = o.store.Close()
		o.wipe()
		o.lost = true
		f.w.after(f.while(10*time.Millisecond, 30), o.replace)
	})
}

// replace gives the number of a lost disk to the one that the OSD has now, once.
func (o *osdHost) replace() {
	if !o.lost || o.replacing {
		return
	}
	o.replacing = true
	op := o.c.operator
	op.do(cmd(`{"prefix":"osd down","ids":["%d"]}`, o.id), func(int32) {})
	op.do(cmd(`{"prefix":"osd destroy-actual","id":%d,"yes_i_really_mean_it":true}`, o.id),
		func(result int32) {
			if result == ceph.EBUSY.Result() {
				o.replacing = false
				o.replace()
				return
			}
			o.mustBe("destroy", result)
			op.do(cmd(`{"prefix":"osd new","uuid":"%v","id":%d}`, o.uuid, o.id),
				func(result int32) {
					o.mustBe("new", result)
					o.lost, o.replacing = false, false
					o.start()
				})
		})
}

func (o *osdHost) mustBe(what string, result int32) {
	if result != 0 {
		o.w.fail("osd %s of osd.%d: %d", what, o.id, result)
	}
}

// isRotten says whether an object can't be read, when the daemon is about to. Rot is a fault that a
// daemon has to live with for as long as there is another copy. A write that does not look at the
// data makes a rotten copy the only one of its version if the others don't get it before the
// interval ends. Such a copy can be read after all, from then on; anything else that nobody can be
// given stays what the product has lost.
func (d *osdDisk) isRotten(h ceph.HObject) bool {
	o := d.o
	if !o.ail.rot[h] {
		return false
	}
	if o.sole(h) {
		o.w.trace("the only copy was rotten", "osd", o.id, "object", h)
		o.w.result.OnlyCopies++
		delete(o.ail.rot, h)
	}
	return o.ail.rot[h]
}

// sole says whether no other disk has an object in the version that this one has, no write of the
// present interval will bring it there, and nobody says that it has it.
func (o *osdHost) sole(h ceph.HObject) bool {
	v, since := o.version(h), ceph.Epoch(0)
	if v.IsZero() || o.m == nil {
		return false
	}
	for _, p := range o.m.PGs() {
		if _, err := o.store.Stat(p.ID, h); err == nil {
			since = p.Info.History.SameIntervalSince
		}
	}
	if v.Epoch >= since {
		return false
	}
	for _, other := range o.c.osds {
		if other != o && (!other.version(h).Less(v) || other.claims(h, v)) {
			return false
		}
	}
	return true
}

// version is what a disk has of an object.
func (o *osdHost) version(h ceph.HObject) (v ceph.Eversion) {
	colls, _ := o.store.Collections()
	for _, c := range colls {
		st, err := ops.LoadState(o.store, c, h)
		if err == nil && st.Exists && v.Less(st.Info.Version) {
			v = st.Info.Version
		}
	}
	return v
}

// claims says whether a daemon that is there takes itself for having an object in a version.
func (o *osdHost) claims(h ceph.HObject, v ceph.Eversion) bool {
	if o.m == nil || o.m.OSDMap() == nil {
		return false
	}
	m := o.m.OSDMap()
	for _, p := range o.m.PGs() {
		if pool := m.Pools[p.ID.Pool]; p.ID.Pool == h.Pool && pool != nil &&
			pool.FoldSeed(h.Hash) == p.ID.Seed && !p.Info.LastUpdate.Less(v) &&
			h.Compare(p.Info.LastBackfill) <= 0 && !p.Lacks(h) {
			return true
		}
	}
	return false
}
