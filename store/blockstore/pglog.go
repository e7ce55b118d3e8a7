package blockstore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"

	"glue/ceph"
	"glue/store/kv"
	"glue/store/objectstore"
)

func epoch(v uint32) ceph.Epoch { return ceph.Epoch(v) }

// pgLog is the log of one collection. New entries are in the journal and in memory; a checkpoint
// moves them to the database in chunks, so that no key is written and deleted per transaction.
// Entries, once in a slice, are never changed: copies of a pgLog stay valid.
type pgLog struct {
	chunks  []logChunk // in the database, ascending
	tail    []objectstore.LogEntry
	last    ceph.Eversion // highest ever appended, lowered by a rewind
	trimmed ceph.Eversion // entries up to here are gone
	// cut, if set, is where a rewind cut into the chunks: their entries above it are gone.
	cut   *ceph.Eversion
	lsn   uint64 // the chunks hold what transactions up to here did
	seq   uint64 // of the next chunk
	dirty bool   // differs from what is in the database
	// dropped are chunks whose keys the next checkpoint deletes.
	dropped []logChunk
}

type logChunk struct {
	seq         uint64
	first, last ceph.Eversion
}

// logKind is what a journal record says about a log.
type logKind byte

const (
	logAppend logKind = 1
	logTrim   logKind = 2
	logRewind logKind = 3
)

// logChange is one change of a log in the journal.
type logChange struct {
	kind    logKind
	cid     uint64
	version ceph.Eversion
	data    []byte
}

// arena gives out small pieces of larger allocations; a piece lives as long as its neighbours.
type arena struct{ b []byte }

func (a *arena) copy(v []byte) []byte {
	if len(v) > cap(a.b)-len(a.b) {
		if len(v) > 16<<10 {
			return bytes.Clone(v)
		}
		a.b = make([]byte, 0, 64<<10)
	}
	n := len(a.b)
	a.b = append(a.b, v...)
	return a.b[n:len(a.b):len(a.b)]
}

// apply carries out one change; data is kept.
func (l *pgLog) apply(e *logChange) {
	l.dirty = true
	switch e.kind {
	case logAppend:
		l.tail = append(l.tail, objectstore.LogEntry{Version: e.version, Data: e.data})
		l.last = e.version
	case logTrim:
		v := e.version
		if l.last.Less(v) { // later entries are not meant
			v = l.last
		}
		if l.trimmed.Less(v) {
			l.trimmed = v
		}
		l.tail = l.tail[tailAfter(l.tail, v):]
	case logRewind:
		i := tailAfter(l.tail, e.version)
		l.tail = l.tail[:i:i]
		if n := len(l.chunks); n > 0 && e.version.Less(l.chunks[n-1].last) &&
			(l.cut == nil || e.version.Less(*l.cut)) {
			cut := e.version
			l.cut = &cut
		}
		if e.version.Less(l.last) {
			l.last = e.version
		}
		// Versions that were trimmed may come again after a rewind below them.
		if e.version.Less(l.trimmed) {
			l.dropped = slices.Concat(l.dropped, l.chunks)
			l.chunks = nil
			l.cut, l.trimmed = nil, e.version
		}
	}
}

// tailAfter is the index of the first entry above v.
func tailAfter(list []objectstore.LogEntry, v ceph.Eversion) int {
	i, found := slices.BinarySearchFunc(list, v,
		func(e objectstore.LogEntry, v ceph.Eversion) int { return e.Version.Compare(v) })
	if found {
		i++
	}
	return i
}

func (c *change) logOp(op *objectstore.Op, kind logKind) error {
	coll, err := c.collection(op.Coll)
	if err != nil {
		return err
	}
	if kind == logAppend && op.Version.Compare(coll.log.last) <= 0 {
		return ceph.EINVAL
	}
	if !slices.ContainsFunc(c.logs, func(v savedLog) bool { return v.c == coll }) {
		c.logs = append(c.logs, savedLog{coll, coll.log})
	}
	e := logChange{kind: kind, cid: coll.cid, version: op.Version}
	if kind == logAppend {
		e.data = c.s.arena.copy(op.Data)
	}
	c.entries = append(c.entries, e)
	coll.log.apply(&e)
	return nil
}

func (c *change) logAppendOp(op *objectstore.Op) error { return c.logOp(op, logAppend) }
func (c *change) logTrimOp(op *objectstore.Op) error   { return c.logOp(op, logTrim) }
func (c *change) logRewindOp(op *objectstore.Op) error { return c.logOp(op, logRewind) }

// A chunk's value: count, then for each entry epoch u32, version u64, uvarint length, data. The
// versions of its ends are read at mount.
func encodeChunk(entries []objectstore.LogEntry) []byte {
	b := binary.AppendUvarint(nil, uint64(len(entries)))
	for _, e := range entries {
		b = appendVersion(b, e.Version)
		b = binary.AppendUvarint(b, uint64(len(e.Data)))
		b = append(b, e.Data...)
	}
	return b
}

func appendVersion(b []byte, v ceph.Eversion) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(v.Epoch))
	return binary.LittleEndian.AppendUint64(b, v.Version)
}

func (r *reader) version() ceph.Eversion {
	e := r.u32()
	return ceph.Eversion{Epoch: epoch(e), Version: r.u64()}
}

// decodeChunk returns entries that alias b.
func decodeChunk(b []byte) (list []objectstore.LogEntry, err error) {
	r := reader{b: b}
	for range r.uvarint() {
		e := objectstore.LogEntry{Version: r.version()}
		e.Data = r.bytes(r.uvarint())
		if r.bad {
			break
		}
		list = append(list, e)
	}
	if len(list) == 0 {
		r.bad = true
	}
	return list, r.err("PG log chunk")
}

// The tip's value: LSN, last, trimmed, next sequence.
func (l *pgLog) encodeTip() []byte {
	b := binary.LittleEndian.AppendUint64(nil, l.lsn)
	b = appendVersion(appendVersion(b, l.last), l.trimmed)
	return binary.LittleEndian.AppendUint64(b, l.seq)
}

func (l *pgLog) decodeTip(b []byte) error {
	r := reader{b: b}
	l.lsn, l.last, l.trimmed, l.seq = r.u64(), r.version(), r.version(), r.u64()
	return r.err("PG log")
}

// chunkEntries bounds how much of a log one key holds.
const chunkEntries = 128

// checkpointLog stores a collection's log as of the last transaction. State lock held.
func (s *Store) checkpointLog(id ceph.SPG) error {
	coll, ok := s.colls[id]
	if !ok || !coll.log.dirty {
		return nil
	}
	l := coll.log
	b := s.kv.NewBatch()
	defer b.Close()
	var err error
	for _, ch := range l.dropped {
		err = firstError(err, b.Delete(logKey(coll.cid, ch.seq), nil))
	}
	l.dropped = nil
	if l.chunks, err = s.pruneChunks(b, coll.cid, &l, err); err != nil {
		return err
	}
	for tail := l.tail; len(tail) > 0; {
		part := tail[:min(len(tail), chunkEntries)]
		tail = tail[len(part):]
		err = firstError(err, b.Set(logKey(coll.cid, l.seq), encodeChunk(part), nil))
		l.chunks = append(l.chunks[:len(l.chunks):len(l.chunks)],
			logChunk{l.seq, part[0].Version, part[len(part)-1].Version})
		l.seq++
	}
	l.tail, l.cut, l.dirty, l.lsn = nil, nil, false, s.lastLSN
	err = firstError(err, b.Set(numberKey(keyLogTip, coll.cid), l.encodeTip(), nil))
	if err == nil {
		err = s.kv.Apply(b)
	}
	if err == nil {
		coll.log = l
	}
	return err
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// pruneChunks drops chunks that were trimmed or rewound, and shortens the one that was cut.
func (s *Store) pruneChunks(
	b *kv.Batch, cid uint64, l *pgLog, err error,
) (keep []logChunk, _ error) {
	for _, ch := range l.chunks {
		switch key := logKey(cid, ch.seq); {
		case ch.last.Compare(l.trimmed) <= 0, l.cut != nil && l.cut.Less(ch.first):
			err = firstError(err, b.Delete(key, nil))
		case l.cut != nil && l.cut.Less(ch.last):
			list, err2 := s.readChunk(key)
			if err = firstError(err, err2); err != nil {
				return nil, err
			}
			list = list[:tailAfter(list, *l.cut)]
			ch.last = list[len(list)-1].Version
			err = b.Set(key, encodeChunk(list), nil)
			keep = append(keep, ch)
		default:
			keep = append(keep, ch)
		}
	}
	return keep, err
}

func (s *Store) readChunk(key []byte) ([]objectstore.LogEntry, error) {
	v, found, err := s.kv.Get(nil, key)
	if err == nil && !found {
		err = fmt.Errorf("PG log chunk is missing: %w", objectstore.ErrCorrupt)
	}
	if err != nil {
		return nil, err
	}
	return decodeChunk(v)
}

// loadLog reads what the database has of a log.
func (s *Store) loadLog(c *collection) error {
	v, found, err := s.kv.Get(nil, numberKey(keyLogTip, c.cid))
	if err != nil || !found {
		return err
	}
	if err := c.log.decodeTip(v); err != nil {
		return err
	}
	lo := numberKey(keyLog, c.cid)
	it, err := s.kv.NewIter(lo, keyAfter(lo))
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var list []objectstore.LogEntry
		if list, err = decodeChunk(it.Value()); err == nil && len(it.Key()) == 17 {
			c.log.chunks = append(c.log.chunks, logChunk{
				seq:   binary.BigEndian.Uint64(it.Key()[9:]),
				first: list[0].Version, last: list[len(list)-1].Version,
			})
		}
	}
	return firstError(err, it.Close())
}

// Log yields the entries of c's log above after, as they were when the scan began.
func (s *Store) Log(c ceph.SPG, after ceph.Eversion) iter.Seq2[objectstore.LogEntry, error] {
	return func(yield func(objectstore.LogEntry, error) bool) {
		l, it, err := s.openLog(c)
		if err != nil {
			yield(objectstore.LogEntry{}, err)
			return
		}
		if after.Less(l.trimmed) {
			after = l.trimmed
		}
		more, err := yieldChunks(it, &l, after, yield)
		if err2 := it.Close(); err == nil {
			err = err2
		}
		if err != nil {
			yield(objectstore.LogEntry{}, err)
			return
		}
		for _, e := range l.tail[tailAfter(l.tail, after):] {
			if !more || !yield(e, nil) {
				return
			}
		}
	}
}

// openLog returns a copy of the log's state and an iterator over its chunks of the same moment.
func (s *Store) openLog(c ceph.SPG) (pgLog, *kv.Iter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed.Load() != nil {
		return pgLog{}, nil, objectstore.ErrFailed
	}
	coll, ok := s.colls[c]
	if !ok {
		return pgLog{}, nil, ceph.ENOENT
	}
	lo := numberKey(keyLog, coll.cid)
	it, err := s.kv.NewIter(lo, keyAfter(lo))
	return coll.log, it, err
}

func yieldChunks(
	it *kv.Iter, l *pgLog, after ceph.Eversion, yield func(objectstore.LogEntry, error) bool,
) (more bool, err error) {
	ok := it.First()
	for _, ch := range l.chunks {
		if ch.last.Compare(after) <= 0 {
			continue
		}
		if l.cut != nil && l.cut.Less(ch.first) {
			break
		}
		for ok && binary.BigEndian.Uint64(it.Key()[9:]) < ch.seq {
			ok = it.Next()
		}
		if !ok || binary.BigEndian.Uint64(it.Key()[9:]) != ch.seq {
			return false, fmt.Errorf("PG log chunk is missing: %w", objectstore.ErrCorrupt)
		}
		list, err := decodeChunk(it.Value())
		if err != nil {
			return false, err
		}
		for _, e := range list[tailAfter(list, after):] {
			if l.cut != nil && l.cut.Less(e.Version) {
				return true, nil
			}
			if !yield(objectstore.LogEntry{Version: e.Version, Data: bytes.Clone(e.Data)}, nil) {
				return false, nil
			}
		}
	}
	return true, nil
}
