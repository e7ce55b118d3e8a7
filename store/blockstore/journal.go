package blockstore

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"glue/store/disk"
	"glue/store/objectstore"
)

// A journal record is a header, a payload and zeros up to a whole block. The header's CRC covers
// both. Offsets are absolute: a record's place in the ring is its offset modulo the ring's length,
// so that a record of an earlier lap never passes for one of this lap.
//
//	 0 magic 8 | 8 store uuid 16 | 24 offset u64 | 32 first LSN u64 | 40 transactions u32
//	44 payload length u32 | 48 LSN known durable u64 | 56 CRC of the record before u32
//	60 kind u8, 15 zeros | 76 CRC u32
const (
	recordMagic  = "GLUEJRNL"
	recordHeader = 80
)

// Kinds of records.
const (
	recordGroup = 1 // a commit group
	recordPad   = 2 // nothing up to the end of the ring
	recordMark  = 3 // no transaction: says after a pause that what came before is durable
)

// Tags of the items in a group's payload. Each transaction begins with its batch.
const (
	itemBatch = 1 // u32 length, key-value batch
	itemLog   = 2 // kind u8, collection id u64, epoch u32, version u64, u32 length, data
	itemImage = 3 // disk block u64, its 4096 bytes, to be written back
	itemRun   = 4 // disk block u64, u32 n, n CRCs: data that was written in place
)

// recordInfo is a decoded header.
type recordInfo struct {
	off      uint64
	firstLSN uint64
	count    uint32
	length   uint32 // of the payload
	durable  uint64
	prevCRC  uint32
	kind     byte
	crc      uint32
}

// lastLSN is the LSN of the last transaction in the record.
func (r *recordInfo) lastLSN() uint64 { return r.firstLSN + uint64(r.count) - 1 }

// blocksLen is the length of the record in the ring.
func (r *recordInfo) blocksLen() uint64 { return roundUp(recordHeader + uint64(r.length)) }

func roundUp(n uint64) uint64 { return (n + blockBytes - 1) &^ (blockBytes - 1) }

// finishRecord fills in the header of b, which has the payload in place, and returns the CRC.
func finishRecord(b []byte, uuid [16]byte, r recordInfo) uint32 {
	copy(b, recordMagic)
	copy(b[8:], uuid[:])
	le := binary.LittleEndian
	le.PutUint64(b[24:], r.off)
	le.PutUint64(b[32:], r.firstLSN)
	le.PutUint32(b[40:], r.count)
	le.PutUint32(b[44:], r.length)
	le.PutUint64(b[48:], r.durable)
	le.PutUint32(b[56:], r.prevCRC)
	clear(b[60:recordHeader])
	b[60] = r.kind
	crc := recordCRC(b, r.length)
	le.PutUint32(b[76:], crc)
	return crc
}

func recordCRC(b []byte, length uint32) uint32 {
	crc := crcOf(b[:76])
	return update(crc, b[recordHeader:recordHeader+length])
}

// parseHeader reads a header that may be anything; ok says that it is one of ours for this offset.
func parseHeader(b []byte, uuid [16]byte, off, ringLen uint64) (r recordInfo, ok bool) {
	if !bytes.HasPrefix(b, []byte(recordMagic)) || !bytes.Equal(b[8:24], uuid[:]) {
		return r, false
	}
	le := binary.LittleEndian
	r = recordInfo{
		off: le.Uint64(b[24:]), firstLSN: le.Uint64(b[32:]), count: le.Uint32(b[40:]),
		length: le.Uint32(b[44:]), durable: le.Uint64(b[48:]), prevCRC: le.Uint32(b[56:]),
		kind: b[60], crc: le.Uint32(b[76:]),
	}
	ok = r.off == off && r.kind >= recordGroup && r.kind <= recordMark &&
		(r.kind == recordGroup) == (r.count > 0) && r.blocksLen() <= ringLen-off%ringLen
	return r, ok
}

// ring is where the journal stands. The queue's lock guards it.
type ring struct {
	length uint64
	head   position // next record
	tail   position // first record that is still needed
	// records from tail on, oldest first
	records []recordRef
}

type recordRef struct {
	position
	lastLSN uint64
}

func (r *ring) used() uint64 { return r.head.Off - r.tail.Off }
func (r *ring) free() uint64 { return r.length - r.used() }

// place is the offset at which a record of n bytes goes, and the length of the pad before it.
func (r *ring) place(n uint64) (off, pad uint64) {
	off = r.head.Off
	if left := r.length - off%r.length; n > left {
		pad = left
	}
	return off + pad, pad
}

// advance appends a record that has been given its place.
func (r *ring) advance(info recordInfo, n uint64, crc uint32) {
	r.records = append(r.records, recordRef{
		position{Off: info.off, LSN: info.firstLSN, PrevCRC: info.prevCRC}, info.lastLSN(),
	})
	r.head = position{Off: info.off + n, LSN: info.lastLSN() + 1, PrevCRC: crc}
}

// trimmed is the position of the first record with a transaction above lsn.
func (r *ring) trimmed(lsn uint64) position {
	for _, rec := range r.records {
		if rec.lastLSN > lsn {
			return rec.position
		}
	}
	return r.head
}

// trim forgets the records before p.
func (r *ring) trim(p position) {
	i := 0
	for i < len(r.records) && r.records[i].Off < p.Off {
		i++
	}
	r.records = append(r.records[:0], r.records[i:]...)
	r.tail = p
}

// recordBuffer grows a record in aligned memory.
type recordBuffer struct{ b []byte }

func (r *recordBuffer) reset() {
	if cap(r.b) == 0 || cap(r.b) > 1<<20 {
		r.b = disk.Aligned(64 << 10)
	}
	r.b = r.b[:recordHeader]
}

// grow makes room for n more bytes.
func (r *recordBuffer) grow(n int) {
	if len(r.b)+n+blockBytes <= cap(r.b) {
		return
	}
	b := disk.Aligned(int(roundUp(uint64(2*(len(r.b)+n) + blockBytes))))
	r.b = b[:copy(b, r.b)]
}

func (r *recordBuffer) batch(repr []byte) {
	r.grow(5 + len(repr))
	r.b = append(r.b, itemBatch)
	r.b = binary.LittleEndian.AppendUint32(r.b, uint32(len(repr)))
	r.b = append(r.b, repr...)
}

func (r *recordBuffer) logChange(e *logChange) {
	r.grow(26 + len(e.data))
	r.b = append(r.b, itemLog, byte(e.kind))
	r.b = binary.LittleEndian.AppendUint64(r.b, e.cid)
	r.b = binary.LittleEndian.AppendUint32(r.b, uint32(e.version.Epoch))
	r.b = binary.LittleEndian.AppendUint64(r.b, e.version.Version)
	r.b = binary.LittleEndian.AppendUint32(r.b, uint32(len(e.data)))
	r.b = append(r.b, e.data...)
}

func (r *recordBuffer) image(d *dataRun) {
	r.grow(int(d.n) * (9 + blockBytes))
	for i := range d.n {
		r.b = append(r.b, itemImage)
		r.b = binary.LittleEndian.AppendUint64(r.b, d.at+i)
		r.b = append(r.b, d.buf[i*blockBytes:(i+1)*blockBytes]...)
	}
}

func (r *recordBuffer) run(d *dataRun) {
	r.grow(runItemBytes(d))
	r.b = append(r.b, itemRun)
	r.b = binary.LittleEndian.AppendUint64(r.b, d.at)
	r.b = binary.LittleEndian.AppendUint32(r.b, uint32(d.n))
	for _, crc := range d.crcs {
		r.b = binary.LittleEndian.AppendUint32(r.b, crc)
	}
}

func runItemBytes(d *dataRun) int { return 13 + 4*len(d.crcs) }

// items calls the functions for each item of a payload, in order.
type itemVisitor struct {
	batch func(repr []byte) error
	log   func(logChange) error
	image func(block uint64, data []byte) error
	run   func(block uint64, crcs []byte) error
}

func visitItems(b []byte, v itemVisitor) error {
	r := reader{b: b}
	le := binary.LittleEndian
	for len(r.b) > 0 {
		var err error
		switch tag := r.bytes(1)[0]; tag {
		case itemBatch:
			repr := r.bytes(uint64(r.u32()))
			if !r.bad {
				err = v.batch(repr)
			}
		case itemLog:
			e := logChange{kind: logKind(r.u8()), cid: r.u64()}
			e.version.Epoch = epoch(r.u32())
			e.version.Version = r.u64()
			e.data = r.bytes(uint64(r.u32()))
			if !r.bad {
				err = v.log(e)
			}
		case itemImage:
			block := r.u64()
			if data := r.bytes(blockBytes); !r.bad {
				err = v.image(block, data)
			}
		case itemRun:
			head := r.bytes(12)
			if r.bad {
				break
			}
			if crcs := r.bytes(4 * uint64(le.Uint32(head[8:]))); !r.bad {
				err = v.run(le.Uint64(head), crcs)
			}
		default:
			err = fmt.Errorf("journal item %d: %w", tag, objectstore.ErrCorrupt)
		}
		if err != nil {
			return err
		}
	}
	return r.err("journal record")
}
