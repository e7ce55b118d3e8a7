// Package pglog is the log of one PG copy, the set of objects that the copy knows of and lacks,
// and the rules by which logs of two copies are compared and merged (PGLog, IndexedLog,
// pg_missing_t). It is pure: changes are made in memory, and what has to follow in the store is
// noted (Log.TakeDirty, Missing.TakeDirty) or returned.
//
// Invariants: entries ascend by version; the log holds exactly the entries in (Tail, Head]; what a
// log's tail stands for is common to every copy that ever was complete, so nothing at or below a
// tail is divergent; the number of entries and of remembered request ids is bounded. A Log and a
// Missing belong to the goroutine of their PG. The rules are those of osd/PGLog.h of Ceph 16.2 for
// replicated pools, where an entry can't be rolled back: a divergent object is removed and
// recovered from a copy that has the right version.
package pglog
