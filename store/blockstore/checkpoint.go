package blockstore

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"glue/ceph"
	"glue/store/objectstore"
)

// checkpointer brings the database and the data area up to date with the journal, so that the
// journal can be trimmed and freed blocks reused. Checkpoints run one at a time.
type checkpointer struct {
	run  sync.Mutex
	wake chan struct{}
	back chan struct{} // asks for writing back only
	fill chan struct{} // asks for zones to be filled
	note chan struct{} // asks for the durable LSN to be noted in the superblock
	quit chan struct{}
	gone chan struct{}
	once sync.Once
}

func newCheckpointer() checkpointer {
	return checkpointer{
		wake: make(chan struct{}, 1), back: make(chan struct{}, 1),
		fill: make(chan struct{}, 1), note: make(chan struct{}, 1),
		quit: make(chan struct{}), gone: make(chan struct{}),
	}
}

// request asks for a checkpoint soon, without waiting.
func (c *checkpointer) request() { poke(c.wake) }

// requestBack asks for the deferred data to be written back soon, without waiting.
func (c *checkpointer) requestBack() { poke(c.back) }

// requestFill asks for zones to be filled soon, without waiting.
func (c *checkpointer) requestFill() { poke(c.fill) }

// requestNote asks for the durable LSN to be noted soon, without waiting.
func (c *checkpointer) requestNote() { poke(c.note) }

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// stop ends the loop and waits for it.
func (c *checkpointer) stop() {
	c.once.Do(func() { close(c.quit) })
	<-c.gone
}

func (s *Store) checkpointLoop() {
	defer close(s.checkpoint.gone)
	for {
		work := s.Checkpoint
		select {
		case <-s.checkpoint.quit:
			return
		case <-s.checkpoint.wake:
		case <-s.checkpoint.back:
			work = s.runWriteBack
		case <-s.checkpoint.fill:
			work = s.fillZones
		case <-s.checkpoint.note:
			work = s.noteDurable
		}
		s.doBack(work)
	}
}

// doBack does one piece of the checkpointer's work.
func (s *Store) doBack(work func() error) {
	if s.failure() != nil {
		return
	}
	if err := work(); err != nil && s.failure() == nil {
		s.opts.Log.Warn("checkpoint failed", "err", err)
	}
}

// Checkpoint trims the journal up to now. The store does it by itself when it must.
func (s *Store) Checkpoint() error {
	c := &s.checkpoint
	c.run.Lock()
	defer c.run.Unlock()
	if s.opts.Manual {
		s.commitAll()
	}
	if err := s.failure(); err != nil {
		return err
	}
	s.mu.Lock()
	lsn := s.lastLSN
	s.mu.Unlock()
	if err := firstError(s.checkpointLogs(), s.saveUses()); err != nil {
		s.fail(err)
		return s.failure()
	}
	if err := s.kv.Flush(s.stopped); err != nil {
		return s.flushFailed(err)
	}
	s.judgeHost()
	if err := s.writeBack(lsn); err != nil {
		s.fail(err)
		return s.failure()
	}
	if err := s.trim(lsn); err != nil {
		s.fail(err)
		return s.failure()
	}
	s.stats.checkpoints.Add(1)
	return nil
}

// runWriteBack makes room for more deferred data. What it skips as freed stays covered by the
// journal, since every later trim is to a point after the free.
func (s *Store) runWriteBack() error {
	s.checkpoint.run.Lock()
	defer s.checkpoint.run.Unlock()
	if err := s.failure(); err != nil {
		return err
	}
	s.mu.Lock()
	lsn := s.lastLSN
	s.mu.Unlock()
	err := s.writeBack(lsn)
	if err != nil {
		s.fail(err)
	}
	return err
}

// noteDurable tells the superblock how far the journal reaches, so that a journal that was cut is
// noticed: by itself it looks like one that ends there.
func (s *Store) noteDurable() error {
	s.checkpoint.run.Lock()
	defer s.checkpoint.run.Unlock()
	if err := s.failure(); err != nil {
		return err
	}
	q := &s.q
	q.mu.Lock()
	q.noting = false
	lsn := q.durable
	q.mu.Unlock()
	if lsn <= s.sb.Durable {
		return nil
	}
	s.sb.Durable = lsn
	err := s.sb.write(s.file, s.sync)
	if err != nil {
		s.fail(err)
	}
	s.stats.superBytes.Add(blockBytes)
	return err
}

// flushFailed keeps the store alive when only the host's file system is full.
func (s *Store) flushFailed(err error) error {
	if s.failure() != nil {
		return s.failure()
	}
	if isFull(err) {
		s.kvFull.Store(true)
		return err
	}
	s.fail(err)
	return s.failure()
}

// checkpointLogs stores what the PG logs have gained, one collection at a time.
func (s *Store) checkpointLogs() error {
	s.mu.Lock()
	ids := make([]ceph.SPG, 0, len(s.colls))
	for id, c := range s.colls {
		if c.log.dirty {
			ids = append(ids, id)
		}
	}
	s.mu.Unlock()
	for _, id := range ids {
		s.mu.Lock()
		err := s.checkpointLog(id)
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// writeBack puts everything deferred in its place and makes that durable. Content whose block was
// freed at or before lsn, which a trim must not stop short of, is skipped.
func (s *Store) writeBack(lsn uint64) error {
	q := &s.q
	q.mu.Lock()
	// A group that is being committed may have deferred runs whose record is not durable yet;
	// nothing refers to their place before, so writing them early does no harm.
	runs := slices.Clone(q.deferred)
	live := slices.DeleteFunc(slices.Clone(runs), func(d *dataRun) bool {
		return d.deadLSN != 0 && d.deadLSN <= lsn
	})
	q.mu.Unlock()
	if len(runs) == 0 {
		return nil
	}
	n, err := writeRuns(s.file, s.sb, live)
	s.stats.deferBytes.Add(n)
	if err == nil {
		err = s.sync()
	}
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.deferred = slices.Delete(q.deferred, 0, len(runs))
	for _, d := range runs {
		q.deferBytes -= int64(d.n) * blockBytes
		q.written(d)
	}
	return nil
}

// trim moves the journal's tail past lsn, and frees what may then be reused. Everything up to lsn
// must have reached its place.
func (s *Store) trim(lsn uint64) error {
	durable, err := s.durableLSN()
	if err != nil {
		return err
	}
	q := &s.q
	q.mu.Lock()
	ready := lsn <= durable && lsn <= q.durable && !slices.ContainsFunc(q.deferred,
		func(d *dataRun) bool { return d.lsn <= lsn })
	if !ready {
		q.mu.Unlock()
		return nil
	}
	tail := q.ring.trimmed(lsn)
	noted := q.durable
	moved := tail.Off != q.ring.tail.Off
	q.mu.Unlock()
	if moved {
		s.sb.Tail, s.sb.Durable = tail, noted
		if err := s.sb.write(s.file, s.sync); err != nil {
			return err
		}
		s.stats.superBytes.Add(blockBytes)
	}
	q.mu.Lock()
	q.ring.trim(tail)
	q.cond.Broadcast()
	q.mu.Unlock()
	s.reuse.Lock()
	s.mu.Lock()
	s.alloc.reclaim(tail.LSN - 1)
	s.mu.Unlock()
	s.reuse.Unlock()
	return nil
}

// durableLSN is the LSN that the database would have after a crash.
func (s *Store) durableLSN() (uint64, error) {
	v, found, err := s.kv.Durable(sysLSN)
	if err != nil || !found {
		return 0, err
	}
	if len(v) != 8 {
		return 0, fmt.Errorf("stored LSN: %w", objectstore.ErrCorrupt)
	}
	return binary.LittleEndian.Uint64(v), nil
}
