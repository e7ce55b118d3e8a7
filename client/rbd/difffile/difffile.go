// Package difffile reads, writes and merges files of differences between two states of an image, as
// the command rbd export-diff of librbd makes them, of format 1 and 2. It knows no images: what it
// reads is checked against the size that the file itself tells.
package difffile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"glue/ceph"
	"glue/wire/message"
)

// A file of differences (export-diff of librbd): a line, then records that begin with a letter,
// those about the snapshots first. In format 2 the length of the rest of a record follows its
// letter, but that of the end. Numbers are little endian.
const (
	banner  = "rbd diff v1\n"
	banner2 = "rbd diff v2\n"

	tagFrom    = 'f' // u32 length, name: the snapshot to begin from
	tagTo      = 't' // u32 length, name: the snapshot at the end
	tagProtect = 'p' // u8, format 2 only: the snapshot at the end is protected
	tagSize    = 's' // u64

	Write = 'w' // u64 offset, u64 length, data
	Zero  = 'z' // u64 offset, u64 length
	End   = 'e'
)

// maxName bounds the names in a file of differences, maxSkip a record that is not known.
const (
	maxName = 4096
	maxSkip = 1 << 20
)

var le = binary.LittleEndian

// A Head is what the records about the snapshots say.
type Head struct {
	From, To  string // snapshots; the files of format 2 say whether the last is protected
	Protected bool
	Size      uint64
	Sized     bool // there was a size
}

// A Writer writes records of one format.
type Writer struct {
	W  io.Writer
	V2 bool
}

// Record writes one record; more bytes of it may follow.
func (d Writer) Record(tag byte, body []byte, more uint64) error {
	b := []byte{tag}
	if d.V2 && tag != End {
		b = le.AppendUint64(b, uint64(len(body))+more)
	}
	_, err := d.W.Write(append(b, body...))
	return err
}

// Head writes the banner and what comes before the extents.
func (d Writer) Head(h Head) error {
	line := banner
	if d.V2 {
		line = banner2
	}
	_, err := io.WriteString(d.W, line)
	name := func(tag byte, s string) {
		if s != "" && err == nil {
			err = d.Record(tag, append(le.AppendUint32(nil, uint32(len(s))), s...), 0)
		}
	}
	name(tagFrom, h.From)
	name(tagTo, h.To)
	if d.V2 && h.To != "" && err == nil {
		flag := []byte{0}
		if h.Protected {
			flag[0] = 1
		}
		err = d.Record(tagProtect, flag, 0)
	}
	if err != nil {
		return err
	}
	return d.Record(tagSize, le.AppendUint64(nil, h.Size), 0)
}

// Extent begins a record about some of the image's bytes, of which the data follow.
func (d Writer) Extent(tag byte, e message.Extent) error {
	more := uint64(0)
	if tag == Write {
		more = e.Len
	}
	return d.Record(tag, le.AppendUint64(le.AppendUint64(nil, e.Off), e.Len), more)
}

// A Reader reads a file of differences: what is at its head, then one extent after the other.
type Reader struct {
	r    *bufio.Reader
	V2   bool
	Head Head
	Tag  byte           // of the record that was read last: Write, Zero or End
	At   message.Extent // ... and what it is about, without what was taken of it
}

// NewReader reads up to the first extent.
func NewReader(r *bufio.Reader) (*Reader, error) {
	d := &Reader{r: r}
	b := make([]byte, len(banner))
	_, err := io.ReadFull(r, b)
	if d.V2 = string(b) == banner2; err != nil || !d.V2 && string(b) != banner {
		return nil, fmt.Errorf("this is no file of differences (it begins with %q): %w", b,
			ceph.EINVAL)
	}
	for err = nil; err == nil; {
		var more bool
		if more, err = d.meta(); !more {
			break
		}
	}
	return d, CutShort(err)
}

// CutShort says of an unexpected end what it means.
func CutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the file of differences is cut short: %w", io.ErrUnexpectedEOF)
	}
	return err
}

func (d *Reader) numbers(into ...*uint64) error {
	b := make([]byte, 8*len(into))
	if _, err := io.ReadFull(d.r, b); err != nil {
		return err
	}
	for n, v := range into {
		*v = le.Uint64(b[8*n:])
	}
	return nil
}

// begin reads a record's letter and, in format 2, the length of the rest.
func (d *Reader) begin() (length uint64, err error) {
	if d.Tag, err = d.r.ReadByte(); err != nil || !d.V2 || d.Tag == End {
		return 0, err
	}
	return length, d.numbers(&length)
}

// sized checks the length of a record, which format 1 does not have.
func (d *Reader) sized(length, want uint64) error {
	if d.V2 && length != want {
		return fmt.Errorf("record %q in the file of differences has %d bytes, not %d: %w", d.Tag,
			length, want, ceph.EINVAL)
	}
	return nil
}

// meta reads a record of the head; false if it was the first extent, or the end.
func (d *Reader) meta() (more bool, err error) {
	length, err := d.begin()
	if err != nil {
		return false, err
	}
	switch d.Tag {
	case tagFrom:
		d.Head.From, err = d.name(length)
	case tagTo:
		d.Head.To, err = d.name(length)
	case tagSize:
		d.Head.Sized = true
		err = errors.Join(d.sized(length, 8), d.numbers(&d.Head.Size))
	case Write, Zero:
		return false, d.extent(length)
	case End:
		return false, nil
	default:
		if d.V2 && d.Tag == tagProtect {
			var b byte // whatever the length, which is 8 in files of Ceph 16.2
			b, err = d.r.ReadByte()
			d.Head.Protected = b != 0
			return true, err
		}
		return true, d.skip(length)
	}
	return true, err
}

// skip passes over a record that is not known, which format 2 allows.
func (d *Reader) skip(length uint64) error {
	if !d.V2 || length > maxSkip {
		return fmt.Errorf("record %q in the file of differences is not known: %w", d.Tag,
			ceph.EINVAL)
	}
	_, err := d.r.Discard(int(length))
	return err
}

func (d *Reader) name(length uint64) (string, error) {
	var b [4]byte
	if _, err := io.ReadFull(d.r, b[:]); err != nil {
		return "", err
	}
	n := le.Uint32(b[:])
	if n == 0 || n > maxName {
		return "", fmt.Errorf("a snapshot's name of %d bytes in the file of differences: %w", n,
			ceph.EINVAL)
	}
	if err := d.sized(length, 4+uint64(n)); err != nil {
		return "", err
	}
	name := make([]byte, n)
	_, err := io.ReadFull(d.r, name)
	return string(name), err
}

// extent reads where a record's bytes are in the image, and checks it.
func (d *Reader) extent(length uint64) error {
	if err := d.numbers(&d.At.Off, &d.At.Len); err != nil {
		return err
	}
	want := uint64(16)
	if d.Tag == Write {
		want += d.At.Len
	}
	if size := d.Head.Size; d.Head.Sized && (d.At.Off > size || d.At.Len > size-d.At.Off) {
		return fmt.Errorf("the differences write %d bytes at %d to an image of %d: %w", d.At.Len,
			d.At.Off, size, ceph.EINVAL)
	}
	return d.sized(length, want)
}

// Next goes on to the next extent. The data of the one before must have been read.
func (d *Reader) Next() error {
	for {
		length, err := d.begin()
		switch {
		case err != nil:
			return CutShort(err)
		case d.Tag == End:
			return nil
		case d.Tag == Write || d.Tag == Zero:
			return CutShort(d.extent(length))
		}
		if err := d.skip(length); err != nil {
			return CutShort(err)
		}
	}
}

// Take reads some of the data of a write, the next n bytes of what it is about.
func (d *Reader) Take(p []byte) error {
	_, err := io.ReadFull(d.r, p)
	d.pass(uint64(len(p)))
	return CutShort(err)
}

// pass goes on in what a record is about.
func (d *Reader) pass(n uint64) {
	d.At.Off += n
	d.At.Len -= n
}
