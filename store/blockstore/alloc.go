package blockstore

import (
	"math/bits"

	"glue/internal/invariant"
)

// run is n data blocks from number at.
type run struct{ at, n uint64 }

// allocator knows which data blocks are in use. It is rebuilt from the extents at mount, so a
// crash can't make it wrong. The store's state lock guards it.
type allocator struct {
	words  []uint64 // one bit per block, set if in use
	groups []int32  // free blocks of each groupWords words
	total  uint64
	free   uint64
	cursor uint64 // where large writes go on
	zones  zones  // where small ones do
	// held are blocks that were freed but not yet reusable, in order of LSN.
	held      []heldRun
	heldCount uint64
}

// heldRun waits until the journal was trimmed past the LSN that freed it.
type heldRun struct {
	run
	lsn uint64
}

const groupWords = 512 // 32,768 blocks, 128 MiB

func newAllocator(total, zoneBlocks uint64) *allocator {
	a := &allocator{total: total, free: total, zones: newZones(total, zoneBlocks)}
	a.words = make([]uint64, (total+63)/64)
	a.groups = make([]int32, (len(a.words)+groupWords-1)/groupWords)
	for i := range total / (groupWords * 64) {
		a.groups[i] = groupWords * 64
	}
	if rest := total % (groupWords * 64); rest > 0 {
		a.groups[len(a.groups)-1] = int32(rest)
	}
	if rest := total % 64; rest > 0 {
		a.words[len(a.words)-1] = ^uint64(0) << rest
	}
	return a
}

func (a *allocator) used(b uint64) bool { return a.words[b/64]&(1<<(b%64)) != 0 }

func (a *allocator) set(b uint64) {
	if a.used(b) { // the check is cheap, its arguments are not
		invariant.That(false, "block %d allocated twice", b)
	}
	a.words[b/64] |= 1 << (b % 64)
	a.groups[b/64/groupWords]--
	a.zones.free[b/a.zones.blocks]--
	a.free--
}

func (a *allocator) unset(b uint64) {
	if !a.used(b) {
		invariant.That(false, "block %d freed twice", b)
	}
	a.words[b/64] &^= 1 << (b % 64)
	a.groups[b/64/groupWords]++
	a.zones.free[b/a.zones.blocks]++
	a.free++
}

// alloc appends runs of n blocks in all to dst, or returns false and takes none.
func (a *allocator) alloc(n uint64, dst []run) ([]run, bool) {
	if n > a.free {
		return dst, false
	}
	cursor := &a.cursor
	if n < wholeMin {
		cursor = &a.zones.cursor
	} else if at, ok := a.findWhole(n); ok {
		a.cursor = at + n
		return append(dst, a.take(run{at, n})), true
	}
	for n > 0 {
		if cursor == &a.zones.cursor {
			a.zones.move()
		}
		at := a.nextFree(*cursor)
		r := a.take(run{at, a.extent(at, n)})
		*cursor = at + r.n
		dst = append(dst, r)
		n -= r.n
	}
	return dst, true
}

// wholeMin is where looking for one contiguous run pays.
const wholeMin = 16

func (a *allocator) take(r run) run {
	for b := r.at; b < r.at+r.n; b++ {
		a.set(b)
	}
	return r
}

// nextFree is the first free block from b on, around the end; there is one.
func (a *allocator) nextFree(b uint64) uint64 {
	if b >= a.total {
		b = 0
	}
	w := b / 64
	if m := ^a.words[w] >> (b % 64); m != 0 {
		return b + uint64(bits.TrailingZeros64(m))
	}
	for {
		w++
		if w >= uint64(len(a.words)) {
			w = 0
		}
		if w%groupWords == 0 && a.groups[w/groupWords] == 0 {
			w += groupWords - 1
			continue
		}
		if m := ^a.words[w]; m != 0 {
			return w*64 + uint64(bits.TrailingZeros64(m))
		}
	}
}

// extent is the number of free blocks from at on, at most limit.
func (a *allocator) extent(at, limit uint64) uint64 {
	n := uint64(0)
	for n < limit && at+n < a.total {
		b := at + n
		m := a.words[b/64] >> (b % 64)
		z := uint64(bits.TrailingZeros64(m))
		if m == 0 {
			z = 64 - b%64
		}
		if z == 0 {
			break
		}
		n += z
		if b%64+z < 64 {
			break
		}
	}
	return min(n, limit, a.total-at)
}

// findWhole looks for n contiguous free blocks, for a bounded time.
func (a *allocator) findWhole(n uint64) (uint64, bool) {
	at := a.cursor
	for range 256 {
		at = a.nextFree(at)
		got := a.extent(at, n)
		if got == n {
			return at, true
		}
		at += got
	}
	return 0, false
}

// release returns blocks at once: allocated by a transaction that came to nothing.
func (a *allocator) release(r run) {
	for b := r.at; b < r.at+r.n; b++ {
		a.unset(b)
	}
}

// hold keeps a freed block until reclaim has passed lsn.
func (a *allocator) hold(b, lsn uint64) {
	if !a.used(b) {
		invariant.That(false, "block %d freed twice", b)
	}
	a.heldCount++
	if n := len(a.held); n > 0 {
		if last := &a.held[n-1]; last.lsn == lsn && last.at+last.n == b {
			last.n++
			return
		}
	}
	a.held = append(a.held, heldRun{run{b, 1}, lsn})
}

// reclaim frees what was freed at or before lsn.
func (a *allocator) reclaim(lsn uint64) {
	i := 0
	for ; i < len(a.held) && a.held[i].lsn <= lsn; i++ {
		a.release(a.held[i].run)
		a.heldCount -= a.held[i].n
	}
	a.held = append(a.held[:0], a.held[i:]...)
	if cap(a.held) > 4096 && len(a.held) < cap(a.held)/4 {
		a.held = append([]heldRun(nil), a.held...)
	}
}

// live is the number of blocks that hold data.
func (a *allocator) live() uint64 {
	return a.total - a.free - a.heldCount - a.zones.preparing
}
