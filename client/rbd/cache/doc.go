// Package cache keeps a block device's data in memory: writes that are not durable yet, what was
// read, and what is likely to be read next. Its options are those of librbd, by the same names.
//
// A Cache lies in front of a Disk. Any goroutine may call it. It holds no lock of the disk: who
// owns the disk lets it write back what is dirty (Drain) before somebody else may write, and forget
// what it knows (Invalidate) when somebody else may have written.
//
// Invariants: a read sees every write that returned before it began. Flush returns nil only if
// every write that returned before it is durable. Two writes of one place reach the disk one after
// the other, in order. What could not be written back stays, is tried again, and is the error of
// the next Flush if that does not succeed either; what had to be given up (Abandon) is the error of
// every Flush from then on. No more than Options.SizeBytes are held, of which Options.MaxDirtyBytes
// are dirty: a writer waits for room.
package cache
