package blockstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"glue/ceph"
	"glue/store/objectstore"
)

// queue is what lies between accepted transactions and the disk.
type queue struct {
	mu   sync.Mutex
	work *sync.Cond // for the committer
	cond *sync.Cond // for everyone else: something became durable, or failed
	open *group     // takes transactions until the committer seals it
	ring ring

	durable uint64        // highest LSN that is
	applied atomic.Uint64 // highest LSN that may be in the key-value store's memory

	// Content that is not in its place on disk yet: small runs by block, the others in a list.
	blocks map[uint64]*dataRun
	big    []*dataRun
	// deferred runs are in the journal and wait to be written back.
	deferred   []*dataRun
	deferBytes int64

	idle   *time.Timer // runs out when nothing was committed for a while
	marked bool        // the last record is a mark, or none is needed
	mark   bool        // the committer shall write one
	note   *time.Timer // runs out when the durable LSN is to be noted in the superblock
	noting bool        // it runs, or that is under way

	corked  bool // a batch is being submitted; the committer waits for all of it
	urgent  int  // so many wait for the committer, whatever is corked
	closing bool // no more submits
	ended   bool // the committer leaves when the queue is empty
}

// group is the transactions that one sync commits.
type group struct {
	record    recordBuffer
	firstLSN  uint64
	count     uint32
	dones     []func(error)
	runs      []*dataRun
	dataBytes int64
	itemBytes int // of the run items, to be added when sealed
}

func (g *group) reset(lsn uint64) {
	g.record.reset()
	clear(g.dones)
	clear(g.runs)
	g.firstLSN, g.count, g.dataBytes, g.itemBytes = lsn, 0, 0, 0
	g.dones, g.runs = g.dones[:0], g.runs[:0]
}

func newGroup(lsn uint64) *group {
	g := new(group)
	g.reset(lsn)
	return g
}

// Limits of one group: latency and memory.
const (
	maxGroupData   = 16 << 20
	maxGroupRecord = 2 << 20
)

// full says whether a transaction should wait for the next group.
func (q *queue) full() bool {
	return q.open.count > 0 &&
		(q.open.dataBytes > maxGroupData || len(q.open.record.b) > maxGroupRecord)
}

// fits says whether the ring can take the open group with so many more bytes, in the worst case:
// a pad as long as the record, and a few images.
func (q *queue) fits(more int) bool {
	n := uint64(len(q.open.record.b)+q.open.itemBytes+more) + imagesMax
	return 2*roundUp(n) <= q.ring.free()
}

// imagesMax bounds the images that sealing may add to a record.
const imagesMax = 16 * (blockBytes + 16)

// enqueue makes the transaction part of the open group.
func (s *Store) enqueue(c *change, done func(error)) error {
	repr := c.batch.Repr()
	size, items := len(repr)+5, 0
	for i := range c.entries {
		size += 26 + len(c.entries[i].data)
	}
	for _, d := range c.runs {
		items += runItemBytes(d)
	}
	q := &s.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if uint64(size+items) > q.ring.length/4 {
		return fmt.Errorf("transaction of %d bytes of metadata: %w", size, ceph.EINVAL)
	}
	if q.closing || s.failed.Load() != nil {
		return objectstore.ErrFailed
	}
	if !q.fits(size + items) {
		return errJournalFull
	}
	g := q.open
	g.record.batch(repr)
	for i := range c.entries {
		g.record.logChange(&c.entries[i])
	}
	g.count++
	g.itemBytes += items
	g.dones = append(g.dones, done)
	for _, d := range c.runs {
		d.lsn = c.lsn
		g.runs = append(g.runs, d)
		g.dataBytes += int64(len(d.buf))
		q.addPending(d)
	}
	for _, b := range c.freed {
		q.dropPending(b, c.lsn)
	}
	q.applied.Store(c.lsn)
	if !q.corked {
		q.work.Signal()
	}
	return nil
}

func (q *queue) addPending(d *dataRun) {
	if d.n >= wholeMin {
		q.big = append(q.big, d)
		return
	}
	for b := d.at; b < d.at+d.n; b++ {
		q.blocks[b] = d
	}
}

// dropPending forgets the content of a freed block: nobody can ask for it any more.
func (q *queue) dropPending(b, lsn uint64) {
	if d, ok := q.blocks[b]; ok {
		delete(q.blocks, b)
		if d.n == 1 {
			d.deadLSN = lsn
		}
	}
}

// written forgets content that is in its place, and gives its memory back.
func (q *queue) written(d *dataRun) {
	if d.n >= wholeMin {
		if i := slices.Index(q.big, d); i >= 0 {
			q.big = slices.Delete(q.big, i, i+1)
		}
	} else {
		for b := d.at; b < d.at+d.n; b++ {
			if q.blocks[b] == d {
				delete(q.blocks, b)
			}
		}
	}
	d.recycle()
}

// pendingBlock copies a block's content that is not on disk yet. Queue lock held.
func (q *queue) pendingBlock(b uint64, dst []byte) bool {
	if d, ok := q.blocks[b]; ok {
		copy(dst, d.buf[(b-d.at)*blockBytes:][:blockBytes])
		return true
	}
	for _, d := range q.big {
		if b >= d.at && b < d.at+d.n {
			copy(dst, d.buf[(b-d.at)*blockBytes:][:blockBytes])
			return true
		}
	}
	return false
}

// gate is what the key-value store asks before it writes a table: it returns when the journal
// holds all that the store may have in memory.
func (s *Store) gate() error {
	q := &s.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if s.opts.sabotage.noGate {
		return nil
	}
	target := q.applied.Load()
	q.hurry() // whoever corked may be waiting for us
	defer q.relax()
	for q.durable < target {
		if err := s.failure(); err != nil {
			return err
		}
		q.cond.Wait()
	}
	return nil
}

// hurry has the committer go on even while a batch is being submitted. Queue lock held.
func (q *queue) hurry() {
	q.urgent++
	q.work.Signal()
}

func (q *queue) relax() { q.urgent-- }

// Submit applies t to the state in memory and queues it for the disk.
func (s *Store) Submit(t *objectstore.Transaction, done func(error)) error {
	for range maxTries {
		s.waitRoom()
		err := s.try(t, s.prepare(t), s.lookUp(t), done)
		if err != errReclaim && err != errJournalFull {
			return err
		}
		if err := s.Checkpoint(); err != nil {
			return err
		}
	}
	s.fail(fmt.Errorf("no room in the journal after %d checkpoints", maxTries))
	return s.failure()
}

// maxTries is far more checkpoints than others can use up before one transaction has its turn.
const maxTries = 1000

// waitRoom waits while the open group is as large as groups should get.
func (s *Store) waitRoom() {
	q := &s.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.full() {
		return
	}
	if s.opts.Manual {
		q.mu.Unlock()
		s.commitAll()
		q.mu.Lock()
		return
	}
	q.hurry()
	defer q.relax()
	for q.full() && s.failed.Load() == nil {
		q.cond.Wait()
	}
}

// maxHeld bounds what waits to be reusable, in blocks: 2 GiB.
const maxHeld = 1 << 19

// try is one attempt at a transaction.
func (s *Store) try(
	t *objectstore.Transaction, prep []prepared, omaps []omapPairs, done func(error),
) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer discard(prep)
	if s.failed.Load() != nil {
		return objectstore.ErrFailed
	}
	c := &s.tx
	c.begin(s, t)
	c.prep = prep
	c.trust(omaps)
	err := c.run(t)
	if err == nil {
		err = s.enqueue(c, done)
	}
	if err != nil {
		c.rollback()
		return s.judge(err)
	}
	s.lastLSN = c.lsn
	if err := s.apply(c); err != nil {
		s.fail(err)
		return objectstore.ErrFailed
	}
	c.settle()
	s.stats.transactions.Add(1)
	if a := s.alloc; a.heldCount > min(a.total/8+64, maxHeld) || len(a.held) > maxHeld/8 {
		s.checkpoint.request()
	}
	return nil
}

// apply makes the transaction visible in the database.
func (s *Store) apply(c *change) error {
	err := s.kv.Apply(c.batch)
	if err == nil && s.opts.sabotage.splitLSN {
		b := s.kv.NewBatch()
		defer b.Close()
		err = b.Set(sysLSN, binary.LittleEndian.AppendUint64(nil, c.lsn), nil)
		err = firstError(err, s.kv.Apply(b))
	}
	return err
}

// judge tells answers, which leave the store as it was, from damage and failures.
func (s *Store) judge(err error) error {
	for _, retry := range []error{errReclaim, errJournalFull} {
		if errors.Is(err, retry) {
			return retry
		}
	}
	return err
}

// SubmitAll queues all transactions of the batch before the committer may take any.
func (s *Store) SubmitAll(batch []objectstore.Submission) []error {
	s.q.mu.Lock()
	s.q.corked = true
	s.q.mu.Unlock()
	errs := objectstore.SubmitEach(batch, s.Submit)
	s.uncork()
	return errs
}

func (s *Store) uncork() {
	s.q.mu.Lock()
	s.q.corked = false
	s.q.work.Signal()
	s.q.mu.Unlock()
}
