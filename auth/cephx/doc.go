// Package cephx is both sides of Ceph's authentication protocol as step machines: payload in,
// payload out, with the time passed to each step and randomness given as a reader. Frames and
// connections are wire/msgr's; the keys database is the monitor's.
//
// Who does what:
//   - a monitor answers an entity with a MonServer: challenge, proof of the entity's key, tickets,
//     renewal within the session, rotating keys for daemons;
//   - an OSD, manager or metadata server answers with a ServiceServer, which checks a ticket
//     that the monitors sealed under the service's rotating keys;
//   - a client or daemon has one Client with its tickets, a MonSession per monitor connection
//     and an Authorizer per connection to a service. Tickets are opaque to it, so it works
//     against Glue and against Ceph.
//
// Invariants: a proof is checked before anything is answered that depends on a key; tickets
// are sealed by AES-256-GCM under keys that only daemons know, so that a changed bit, a ticket
// of another service or of an old generation does not open; an authorizer is accepted only with
// the answer to a challenge of this connection. Machines belong to one goroutine at a time.
// The protocol is specified by auth/cephx/CephxProtocol.h of Ceph 16.2; the ticket's sealing is
// Glue's own.
package cephx
