package blockstore

import (
	"encoding/binary"
	"fmt"

	"glue/store/objectstore"
)

// shardBlocks is the number of object blocks that one stored mapping covers: 64 KiB, so that a
// small write rewrites a small value.
const shardBlocks = 16

// mapping says where one block of an object is. The zero value is a hole.
type mapping struct {
	phys uint64 // data block + 1, with sharedBit if reference counts must be asked
	crc  uint32
}

const sharedBit = 1 << 63

func (m mapping) hole() bool    { return m.phys == 0 }
func (m mapping) block() uint64 { return m.phys&^sharedBit - 1 }
func (m mapping) shared() bool  { return m.phys&sharedBit != 0 }

func mapped(block uint64, crc uint32) mapping { return mapping{phys: block + 1, crc: crc} }

// shard is the mapping of 64 KiB of an object.
type shard struct {
	blocks [shardBlocks]mapping
	stored bool   // there is a key for it
	owner  uint64 // transaction that may change it in place
}

func (s *shard) empty() bool { return s.blocks == [shardBlocks]mapping{} }

// encode is for each run of blocks that are contiguous on disk: first index, count with the shared
// flag, the disk block as a uvarint, and the CRCs.
func (s *shard) encode(b []byte) []byte {
	for i := 0; i < shardBlocks; {
		if s.blocks[i].hole() {
			i++
			continue
		}
		n := 1
		for i+n < shardBlocks && s.blocks[i+n].phys == s.blocks[i].phys+uint64(n) {
			n++
		}
		flags := byte(n)
		if s.blocks[i].shared() {
			flags |= 0x80
		}
		b = append(b, byte(i), flags)
		b = binary.AppendUvarint(b, s.blocks[i].block())
		for _, m := range s.blocks[i : i+n] {
			b = binary.LittleEndian.AppendUint32(b, m.crc)
		}
		i += n
	}
	return b
}

// decode fills s from b; total bounds the disk blocks.
func (s *shard) decode(b []byte, total uint64) error {
	bad := func() error { return fmt.Errorf("extents %x: %w", b, objectstore.ErrCorrupt) }
	next := 0
	for len(b) > 0 {
		if len(b) < 3 {
			return bad()
		}
		i, n, shared := int(b[0]), int(b[1]&0x7f), uint64(0)
		if b[1]&0x80 != 0 {
			shared = sharedBit
		}
		block, k := binary.Uvarint(b[2:])
		if k <= 0 || i < next || n == 0 || i+n > shardBlocks || len(b) < 2+k+4*n ||
			block >= total || block+uint64(n) > total {
			return bad()
		}
		b = b[2+k:]
		for j := range n {
			s.blocks[i+j] = mapping{
				phys: (block + uint64(j) + 1) | shared,
				crc:  binary.LittleEndian.Uint32(b[4*j:]),
			}
		}
		b = b[4*n:]
		next = i + n
	}
	return nil
}
