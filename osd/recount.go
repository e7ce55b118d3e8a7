package osd

import (
	"errors"

	"glue/ceph"
	"glue/osd/ops"
	"glue/osd/recovery"
	"glue/store/objectstore"
)

// A recount counts the objects of a PG whose counts were shared out by a split, a few at a time
// while clients write: what is below next has been counted, so that its changes count, and what is
// above will be counted as it is then.
type recount struct {
	next                        ceph.HObject
	objects, bytes, omap, dirty int64
}

// recountObjects bounds what is counted in one tick.
const recountObjects = 512

// recountTick goes on counting while the PG is clean: then this copy has every object.
func (p *pg) recountTick() {
	if !p.stats.Estimated || !p.active || !p.writeable || !p.m.IsClean() {
		p.recount = nil
		return
	}
	p.s.flush() // what has been counted as a change has to be in the store
	if p.recount == nil {
		p.recount = &recount{}
	}
	r := p.recount
	list, next, err := p.s.d.store.List(p.id, r.next, recountObjects)
	for i := 0; err == nil && i < len(list); i++ {
		err = r.add(p, list[i])
	}
	if err != nil {
		p.s.d.log.Error("counting objects failed", "pg", p.id, "err", err)
		p.recount = nil
		return
	}
	if r.next = next; !next.Max {
		return
	}
	st := &p.stats
	st.Objects, st.Bytes, st.ObjectsOmap, st.ObjectsDirty = r.objects, r.bytes, r.omap, r.dirty
	st.Estimated, p.recount, p.dirty = false, nil, true
	var t objectstore.Transaction
	p.putInfo(&t)
	p.s.submit(pending{pg: p, txn: &t})
}

func (r *recount) add(p *pg, o ceph.HObject) error {
	if recovery.IsTemp(o) {
		return nil
	}
	st, err := ops.LoadState(p.s.d.store, p.id, o)
	if errors.Is(err, ceph.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	r.objects++
	r.bytes += int64(st.Info.Size)
	r.omap += one(st.Info.IsOmap())
	r.dirty += one(st.Info.IsDirty())
	return nil
}

func one(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// change accounts for a request that changes an object.
func (r *recount) change(o ceph.HObject, s *ops.Stats) {
	if r == nil || o.Compare(r.next) >= 0 {
		return
	}
	r.objects += s.Objects
	r.bytes += s.Bytes
	r.omap += s.ObjectsOmap
	r.dirty += s.ObjectsDirty
}
