package blockstore

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"glue/ceph/denc"
	"glue/store/disk"
	"glue/store/objectstore"
)

// The block file: two superblocks of one block each, the journal ring, then data.
const (
	blockBytes   = disk.BlockBytes
	superCopies  = 2
	superMagic   = "GLUE-BLOCKSTORE\n"
	superVersion = 2 // readers of 1 skip what 2 has added
	superCompat  = 1
	journalStart = superCopies * blockBytes
)

// ErrForeign is a file or device that holds no store of this kind, or none at all.
var ErrForeign = errors.New("not a Glue block store")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func crcOf(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// superblock is the root of a store. Copies alternate; the higher generation counts.
type superblock struct {
	UUID       [16]byte
	Generation uint64
	Size       int64 // of the whole file
	JournalLen int64
	Label      string
	Tail       position // where replay begins
	Durable    uint64   // LSN that was durable when this was written; since version 2
}

// position is a place in the journal: absolute offset, first LSN there, CRC of the record before.
type position struct {
	Off     uint64
	LSN     uint64
	PrevCRC uint32
}

// Denc is every field in order.
func (p *position) Denc(c *denc.Coder) {
	c.U64(&p.Off)
	c.U64(&p.LSN)
	c.U32(&p.PrevCRC)
}

// Denc is a section, so that later versions may add fields.
func (s *superblock) Denc(c *denc.Coder) {
	sec := c.Begin(superVersion, superCompat)
	c.Raw(s.UUID[:])
	c.U64(&s.Generation)
	c.I64(&s.Size)
	c.I64(&s.JournalLen)
	c.Str(&s.Label)
	s.Tail.Denc(c)
	if sec.V >= 2 {
		c.U64(&s.Durable)
	}
	sec.End()
}

func newSuperblock(size, journal int64, label string) *superblock {
	s := &superblock{Size: size &^ (blockBytes - 1), JournalLen: journal, Label: label}
	rand.Read(s.UUID[:])
	s.Tail.LSN = 1
	return s
}

// dataStart is the offset of data block 0.
func (s *superblock) dataStart() int64 { return journalStart + s.JournalLen }

// blocks is the number of data blocks.
func (s *superblock) blocks() uint64 { return uint64(s.Size-s.dataStart()) / blockBytes }

// encode is one block: magic, length, body, and at the end of the block its CRC.
func (s *superblock) encode() []byte {
	b := disk.Aligned(blockBytes)
	copy(b, superMagic)
	body := denc.Marshal(s, 0)
	binary.LittleEndian.PutUint32(b[16:], uint32(len(body)))
	copy(b[20:blockBytes-4], body)
	binary.LittleEndian.PutUint32(b[blockBytes-4:], crcOf(b[:blockBytes-4]))
	return b
}

func decodeSuperblock(b []byte) (*superblock, error) {
	if !bytes.HasPrefix(b, []byte(superMagic)) {
		return nil, ErrForeign
	}
	n := binary.LittleEndian.Uint32(b[16:])
	if crcOf(b[:blockBytes-4]) != binary.LittleEndian.Uint32(b[blockBytes-4:]) ||
		n > blockBytes-24 {
		return nil, fmt.Errorf("superblock: %w", objectstore.ErrCorrupt)
	}
	s := new(superblock)
	if err := denc.Unmarshal(b[20:20+n], s, 0); err != nil {
		return nil, fmt.Errorf("superblock: %w", err)
	}
	return s, nil
}

// blockReader is as much of a disk.File as looking needs.
type blockReader interface {
	ReadAt(p []byte, off int64) error
	Size() int64
}

// readSuperblock returns the newest valid copy. One bad copy is what a crash leaves; two are not.
func readSuperblock(f blockReader) (*superblock, error) {
	var best *superblock
	var errs []error
	for i := range superCopies {
		b := make([]byte, blockBytes)
		if f.Size() < journalStart {
			return nil, fmt.Errorf("%w: too short", ErrForeign)
		}
		if err := f.ReadAt(b, int64(i)*blockBytes); err != nil {
			return nil, err
		}
		s, err := decodeSuperblock(b)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if best == nil || s.Generation > best.Generation {
			best = s
		}
	}
	if best == nil {
		return nil, errors.Join(errs...)
	}
	if best.Size > f.Size() || best.JournalLen < blockBytes || best.dataStart() >= best.Size {
		return nil, fmt.Errorf("superblock says %d bytes, the file has %d: %w",
			best.Size, f.Size(), objectstore.ErrCorrupt)
	}
	return best, nil
}

// write stores the next generation over the older copy and makes it durable.
func (s *superblock) write(f disk.File, sync func() error) error {
	s.Generation++
	at := int64(s.Generation%superCopies) * blockBytes
	if err := f.WriteVec([][]byte{s.encode()}, at); err != nil {
		return err
	}
	return sync()
}
