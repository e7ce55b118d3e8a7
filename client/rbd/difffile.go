package rbd

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"glue/ceph"
)

// A file of differences (export-diff of librbd, format 1): a line, then records that begin with a
// letter. Numbers are little endian.
const (
	diffBanner  = "rbd diff v1\n"
	diffBanner2 = "rbd diff v2\n"

	diffFrom  = 'f' // u32 length, name: the snapshot to begin from
	diffTo    = 't' // u32 length, name: the snapshot at the end
	diffSize  = 's' // u64
	diffWrite = 'w' // u64 offset, u64 length, data
	diffZero  = 'z' // u64 offset, u64 length
	diffEnd   = 'e'
)

// maxDiffName bounds the names in a file of differences.
const maxDiffName = 4096

var le = binary.LittleEndian

func appendName(b []byte, tag byte, name string) []byte {
	b = le.AppendUint32(append(b, tag), uint32(len(name)))
	return append(b, name...)
}

func appendExtent(b []byte, tag byte, e Extent) []byte {
	return le.AppendUint64(le.AppendUint64(append(b, tag), e.Off), e.Len)
}

// ExportDiff writes what changed between a snapshot and what is open, for ImportDiff or rbd
// import-diff.
func (i *Image) ExportDiff(
	ctx context.Context, w io.Writer, o DiffOptions, p Progress,
) error {
	h, _, err := i.fresh(ctx)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 1<<20)
	head := []byte(diffBanner)
	if o.From != "" {
		head = appendName(head, diffFrom, o.From)
	}
	if i.snapName != "" {
		head = appendName(head, diffTo, i.snapName)
	}
	if _, err := out.Write(le.AppendUint64(append(head, diffSize), h.size)); err != nil {
		return fmt.Errorf("write the differences: %w", err)
	}
	s := steps{f: p, total: h.size}
	for e, err := range i.DiffIterate(ctx, o) {
		if err == nil {
			err = i.exportExtent(ctx, out, e)
		}
		if err != nil {
			return err
		}
		s.done.Store(e.Off)
		s.add(e.Len)
	}
	if err := errors.Join(out.WriteByte(diffEnd), out.Flush()); err != nil {
		return fmt.Errorf("write the differences: %w", err)
	}
	s.done.Store(h.size)
	s.add(0)
	return nil
}

func (i *Image) exportExtent(ctx context.Context, out *bufio.Writer, e DiffExtent) error {
	var data []byte
	if e.Exists {
		data = make([]byte, e.Len)
		if _, err := i.Read(ctx, data, int64(e.Off)); err != nil {
			return err
		}
	}
	var err error
	if isZero(data) {
		_, err = out.Write(appendExtent(nil, diffZero, e.Extent))
	} else {
		_, err = out.Write(append(appendExtent(nil, diffWrite, e.Extent), data...))
	}
	if err != nil {
		return fmt.Errorf("write the differences: %w", err)
	}
	return nil
}

// ImportDiff applies a file of differences. The image must be as it was at the snapshot that the
// file begins from (ENOENT without that); the snapshot at its end is made (EEXIST if it is there).
func (i *Image) ImportDiff(ctx context.Context, r io.Reader, p Progress) error {
	in := &diffReader{r: bufio.NewReaderSize(r, 1<<20), image: i, p: p}
	if err := in.banner(); err != nil {
		return err
	}
	for {
		tag, err := in.r.ReadByte()
		if err == nil && tag == diffEnd {
			break
		}
		if err == nil {
			err = in.record(ctx, tag)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("the file of differences is cut short: %w", io.ErrUnexpectedEOF)
		}
		if err != nil {
			return err
		}
	}
	if in.to == "" {
		return nil
	}
	return i.CreateSnapshot(ctx, in.to)
}

// A diffReader applies the records of a file of differences to an image.
type diffReader struct {
	r     *bufio.Reader
	image *Image
	p     Progress
	to    string
}

func (d *diffReader) banner() error {
	b := make([]byte, len(diffBanner))
	_, err := io.ReadFull(d.r, b)
	switch {
	case err == nil && string(b) == diffBanner2:
		return fmt.Errorf("the file of differences has format 2; export it with format 1: %w",
			ceph.EOPNOTSUPP)
	case err != nil || string(b) != diffBanner:
		return fmt.Errorf("this is no file of differences (it begins with %q): %w", b, ceph.EINVAL)
	}
	return nil
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

func (d *diffReader) name() (string, error) {
	var b [4]byte
	if _, err := io.ReadFull(d.r, b[:]); err != nil {
		return "", err
	}
	n := le.Uint32(b[:])
	if n == 0 || n > maxDiffName {
		return "", fmt.Errorf("a snapshot's name of %d bytes in the file of differences: %w", n,
			ceph.EINVAL)
	}
	name := make([]byte, n)
	_, err := io.ReadFull(d.r, name)
	return string(name), err
}

// record applies one record.
func (d *diffReader) record(ctx context.Context, tag byte) error {
	i := d.image
	switch tag {
	case diffFrom, diffTo:
		name, err := d.name()
		if err != nil {
			return err
		}
		_, err = i.Snapshot(ctx, name)
		switch {
		case tag == diffFrom && errors.Is(err, ceph.ENOENT):
			return fmt.Errorf("the differences begin from a snapshot that is missing: %w", err)
		case tag == diffFrom || err != nil && !errors.Is(err, ceph.ENOENT):
			return err
		case err == nil:
			return fmt.Errorf("the differences end in snapshot %s, which image %s has already: %w",
				name, i.name, ceph.EEXIST)
		}
		d.to = name
		return nil
	case diffSize:
		var size uint64
		if err := d.numbers(&size); err != nil || size == i.Size() {
			return err
		}
		return i.Resize(ctx, size, true, nil)
	case diffWrite, diffZero:
		return d.extent(ctx, tag)
	}
	return fmt.Errorf("record %q in the file of differences is not known: %w", tag, ceph.EINVAL)
}

// extent writes or zeroes.
func (d *diffReader) extent(ctx context.Context, tag byte) error {
	var e Extent
	if err := d.numbers(&e.Off, &e.Len); err != nil {
		return err
	}
	size := d.image.Size()
	if e.Off > size || e.Len > size-e.Off {
		return fmt.Errorf("the differences write %d bytes at %d to an image of %d: %w", e.Len,
			e.Off, size, ceph.EINVAL)
	}
	s := steps{f: d.p, total: size}
	defer func() {
		s.done.Store(e.Off)
		s.add(e.Len)
	}()
	if tag == diffZero {
		return d.image.Discard(ctx, e.Off, e.Len)
	}
	buf := make([]byte, min(e.Len, 4<<20))
	for done := uint64(0); done < e.Len; {
		part := buf[:min(uint64(len(buf)), e.Len-done)]
		if _, err := io.ReadFull(d.r, part); err != nil {
			return err
		}
		if _, err := d.image.Write(ctx, part, int64(e.Off+done)); err != nil {
			return err
		}
		done += uint64(len(part))
	}
	return nil
}
