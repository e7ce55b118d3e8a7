package msgr

import (
	"math/bits"
	"sync"
	"unsafe"
)

// A buffer is memory for one data segment, 4 KiB-aligned, from a pool.
type buffer struct {
	mem     []byte
	pool    *sync.Pool
	release func() // puts the buffer back; made once per buffer
}

const (
	minShift       = 12      // buffers are multiples of 4 KiB
	maxBufferBytes = 8 << 20 // longer ones are not pooled
)

var pools [40]sync.Pool

// sizeClass is the smallest class of buffers with at least n bytes, and its size. There are four
// between a power of two and the next, since a write of 4 MiB comes with a few bytes more.
func sizeClass(n int) (class, size int) {
	shift := max(minShift, bits.Len(uint(max(n, 1)-1))-3)
	parts := max(1, (n+1<<shift-1)>>shift) // up to 8; the first classes have the small numbers
	return (shift-minShift)*4 + parts - 1, parts << shift
}

// newBuffer gives at least n bytes.
func newBuffer(n int) *buffer {
	if n > maxBufferBytes { // of the writer; readers grow such ones
		return &buffer{mem: alignedBytes(n), release: func() {}}
	}
	class, size := sizeClass(n)
	pool := &pools[class]
	if b, ok := pool.Get().(*buffer); ok {
		return b
	}
	b := &buffer{mem: alignedBytes(size), pool: pool}
	b.release = func() { b.pool.Put(b) }
	return b
}

// alignedBytes allocates at a multiple of 4 KiB. The allocator does that by itself for the sizes
// of the pools; the check keeps the promise whatever it does.
func alignedBytes(n int) []byte {
	b := make([]byte, n)
	if misaligned(b) == 0 {
		return b
	}
	b = make([]byte, n+dataAlign)
	off := (dataAlign - misaligned(b)) % dataAlign
	return b[off : off+n : off+n]
}

func misaligned(b []byte) int {
	return int(uintptr(unsafe.Pointer(unsafe.SliceData(b))) % dataAlign)
}

// A slab hands out small pieces of memory that is never reused: the fronts of messages, which
// bodies may refer to for as long as they live.
type slab struct{ free []byte }

const slabBytes = 8 << 10

func (s *slab) take(n int) []byte {
	if n > slabBytes/4 {
		return make([]byte, n)
	}
	if n > len(s.free) {
		s.free = make([]byte, slabBytes)
	}
	b := s.free[:n:n]
	s.free = s.free[n:]
	return b
}
