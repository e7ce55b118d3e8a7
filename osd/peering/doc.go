// Package peering is how the copies of one PG agree, after every change of the map, on what has
// been written, and who serves it: the state machine of one copy (PeeringState), pure and
// single-threaded. Its owner feeds it maps, messages, and the news that what it asked to be written
// is durable; it answers with effects.
//
// Invariants: the primary becomes active only when it has heard from enough of every past interval
// that may have taken writes, its own up_thru is in the map for this interval, and every member of
// acting has made the new interval durable; a copy's log never loses an entry that may have been
// answered; messages of an earlier interval are dropped. One Machine belongs to the goroutine of
// its PG. The protocol, the names of the states and the rules are those of osd/PeeringState.cc of
// Ceph 16.2; snapshots' purging, async recovery, read leases, split and merge are not in it yet.
package peering
