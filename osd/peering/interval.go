package peering

import (
	"slices"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
)

// mapChange moves to the next epoch and starts a new interval if the PG's place changed.
func (ma *Machine) mapChange(m *osdmap.Map) {
	old := ma.osdmap
	ma.setMap(m)
	if m.Pools[ma.pg.Pool] == nil {
		if ma.state != Deleting {
			ma.reset()
			ma.enter(Deleting)
			ma.emit(Delete{})
		}
		return
	}
	up, upP, acting, actP := place(m, ma.pg)
	next := placing{m, up, acting, upP, actP}
	last := placing{old, ma.up, ma.acting, ma.upPrimary, ma.primary}
	if newInterval(ma.pg.PGID, last, next) {
		h := &ma.info.History
		closeInterval(&ma.past, h, ma.pg.Pool, last, m.Epoch-1)
		h.SameIntervalSince = m.Epoch
		if !slices.Equal(up, ma.up) || upP != ma.upPrimary {
			h.SameUpSince = m.Epoch
		}
		if actP != ma.primary {
			h.SamePrimarySince = m.Epoch
		}
		ma.up, ma.acting, ma.upPrimary, ma.primary = up, acting, upP, actP
		ma.restart = false
		ma.dirtyInfo = true
		ma.reset()
		return
	}
	if ma.IsPrimary() {
		ma.peersDown()
	}
}

// A placing is where a PG is in one map.
type placing struct {
	m           *osdmap.Map
	up, acting  []int32
	upP, actPri int32
}

// newInterval says whether anything changed that ends an interval (is_new_interval). Besides
// Ceph's conditions, a member that went down and came up again between two maps counts.
func newInterval(pg ceph.PGID, a, b placing) bool {
	if a.actPri != b.actPri || a.upP != b.upP || !slices.Equal(a.acting, b.acting) ||
		!slices.Equal(a.up, b.up) {
		return true
	}
	p, q := a.m.Pools[pg.Pool], b.m.Pools[pg.Pool]
	if p == nil || q == nil {
		return p != nil
	}
	if p.Size != q.Size || p.MinSize != q.MinSize || pginfo.Resized(pg, p, q) {
		return true
	}
	for _, osds := range [][]int32{b.acting, b.up} {
		for _, o := range osds {
			if o >= 0 && a.m.Exists(o) && b.m.Exists(o) && upFrom(a.m, o) != upFrom(b.m, o) {
				return true
			}
		}
	}
	return false
}

func upFrom(m *osdmap.Map, osd int32) ceph.Epoch { return m.Info[osd].UpFrom }

// closeInterval appends the interval that ended with epoch last to the past intervals
// (check_new_interval).
func closeInterval(past *pginfo.PastIntervals, h *pginfo.History, pool int64, p placing,
	last ceph.Epoch,
) {
	i := pginfo.Interval{First: h.SameIntervalSince, Last: last, Up: p.up, Acting: p.acting,
		Primary: p.actPri, UpPrimary: p.upP}
	acting := 0
	for _, o := range p.acting {
		if o >= 0 && o != osdmapNone {
			acting++
		}
	}
	pl := p.m.Pools[pool]
	if pl != nil && acting > 0 && p.actPri >= 0 && acting >= int(pl.MinSize) {
		life := p.m.Info[p.actPri]
		i.MaybeWentRW = life.UpThru >= i.First && life.UpFrom <= i.First ||
			h.LastEpochClean >= i.First && h.LastEpochClean <= i.Last
	}
	past.Add(i, func(o int32) ceph.Epoch { return p.m.Info[o].LostAt })
}

const osdmapNone = 0x7fffffff

// History computes what is known of a PG that came into being in epoch created, from the maps
// since then (build_initial_pg_history): get returns the map of an epoch.
func History(pg ceph.SPG, created ceph.Epoch, now *osdmap.Map,
	get func(ceph.Epoch) (*osdmap.Map, error),
) (Copy, error) {
	c := Created(pg, created)
	h := &c.Info.History
	m, err := get(created)
	if err != nil {
		return c, err
	}
	var last placing
	last.m = m
	last.up, last.upP, last.acting, last.actPri = place(m, pg)
	for e := created + 1; e <= now.Epoch; e++ {
		if m, err = get(e); err != nil {
			return c, err
		}
		next := placing{m: m}
		next.up, next.upP, next.acting, next.actPri = place(m, pg)
		if newInterval(pg.PGID, last, next) {
			closeInterval(&c.Past, h, pg.Pool, last, e-1)
			h.SameIntervalSince = e
			if !slices.Equal(next.up, last.up) || next.upP != last.upP {
				h.SameUpSince = e
			}
			if next.actPri != last.actPri {
				h.SamePrimarySince = e
			}
		}
		last = next
	}
	return c, nil
}

// SameInterval says whether a PG's interval has not changed from epoch since until the map now.
func SameInterval(pg ceph.SPG, since ceph.Epoch, now *osdmap.Map,
	get func(ceph.Epoch) (*osdmap.Map, error),
) bool {
	last := placing{m: now}
	last.up, last.upP, last.acting, last.actPri = place(now, pg)
	for e := now.Epoch - 1; e >= since && e > 0; e-- {
		m, err := get(e)
		if err != nil {
			return false
		}
		p := placing{m: m}
		p.up, p.upP, p.acting, p.actPri = place(m, pg)
		if newInterval(pg.PGID, p, last) {
			return false
		}
		last = p
	}
	return true
}

// A priorSet is whom the primary has to hear from before it can know what was written (PriorSet).
type priorSet struct {
	probe   map[int32]bool
	down    map[int32]bool       // would be probed if they were up
	blocked map[int32]ceph.Epoch // down, and needed: their lost_at
	pgDown  bool
}

// buildPrior follows PastIntervals::PriorSet for replicated pools, where one survivor of an
// interval is enough. But an OSD that was declared lost, or has a new disk, is no survivor: Ceph
// goes on without the data when the one that still has it is only down at that moment.
func (ma *Machine) buildPrior() {
	p := priorSet{probe: map[int32]bool{}, down: map[int32]bool{},
		blocked: map[int32]ceph.Epoch{}}
	for _, osds := range [][]int32{ma.acting, ma.up} {
		for _, o := range osds {
			if o >= 0 && o != osdmapNone {
				p.probe[o] = true
			}
		}
	}
	for _, o := range ma.past.Participants {
		if ma.osdmap.IsUp(o) {
			p.probe[o] = true
		} else {
			p.down[o] = true
		}
	}
	ma.past.EachRW(ma.info.History.LastEpochStarted, func(first ceph.Epoch, acting []int32) {
		p.interval(ma.osdmap, first, acting)
	})
	ma.prior = p
	ma.needUpThru = ma.IsPrimary() &&
		ma.osdmap.Info[ma.self].UpThru < ma.info.History.SameIntervalSince
}

// interval looks at one past interval that may have taken writes.
func (p *priorSet) interval(m *osdmap.Map, first ceph.Epoch, acting []int32) {
	survivors := 0
	blocked := map[int32]ceph.Epoch{}
	for _, o := range acting {
		switch {
		case !m.Exists(o): // gone for good
		case m.Info[o].LostAt > first: // declared lost, or has another disk now: knows nothing
		case m.IsUp(o):
			survivors++
		default:
			blocked[o] = m.Info[o].LostAt
		}
	}
	if survivors == 0 && len(blocked) > 0 {
		p.pgDown = true
		for o, lost := range blocked {
			p.blocked[o] = lost
		}
	}
}

// affected says whether a newer map changes the set (affected_by_map).
func (p *priorSet) affected(m *osdmap.Map) bool {
	for o := range p.probe {
		if !m.IsUp(o) {
			return true
		}
	}
	for o := range p.down {
		if m.IsUp(o) {
			return true
		}
	}
	for o, lost := range p.blocked {
		if !m.Exists(o) || m.Info[o].LostAt != lost {
			return true
		}
	}
	return false
}

// peersDown forgets peers that are down now, and starts over if peering depended on one.
func (ma *Machine) peersDown() {
	for o := range ma.peers {
		if !ma.osdmap.IsUp(o) {
			delete(ma.peers, o)
			delete(ma.stray, o)
		}
	}
	switch ma.state {
	case GetInfo, GetLog, GetMissing, WaitUpThru, Incomplete, Down:
		ma.restart = ma.restart || ma.prior.affected(ma.osdmap) ||
			ma.state == GetLog && !ma.osdmap.IsUp(ma.source)
	case WaitActingChange:
		for _, o := range ma.wantActing {
			ma.restart = ma.restart || !ma.osdmap.IsUp(o)
		}
	}
	if ma.osdmap.Info[ma.self].UpThru >= ma.info.History.SameIntervalSince {
		ma.needUpThru = false
	}
}

// mapsDone begins or continues with what the maps brought.
func (ma *Machine) mapsDone() {
	if ma.restart {
		ma.restart = false
		ma.reset()
	}
	switch {
	case ma.state == Deleting:
	case ma.state == Reset && ma.IsPrimary():
		ma.enterGetInfo()
	case ma.state == Reset:
		ma.enter(Stray)
		ma.notifyPrimary()
	case ma.state == Stray || ma.state == ReplicaActive:
		if ma.sendNotify {
			ma.notifyPrimary()
		}
	case ma.state == WaitUpThru && !ma.needUpThru:
		ma.activate()
	}
}

func (ma *Machine) notifyPrimary() {
	if ma.primary < 0 {
		return
	}
	ma.send(ma.primary, Notify{ma.head(ma.osdmap.Epoch), ma.info, ma.past})
}
