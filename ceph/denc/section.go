package denc

import (
	"encoding/binary"
	"fmt"
)

// A Section is a versioned part of an encoding (ENCODE_START): struct_v, compat_v, a u32 length
// and the body. V is the writer's version when decoding, ours when encoding: fields that came
// later are guarded by it.
type Section struct {
	V     uint8
	c     *Coder
	start int // encoding: offset of the length field
	outer int // decoding: limit of the enclosing section
	end   int // decoding: end of this one
}

// Begin opens a section that this code writes at version v and that readers of compat and later
// understand. Decoding a section whose compat is above v is ErrVersion.
func (c *Coder) Begin(v, compat uint8) Section {
	s := Section{V: v, c: c}
	got := compat
	c.U8(&s.V)
	c.U8(&got)
	if c.encoding {
		s.start = len(c.buf)
		c.buf = append(c.buf, 0, 0, 0, 0)
		return s
	}
	var n uint32
	c.U32(&n)
	s.outer = c.limit
	if c.err != nil {
		return s
	}
	switch {
	case got > v:
		c.Fail(fmt.Errorf("%w: needs %d, have %d", ErrVersion, got, v))
	case int64(n) > int64(c.limit-c.off):
		c.Fail(fmt.Errorf("%w: section of %d in %d bytes", ErrShort, n, c.limit-c.off))
	default:
		s.end = c.off + int(n)
		c.limit = s.end
	}
	return s
}

// End closes the section; decoding skips what a newer writer added.
func (s *Section) End() {
	c := s.c
	if c.encoding {
		binary.LittleEndian.PutUint32(c.buf[s.start:], uint32(len(c.buf)-s.start-4))
		return
	}
	if c.err == nil {
		c.off = s.end
	}
	c.limit = s.outer
}

// Left says whether undecoded bytes remain in the section: fields that some writers of one
// version add and others do not. It is false when encoding.
func (s *Section) Left() bool { return !s.c.encoding && s.c.err == nil && s.c.off < s.end }
