package osd

import (
	"maps"
	"slices"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
	"glue/osd/peering"
	"glue/osd/resize"
)

// sorted are the shard's PGs in their order.
func (s *shard) sorted() []*pg {
	if s.order == nil {
		for _, id := range slices.SortedFunc(maps.Keys(s.pgs), ceph.SPG.Compare) {
			s.order = append(s.order, s.pgs[id])
		}
	}
	return s.order
}

// newMaps brings every PG to the newest map, epoch by epoch, and makes the PGs that are ours now.
func (s *shard) newMaps(ev *event) {
	if s.osdmap != nil && resize.Changes(s.osdmap, ev.maps) {
		s.meet(ev)
		return
	}
	s.setMap(ev)
	for _, p := range s.sorted() {
		for _, m := range ev.maps {
			if p.advance(m); p.deleting {
				break
			}
		}
	}
	s.arrived()
}

func (s *shard) setMap(ev *event) {
	s.osdmap = ev.maps[len(ev.maps)-1]
	s.pools = ev.pools
}

// advance steps a PG to the next map. Before the OSD is up at its present address, intervals are
// only recorded: nobody talks to it yet.
func (p *pg) advance(m *osdmap.Map) {
	if pool := m.Pools[p.id.Pool]; pool != nil {
		p.pool = pool
	}
	p.step(peering.MapChange{Map: m})
}

// arrived goes on after the newest map.
func (s *shard) arrived() {
	for _, p := range slices.Clone(s.sorted()) {
		p.setEnv()
		if p.unborn() && !s.witnessed(p.m.Past()) {
			s.d.log.Warn("giving up the making of a PG whose copies are lost", "pg", p.id)
			s.abandon(p.takeOps())
			p.startDelete()
			continue
		}
		if s.d.booted.Load() {
			p.step(peering.MapsDone{})
		}
		p.pullAgain()
		p.serve()
		if p.active {
			p.recover() // flags, priorities and fullness may be others
		}
	}
	if s.d.booted.Load() {
		s.makePGs()
	}
	for _, id := range slices.SortedFunc(maps.Keys(s.waiting), ceph.SPG.Compare) {
		s.resume(id)
	}
	s.resumeOrphans()
	s.copies.MapChanged()
}

// makePGs makes the PGs whose primary we are and that are not here, if it is known since when they
// exist: then their past is computed from the maps, and peering asks everyone who may have taken
// writes. For others a copy that exists will tell us.
func (s *shard) makePGs() {
	for _, id := range slices.Sorted(maps.Keys(s.pools)) {
		life := s.pools[id]
		pool := s.osdmap.Pools[id]
		if pool == nil || life.Created == 0 {
			continue
		}
		for seed := range min(pool.PGNum, life.Fewest) {
			pg := ceph.SPG{PGID: ceph.PGID{Pool: id, Seed: seed}, Shard: ceph.NoShard}
			if s.d.shardOf(pg) != s || s.pgs[pg] != nil {
				continue
			}
			if _, _, _, primary := s.osdmap.PGToUpActing(pg.PGID); primary == s.d.opt.ID {
				s.makePG(pg, life.Created)
			}
		}
	}
}

func (s *shard) makePG(id ceph.SPG, created ceph.Epoch) {
	c, err := peering.History(id, created, s.osdmap, s.d.mapAt)
	if err != nil {
		// Maps were trimmed, so it was clean once: who has a copy will tell us.
		s.d.log.Debug("the past of a new PG is not known", "pg", id, "err", err)
		return
	}
	if !s.witnessed(&c.Past) {
		s.d.log.Info("not making a PG anew whose copies are lost", "pg", id)
		return
	}
	now := ceph.TimeOf(s.now)
	h := &c.Info.History
	h.LastScrubStamp, h.LastDeepScrubStamp, h.LastCleanScrubStamp = now, now, now
	s.create(id, c).step(peering.MapsDone{})
}

// unborn says whether the copy is empty and knows of no time when the PG was active.
func (p *pg) unborn() bool {
	i := p.m.Info()
	return i.IsEmpty() && i.History.LastEpochStarted == 0 && p.m.Past().First > 0
}

// witnessed says whether of each interval in which a PG may have taken writes there is somebody
// left, with the disk of then, who can tell whether it did. Where there is nobody, a PG that is
// made anew would be empty and look well, and a copy that is brought back would be thrown away.
func (s *shard) witnessed(past *pginfo.PastIntervals) bool {
	ok := true
	past.EachRW(0, func(first ceph.Epoch, acting []int32) {
		then, err := s.d.mapAt(first)
		ok = ok && err == nil && slices.ContainsFunc(acting, func(o int32) bool {
			return s.osdmap.Exists(o) && !s.osdmap.IsDestroyed(o) &&
				s.osdmap.Info[o].LostAt <= first && s.osdmap.UUIDs[o] == then.UUIDs[o]
		})
	})
	return ok
}

// resumeOrphans takes the requests for PGs that exist now, and drops those for PGs of others.
func (s *shard) resumeOrphans() {
	if len(s.orphans) == 0 {
		return
	}
	old := s.orphans
	s.orphans = map[ceph.SPG][]event{}
	for _, id := range slices.SortedFunc(maps.Keys(old), ceph.SPG.Compare) {
		evs := old[id]
		for i := range evs {
			s.step(&evs[i])
		}
	}
}

// abandon gives requests up, whose buffers the store or a connection may still read; their clients,
// who may be waiting, get the map and send them again.
func (s *shard) abandon(ops []*clientOp) {
	for _, op := range ops {
		s.shareMap(op.sess, op.m.Epoch)
		s.endOp(op)
		if op.msg != nil {
			op.msg.Abandon()
		}
	}
}

// tick does what the clock brings.
func (s *shard) tick() {
	s.past.Trim(&s.d.config.Load().history, s.now)
	for _, p := range s.sorted() {
		p.leaseTick()
		p.watchTick()
		p.recoveryTick()
		p.recountTick()
		p.trim.Tick()
		p.mergeTick()
	}
	s.scrubTick()
	s.report()
}

// connReset ends the watches of a connection, and gives up its requests that wait.
func (s *shard) connReset(sess *session) {
	for _, p := range s.sorted() {
		p.connGone(sess.conn)
		delete(p.backoffs, sess)
	}
}
