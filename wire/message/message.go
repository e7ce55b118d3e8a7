// Package message holds the bodies of Ceph's messages and the one table from message type to
// body. It does no IO: wire/msgr carries what is encoded here. Bodies that stock clients exchange
// follow Ceph 16.2's messages/*.h; bodies that only Glue's daemons exchange have layouts of our own
// under Ceph's names and numbers.
//
// Invariants: a decoded body may alias the frame it came from; a body is not changed after it has
// been handed to a connection, so one value can be sent to several peers.
package message

import (
	"fmt"

	"glue/ceph/denc"
)

// A Type is a message's number on the wire (CEPH_MSG_*, MSG_*).
type Type uint16

// A Body is the typed content of a message's front segment.
type Body interface {
	Type() Type
	// Denc encodes or decodes the front. version is the message's own encoding version: ours when
	// encoding, the sender's when decoding.
	Denc(c *denc.Coder, version uint16)
}

// A Payload is a body with a part in the data segment.
type Payload interface {
	Body
	// Data returns the data segment in pieces, to be written without copying.
	Data() [][]byte
	// SetData gives the decoded body its data segment; called after Denc.
	SetData(data []byte) error
}

// A Message is one unit on a connection.
type Message struct {
	TID      uint64 // request number; replies carry the request's
	Priority uint16 // 0 means PriorityDefault
	Version  uint16 // encoding version of the body; 0 means the table's
	Compat   uint16
	Seq      uint64 // set by the connection
	Body     Body
	Middle   []byte
	// Data is the data segment of a received message, and of one to send whose body has none of
	// its own. It stays unchanged until Release.
	Data []byte
	// Sum is the checksum (crc32c.Update from 0) of the data segment of a message to send, if its
	// sender knows it.
	Sum *uint32

	piece   [1][]byte // Data as a list
	release func()    // gives the buffer back
	done    func()    // gives back what it counts for
}

// Message priorities (CEPH_MSG_PRIO_*).
const (
	PriorityLow     = 64
	PriorityDefault = 127
	PriorityHigh    = 196
	PriorityHighest = 255
)

// New wraps a body with the table's version and the default priority.
func New(b Body) *Message { return &Message{Body: b} }

// Reply wraps a body as the answer to m.
func (m *Message) Reply(b Body) *Message { return &Message{TID: m.TID, Body: b} }

// OnRelease sets what returns the message's buffer to its pool: that of a received message, or of
// one that is sent to one peer on a lossy connection, which releases it when it is written.
func (m *Message) OnRelease(f func()) { m.release = f }

// OnDone sets what gives back what a received message counts for while it is being worked on.
func (m *Message) OnDone(f func()) { m.done = f }

// Release ends a message. Only who knows that nobody refers to the body's data or to Data any more
// may call it, since their buffer returns to its pool.
func (m *Message) Release() {
	if f := m.release; f != nil {
		m.release = nil
		f()
	}
	m.Abandon()
}

// Abandon ends a message to whose buffer somebody may still refer: it is garbage-collected.
func (m *Message) Abandon() {
	m.release = nil
	if f := m.done; f != nil {
		m.done = nil
		f()
	}
}

// Segments encodes the message for a peer: front, middle and the pieces of the data segment.
func (m *Message) Segments(features uint64) (front, middle []byte, data [][]byte) {
	c := denc.NewEncoder(nil, features)
	data = m.Encode(c)
	return c.Bytes(), m.Middle, data
}

// Encode appends the front to what c encodes and returns the pieces of the data segment.
func (m *Message) Encode(c *denc.Coder) (data [][]byte) {
	if m.Version == 0 {
		row := rows[m.Body.Type()]
		m.Version, m.Compat = row.Version, row.Compat
	}
	m.Body.Denc(c, m.Version)
	if p, ok := m.Body.(Payload); ok {
		return p.Data()
	}
	if len(m.Data) > 0 {
		m.piece[0] = m.Data
		return m.piece[:]
	}
	return nil
}

// Decode fills the body of a received message, whose Version, Compat and Data are set. A type that
// is not in the table, or a compat version above ours, is an error that wraps denc.ErrVersion.
func (m *Message) Decode(t Type, front []byte, features uint64) error {
	return m.DecodeFrom(denc.NewDecoder(front, features), t)
}

// DecodeFrom is Decode with a coder that reads the front.
func (m *Message) DecodeFrom(c *denc.Coder, t Type) error {
	row, ok := rows[t]
	if !ok {
		return fmt.Errorf("%w: message type %d is not known", denc.ErrVersion, t)
	}
	if m.Compat > row.Version {
		return fmt.Errorf("%w: %s needs version %d, have %d",
			denc.ErrVersion, row.Name, m.Compat, row.Version)
	}
	body := row.New()
	body.Denc(c, m.Version)
	if err := c.Err(); err != nil {
		return fmt.Errorf("decode %s version %d: %w", row.Name, m.Version, err)
	}
	if p, ok := body.(Payload); ok {
		if err := p.SetData(m.Data); err != nil {
			return fmt.Errorf("decode data of %s: %w", row.Name, err)
		}
	}
	m.Body = body
	return nil
}

// A Row describes one message type.
type Row struct {
	Type            Type
	Name            string // Ceph's class name
	Version, Compat uint16
	New             func() Body
}

var rows = func() map[Type]Row {
	m := make(map[Type]Row, len(Table))
	for _, r := range Table {
		m[r.Type] = r
	}
	return m
}()

// String is the message's class name.
func (t Type) String() string {
	if r, ok := rows[t]; ok {
		return r.Name
	}
	return fmt.Sprintf("type%d", uint16(t))
}
