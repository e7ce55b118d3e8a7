// Package denc is the encoding cursor of Ceph's wire and disk formats: little-endian scalars,
// counted strings and containers, and versioned sections. One body per type describes the format
// and runs in both directions; the first error sticks and later calls do nothing.
//
// Invariants: encoding never writes through a pointer it is given, and decoding never allocates
// more than the bytes that are left could fill. A Coder belongs to one goroutine at a time.
// The format follows Ceph's include/encoding.h.
package denc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Errors that a decode can end with; test with errors.Is.
var (
	ErrShort   = errors.New("input ends too early")
	ErrVersion = errors.New("format is newer than this reader")
	ErrInvalid = errors.New("invalid encoding")
)

// A Value is a type with a wire format. Denc must be safe to run concurrently on one value
// when the coder encodes.
type Value interface{ Denc(c *Coder) }

// A Coder encodes into a growing buffer or decodes from a fixed one.
type Coder struct {
	buf      []byte
	off      int // decoding: next byte
	limit    int // decoding: end of the current section
	encoding bool
	err      error
	features uint64
}

// NewEncoder returns a coder that appends to dst for a peer with the given feature bits.
func NewEncoder(dst []byte, features uint64) *Coder {
	return &Coder{buf: dst, encoding: true, features: features}
}

// NewDecoder returns a coder that reads src, sent by a peer with the given feature bits.
// Blobs it returns alias src.
func NewDecoder(src []byte, features uint64) *Coder {
	return &Coder{buf: src, limit: len(src), features: features}
}

// Encoding says which direction the coder runs in.
func (c *Coder) Encoding() bool { return c.encoding }

// Features are the feature bits of the peer.
func (c *Coder) Features() uint64 { return c.features }

// Has says whether the peer has all the bits of mask.
func (c *Coder) Has(mask uint64) bool { return c.features&mask == mask }

// Err is the first error.
func (c *Coder) Err() error { return c.err }

// Fail records an error unless one is there already; nil changes nothing.
func (c *Coder) Fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// Invalid records an ErrInvalid with a reason.
func (c *Coder) Invalid(format string, args ...any) {
	c.Fail(fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...)))
}

// Bytes is what has been encoded so far.
func (c *Coder) Bytes() []byte { return c.buf }

// Remaining is the number of bytes left to decode in the current section.
func (c *Coder) Remaining() int {
	if c.encoding {
		return 0
	}
	return c.limit - c.off
}

// Offset is the number of bytes encoded or decoded so far.
func (c *Coder) Offset() int {
	if c.encoding {
		return len(c.buf)
	}
	return c.off
}

// take returns the next n bytes of the input, or nil after an error.
func (c *Coder) take(n int) []byte {
	if c.err != nil {
		return nil
	}
	if n < 0 || n > c.limit-c.off {
		c.err = fmt.Errorf("%w: %d bytes wanted, %d left", ErrShort, n, c.limit-c.off)
		return nil
	}
	b := c.buf[c.off : c.off+n : c.off+n]
	c.off += n
	return b
}

// U8 is one byte.
func (c *Coder) U8(p *uint8) {
	if c.encoding {
		c.buf = append(c.buf, *p)
	} else if b := c.take(1); b != nil {
		*p = b[0]
	}
}

// U16 is two bytes, little-endian.
func (c *Coder) U16(p *uint16) {
	if c.encoding {
		c.buf = binary.LittleEndian.AppendUint16(c.buf, *p)
	} else if b := c.take(2); b != nil {
		*p = binary.LittleEndian.Uint16(b)
	}
}

// U32 is four bytes, little-endian.
func (c *Coder) U32(p *uint32) {
	if c.encoding {
		c.buf = binary.LittleEndian.AppendUint32(c.buf, *p)
	} else if b := c.take(4); b != nil {
		*p = binary.LittleEndian.Uint32(b)
	}
}

// U64 is eight bytes, little-endian.
func (c *Coder) U64(p *uint64) {
	if c.encoding {
		c.buf = binary.LittleEndian.AppendUint64(c.buf, *p)
	} else if b := c.take(8); b != nil {
		*p = binary.LittleEndian.Uint64(b)
	}
}

// I8 is one signed byte.
func (c *Coder) I8(p *int8) {
	v := uint8(*p)
	if c.U8(&v); !c.encoding {
		*p = int8(v)
	}
}

// I16 is two bytes, two's complement.
func (c *Coder) I16(p *int16) {
	v := uint16(*p)
	if c.U16(&v); !c.encoding {
		*p = int16(v)
	}
}

// I32 is four bytes, two's complement.
func (c *Coder) I32(p *int32) {
	v := uint32(*p)
	if c.U32(&v); !c.encoding {
		*p = int32(v)
	}
}

// I64 is eight bytes, two's complement.
func (c *Coder) I64(p *int64) {
	v := uint64(*p)
	if c.U64(&v); !c.encoding {
		*p = int64(v)
	}
}

// F32 is an IEEE single.
func (c *Coder) F32(p *float32) {
	v := math.Float32bits(*p)
	if c.U32(&v); !c.encoding {
		*p = math.Float32frombits(v)
	}
}

// F64 is an IEEE double.
func (c *Coder) F64(p *float64) {
	v := math.Float64bits(*p)
	if c.U64(&v); !c.encoding {
		*p = math.Float64frombits(v)
	}
}

// Bool is one byte, 0 or 1; any other value reads as true.
func (c *Coder) Bool(p *bool) {
	var v uint8
	if *p {
		v = 1
	}
	if c.U8(&v); !c.encoding {
		*p = v != 0
	}
}

// Str is a u32 byte count and the bytes.
func (c *Coder) Str(p *string) {
	if c.encoding {
		c.buf = binary.LittleEndian.AppendUint32(c.buf, uint32(len(*p)))
		c.buf = append(c.buf, *p...)
		return
	}
	if n := c.Count(0, 1); c.err == nil {
		*p = string(c.take(n))
	}
}

// Blob is a u32 byte count and the bytes. A decoded blob aliases the input.
func (c *Coder) Blob(p *[]byte) {
	if c.encoding {
		c.buf = binary.LittleEndian.AppendUint32(c.buf, uint32(len(*p)))
		c.buf = append(c.buf, *p...)
		return
	}
	if n := c.Count(0, 1); c.err == nil {
		*p = c.take(n)
	}
}

// Raw is len(p) bytes without a count: encoding appends them, decoding fills p.
func (c *Coder) Raw(p []byte) {
	if c.encoding {
		c.buf = append(c.buf, p...)
	} else if b := c.take(len(p)); b != nil {
		copy(p, b)
	}
}

// Rest is all that is left of the current section, without a count. A decoded value aliases the
// input.
func (c *Coder) Rest(p *[]byte) {
	if c.encoding {
		c.buf = append(c.buf, *p...)
	} else if b := c.take(c.limit - c.off); b != nil {
		*p = b
	}
}

// Skip passes over n bytes of input, or encodes n zero bytes.
func (c *Coder) Skip(n int) {
	if c.encoding {
		c.buf = append(c.buf, make([]byte, n)...)
	} else {
		c.take(n)
	}
}

// Count is a u32 element count: n when encoding, the decoded count otherwise. A decoded count
// whose elements of at least min bytes can't fit into what is left is refused before anyone
// allocates for it.
func (c *Coder) Count(n, min int) int {
	v := uint32(n)
	c.U32(&v)
	if c.encoding {
		return n
	}
	if c.err != nil {
		return 0
	}
	if min < 1 {
		min = 1
	}
	if int64(v)*int64(min) > int64(c.limit-c.off) {
		c.err = fmt.Errorf("%w: count %d in %d bytes", ErrShort, v, c.limit-c.off)
		return 0
	}
	return int(v)
}

// U8Const encodes v; decoding reads a byte and returns it.
func (c *Coder) U8Const(v uint8) uint8 {
	c.U8(&v)
	return v
}

// U32Const encodes v; decoding reads a u32 and returns it.
func (c *Coder) U32Const(v uint32) uint32 {
	c.U32(&v)
	return v
}

// U64Const encodes v; decoding reads a u64 and returns it.
func (c *Coder) U64Const(v uint64) uint64 {
	c.U64(&v)
	return v
}
