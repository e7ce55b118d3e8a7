package msgr

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync/atomic"

	"glue/internal/crc32c"
)

// A frameReader cuts the stream of a socket into frames. It belongs to the reading goroutine.
type frameReader struct {
	src    io.Reader
	buf    []byte
	r, w   int     // buf[r:w] has been read and not consumed
	rx     *sealer // nil in crc mode
	limits limits
	record *[]byte // where consumed bytes are copied until authentication is over
	active *atomic.Bool

	pre    preamble
	block  [preambleBytes + inlineBytes + tagBytes]byte
	inline []byte // of the first segment, in secure mode
	slab   slab
}

const readBufferBytes = 32 << 10

// fill reads more into the buffer, which has room.
func (f *frameReader) fill() error {
	if f.r == f.w {
		f.r, f.w = 0, 0
	} else if f.w == len(f.buf) {
		f.w = copy(f.buf, f.buf[f.r:f.w])
		f.r = 0
	}
	n, err := f.src.Read(f.buf[f.w:])
	if n > 0 {
		f.w += n
		f.active.Store(true)
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// full fills p from the buffer and then straight from the socket.
func (f *frameReader) full(p []byte) error {
	rest := p
	for len(rest) > 0 {
		if f.r == f.w && len(rest) >= len(f.buf) {
			n, err := io.ReadFull(f.src, rest)
			f.active.Store(true)
			if err != nil {
				return err
			}
			rest = rest[n:]
			break
		}
		if f.r == f.w {
			if err := f.fill(); err != nil {
				if err == io.EOF && len(rest) < len(p) {
					err = io.ErrUnexpectedEOF
				}
				return err
			}
		}
		n := copy(rest, f.buf[f.r:f.w])
		f.r += n
		rest = rest[n:]
	}
	if f.record != nil {
		return f.keep(p)
	}
	return nil
}

// recordBytes bounds what a peer may send before it is authenticated.
const recordBytes = 512 << 10

func (f *frameReader) keep(p []byte) error {
	if len(*f.record)+len(p) > recordBytes {
		return fmt.Errorf("%w: handshake of more than %d bytes", errTooLong, recordBytes)
	}
	*f.record = append(*f.record, p...)
	return nil
}

// peek is the next n bytes without a copy when they are in the buffer, consumed.
func (f *frameReader) peek(n int, scratch []byte) ([]byte, error) {
	for f.record == nil && f.w-f.r < n {
		if f.r+n > len(f.buf) {
			f.w = copy(f.buf, f.buf[f.r:f.w])
			f.r = 0
		}
		if err := f.fill(); err != nil {
			if err == io.EOF && f.w > f.r {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	if f.record == nil {
		b := f.buf[f.r : f.r+n]
		f.r += n
		return b, nil
	}
	return scratch[:n], f.full(scratch[:n])
}

// next reads the preamble of the next frame and checks its lengths.
func (f *frameReader) next() error {
	n := preambleBytes
	if f.rx != nil {
		n = len(f.block)
	}
	b, err := f.peek(n, f.block[:])
	if err != nil {
		return err
	}
	if f.rx != nil {
		if b, err = f.rx.open(b); err != nil {
			return err
		}
		f.inline = append(f.inline[:0], b[preambleBytes:]...)
	}
	if err := f.pre.parse(b); err != nil {
		return err
	}
	return f.pre.check(&f.limits)
}

// head reads the first segment into dst, which has its length.
func (f *frameReader) head(dst []byte) error {
	if f.rx != nil {
		return f.sealedHead(dst)
	}
	if len(dst) == 0 {
		return nil
	}
	if err := f.full(dst); err != nil {
		return err
	}
	sum, err := f.peek(crcBytes, f.block[:])
	if err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(sum) != crc32c.Update(crcSeed, dst) {
		return fmt.Errorf("%w: first segment of tag %d", errCRC, f.pre.tag)
	}
	return nil
}

func (f *frameReader) sealedHead(dst []byte) error {
	n := copy(dst, f.inline)
	if pad16(len(dst)) <= inlineBytes {
		return nil
	}
	rest := make([]byte, pad16(len(dst))-inlineBytes+tagBytes)
	if err := f.full(rest); err != nil {
		return err
	}
	plain, err := f.rx.open(rest)
	if err != nil {
		return err
	}
	copy(dst[n:], plain)
	return nil
}

// control reads the payload of a control frame. It is valid for ever.
func (f *frameReader) control() ([]byte, error) {
	b := f.slab.take(f.pre.lens[0])
	return b, f.head(b)
}

// segments are what follows the header of a message.
type segments struct {
	front, middle, data []byte
	buf                 *buffer // holds data; nil if there is none
	aborted             bool
}

// tail reads the segments after the first.
func (f *frameReader) tail() (s segments, err error) {
	switch {
	case f.pre.segments == 1:
		return s, nil
	case f.rx != nil:
		return f.sealedTail()
	}
	if s.front, err = f.keepable(f.pre.lens[1]); err != nil {
		return s, err
	}
	if s.middle, err = f.keepable(f.pre.lens[2]); err != nil {
		return s, err
	}
	if n := f.pre.lens[3]; n > 0 {
		if s.buf, s.data, err = f.buffered(n, 0); err != nil {
			return s, err
		}
	}
	e, err := f.peek(epilogueCRCBytes, f.block[:])
	if err != nil {
		return s, err
	}
	if s.aborted, err = lateStatus(e[0]); err != nil || s.aborted {
		return s, err
	}
	for i, p := range [...][]byte{s.front, s.middle, s.data} {
		if i+1 < f.pre.segments &&
			binary.LittleEndian.Uint32(e[1+4*i:]) != crc32c.Update(crcSeed, p) {
			return s, fmt.Errorf("%w: segment %d", errCRC, i+1)
		}
	}
	return s, nil
}

// keepable reads a segment that bodies may refer to for ever.
func (f *frameReader) keepable(n int) ([]byte, error) {
	if n > growBytes {
		return f.growing(n, 0)
	}
	b := f.slab.take(n)
	return b, f.full(b)
}

// buffered reads n bytes into a pooled buffer, at an offset from its aligned start.
func (f *frameReader) buffered(n, off int) (*buffer, []byte, error) {
	if n+off > maxBufferBytes {
		b, err := f.growing(n, off)
		return &buffer{release: func() {}}, b, err
	}
	buf := newBuffer(n + off)
	b := buf.mem[off : off+n : off+n]
	err := f.full(b)
	if err != nil {
		buf.release()
	}
	return buf, b, err
}

// growBytes is how much memory an announcement alone can take.
const growBytes = 8 << 20

// growing reads n bytes into memory that grows as they arrive, so that who only announces much
// does not get it.
func (f *frameReader) growing(n, off int) ([]byte, error) {
	have := 0
	var b []byte
	for size := growBytes; have < n; size *= 2 {
		next := alignedBytes(off + min(n, size))
		copy(next[off:], b)
		b = next[off:]
		if err := f.full(b[have:]); err != nil {
			return nil, err
		}
		have = len(b)
	}
	return b, nil
}

// sealedTail reads the one record of a secure frame's further segments into a buffer where the
// data segment comes to lie at a multiple of 4 KiB.
func (f *frameReader) sealedTail() (s segments, err error) {
	front, middle, data := f.pre.lens[1], f.pre.lens[2], f.pre.lens[3]
	before := pad16(front) + pad16(middle)
	total := before + pad16(data) + epilogueGCMBytes + tagBytes
	off := (dataAlign - before%dataAlign) % dataAlign
	buf, record, err := f.buffered(total, off)
	if err != nil {
		return s, err
	}
	plain, err := f.rx.open(record)
	if err != nil {
		return s, err
	}
	if s.aborted, err = lateStatus(plain[len(plain)-epilogueGCMBytes]); err != nil {
		return s, err
	}
	s.front = f.slab.take(front)
	copy(s.front, plain)
	if middle > 0 {
		s.middle = append([]byte(nil), plain[pad16(front):pad16(front)+middle]...)
	}
	if data == 0 {
		buf.release()
		return s, nil
	}
	s.buf, s.data = buf, plain[before:before+data:before+data]
	return s, nil
}
