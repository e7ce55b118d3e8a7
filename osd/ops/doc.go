// Package ops runs a client's vector of object operations (MOSDOp) against one object and says
// what follows: one transaction with the new object info, what the PG log has to keep, what to
// answer, what happens to watchers, and how the PG's statistics change; or one error and no effect.
//
// Invariants: Execute changes nothing, all effects are data in its Outcome; an error of any op that
// is not marked FAILOK leaves no transaction; reads inside a vector see the object as it was before
// the vector, except for existence, size, omap flag and watchers, which are projected, as Ceph does
// it. The same Env answers and Request give the same Outcome. An Execute runs on the goroutine of
// the PG that owns the object; nothing is kept between calls.
//
// The operations are the rows of Table. The protocol is specified by include/rados.h,
// osd/osd_types.h and osd/PrimaryLogPG.cc of Ceph 16.2.
package ops
