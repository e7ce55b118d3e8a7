// Package kv is a thin door to Pebble for an object store that has a journal of its own: an
// ordered map without a write-ahead log, whose content after a crash is an exact prefix of the
// batches that were applied.
//
// Invariant: no sorted table is written, and so nothing becomes durable, before Options.Gate has
// returned nil; the store waits there until its journal holds everything that has been applied.
// Any goroutine may call any method but those of one Batch or one Iter.
package kv

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"glue/store/objectstore"
)

// ErrCorrupt wraps damage that Pebble found in its files.
var ErrCorrupt = fmt.Errorf("key-value store: %w", objectstore.ErrCorrupt)

// Options of a DB.
type Options struct {
	FS            vfs.FS // nil is the operating system's
	CacheBytes    int64
	MemTableBytes uint64
	// Gate is called before each sorted table is created; may be nil.
	Gate func() error
	// OnError hears of failed flushes and compactions, of what can't be read, and of errors that
	// end the database, also while it is opened. It must not call the DB.
	OnError func(error)
	// OnFull is called when the file system is full, to make room; what failed is then tried once
	// more. It must not call the DB.
	OnFull func()
	// MustExist refuses to make a new database; MustNotExist to open one.
	MustExist, MustNotExist bool
	ReadOnly                bool
}

// A DB is an open database.
type DB struct {
	db  *pebble.DB
	fs  vfs.FS
	dir string
	// dead is closed when Pebble met an error that it can't go on after; its locks may be held.
	dead   chan struct{}
	once   sync.Once
	report func(error) // Options.OnError

	// Pebble panics when it is used after Close, so everybody who uses it is counted.
	mu     sync.RWMutex
	closed bool
	inside sync.WaitGroup // calls and iterators under way; grows only while not closed
}

// A Batch is a list of changes that become visible together.
type Batch = pebble.Batch

// Open opens the database in dir.
func Open(dir string, o Options) (*DB, error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.OnFull != nil {
		o.FS = vfs.OnDiskFull(o.FS, o.OnFull)
	}
	cache := pebble.NewCache(o.CacheBytes)
	defer cache.Unref()
	d := &DB{fs: o.FS, dir: dir, dead: make(chan struct{}), report: o.OnError}
	gate := gateFS{FS: o.FS, gate: o.Gate}
	if d.report != nil {
		gate.fatal = d.fatal
	}
	opts := &pebble.Options{
		FS:                          gate,
		Cache:                       cache,
		DisableWAL:                  true,
		MemTableSize:                o.MemTableBytes,
		MemTableStopWritesThreshold: 3,
		FormatMajorVersion:          pebble.FormatColumnarBlocks,
		MaxOpenFiles:                200,
		ErrorIfExists:               o.MustNotExist,
		ErrorIfNotExists:            o.MustExist,
		ReadOnly:                    o.ReadOnly,
	}
	opts.EventListener = &pebble.EventListener{
		BackgroundError: backgroundError(o.OnError),
		// Whoever reads a damaged table gets the error; by default the process would end here.
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			if o.OnError != nil {
				o.OnError(fmt.Errorf("%w: %s: %w", ErrCorrupt, info.Path, info.Details))
			}
		},
	}
	opts.CompactionConcurrencyRange = func() (int, int) { return 1, 1 }
	opts.Levels[0].FilterPolicy = bloom.FilterPolicy(10)
	// Compactions begin when a flush or a compaction ends. The default scheduler also starts them
	// from a timer, which goes on, and panics, when Open fails after it was set.
	opts.Experimental.CompactionScheduler =
		pebble.NewConcurrencyLimitSchedulerWithNoPeriodicGrantingForTest()
	opts.Logger = &logger{d}
	db, err := pebble.Open(dir, opts)
	if err != nil {
		return nil, fmt.Errorf("open key-value store %s: %w", dir, wrap(err))
	}
	d.db = db
	return d, nil
}

// backgroundError keeps a flush that can't succeed from spinning.
func backgroundError(report func(error)) func(error) {
	return func(err error) {
		if report != nil {
			report(wrap(err))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func wrap(err error) error {
	if err != nil && pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// enter lets a caller in until Close is called; each of them must leave. It never waits, so that
// whoever is inside may enter again.
func (d *DB) enter() error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return ErrStopped
	}
	d.inside.Add(1)
	return nil
}

func (d *DB) leave() { d.inside.Done() }

// NewBatch returns an empty batch to be closed after use.
func (d *DB) NewBatch() *Batch { return d.db.NewBatch() }

// NewIndexedBatch returns an empty batch that can be read.
func (d *DB) NewIndexedBatch() *Batch { return d.db.NewIndexedBatch() }

// BatchIter iterates over [lo, hi) of an indexed batch on top of the database.
func (d *DB) BatchIter(b *Batch, lo, hi []byte) (*Iter, error) {
	return d.iter("batch", func() (*pebble.Iterator, error) {
		return b.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	})
}

// Apply makes the batch visible; it is not durable before a later Flush.
func (d *DB) Apply(b *Batch) error {
	err := d.enter()
	if err == nil {
		err = d.db.Apply(b, pebble.NoSync)
		d.leave()
	}
	if err != nil {
		return fmt.Errorf("apply to key-value store: %w", wrap(err))
	}
	return nil
}

// ApplyRepr applies the serialized form of a batch, which is kept.
func (d *DB) ApplyRepr(repr []byte) error {
	b := d.db.NewBatch()
	defer b.Close()
	if err := b.SetRepr(repr); err != nil {
		return fmt.Errorf("%w: batch: %w", ErrCorrupt, err)
	}
	return d.Apply(b)
}

// Note is what was put into a batch by LogData, of its serialized form.
func Note(repr []byte) (note []byte, found bool, err error) {
	r := batchrepr.Read(repr)
	for {
		kind, key, _, ok, err := r.Next()
		if err != nil {
			return nil, false, fmt.Errorf("%w: batch: %w", ErrCorrupt, err)
		}
		if !ok || kind == pebble.InternalKeyKindLogData {
			return key, ok, nil
		}
	}
}

// Get appends the key's value to dst; found is false if there is none.
func (d *DB) Get(dst, key []byte) (value []byte, found bool, err error) {
	return d.BatchGet(nil, dst, key)
}

// BatchGet is Get of an indexed batch, if any, on top of the database.
func (d *DB) BatchGet(b *Batch, dst, key []byte) (value []byte, found bool, err error) {
	found, err = d.look(b, key, func(v []byte) { dst = append(dst, v...) })
	return dst, found, err
}

// Size is the length of the key's value in an indexed batch, if any, on top of the database.
func (d *DB) Size(b *Batch, key []byte) (n int, found bool, err error) {
	found, err = d.look(b, key, func(v []byte) { n = len(v) })
	return n, found, err
}

// look calls f with the key's value, which is valid until f returns, if there is one.
func (d *DB) look(b *Batch, key []byte, f func(value []byte)) (found bool, err error) {
	if err := d.enter(); err != nil {
		return false, fmt.Errorf("get from key-value store: %w", err)
	}
	defer d.leave()
	get := d.db.Get
	if b != nil {
		get = b.Get
	}
	v, closer, err := get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("get from key-value store: %w", d.unread(err))
	}
	f(v)
	return true, closer.Close()
}

// Durable is Get over what would survive a crash now.
func (d *DB) Durable(key []byte) (value []byte, found bool, err error) {
	it, err := d.iter("durable key-value store", func() (*pebble.Iterator, error) {
		return d.db.NewIter(&pebble.IterOptions{
			LowerBound: key, UpperBound: append(key[:len(key):len(key)], 0),
			OnlyReadGuaranteedDurable: true,
		})
	})
	if err != nil {
		return nil, false, err
	}
	if it.First() {
		value, found = append([]byte(nil), it.Value()...), true
	}
	return value, found, it.Close()
}

// An Iter walks keys in ascending order over a snapshot. Key and Value are valid until the next
// call. It must be closed, which tells its error.
type Iter struct {
	it *pebble.Iterator
	db *DB
}

func (d *DB) iter(what string, open func() (*pebble.Iterator, error)) (*Iter, error) {
	err := d.enter()
	if err == nil {
		it, err2 := open()
		if err2 == nil {
			return &Iter{it, d}, nil
		}
		d.leave()
		err = d.unread(err2)
	}
	return nil, fmt.Errorf("iterate over %s: %w", what, err)
}

// NewIter returns an unpositioned iterator over [lo, hi).
func (d *DB) NewIter(lo, hi []byte) (*Iter, error) {
	return d.iter("key-value store", func() (*pebble.Iterator, error) {
		return d.db.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	})
}

// First goes to the first key.
func (i *Iter) First() bool { return i.it.First() }

// SeekGE goes to the first key >= key.
func (i *Iter) SeekGE(key []byte) bool { return i.it.SeekGE(key) }

// Next goes to the next key.
func (i *Iter) Next() bool { return i.it.Next() }

// Key is the current key.
func (i *Iter) Key() []byte { return i.it.Key() }

// Value is the current value.
func (i *Iter) Value() []byte { return i.it.Value() }

// Close releases the iterator and returns its first error.
func (i *Iter) Close() error {
	defer i.db.leave()
	return i.db.unread(i.it.Close())
}

// unread reports that something can't be read. That is the end: nobody can go on without knowing
// what is there.
func (d *DB) unread(err error) error {
	if err == nil {
		return nil
	}
	if err = wrap(err); !errors.Is(err, ErrCorrupt) {
		err = fmt.Errorf("%w: %w", objectstore.ErrFailed, err)
	}
	if d.report != nil {
		d.report(err)
	}
	return err
}

// ErrStopped is the answer of a DB that is closed, and of a Flush that was given up.
var ErrStopped = errors.New("stopped")

// Flush makes everything that was applied durable. It tries until it succeeds or stop is closed.
func (d *DB) Flush(stop <-chan struct{}) error {
	err := d.flush(stop)
	if err != nil {
		err = fmt.Errorf("flush key-value store: %w", wrap(err))
	}
	return err
}

func (d *DB) flush(stop <-chan struct{}) error {
	if err := d.enter(); err != nil {
		return err
	}
	var done <-chan struct{}
	begun := make(chan error, 1)
	go func() { // waits for room in memory, so that stop could not end it
		defer d.leave()
		var err error
		done, err = d.db.AsyncFlush()
		begun <- err
	}()
	select {
	case err := <-begun:
		if err != nil {
			return err
		}
	case <-stop:
		return ErrStopped
	}
	select {
	case <-done:
		return nil
	case <-stop:
		return ErrStopped
	}
}

// Free is the room of the file system that the database is on; false if that is not known.
func (d *DB) Free() (bytes uint64, ok bool) {
	u, err := d.fs.GetDiskUsage(d.dir)
	return u.AvailBytes, err == nil && u.TotalBytes > 0
}

// DiskBytes is the size of the files.
func (d *DB) DiskBytes() uint64 { return d.metrics().DiskSpaceUsage() }

// MemTableBytes is the memory that holds what is not flushed.
func (d *DB) MemTableBytes() uint64 { return d.metrics().MemTable.Size }

// Stats is Pebble's own report.
func (d *DB) Stats() string { return d.metrics().String() }

func (d *DB) metrics() *pebble.Metrics {
	if d.enter() != nil {
		return &pebble.Metrics{}
	}
	defer d.leave()
	return d.db.Metrics()
}

// Close does not flush. It waits for the calls and iterators under way, which may be for ever when
// they wait for memory that can't be flushed, but not behind an error that Pebble can't go on
// after. A second Close does nothing.
func (d *DB) Close() error {
	d.mu.Lock()
	again := d.closed
	d.closed = true
	d.mu.Unlock()
	if again {
		return nil
	}
	closed := make(chan error, 1)
	go func() {
		d.inside.Wait()
		closed <- wrap(d.db.Close())
	}()
	select {
	case err := <-closed:
		return err
	case <-d.dead:
		return fmt.Errorf("close key-value store: %w", ErrStopped)
	}
}

// fatal is where an error ends that Pebble can't go on after. It never returns: the goroutine that
// met the error stops here, maybe with Pebble's locks, and the owner of the store ends the process.
func (d *DB) fatal(err error) {
	d.once.Do(func() { close(d.dead) })
	d.report(fmt.Errorf("key-value store: %w", err))
	select {}
}

// logger drops what Pebble would print; what matters comes through OnError.
type logger struct{ db *DB }

func (*logger) Infof(string, ...any)  {}
func (*logger) Errorf(string, ...any) {}

// Fatalf is called when the manifest can't be written.
func (l *logger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	if l.db.report == nil {
		panic(err)
	}
	l.db.fatal(err)
}
