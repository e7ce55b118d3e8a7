package sim

import (
	"maps"
	"slices"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
	"glue/cluster/pgstat"
	"glue/osd/ops"
	"glue/store/objectstore"
	"glue/wire/message"
)

// Planted bugs of snapshots.
const (
	NoClones      Bug = "a write does not look at its snapshots"
	PushNoSnapSet Bug = "recovery loses what a head knows of its clones"
	PushNoTags    Bug = "recovery leaves out what a clone stands for"
	WideOverlap   Bug = "a clone is said to share more than it does"
	TrimLive      Bug = "a snapshot that is there is trimmed"
	TrimOnce      Bug = "a clone that is trimmed stays"
	PurgedTooSoon Bug = "a snapshot is purged before it is trimmed"
)

// A snapPlant is where such a bug is: in messages between OSDs, in what they store, or in what they
// take a map for.
type snapPlant struct {
	tamper func(b message.Body)
	spoil  func(t *objectstore.Transaction)
	warp   func(o *osdHost, m *osdmap.Map)
}

var snapPlants = map[Bug]snapPlant{
	PushNoSnapSet: {tamper: func(b message.Body) {
		eachPush(b, func(p *message.Push) {
			if raw := p.Attrs[ops.InfoAttr]; raw != nil {
				p.Attrs[ops.InfoAttr] = changed(raw, func(i *pginfo.ObjectInfo) { i.Snaps = nil })
			}
		})
	}},
	PushNoTags: {tamper: func(b message.Body) {
		eachPush(b, func(p *message.Push) { delete(p.Attrs, objectstore.TagAttr) })
	}},
	WideOverlap: {spoil: func(t *objectstore.Transaction) {
		for i := range t.Ops {
			if op := &t.Ops[i]; op.Code == objectstore.OpSetAttrs && op.Pairs[ops.InfoAttr] != nil {
				op.Pairs[ops.InfoAttr] = changed(op.Pairs[ops.InfoAttr], widen)
			}
		}
	}},
	TrimOnce: {spoil: func(t *objectstore.Transaction) {
		t.Ops = slices.DeleteFunc(t.Ops, func(o objectstore.Op) bool {
			return o.Code == objectstore.OpRemove && o.Object.Snap <= ceph.MaxSnap
		})
	}},
	TrimLive: {warp: func(_ *osdHost, m *osdmap.Map) {
		queue := maps.Clone(m.RemovedSnapsQueue)
		if queue == nil {
			queue = map[int64][]osdmap.SnapRange{}
		}
		for id, p := range m.Pools {
			if p.SnapSeq > 1 {
				queue[id] = osdmap.AddSnap(queue[id], p.SnapSeq)
			}
		}
		m.RemovedSnapsQueue = queue
	}},
}

// widen has all clones share everything with the next one.
func widen(o *pginfo.ObjectInfo) {
	if o.Snaps == nil {
		return
	}
	for k := range o.Snaps.Clones {
		n := &o.Snaps.Clones[k]
		n.Overlap = []pginfo.Range{{Begin: 0, End: n.Size}}
	}
}

// plantSnaps puts such a bug in its place.
func (c *cluster) plantSnaps(x snapPlant) {
	c.spoil, c.maps.warp = x.spoil, x.warp
	if x.warp != nil {
		c.maps.honest = map[ceph.Epoch]*osdmap.Map{}
	}
	if x.tamper != nil {
		c.tamper = func(_, _ *osdHost, b message.Body) bool {
			x.tamper(b)
			return false
		}
	}
}

// statSpoilers change what an OSD reports of a PG.
var statSpoilers = map[Bug]func(p *pgstat.PG, m *osdmap.Map){
	PurgedTooSoon: func(p *pgstat.PG, m *osdmap.Map) {
		for _, list := range m.RemovedSnapsQueue {
			p.PurgedSnaps = list
		}
	},
}
