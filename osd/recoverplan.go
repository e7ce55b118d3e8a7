package osd

import (
	"slices"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
	"glue/osd/reserve"
	"glue/wire/message"
)

// recover asks for the slots that the PG needs now, or gives back what it no longer needs, and goes
// on when it has them.
func (p *pg) recover() {
	p.claimed(p.claim.Want(p.plan()))
	if p.claim.State() == reserve.Held {
		p.s.enqueue(p)
	}
}

// plan is what the PG would do next: recovery from the log, then backfill.
func (p *pg) plan() reserve.Plan {
	p.recovery.full = false
	if p.active && !p.m.NeedsRecovery() {
		p.forced &^= pgstat.ForcedRecovery
	}
	if p.m.IsClean() {
		p.forced = 0
	}
	m := p.s.osdmap
	if !p.active || p.m.IsClean() || p.s.now.Before(p.recovery.from) {
		return reserve.Plan{}
	}
	switch {
	case p.m.NeedsRecovery():
		if m.Flags.Has(osdmap.FlagNoRecover) || p.stuck() {
			return reserve.Plan{}
		}
		full := func(o int32) bool { return m.State[o]&osdmap.OSDFull != 0 }
		p.recovery.full = full(p.s.d.opt.ID) || slices.ContainsFunc(p.members, full)
		if p.recovery.full {
			return reserve.Plan{}
		}
		return reserve.Plan{Kind: reserve.Recovery, Priority: p.need().Recovery(),
			Targets: p.members}
	case p.m.NeedsBackfill():
		if m.Flags.Has(osdmap.FlagNoBackfill) ||
			m.Flags.Has(osdmap.FlagNoRebalance) && !p.degraded() {
			return reserve.Plan{}
		}
		return reserve.Plan{Kind: reserve.Backfill, Priority: p.need().Backfill(),
			Targets: p.m.BackfillTargets()}
	}
	return reserve.Plan{}
}

// need is what the PG's priority follows from.
func (p *pg) need() reserve.Need {
	acting, _ := p.m.Acting()
	n := reserve.Need{Size: int(p.pool.Size), MinSize: int(p.pool.MinSize),
		Acting: len(acting), Whole: len(p.whole()), Degraded: p.degraded(),
		Pool: p.pool.Opts[osdmap.OptRecoveryPriority].Int}
	n.Forced = p.forced.Has(pgstat.ForcedRecovery) && p.m.NeedsRecovery() ||
		p.forced.Has(pgstat.ForcedBackfill) && !p.m.NeedsRecovery()
	return n
}

// stuck says whether all that is missing is unfound.
func (p *pg) stuck() bool {
	r := &p.recovery
	if len(r.unfound) == 0 || len(r.pulls)+len(r.pushes)+len(r.todo) > 0 ||
		p.m.Missing().Len() > len(r.unfound) {
		return false
	}
	for _, osd := range p.members {
		if peer := p.m.Peer(osd); peer != nil && peer.Missing != nil {
			for _, o := range peer.Missing.Objects() {
				if !r.unfound[o] {
					return false
				}
			}
		}
	}
	return true
}

// workOn does the next piece of what the PG has its slots for.
func (p *pg) workOn() {
	if p.m.IsClean() {
		p.trimNext()
		return
	}
	if p.claim.State() != reserve.Held {
		return
	}
	for n := range p.s.d.config.Load().background.SingleStart {
		if n > 0 && !p.s.mayStart() {
			break
		}
		more := false
		if p.claim.Kind() == reserve.Recovery {
			more = p.recoverNext()
		} else {
			more = p.backfillNext()
		}
		if !more {
			return
		}
	}
	p.s.enqueue(p)
}

// forceRecovery takes an operator's word which PGs go first, or no longer do.
func (d *Daemon) forceRecovery(m *message.MOSDForceRecovery) {
	if m.FSID != d.opt.FSID {
		return
	}
	var bits pgstat.State
	if m.Options&message.ForceRecovery != 0 {
		bits |= pgstat.ForcedRecovery
	}
	if m.Options&message.ForceBackfill != 0 {
		bits |= pgstat.ForcedBackfill
	}
	for _, id := range m.PGs {
		spg := ceph.SPG{PGID: id.PGID, Shard: ceph.NoShard}
		d.shardOf(spg).post(event{kind: evCall, call: func(s *shard) {
			p := s.pgs[spg]
			if p == nil || !p.primary {
				return
			}
			p.forced |= bits
			if m.Options&message.ForceCancel != 0 {
				p.forced &^= bits
			}
			p.changed, p.dirty = s.now, true
			p.recover()
		}})
	}
}
