package osd

import (
	"fmt"

	"glue/ceph"
	"glue/osd/ops"
	"glue/osd/recovery"
	"glue/store/objectstore"
	"glue/wire/message"
)

// backfillChunk is how many objects are compared and copied at a time. Writes to them wait
// meanwhile.
const backfillChunk = 16

// A backfill is the filling of one copy, in the order of objects. Up to the copy's last_backfill
// it has everything and takes every write; the chunk above it is being copied; of what is above
// the chunk it only takes the log.
type backfill struct {
	osd        int32
	begin, end ceph.HObject // the chunk: (begin, end]
	mine       map[ceph.HObject]ceph.Eversion
	scanning   bool
	waiting    map[ceph.HObject]bool // pushed, not durable there yet
	todo       []ceph.HObject
}

// beyondBackfill says whether a copy takes only the log of writes to an object.
func (p *pg) beyondBackfill(osd int32, o ceph.HObject) bool {
	peer := p.m.Peer(osd)
	return peer != nil && peer.Info.IsIncomplete() && o.Compare(peer.Info.LastBackfill) > 0
}

// backfilling says whether an object is in a chunk that is being copied.
func (p *pg) backfilling(o ceph.HObject) bool {
	for _, b := range p.recovery.targets {
		if o.Compare(b.begin) > 0 && o.Compare(b.end) <= 0 {
			return true
		}
	}
	return false
}

// backfillMore begins the next chunk of every target that has none, once nothing is missing in the
// logs' part.
func (p *pg) backfillMore() {
	if !p.active || !p.m.NeedsBackfill() {
		return
	}
	for _, osd := range p.m.BackfillTargets() {
		if b := p.recovery.targets[osd]; b != nil {
			p.backfillPushes(b)
			continue
		}
		if p.m.Peer(osd).Info.IsIncomplete() {
			p.nextChunk(osd)
		}
	}
}

// nextChunk lists the objects above last_backfill and asks the target what it has there.
func (p *pg) nextChunk(osd int32) {
	p.s.flush()
	begin := p.m.Peer(osd).Info.LastBackfill
	objects, end, err := p.listAfter(begin)
	if err != nil {
		p.s.d.log.Error("backfill can't list", "pg", p.id, "err", err)
		return
	}
	b := &backfill{osd: osd, begin: begin, end: end, scanning: true,
		mine: map[ceph.HObject]ceph.Eversion{}, waiting: map[ceph.HObject]bool{}}
	for _, o := range objects {
		st, err := ops.LoadState(p.s.d.store, p.id, o)
		if err != nil {
			p.pushFailed(o, err)
			return
		}
		if st.Exists {
			b.mine[o] = st.Info.Version
			b.todo = append(b.todo, o)
		}
	}
	p.recovery.targets[osd] = b
	p.s.d.sendTo(p.s.osdmap, osd, &message.MOSDPGScan{PGHead: p.headTo(),
		Kind: message.ScanAsk, Begin: begin, End: end})
}

// listAfter is the next objects above begin, and the last of them, or MAX when there are no more.
func (p *pg) listAfter(begin ceph.HObject) ([]ceph.HObject, ceph.HObject, error) {
	from := begin
	if from.IsMin() {
		from = ceph.HObject{Pool: p.id.Pool}
	}
	list, _, err := p.s.d.store.List(p.id, from, backfillChunk+2)
	if err != nil {
		return nil, begin, fmt.Errorf("list %v: %w", p.id, err)
	}
	if len(list) > 0 && list[0] == begin {
		list = list[1:]
	}
	if len(list) <= backfillChunk {
		return list, ceph.MaxHObject(), nil
	}
	return list[:backfillChunk], list[backfillChunk-1], nil
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

// scanned compares a chunk with what the target has, and copies what differs.
func (p *pg) scanned(m *message.MOSDPGScan) {
	b := p.recovery.targets[m.From.OSD]
	if b == nil || !b.scanning || m.Begin != b.begin || m.End != b.end ||
		len(m.Objects) != len(m.Versions) {
		return
	}
	b.scanning = false
	theirs := map[ceph.HObject]ceph.Eversion{}
	remove := &message.MOSDPGBackfillRemove{PGHead: p.headTo()}
	for i, o := range m.Objects {
		theirs[o] = m.Versions[i]
		if _, ok := b.mine[o]; !ok {
			remove.Objects = append(remove.Objects, o)
			remove.Versions = append(remove.Versions, m.Versions[i])
		}
	}
	if len(remove.Objects) > 0 {
		p.s.d.sendTo(p.s.osdmap, b.osd, remove)
	}
	todo := b.todo[:0]
	for _, o := range b.todo {
		if v, ok := theirs[o]; !ok || v != b.mine[o] {
			todo = append(todo, o)
		} else {
			p.recovery.copied[b.osd]++
		}
	}
	b.todo = todo
	p.backfillPushes(b)
}

// backfillPushes pushes what is left of a chunk; the end of the last push ends the chunk.
func (p *pg) backfillPushes(b *backfill) {
	if b.scanning {
		return
	}
	left := b.todo[:0]
	for _, o := range b.todo {
		if len(b.waiting) >= p.recoveryActive() || !p.push(o,
			map[int32]message.Progress{b.osd: recovery.Start()}, map[int32]bool{b.osd: true}) {
			left = append(left, o)
			continue
		}
		b.waiting[o] = true
	}
	b.todo = left
	if len(b.todo) == 0 && len(b.waiting) == 0 {
		p.chunkDone(b)
	}
}

// backfilledObject notes that an object of a chunk is on the target.
func (p *pg) backfilledObject(osd int32, o ceph.HObject) {
	if b := p.recovery.targets[osd]; b != nil {
		delete(b.waiting, o)
		p.recovery.copied[osd]++
	}
}

// chunkDone moves the target's last_backfill to the end of its chunk and lets writes to it go on.
func (p *pg) chunkDone(b *backfill) {
	delete(p.recovery.targets, b.osd)
	kind := uint8(message.BackfillProgress)
	if b.end.Max {
		kind = message.BackfillFinish
	}
	p.s.d.sendTo(p.s.osdmap, b.osd, &message.MOSDPGBackfill{PGHead: p.headTo(), Kind: kind,
		LastBackfill: b.end})
	effects := p.m.Backfilled(b.osd, b.end)
	held := p.recovery.held
	p.recovery.held = nil
	p.apply(effects)
	for _, op := range held {
		p.do(op)
	}
	p.backfillMore()
}

// backfillProgress takes the primary's word how far this copy is.
func (p *pg) backfillProgress(m *message.MOSDPGBackfill) {
	if !p.m.IsReplicaOf(m.From.OSD) {
		return
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
