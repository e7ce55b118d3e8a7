package scrub

import (
	"iter"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/store/objectstore"
)

// An Object is what one copy holds of an object (ScrubMap::object).
type Object struct {
	Size  uint64 // bytes
	Attrs map[string][]byte
	// Of a deep scrub: checksums of the data and of the omap (crc32c from -1, as Ceph's).
	Deep       bool
	Data, Omap uint32
	OmapKeys   uint64
	OmapBytes  uint64
	// StatError: not even its size and attributes can be read; ReadError: its data or omap.
	StatError, ReadError bool
}

// A Map is what one copy has in a range of objects (ScrubMap).
type Map struct {
	End     ceph.HObject // it is complete up to here, exclusive
	Names   []ceph.HObject
	Objects []Object // of Names
}

// Denc is a section of our own.
func (m *Map) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	m.End.Denc(c)
	denc.List(c, &m.Names)
	denc.List(c, &m.Objects)
	if c.Err() == nil && len(m.Names) != len(m.Objects) {
		c.Invalid("%d objects with %d names", len(m.Objects), len(m.Names))
	}
	s.End()
}

// Denc is the fields in a row.
func (o *Object) Denc(c *denc.Coder) {
	c.U64(&o.Size)
	denc.MapFunc(c, &o.Attrs, (*denc.Coder).Str, (*denc.Coder).Blob)
	c.Bool(&o.Deep)
	c.U32(&o.Data)
	c.U32(&o.Omap)
	c.U64(&o.OmapKeys)
	c.U64(&o.OmapBytes)
	c.Bool(&o.StatError)
	c.Bool(&o.ReadError)
}

// A View is the part of a store that a scrub reads.
type View interface {
	List(c ceph.SPG, from ceph.HObject, max int) ([]ceph.HObject, ceph.HObject, error)
	Stat(c ceph.SPG, o ceph.HObject) (objectstore.Stat, error)
	GetAttrs(c ceph.SPG, o ceph.HObject) (map[string][]byte, error)
	Lend(c ceph.SPG, o ceph.HObject, off, length uint64) (objectstore.Loan, error)
	OmapHeader(c ceph.SPG, o ceph.HObject) ([]byte, error)
	OmapScan(c ceph.SPG, o ceph.HObject, from string) iter.Seq2[objectstore.OmapPair, error]
}
