// Package journalspec has the records of a journal's header object, which class journal keeps and
// who uses the journal reads. Values only; specified by src/cls/journal of Ceph 16.2.
package journalspec

import "glue/ceph/denc"

// A Position is how far a client has got in one object of a journal (ObjectPosition).
type Position struct{ Object, Tag, Entry uint64 }

// Denc is version 1.
func (p *Position) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.U64(&p.Object)
	c.U64(&p.Tag)
	c.U64(&p.Entry)
	s.End()
}

// Positions are a client's, the latest first (ObjectSetPosition).
type Positions []Position

// Denc is version 1.
func (p *Positions) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	denc.List(c, (*[]Position)(p))
	s.End()
}

// NoTag is LowestTag of a client that has committed nothing.
const NoTag = ^uint64(0)

// LowestTag is the first tag that is still needed; NoTag if nothing was committed.
func (p Positions) LowestTag() uint64 {
	low := NoTag
	for _, o := range p {
		low = min(low, o.Tag)
	}
	return low
}

// Disconnected is the state of a client that holds nobody up (CLIENT_STATE_DISCONNECTED).
const Disconnected = 1

// A Client reads or writes a journal (cls::journal::Client).
type Client struct {
	ID        string
	Data      []byte
	Committed Positions
	State     uint8
}

// Denc is version 1.
func (l *Client) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.Str(&l.ID)
	c.Blob(&l.Data)
	l.Committed.Denc(c)
	c.U8(&l.State)
	s.End()
}

// NewClass as a tag's class asks for a class of its own (TAG_CLASS_NEW).
const NewClass = ^uint64(0)

// A Tag starts a run of entries of one writer (cls::journal::Tag).
type Tag struct {
	TID, Class uint64
	Data       []byte
}

// Denc is version 1.
func (t *Tag) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.U64(&t.TID)
	c.U64(&t.Class)
	c.Blob(&t.Data)
	s.End()
}
