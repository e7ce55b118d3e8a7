// Package blockstore is the object store of an OSD on one preallocated file or block device, with
// a Pebble database in a folder beside it: data in blocks of 4 KiB that are never overwritten
// while anything refers to them, a journal ring that every transaction is committed through, and
// metadata in the database, which has no log of its own.
//
// Why it survives a crash: a transaction is acknowledged only after one barrier has made its
// data and its journal record stable; records form a chain of CRCs, so that replay ends exactly at
// the torn tail; the database never holds more than the journal (package kv's gate), and holds an
// exact prefix whose LSN is in it, from which replay continues; a freed block is reused only when
// the journal was trimmed past the free. A write or sync that fails stops the store for good.
//
// Locks: state (onodes, extents, allocator, logs) is under mu, the queue towards the disk under
// q.mu, taken in that order; the committer never takes mu, so whoever holds mu may wait for the
// journal. Any goroutine may call any method; done functions run on the committer and must not
// call the store's Submit or wait.
package blockstore

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"glue/ceph"
	"glue/store/disk"
	"glue/store/kv"
	"glue/store/objectstore"
)

// A Store is an open store.
type Store struct {
	opts Options
	dir  string
	file disk.File
	kv   *kv.DB
	sb   *superblock // changed by the checkpointer only

	mu       sync.Mutex
	alloc    *allocator
	reserve  uint64 // blocks that only shrinking changes may take
	cache    *onodeCache
	refs     map[uint64]*refChunk
	colls    map[ceph.SPG]*collection
	nextCID  uint64
	uses     uses // of pools
	lastLSN  uint64
	tx       change // the transaction under way
	arena    arena  // of PG log entries
	scratch  []byte
	keyBuf   []byte
	valueBuf []byte
	reserved []uint64 // bits of file chunks that the host has room for

	q queue

	// reuse is held by readers of the file, and by the checkpointer while freed blocks become
	// reusable, so that no reader sees a block change under it.
	reuse sync.RWMutex

	recovered recovery

	failed     atomic.Pointer[error]
	kvFull     atomic.Bool // the database's file system is nearly full
	failOnce   sync.Once
	syncing    sync.Mutex
	stopped    chan struct{} // closed when the store has failed
	checkpoint checkpointer
	committer  chan struct{} // closed when the committer has ended
	spare      *group        // of the committer, for what comes next
	stats      counters
}

var _ objectstore.Store = (*Store)(nil)

// counters are totals since the store was opened.
type counters struct {
	transactions, groups, syncs, checkpoints        atomic.Uint64
	dataBytes, journalBytes, deferBytes, superBytes atomic.Uint64
}

// Counters is what the store has done since it was opened.
type Counters struct {
	Transactions, Groups, Syncs, Checkpoints uint64
	DataBytes                                uint64 // written in place before the commit
	JournalBytes                             uint64
	DeferBytes                               uint64 // written back from the journal
}

// Counters returns a copy of the totals.
func (s *Store) Counters() Counters {
	return Counters{
		Transactions: s.stats.transactions.Load(), Groups: s.stats.groups.Load(),
		Syncs: s.stats.syncs.Load(), Checkpoints: s.stats.checkpoints.Load(),
		DataBytes: s.stats.dataBytes.Load(), JournalBytes: s.stats.journalBytes.Load(),
		DeferBytes: s.stats.deferBytes.Load(),
	}
}

// recovery is what opening the store found in the journal.
type recovery struct {
	from, to   uint64 // LSNs that were replayed into the database
	lastRecord uint64 // first LSN of the last record, which may be torn by a crash
	torn       bool   // a record was dropped, because its data had not arrived
}

func openDisk(dir string, o Options) (disk.File, error) {
	if o.Disk != nil {
		return o.Disk()
	}
	return disk.Open(blockPath(dir))
}

// Open opens the store in dir, replays its journal and starts its goroutines. It refuses a store
// that is foreign, damaged, cut short or in use, and leaves it as it is.
func Open(dir string, o Options) (*Store, error) {
	o = o.withDefaults()
	file, err := openDisk(dir, o)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	s, err := open(dir, o, file)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	s.q.mu.Lock()
	s.q.idle = time.AfterFunc(o.idlePause, s.wantMark)
	s.q.note = time.AfterFunc(o.idlePause, s.checkpoint.requestNote)
	s.q.marked = true
	s.q.mu.Unlock()
	if o.Manual {
		close(s.committer)
		close(s.checkpoint.gone)
		return s, nil
	}
	go s.commitLoop()
	go s.checkpointLoop()
	return s, nil
}

// fail stops the store for good; the first error counts.
func (s *Store) fail(err error) {
	s.failOnce.Do(func() {
		err = fmt.Errorf("%w: %w", objectstore.ErrFailed, err)
		s.failed.Store(&err)
		close(s.stopped)
		s.opts.Log.Error("object store has failed", "err", err)
		if s.opts.OnFail != nil {
			go s.opts.OnFail(err)
		}
	})
	s.q.mu.Lock()
	s.q.cond.Broadcast()
	s.q.work.Broadcast()
	s.q.mu.Unlock()
}

// sync is the barrier. Barriers do not overlap, and after one has failed none is tried: the kernel
// reports lost writes once, and to whoever asks first.
func (s *Store) sync() error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	if err := s.failure(); err != nil {
		return err
	}
	s.stats.syncs.Add(1)
	err := s.file.Sync()
	if err != nil {
		s.fail(err)
	}
	return err
}

// failure is the error that the store stopped with, nil while it works.
func (s *Store) failure() error {
	if p := s.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// Close commits what is queued, brings the database up to date and releases everything. Iterations
// under way must have ended. A store that has failed may be left open, with an error: the process
// is to end.
func (s *Store) Close() error {
	s.q.mu.Lock()
	if s.q.closing {
		s.q.mu.Unlock()
		return objectstore.ErrFailed
	}
	s.q.closing = true
	s.q.idle.Stop()
	s.q.note.Stop()
	s.q.mu.Unlock()
	return s.patiently(s.shutdown)
}

// patiently waits for f, but not long when the store has failed: then f may be waiting for ever in
// a database that can't go on, and is left alone.
func (s *Store) patiently(f func() error) error {
	result := make(chan error, 1)
	go func() { result <- f() }()
	select {
	case err := <-result:
		return err
	case <-s.stopped:
	}
	select {
	case err := <-result:
		return err
	case <-time.After(patience):
		return s.failure()
	}
}

// patience is how long a failed store may take to open or close.
const patience = 2 * time.Second

func (s *Store) shutdown() error {
	s.checkpoint.stop()
	err := s.Checkpoint()
	s.q.mu.Lock()
	s.q.ended = true
	s.q.work.Broadcast()
	s.q.mu.Unlock()
	<-s.committer
	closed := objectstore.ErrFailed
	s.mu.Lock()
	s.failed.CompareAndSwap(nil, &closed)
	s.mu.Unlock()
	s.checkpoint.run.Lock() // who comes later finds that the store has failed
	defer s.checkpoint.run.Unlock()
	err = firstError(err, s.kv.Close())
	s.reuse.Lock() // readers have left
	defer s.reuse.Unlock()
	return firstError(err, s.file.Close())
}

// exists says whether path is there.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
