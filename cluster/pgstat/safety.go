package pgstat

import (
	"slices"

	"glue/ceph"
	"glue/cluster/crush"
	"glue/cluster/osdmap"
	"glue/internal/cephjson"
)

// An Outage is what becomes of PGs when some OSDs are stopped (offline_pg_report).
type Outage struct {
	OSDs            []int32 // ascending
	OK, NotOK       int     // PGs with a copy there that stay active, and that do not
	unknown         []ceph.PGID
	noPool          []ceph.PGID
	alreadyInactive []ceph.PGID
	becomeInactive  []ceph.PGID
	degraded        []ceph.PGID
	moreDegraded    []ceph.PGID
}

// OKToStop says whether all PGs stay active.
func (o *Outage) OKToStop() bool { return o.NotOK == 0 && len(o.unknown) == 0 }

// Bad counts the PGs that are or would become unavailable.
func (o *Outage) Bad() int { return o.NotOK }

// Unknown counts the PGs whose state nobody has told yet.
func (o *Outage) Unknown() int { return len(o.unknown) }

// Dump is the report as a JSON object.
func (o *Outage) Dump() cephjson.Object {
	out := cephjson.Object{{Key: "ok_to_stop", Value: o.OKToStop()},
		{Key: "osds", Value: o.OSDs}, {Key: "num_ok_pgs", Value: o.OK},
		{Key: "num_not_ok_pgs", Value: o.NotOK}}
	for _, l := range []struct {
		key string
		pgs []ceph.PGID
	}{
		{"unknown_pgs", o.unknown}, {"bad_no_pool_pgs", o.noPool},
		{"bad_already_inactive", o.alreadyInactive}, {"bad_become_inactive", o.becomeInactive},
		{"ok_become_degraded", o.degraded}, {"ok_become_more_degraded", o.moreDegraded},
	} {
		var names []string
		for _, pg := range l.pgs {
			names = append(names, pg.String())
		}
		if len(names) > 0 {
			out = append(out, cephjson.Member{Key: l.key, Value: names})
		}
	}
	return out
}

// Outage says what becomes of PGs when the OSDs are stopped.
func (p *PGMap) Outage(m *osdmap.Map, osds []int32) Outage {
	o := Outage{OSDs: slices.Compact(slices.Sorted(slices.Values(osds)))}
	for _, id := range p.sortedPGs() {
		pg := p.PGs[id]
		if pg.State == 0 {
			o.unknown = append(o.unknown, id)
			continue
		}
		o.judge(m, id, pg)
	}
	return o
}

// judge adds one PG. Of a degraded one only the copies that miss nothing count; where none are
// known, none is left.
func (o *Outage) judge(m *osdmap.Map, id ceph.PGID, pg *PG) {
	copies, trusted := pg.Acting, true
	if pg.State.Has(Degraded) {
		if trusted = len(pg.AvailNoMissing) > 0; trusted {
			copies = nil
		}
		for _, s := range pg.AvailNoMissing {
			copies = append(copies, s.OSD)
		}
	}
	touched, left := false, map[int32]bool{}
	for _, osd := range copies {
		if slices.Contains(o.OSDs, osd) {
			touched = true
		} else if osd != crush.None && trusted {
			left[osd] = true
		}
	}
	if !touched {
		return
	}
	pool, bad := m.Pools[id.Pool], false
	note := func(list *[]ceph.PGID) { *list, bad = append(*list, id), true }
	if pool == nil {
		note(&o.noPool)
	} else {
		if !pg.State.Has(Active) {
			note(&o.alreadyInactive)
		}
		if len(left) < int(pool.MinSize) {
			note(&o.becomeInactive)
		}
	}
	switch {
	case bad:
		o.NotOK++
		return
	case pg.State.Has(Degraded):
		o.moreDegraded = append(o.moreDegraded, id)
	default:
		o.degraded = append(o.degraded, id)
	}
	o.OK++
}

// Widen looks for more OSDs, near to those given, that can be stopped together with them, up to
// limit in all (DaemonServer::_maximize_ok_to_stop_set).
func (p *PGMap) Widen(m *osdmap.Map, o Outage, limit int) Outage {
	if !o.OKToStop() || len(o.OSDs) == 0 {
		return o
	}
	at, tried := o.OSDs[0], map[int32]bool{}
	for range m.Crush.Buckets { // no place is deeper than there are buckets
		parent, ok := m.Crush.Parent(at)
		if !ok {
			return o
		}
		failed := false
		for _, osd := range slices.Sorted(slices.Values(m.Crush.Leaves(parent))) {
			if len(o.OSDs) >= limit {
				return o
			}
			if tried[osd] || slices.Contains(o.OSDs, osd) {
				continue
			}
			tried[osd] = true
			if more := p.Outage(m, append(slices.Clone(o.OSDs), osd)); more.OKToStop() {
				o = more
			} else {
				failed = true
			}
		}
		if failed {
			return o // a wider place only has more of the same
		}
		at = parent
	}
	return o
}

// A Removal says which OSDs can be destroyed without losing copies of data.
type Removal struct {
	Safe     []int32
	Active   []int32 // PGs are mapped to them
	NoStats  []int32 // not all PGs are clean, and they have not said what they hold
	Stored   []int32 // not all PGs are clean, and they hold some
	Affected int     // PGs mapped to Active
}

// Removal looks at OSDs that are to be destroyed.
func (p *PGMap) Removal(m *osdmap.Map, osds []int32) Removal {
	var r Removal
	clean := int32(0)
	for state, n := range p.ByState {
		if state.Has(Active | Clean) {
			clean += n
		}
	}
	for _, osd := range slices.Compact(slices.Sorted(slices.Values(osds))) {
		count := p.ByOSD[osd]
		mapped := int(count.Acting + count.UpNotActing)
		stat := p.OSDs[osd]
		switch {
		case !m.Exists(osd):
			r.Safe = append(r.Safe, osd)
		case mapped > 0:
			r.Active = append(r.Active, osd)
			r.Affected += mapped
		case clean >= p.NumPG:
			r.Safe = append(r.Safe, osd)
		case stat == nil || !m.IsUp(osd):
			r.NoStats = append(r.NoStats, osd)
		case stat.NumPGs > 0:
			r.Stored = append(r.Stored, osd)
		default:
			r.Safe = append(r.Safe, osd)
		}
	}
	return r
}

// Dump is the result as a JSON object.
func (r *Removal) Dump() cephjson.Object {
	return cephjson.Object{{Key: "safe_to_destroy", Value: notNil(r.Safe)},
		{Key: "active", Value: notNil(r.Active)},
		{Key: "missing_stats", Value: notNil(r.NoStats)},
		{Key: "stored_pgs", Value: notNil(r.Stored)}}
}
