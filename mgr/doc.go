// Package mgr is the manager: it collects the statistics of PGs and OSDs, answers the commands
// about them, and hands the monitors a digest and health checks.
//
// A Manager has one goroutine, its loop, that owns all state; connection readers and timers only
// hand events to it. Start, Close and Commands may be called from any goroutine. Invariants:
// only the active manager of the present MgrMap answers commands; every command is checked
// against the session's capabilities first. The protocol is that of Ceph 16.2: mgr/DaemonServer.cc,
// mgr/ClusterState.cc; reports to the monitors have a layout of our own.
package mgr
