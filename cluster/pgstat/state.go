package pgstat

import "strings"

// A State is the set of things that a PG is (PG_STATE_*).
type State uint64

// The states.
const (
	Creating        State = 1 << 0
	Active          State = 1 << 1
	Clean           State = 1 << 2
	Down            State = 1 << 4
	RecoveryUnfound State = 1 << 5
	BackfillUnfound State = 1 << 6
	Premerge        State = 1 << 7
	Scrubbing       State = 1 << 8
	Degraded        State = 1 << 10
	Inconsistent    State = 1 << 11
	Peering         State = 1 << 12
	Repair          State = 1 << 13
	Recovering      State = 1 << 14
	BackfillWait    State = 1 << 15
	Incomplete      State = 1 << 16
	Stale           State = 1 << 17
	Remapped        State = 1 << 18
	DeepScrub       State = 1 << 19
	Backfilling     State = 1 << 20
	BackfillToofull State = 1 << 21
	RecoveryWait    State = 1 << 22
	Undersized      State = 1 << 23
	Activating      State = 1 << 24
	Peered          State = 1 << 25
	SnapTrim        State = 1 << 26
	SnapTrimWait    State = 1 << 27
	RecoveryToofull State = 1 << 28
	SnapTrimError   State = 1 << 29
	ForcedRecovery  State = 1 << 30
	ForcedBackfill  State = 1 << 31
	FailedRepair    State = 1 << 32
	Laggy           State = 1 << 33
	Wait            State = 1 << 34
)

// stateTable is in the order in which Ceph prints the names.
var stateTable = []struct {
	bit  State
	name string
}{
	{Stale, "stale"}, {Creating, "creating"}, {Active, "active"}, {Activating, "activating"},
	{Clean, "clean"}, {RecoveryWait, "recovery_wait"}, {RecoveryToofull, "recovery_toofull"},
	{Recovering, "recovering"}, {ForcedRecovery, "forced_recovery"}, {Down, "down"},
	{RecoveryUnfound, "recovery_unfound"}, {BackfillUnfound, "backfill_unfound"},
	{Undersized, "undersized"}, {Degraded, "degraded"}, {Remapped, "remapped"},
	{Premerge, "premerge"}, {Scrubbing, "scrubbing"}, {DeepScrub, "deep"},
	{Inconsistent, "inconsistent"}, {Peering, "peering"}, {Repair, "repair"},
	{BackfillWait, "backfill_wait"}, {Backfilling, "backfilling"},
	{ForcedBackfill, "forced_backfill"}, {BackfillToofull, "backfill_toofull"},
	{Incomplete, "incomplete"}, {Peered, "peered"}, {SnapTrim, "snaptrim"},
	{SnapTrimWait, "snaptrim_wait"}, {SnapTrimError, "snaptrim_error"},
	{FailedRepair, "failed_repair"}, {Laggy, "laggy"}, {Wait, "wait"},
}

// Has says whether all bits of mask are set.
func (s State) Has(mask State) bool { return s&mask == mask }

// Any says whether a bit of mask is set.
func (s State) Any(mask State) bool { return s&mask != 0 }

// String joins the names by plus signs; a state without any is unknown.
func (s State) String() string {
	if s == 0 {
		return "unknown"
	}
	var names []string
	for _, row := range stateTable {
		if s&row.bit != 0 {
			names = append(names, row.name)
		}
	}
	return strings.Join(names, "+")
}

// ParseState finds a state by one name; "unknown" is 0.
func ParseState(name string) (State, bool) {
	if name == "unknown" {
		return 0, true
	}
	for _, row := range stateTable {
		if row.name == name {
			return row.bit, true
		}
	}
	return 0, false
}
