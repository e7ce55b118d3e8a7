// Package sim runs whole clusters in one goroutine under one seed: the daemons' real cores on
// simulated clocks, disks and networks, with clients that use them and faults that strike them. The
// same seed gives the same run, so a failure is replayed by its seed.
//
// The daemons are monitors and OSDs. Everything that happens is an event on one heap (schedule.go);
// a host (host.go) runs one daemon on its clock (clock.go) and its disk (memdisk) and is reached
// over links (net.go, conn.go); clients (client.go) run commands of a table (workload.go); faults
// are drawn from a table (faults.go); what must never happen is checked while it runs (check.go)
// and on the recorded history (history.go). A cluster (cluster.go) adds OSDs (osdhost.go), their
// stores (osdstore), connections (line.go), users of objects (user.go, objects.go), faults of
// theirs (osdfaults.go) and what must hold at rest (copies.go).
//
// Invariant: only legal faults are injected, ones that a daemon has to live with, so whatever a
// check finds is a bug of the daemons; and nothing but the seed decides, neither the time of day
// nor the order of goroutines or of map keys. Run may be called from one goroutine at a time.
package sim
