package blockstore

import (
	"encoding/binary"
	"fmt"
	"sync"

	"glue/ceph"
	"glue/store/disk"
	"glue/store/kv"
	"glue/store/objectstore"
)

// open brings a store to the state after its last durable transaction. It closes the file if it
// fails, unless the database can't go on and may still be using it.
func open(dir string, o Options, file disk.File) (*Store, error) {
	sb, err := readSuperblock(file)
	if err == nil {
		// What is read below may still be in a volatile cache after the process alone has died;
		// nothing may be built on it before it is stable.
		err = file.Sync()
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	s := &Store{
		opts: o, dir: dir, file: file, sb: sb, alloc: newAllocator(sb.blocks(), o.ZoneBlocks),
		cache: newOnodeCache(o.OnodeCacheBytes), refs: map[uint64]*refChunk{},
		colls: map[ceph.SPG]*collection{}, nextCID: 1, uses: newUses(),
		checkpoint: newCheckpointer(), committer: make(chan struct{}),
		stopped: make(chan struct{}), spare: newGroup(0),
	}
	s.alloc.zones.wanted = s.checkpoint.requestFill
	s.reserve = min(max(s.alloc.total/100, 16), 4096)
	s.reserved = make([]uint64, s.alloc.total/(hostChunk*64)+1)
	q := &s.q
	q.work, q.cond = sync.NewCond(&q.mu), sync.NewCond(&q.mu)
	q.blocks = map[uint64]*dataRun{}
	q.ring = ring{length: uint64(sb.JournalLen), head: sb.Tail, tail: sb.Tail}
	q.open = newGroup(0)
	if err := s.patiently(s.openDatabase); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) openDatabase() error {
	o := s.opts
	db, err := kv.Open(kvPath(s.dir), kv.Options{
		FS: o.KVFS, CacheBytes: o.KVCacheBytes, MemTableBytes: o.MemTableBytes,
		Gate: s.gate, OnError: s.kvError, OnFull: s.hostFull, MustExist: true,
	})
	if err != nil {
		return firstError(err, s.file.Close())
	}
	s.kv = db
	if err := s.recover(); err != nil {
		s.fail(err) // lets the gate go
		return firstError(err, s.kv.Close(), s.file.Close())
	}
	return nil
}

// kvError hears of failed flushes and compactions.
func (s *Store) kvError(err error) {
	if isFull(err) {
		s.kvFull.Store(true)
		return
	}
	go s.fail(err)
}

// replay is what the journal adds to the database.
type replay struct {
	lsn    uint64 // of the database before replay
	next   uint64 // LSN of the next batch item
	logs   []replayLog
	images map[uint64]*dataRun
}

type replayLog struct {
	logChange
	lsn uint64
}

// recover runs before any goroutine of the store.
func (s *Store) recover() error {
	if err := s.checkUUID(); err != nil {
		return err
	}
	lsn, err := s.durableLSN()
	if err != nil {
		return err
	}
	r := &replay{lsn: lsn, images: map[uint64]*dataRun{}}
	if err := s.loadUses(); err != nil {
		return err
	}
	if err := s.replayJournal(r); err != nil {
		return err
	}
	s.lastLSN = s.q.ring.head.LSN - 1
	s.opts.Log.Info("object store journal replayed", "from", s.recovered.from,
		"to", s.lastLSN, "torn", s.recovered.torn)
	if s.lastLSN < s.sb.Durable {
		return fmt.Errorf("journal ends at transaction %d, %d was durable: it was cut or is "+
			"damaged: %w", s.lastLSN, s.sb.Durable, objectstore.ErrCorrupt)
	}
	if lsn > s.lastLSN || lsn+1 < s.q.ring.tail.LSN {
		return fmt.Errorf("database is at %d, journal has %d to %d: %w",
			lsn, s.q.ring.tail.LSN, s.lastLSN, objectstore.ErrCorrupt)
	}
	s.q.mu.Lock() // the database may already be compacting, and ask at the gate
	s.q.durable = s.lastLSN
	s.q.applied.Store(s.lastLSN)
	s.q.mu.Unlock()
	s.q.open.reset(s.lastLSN + 1)
	if err := s.loadCollections(r); err != nil {
		return err
	}
	if err := s.rebuildAllocator(r); err != nil {
		return err
	}
	if err := s.checkUses(); err != nil {
		return err
	}
	s.judgeHost()
	if s.q.ring.used() == 0 {
		if !s.uses.known {
			s.checkpoint.request()
		}
		return nil
	}
	return s.Checkpoint()
}

func (s *Store) checkUUID() error {
	v, found, err := s.kv.Get(nil, sysUUID)
	if err == nil && (!found || string(v) != string(s.sb.UUID[:])) {
		err = fmt.Errorf("the database belongs to another store (%x): %w", v, ErrForeign)
	}
	return err
}

// replayJournal applies all records from the tail on and finds the end.
func (s *Store) replayJournal(r *replay) error {
	ring := &s.q.ring
	var last []byte
	var lastInfo recordInfo
	for {
		info, payload, ok, err := s.readRecord(ring.head)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if info.kind == recordPad {
			ring.head.Off += ring.length - info.off%ring.length
			ring.head.PrevCRC = info.crc
			continue
		}
		// A record that has a successor was durable; only the last one can be torn.
		if last != nil {
			if err := s.replayRecord(r, lastInfo, last); err != nil {
				return err
			}
		}
		last, lastInfo = payload, info
		if info.kind == recordMark {
			last = nil
		}
		ring.advance(info, info.blocksLen(), info.crc)
	}
	if err := s.checkTail(); err != nil {
		return err
	}
	if last == nil {
		return nil
	}
	s.recovered = recovery{from: r.lsn + 1, to: lastInfo.lastLSN(), lastRecord: lastInfo.firstLSN}
	whole, err := s.dataArrived(last)
	if err != nil {
		return err
	}
	s.recovered.torn = !whole
	if whole {
		return s.replayRecord(r, lastInfo, last)
	}
	if lastInfo.lastLSN() <= r.lsn {
		return fmt.Errorf("data of durable transaction %d is damaged: %w",
			lastInfo.lastLSN(), objectstore.ErrCorrupt)
	}
	n := len(ring.records) - 1
	ring.head = ring.records[n].position
	ring.records = ring.records[:n]
	return nil
}

// readRecord reads the record at p; ok is false if there is none that continues the chain.
func (s *Store) readRecord(p position) (info recordInfo, payload []byte, ok bool, err error) {
	length := s.q.ring.length
	if p.Off-s.q.ring.tail.Off >= length {
		return info, nil, false, nil
	}
	at := int64(journalStart + p.Off%length)
	head := make([]byte, blockBytes)
	if err := s.file.ReadAt(head, at); err != nil {
		return info, nil, false, err
	}
	info, ok = parseHeader(head, s.sb.UUID, p.Off, length)
	if !ok || info.prevCRC != p.PrevCRC || info.firstLSN != p.LSN {
		return info, nil, false, nil
	}
	b := head
	if n := info.blocksLen(); n > blockBytes {
		b = make([]byte, n)
		if err := s.file.ReadAt(b, at); err != nil {
			return info, nil, false, err
		}
	}
	if recordCRC(b, info.length) != info.crc {
		return info, nil, false, nil
	}
	return info, b[recordHeader : recordHeader+info.length], true, nil
}

// checkTail makes sure that the record at which replay stopped is a torn tail, and not damage in
// the middle: no later record may exist that knew it to be durable.
func (s *Store) checkTail() error {
	ring := &s.q.ring
	longest := roundUp(maxGroupRecord + ring.length/4 + imagesMax)
	end := ring.head.Off + min(ring.free(), 2*longest)
	buf := make([]byte, min(1<<20, ring.length))
	for off := ring.head.Off; off < end; {
		at := off % ring.length
		part := buf[:min(uint64(len(buf)), end-off, ring.length-at)]
		if err := s.file.ReadAt(part, int64(journalStart+at)); err != nil {
			return err
		}
		for ; len(part) > 0; part, off = part[blockBytes:], off+blockBytes {
			info, ok := parseHeader(part, s.sb.UUID, off, ring.length)
			if ok && off > ring.head.Off && info.durable >= ring.head.LSN {
				return fmt.Errorf("journal record of transaction %d is damaged, "+
					"%d was durable: %w", ring.head.LSN, info.durable, objectstore.ErrCorrupt)
			}
		}
	}
	return nil
}

// dataArrived checks the data that the record says was written in place.
func (s *Store) dataArrived(payload []byte) (whole bool, err error) {
	whole = true
	none := itemVisitor{
		batch: func([]byte) error { return nil },
		log:   func(logChange) error { return nil },
		image: func(uint64, []byte) error { return nil },
		run: func(block uint64, crcs []byte) error {
			ok, err := s.runMatches(block, crcs)
			whole = whole && ok
			return err
		},
	}
	return whole, visitItems(payload, none)
}

func (s *Store) runMatches(block uint64, crcs []byte) (bool, error) {
	n := uint64(len(crcs)) / 4
	if block+n > s.alloc.total {
		return false, fmt.Errorf("journal names block %d: %w", block, objectstore.ErrCorrupt)
	}
	buf := make([]byte, blockBytes)
	for i := range n {
		at := s.sb.dataStart() + int64(block+i)*blockBytes
		if err := s.file.ReadAt(buf, at); err != nil {
			return false, err
		}
		if crcOf(buf) != crcBytes(crcs, int(i)) {
			return false, nil
		}
	}
	return true, nil
}

// replayRecord applies what the database lacks and collects the rest.
func (s *Store) replayRecord(r *replay, info recordInfo, payload []byte) error {
	lsn := info.firstLSN - 1
	err := visitItems(payload, itemVisitor{
		batch: func(repr []byte) error {
			lsn++
			if err := s.replayUses(lsn, repr); err != nil || lsn <= r.lsn {
				return err
			}
			return s.kv.ApplyRepr(append([]byte(nil), repr...))
		},
		log: func(e logChange) error {
			e.data = s.arena.copy(e.data)
			r.logs = append(r.logs, replayLog{e, lsn})
			return nil
		},
		image: func(block uint64, data []byte) error {
			buf := getBuffer(blockBytes)
			copy(buf, data)
			d := newDataRun(run{block, 1}, buf, true)
			d.lsn = info.firstLSN
			r.images[block] = d
			return nil
		},
		run: func(uint64, []byte) error { return nil },
	})
	if err == nil && lsn != info.lastLSN() {
		err = fmt.Errorf("journal record holds %d transactions, not %d: %w",
			lsn-info.firstLSN+1, info.count, objectstore.ErrCorrupt)
	}
	return err
}

// loadCollections reads the collections and brings their logs up to date.
func (s *Store) loadCollections(r *replay) error {
	v, found, err := s.kv.Get(nil, sysCID)
	if err != nil {
		return err
	}
	if found && len(v) == 8 {
		s.nextCID = binary.LittleEndian.Uint64(v)
	}
	it, err := s.kv.NewIter([]byte{keyColl}, []byte{keyColl + 1})
	if err != nil {
		return err
	}
	byCID := map[uint64]*collection{}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var id ceph.SPG
		if id, err = decodeColl(it.Key()); err != nil {
			break
		}
		var c *collection
		if c, err = decodeCollection(id, it.Value()); err == nil {
			s.colls[id], byCID[c.cid] = c, c
			err = s.loadLog(c)
		}
	}
	if err = firstError(err, it.Close()); err != nil {
		return err
	}
	for _, e := range r.logs {
		if c, ok := byCID[e.cid]; ok && e.lsn > c.log.lsn {
			c.log.apply(&e.logChange)
		}
	}
	return nil
}

// rebuildAllocator marks every block that an extent names, and keeps those journal images that
// are still somebody's content.
func (s *Store) rebuildAllocator(r *replay) error {
	it, err := s.kv.NewIter([]byte{keyShard}, []byte{keyShard + 1})
	if err != nil {
		return err
	}
	pools := s.cidPools()
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var sh shard
		if err = sh.decode(it.Value(), s.alloc.total); err != nil {
			break
		}
		pool, known := pools[cidOf(it.Key()[1:])]
		for _, m := range sh.blocks {
			if m.hole() {
				continue
			}
			first, e := s.markUsed(m)
			if err = e; err != nil {
				break
			}
			if first && known {
				s.uses.of(pool).blocks++
			}
			if d, ok := r.images[m.block()]; ok && d.crcs[0] == m.crc {
				s.deferImage(d)
				delete(r.images, m.block())
			}
		}
	}
	return firstError(err, it.Close())
}

// markUsed marks a mapping's block, and says whether it is the first of it.
func (s *Store) markUsed(m mapping) (bool, error) {
	if !s.alloc.used(m.block()) {
		s.alloc.set(m.block())
		return true, nil
	}
	if !m.shared() {
		return false, fmt.Errorf("block %d belongs to two objects: %w",
			m.block(), objectstore.ErrCorrupt)
	}
	return false, nil
}

func (s *Store) deferImage(d *dataRun) {
	q := &s.q
	q.blocks[d.at] = d
	q.deferred = append(q.deferred, d)
	q.deferBytes += blockBytes
}
