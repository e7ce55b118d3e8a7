// Package osd is the daemon of one disk: it keeps placement groups, serves clients' object
// operations, replicates writes, and repairs copies after failures.
//
// A Daemon runs a few shards, each one goroutine with a queue; a PG belongs to one shard for ever
// and nobody else touches its state, so PG code has no locks. Connection readers, the store's
// completions and timers only hand events over to a shard; a shard drains its queue, steps every
// event, then submits all transactions as one batch. Osdmaps are immutable values behind an
// atomic pointer. The methods of Daemon may be called from any goroutine.
//
// Invariants: a write is answered only when every member of the acting set has it durably; an
// operation takes effect only in the interval it was accepted in; only the acting primary of the
// present interval serves reads. The protocol with clients is Ceph 16.2's (osd/OSD.cc,
// osd/PrimaryLogPG.cc, osd/PeeringState.cc); messages between OSDs have layouts of our own.
package osd
