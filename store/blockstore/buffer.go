package blockstore

import (
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"glue/store/disk"
)

// Buffers of powers of two blocks, aligned for direct IO and reused, since allocating 4 KiB per
// write costs more than all else in it.
var (
	onePool  = sync.Pool{New: func() any { return (*[blockBytes]byte)(disk.Aligned(blockBytes)) }}
	bigPools [12]sync.Pool // of *[]byte with blockBytes<<class bytes
)

// getBuffer returns n bytes, a multiple of blockBytes, of any content.
func getBuffer(n int) []byte {
	if n == blockBytes {
		return onePool.Get().(*[blockBytes]byte)[:]
	}
	class := bits.Len(uint(n/blockBytes - 1))
	if class >= len(bigPools) {
		return disk.Aligned(n)
	}
	if p, ok := bigPools[class].Get().(*[]byte); ok {
		return (*p)[:n]
	}
	return disk.Aligned(blockBytes << class)[:n]
}

// putBuffer takes back what getBuffer gave, with its whole capacity.
func putBuffer(b []byte) {
	if cap(b) == blockBytes {
		onePool.Put((*[blockBytes]byte)(b[:blockBytes]))
		return
	}
	class := bits.Len(uint(cap(b)/blockBytes - 1))
	if class < len(bigPools) && cap(b) == blockBytes<<class {
		whole := b[:cap(b)] // b itself must not escape: it would on the other path as well
		bigPools[class].Put(&whole)
	}
}

// unzeroed returns n bytes of any content: clearing what a disk is about to fill costs a tenth of a
// large read.
func unzeroed(n int) []byte {
	var b strings.Builder // the one way to such memory that needs no linkname
	b.Grow(n)
	return unsafe.Slice(unsafe.StringData(b.String()), n)
}

// sharedBuffer is a buffer that several runs are part of.
type sharedBuffer struct {
	buf    []byte
	pooled bool
	refs   atomic.Int32
}

func newSharedBuffer(buf []byte, pooled bool, refs int) *sharedBuffer {
	s := &sharedBuffer{buf: buf, pooled: pooled}
	s.refs.Store(int32(refs))
	return s
}

func (s *sharedBuffer) drop() {
	if s.refs.Add(-1) == 0 && s.pooled {
		putBuffer(s.buf)
	}
}

// dataRun is new content of contiguous disk blocks on its way to the disk.
type dataRun struct {
	run
	buf    []byte
	crcs   []uint32
	one    [1]uint32
	lsn    uint64
	shared *sharedBuffer // nil if the buffer is the run's own
	pooled bool
	// deadLSN, if set, freed the one block: once that is durable it need not be written.
	deadLSN uint64
}

// newDataRun is a run with a buffer of its own.
func newDataRun(r run, buf []byte, pooled bool) *dataRun {
	d := &dataRun{run: r, buf: buf, pooled: pooled}
	d.checksum()
	return d
}

// checksum computes the CRC of each block.
func (d *dataRun) checksum() {
	if d.n == 1 {
		d.crcs = d.one[:]
	} else {
		d.crcs = make([]uint32, d.n)
	}
	for i := range d.crcs {
		d.crcs[i] = crcOf(d.buf[i*blockBytes : (i+1)*blockBytes])
	}
}

// recycle gives the buffer back; nobody may look at it any more.
func (d *dataRun) recycle() {
	if d.shared != nil {
		d.shared.drop()
	} else if d.pooled {
		putBuffer(d.buf)
	}
	d.buf = nil
}
