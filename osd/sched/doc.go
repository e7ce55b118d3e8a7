// Package sched says when a shard does its background work: recovery, backfill, scrub and trimming
// beside the requests of clients, by reservation, weight and limit as dmClock has them, with the
// profiles of Ceph's mClock scheduler.
//
// Requests of clients never wait in the queue. They are served when they come, and only what they
// cost is noted while there is background work; without any, nothing is. So the queue gives the
// others what their reservation promises, and beyond it no more than their weight against the
// clients' allows, and only when the shard has nothing else to do. Steps of scrubs are over when
// they have been done, so they do not count against what is under way: beside active clients they
// have their weight's part of the capacity, and of a shard that is never idle a little.
//
// Times are since any fixed moment. A Queue belongs to one goroutine.
package sched
