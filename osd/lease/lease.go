// Package lease keeps copies of a PG that were replaced without knowing it, because they were
// stopped or cut off, from answering with what has been overwritten since.
//
// A copy serves only while every other one has promised to follow no primary that does not wait for
// it; a copy that has promised tells the next primary, which waits until the time is over, unless
// the earlier one is known to serve no more: it has spoken in the new interval, it was started
// again, or it is dead. The primary needs a lease for all that it answers. Another copy needs one
// to answer reads (docs/osd.md); the primary gives it only when it is active itself, and so
// everybody of earlier intervals has ended.
//
// A request counts as done when its turn of the shard began, which is after it came: what the lease
// allowed then stays right, however long the answer takes.
//
// A Lease is pure and belongs to the goroutine of its PG. The form of promises is ours.
package lease

import (
	"maps"
	"slices"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/osd/records"
)

// A Lease is the promises of one PG copy.
type Lease struct {
	// Until is until when this copy may serve.
	Until time.Time
	// Durable is up to where all copies are known to have everything durably; a replica's.
	Durable ceph.Eversion
	asked   time.Time
	acked   map[int32]time.Time // what each copy has agreed to
	// promised is until when others may serve, by OSD; heard is who has spoken in this interval,
	// and so serves in no earlier one.
	promised map[int32]promise
	heard    map[int32]bool
}

// A promise is that the incarnation of an OSD may serve until some time on our clock.
type promise struct {
	upFrom  ceph.Epoch
	until   time.Time
	earlier bool // made in an earlier interval only
}

// End begins another interval, in which only what was promised still holds.
func (l *Lease) End() {
	for o, pr := range l.promised {
		pr.earlier = true
		l.promised[o] = pr
	}
	*l = Lease{promised: l.promised}
}

// Active notes that this interval's primary is active, which it became when nobody of earlier
// intervals served any more, of all those that this copy had told it of. What was promised then is
// void, and the next primary need not wait for it.
func (l *Lease) Active() {
	maps.DeleteFunc(l.promised, func(_ int32, pr promise) bool { return pr.earlier })
}

// Inherit takes over what another PG's copy has promised, of which this one is a part or a whole.
func (l *Lease) Inherit(from *Lease) {
	for o, pr := range from.promised {
		l.keep(o, pr)
	}
}

// Promise notes that an OSD may serve for some time from now.
func (l *Lease) Promise(now time.Time, osd int32, upFrom ceph.Epoch, left time.Duration) {
	// Clocks run unevenly.
	l.keep(osd, promise{upFrom: upFrom, until: now.Add(left + left/64)})
}

// keep merges a promise with what the OSD has of this copy, as one that holds at least as long.
func (l *Lease) keep(osd int32, pr promise) {
	if was, ok := l.promised[osd]; ok {
		earlier := pr.earlier && was.earlier
		if pr.upFrom < was.upFrom || pr.upFrom == was.upFrom && pr.until.Before(was.until) {
			pr = was
		}
		pr.earlier = earlier
	}
	if l.promised == nil {
		l.promised = map[int32]promise{}
	}
	l.promised[osd] = pr
}

// Promises are those that still hold, for another primary.
func (l *Lease) Promises(now time.Time) (out records.Promises) {
	for _, o := range slices.Sorted(maps.Keys(l.promised)) {
		if pr := l.promised[o]; now.Before(pr.until) {
			out = append(out, records.Promise{OSD: o, UpFrom: pr.upFrom,
				LeftNS: int64(pr.until.Sub(now))})
		}
	}
	return out
}

// Hear notes that an OSD has spoken in the present interval.
func (l *Lease) Hear(osd int32) {
	if l.heard == nil {
		l.heard = map[int32]bool{}
	}
	l.heard[osd] = true
}

// Over says whether nobody but self may still serve in an earlier interval. It forgets those who
// may not.
func (l *Lease) Over(now time.Time, self int32, m *osdmap.Map) bool {
	for o, pr := range l.promised {
		if o != self && l.mayServe(now, o, pr, m) {
			return false
		}
		delete(l.promised, o)
	}
	return true
}

// Left is for how long others may still serve in earlier intervals.
func (l *Lease) Left(now time.Time, self int32, m *osdmap.Map) (left time.Duration) {
	for o, pr := range l.promised {
		if o != self && l.mayServe(now, o, pr, m) {
			left = max(left, pr.until.Sub(now))
		}
	}
	return left
}

func (l *Lease) mayServe(now time.Time, osd int32, pr promise, m *osdmap.Map) bool {
	switch {
	case l.heard[osd] || !now.Before(pr.until):
		return false
	case m.Exists(osd) && m.Info[osd].UpFrom > pr.upFrom:
		return false // another incarnation, which began without what the earlier one had
	case m.Exists(osd) && !m.IsUp(osd) && m.XInfo[osd].DeadEpoch >= pr.upFrom:
		return false
	}
	return true
}

// Readable says whether this copy may serve now.
func (l *Lease) Readable(now time.Time) bool { return now.Before(l.Until) }

// Asked says whether a lease was asked for in this interval, and Due whether it is time to ask for
// the next.
func (l *Lease) Asked() bool { return !l.asked.IsZero() }

// Due says whether half of a lease of that length is over since it was asked for, or none was.
func (l *Lease) Due(now time.Time, length time.Duration) bool {
	return !l.Asked() || now.Sub(l.asked) >= length/2
}

// Ask notes that all others are asked now.
func (l *Lease) Ask(now time.Time) {
	l.asked = now
	if l.acked == nil {
		l.acked = map[int32]time.Time{}
	}
}

// Ack takes a copy's promise, and says until when all of the others let this one serve.
func (l *Lease) Ack(osd int32, until time.Time, others []int32) time.Time {
	if l.acked == nil {
		return time.Time{}
	}
	l.acked[osd] = until
	least := until
	for _, o := range others {
		if t := l.acked[o]; t.Before(least) {
			least = t
		}
	}
	return least
}

// Settle notes that all copies have everything up to v durably.
func (l *Lease) Settle(v ceph.Eversion) {
	if l.Durable.Less(v) {
		l.Durable = v
	}
}
