package peering

import (
	"maps"
	"strings"
	"time"

	"glue/ceph"
)

// A Level is one of the states, nested in each other, that the machine is in.
type Level struct {
	Name  string // its path: "Started/Primary/Peering"
	Since time.Time
}

// A Status is what the machine can tell operators about where it is and what it waits for.
type Status struct {
	Levels []Level // the innermost first
	// Of the prior set: who is asked, who would be if it were up, and who is down and has to be
	// heard or declared lost first, with when it was. They are empty unless the PG peers.
	Probe, Down []int32
	Blocked     map[int32]ceph.Epoch
	IsBlocked   bool
	// HistoryBound: the copies agree that the PG went active later than any complete one of them
	// knows of itself.
	HistoryBound bool
	Asked        []int32 // for an info or a log in the present state
	Source       int32   // whose log is authoritative, None until that is known
}

// At tells the machine the time of what comes next.
func (ma *Machine) At(now time.Time) {
	if ma.now.IsZero() {
		ma.entered[0] = now
	}
	ma.now = now
}

// goTo makes s the state. States that have both in them stay entered as they were.
func (ma *Machine) goTo(s State) {
	was := strings.Split(ma.state.String(), "/")
	for i, name := range strings.Split(s.String(), "/") {
		if i >= len(was) || was[i] != name {
			was = nil
			ma.entered[i] = ma.now
		}
	}
	if s == Reset {
		ma.entered[0] = ma.now // also from Reset: another one begins
	}
	ma.state = s
}

// Status is where the machine is.
func (ma *Machine) Status() Status {
	s := Status{Asked: sorted(ma.asked), Source: ma.source}
	path := ma.state.String()
	for i, n := 0, strings.Count(path, "/"); i <= n; i++ {
		s.Levels = append(s.Levels, Level{path, ma.entered[n-i]})
		path = path[:max(0, strings.LastIndexByte(path, '/'))]
	}
	if !ma.IsPeering() {
		return s
	}
	s.Probe, s.Down = sorted(ma.prior.probe), sorted(ma.prior.down)
	s.Blocked, s.IsBlocked = maps.Clone(ma.prior.blocked), ma.prior.pgDown
	s.HistoryBound = ma.state == Incomplete && ma.historyBound()
	return s
}

// IsPeering says whether the copy is a primary that is finding out what was written.
func (ma *Machine) IsPeering() bool {
	return strings.HasPrefix(ma.state.String(), "Started/Primary/Peering/")
}

// historyBound says whether the newest interval that went active is known of only by what is said
// of it, not by a complete copy that was in it.
func (ma *Machine) historyBound() bool {
	said, seen := ma.info.History.LastEpochStarted, ceph.Epoch(0)
	note := func(i *infoT) {
		said = max(said, i.History.LastEpochStarted)
		if !i.IsIncomplete() {
			seen = max(seen, i.LastEpochStarted)
		}
	}
	note(&ma.info)
	for _, p := range ma.peers {
		note(&p.Info)
	}
	return said > seen
}

// BlockedBy are the OSDs that peering waits for: that are down and have to be heard first, or owe
// an answer.
func (ma *Machine) BlockedBy() []int32 {
	switch {
	case ma.state == Down:
		return sorted(ma.prior.blocked)
	case ma.IsPeering() && len(ma.asked) > 0:
		return sorted(ma.asked)
	}
	return nil
}
