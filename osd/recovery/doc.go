// Package recovery copies objects between the copies of a PG: it cuts an object into pushes that
// fit into messages, and turns received pushes into transactions. It keeps no state: how far a
// copy is stands in the pushes themselves (ObjectRecoveryProgress).
//
// Invariants: an object that takes more than one push is put together under a temporary name and
// takes its place in one transaction; what is pushed is the object of one version, since the
// primary holds back writes to it meanwhile. Functions run on the goroutine of the PG.
package recovery
