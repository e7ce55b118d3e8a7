package pglog

import (
	"sort"

	"glue/ceph"
	"glue/cluster/pginfo"
	"glue/internal/invariant"
)

// An Entry is one update of the PG.
type Entry = pginfo.LogEntry

// A Dup is a request whose entry has been trimmed from the log: what is needed to answer it again
// (pg_log_dup_t).
type Dup = pginfo.LogDup

// An Answer is what a request was told the first time.
type Answer struct {
	Version     ceph.Eversion
	UserVersion uint64
	Result      int32
	Results     []pginfo.OpResult // only with RETURNVEC
}

// A Log is the recent updates of one PG copy.
type Log struct {
	tail, head ceph.Eversion
	entries    []Entry // ascending
	dups       []Dup   // ascending, all at or below tail
	byReq      map[ceph.ReqID]Answer
	byObject   map[ceph.HObject]ceph.Eversion // the newest entry of each object in the log

	dirty     bool          // the store's log must be changed above dirtyFrom
	dirtyFrom ceph.Eversion // entries above it are rewritten
}

// New returns an empty log whose tail and head are at v.
func New(v ceph.Eversion) *Log {
	return &Log{tail: v, head: v,
		byReq: map[ceph.ReqID]Answer{}, byObject: map[ceph.HObject]ceph.Eversion{}}
}

// Head is the version of the newest update, also when its entry has been trimmed.
func (l *Log) Head() ceph.Eversion { return l.head }

// Tail is the version before the oldest entry.
func (l *Log) Tail() ceph.Eversion { return l.tail }

// Len is the number of entries.
func (l *Log) Len() int { return len(l.entries) }

// Entries are all entries, oldest first. Not to be modified.
func (l *Log) Entries() []Entry { return l.entries }

// Dups are the requests below the tail, oldest first. Not to be modified.
func (l *Log) Dups() []Dup { return l.dups }

// Append adds an update; its version is above Head.
func (l *Log) Append(e Entry) {
	invariant.That(l.head.Less(e.Version), "log entry %v after head %v", e.Version, l.head)
	l.entries = append(l.entries, e)
	l.head = e.Version
	l.index(&l.entries[len(l.entries)-1])
}

func (l *Log) index(e *Entry) {
	if e.ReqID != (ceph.ReqID{}) {
		l.byReq[e.ReqID] = answerOf(e)
	}
	if !e.IsError() {
		l.byObject[e.Object] = e.Version
	}
}

func answerOf(e *Entry) Answer {
	return Answer{Version: e.Version, UserVersion: e.UserVersion, Result: e.ReturnCode,
		Results: e.Results}
}

// Find says what a request was answered, if it is known.
func (l *Log) Find(r ceph.ReqID) (Answer, bool) {
	a, ok := l.byReq[r]
	return a, ok
}

// Latest is the newest version that the log has of an object.
func (l *Log) Latest(o ceph.HObject) (ceph.Eversion, bool) {
	v, ok := l.byObject[o]
	return v, ok
}

// Changed is what of an object differs between a version of it and the newest one, if the log has
// all that happened since. Before a clone was made it was the head.
func (l *Log) Changed(o ceph.HObject, since ceph.Eversion) (pginfo.Changes, bool) {
	v, ok := l.byObject[o]
	out := pginfo.Changes{Known: true}
	for ok && v != since && !since.IsZero() && !v.IsZero() {
		e, found := l.Entry(v)
		if found && e.Op == pginfo.LogClone { // the same request's entry of the head follows
			v.Version++
			if e, found = l.Entry(v); !found || e.Object != o.Head() || !since.Less(v) {
				return pginfo.Changes{}, false
			}
			v = e.PriorVersion
			continue
		}
		if !found || !e.Changes.Known || e.IsDelete() || !since.Less(v) {
			return pginfo.Changes{}, false
		}
		out.Merge(&e.Changes)
		v = e.PriorVersion
	}
	return out, ok && v == since && !since.IsZero()
}

// Entry finds an entry by its version.
func (l *Log) Entry(v ceph.Eversion) (*Entry, bool) {
	i := l.above(v) - 1
	if i < 0 || l.entries[i].Version != v {
		return nil, false
	}
	return &l.entries[i], true
}

// above is the index of the first entry with a version greater than v.
func (l *Log) above(v ceph.Eversion) int {
	return sort.Search(len(l.entries), func(i int) bool { return v.Less(l.entries[i].Version) })
}

// After are the entries with a version above v. Not to be modified.
func (l *Log) After(v ceph.Eversion) []Entry { return l.entries[l.above(v):] }

// AddDup appends a request below the tail when a log is loaded or copied.
func (l *Log) AddDup(d Dup) {
	l.dups = append(l.dups, d)
	if d.ReqID == (ceph.ReqID{}) {
		return
	}
	if _, ok := l.byReq[d.ReqID]; !ok {
		l.byReq[d.ReqID] = dupAnswer(&d)
	}
}

func dupAnswer(d *Dup) Answer {
	return Answer{Version: d.Version, UserVersion: d.UserVersion, Result: d.ReturnCode,
		Results: d.Results}
}

// Trim moves the tail up to v and remembers the requests of the dropped entries.
func (l *Log) Trim(v ceph.Eversion) {
	if v.Compare(l.tail) <= 0 {
		return
	}
	invariant.That(v.Compare(l.head) <= 0, "trim to %v above head %v", v, l.head)
	n := l.above(v)
	for i := range l.entries[:n] {
		e := &l.entries[i]
		if l.byObject[e.Object] == e.Version {
			delete(l.byObject, e.Object)
		}
		if d, ok := dupOf(e); ok {
			l.dups = append(l.dups, d)
		}
	}
	clear(l.entries[:n])
	l.entries = l.entries[n:]
	l.tail = v
}

// TrimPoint is up to where the log is to be trimmed if it has more entries than it should keep by
// more than slack; zero for nowhere. Only what is durable on every copy is trimmed.
func (l *Log) TrimPoint(keep, slack int, durable ceph.Eversion) ceph.Eversion {
	if l.Len() <= keep+slack {
		return ceph.Eversion{}
	}
	v := l.entries[l.Len()-keep-1].Version
	if durable.Less(v) {
		v = durable
	}
	if v.Compare(l.tail) <= 0 {
		return ceph.Eversion{}
	}
	return v
}

// TrimDups forgets the oldest requests until at most keep are left, and returns the version up to
// which the store's log may be dropped; ok is false when nothing was.
func (l *Log) TrimDups(keep int) (upTo ceph.Eversion, ok bool) {
	n := len(l.dups) - keep
	for n > 0 && n < len(l.dups) && l.dups[n].Version == l.dups[n-1].Version {
		n-- // the store forgets whole versions
	}
	if n <= 0 {
		return ceph.Eversion{}, false
	}
	for _, d := range l.dups[:n] {
		if a, ok := l.byReq[d.ReqID]; ok && a.Version == d.Version {
			delete(l.byReq, d.ReqID)
		}
	}
	upTo = l.dups[n-1].Version
	l.dups = append(l.dups[:0:0], l.dups[n:]...)
	return upTo, true
}

// rewind removes the entries above v and returns them, oldest first; the head becomes v.
func (l *Log) rewind(v ceph.Eversion) []Entry {
	n := l.above(v)
	cut := append([]Entry(nil), l.entries[n:]...)
	l.entries = l.entries[:n]
	l.head = v
	if len(cut) > 0 {
		l.markDirty(v)
		l.reindex()
	}
	return cut
}

func (l *Log) reindex() {
	l.byReq = make(map[ceph.ReqID]Answer, len(l.entries)+len(l.dups))
	l.byObject = make(map[ceph.HObject]ceph.Eversion, len(l.entries))
	for _, d := range l.dups {
		l.byReq[d.ReqID] = dupAnswer(&d)
	}
	for i := range l.entries {
		l.index(&l.entries[i])
	}
}

// Reset makes the log that of another copy, as at the start of a backfill.
func (l *Log) Reset(tail, head ceph.Eversion, entries []Entry, dups []Dup) {
	l.tail, l.head = tail, head
	l.entries = append([]Entry(nil), entries...)
	l.dups = append([]Dup(nil), dups...)
	l.reindex()
	l.markDirty(ceph.Eversion{})
}

func (l *Log) markDirty(from ceph.Eversion) {
	if !l.dirty || from.Less(l.dirtyFrom) {
		l.dirty, l.dirtyFrom = true, from
	}
}

// TakeDirty says whether the store's log has to be rewritten above a version (zero: as a whole,
// dups included), and forgets it.
func (l *Log) TakeDirty() (from ceph.Eversion, dirty bool) {
	from, dirty = l.dirtyFrom, l.dirty
	l.dirty, l.dirtyFrom = false, ceph.Eversion{}
	return from, dirty
}

// SetHead moves the head of a log that is being loaded up to v, for which there is no entry any
// more.
func (l *Log) SetHead(v ceph.Eversion) {
	invariant.That(l.head.Compare(v) <= 0, "head %v moved back to %v", l.head, v)
	l.head = v
}
