package plant

import (
	"maps"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
	"glue/cluster/pgstat"
	"glue/osd/ops"
	"glue/store/objectstore"
	"glue/wire/message"
)

// Hasties say which transactions are called durable at once.
var Hasties = map[Bug]func(t *objectstore.Transaction) bool{
	OSDNotDurable: func(*objectstore.Transaction) bool { return true },
	MetaNotDurable: func(t *objectstore.Transaction) bool {
		return !slices.ContainsFunc(t.Ops, func(o objectstore.Op) bool {
			return o.Code == objectstore.OpLogAppend || o.Code == objectstore.OpWrite
		})
	},
}

func isOp(code objectstore.OpCode) func(objectstore.Op) bool {
	return func(o objectstore.Op) bool { return o.Code == code }
}

// Spoilers change what is stored.
var Spoilers = map[Bug]func(t *objectstore.Transaction){
	DivergentKept: func(t *objectstore.Transaction) {
		t.Ops = slices.DeleteFunc(t.Ops, isOp(objectstore.OpLogRewind))
	},
	WatchForgotten: forgetWatches,
	SplitWithoutLog: func(t *objectstore.Transaction) {
		if slices.ContainsFunc(t.Ops, isOp(objectstore.OpSplitColl)) {
			t.Ops = slices.DeleteFunc(t.Ops, isOp(objectstore.OpLogAppend))
		}
	},
}

// Warps change what an OSD takes a map for.
var Warps = map[Bug]func(osd int32, m *osdmap.Map){
	UpThruIgnored: func(osd int32, m *osdmap.Map) {
		if m.Exists(osd) {
			m.Info[osd].UpThru = m.Epoch
		}
	},
	MinSizeIgnored: func(_ int32, m *osdmap.Map) {
		for id, p := range m.Pools {
			p = p.Clone()
			p.MinSize = 1
			m.Pools[id] = p
		}
	},
	FenceForgotten: func(_ int32, m *osdmap.Map) { m.Blocklist = nil },
}

// A Snap is where such a bug is: in messages between OSDs, in what they store, or in what they
// take a map for.
type Snap struct {
	Tamper func(b message.Body)
	Spoil  func(t *objectstore.Transaction)
	Warp   func(osd int32, m *osdmap.Map)
}

var Snaps = map[Bug]Snap{
	PushNoSnapSet: {Tamper: func(b message.Body) {
		eachPush(b, func(p *message.Push) {
			if raw := p.Attrs[ops.InfoAttr]; raw != nil {
				p.Attrs[ops.InfoAttr] = changed(raw, func(i *pginfo.ObjectInfo) { i.Snaps = nil })
			}
		})
	}},
	PushNoTags: {Tamper: func(b message.Body) {
		eachPush(b, func(p *message.Push) { delete(p.Attrs, objectstore.TagAttr) })
	}},
	WideOverlap: {Spoil: func(t *objectstore.Transaction) {
		for i := range t.Ops {
			if op := &t.Ops[i]; op.Code == objectstore.OpSetAttrs && op.Pairs[ops.InfoAttr] != nil {
				op.Pairs[ops.InfoAttr] = changed(op.Pairs[ops.InfoAttr], widen)
			}
		}
	}},
	TrimOnce: {Spoil: func(t *objectstore.Transaction) {
		t.Ops = slices.DeleteFunc(t.Ops, func(o objectstore.Op) bool {
			return o.Code == objectstore.OpRemove && o.Object.Snap <= ceph.MaxSnap
		})
	}},
	OldPoolSnaps: {Warp: func(osd int32, m *osdmap.Map) {
		for id, p := range m.Pools {
			if osd%2 == 0 && len(p.Snaps) > 0 {
				p = p.Clone()
				delete(p.Snaps, p.SnapSeq)
				p.SnapSeq--
				m.Pools[id] = p
			}
		}
	}},
	TrimLive: {Warp: func(_ int32, m *osdmap.Map) {
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

// Stats change what an OSD reports of a PG.
var Stats = map[Bug]func(p *pgstat.PG, m *osdmap.Map){
	PurgedTooSoon: func(p *pgstat.PG, m *osdmap.Map) {
		for _, list := range m.RemovedSnapsQueue {
			p.PurgedSnaps = list
		}
	},
}

// forgetWatches takes watches out of what is stored: the primary knows them for as long as it is.
func forgetWatches(t *objectstore.Transaction) {
	for i := range t.Ops {
		if op := &t.Ops[i]; op.Code == objectstore.OpSetAttrs && op.Pairs[ops.InfoAttr] != nil {
			op.Pairs[ops.InfoAttr] = changed(op.Pairs[ops.InfoAttr],
				func(o *pginfo.ObjectInfo) { o.Watchers = nil })
		}
	}
}

// ForAll makes an answer to a notify one of an old client.
func ForAll(list []message.OSDOp) []message.OSDOp {
	if len(list) != 1 || list[0].Code != message.OpNotifyAck {
		return list
	}
	var id uint64
	denc.NewDecoder(list[0].In, 0).U64(&id)
	op := message.OSDOp{Code: message.OpNotifyAck}
	op.SetCookie(id)
	return []message.OSDOp{op}
}
