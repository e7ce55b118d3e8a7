// Package striper keeps files of any size in a pool, striped over objects: what libradosstriper of
// Ceph 16.2 does, in the same layout, on the same objects at the same time.
//
// A striped object "name" is the objects "name.0000000000000000", "name.0000000000000001", … of a
// pool. The first one is always there and has the layout and the size as attributes, beside the
// user's; the others come when something is written to them, and what was not written reads as
// zeros. Every Read, Write and Append holds a shared lock on the first object meanwhile, Truncate
// and Remove an exclusive one, so that neither happens during the others: who comes too early gets
// ceph.EBUSY, and may try again. Nothing else is atomic: the size grows before the data are
// written, so a reader may find zeros where a write is under way, and of writes to the same place
// some objects can have the one, some the other. Appends do not overlap: each takes its range by
// comparing and setting the size. (Those of libradosstriper can, with each other and with ours.)
//
// A client that dies leaves its lock behind, as locks do not expire: nothing but Truncate,
// WriteFull and Remove heeds it if it was shared. IOCtx.LockInfo and BreakLock on the object
// ObjectName(name, 0) show and end it.
package striper
