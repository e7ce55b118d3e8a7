package osd

import (
	"fmt"
	"slices"

	"glue/ceph"
	"glue/cluster/pginfo"
	"glue/internal/admin"
	"glue/osd/ops"
	"glue/osd/pglog"
	"glue/wire/message"
)

// listedUnfound is how many objects one answer lists (osd_command_max_records).
const listedUnfound = 256

// onPrimary runs f on the PG of a command, whose primary this OSD has to be.
func (d *Daemon) onPrimary(args admin.Args, f func(*pg) (any, error)) (any, error) {
	id, err := ceph.ParsePGID(args.Str("pgid"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ceph.EINVAL)
	}
	spg := ceph.SPG{PGID: id, Shard: ceph.NoShard}
	var out any
	err = fmt.Errorf("i don't have pgid %v: %w", id, ceph.ENOENT)
	d.shardOf(spg).sync(func(s *shard) {
		if p := s.pgs[spg]; p != nil && p.primary {
			out, err = f(p)
		}
	})
	return out, err
}

func (d *Daemon) cmdListUnfound(args admin.Args) (any, error) {
	return d.onPrimary(args, func(p *pg) (any, error) { return p.listUnfound(), nil })
}

func (d *Daemon) cmdMarkLost(args admin.Args) (any, error) {
	return d.onPrimary(args, func(p *pg) (any, error) {
		return p.markLost(args.Str("mulcmd") == "revert")
	})
}

// listUnfound is "pg PGID list_unfound".
func (p *pg) listUnfound() *pginfo.UnfoundDump {
	out := &pginfo.UnfoundDump{Missing: p.m.Missing().Len(), Unfound: len(p.recovery.unfound),
		Objects: []pginfo.UnfoundObject{}, State: "Active", Available: true,
		Sources: p.sources()}
	if !p.active {
		out.State = p.m.State().String()
	}
	for _, o := range p.unfound() {
		if len(out.Objects) >= listedUnfound {
			out.More = true
			break
		}
		it, _ := p.m.Missing().Get(o)
		out.Objects = append(out.Objects, pginfo.NewUnfoundObject(o, it.Need, it.Have))
	}
	return out
}

// unfound are the objects that no copy has that can be asked, in their order.
func (p *pg) unfound() []ceph.HObject {
	var out []ceph.HObject
	for o := range p.recovery.unfound {
		if p.m.Missing().Has(o) {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, ceph.HObject.Compare)
	return out
}

// sources are the OSDs that may have unfound objects, and whether they have been asked.
func (p *pg) sources() []pginfo.UnfoundSource {
	return pginfo.UnfoundSources(p.s.osdmap, p.m.Past().Participants, p.s.d.opt.ID,
		func(osd int32) bool { return p.m.Peer(osd) != nil })
}

// markLost gives up all unfound objects: they go back to a version that a copy has, or are deleted.
// An OSD that may have them and has not been declared lost keeps them from being given up.
func (p *pg) markLost(revert bool) (any, error) {
	list := p.unfound()
	if !p.active || len(list) == 0 {
		return admin.Noted{Text: "pg has no unfound objects"}, nil
	}
	for _, s := range p.sources() {
		if s.Status != "already probed" {
			return nil, admin.Refuse(22, "pg has %d unfound objects but we haven't probed all "+
				"sources, not marking lost", len(list))
		}
	}
	for _, o := range list {
		it, _ := p.m.Missing().Get(o)
		from, back := int32(-1), ceph.Eversion{}
		if revert {
			from, back = p.older(o, it.Have)
		}
		p.s.d.log.Warn("unfound object is given up", "pg", p.id, "oid", o, "need", it.Need,
			"back", back, "revert", revert)
		p.recovery.lost[o] = back
		if from >= 0 && from != p.s.d.opt.ID {
			p.block(o)
			p.s.moveBegun()
			p.recovery.pulls[o] = &pull{from: from, need: back, revert: true}
			p.sendPull(o, message.Progress{First: true})
		}
		// Before all that waits for it; a head, of which clones are taken off, before them.
		op := &clientOp{object: o, lost: true, checked: true, m: &message.MOSDOp{PG: p.id,
			Hash: o.Hash, Object: o.Name, MTime: ceph.TimeOf(p.s.now)}}
		op.need.Write = true
		p.queueFirst(p.object(o.Head()), op)
	}
	for _, o := range list {
		if ob := p.object(o.Head()); !ob.isBlocked() {
			p.runWaiting(ob)
		}
	}
	return admin.Noted{Text: fmt.Sprintf("pg has %d objects unfound and apparently lost marking",
		len(list))}, nil
}

// older is who has the newest older version of an object: this OSD, a peer, or -1.
func (p *pg) older(o ceph.HObject, have ceph.Eversion) (int32, ceph.Eversion) {
	from := int32(-1)
	st, err := ops.LoadState(p.s.d.store, p.id, o)
	if err == nil && st.Exists && st.Info.Version == have {
		from = p.s.d.opt.ID
	} else {
		have = ceph.Eversion{}
	}
	for _, osd := range p.m.Peers() {
		peer := p.m.Peer(osd)
		if peer.Missing == nil || !p.s.osdmap.IsUp(osd) || p.recovery.bad.Has(osd, o) {
			continue
		}
		if it, ok := peer.Missing.Get(o); ok && have.Less(it.Have) {
			from, have = osd, it.Have
		}
	}
	return from, have
}

// lose writes to the log that an object is what it is here, or gone. Every copy that misses it
// learns from the entry what it misses now. A head waits for the clones that are not lost.
func (p *pg) lose(ob *object, op *clientOp) {
	o, lost := op.object, p.recovery.lost
	it, missing := p.m.Missing().Get(o)
	back, given := lost[o]
	if !given || !missing || p.source(o, it.Need) >= 0 {
		delete(lost, o) // it was found, or this is another interval
		op.release(p)
		return
	}
	for _, c := range p.m.Missing().Objects() {
		if _, gone := lost[c]; !gone && o.Snap == ceph.NoSnap && c.Head() == o && c != o &&
			p.unreadable(ob, op, c, false) {
			return
		}
	}
	p.s.flush()
	l := ops.Loss{Object: o, Need: it.Need, Back: back,
		At: ceph.Eversion{Version: p.next.Version + 1, Epoch: p.s.osdmap.Epoch}}
	out, ok := ops.GiveUp(&p.env, &l)
	delete(lost, o)
	if !ok || out.Failure != nil {
		p.s.d.log.Error("an unfound object can't be given up", "pg", p.id, "oid", o, "err",
			out.Failure)
		op.release(p)
		return
	}
	delete(p.recovery.unfound, o)
	op.reverts = out.Log == ops.LogModify && out.Clone == nil
	p.stats.Estimated = true // what was lost is not known
	p.startWrite(ob, op, &out)
	p.s.flush()
	if p.m.Info().LastUpdate == out.At { // the store has taken it
		p.m.GotObject(o, out.At)
	}
	p.store(0)
	p.apply(p.settled().Recovered())
	p.recover()
}

// reconcile brings a loaded missing set up to what the log says of objects that were given up, in
// case the OSD ended between the two.
func (d *Daemon) reconcile(id ceph.SPG, l *pglog.Log, m *pglog.Missing) {
	for _, o := range m.InOrder() {
		it, _ := m.Get(o)
		v, ok := l.Latest(o)
		if !ok || !it.Need.Less(v) {
			continue
		}
		e, ok := l.Entry(v)
		if !ok {
			continue
		}
		m.Next(e)
		if st, err := ops.LoadState(d.store, id, o); err == nil && st.Exists &&
			st.Info.Version == v {
			m.Remove(o)
		}
	}
}
