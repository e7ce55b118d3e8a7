package peering

import (
	"slices"

	"glue/ceph"
	"glue/cluster/pginfo"
	"glue/osd/pglog"
)

// allActivated goes on when every member has made the interval durable.
func (ma *Machine) allActivated() {
	for _, o := range ma.members {
		if !ma.activated[o] {
			return
		}
	}
	if ma.state != Activating {
		return
	}
	h := &ma.info.History
	h.LastEpochStarted = max(h.LastEpochStarted, ma.info.LastEpochStarted)
	h.LastIntervalStarted = max(h.LastIntervalStarted, ma.info.LastIntervalStarted)
	ma.dirtyInfo = true
	ma.enter(ActiveState)
	ma.shareInfo()
	ma.emit(Active{Writeable: ma.writeable()})
	ma.checkRecovered()
}

// shareInfo tells the members the history (share_pg_info).
func (ma *Machine) shareInfo() {
	for _, o := range ma.members {
		if o == ma.self {
			continue
		}
		p := ma.peers[o]
		p.Info.LastEpochStarted = ma.info.LastEpochStarted
		p.Info.LastIntervalStarted = ma.info.LastIntervalStarted
		p.Info.History.Merge(ma.info.History)
		ma.send(o, InfoMsg{ma.head(ma.osdmap.Epoch), ma.info})
	}
}

// NeedsRecovery says whether any member lacks objects of the log.
func (ma *Machine) NeedsRecovery() bool {
	if ma.missing.Len() > 0 {
		return true
	}
	return slices.ContainsFunc(ma.members, func(o int32) bool {
		return o != ma.self && ma.peers[o].Missing.Len() > 0
	})
}

// NeedsBackfill says whether any backfill target is not complete.
func (ma *Machine) NeedsBackfill() bool {
	return slices.ContainsFunc(ma.backfill, func(o int32) bool {
		return ma.peers[o].Info.IsIncomplete()
	})
}

// Step-like calls of the owner while the PG is active; each returns effects as Step does.

// Wrote accounts for an update that this copy has applied, of which the log has been told.
func (ma *Machine) Wrote(e *pglog.Entry) {
	ma.log.Append(*e)
	ma.info.LastUpdate = e.Version
	ma.info.LastUserVersion = max(ma.info.LastUserVersion, e.UserVersion)
	if ma.missing.Has(e.Object) {
		ma.missing.Next(e) // it was unfound and is given up
	}
	if ma.missing.Len() == 0 {
		ma.info.LastComplete = e.Version
	}
	if !ma.IsPrimary() {
		return
	}
	for _, o := range ma.members {
		if p := ma.peers[o]; p != nil {
			p.Info.LastUpdate = e.Version
			if p.Missing.Has(e.Object) {
				p.Missing.Next(e)
			}
			if p.Missing.Len() == 0 {
				p.Info.LastComplete = e.Version
			}
		}
	}
}

// Trim moves the log's tail.
func (ma *Machine) Trim(v ceph.Eversion) {
	ma.log.Trim(v)
	ma.info.LogTail = ma.log.Tail()
}

// GotObject takes an object out of the missing set; the owner stores that with the object.
func (ma *Machine) GotObject(o ceph.HObject, v ceph.Eversion) {
	if it, ok := ma.missing.Get(o); ok && it.Need.Compare(v) <= 0 {
		ma.missing.Remove(o)
		ma.info.LastComplete = pglog.LastComplete(ma.log, ma.missing)
	}
}

// Landing says whether an object that was pulled, and is not missing any more, is still on its way
// to the disk. The PG is not clean until then: copies elsewhere would be removed.
func (ma *Machine) Landing(o ceph.HObject, yes bool) {
	switch {
	case !yes:
		delete(ma.landing, o)
	case ma.landing == nil:
		ma.landing = map[ceph.HObject]bool{o: true}
	default:
		ma.landing[o] = true
	}
}

// MarkMissing makes an object missing that turned out to be damaged.
func (ma *Machine) MarkMissing(o ceph.HObject, v ceph.Eversion) {
	ma.missing.Set(o, pglog.Item{Need: v})
	delete(ma.landing, o)
	ma.info.LastComplete = pglog.LastComplete(ma.log, ma.missing)
	ma.clean = false
	ma.dirtyInfo = true
}

// MarkPeerMissing makes an object missing on another member, whose copy turned out to be bad.
func (ma *Machine) MarkPeerMissing(osd int32, o ceph.HObject, v ceph.Eversion) {
	p := ma.peers[osd]
	if p == nil || p.Missing == nil || !ma.isMember(osd) {
		return
	}
	p.Missing.Set(o, pglog.Item{Need: v})
	ma.clean = false
}

// Scrubbed notes the end of a scrub and tells the members; clean is without errors.
func (ma *Machine) Scrubbed(deep, clean bool, at ceph.Time) []Effect {
	ma.out = nil
	h := &ma.info.History
	h.LastScrub, h.LastScrubStamp = ma.info.LastUpdate, at
	if deep {
		h.LastDeepScrub, h.LastDeepScrubStamp = ma.info.LastUpdate, at
	}
	if clean {
		h.LastCleanScrubStamp = at
	}
	ma.dirtyInfo = true
	ma.shareInfo()
	ma.emit(StateChanged{})
	return ma.out
}

// Recovered looks whether the PG is clean, after GotObject.
func (ma *Machine) Recovered() []Effect {
	ma.out = nil
	ma.emit(StateChanged{})
	ma.checkRecovered()
	return ma.out
}

// PeerRecovered says that a peer has an object now.
func (ma *Machine) PeerRecovered(osd int32, o ceph.HObject) []Effect {
	ma.out = nil
	if p := ma.peers[osd]; p != nil && p.Missing != nil && p.Missing.Has(o) {
		p.Missing.Remove(o)
		if p.Missing.Len() == 0 {
			p.Info.LastComplete = p.Info.LastUpdate
		}
		ma.emit(StateChanged{})
	}
	ma.checkRecovered()
	return ma.out
}

// Backfilled says how far a backfill target is; MAX ends its backfill.
func (ma *Machine) Backfilled(osd int32, to ceph.HObject) []Effect {
	ma.out = nil
	if p := ma.peers[osd]; p != nil && ma.isBackfill(osd) {
		p.Info.LastBackfill = to
		ma.emit(StateChanged{})
	}
	ma.checkRecovered()
	return ma.out
}

// SetLastBackfill moves this copy's own mark, on the primary's word.
func (ma *Machine) SetLastBackfill(to ceph.HObject) {
	ma.info.LastBackfill = to
	ma.dirtyInfo = true
}

// checkRecovered asks for the up set, or declares the PG clean, once everyone has everything
// (Recovered, Clean).
func (ma *Machine) checkRecovered() {
	if ma.state != ActiveState || ma.clean || ma.NeedsRecovery() || ma.NeedsBackfill() ||
		len(ma.landing) > 0 {
		return
	}
	if !slices.Equal(ma.acting, ma.up) {
		if _, ok := ma.chooseAgain(); !ok {
			return
		}
	}
	ma.clean = true
	ma.emit(StateChanged{})
	if len(ma.actingSet()) < int(ma.pool.Size) {
		return
	}
	h := &ma.info.History
	h.LastEpochClean = ma.osdmap.Epoch
	h.LastIntervalClean = h.SameIntervalSince
	ma.past = pginfo.PastIntervals{}
	ma.dirtyInfo = true
	ma.shareInfo()
	ma.purgeStrays()
}

// chooseAgain is chooseActing after recovery: it only asks for another acting set.
func (ma *Machine) chooseAgain() (int32, bool) {
	members, backfill := ma.members, ma.backfill
	source, ok := ma.chooseActing()
	ma.members, ma.backfill = members, backfill
	return source, ok
}

func (ma *Machine) actingSet() []int32 {
	return slices.DeleteFunc(slices.Clone(ma.acting), func(o int32) bool {
		return o < 0 || o == osdmapNone
	})
}

// purgeStrays has copies removed that a clean PG does not need.
func (ma *Machine) purgeStrays() {
	if len(ma.actingSet()) < int(ma.pool.Size) {
		return
	}
	for _, o := range sorted(ma.stray) {
		if ma.osdmap.IsUp(o) {
			ma.send(o, Remove{ma.head(ma.osdmap.Epoch)})
		}
		delete(ma.peers, o)
		delete(ma.stray, o)
	}
}
