// Package backend is how a replicated PG writes: the form of a transaction on its way to the
// replicas, and the window of writes that are not durable everywhere yet (ReplicatedBackend).
// It is pure; the PG that owns a Window sends the messages and submits the transactions.
//
// Invariants: writes complete in the order of their versions, each once every copy has it; a copy's
// word that a version is durable covers all versions before it, since a store and a connection keep
// order. A Window belongs to the goroutine of its PG. Layouts are ours.
package backend
