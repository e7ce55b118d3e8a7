// Package scrub finds copies of objects that have gone bad: it reads what a copy has in a range of
// objects into a map, compares the maps of all copies, says which of them is right, and decides
// when a PG is due. A Machine is the primary's side of one scrub.
//
// Everything is pure: the owner (package osd) reads the clock, sends the messages and holds writes
// back. Invariants: memory is bounded by Limits, whatever the copies hold; a copy is called right
// only if its own records agree with each other and with the PG's log, and more copies are like it
// than like any other; when that does not decide, nothing is repaired. The errors and their bits
// are those of Ceph (rados_types.hpp), as "rados list-inconsistent-obj" decodes them.
package scrub
