package peering

import (
	"slices"

	"glue/ceph"
	"glue/osd/pglog"
)

// enterGetInfo asks everybody who may have been written to for their info.
func (ma *Machine) enterGetInfo() {
	ma.enter(GetInfo)
	ma.buildPrior()
	if ma.needUpThru {
		ma.emit(WantUpThru{ma.info.History.SameIntervalSince})
	}
	ma.askInfos()
	ma.gotInfos()
}

func (ma *Machine) askInfos() {
	for _, o := range sorted(ma.prior.probe) {
		if o == ma.self || ma.peers[o] != nil || ma.asked[o] || !ma.osdmap.IsUp(o) {
			continue
		}
		ma.asked[o] = true
		ma.send(o, Query{Head: ma.head(ma.osdmap.Epoch), Kind: QueryInfo,
			History: ma.info.History})
	}
}

func sorted[V any](m map[int32]V) []int32 {
	out := make([]int32, 0, len(m))
	for o := range m {
		out = append(out, o)
	}
	slices.Sort(out)
	return out
}

// onNotify takes a copy's info (GetInfo::react(MNotifyRec), Active::react(MNotifyRec)).
func (ma *Machine) onNotify(n Notify) {
	if ma.stale(n.Head) || !ma.IsPrimary() ||
		!ma.osdmap.IsUp(n.From) || upFrom(ma.osdmap, n.From) > n.Epoch {
		return // not of an OSD that is up now: what this one has is still owed
	}
	if ma.state == GetInfo {
		delete(ma.asked, n.From)
	}
	started := ma.info.History.LastEpochStarted
	news := ma.peerInfo(n)
	switch ma.state {
	case GetInfo:
		if news && started < ma.info.History.LastEpochStarted {
			ma.buildPrior()
			for o := range ma.asked {
				if !ma.prior.probe[o] {
					delete(ma.asked, o)
				}
			}
			ma.askInfos()
		}
		ma.gotInfos()
	case Incomplete, Down:
		if news {
			ma.peersRestart()
		}
	case ActiveState, Activating:
		if news && ma.clean {
			ma.purgeStrays()
		}
	}
}

// peersRestart begins again with what is known of the peers kept.
func (ma *Machine) peersRestart() {
	ma.asked = map[int32]bool{}
	ma.enterGetInfo()
}

// peerInfo notes a copy's info and says whether it was new (proc_replica_info).
func (ma *Machine) peerInfo(n Notify) bool {
	if p := ma.peers[n.From]; p != nil &&
		(p.Info.LastUpdate == n.Info.LastUpdate || ma.isMember(n.From)) {
		return false
	}
	ma.peers[n.From] = &Peer{Info: n.Info}
	ma.mergeHistory(n.Info.History)
	if !ma.isUp(n.From) && !ma.isActing(n.From) {
		ma.stray[n.From] = true
	}
	return true
}

// gotInfos goes on when nobody owes an info any more.
func (ma *Machine) gotInfos() {
	if len(ma.asked) > 0 {
		return
	}
	if ma.prior.pgDown {
		ma.enter(Down)
		return
	}
	ma.enterGetLog()
}

// enterGetLog picks the authoritative log and the acting set that can serve.
func (ma *Machine) enterGetLog() {
	ma.enter(GetLog)
	source, ok := ma.chooseActing()
	if !ok {
		if len(ma.wantActing) > 0 {
			ma.enter(WaitActingChange)
		} else {
			ma.enter(Incomplete)
		}
		return
	}
	ma.source = source
	if source == ma.self {
		ma.enterGetMissing()
		return
	}
	best := ma.peers[source].Info
	if ma.info.LastUpdate.Less(best.LogTail) {
		ma.enter(Incomplete)
		return
	}
	since := ma.info.LastUpdate
	for _, o := range ma.members {
		if o == ma.self {
			continue
		}
		v := ma.peers[o].Info.LastUpdate
		if v.Less(ma.info.LogTail) && !v.Less(best.LogTail) && v.Less(since) {
			since = v
		}
	}
	ma.asked[source] = true
	ma.send(source, Query{Head: ma.head(ma.osdmap.Epoch), Kind: QueryLog, Since: since,
		History: ma.info.History})
}

// gotLog makes the authoritative log ours (proc_master_log).
func (ma *Machine) gotLog(m LogMsg) {
	delete(ma.asked, m.From)
	s := m.Log
	if ma.log.Head().Less(s.Tail) || s.Head.Less(ma.log.Tail()) {
		ma.enter(Incomplete)
		return
	}
	c := ma.local()
	c.Merge(s.Tail, s.Head, s.Entries, s.Dups)
	ma.merged(c)
	ma.info.LastUserVersion = max(ma.info.LastUserVersion, m.Info.LastUserVersion)
	ma.info.Stats = m.Info.Stats
	ma.info.LastEpochStarted = max(ma.info.LastEpochStarted, m.Info.LastEpochStarted)
	ma.info.LastIntervalStarted = max(ma.info.LastIntervalStarted, m.Info.LastIntervalStarted)
	ma.mergeHistory(m.Info.History)
	ma.peers[m.From] = &Peer{Info: m.Info, Missing: missingOf(m.Missing)}
	ma.enterGetMissing()
}

func missingOf(items map[ceph.HObject]pglog.Item) *pglog.Missing {
	m := &pglog.Missing{}
	for o, it := range items {
		m.Set(o, it)
	}
	return m
}

// enterGetMissing asks the members whose logs may diverge for them.
func (ma *Machine) enterGetMissing() {
	ma.enter(GetMissing)
	for _, o := range ma.members {
		if o == ma.self || o == ma.source && ma.peers[o].Missing != nil {
			continue
		}
		p := ma.peers[o]
		i := &p.Info
		switch {
		case i.IsEmpty(), i.LastUpdate.Less(ma.log.Tail()), i.LastBackfill.IsMin(),
			i.LastUpdate == i.LastComplete && i.LastUpdate == ma.info.LastUpdate:
			p.Missing = &pglog.Missing{}
			continue
		}
		q := Query{Head: ma.head(ma.osdmap.Epoch), Kind: QueryLog, History: ma.info.History}
		q.Since = ceph.Eversion{Epoch: i.LastEpochStarted}
		if q.Since.Less(i.LogTail) {
			q.Kind, q.Since = QueryFullLog, ceph.Eversion{}
		}
		ma.asked[o] = true
		ma.send(o, q)
	}
	ma.gotMissing()
}

// peerLog compares a peer's log with the authoritative one, which is ours now
// (proc_replica_log): the peer will rewind what is divergent when it is activated.
func (ma *Machine) peerLog(m LogMsg) {
	delete(ma.asked, m.From)
	p := &Peer{Info: m.Info, Missing: missingOf(m.Missing)}
	ma.peers[m.From] = p
	s := m.Log
	if s.Head.Less(ma.log.Tail()) || s.Head == ma.log.Head() {
		return
	}
	theirs := pglog.New(s.Tail)
	for _, e := range s.Entries {
		theirs.Append(e)
	}
	lu := pglog.SharedHead(ma.log, s.Tail, s.Head)
	c := &pglog.Copy{Log: theirs, Missing: p.Missing, LastBackfill: p.Info.LastBackfill}
	c.Rewind(lu)
	if lu.Less(p.Info.LastUpdate) {
		p.Info.LastUpdate = lu
	}
	p.Info.LastComplete = pglog.LastComplete(theirs, p.Missing)
}

func (ma *Machine) gotMissing() {
	if len(ma.asked) > 0 {
		return
	}
	if ma.needUpThru {
		ma.enter(WaitUpThru)
		return
	}
	ma.activate()
}

// onLog takes a log: an answer to the primary, or the primary's activation of this copy.
func (ma *Machine) onLog(m LogMsg) {
	if ma.stale(m.Head) {
		return
	}
	switch {
	case ma.state == GetLog && m.From == ma.source && ma.asked[m.From]:
		ma.gotLog(m)
	case ma.state == GetMissing && ma.asked[m.From]:
		ma.peerLog(m)
		ma.gotMissing()
	case ma.state == Stray && m.From == ma.primary:
		ma.activateFromLog(m)
	}
}

// activate makes the primary ready, tells every member what it lacks of the log, and works out
// what each is missing (activate).
func (ma *Machine) activate() {
	e := ma.osdmap.Epoch
	ma.epoch = e
	if ma.writeable() {
		ma.info.LastEpochStarted = e
		ma.info.LastIntervalStarted = ma.info.History.SameIntervalSince
	}
	ma.info.LastComplete = pglog.LastComplete(ma.log, ma.missing)
	ma.dirtyInfo = true
	for _, o := range ma.members {
		if o != ma.self {
			ma.activatePeer(o, ma.peers[o])
		}
	}
	ma.activated = map[int32]bool{}
	ma.enter(Activating)
	ma.emit(Activated{})
	ma.awaitDurable()
}

func (ma *Machine) awaitDurable() {
	ma.token++
	ma.emit(AwaitDurable{ma.token})
}

func (ma *Machine) activatePeer(o int32, p *Peer) {
	i := &p.Info
	fresh := i.DNE()
	msg := LogMsg{Head: ma.head(ma.lastReset), Info: ma.info}
	if fresh {
		msg.Past = ma.past
	}
	switch {
	case i.LastUpdate == ma.info.LastUpdate && !i.IsEmpty() &&
		!(ma.isBackfill(o) && i.LastBackfill.Max):
		ma.send(o, InfoMsg{Head: ma.head(ma.osdmap.Epoch), Info: ma.info})
		return
	case i.LastUpdate == ma.info.LastUpdate && i.IsEmpty() && !ma.isBackfill(o):
		msg.Log = Segment{Tail: ma.log.Head(), Head: ma.log.Head()}
	case i.LastUpdate.Less(ma.log.Tail()), i.LastBackfill.IsMin(),
		ma.isBackfill(o) && i.LastBackfill.Max:
		ma.startBackfill(i)
		msg.Log = ma.recent()
		i.LogTail = msg.Log.Tail
		msg.Info = *i
		p.Missing = &pglog.Missing{}
	default:
		msg.Log = ma.segment(i.LastUpdate)
		for k := range msg.Log.Entries {
			if e := &msg.Log.Entries[k]; e.Object.Compare(i.LastBackfill) <= 0 {
				p.Missing.Next(e)
			}
		}
	}
	ma.send(o, msg)
	i.LastUpdate = ma.info.LastUpdate
	if p.Missing.Len() == 0 {
		i.LastComplete = i.LastUpdate
	}
}

// startBackfill makes what is known of a peer that of an empty copy with our log.
func (ma *Machine) startBackfill(i *infoT) {
	i.PGID = ma.pg
	i.LastUpdate, i.LastComplete = ma.info.LastUpdate, ma.info.LastUpdate
	i.LastBackfill = ceph.HObject{}
	i.LastEpochStarted = ma.info.LastEpochStarted
	i.LastIntervalStarted = ma.info.LastIntervalStarted
	i.LastUserVersion = ma.info.LastUserVersion
	i.History = ma.info.History
}

func (ma *Machine) isBackfill(o int32) bool { return slices.Contains(ma.backfill, o) }

// writeable says whether acting has min_size members (acting_set_writeable).
func (ma *Machine) writeable() bool {
	n := 0
	for _, o := range ma.acting {
		if o >= 0 && o != osdmapNone {
			n++
		}
	}
	return n >= int(ma.pool.MinSize)
}
