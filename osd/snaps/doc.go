// Package snaps is the rules of snapshots of one object: when a write keeps what was there as a
// clone, what a reader at a snapshot sees, what becomes of a clone when snapshots are removed, and
// how many bytes clones stand for (SnapSet, PrimaryLogPG::make_writeable, find_object_context and
// trim_object of Ceph 16.2).
//
// It is pure, and no value that is handed in or out is changed later. A nil *Set is that of an
// object that was never written under a snapshot context.
//
// Invariants of a Set: its clones ascend; each stands for at least one snapshot, none for one that
// another stands for; no clone is above Seq; overlaps lie within the sizes of both sides.
package snaps
