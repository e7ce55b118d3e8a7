package osd

import (
	"maps"
	"slices"
	"sync"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/osd/peering"
	"glue/osd/resize"
	"glue/store/objectstore"
)

// A PG and what it is split into may belong to different shards. So for maps that change a pool's
// number of PGs the shards meet: each stops when it gets to these maps, and the last one takes all
// PGs of the daemon through them while the others stand still. No shard ever sees a PG before its
// objects are there, or after they are gone.

// A meeting counts the shards that stand still.
type meeting struct {
	mu    sync.Mutex
	there int
}

// arrive says whether this was the last one.
func (mt *meeting) arrive(of int) bool {
	mt.mu.Lock()
	defer mt.mu.Unlock()
	mt.there++
	if mt.there < of {
		return false
	}
	mt.there = 0
	return true
}

// meet stops the shard; the last one to come does the work and lets all go on.
func (s *shard) meet(ev *event) {
	d := s.d
	s.setStopped(true)
	if !d.meeting.arrive(len(d.shards)) {
		return
	}
	for _, sh := range d.shards {
		sh.now = s.now
		sh.setMap(ev)
	}
	for _, m := range ev.maps {
		d.advance(m)
	}
	for _, sh := range d.shards {
		sh.arrived()
		sh.flush()
	}
	for _, sh := range d.shards {
		sh.setStopped(false)
		sh.wakeUp()
	}
}

func (s *shard) setStopped(yes bool) {
	s.mu.Lock()
	s.stopped = yes
	s.mu.Unlock()
}

// putBack returns events that a shard has not got to, if it has stopped.
func (s *shard) putBack(rest []event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		s.in = slices.Concat(rest, s.in)
	}
	return s.stopped
}

// begin brings PGs that were loaded up to the newest stored map, before anything else runs.
func (d *Daemon) begin(newest *osdmap.Map) {
	first := newest.Epoch
	for id, l := range d.super.Pools {
		if p := newest.Pools[id]; l.Fewest == 0 && p != nil {
			// noted by a version without splitting
			d.super.Pools[id] = poolLife{Created: l.Created, Fewest: p.PGNum}
		}
	}
	for _, s := range d.shards {
		s.osdmap, s.pools, s.now = newest, maps.Clone(d.super.Pools), d.now()
		for _, p := range s.pgs {
			first = min(first, p.m.Map().Epoch)
		}
	}
	for e := first + 1; e <= newest.Epoch; e++ {
		if m, err := d.mapAt(e); err == nil {
			d.advance(m)
		}
	}
}

// advance takes all PGs that have not got there to the next map. Nothing else runs meanwhile.
func (d *Daemon) advance(m *osdmap.Map) {
	for _, s := range d.shards {
		for _, p := range slices.Clone(s.sorted()) {
			if p.m.Map().Epoch >= m.Epoch {
				continue // it was made by this map
			}
			was, is := p.m.Map().Pools[p.id.Pool], m.Pools[p.id.Pool]
			switch {
			case was == nil || is == nil:
				p.advance(m)
			case p.id.Seed < is.PGNum && is.PGNum < was.PGNum:
				p.unite(m, osdmap.SplitChildren(p.id.PGID, is.PGNum, was.PGNum))
			case p.id.Seed < is.PGNum:
				p.split(m, osdmap.SplitChildren(p.id.PGID, was.PGNum, is.PGNum))
			}
		}
	}
	for _, s := range d.shards {
		for _, p := range slices.Clone(s.sorted()) {
			pool := m.Pools[p.id.Pool]
			if pool != nil && p.id.Seed >= pool.PGNum && p.m.Map().Epoch < m.Epoch {
				// What it was to be merged into is not here, so this copy was not one of those
				// that were ready.
				p.end(m)
				p.startDelete()
			}
		}
	}
}

// split steps a PG to the next map and gives the objects of its children to new PGs. Each child is
// stored by a transaction of its own, which is bounded by the length of the log; the parent's,
// which is the last, is what says that it has been split. After a crash between them the children
// that are there already are left as they are.
func (p *pg) split(m *osdmap.Map, children []ceph.PGID) {
	if len(children) == 0 {
		p.advance(m)
		return
	}
	p.s.flush()
	p.pool = m.Pools[p.id.Pool]
	effects := p.m.Step(peering.MapChange{Map: m})
	for i, id := range children {
		child := ceph.SPG{PGID: id, Shard: p.id.Shard}
		home := p.s.d.shardOf(child)
		c := p.m.Split(child, p.stats, len(children)+1-i)
		p.stats = p.m.Info().Stats
		if home.pgs[child] == nil {
			p.makeChild(home, child, c)
		}
	}
	p.apply(effects)
	// Whoever has sent them sends them again, to the PG that they belong to now.
	p.s.abandon(p.waiting)
	p.waiting = nil
}

func (p *pg) makeChild(home *shard, id ceph.SPG, c peering.Copy) {
	q := home.add(id, c, p.m.Map())
	q.lease.Inherit(&p.lease)
	var t objectstore.Transaction
	t.MkColl(id)
	t.SplitColl(p.id, id, uint32(osdmap.SplitBits(id.Seed, p.pool.PGNum)))
	q.putLog(&t)
	q.putMissing(&t)
	q.putInfo(&t)
	home.submit(pending{pg: q, txn: &t})
	home.flush()
}

// movedOn says whether a request was sent before the PG was split or merged, so that its client
// sends it again, perhaps elsewhere; or belongs to another PG.
func (p *pg) movedOn(epoch ceph.Epoch, hash uint32) bool {
	return epoch < p.m.Info().History.LastEpochSplit || p.pool.FoldSeed(hash) != p.id.Seed
}

// unite steps a PG to the next map, which merges others into it.
func (p *pg) unite(m *osdmap.Map, sources []ceph.PGID) {
	if len(sources) == 0 {
		p.advance(m)
		return
	}
	p.s.flush()
	d, was := p.s.d, p.m.Map().Pools[p.id.Pool]
	p.pool = m.Pools[p.id.Pool]
	effects := p.m.Step(peering.MapChange{Map: m})
	merge, live := p.pool.LastPGMerge, p.stats
	whole := len(sources) == 1 && sources[0] == merge.Source && p.m.Whole(merge.TargetVersion)
	var machines []*peering.Machine
	for _, id := range sources {
		spg := ceph.SPG{PGID: id, Shard: p.id.Shard}
		q := d.shardOf(spg).pgs[spg]
		if q == nil || q.m.Map().Epoch >= m.Epoch { // not here, or of a later split
			whole = false
			continue
		}
		whole = whole && q.m.Whole(merge.SourceVersion)
		live.Add(&q.stats)
		machines = append(machines, q.m)
		q.end(m)
		p.first.MergeColl(spg, p.id, uint32(osdmap.SplitBits(id.Seed, was.PGNum)))
		q.forgetMeta(&p.first)
		q.remove()
		p.lease.Inherit(&q.lease)
	}
	p.m.Unite(machines, whole, live, d.config.Load().dups)
	p.apply(effects)
}

// end gives up everything that a PG which is no more has in hand.
func (p *pg) end(m *osdmap.Map) {
	p.s.flush()
	p.resetEpoch = m.Epoch // what is in flight finds nobody any more
	p.gate.Drop()
	p.s.abandon(p.takeOps())
	p.endRecovery()
	p.scrub.Reset(false)
	p.dropWatches()
	p.releaseBackoffs()
	id := p.id.PGID
	p.s.d.post(func() { p.s.d.tempDone(id) })
}

// mergePatience is after what time without getting ready a PG serves on unmerged.
const mergePatience = 30 * time.Second

// mergeTick tells whether a PG that is to be merged is ready for it: in this interval nothing was
// written, and every copy has everything.
func (p *pg) mergeTick() {
	if !p.primary || !p.pool.MergePending(p.id.PGID) {
		return
	}
	i := p.m.Info()
	acting, _ := p.m.Acting()
	w := resize.Word{Since: i.History.SameIntervalSince, Version: i.LastUpdate,
		Started: i.History.LastEpochStarted, Clean: i.History.LastEpochClean,
		Ready: p.active && p.m.IsClean() && len(acting) == int(p.pool.Size)}
	w.Hopeless = !w.Ready && p.s.now.Sub(p.changed) > mergePatience
	if !w.Ready && !w.Hopeless {
		return
	}
	d, id := p.s.d, p.id.PGID
	d.post(func() {
		if m := d.merges.Say(d.opt.ID, d.osdmap.Load().Pools[id.Pool], id, w); m != nil {
			d.mon.Send(m)
		}
	})
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
		p.recount = &resize.Count{}
	}
	done, err := p.recount.Step(p.s.d.store, p.id, recountObjects)
	if err != nil {
		p.s.d.log.Error("counting objects failed", "pg", p.id, "err", err)
		p.recount = nil
	}
	if err != nil || !done {
		return
	}
	p.recount.Finish(&p.stats)
	p.recount, p.dirty = nil, true
	var t objectstore.Transaction
	p.putInfo(&t)
	p.s.submit(pending{pg: p, txn: &t})
}
