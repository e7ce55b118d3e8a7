// Package objecter sends requests on objects to the OSDs that hold them: it computes the target
// from the osdmap, resends what a new map or a lost connection makes necessary, honours backoffs
// and the pause and full flags, and keeps watches alive.
//
// Invariants: a request is finished exactly once; requests of one goroutine to one object arrive
// in the order of their Submit calls, also after they were resent; no lock is held while a
// callback runs. Callbacks run on the reading goroutine of a connection and must not block. Every
// method may be called from any goroutine. The protocol is specified by osdc/Objecter.cc of
// Ceph 16.2.
package objecter
