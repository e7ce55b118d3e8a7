// Package loglen is how long the logs of PGs may be in the simulation of whole clusters, and how
// many requests of before the log a PG may remember. It is pure.
package loglen

import (
	"fmt"

	"glue/ceph"
	"glue/osd"
	"glue/osd/pglog"
)

// Entries is osd_max_pg_log_entries of simulated OSDs.
const Entries = 40

// slack is by how much a primary lets a log be longer before it trims it, half of what any other
// copy does.
const slack = 128

// purges is osd_pg_max_concurrent_snap_trims.
const purges = 2

// A Log is what the limits follow from.
type Log struct {
	Primary bool
	Wrote   bool // there has been a write in this interval
	// UnderWay is how many entries there can be at once that not all copies have durably, which are
	// not trimmed.
	UnderWay int
	Dups     int // osd_pg_log_dups_tracked
}

// Limits are the most entries and remembered requests at a rest. A log is trimmed when there is a
// write, so one that has had none in this interval may be two: what a copy had when it went away,
// and behind it what it has missed. What is trimmed, at once by the first write of an interval,
// comes on top of the requests that are kept, until the next time; who is filled anew is given the
// requests of the entries that it does not get. A restart brings back what the store has in a
// record of which only a part was dropped.
func (l Log) Limits() (entries, dups int) {
	primary := Entries + slack + l.UnderWay
	other := primary + slack
	idle := other + primary
	dups = l.Dups + pglog.GroupDups + idle
	switch {
	case l.Wrote && l.Primary:
		return primary, dups
	case l.Wrote:
		return other, dups
	}
	return idle, dups + primary
}

// Check says what is wrong with a PG's log: that it is too long, or that a request is in it twice.
// Users have so many requests under way at most; of each there may be an entry, and one of a clone
// that it makes.
func Check(p *osd.PGCopy, requests, dups int) string {
	l := Log{Primary: p.Primary, UnderWay: 2 * (requests + purges), Dups: dups,
		Wrote: p.Info.LastUpdate.Epoch >= p.Info.History.SameIntervalSince}
	entries, most := l.Limits()
	if n, d := p.Log.Len(), len(p.Log.Dups()); n > entries || d > most {
		return fmt.Sprintf("has %d entries and %d requests before them; %+v allows %d and %d", n, d,
			l, entries, most)
	}
	seen := map[ceph.ReqID]ceph.Eversion{}
	for _, e := range p.Log.Entries() {
		if v, ok := seen[e.ReqID]; ok && e.ReqID.TID != 0 { // the PG's own have none
			return fmt.Sprintf("has %v as %v and as %v", e.ReqID, v, e.Version)
		}
		seen[e.ReqID] = e.Version
	}
	return ""
}
