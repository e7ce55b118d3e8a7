package rbd

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"glue/ceph"
	"glue/client/rbd/blocks"
)

// A file of differences (export-diff of librbd): a line, then records that begin with a letter,
// those about the snapshots first. In format 2 the length of the rest of a record follows its
// letter, but that of the end. Numbers are little endian.
const (
	diffBanner  = "rbd diff v1\n"
	diffBanner2 = "rbd diff v2\n"

	diffFrom    = 'f' // u32 length, name: the snapshot to begin from
	diffTo      = 't' // u32 length, name: the snapshot at the end
	diffProtect = 'p' // u8, format 2 only: the snapshot at the end is protected
	diffSize    = 's' // u64
	diffWrite   = 'w' // u64 offset, u64 length, data
	diffZero    = 'z' // u64 offset, u64 length
	diffEnd     = 'e'
)

// maxDiffName bounds the names in a file of differences, maxDiffSkip a record that is not known.
const (
	maxDiffName = 4096
	maxDiffSkip = 1 << 20
)

// diffChunk is how many bytes of a file of differences are held at a time.
const diffChunk = 4 << 20

var le = binary.LittleEndian

// A diffHead is what the records about the snapshots say.
type diffHead struct {
	from, to  string
	protected bool
	size      uint64
	sized     bool // there was a size
}

// A diffWriter writes records of one format.
type diffWriter struct {
	w  io.Writer
	v2 bool
}

// record writes one record; more bytes of it may follow.
func (d diffWriter) record(tag byte, body []byte, more uint64) error {
	b := []byte{tag}
	if d.v2 && tag != diffEnd {
		b = le.AppendUint64(b, uint64(len(body))+more)
	}
	_, err := d.w.Write(append(b, body...))
	return err
}

func (d diffWriter) head(h diffHead) error {
	banner := diffBanner
	if d.v2 {
		banner = diffBanner2
	}
	_, err := io.WriteString(d.w, banner)
	name := func(tag byte, s string) {
		if s != "" && err == nil {
			err = d.record(tag, append(le.AppendUint32(nil, uint32(len(s))), s...), 0)
		}
	}
	name(diffFrom, h.from)
	name(diffTo, h.to)
	if d.v2 && h.to != "" && err == nil {
		flag := []byte{0}
		if h.protected {
			flag[0] = 1
		}
		err = d.record(diffProtect, flag, 0)
	}
	if err != nil {
		return err
	}
	return d.record(diffSize, le.AppendUint64(nil, h.size), 0)
}

// extent begins a record about some of the image's bytes, of which the data follow.
func (d diffWriter) extent(tag byte, e Extent) error {
	more := uint64(0)
	if tag == diffWrite {
		more = e.Len
	}
	return d.record(tag, le.AppendUint64(le.AppendUint64(nil, e.Off), e.Len), more)
}

// ExportDiff writes what changed between a snapshot and what is open, for ImportDiff or rbd
// import-diff, which reads format 1 only.
func (i *Image) ExportDiff(
	ctx context.Context, w io.Writer, o DiffOptions, p Progress,
) error {
	h, _, err := i.fresh(ctx)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 1<<20)
	d := diffWriter{out, o.Format2}
	head := diffHead{from: o.From, to: i.snapName, size: h.size}
	if s := h.byID(h.snap); s != nil && i.snapName != "" {
		head.protected = s.Protected
	}
	if err := d.head(head); err != nil {
		return fmt.Errorf("write the differences: %w", err)
	}
	s := steps{f: p, total: h.size}
	for e, err := range i.DiffIterate(ctx, o) {
		if err == nil {
			err = i.exportExtent(ctx, d, e)
		}
		if err != nil {
			return err
		}
		s.done.Store(e.Off)
		s.add(e.Len)
	}
	if err := errors.Join(d.record(diffEnd, nil, 0), out.Flush()); err != nil {
		return fmt.Errorf("write the differences: %w", err)
	}
	s.done.Store(h.size)
	s.add(0)
	return nil
}

func (i *Image) exportExtent(ctx context.Context, d diffWriter, e DiffExtent) error {
	var data []byte
	if e.Exists {
		data = make([]byte, e.Len)
		if n, err := i.Read(ctx, data, int64(e.Off)); n < len(data) {
			return cmp.Or(err, io.ErrUnexpectedEOF)
		}
	}
	var err error
	if blocks.IsZero(data) {
		err = d.extent(diffZero, e.Extent)
	} else if err = d.extent(diffWrite, e.Extent); err == nil {
		_, err = d.w.Write(data)
	}
	if err != nil {
		return fmt.Errorf("write the differences: %w", err)
	}
	return nil
}

// A diffReader reads a file of differences: what is at its head, then one extent after the other.
type diffReader struct {
	r    *bufio.Reader
	v2   bool
	head diffHead
	tag  byte   // of the record that was read last
	at   Extent // ... and what it is about, without what was taken of it
}

// newDiffReader reads up to the first extent, which next gives.
func newDiffReader(r *bufio.Reader) (*diffReader, error) {
	d := &diffReader{r: r}
	b := make([]byte, len(diffBanner))
	_, err := io.ReadFull(r, b)
	if d.v2 = string(b) == diffBanner2; err != nil || !d.v2 && string(b) != diffBanner {
		return nil, fmt.Errorf("this is no file of differences (it begins with %q): %w", b,
			ceph.EINVAL)
	}
	for err = nil; err == nil; {
		var more bool
		if more, err = d.meta(); !more {
			break
		}
	}
	return d, cutShort(err)
}

// cutShort says of an unexpected end what it means.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the file of differences is cut short: %w", io.ErrUnexpectedEOF)
	}
	return err
}

func (d *diffReader) numbers(into ...*uint64) error {
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
func (d *diffReader) begin() (length uint64, err error) {
	if d.tag, err = d.r.ReadByte(); err != nil || !d.v2 || d.tag == diffEnd {
		return 0, err
	}
	return length, d.numbers(&length)
}

// sized checks the length of a record, which format 1 does not have.
func (d *diffReader) sized(length, want uint64) error {
	if d.v2 && length != want {
		return fmt.Errorf("record %q in the file of differences has %d bytes, not %d: %w", d.tag,
			length, want, ceph.EINVAL)
	}
	return nil
}

// meta reads a record of the head; false if it was the first extent, or the end.
func (d *diffReader) meta() (more bool, err error) {
	length, err := d.begin()
	if err != nil {
		return false, err
	}
	switch d.tag {
	case diffFrom:
		d.head.from, err = d.name(length)
	case diffTo:
		d.head.to, err = d.name(length)
	case diffSize:
		d.head.sized = true
		err = errors.Join(d.sized(length, 8), d.numbers(&d.head.size))
	case diffWrite, diffZero:
		return false, d.extent(length)
	case diffEnd:
		return false, nil
	default:
		if d.v2 && d.tag == diffProtect {
			var b byte // whatever the length, which is 8 in files of Ceph 16.2
			b, err = d.r.ReadByte()
			d.head.protected = b != 0
			return true, err
		}
		return true, d.skip(length)
	}
	return true, err
}

// skip passes over a record that is not known, which format 2 allows.
func (d *diffReader) skip(length uint64) error {
	if !d.v2 || length > maxDiffSkip {
		return fmt.Errorf("record %q in the file of differences is not known: %w", d.tag,
			ceph.EINVAL)
	}
	_, err := d.r.Discard(int(length))
	return err
}

func (d *diffReader) name(length uint64) (string, error) {
	var b [4]byte
	if _, err := io.ReadFull(d.r, b[:]); err != nil {
		return "", err
	}
	n := le.Uint32(b[:])
	if n == 0 || n > maxDiffName {
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
func (d *diffReader) extent(length uint64) error {
	if err := d.numbers(&d.at.Off, &d.at.Len); err != nil {
		return err
	}
	want := uint64(16)
	if d.tag == diffWrite {
		want += d.at.Len
	}
	if size := d.head.size; d.head.sized && (d.at.Off > size || d.at.Len > size-d.at.Off) {
		return fmt.Errorf("the differences write %d bytes at %d to an image of %d: %w", d.at.Len,
			d.at.Off, size, ceph.EINVAL)
	}
	return d.sized(length, want)
}

// next goes on to the next extent. The data of the one before must have been read.
func (d *diffReader) next() error {
	for {
		length, err := d.begin()
		switch {
		case err != nil:
			return cutShort(err)
		case d.tag == diffEnd:
			return nil
		case d.tag == diffWrite || d.tag == diffZero:
			return cutShort(d.extent(length))
		}
		if err := d.skip(length); err != nil {
			return cutShort(err)
		}
	}
}

// take reads some of the data of a write, the next n bytes of what it is about.
func (d *diffReader) take(p []byte) error {
	_, err := io.ReadFull(d.r, p)
	d.pass(uint64(len(p)))
	return cutShort(err)
}

// pass goes on in what a record is about.
func (d *diffReader) pass(n uint64) {
	d.at.Off += n
	d.at.Len -= n
}

// ImportDiff applies a file of differences of format 1 or 2. The image must be as it was at the
// snapshot that the file begins from (ENOENT without that); the snapshot at its end is made
// (EEXIST if it is there). A file that is cut short or damaged leaves the image in between, and
// without that snapshot: roll it back to the first one.
func (i *Image) ImportDiff(ctx context.Context, r io.Reader, p Progress) error {
	d, err := newDiffReader(bufio.NewReaderSize(r, 1<<20))
	if err != nil {
		return err
	}
	return i.importDiff(ctx, d, p)
}

func (i *Image) importDiff(ctx context.Context, d *diffReader, p Progress) error {
	if err := i.fits(ctx, d.head); err != nil {
		return err
	}
	if d.head.sized && d.head.size != i.Size() {
		if err := i.Resize(ctx, d.head.size, true, nil); err != nil {
			return err
		}
	}
	if !d.head.sized {
		d.head.size, d.head.sized = i.Size(), true
		if end := d.at.Off + d.at.Len; d.tag != diffEnd && (end < d.at.Off || end > i.Size()) {
			return fmt.Errorf("the differences write beyond the image's end: %w", ceph.EINVAL)
		}
	}
	if err := i.importExtents(ctx, d, p); err != nil {
		return err
	}
	if d.head.to == "" {
		return nil
	}
	err := i.CreateSnapshot(ctx, d.head.to)
	if err == nil && d.head.protected {
		err = i.ProtectSnapshot(ctx, d.head.to)
	}
	return err
}

// fits checks that the differences can be applied to the image as it is.
func (i *Image) fits(ctx context.Context, head diffHead) error {
	if head.from != "" {
		_, err := i.Snapshot(ctx, head.from)
		if errors.Is(err, ceph.ENOENT) {
			return fmt.Errorf("the differences begin from a snapshot that is missing: %w", err)
		}
		if err != nil {
			return err
		}
	}
	if head.to == "" {
		return nil
	}
	_, err := i.Snapshot(ctx, head.to)
	switch {
	case err == nil:
		return fmt.Errorf("the differences end in snapshot %s, which image %s has already: %w",
			head.to, i.name, ceph.EEXIST)
	case errors.Is(err, ceph.ENOENT):
		return nil
	}
	return err
}

// importExtents applies the records, several at a time as long as they ascend.
func (i *Image) importExtents(ctx context.Context, d *diffReader, p Progress) error {
	s := steps{f: p, total: d.head.size}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	high := uint64(0)
	for d.tag != diffEnd && gctx.Err() == nil {
		at := d.at
		if at.Off < high { // it may be about the same bytes as one before
			if err := g.Wait(); err != nil {
				return err
			}
			g, gctx = errgroup.WithContext(ctx)
			g.SetLimit(parallel)
		}
		high = at.Off + at.Len
		if d.tag == diffZero {
			g.Go(func() error { return i.Discard(gctx, at.Off, at.Len) })
		}
		for d.tag == diffWrite && d.at.Len > 0 && gctx.Err() == nil {
			off, part := d.at.Off, make([]byte, min(diffChunk, d.at.Len))
			if err := d.take(part); err != nil {
				return errors.Join(err, g.Wait())
			}
			g.Go(func() error {
				_, err := i.Write(gctx, part, int64(off))
				return err
			})
		}
		s.done.Store(high)
		s.add(0)
		if gctx.Err() != nil {
			break
		}
		if err := d.next(); err != nil {
			return errors.Join(err, g.Wait())
		}
	}
	return cmp.Or(g.Wait(), ctx.Err())
}
