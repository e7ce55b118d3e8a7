package peering

import (
	"glue/ceph"
	"glue/cluster/pginfo"
	"glue/osd/pglog"
)

// onQuery answers the primary (fulfill_info, fulfill_log).
func (ma *Machine) onQuery(q Query) {
	if ma.stale(q.Head) || q.From != ma.primary {
		return
	}
	ma.mergeHistory(q.History)
	if q.Kind == QueryInfo {
		ma.send(q.From, Notify{ma.head(q.Epoch), ma.info, ma.past})
		return
	}
	m := LogMsg{Head: ma.head(q.Epoch), Info: ma.info,
		Missing: map[ceph.HObject]pglog.Item{}}
	if q.Kind == QueryLog {
		m.Log = ma.segment(q.Since)
	} else {
		m.Log = ma.segment(ceph.Eversion{})
	}
	for _, o := range ma.missing.InOrder() {
		m.Missing[o], _ = ma.missing.Get(o)
	}
	ma.send(q.From, m)
}

// activateFromLog makes the primary's log ours and follows it (Stray::react(MLogRec)).
func (ma *Machine) activateFromLog(m LogMsg) {
	if m.Info.LastBackfill.IsMin() {
		ma.info = m.Info
		ma.info.PGID = ma.pg
		ma.log.Reset(m.Log.Tail, m.Log.Head, m.Log.Entries, m.Log.Dups)
		ma.missing.Clear()
		ma.info.LogTail = m.Log.Tail
		ma.info.LastUpdate, ma.info.LastComplete = m.Log.Head, m.Log.Head
	} else {
		if ma.log.Head().Less(m.Log.Tail) || m.Log.Head.Less(ma.log.Tail()) {
			return // the primary has an outdated idea of this copy; its next interval corrects it
		}
		c := ma.local()
		c.Merge(m.Log.Tail, m.Log.Head, m.Log.Entries, m.Log.Dups)
		ma.merged(c)
		ma.info.LastUserVersion = m.Info.LastUserVersion
		ma.info.Stats = m.Info.Stats
		ma.mergeHistory(m.Info.History)
	}
	if ma.past.IsEmpty() && !m.Past.IsEmpty() {
		ma.past = m.Past
	}
	ma.activateReplica(m.Info.LastEpochStarted)
}

// activateReplica follows the primary from now on; the primary hears of it once it is durable.
func (ma *Machine) activateReplica(started ceph.Epoch) {
	if ma.isActing(ma.self) && ma.info.LastEpochStarted < started {
		ma.info.LastEpochStarted = started
		ma.info.LastIntervalStarted = ma.info.History.SameIntervalSince
	}
	ma.epoch = started
	ma.sendNotify = false
	ma.info.LastComplete = pglog.LastComplete(ma.log, ma.missing)
	ma.dirtyInfo = true
	ma.enter(ReplicaActive)
	ma.emit(ReplicaActivated{})
	ma.awaitDurable()
}

// onInfo takes the primary's info: it activates a stray that has the whole log, and keeps an active
// copy's history fresh. To the primary it is a copy's word that it is active.
func (ma *Machine) onInfo(m InfoMsg) {
	if ma.stale(m.Head) {
		return
	}
	switch {
	case ma.state == Stray && m.From == ma.primary:
		if m.Info.LastUpdate.Less(ma.info.LastUpdate) {
			c := ma.local()
			c.Rewind(m.Info.LastUpdate)
			ma.merged(c)
		}
		if m.Info.LastUpdate != ma.info.LastUpdate {
			return
		}
		ma.info.Stats = m.Info.Stats
		ma.mergeHistory(m.Info.History)
		ma.activateReplica(m.Info.LastEpochStarted)
	case ma.state == ReplicaActive && m.From == ma.primary:
		ma.mergeHistory(m.Info.History)
		if m.Info.History.LastEpochClean >= ma.info.History.SameIntervalSince {
			ma.forgetPast()
		}
	case (ma.state == Activating || ma.state == ActiveState) && ma.isMember(m.From):
		if !ma.activated[m.From] {
			ma.activated[m.From] = true
			ma.allActivated()
		}
	}
}

func (ma *Machine) onDurable(d Durable) {
	if d.Token != ma.token {
		return
	}
	switch ma.state {
	case Activating:
		ma.activated[ma.self] = true
		ma.allActivated()
	case ReplicaActive:
		i := ma.info
		i.History.LastEpochStarted = max(i.History.LastEpochStarted, ma.epoch)
		i.History.LastIntervalStarted = i.History.SameIntervalSince
		ma.send(ma.primary, InfoMsg{ma.head(ma.osdmap.Epoch), i})
	}
}

// onRemove deletes a stray copy on the word of the primary of a clean PG.
func (ma *Machine) onRemove(r Remove) {
	if ma.stale(r.Head) || r.From != ma.primary || ma.state != Stray ||
		ma.isUp(ma.self) || ma.isActing(ma.self) {
		return
	}
	ma.enter(Deleting)
	ma.emit(Delete{})
}

// mergeHistory takes over what another copy knows better (pg_history_t::merge).
func (ma *Machine) mergeHistory(o pginfo.History) {
	if !ma.info.History.Merge(o) {
		return
	}
	ma.dirtyInfo = true
	if ma.info.History.LastEpochClean >= ma.info.History.SameIntervalSince {
		ma.forgetPast()
	}
}

func (ma *Machine) forgetPast() {
	if !ma.past.IsEmpty() {
		ma.past = pginfo.PastIntervals{}
		ma.dirtyInfo = true
	}
}
