package osd

import (
	"fmt"
	"slices"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/osdmap"
	"glue/osd/records"
	"glue/wire/message"
)

// leaseTime is how long a lease of the pool is.
func (p *pg) leaseTime() time.Duration {
	if v, ok := p.pool.Opts[osdmap.OptReadLeaseInterval]; ok && v.Float > 0 {
		return time.Duration(v.Float * float64(time.Second))
	}
	return p.s.d.config.Load().lease
}

// suspect assumes of everybody who may have served beside a copy that was just loaded that the copy
// has promised something before it ended.
func (p *pg) suspect() {
	m := p.m.Map()
	up, _ := p.m.Up()
	acting, _ := p.m.Acting()
	for _, osds := range [][]int32{up, acting, p.m.Past().Participants} {
		for _, o := range osds {
			if o != p.s.d.opt.ID && m.Exists(o) {
				p.lease.Promise(p.s.d.now(), o, m.Info[o].UpFrom, p.leaseTime())
			}
		}
	}
}

// promises are those that still hold, for another primary.
func (p *pg) promises() []byte {
	out := p.lease.Promises(p.s.d.now())
	return denc.Marshal(&out, ceph.FeaturesAll)
}

// hear takes from a peering message whom its sender may have let serve. That it speaks of the
// present interval says that it does not serve in an earlier one itself.
func (p *pg) hear(b message.Body) error {
	var h *message.PGHead
	switch b := b.(type) {
	case *message.MOSDPGNotify2:
		h = &b.PGHead
		var list records.Promises
		if len(b.Leases) > 0 {
			if err := denc.Unmarshal(b.Leases, &list, ceph.FeaturesAll); err != nil {
				return fmt.Errorf("leases: %w", err)
			}
		}
		for _, r := range list {
			p.lease.Promise(p.s.d.now(), r.OSD, r.UpFrom,
				min(time.Duration(r.LeftNS), 2*p.leaseTime()))
		}
	case *message.MOSDPGInfo2:
		h = &b.PGHead
	case *message.MOSDPGLog:
		h = &b.PGHead
	default:
		return nil
	}
	if h.Epoch >= p.resetEpoch && h.MinEpoch >= p.resetEpoch {
		p.lease.Hear(h.From.OSD)
	}
	return nil
}

// serve makes an activated PG active as soon as nobody else may serve.
func (p *pg) serve() {
	if p.waits && p.lease.Over(p.s.now, p.s.d.opt.ID, p.s.osdmap) {
		p.becomeActive()
	}
}

// readable says whether this copy may serve now.
func (p *pg) readable() bool { return p.lease.Readable(p.s.now) }

// lenders are the copies without whose promise this one may not serve.
func (p *pg) lenders() []int32 {
	if p.primary {
		return p.members
	}
	acting, _ := p.m.Acting()
	self := p.s.d.opt.ID
	return slices.DeleteFunc(slices.Clone(acting), func(o int32) bool { return o == self || o < 0 })
}

// askLease asks every other copy for a lease from now on.
func (p *pg) askLease() {
	now, length := p.s.now, p.leaseTime()
	p.lease.Ask(now)
	lenders := p.lenders()
	if len(lenders) == 0 {
		p.granted(now.Add(length))
		return
	}
	for _, o := range lenders {
		p.s.d.sendTo(p.s.osdmap, o, &message.MOSDPGLease{PGHead: p.headTo(),
			UntilNS: int64(now.Add(length).Sub(p.s.d.start)), IntervalNS: int64(length),
			Durable: p.settledTo()})
	}
}

// settledTo is what a primary may tell others to be durable on all copies.
func (p *pg) settledTo() ceph.Eversion {
	if !p.primary || !p.active {
		return ceph.Eversion{}
	}
	return p.window.Durable()
}

// lets says whether another copy may have this one's promise. A primary gives it when nobody of an
// earlier interval serves any more and writes need the other copy.
func (p *pg) lets(osd int32) bool {
	acting, primary := p.m.Acting()
	if p.primary {
		return p.active && p.writeable && slices.Contains(acting, osd)
	}
	return osd == primary || slices.Contains(acting, osd)
}

// leaseMessage takes another copy's wish, or its answer to ours.
func (p *pg) leaseMessage(ev *event) {
	defer ev.msg.Release()
	_, primary := p.m.Acting()
	from, durable := ev.head.From.OSD, ceph.Eversion{}
	switch b := ev.msg.Body.(type) {
	case *message.MOSDPGLease:
		if !p.lets(from) {
			return
		}
		p.lease.Promise(p.s.d.now(), from, p.s.osdmap.Info[from].UpFrom,
			time.Duration(b.IntervalNS))
		p.s.d.sendTo(p.s.osdmap, from, &message.MOSDPGLeaseAck{PGHead: p.headTo(),
			UntilNS: b.UntilNS, Durable: p.settledTo(), Room: p.s.d.ownRoom(p.s.d.now())})
		durable = b.Durable
	case *message.MOSDPGLeaseAck:
		durable = b.Durable
		p.s.d.room.Heard(from, b.Room)
		p.granted(p.lease.Ack(from, p.s.d.start.Add(time.Duration(b.UntilNS)), p.lenders()))
	}
	if from == primary && !p.primary {
		p.lease.Settle(durable)
		if !durable.IsZero() { // the primary is active
			p.lease.Active()
		}
	}
}

// endLeases ends serving for good, so that the monitors can be told that this OSD is dead.
func (s *shard) endLeases() {
	for _, p := range s.pgs {
		p.lease.Until = time.Time{}
	}
}

// granted lets this copy serve until a time; what has waited for that goes on.
func (p *pg) granted(until time.Time) {
	if !until.After(p.lease.Until) || p.s.d.ending.Load() {
		return
	}
	late := !p.readable()
	p.lease.Until = until
	if late && p.active && p.readable() {
		p.dirty = true
		p.doWaiting()
	}
}

// leaseTick renews the primary's lease, and sees whether the time of others is over. Other copies
// renew theirs when they are used.
func (p *pg) leaseTick() {
	p.serve()
	if !p.primary || !p.lease.Asked() {
		return
	}
	if !p.readable() {
		p.dirty = true
	} else if !p.lease.Due(p.s.now, p.leaseTime()) {
		return
	}
	p.askLease()
}
