// Package peermsg is the form of peering events on their way between OSDs. It is pure; what the
// messages hold besides their heads is in layouts of our own.
package peermsg

import (
	"fmt"
	"maps"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/pginfo"
	"glue/osd/peering"
	"glue/osd/pglog"
	"glue/wire/message"
)

// missingRecord is the form of a missing set on the wire.
type missingRecord []pglog.MissingItem

func (m *missingRecord) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	denc.List(c, (*[]pglog.MissingItem)(m))
	s.End()
}

func encode(v denc.Value) []byte { return denc.Marshal(v, ceph.FeaturesAll) }

func wireHead(pg ceph.SPG, h peering.Head) message.PGHead {
	return message.PGHead{PG: pg, From: ceph.PGShard{OSD: h.From, Shard: ceph.NoShard},
		Epoch: h.Epoch, MinEpoch: h.Interval}
}

// Encode is the message of an event that a PG sends. The statistics are of the info's version;
// promises are those of leases, for a primary.
func Encode(
	pg ceph.SPG, ev peering.Event, stats *pginfo.Stats, promises func() []byte,
) message.Body {
	switch m := ev.(type) {
	case peering.Query:
		return &message.MOSDPGQuery2{PGHead: wireHead(pg, m.Head), Kind: uint8(m.Kind),
			Since: m.Since, History: encode(&m.History)}
	case peering.Notify:
		m.Info.Stats = *stats
		return &message.MOSDPGNotify2{PGHead: wireHead(pg, m.Head), Info: encode(&m.Info),
			Intervals: encode(&m.Past), Leases: promises()}
	case peering.InfoMsg:
		m.Info.Stats = *stats
		return &message.MOSDPGInfo2{PGHead: wireHead(pg, m.Head), Info: encode(&m.Info)}
	case peering.LogMsg:
		m.Info.Stats = *stats
		return encodeLog(pg, m)
	case peering.Remove:
		return &message.MOSDPGRemove{PGHead: wireHead(pg, m.Head)}
	}
	panic(fmt.Sprintf("invariant broken: %T is not sent", ev))
}

func encodeLog(pg ceph.SPG, m peering.LogMsg) message.Body {
	var missing missingRecord
	for _, o := range slices.SortedFunc(maps.Keys(m.Missing), ceph.HObject.Compare) {
		missing = append(missing, pglog.MissingItem{Object: o, Item: m.Missing[o]})
	}
	return &message.MOSDPGLog{PGHead: wireHead(pg, m.Head), QueryEpoch: m.Head.Interval,
		Info: encode(&m.Info), Log: encode(&m.Log), Missing: encode(&missing),
		Intervals: encode(&m.Past)}
}

func headOf(h *message.PGHead) peering.Head {
	return peering.Head{From: h.From.OSD, Epoch: h.Epoch, Interval: h.MinEpoch}
}

// Decode is the event of a received message.
func Decode(b message.Body) (peering.Event, error) {
	var err error
	get := func(raw []byte, v denc.Value) {
		if err == nil && len(raw) > 0 {
			err = denc.Unmarshal(raw, v, ceph.FeaturesAll)
		}
	}
	switch b := b.(type) {
	case *message.MOSDPGQuery2:
		q := peering.Query{Head: headOf(&b.PGHead), Kind: peering.QueryKind(b.Kind), Since: b.Since}
		get(b.History, &q.History)
		return q, err
	case *message.MOSDPGNotify2:
		n := peering.Notify{Head: headOf(&b.PGHead)}
		get(b.Info, &n.Info)
		get(b.Intervals, &n.Past)
		return n, err
	case *message.MOSDPGInfo2:
		i := peering.InfoMsg{Head: headOf(&b.PGHead)}
		get(b.Info, &i.Info)
		return i, err
	case *message.MOSDPGLog:
		l := peering.LogMsg{Head: headOf(&b.PGHead), Missing: map[ceph.HObject]pglog.Item{}}
		var missing missingRecord
		get(b.Info, &l.Info)
		get(b.Log, &l.Log)
		get(b.Missing, &missing)
		get(b.Intervals, &l.Past)
		for _, it := range missing {
			l.Missing[it.Object] = it.Item
		}
		return l, err
	case *message.MOSDPGRemove:
		return peering.Remove{Head: headOf(&b.PGHead)}, nil
	}
	return nil, fmt.Errorf("message %v is not about peering", b.Type())
}

// Nothing is what somebody answers to a primary's question about a PG that is not there.
func Nothing(pg ceph.SPG, self int32, epoch ceph.Epoch, q peering.Query) message.Body {
	h := message.PGHead{PG: pg, From: ceph.PGShard{OSD: self, Shard: ceph.NoShard}, Epoch: epoch,
		MinEpoch: q.Epoch}
	info := pginfo.Info{PGID: pg, LastBackfill: ceph.MaxHObject()}
	var past pginfo.PastIntervals
	if q.Kind == peering.QueryInfo {
		return &message.MOSDPGNotify2{PGHead: h, Info: encode(&info), Intervals: encode(&past)}
	}
	var seg peering.Segment
	var missing missingRecord
	return &message.MOSDPGLog{PGHead: h, QueryEpoch: q.Epoch, Info: encode(&info),
		Log: encode(&seg), Missing: encode(&missing), Intervals: encode(&past)}
}
