// Package monc is the monitor client of daemons and of Glue's own clients: it finds a monitor
// that answers, authenticates, keeps the subscriptions and the tickets, and carries commands and
// other requests, resending them when it changes over to another monitor.
//
// A Client has no socket of its own. Its owner makes the Client, gives it to the Messenger as
// ClientAuth, passes what the Messenger reports to the Client's Dispatcher methods first, and
// starts it. The policy towards monitors must be lossy.
//
// Invariants: at most one monitor session is active; a request is answered exactly once, or its
// context ends; handlers are called without a lock held. Every method may be called from any
// goroutine. The protocol is specified by mon/MonClient.cc of Ceph 16.2.
package monc
