// Package memstore keeps an OSD's objects in memory: the model that store/storetest holds other
// stores against, and the store of simulated and throw-away OSDs. Nothing outlives the process.
//
// Invariants are those of store/objectstore. By default done functions run on one goroutine of
// the store, in order; with Options.Manual they run only when Complete is called, so that a
// simulation decides when a write becomes durable, and Crash returns a store that holds exactly
// the completed prefix. Any goroutine may call any method.
package memstore

import (
	"encoding/binary"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"glue/ceph"
	"glue/internal/crc32c"
	"glue/store/objectstore"
)

// Options of a store; the zero value is ready for use.
type Options struct {
	// TotalBytes is the size reported and enforced; 0 means 1 TiB.
	TotalBytes uint64
	// Manual leaves transactions pending until Complete.
	Manual bool
}

// A Store is an objectstore.Store in memory.
type Store struct {
	opts Options

	mu      sync.RWMutex
	now     *state // what readers see
	durable *state // Manual only: what survives Crash
	pending []objectstore.Submission
	wake    *sync.Cond
	closed  bool
	stopped chan struct{}
	pools   map[int64]objectstore.PoolUsage // nil after a change
}

var _ objectstore.Store = (*Store)(nil)

// New returns an empty store.
func New(opts Options) *Store {
	if opts.TotalBytes == 0 {
		opts.TotalBytes = 1 << 40
	}
	s := &Store{opts: opts, now: newState(), stopped: make(chan struct{})}
	s.wake = sync.NewCond(&s.mu)
	if opts.Manual {
		s.durable = newState()
		close(s.stopped)
	} else {
		go s.complete()
	}
	return s
}

// complete calls the done functions in order until the store is closed.
func (s *Store) complete() {
	defer close(s.stopped)
	for {
		s.mu.Lock()
		for len(s.pending) == 0 && !s.closed {
			s.wake.Wait()
		}
		batch := s.pending
		s.pending = nil
		s.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for _, sub := range batch {
			call(sub.Done, nil)
		}
	}
}

func call(done func(error), err error) {
	if done != nil {
		done(err)
	}
}

// Pending is the number of transactions that are not yet durable; always 0 to the caller's eye
// unless Options.Manual is set.
func (s *Store) Pending() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.pending)
}

// Complete makes the oldest n pending transactions durable and calls their done functions on the
// calling goroutine. For Options.Manual only.
func (s *Store) Complete(n int) {
	s.mu.Lock()
	n = min(n, len(s.pending))
	batch := s.pending[:n:n]
	s.pending = s.pending[n:]
	for _, sub := range batch {
		if err := s.durable.apply(sub.Transaction, s.opts.TotalBytes); err != nil {
			s.mu.Unlock()
			panic("memstore: an accepted transaction failed again: " + err.Error())
		}
	}
	s.mu.Unlock()
	for _, sub := range batch {
		call(sub.Done, nil)
	}
}

// Crash forgets everything pending without calling any done function and returns a store with
// what was durable; s fails from then on. For Options.Manual only.
func (s *Store) Crash() *Store {
	n := s.AfterCrash()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.pending = nil
	return n
}

// AfterCrash is a store with what Crash would leave now; s goes on. For Options.Manual only.
func (s *Store) AfterCrash() *Store {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := New(s.opts)
	n.now, n.durable = s.durable.clone(), s.durable.clone()
	return n
}

// Submit applies t at once.
func (s *Store) Submit(t *objectstore.Transaction, done func(error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.submit(t, done)
}

func (s *Store) submit(t *objectstore.Transaction, done func(error)) error {
	if s.closed {
		return objectstore.ErrFailed
	}
	if err := s.now.apply(t, s.opts.TotalBytes); err != nil {
		return err
	}
	s.pools = nil
	s.pending = append(s.pending, objectstore.Submission{Transaction: t, Done: done})
	s.wake.Signal()
	return nil
}

// SubmitAll applies each transaction in order.
func (s *Store) SubmitAll(batch []objectstore.Submission) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return objectstore.SubmitEach(batch, s.submit)
}

// object runs f on the object under the read lock.
func (s *Store) object(c ceph.SPG, o ceph.HObject, f func(*object) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return objectstore.ErrFailed
	}
	coll, ok := s.now.colls[c]
	if !ok {
		return ceph.ENOENT
	}
	obj, ok := coll.objects[o]
	if !ok {
		return ceph.ENOENT
	}
	return f(obj)
}

// Read returns bytes of the object.
func (s *Store) Read(c ceph.SPG, o ceph.HObject, off, length uint64) (data []byte, err error) {
	err = s.object(c, o, func(obj *object) error {
		data = obj.read(off, length)
		return nil
	})
	return data, err
}

// Lend is Read.
func (s *Store) Lend(c ceph.SPG, o ceph.HObject, off, length uint64) (objectstore.Loan, error) {
	data, err := s.Read(c, o, off, length)
	return objectstore.Loan{Data: data, Sum: crc32c.Update(0, data), Done: func() {}}, err
}

// Extents returns the written pages.
func (s *Store) Extents(
	c ceph.SPG, o ceph.HObject, off, length uint64,
) (list []objectstore.Extent, err error) {
	err = s.object(c, o, func(obj *object) error {
		list = obj.extents(off, length)
		return nil
	})
	return list, err
}

// Stat returns the object's shape.
func (s *Store) Stat(c ceph.SPG, o ceph.HObject) (st objectstore.Stat, err error) {
	err = s.object(c, o, func(obj *object) error {
		st = objectstore.Stat{Size: obj.size, HasOmap: len(obj.omap) > 0 || obj.header != nil}
		return nil
	})
	return st, err
}

// GetAttr returns one attribute.
func (s *Store) GetAttr(c ceph.SPG, o ceph.HObject, name string) (value []byte, err error) {
	err = s.object(c, o, func(obj *object) error {
		v, ok := obj.attrs[name]
		if !ok {
			return ceph.ENODATA
		}
		value = v
		return nil
	})
	return value, err
}

// GetAttrs returns all attributes.
func (s *Store) GetAttrs(c ceph.SPG, o ceph.HObject) (attrs map[string][]byte, err error) {
	err = s.object(c, o, func(obj *object) error {
		attrs = make(map[string][]byte, len(obj.attrs))
		for k, v := range obj.attrs {
			attrs[k] = v
		}
		return nil
	})
	return attrs, err
}

// OmapHeader returns the header, nil if there is none.
func (s *Store) OmapHeader(c ceph.SPG, o ceph.HObject) (header []byte, err error) {
	err = s.object(c, o, func(obj *object) error {
		header = obj.header
		return nil
	})
	return header, err
}

// OmapGet returns those of keys that exist.
func (s *Store) OmapGet(
	c ceph.SPG, o ceph.HObject, keys []string,
) (values map[string][]byte, err error) {
	err = s.object(c, o, func(obj *object) error {
		values = make(map[string][]byte)
		for _, k := range keys {
			if v, ok := obj.omap[k]; ok {
				values[k] = v
			}
		}
		return nil
	})
	return values, err
}

// OmapScan yields the pairs from the given key on, as they were when the scan began.
func (s *Store) OmapScan(
	c ceph.SPG, o ceph.HObject, from string,
) iter.Seq2[objectstore.OmapPair, error] {
	return func(yield func(objectstore.OmapPair, error) bool) {
		var pairs []objectstore.OmapPair
		err := s.object(c, o, func(obj *object) error {
			pairs = sortedPairs(obj.omap, func(k string) bool { return k >= from })
			return nil
		})
		yieldAll(pairs, err, yield)
	}
}

func sortedPairs(m map[string][]byte, want func(string) bool) []objectstore.OmapPair {
	var pairs []objectstore.OmapPair
	for k, v := range m {
		if want(k) {
			pairs = append(pairs, objectstore.OmapPair{Key: k, Value: v})
		}
	}
	slices.SortFunc(pairs, func(a, b objectstore.OmapPair) int {
		return strings.Compare(a.Key, b.Key)
	})
	return pairs
}

func yieldAll[T any](list []T, err error, yield func(T, error) bool) {
	for _, v := range list {
		if !yield(v, nil) {
			return
		}
	}
	if err != nil {
		var zero T
		yield(zero, err)
	}
}

// List pages through a collection.
func (s *Store) List(
	c ceph.SPG, from ceph.HObject, limit int,
) ([]ceph.HObject, ceph.HObject, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, ceph.HObject{}, objectstore.ErrFailed
	}
	coll, ok := s.now.colls[c]
	if !ok {
		return nil, ceph.HObject{}, ceph.ENOENT
	}
	i, _ := coll.find(from)
	if from.IsMin() {
		i = 0
	}
	j := min(i+max(limit, 0), len(coll.order))
	next := ceph.MaxHObject()
	if j < len(coll.order) {
		next = coll.order[j]
	}
	return slices.Clone(coll.order[i:j]), next, nil
}

// Tagged lists objects by an id of their tag attribute.
func (s *Store) Tagged(c ceph.SPG, tag uint64, from ceph.HObject, limit int) (
	list []ceph.HObject, err error,
) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, objectstore.ErrFailed
	}
	coll, ok := s.now.colls[c]
	if !ok {
		return nil, ceph.ENOENT
	}
	from.Pool = c.Pool
	i, _ := coll.find(from)
	for _, o := range coll.order[i:] {
		if len(list) >= limit {
			break
		}
		v := coll.objects[o].attrs[objectstore.TagAttr]
		for ; o.Pool == c.Pool && len(v) >= 8; v = v[8:] {
			if binary.BigEndian.Uint64(v) == tag {
				list = append(list, o)
				break
			}
		}
	}
	return list, nil
}

// Collections returns all collections, ascending.
func (s *Store) Collections() ([]ceph.SPG, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, objectstore.ErrFailed
	}
	var list []ceph.SPG
	for c := range s.now.colls {
		list = append(list, c)
	}
	slices.SortFunc(list, ceph.SPG.Compare)
	return list, nil
}

// Log yields the entries above after, as they were when the scan began.
func (s *Store) Log(c ceph.SPG, after ceph.Eversion) iter.Seq2[objectstore.LogEntry, error] {
	return func(yield func(objectstore.LogEntry, error) bool) {
		entries, err := s.log(c, after)
		yieldAll(entries, err, yield)
	}
}

func (s *Store) log(c ceph.SPG, after ceph.Eversion) ([]objectstore.LogEntry, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, objectstore.ErrFailed
	}
	coll, ok := s.now.colls[c]
	if !ok {
		return nil, ceph.ENOENT
	}
	i := coll.logAfter(after)
	return slices.Clone(coll.log[i:]), nil
}

// Meta returns a value of the store-wide table.
func (s *Store) Meta(key string) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, objectstore.ErrFailed
	}
	v, ok := s.now.meta[key]
	if !ok {
		return nil, ceph.ENOENT
	}
	return v, nil
}

// MetaScan yields the store-wide pairs with the prefix, as they were when the scan began.
func (s *Store) MetaScan(prefix string) iter.Seq2[objectstore.OmapPair, error] {
	return func(yield func(objectstore.OmapPair, error) bool) {
		s.mu.RLock()
		var err error
		if s.closed {
			err = objectstore.ErrFailed
		}
		pairs := sortedPairs(s.now.meta, func(k string) bool {
			return strings.HasPrefix(k, prefix)
		})
		s.mu.RUnlock()
		yieldAll(pairs, err, yield)
	}
}

// Usage counts data by whole pages.
func (s *Store) Usage() (objectstore.Usage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return objectstore.Usage{}, objectstore.ErrFailed
	}
	u := objectstore.Usage{Total: s.opts.TotalBytes, Data: s.now.dataBytes()}
	u.Available = u.Total - min(u.Total, u.Data)
	for _, p := range s.poolUsage() {
		u.Stored += p.Stored
		u.Omap += p.Omap
	}
	return u, nil
}

// PoolUsage counts what each pool takes.
func (s *Store) PoolUsage() (map[int64]objectstore.PoolUsage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, objectstore.ErrFailed
	}
	return maps.Clone(s.poolUsage()), nil
}

// poolUsage counts if there was a change. Lock held for writing.
func (s *Store) poolUsage() map[int64]objectstore.PoolUsage {
	if s.pools == nil {
		s.pools = s.now.count()
	}
	return s.pools
}

// Close completes what is pending (unless Options.Manual) and ends the store.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return objectstore.ErrFailed
	}
	s.closed = true
	s.wake.Broadcast()
	s.mu.Unlock()
	<-s.stopped
	return nil
}
