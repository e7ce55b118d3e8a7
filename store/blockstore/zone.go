package blockstore

import "glue/store/disk"

// zones steer small writes. The first write to space that a file system has only reserved makes
// it change its own metadata, which more than doubles the cost of the next barrier. So small
// writes, which pay for a barrier each, go to space that was written before: to zones that are
// partly in use, or that were filled with zeros ahead of need. Large writes go elsewhere, since
// writing their space twice would cost more. All of this is a hint that a restart forgets.
type zones struct {
	blocks    uint64   // of one zone
	free      []uint32 // free blocks per zone
	size      []uint32 // all blocks per zone
	zeroed    []uint32 // zones that were filled ahead, newest last
	cursor    uint64   // where small writes go on
	at        uint64   // the zone of the cursor
	preparing uint64   // blocks that are being filled, neither free nor in use
	// next zone to fill: from the end down, since large writes come from the beginning.
	next int
	// wanted asks for zones to be filled.
	wanted func()
}

const (
	defaultZoneBlocks = 2048 // 8 MiB
	zonesAhead        = 4    // filled zones to keep
)

func newZones(total, blocks uint64) zones {
	n := (total + blocks - 1) / blocks
	z := zones{blocks: blocks, free: make([]uint32, n), size: make([]uint32, n), next: int(n) - 1}
	for i := range z.free {
		z.size[i] = uint32(min(blocks, total-uint64(i)*blocks))
		z.free[i] = z.size[i]
	}
	z.wanted = func() {}
	return z
}

// move takes the cursor to another zone when its own is used up.
func (z *zones) move() {
	if z.cursor/z.blocks == z.at && z.free[z.at] > 0 && z.cursor%z.blocks != 0 {
		return // nextFree may still leave the zone at its end, which does no harm
	}
	if len(z.zeroed) < zonesAhead {
		z.wanted()
	}
	if n := len(z.zeroed); n > 0 {
		z.enter(uint64(z.zeroed[0]))
		z.zeroed = append(z.zeroed[:0], z.zeroed[1:]...)
		return
	}
	// A zone that is partly in use was written before, but must have runs worth having.
	for i := range uint64(min(len(z.free), 4096)) {
		zone := (z.at + 1 + i) % uint64(len(z.free))
		if f := z.free[zone]; f < z.size[zone] && f >= z.size[zone]/8 && f > 0 {
			z.enter(zone)
			return
		}
	}
	z.at = z.cursor / z.blocks // nothing better: stay until this one is used up
}

func (z *zones) enter(zone uint64) {
	z.at = zone
	z.cursor = zone * z.blocks
}

// pick chooses a zone to fill and takes all its blocks; false if there is none to be had.
func (a *allocator) pick() (r run, ok bool) {
	z := &a.zones
	for range len(z.free) {
		zone := z.next
		if z.next--; z.next < 0 {
			z.next = len(z.free) - 1
		}
		if z.free[zone] == z.size[zone] && !z.isZeroed(uint32(zone)) &&
			uint64(zone) != z.cursor/z.blocks {
			r = a.take(run{uint64(zone) * z.blocks, uint64(z.size[zone])})
			z.preparing += r.n
			return r, true
		}
	}
	return r, false
}

func (z *zones) isZeroed(zone uint32) bool {
	for _, v := range z.zeroed {
		if v == zone {
			return true
		}
	}
	return false
}

// filled gives a zone's blocks back.
func (a *allocator) filled(r run, ok bool) {
	a.zones.preparing -= r.n
	a.release(r)
	if ok {
		a.zones.zeroed = append(a.zones.zeroed, uint32(r.at/a.zones.blocks))
	}
}

// fillZones writes zeros over free zones until enough are ready.
func (s *Store) fillZones() error {
	for s.failure() == nil {
		s.mu.Lock()
		ready := len(s.alloc.zones.zeroed) >= zonesAhead ||
			s.alloc.free < s.alloc.total/8 || s.kvFull.Load()
		var r run
		if !ready {
			var ok bool
			r, ok = s.alloc.pick()
			ready = !ok
		}
		if !ready && s.hostRoom(r) != nil {
			s.alloc.filled(r, false)
			ready = true
		}
		s.mu.Unlock()
		if ready {
			return nil
		}
		err := s.fill(r)
		s.mu.Lock()
		s.alloc.filled(r, err == nil)
		s.mu.Unlock()
		if err != nil {
			s.fail(err)
			return err
		}
	}
	return nil
}

// fill writes zeros; no barrier is needed, since nothing refers to the blocks.
func (s *Store) fill(r run) error {
	zeros := disk.Aligned(1 << 20)
	for r.n > 0 {
		n := min(r.n, uint64(len(zeros))/blockBytes)
		at := s.sb.dataStart() + int64(r.at)*blockBytes
		if err := s.file.WriteVec([][]byte{zeros[:n*blockBytes]}, at); err != nil {
			return err
		}
		r = run{r.at + n, r.n - n}
	}
	return nil
}
