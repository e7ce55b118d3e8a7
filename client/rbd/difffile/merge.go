package difffile

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"

	"glue/ceph"
	"glue/wire/message"
)

// Merge makes one file of differences of two that follow each other: what the second says
// takes the place of what the first says of the same bytes. EINVAL if the second does not begin
// from the snapshot that the first ends in, or if one is not in ascending order. It is of format 2
// if one of them is.
func Merge(w io.Writer, first, second io.Reader) error {
	m := &merger{out: bufio.NewWriterSize(w, 1<<20)}
	for n, r := range []io.Reader{first, second} {
		d, err := NewReader(bufio.NewReaderSize(r, 1<<20))
		if err == nil && !d.Head.Sized {
			err = fmt.Errorf("it does not tell the image's size: %w", ceph.EINVAL)
		}
		if err != nil {
			return m.failed(n, err)
		}
		m.in[n] = d
	}
	a, b := m.in[0].Head, m.in[1].Head
	if a.To == "" || a.To != b.From {
		return fmt.Errorf("the first file ends in %s, the second begins from %s: %w",
			cmp.Or(a.To, "no snapshot"), cmp.Or(b.From, "nothing"), ceph.EINVAL)
	}
	m.w = Writer{m.out, m.in[0].V2 || m.in[1].V2}
	b.From = a.From
	if err := m.w.Head(b); err != nil {
		return fmt.Errorf("write the differences: %w", err)
	}
	for n := range m.in {
		if err := m.settle(n, 0); err != nil {
			return err
		}
	}
	if err := m.run(b.Size); err != nil {
		return err
	}
	if err := errors.Join(m.w.Record(End, nil, 0), m.out.Flush()); err != nil {
		return fmt.Errorf("write the differences: %w", err)
	}
	return nil
}

// A merger puts two files of differences together.
type merger struct {
	in    [2]*Reader
	out   *bufio.Writer
	w     Writer
	grown bool // what the image has grown by was added to the first file
}

// failed says which of the files it is about.
func (m *merger) failed(n int, err error) error {
	return fmt.Errorf("%s file of differences: %w", [2]string{"first", "second"}[n], err)
}

// run merges what the files say to an image of some size.
func (m *merger) run(size uint64) error {
	b := m.in[1]
	for b.Tag != End {
		at := b.At
		if err := m.first(at.Off, true); err != nil {
			return err
		}
		if err := m.first(at.Off+at.Len, false); err != nil {
			return err
		}
		if err := m.copy(1, at.Len); err != nil {
			return err
		}
		if err := m.settle(1, at.Off+at.Len); err != nil {
			return err
		}
	}
	if err := m.first(size, true); err != nil {
		return err
	}
	return m.first(math.MaxUint64, false) // was cut off since
}

// first copies, or drops, what the first file says up to some place.
func (m *merger) first(end uint64, keep bool) error {
	a := m.in[0]
	for a.Tag != End && a.At.Off < end {
		n := min(a.At.Len, end-a.At.Off)
		if keep {
			if err := m.copy(0, n); err != nil {
				return err
			}
		} else if err := m.drop(n); err != nil {
			return err
		}
		if a.At.Len == 0 {
			if err := m.settle(0, a.At.Off); err != nil {
				return err
			}
		}
	}
	return nil
}

// drop passes over bytes of the first file.
func (m *merger) drop(n uint64) error {
	a := m.in[0]
	if a.Tag == Write {
		_, err := io.CopyN(io.Discard, a.r, int64(n))
		if err != nil {
			return m.failed(0, CutShort(err))
		}
	}
	a.pass(n)
	return nil
}

// copy writes the next n bytes of a file.
func (m *merger) copy(which int, n uint64) error {
	d := m.in[which]
	if err := m.w.Extent(d.Tag, message.Extent{Off: d.At.Off, Len: n}); err != nil {
		return fmt.Errorf("write the differences: %w", err)
	}
	if d.Tag == Zero {
		d.pass(n)
		return nil
	}
	buf := make([]byte, min(n, 64<<10))
	for n > 0 {
		part := buf[:min(n, uint64(len(buf)))]
		if err := d.Take(part); err != nil {
			return m.failed(which, err)
		}
		if _, err := m.out.Write(part); err != nil {
			return fmt.Errorf("write the differences: %w", err)
		}
		n -= uint64(len(part))
	}
	return nil
}

// settle goes on to the next record of a file that is about anything, from some place on, if the
// present one is at its end. The image may have been shorter in between: it is zero then where the
// files say nothing, which is the first one's last record.
func (m *merger) settle(which int, from uint64) error {
	d := m.in[which]
	for d.Tag != End && d.At.Len == 0 {
		if m.grown && which == 0 {
			d.Tag = End
			break
		}
		if err := d.Next(); err != nil {
			return m.failed(which, err)
		}
	}
	if size := m.in[1].Head.Size; which == 0 && d.Tag == End && !m.grown {
		if m.grown = true; d.Head.Size < size {
			d.Tag, d.At = Zero, message.Extent{Off: d.Head.Size, Len: size - d.Head.Size}
		}
	}
	if d.Tag != End && d.At.Off < from {
		return m.failed(which, fmt.Errorf("%d comes after %d: it does not ascend: %w", d.At.Off,
			from, ceph.EINVAL))
	}
	return nil
}
