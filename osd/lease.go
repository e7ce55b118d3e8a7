package osd

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/osdmap"
	"glue/osd/records"
	"glue/wire/message"
)

// Leases keep a primary that was replaced without knowing it, because it was stopped or cut off,
// from answering with what has been overwritten since. A primary serves only while every other copy
// has promised to follow no other one; a copy that has promised tells the next primary, which
// waits until the time is over, unless the earlier one is known to serve no more: it has spoken in
// the new interval, it was started again, or it is dead.
//
// A request counts as done when its turn of the shard began, which is after it came: what the lease
// allowed then stays right, however long the answer takes.

// A lease is the promises of one PG copy.
type lease struct {
	// The primary's own: until when it may serve, what each copy has agreed to, when it last asked.
	until time.Time
	acked map[int32]time.Time
	asked time.Time
	// promised is until when others may serve, by OSD; heard is who has spoken in this interval,
	// and so serves in no earlier one.
	promised map[int32]promise
	heard    map[int32]bool
}

// A promise is that the incarnation of an OSD may serve until some time on our clock.
type promise struct {
	upFrom ceph.Epoch
	until  time.Time
}

// end begins another interval, in which only what was promised still holds.
func (l *lease) end() { *l = lease{promised: l.promised, heard: map[int32]bool{}} }

// leaseTime is how long a lease of the pool is.
func (p *pg) leaseTime() time.Duration {
	if v, ok := p.pool.Opts[osdmap.OptReadLeaseInterval]; ok && v.Float > 0 {
		return time.Duration(v.Float * float64(time.Second))
	}
	return p.s.d.config.Load().lease
}

// suspect assumes of everybody who may have been the primary of a copy that was just loaded that
// the copy has promised something before it ended.
func (p *pg) suspect() {
	m := p.m.Map()
	up, _ := p.m.Up()
	acting, _ := p.m.Acting()
	for _, osds := range [][]int32{up, acting, p.m.Past().Participants} {
		for _, o := range osds {
			if o != p.s.d.opt.ID && m.Exists(o) {
				p.promise(o, m.Info[o].UpFrom, p.leaseTime())
			}
		}
	}
}

// promise notes that an OSD may serve for some time from now.
func (p *pg) promise(osd int32, upFrom ceph.Epoch, left time.Duration) {
	pr := p.lease.promised[osd]
	until := p.s.d.now().Add(left + left/64) // clocks run unevenly
	if upFrom < pr.upFrom || upFrom == pr.upFrom && until.Before(pr.until) {
		return
	}
	p.lease.promised[osd] = promise{upFrom, until}
}

// promises are those that still hold, for another primary.
func (p *pg) promises() []byte {
	var out records.Promises
	now := p.s.d.now()
	for _, o := range slices.Sorted(maps.Keys(p.lease.promised)) {
		if pr := p.lease.promised[o]; now.Before(pr.until) {
			out = append(out, records.Promise{OSD: o, UpFrom: pr.upFrom,
				LeftNS: int64(pr.until.Sub(now))})
		}
	}
	return encode(&out)
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
			p.promise(r.OSD, r.UpFrom, min(time.Duration(r.LeftNS), 2*p.leaseTime()))
		}
	case *message.MOSDPGInfo2:
		h = &b.PGHead
	case *message.MOSDPGLog:
		h = &b.PGHead
	default:
		return nil
	}
	if h.Epoch >= p.resetEpoch && h.MinEpoch >= p.resetEpoch {
		p.lease.heard[h.From.OSD] = true
	}
	return nil
}

// mayServe says whether an OSD may still serve in an earlier interval.
func (p *pg) mayServe(osd int32, pr promise) bool {
	m := p.s.osdmap
	switch {
	case osd == p.s.d.opt.ID || p.lease.heard[osd] || !p.s.now.Before(pr.until):
		return false
	case m.Exists(osd) && m.Info[osd].UpFrom > pr.upFrom:
		return false // another incarnation, which began without what the earlier one had
	case m.Exists(osd) && !m.IsUp(osd) && m.XInfo[osd].DeadEpoch >= pr.upFrom:
		return false
	}
	return true
}

// serve makes an activated PG active as soon as nobody else may serve.
func (p *pg) serve() {
	if !p.waits {
		return
	}
	for o, pr := range p.lease.promised {
		if p.mayServe(o, pr) {
			return
		}
		delete(p.lease.promised, o)
	}
	p.becomeActive()
}

// readable says whether the primary may serve now.
func (p *pg) readable() bool { return p.s.now.Before(p.lease.until) }

// askLease asks every copy for a lease from now on.
func (p *pg) askLease() {
	l := &p.lease
	now, length := p.s.now, p.leaseTime()
	l.asked = now
	if len(p.members) == 0 {
		p.granted(now.Add(length))
		return
	}
	if l.acked == nil {
		l.acked = map[int32]time.Time{}
	}
	for _, o := range p.members {
		p.s.d.sendTo(p.s.osdmap, o, &message.MOSDPGLease{PGHead: p.headTo(),
			UntilNS: int64(now.Add(length).Sub(p.s.d.start)), IntervalNS: int64(length)})
	}
}

// leaseMessage takes a primary's wish, or a copy's answer.
func (p *pg) leaseMessage(ev *event) {
	defer ev.msg.Release()
	switch b := ev.msg.Body.(type) {
	case *message.MOSDPGLease:
		if _, primary := p.m.Acting(); p.primary || b.From.OSD != primary {
			return
		}
		p.promise(b.From.OSD, p.s.osdmap.Info[b.From.OSD].UpFrom, time.Duration(b.IntervalNS))
		p.s.d.sendTo(p.s.osdmap, b.From.OSD, &message.MOSDPGLeaseAck{PGHead: p.headTo(),
			UntilNS: b.UntilNS})
	case *message.MOSDPGLeaseAck:
		if p.primary && p.lease.acked != nil {
			p.lease.acked[b.From.OSD] = p.s.d.start.Add(time.Duration(b.UntilNS))
			p.countLease()
		}
	}
}

// countLease sees until when all copies let this primary serve.
func (p *pg) countLease() {
	var least time.Time
	for i, o := range p.members {
		if t := p.lease.acked[o]; i == 0 || t.Before(least) {
			least = t
		}
	}
	p.granted(least)
}

// endLeases ends serving for good, so that the monitors can be told that this OSD is dead.
func (s *shard) endLeases() {
	for _, p := range s.pgs {
		p.lease.until = time.Time{}
	}
}

// granted lets this primary serve until a time; what has waited for that goes on.
func (p *pg) granted(until time.Time) {
	if !until.After(p.lease.until) || p.s.d.ending.Load() {
		return
	}
	late := !p.readable()
	p.lease.until = until
	if late && p.active && p.readable() {
		p.dirty = true
		p.doWaiting()
	}
}

// leaseTick renews the lease, and sees whether the time of others is over.
func (p *pg) leaseTick() {
	p.serve()
	if !p.primary || p.lease.asked.IsZero() {
		return
	}
	if !p.readable() {
		p.dirty = true
	} else if p.s.now.Sub(p.lease.asked) < p.leaseTime()/2 {
		return
	}
	p.askLease()
}
