package osd

import (
	"fmt"

	"glue/ceph"
	"glue/cluster/pginfo"
	"glue/osd/sched"
	"glue/osd/scrub"
	"glue/store/objectstore"
	"glue/wire/message"
)

// scrubHost is the PG as its scrub.Scrubber sees it.
type scrubHost struct{ *pg }

// Status is what a scrub has to know of the PG now.
func (p scrubHost) Status() scrub.Status {
	acting, _ := p.m.Acting()
	d, clean := p.s.d, p.m.IsClean()
	o := &d.config.Load().scrub
	return scrub.Status{Now: p.s.now, PG: p.id, Self: d.opt.ID, Members: p.members,
		Ready: p.active && p.writeable && clean && !p.deleting && p.readable() &&
			len(acting) >= int(p.pool.Size),
		Clean: clean, Moving: d.slots.active.Load() > 0, Info: p.m.Info(), Stats: &p.stats,
		Options: o, View: d.store, LoadIsLow: d.load.Low,
		Policy: func() scrub.Policy { return o.Policy.For(p.s.osdmap, p.pool) }}
}

// Later runs f on the shard when the schedule of the background's work allows it.
func (p scrubHost) Later(bytes uint64, f func()) {
	b := &p.s.d.config.Load().background
	p.s.bg.SetShares(b.Shares, b.Capacity)
	p.s.bg.PushStep(task{p.pg, f}, sched.Cost(float64(bytes), b.BytesPerIO))
}

// Now runs f when the shard has done what is queued now.
func (p scrubHost) Now(f func()) {
	p.s.post(event{kind: evCall, call: func(s *shard) {
		if s.pgs[p.id] == p.pg {
			f()
		}
	}})
}

// Send sends a message about the PG to another copy.
func (p scrubHost) Send(osd int32, body func(message.PGHead) message.Body) {
	p.s.d.sendTo(p.s.osdmap, osd, body(p.headTo()))
}

// Log writes lines about the PG to the cluster log.
func (p scrubHost) Log(level uint16, lines ...string) {
	d, id := p.s.d, p.id.PGID
	if len(lines) == 0 {
		return
	}
	d.post(func() {
		for _, l := range lines {
			d.clusterLog(level, fmt.Sprintf("%v %s", id, l))
		}
	})
}

// Flush makes visible what was written, here and to those who are asked next.
func (p scrubHost) Flush() { p.s.flush() }

// Slot takes or gives back one of the OSD's scrubs.
func (p scrubHost) Slot(take bool) bool {
	return takeOne(&p.s.d.scrubs, take, p.s.d.config.Load().scrub.Max)
}

// Freed takes the requests that have waited for their object to be scrubbed.
func (p scrubHost) Freed() {
	held := p.scrubHeld
	p.scrubHeld = nil
	for _, ob := range held {
		if ob.inflight == 0 && !ob.isBlocked() {
			p.runWaiting(ob)
		}
	}
}

// Changed has the PG's state reported.
func (p scrubHost) Changed() { p.changed, p.dirty = p.s.now, true }

// Hint is what the log has of an object.
func (p scrubHost) Hint(o ceph.HObject) scrub.Hint {
	v, ok := p.m.Log().Latest(o)
	if !ok {
		return scrub.Hint{}
	}
	e, ok := p.m.Log().Entry(v)
	return scrub.Hint{Version: v, Deleted: ok && e.IsDelete()}
}

// IsReplicaOf says whether another OSD is the primary that this copy follows.
func (p scrubHost) IsReplicaOf(osd int32) bool { return p.m.IsReplicaOf(osd) }

// Repair has bad copies recovered from right ones, as of the versions that the log has now.
func (p scrubHost) Repair(records []scrub.Record) int {
	fixed := 0
	for i := range records {
		r := &records[i]
		h, v := p.Hint(r.Object), r.Version
		switch {
		case r.Remove && (!h.Deleted || h.Version != v), !r.Remove && h.Deleted:
			continue // it has changed since it was looked at
		case !h.Version.IsZero():
			v = h.Version
		}
		for _, osd := range r.Bad {
			fixed++
			switch {
			case r.Remove:
				p.removeUnexpected(osd, r)
			case osd == p.s.d.opt.ID:
				p.recovery.bad.Add(osd, r.Object)
				p.m.MarkMissing(r.Object, v)
				delete(p.objects, r.Object)
			default:
				p.recovery.bad.Add(osd, r.Object)
				p.m.MarkPeerMissing(osd, r.Object, v)
			}
		}
	}
	return fixed
}

// removeUnexpected removes what the log says was deleted.
func (p *pg) removeUnexpected(osd int32, r *scrub.Record) {
	if osd != p.s.d.opt.ID {
		p.s.d.sendTo(p.s.osdmap, osd, &message.MOSDPGBackfillRemove{PGHead: p.headTo(),
			Objects: []ceph.HObject{r.Object}, Versions: []ceph.Eversion{r.Version}})
		return
	}
	var t objectstore.Transaction
	p.removeObjects(&t, []ceph.HObject{r.Object})
	if !t.Empty() {
		p.s.submit(pending{pg: p, txn: &t})
		p.s.flush()
	}
}

// Finished stores the statistics, tells the members, and goes on with what is missing now.
func (p scrubHost) Finished(deep, clean bool) {
	p.recount = nil // this scrub has counted
	p.apply(p.settled().Scrubbed(deep, clean, ceph.TimeOf(p.s.now)))
	p.recover()
}

// scrubTick goes on with scrubs, and begins at most one: those that were asked for first, then what
// was scrubbed last longest ago.
func (s *shard) scrubTick() {
	var next *pg
	var job scrub.Job
	var oldest ceph.Time
	for _, p := range s.sorted() {
		j, due := p.scrub.Tick()
		last := p.m.Info().History.LastScrubStamp
		if due && (next == nil || j.Requested && !job.Requested ||
			j.Requested == job.Requested && last.Compare(oldest) < 0) {
			next, job, oldest = p, j, last
		}
	}
	if next != nil {
		next.scrub.Start(job)
	}
}

// hearScrub takes over what the primary has found: who becomes the next one still has to know.
func (p *pg) hearScrub(i *pginfo.Info) {
	s := &i.Stats
	p.stats.Scrub = s.Scrub
	p.stats.OmapBytes, p.stats.OmapKeys = s.OmapBytes, s.OmapKeys
	if i.LastUpdate == p.m.Info().LastUpdate {
		p.stats.Objects, p.stats.Bytes = s.Objects, s.Bytes
		p.stats.ObjectsOmap, p.stats.ObjectsDirty = s.ObjectsOmap, s.ObjectsDirty
		p.stats.ObjectsClone, p.stats.Whiteouts = s.ObjectsClone, s.Whiteouts
	}
}

// scrubRequest takes the manager's message for PGs whose primary we are.
func (d *Daemon) scrubRequest(b *message.MOSDScrub2) {
	if b.FSID != d.opt.FSID {
		return
	}
	for _, id := range b.PGs {
		d.shardOf(id).post(event{kind: evCall, call: func(s *shard) {
			if p := s.pgs[id]; p != nil && p.primary {
				p.scrub.Ask(b.Deep, b.Repair)
				s.scrubTick()
			}
		}})
	}
}
