package rbd

import (
	"glue/ceph"
	"glue/ceph/denc"
	"glue/internal/crc32c"
)

// The stored form of an object map (BitVector<2>): a header with the number of elements, the
// elements, four to a byte with the first in the top bits, and a footer with a CRC of the header
// and one per block of elements, which is empty if there are none.
const (
	headerBytes = 18   // a blob of a section of a u64
	blockBytes  = 4096 // of data under one CRC
	perByte     = 4
)

// States of an object (OBJECT_*).
const (
	objectExists      = 1
	objectExistsClean = 3
)

// crc is the checksum as Ceph starts it here.
func crc(b []byte) uint32 { return crc32c.Update(0, b) }

// A bitVector is an object map in memory. crcs is false for a map whose footer was empty.
type bitVector struct {
	size uint64
	data []byte
	crcs bool
}

func dataBytes(size uint64) uint64 { return size/perByte + (size%perByte+perByte-1)/perByte }

func (v *bitVector) at(i uint64) uint8 {
	return v.data[i/perByte] >> (2 * (perByte - 1 - i%perByte)) & 3
}

func (v *bitVector) set(i uint64, state uint8) {
	shift := 2 * (perByte - 1 - i%perByte)
	v.data[i/perByte] = v.data[i/perByte]&^(3<<shift) | state&3<<shift
}

// grow adds elements in a state.
func (v *bitVector) grow(size uint64, state uint8) {
	old := v.size
	grown := make([]byte, dataBytes(size))
	copy(grown, v.data)
	v.data = grown
	v.size = size
	for ; old < size && old%perByte != 0; old++ {
		v.set(old, state)
	}
	whole := state & 3 * 0x55
	for ; old+perByte <= size; old += perByte {
		v.data[old/perByte] = whole
	}
	for ; old < size; old++ {
		v.set(old, state)
	}
}

// shrink drops the last elements.
func (v *bitVector) shrink(size uint64) { v.size, v.data = size, v.data[:dataBytes(size)] }

// header is the blob at the start.
func header(size uint64) []byte {
	c := denc.NewEncoder(make([]byte, 0, headerBytes), 0)
	denc.NestedFunc(c, func(c *denc.Coder) {
		s := c.Begin(1, 1)
		c.U64(&size)
		s.End()
	})
	return c.Bytes()
}

// headerCRC is the CRC of the header without its length.
func headerCRC(size uint64) uint32 { return crc(header(size)[4:]) }

// readHeader reads the number of elements.
func readHeader(c *denc.Coder) (size uint64) {
	denc.NestedFunc(c, func(c *denc.Coder) {
		s := c.Begin(1, 1)
		c.U64(&size)
		s.End()
	})
	return size
}

// blocks cuts data at the borders of its CRCs.
func blocks(data []byte) [][]byte {
	out := make([][]byte, 0, (len(data)+blockBytes-1)/blockBytes)
	for len(data) > 0 {
		n := min(len(data), blockBytes)
		out = append(out, data[:n])
		data = data[n:]
	}
	return out
}

// Denc is the stored form. Decoding checks the CRCs and copies nothing but the elements.
func (v *bitVector) Denc(c *denc.Coder) {
	if c.Encoding() {
		c.Raw(header(v.size))
		c.Raw(v.data)
		denc.NestedFunc(c, v.footer)
		return
	}
	size := readHeader(c)
	n := dataBytes(size)
	if c.Err() == nil && n > uint64(c.Remaining()) {
		c.Invalid("%d elements in %d bytes", size, c.Remaining())
	}
	if c.Err() != nil {
		return
	}
	v.size, v.data = size, make([]byte, n)
	c.Raw(v.data)
	denc.NestedFunc(c, v.footer)
}

func (v *bitVector) footer(c *denc.Coder) {
	if !c.Encoding() {
		v.crcs = c.Remaining() > 0
	}
	if !v.crcs {
		return
	}
	want := headerCRC(v.size)
	if c.U32Const(want) != want {
		c.Invalid("CRC of the header")
	}
	parts := blocks(v.data)
	if n := c.U32Const(uint32(len(parts))); n != uint32(len(parts)) {
		c.Invalid("%d CRCs for %d blocks", n, len(parts))
	}
	for _, b := range parts {
		if c.Err() != nil {
			return
		}
		if want := crc(b); c.U32Const(want) != want {
			c.Invalid("CRC of a block")
		}
	}
}

// A window is the part of a stored map that holds a run of elements.
type window struct {
	dataOff, dataLen uint64 // within the object, whole blocks
	crcOff, crcLen   uint64 // of the CRCs of these blocks
	first            uint64 // element at dataOff
}

// windowOf finds the elements from start to end in a map of some size.
func windowOf(size, start, end uint64) window {
	total := dataBytes(size)
	firstBlock := start / perByte / blockBytes
	lastBlock := (end - 1) / perByte / blockBytes
	from := firstBlock * blockBytes
	to := min((lastBlock+1)*blockBytes, total)
	return window{
		dataOff: headerBytes + from, dataLen: to - from,
		crcOff: headerBytes + total + 12 + 4*firstBlock, crcLen: 4 * (lastBlock - firstBlock + 1),
		first: from * perByte,
	}
}

// verify checks a window's data against its CRCs.
func verify(data, crcs []byte) error {
	c := denc.NewDecoder(crcs, 0)
	for _, b := range blocks(data) {
		if c.U32Const(0) != crc(b) || c.Err() != nil {
			return ceph.EINVAL
		}
	}
	return nil
}
