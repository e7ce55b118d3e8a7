// Package disk is the one door to the operating system for an object store's block file or block
// device: positioned reads and writes, the barrier, preallocation and the lock. Sim is the same
// door in memory, which records, forgets and fails for tests.
//
// Invariants: WriteVec has written everything when it returns nil, and nothing is known to be on
// stable storage before a later Sync returned nil. Any goroutine may call any method; ranges that
// are written at the same time must not overlap. Offsets and lengths of writes are multiples of
// BlockBytes, so that direct IO works on every device.
package disk

import (
	"errors"
	"unsafe"
)

// BlockBytes is the unit of writes.
const BlockBytes = 4096

// ErrLocked is a file that another process, or another opener in this one, holds.
var ErrLocked = errors.New("in use by another opener")

// A File is a block file or device.
type File interface {
	// ReadAt fills p; reading past the end is an error.
	ReadAt(p []byte, off int64) error
	// WriteVec writes the buffers one after the other from off on.
	WriteVec(bufs [][]byte, off int64) error
	// Sync is the barrier: what was written before it is on stable storage when it returns nil.
	Sync() error
	// Reserve makes room on the host for [off, off+length); the content does not change. An
	// error that wraps ENOSPC is a host that is full; not supporting it is not an error.
	Reserve(off, length int64) error
	// Host is how many bytes the host has free for the file, and how many it has given it; false
	// if the file can't want for room, or nobody knows.
	Host() (free, given uint64, ok bool)
	// Size is fixed while the file is open.
	Size() int64
	// Close releases the lock too.
	Close() error
}

// Aligned returns n zero bytes that start at a multiple of BlockBytes.
func Aligned(n int) []byte {
	b := make([]byte, n)
	if IsAligned(b) {
		return b
	}
	b = make([]byte, n+BlockBytes)
	skip := BlockBytes - int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))%BlockBytes)
	return b[skip : skip+n : skip+n]
}

// IsAligned says whether direct IO can use b as it is.
func IsAligned(b []byte) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(b)))%BlockBytes == 0
}
