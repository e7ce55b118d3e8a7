package blockstore

import (
	"glue/store/disk"
	"glue/store/objectstore"
)

// prepared is the work on one large write that needs no lock.
type prepared struct {
	buf    []byte
	crcs   []uint32
	pooled bool
}

// prepare does what it can of a transaction before the state lock is taken: checksums of large
// writes, and reads of what the transaction will ask the disk for, so that they are in the page
// cache or the database's by then.
func (s *Store) prepare(t *objectstore.Transaction) (list []prepared) {
	for i := range t.Ops {
		op := &t.Ops[i]
		if op.Code != objectstore.OpWrite || op.Check() != nil || len(op.Data) == 0 {
			continue
		}
		head, end := op.Off%blockBytes, op.Off+op.Len
		switch {
		case head != 0 || end%blockBytes != 0:
			s.warmEdges(op, head != 0, end)
		case len(op.Data) >= wholeMin*blockBytes:
			if list == nil {
				list = make([]prepared, len(t.Ops))
			}
			list[i] = checksum(op.Data)
		}
	}
	return list
}

// checksum computes the CRC of each block of whole blocks, of a copy if direct IO needs one.
func checksum(data []byte) prepared {
	p := prepared{buf: data, crcs: make([]uint32, len(data)/blockBytes)}
	if !disk.IsAligned(data) {
		p.buf, p.pooled = getBuffer(len(data)), true
		copy(p.buf, data)
	}
	for i := range p.crcs {
		p.crcs[i] = crcOf(p.buf[i*blockBytes : (i+1)*blockBytes])
	}
	return p
}

// warmEdges reads the blocks that a write covers in part. Errors show again under the lock.
func (s *Store) warmEdges(op *objectstore.Op, head bool, end uint64) {
	first, last := op.Off/blockBytes, (end-1)/blockBytes
	if head || first == last {
		s.warm(op, first)
	}
	if end%blockBytes != 0 && first != last {
		s.warm(op, last)
	}
}

func (s *Store) warm(op *objectstore.Op, block uint64) {
	s.reuse.RLock()
	defer s.reuse.RUnlock()
	p, err := s.plan(op.Coll, &op.Object, block*blockBytes, blockBytes, unzeroed)
	if err == nil && len(p.parts) == 1 {
		at := s.sb.dataStart() + int64(p.parts[0].run.at)*blockBytes
		_ = s.file.ReadAt(p.buf, at)
	}
}

// discard gives back what no transaction took over.
func discard(list []prepared) {
	for _, p := range list {
		if p.pooled {
			putBuffer(p.buf)
		}
	}
}
