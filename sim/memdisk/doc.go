// Package memdisk is a file system in memory that knows what would be left after a loss of power,
// and that fails when it is told to: the disks of simulated monitors, on which Pebble runs.
//
// Invariant: what is left after Crash depends on what was written and synced, the kind of loss and
// its seed only, not on the order in which a database's goroutines have run.
package memdisk
