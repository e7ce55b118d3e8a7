// Package quorum is the replicated log that all state of the monitors goes through: etcd's Raft
// over a Pebble database that holds the log and the applied state together.
//
// Invariants: a proposal is handed to Apply on every member in the same order, after a majority
// has it on disk; the applied state and the index it stands at change in one atomic batch, so that
// a restart goes on exactly after the last applied entry; nothing else writes the state.
//
// A Node has no goroutine and no clock of its own: its owner calls Tick at a steady pace, Step with
// what other members sent, Propose, and after any of them Work, which does the disk writes. All
// calls but Close of a View's iterator come from that one goroutine. The algorithm is Ongaro's
// Raft (go.etcd.io/raft/v3); the store's layout is Glue's own.
package quorum
