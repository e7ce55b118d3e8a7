package osd

import (
	"glue/ceph"
	"glue/cluster/pginfo"
	"glue/osd/peering"
	"glue/osd/peermsg"
)

// peeringMessage gives a message to its PG; some make the PG.
func (s *shard) peeringMessage(ev *event) {
	if s.waitMap(ev, ev.head.PG, ev.head.Epoch) {
		return
	}
	defer ev.msg.Release()
	e, err := peermsg.Decode(ev.msg.Body)
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
	s.d.sendTo(s.osdmap, q.From, peermsg.Nothing(id, s.d.opt.ID, s.osdmap.Epoch, q))
}
