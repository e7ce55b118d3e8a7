// Package msgr carries messages between daemons and clients over TCP: Ceph's msgr 2.1 in both
// roles, crc and secure modes, with sessions that survive their socket where the policy says so.
// Besides, it serves clients that speak msgr v1, whose formats are in wire/msgr1.
//
// A Messenger has one address, one name and the connections to its peers. A Conn is a session:
// on a lossless one every message is dispatched exactly once and in order, whatever happens to
// sockets, until one side forgets the session (RemoteReset). A lossy one ends with its socket
// (Reset, exactly once).
//
// Invariants: nothing is read of a frame whose lengths are not within Options' limits; nothing is
// dispatched of a connection before both sides' signatures are checked; at most one goroutine
// dispatches for a Conn at a time; queues of received messages are bounded by throttles.
//
// Goroutines: every method of Messenger and Conn may be called from any goroutine, also from
// within Dispatch. Each connection has one reading and one writing goroutine. The protocol is
// specified by msg/async/ProtocolV2.cc, frames_v2.h and crypto_onwire.cc of Ceph 16.2.
package msgr
