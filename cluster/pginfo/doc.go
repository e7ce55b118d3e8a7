// Package pginfo holds the records that the copies of a placement group agree by: object info, PG
// info and history, past intervals, log entries and missing sets. All are plain values without
// behaviour beyond their format and ordering; any goroutine may use them. Formats follow
// osd/osd_types.h of Ceph 16.2 where clients can see them, and are ours elsewhere.
package pginfo
