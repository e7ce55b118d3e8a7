// Package pgstat holds the statistics of placement groups, OSDs and pools, their sums, and what
// operators see of them: `ceph df`, `pg dump`, `osd df`, the "data" part of `ceph -s`, and the
// health checks about PGs and full disks.
//
// All functions are pure: time and maps are arguments, nothing is kept. A PGMap is changed by one
// goroutine, its owner; a Digest is a value that is not changed once it has been handed out. Record
// formats follow osd/osd_types.cc, texts mon/PGMap.cc of Ceph 16.2.
package pgstat
