package osd

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

// wireHead is a peering message's head on the wire.
func (p *pg) wireHead(h peering.Head) message.PGHead {
	return message.PGHead{PG: p.id, From: ceph.PGShard{OSD: h.From, Shard: ceph.NoShard},
		Epoch: h.Epoch, MinEpoch: h.Interval}
}

// encode is the message of a peering event that is sent. The statistics are of the info's version.
func (p *pg) encode(ev peering.Event, stats *pginfo.Stats) message.Body {
	switch m := ev.(type) {
	case peering.Query:
		return &message.MOSDPGQuery2{PGHead: p.wireHead(m.Head), Kind: uint8(m.Kind),
			Since: m.Since, History: encode(&m.History)}
	case peering.Notify:
		m.Info.Stats = *stats
		return &message.MOSDPGNotify2{PGHead: p.wireHead(m.Head), Info: encode(&m.Info),
			Intervals: encode(&m.Past), Leases: p.promises()}
	case peering.InfoMsg:
		m.Info.Stats = *stats
		return &message.MOSDPGInfo2{PGHead: p.wireHead(m.Head), Info: encode(&m.Info)}
	case peering.LogMsg:
		m.Info.Stats = *stats
		return p.encodeLog(m)
	case peering.Remove:
		return &message.MOSDPGRemove{PGHead: p.wireHead(m.Head)}
	}
	panic(fmt.Sprintf("invariant broken: %T is not sent", ev))
}

func (p *pg) encodeLog(m peering.LogMsg) message.Body {
	var missing missingRecord
	for _, o := range slices.SortedFunc(maps.Keys(m.Missing), ceph.HObject.Compare) {
		missing = append(missing, pglog.MissingItem{Object: o, Item: m.Missing[o]})
	}
	return &message.MOSDPGLog{PGHead: p.wireHead(m.Head), QueryEpoch: m.Head.Interval,
		Info: encode(&m.Info), Log: encode(&m.Log), Missing: encode(&missing),
		Intervals: encode(&m.Past)}
}

func headOf(h *message.PGHead) peering.Head {
	return peering.Head{From: h.From.OSD, Epoch: h.Epoch, Interval: h.MinEpoch}
}

// decode is the peering event of a received message.
func decode(b message.Body) (peering.Event, error) {
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

// peeringMessage gives a message to its PG; some make the PG.
func (s *shard) peeringMessage(ev *event) {
	if s.waitMap(ev, ev.head.PG, ev.head.Epoch) {
		return
	}
	defer ev.msg.Release()
	e, err := decode(ev.msg.Body)
	if err != nil {
		s.d.log.Error("peering message does not decode", "pg", ev.head.PG, "err", err)
		return
	}
	p := s.pgs[ev.head.PG]
	if p == nil {
		if p = s.createFor(ev.head.PG, e); p == nil {
			return
		}
	}
	if err := p.hear(ev.msg.Body); err != nil {
		s.d.log.Error("peering message does not decode", "pg", ev.head.PG, "err", err)
		return
	}
	if m, ok := e.(peering.InfoMsg); ok && p.m.IsReplicaOf(m.From) {
		p.hearScrub(&m.Info)
	}
	p.step(e)
	p.serve()
}

// createFor makes a PG that a message tells us of, or answers for one that is not here
// (handle_pg_create_info, handle_pg_query_nopg).
func (s *shard) createFor(id ceph.SPG, e peering.Event) *pg {
	pool := s.osdmap.Pools[id.Pool]
	if pool == nil || id.Seed >= pool.PGNum {
		return nil
	}
	switch m := e.(type) {
	case peering.Query:
		s.answerFor(id, m)
	case peering.Notify:
		if _, _, _, primary := s.osdmap.PGToUpActing(id.PGID); primary == s.d.opt.ID &&
			m.Info.History.EpochCreated != 0 && s.present(id, m.Info.History) {
			return s.createFrom(id, m.Info.History, m.Past)
		}
	case peering.LogMsg:
		if s.within(m.Head, id) && s.present(id, m.Info.History) {
			return s.createFrom(id, m.Info.History, m.Past)
		}
	}
	return nil
}

// within says whether a primary's message is of the PG's present interval.
func (s *shard) within(h peering.Head, id ceph.SPG) bool {
	_, _, _, primary := s.osdmap.PGToUpActing(id.PGID)
	return primary == h.From
}

// present says whether a history is of the PG's present interval.
func (s *shard) present(id ceph.SPG, h pginfo.History) bool {
	return peering.SameInterval(id, h.SameIntervalSince, s.osdmap, s.d.mapAt)
}

// createFrom makes an empty copy that knows what another copy knows of the PG's life.
func (s *shard) createFrom(id ceph.SPG, h pginfo.History, past pginfo.PastIntervals) *pg {
	c := peering.Created(id, h.EpochCreated)
	c.Info.History = h
	c.Past = past
	p := s.create(id, c)
	p.step(peering.MapsDone{})
	s.resumeOrphans()
	return p
}

// answerFor says that there is no copy here.
func (s *shard) answerFor(id ceph.SPG, q peering.Query) {
	h := message.PGHead{PG: id, From: ceph.PGShard{OSD: s.d.opt.ID, Shard: ceph.NoShard},
		Epoch: s.osdmap.Epoch, MinEpoch: q.Epoch}
	info := pginfo.Info{PGID: id, LastBackfill: ceph.MaxHObject()}
	if q.Kind == peering.QueryInfo {
		var past pginfo.PastIntervals
		s.d.sendTo(s.osdmap, q.From, &message.MOSDPGNotify2{PGHead: h, Info: encode(&info),
			Intervals: encode(&past)})
		return
	}
	var seg peering.Segment
	var missing missingRecord
	var past pginfo.PastIntervals
	s.d.sendTo(s.osdmap, q.From, &message.MOSDPGLog{PGHead: h, QueryEpoch: q.Epoch,
		Info: encode(&info), Log: encode(&seg), Missing: encode(&missing),
		Intervals: encode(&past)})
}
