// Package offline looks at and changes the store of an OSD whose daemon does not run: it audits
// PGs, and carries them from one OSD to another in a file, for disasters in which all daemons with
// a copy are dead and one of their disks is not.
//
// The caller has opened the store, and so holds its lock. An export is a stream of frames whose
// checksums form a chain, with an end that carries counts: a file that was cut, or has a damaged or
// a missing frame, is refused before anything is imported. An import that is interrupted leaves a
// mark, by which the next one or the daemon removes what it left. Functions of this package belong
// to one goroutine.
package offline

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/internal/crc32c"
)

const (
	magic         = "GLUE PG EXPORT\n\x00"
	maxFrameBytes = 160 << 20 // an omap value of the largest size and its key
)

// A kind is what a frame carries. The numbers are stored, so they never change.
type kind uint8

const (
	kindHead    kind = 1 // head
	kindMap     kind = 2 // the OSD map of the epoch that the copy had got to
	kindInfo    kind = 3 // the stored PG info, as it is
	kindMissing kind = 4 // pair: a missing object
	kindLog     kind = 5 // logRecord
	kindObject  kind = 6 // object: begins one
	kindData    kind = 7 // data of the object
	kindOmap    kind = 8 // pairs of the object's omap
	kindEnd     kind = 9 // totals
)

// ErrDamaged is an export that is not whole.
var ErrDamaged = errors.New("the export is damaged")

// A Head says where an export comes from.
type Head struct {
	Cluster, OSDUUID ceph.UUID
	OSD              int32
	PG               ceph.SPG
	Epoch            ceph.Epoch // of the map that the copy had got to
}

// Denc is a section of our own, like those below.
func (h *Head) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	h.Cluster.Denc(c)
	h.OSDUUID.Denc(c)
	c.I32(&h.OSD)
	h.PG.Denc(c)
	h.Epoch.Denc(c)
	s.End()
}

type pair struct {
	key   string
	value []byte
}

func (p *pair) Denc(c *denc.Coder) {
	c.Str(&p.key)
	c.Blob(&p.value)
}

type logRecord struct {
	version ceph.Eversion
	data    []byte
}

func (r *logRecord) Denc(c *denc.Coder) {
	r.version.Denc(c)
	c.Blob(&r.data)
}

type object struct {
	id     ceph.HObject
	size   uint64
	attrs  map[string][]byte
	header []byte
}

func (o *object) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	o.id.Denc(c)
	c.U64(&o.size)
	denc.MapFunc(c, &o.attrs, (*denc.Coder).Str, (*denc.Coder).Blob)
	c.Blob(&o.header)
	s.End()
}

type data struct {
	off   uint64
	bytes []byte
}

func (d *data) Denc(c *denc.Coder) {
	c.U64(&d.off)
	c.Blob(&d.bytes)
}

type omap struct{ pairs map[string][]byte }

func (o *omap) Denc(c *denc.Coder) {
	denc.MapFunc(c, &o.pairs, (*denc.Coder).Str, (*denc.Coder).Blob)
}

// Totals are what an export has.
type Totals struct {
	Objects, Bytes, OmapKeys, LogEntries, Missing uint64
	// Damaged counts objects that could not be read and were left out.
	Damaged uint64
}

// Denc is a section.
func (t *Totals) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	for _, n := range []*uint64{&t.Objects, &t.Bytes, &t.OmapKeys, &t.LogEntries, &t.Missing,
		&t.Damaged} {
		c.U64(n)
	}
	s.End()
}

// A writer writes frames: kind, length, payload, and the checksum of all frames until here.
type writer struct {
	w   *bufio.Writer
	sum uint32
}

func newWriter(w io.Writer) (*writer, error) {
	b := &writer{w: bufio.NewWriterSize(w, 1<<20)}
	_, err := b.w.WriteString(magic)
	return b, err
}

func (w *writer) raw(k kind, payload []byte) error {
	if len(payload) > maxFrameBytes {
		return fmt.Errorf("a frame of %d bytes is too large", len(payload))
	}
	head := binary.LittleEndian.AppendUint32([]byte{byte(k)}, uint32(len(payload)))
	w.sum = crc32c.Update(crc32c.Update(w.sum, head), payload)
	for _, b := range [][]byte{head, payload, binary.LittleEndian.AppendUint32(nil, w.sum)} {
		if _, err := w.w.Write(b); err != nil {
			return fmt.Errorf("write the export: %w", err)
		}
	}
	return nil
}

func (w *writer) put(k kind, v denc.Value) error {
	return w.raw(k, denc.Marshal(v, ceph.FeaturesAll))
}

// A reader reads frames and checks each.
type reader struct {
	r   *bufio.Reader
	sum uint32
	buf []byte
}

func newReader(r io.Reader) (*reader, error) {
	b := &reader{r: bufio.NewReaderSize(r, 1<<20)}
	got := make([]byte, len(magic))
	if _, err := io.ReadFull(b.r, got); err != nil || string(got) != magic {
		return nil, errors.New("this is no export of a PG")
	}
	return b, nil
}

// next is the next frame; its payload is valid until the one after it.
func (r *reader) next() (kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return 0, nil, fmt.Errorf("%w: it ends without its end: %w", ErrDamaged, err)
	}
	n := binary.LittleEndian.Uint32(head[1:])
	if n > maxFrameBytes {
		return 0, nil, fmt.Errorf("%w: a frame of %d bytes", ErrDamaged, n)
	}
	// Memory grows with what is there, not with what a damaged length says.
	r.buf = r.buf[:0]
	for len(r.buf) < int(n)+4 {
		part := min(1<<20, int(n)+4-len(r.buf))
		at := len(r.buf)
		r.buf = append(r.buf, make([]byte, part)...)
		if _, err := io.ReadFull(r.r, r.buf[at:]); err != nil {
			return 0, nil, fmt.Errorf("%w: it was cut: %w", ErrDamaged, err)
		}
	}
	payload := r.buf[:n]
	r.sum = crc32c.Update(crc32c.Update(r.sum, head[:]), payload)
	if binary.LittleEndian.Uint32(r.buf[n:]) != r.sum {
		return 0, nil, fmt.Errorf("%w: a checksum does not match", ErrDamaged)
	}
	return kind(head[0]), payload, nil
}

// take decodes a payload into values of their own: decoded bytes share memory with what they come
// from, and the reader uses that again.
func take(payload []byte, v denc.Value) error {
	if err := denc.Unmarshal(bytes.Clone(payload), v, ceph.FeaturesAll); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}
