package blockstore

import (
	"encoding/binary"
	"hash/crc32"
	"slices"

	"glue/store/disk"
)

// update continues a CRC over more bytes.
func update(crc uint32, b []byte) uint32 { return crc32.Update(crc, castagnoli, b) }

// commitLoop writes one group after the other: data in place, the record, one barrier. Work that
// arrives meanwhile forms the next group.
func (s *Store) commitLoop() {
	defer close(s.committer)
	for s.commitNext() {
	}
}

// commitNext commits one group; false if there is none.
func (s *Store) commitNext() bool {
	g, info, pad := s.seal(s.spare)
	if g == nil {
		return false
	}
	if s.opts.sabotage.earlyAck {
		s.acknowledge(g, nil)
	}
	err := s.failure()
	if err == nil {
		err = s.commit(g, info, pad)
	}
	if err != nil {
		s.fail(err)
	}
	s.finish(g, info, err)
	s.spare = g
	return true
}

// seal waits for work (but for Options.Manual), takes the open group and gives its record a place;
// nil when there is none and none will come.
func (s *Store) seal(spare *group) (*group, recordInfo, uint64) {
	q := &s.q
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.open.count == 0 && !q.mark || q.corked && q.urgent == 0 {
		if q.ended && q.open.count == 0 || s.opts.Manual {
			return nil, recordInfo{}, 0
		}
		q.work.Wait()
	}
	q.mark = false
	g := q.open
	spare.reset(g.firstLSN + uint64(g.count))
	q.open = spare
	q.cond.Broadcast() // there is room in the new group
	dropDead(g)
	toLog := s.logWrites(g)
	for _, d := range g.runs {
		if toLog {
			g.record.image(d)
		} else {
			g.record.run(d)
		}
	}
	n := uint64(len(g.record.b))
	off, pad := q.ring.place(roundUp(n))
	info := recordInfo{
		off: off, firstLSN: g.firstLSN, count: g.count, length: uint32(n - recordHeader),
		durable: q.durable, prevCRC: q.ring.head.PrevCRC, kind: recordGroup,
	}
	if g.count == 0 {
		info.kind = recordMark
	}
	if toLog {
		s.deferRuns(g)
	}
	return g, info, pad
}

// dropDead forgets content that was replaced within the group, which is all or nothing. What is
// replaced later must still be written, since the later group may not survive.
func dropDead(g *group) {
	g.runs = slices.DeleteFunc(g.runs, func(d *dataRun) bool {
		if d.deadLSN == 0 {
			return false
		}
		d.recycle()
		return true
	})
}

// logWrites decides whether the group's data goes into its record, to be written back later: one
// write instead of two when there is little, as at low queue depth. Queue lock held.
func (s *Store) logWrites(g *group) bool {
	n := 0
	for _, d := range g.runs {
		if d.n >= wholeMin {
			return false
		}
		n += int(d.n)
	}
	return n > 0 && n <= min(s.opts.LogWriteBlocks, 16) &&
		s.q.deferBytes+int64(n)*blockBytes <= s.opts.DeferBytes
}

// deferRuns moves the group's data to what will be written back.
func (s *Store) deferRuns(g *group) {
	for _, d := range g.runs {
		s.q.deferred = append(s.q.deferred, d)
		s.q.deferBytes += int64(len(d.buf))
	}
	clear(g.runs)
	g.runs = g.runs[:0]
	if s.q.deferBytes > s.opts.DeferBytes/2 {
		s.checkpoint.requestBack()
	}
}

// commit writes the group and makes it durable.
func (s *Store) commit(g *group, info recordInfo, pad uint64) error {
	n, err := writeRuns(s.file, s.sb, g.runs)
	s.stats.dataBytes.Add(n)
	if err != nil {
		return err
	}
	if pad > 0 {
		if err := s.writePad(&info, pad); err != nil {
			return err
		}
	}
	b := g.record.b
	whole := roundUp(uint64(len(b)))
	clear(b[len(b):whole])
	info.crc = finishRecord(b, s.sb.UUID, info)
	at := int64(journalStart + info.off%uint64(s.sb.JournalLen))
	if err := s.file.WriteVec([][]byte{b[:whole]}, at); err != nil {
		return err
	}
	s.stats.journalBytes.Add(whole)
	// A mark is only a hint and needs no barrier: the next group's covers it.
	if !s.opts.sabotage.noBarrier && info.kind == recordGroup {
		if err := s.sync(); err != nil {
			return err
		}
	}
	s.stats.groups.Add(1)
	s.q.mu.Lock()
	s.q.ring.advance(info, whole, info.crc)
	if s.q.ring.used() > s.q.ring.length/3 {
		s.checkpoint.request()
	}
	s.q.mu.Unlock()
	return nil
}

// writePad fills the rest of the ring's lap, so that the record that follows is whole.
func (s *Store) writePad(info *recordInfo, pad uint64) error {
	b := disk.Aligned(blockBytes)
	p := recordInfo{
		off: info.off - pad, firstLSN: info.firstLSN, length: uint32(0),
		durable: info.durable, prevCRC: info.prevCRC, kind: recordPad,
	}
	info.prevCRC = finishRecord(b, s.sb.UUID, p)
	s.stats.journalBytes.Add(blockBytes)
	at := int64(journalStart + p.off%uint64(s.sb.JournalLen))
	return s.file.WriteVec([][]byte{b}, at)
}

// writeRuns writes runs in block order, contiguous ones together.
func writeRuns(f disk.File, sb *superblock, runs []*dataRun) (written uint64, err error) {
	slices.SortFunc(runs, func(a, b *dataRun) int { return int(int64(a.at) - int64(b.at)) })
	var vec [][]byte
	var start, next uint64
	flush := func() error {
		if len(vec) == 0 {
			return nil
		}
		err := f.WriteVec(vec, sb.dataStart()+int64(start)*blockBytes)
		written += (next - start) * blockBytes
		vec = vec[:0]
		return err
	}
	for _, d := range runs {
		if d.at != next || len(vec) == 0 {
			if err := flush(); err != nil {
				return written, err
			}
			start = d.at
		}
		vec = append(vec, d.buf)
		next = d.at + d.n
	}
	return written, flush()
}

// finish publishes what is durable and tells those who wait.
func (s *Store) finish(g *group, info recordInfo, err error) {
	q := &s.q
	q.mu.Lock()
	if err == nil {
		q.durable = info.lastLSN()
		for _, d := range g.runs {
			q.written(d)
		}
	}
	q.marked = info.kind == recordMark
	q.idle.Reset(s.opts.idlePause)
	if !q.noting && info.kind == recordGroup {
		q.noting = true
		q.note.Reset(s.opts.idlePause)
	}
	q.cond.Broadcast()
	q.mu.Unlock()
	if !s.opts.sabotage.earlyAck {
		s.acknowledge(g, err)
	}
}

// wantMark runs when nothing was committed for a while. The last record of a journal can't tell of
// itself whether it was durable, so that damage to it would look like a torn write: a mark says it.
func (s *Store) wantMark() {
	q := &s.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.marked && !q.closing && s.failed.Load() == nil && q.fits(0) {
		q.mark = true
		q.work.Signal()
	}
}

func (s *Store) acknowledge(g *group, err error) {
	if err != nil {
		err = s.failure()
	}
	for _, done := range g.dones {
		if done != nil {
			done(err)
		}
	}
	clear(g.dones)
}

// crcBytes is the i-th of encoded CRCs.
func crcBytes(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }
