package journal

import (
	"slices"

	"glue/ceph/denc"
)

// A position is how far a client has got in one object of a journal (ObjectPosition).
type position struct{ object, tag, entry uint64 }

// Denc is ObjectPosition version 1.
func (p *position) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.U64(&p.object)
	c.U64(&p.tag)
	c.U64(&p.entry)
	s.End()
}

// positions are a client's, the latest first (ObjectSetPosition).
type positions []position

// Denc is ObjectSetPosition version 1.
func (p *positions) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	denc.List(c, (*[]position)(p))
	s.End()
}

// lowestTag is the first tag that is still needed; none if nothing was committed.
func (p positions) lowestTag() uint64 {
	low := none
	for _, o := range p {
		low = min(low, o.tag)
	}
	return low
}

const none = ^uint64(0)

// States of a client (CLIENT_STATE_*).
const disconnected = 1

// A client reads or writes a journal (cls::journal::Client).
type client struct {
	id        string
	data      []byte
	committed positions
	state     uint8
}

// Denc is Client version 1.
func (l *client) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.Str(&l.id)
	c.Blob(&l.data)
	l.committed.Denc(c)
	c.U8(&l.state)
	s.End()
}

// newClass as a tag's class asks for a class of its own.
const newClass = ^uint64(0)

// A tag starts a run of entries of one writer (cls::journal::Tag).
type tag struct {
	tid, class uint64
	data       []byte
}

// Denc is Tag version 1.
func (t *tag) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.U64(&t.tid)
	c.U64(&t.class)
	c.Blob(&t.data)
	s.End()
}

func (p positions) equal(q positions) bool { return slices.Equal(p, q) }
