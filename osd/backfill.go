package osd

import (
	"fmt"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/pginfo"
	"glue/osd/ops"
	"glue/osd/recovery"
	"glue/osd/reserve"
	"glue/osd/snaps"
	"glue/store/objectstore"
	"glue/wire/message"
)

// beyondBackfill says whether a copy takes only the log of a write to an object, which then
// with it. A clone is on the same side as its head.
func (p *pg) beyondBackfill(osd int32, o, clone ceph.HObject) bool {
	peer := p.m.Peer(osd)
	if peer == nil || !peer.Info.IsIncomplete() || o.Compare(peer.Info.LastBackfill) <= 0 {
		return false
	}
	c := p.recovery.targets[osd]
	return c == nil || !c.Covers(o) || !c.Wrote(o, clone)
}

// backfillNext begins with one object, or a chunk, of a target that has something to do; false
// when there is none.
func (p *pg) backfillNext() bool {
	for _, osd := range p.m.BackfillTargets() {
		c := p.recovery.targets[osd]
		switch {
		case c == nil && p.m.Peer(osd).Info.IsIncomplete():
			return p.nextChunk(osd)
		case c == nil || c.Scanning():
		case p.backfillObject(osd, c):
			return true
		}
	}
	return false
}

// backfillObject begins with the first object of a chunk that can be.
func (p *pg) backfillObject(osd int32, c *recovery.Chunk) bool {
	for _, o := range slices.Clone(c.Todo()) {
		if p.copyTo(osd, c, o) {
			p.chunkDone(osd, c)
			return true
		}
	}
	return false
}

// copyTo sends an object to a target, or has it removed there when it is gone here.
func (p *pg) copyTo(osd int32, c *recovery.Chunk, o ceph.HObject) bool {
	if p.recovery.refused.Has(osd, o) || p.m.Missing().Has(o) {
		return false
	}
	if ob := p.object(o.Head()); p.recovery.pushes[o] != nil || ob.inflight > 0 {
		ob.wanted = true
		return false
	}
	st, err := ops.LoadState(p.s.d.store, p.id, o)
	if err == nil && !st.Exists {
		p.s.d.sendTo(p.s.osdmap, osd, &message.MOSDPGBackfillRemove{PGHead: p.headTo(),
			Objects: []ceph.HObject{o}, Versions: []ceph.Eversion{{}}})
		c.Begun(o)
		c.Copied(o)
		return true
	}
	if !p.push(o, map[int32]ceph.Eversion{osd: c.Theirs(o)}, map[int32]bool{osd: true}) {
		return false
	}
	c.Begun(o)
	return true
}

// pushWanted goes on with an object and its clones that could not be sent while writes of it were
// in flight.
func (p *pg) pushWanted(head ceph.HObject) {
	for _, osd := range p.m.BackfillTargets() {
		c := p.recovery.targets[osd]
		if c == nil || c.Scanning() {
			continue
		}
		for _, o := range slices.Clone(c.Todo()) {
			if o.Head() == head && p.recovery.targets[osd] == c {
				p.copyTo(osd, c, o)
				p.chunkDone(osd, c)
			}
		}
	}
}

// nextChunk lists the objects above last_backfill and asks the target what it has there; false if
// it can't. A store that can't list what it has is the end of the daemon.
func (p *pg) nextChunk(osd int32) bool {
	p.s.flush()
	begin := p.m.Peer(osd).Info.LastBackfill
	objects, end, err := p.listAfter(begin)
	if err != nil {
		p.s.d.fail(fmt.Errorf("backfill: %w", err))
		return false
	}
	mine := map[ceph.HObject]ceph.Eversion{}
	for _, o := range objects {
		st, err := ops.LoadState(p.s.d.store, p.id, o)
		if err != nil {
			p.pushFailed(o, err)
			return false
		}
		if st.Exists {
			mine[o] = st.Info.Version
		}
	}
	if _, ok := p.recovery.copied[osd]; !ok {
		p.recovery.copied[osd] = int64(p.backfilledShare(osd) * float64(p.stats.Objects))
	}
	p.recovery.targets[osd] = recovery.NewChunk(begin, end, mine)
	p.s.d.sendTo(p.s.osdmap, osd, &message.MOSDPGScan{PGHead: p.headTo(),
		Kind: message.ScanAsk, Begin: begin, End: end})
	return true
}

// backfilledShare is about how much of the PG a target has, by how far its last_backfill is.
func (p *pg) backfilledShare(osd int32) float64 {
	peer := p.m.Peer(osd)
	if peer == nil {
		return 0
	}
	return recovery.Share(peer.Info.LastBackfill, p.pool.PGNum)
}

// listAfter is the next objects above begin, and the last of them, or MAX when there are no more.
func (p *pg) listAfter(begin ceph.HObject) ([]ceph.HObject, ceph.HObject, error) {
	from := begin
	if from.IsMin() {
		from = ceph.HObject{Pool: p.id.Pool}
	}
	list, next, err := snaps.List(p.s.d.store, p.id, from, recovery.ChunkObjects+1)
	if err != nil {
		return nil, begin, fmt.Errorf("list %v: %w", p.id, err)
	}
	if len(list) > 0 && list[0] == begin {
		list = list[1:]
	}
	if next.Max || len(list) == 0 {
		return list, ceph.MaxHObject(), nil
	}
	return list, list[len(list)-1].Head(), nil
}

// backfillMessage takes a message of a backfill.
func (p *pg) backfillMessage(ev *event) {
	switch m := ev.msg.Body.(type) {
	case *message.MOSDPGScan:
		if m.Kind == message.ScanAsk {
			p.scanFor(m)
		} else {
			p.scanned(m)
		}
	case *message.MOSDPGBackfill:
		p.backfillProgress(m)
	case *message.MOSDPGBackfillRemove:
		p.backfillRemove(m)
	}
}

// scanFor tells the primary what this copy has in a range.
func (p *pg) scanFor(m *message.MOSDPGScan) {
	if !p.m.IsReplicaOf(m.From.OSD) {
		return
	}
	if p.lent.Kind == reserve.Backfill &&
		p.s.d.tooFullFor(p.s.osdmap, slotKey{p.id, p.lent.Seq}, 0) {
		p.refuseBackfill()
		return
	}
	r := &message.MOSDPGScan{PGHead: p.headTo(), Kind: message.ScanDigest, Begin: m.Begin,
		End: m.End}
	from := m.Begin
	if from.IsMin() {
		from = ceph.HObject{Pool: p.id.Pool}
	}
	for more := true; more; {
		list, next, err := p.s.d.store.List(p.id, from, 256)
		if err != nil {
			p.s.d.log.Error("scan failed", "pg", p.id, "err", err)
			return
		}
		for _, o := range list {
			if o.Compare(m.Begin) <= 0 {
				continue
			}
			if o.Compare(m.End) > 0 {
				more = false
				break
			}
			st, err := ops.LoadState(p.s.d.store, p.id, o)
			v := ceph.Eversion{}
			if err == nil {
				v = st.Info.Version
			}
			r.Objects, r.Versions = append(r.Objects, o), append(r.Versions, v)
		}
		more = more && !next.Max && len(list) > 0
		from = next
	}
	p.s.d.sendTo(p.s.osdmap, m.From.OSD, r)
}

// scanned compares a chunk with what the target has; what differs is to be copied.
func (p *pg) scanned(m *message.MOSDPGScan) {
	osd := m.From.OSD
	c := p.recovery.targets[osd]
	if c == nil || !c.Scanning() || m.Begin != c.Begin || m.End != c.End ||
		len(m.Objects) != len(m.Versions) {
		return
	}
	same, remove, versions := c.Scanned(m.Objects, m.Versions)
	p.recovery.copied[osd] += int64(same)
	if len(remove) > 0 {
		p.s.d.sendTo(p.s.osdmap, osd, &message.MOSDPGBackfillRemove{PGHead: p.headTo(),
			Objects: remove, Versions: versions})
	}
	p.chunkDone(osd, c)
	p.recover()
}

// backfilledObject notes that an object of a chunk is on the target.
func (p *pg) backfilledObject(osd int32, o ceph.HObject) {
	if c := p.recovery.targets[osd]; c != nil {
		c.Copied(o)
		p.recovery.copied[osd]++
		p.chunkDone(osd, c)
	}
}

// chunkDone moves the target's last_backfill to the end of its chunk, if it has all of that.
func (p *pg) chunkDone(osd int32, c *recovery.Chunk) {
	if !c.Done() || p.recovery.targets[osd] != c {
		return
	}
	delete(p.recovery.targets, osd)
	kind := uint8(message.BackfillProgress)
	if c.End.Max {
		kind = message.BackfillFinish
	}
	p.s.d.sendTo(p.s.osdmap, osd, &message.MOSDPGBackfill{PGHead: p.headTo(), Kind: kind,
		LastBackfill: c.End, Stats: denc.Marshal(&p.stats, ceph.FeaturesAll)})
	p.apply(p.settled().Backfilled(osd, c.End))
}

// backfillProgress takes the primary's word how far this copy is, and what was recovered: it may be
// the next primary.
func (p *pg) backfillProgress(m *message.MOSDPGBackfill) {
	if !p.m.IsReplicaOf(m.From.OSD) {
		return
	}
	var stats pginfo.Stats
	if denc.Unmarshal(m.Stats, &stats, ceph.FeaturesAll) == nil { // an older primary sends none
		p.stats.TakeRecovered(&stats)
	}
	p.m.SetLastBackfill(m.LastBackfill)
	p.store(0)
}

// backfillRemove removes objects that the primary does not have.
func (p *pg) backfillRemove(m *message.MOSDPGBackfillRemove) {
	if !p.m.IsReplicaOf(m.From.OSD) {
		return
	}
	var t objectstore.Transaction
	p.removeObjects(&t, m.Objects)
	if t.Empty() {
		return
	}
	p.s.submit(pending{pg: p, txn: &t, done: func(err error) {
		if err != nil {
			p.s.d.fail(fmt.Errorf("remove objects of %v: %w", p.id, err))
		}
	}})
	p.s.flush()
}
