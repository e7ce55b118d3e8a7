package reserve

// The bases of priorities (OSD_*_PRIORITY_*): forced above what blocks IO, above recovery from the
// log, above backfill for lack of copies, above backfill that only moves data.
const (
	backfillBase    = 100
	degradedBase    = 140
	recoveryBase    = 180
	inactiveBase    = 220
	maximum         = 253
	backfillForced  = 254
	recoveryForced  = 255
	lowest          = 0
	degradedHighest = recoveryBase - 1
)

// A Need is what the priority of a PG follows from.
type Need struct {
	Forced        bool
	Size, MinSize int
	// Acting is how many copies act, Whole how many of them miss nothing.
	Acting, Whole int
	Degraded      bool
	// Pool is the pool's recovery_priority, -10 to 10.
	Pool int64
}

// Recovery is the priority of recovery from the log (get_recovery_priority).
func (n Need) Recovery() uint32 {
	switch {
	case n.Forced:
		return recoveryForced
	case n.Degraded && n.Whole < n.MinSize:
		return n.clamp(inactiveBase+n.MinSize-n.Whole, maximum)
	}
	return n.clamp(recoveryBase, inactiveBase-1)
}

// Backfill is the priority of backfill (get_backfill_priority).
func (n Need) Backfill() uint32 {
	switch {
	case n.Forced:
		return backfillForced
	case n.Acting < n.MinSize:
		return n.clamp(inactiveBase+n.MinSize-n.Acting, maximum)
	case n.Acting < n.Size:
		return n.clamp(degradedBase+n.Size-n.Acting, degradedHighest)
	case n.Degraded:
		return n.clamp(degradedBase+max(0, n.Size-n.Whole), degradedHighest)
	}
	return n.clamp(backfillBase, degradedBase-1)
}

func (n Need) clamp(base, highest int) uint32 {
	return uint32(min(max(base+int(n.Pool), lowest), highest))
}
