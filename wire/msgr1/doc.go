// Package msgr1 is the wire format of Ceph's first messenger protocol (msgr v1, "ceph v027"), as
// the server's side needs it: the records that a connection begins with, the header and footer of a
// message, and signatures. It does no IO; wire/msgr carries it beside msgr2.
//
// Invariants: every Parse checks what it reads before anything is allocated for it. All numbers are
// little-endian, except in socket addresses. The format is include/msgr.h's and
// msg/async/ProtocolV1.cc's of Ceph 16.2. Everything here is pure and may be used from any
// goroutine, a Signer from one at a time.
package msgr1
