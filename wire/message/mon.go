package message

import (
	"bytes"

	"glue/ceph"
	"glue/ceph/denc"
)

// MMonRaft carries one encoded message of the monitors' Raft group. Our own body under the number
// of Ceph's consensus message.
type MMonRaft struct {
	FSID    ceph.UUID
	From    int32        // rank of the sender
	Addrs   ceph.AddrVec // where it listens
	Message []byte
}

// Type is MSG_MON_PAXOS.
func (*MMonRaft) Type() Type { return 66 }

// Denc is our own layout.
func (m *MMonRaft) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		m.FSID.Denc(c)
		c.I32(&m.From)
		m.Addrs.Denc(c)
		c.Blob(&m.Message)
	})
}

// Kinds of MMonProbe.
const (
	ProbeAsk    = 1 // who are you, and is there a quorum?
	ProbeReply  = 2
	ProbeFacts  = 3 // what the sender's machine is like
	ProbeQuorum = 4 // from the leader: who is in the quorum
	ProbeRefuse = 5 // why the receiver can't join
	// ProbeCall is the leader's question whether the receiver is there; the answer has its Since,
	// and the answerer's id in the log.
	ProbeCall    = 6
	ProbePresent = 7
)

// MMonProbe asks a monitor who it is and what it has, and answers.
type MMonProbe struct {
	FSID     ceph.UUID
	Kind     uint8
	Name     string
	Rank     int32
	Monmap   []byte
	Quorum   []int32
	Leader   int32
	Member   uint64            // of an ask: the sender's id in the log; of a reply: the receiver's
	Since    uint64            // how long the quorum has been as it is, in seconds
	Metadata map[string]string // of the sender's machine
	Text     string
}

// Type is MSG_MON_PROBE.
func (*MMonProbe) Type() Type { return 67 }

// Denc is our own layout.
func (m *MMonProbe) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		m.FSID.Denc(c)
		c.U8(&m.Kind)
		c.Str(&m.Name)
		c.I32(&m.Rank)
		c.Blob(&m.Monmap)
		ints(c, &m.Quorum)
		c.I32(&m.Leader)
		c.U64(&m.Member)
		c.U64(&m.Since)
		strMap(c, &m.Metadata)
		c.Str(&m.Text)
	})
}

// MMonJoin asks to become a member of the quorum.
type MMonJoin struct {
	Paxos
	FSID   ceph.UUID
	Name   string
	Addrs  ceph.AddrVec
	Member uint64 // the id of its store in the log
}

// Type is MSG_MON_JOIN.
func (*MMonJoin) Type() Type { return 68 }

// Denc is our own layout.
func (m *MMonJoin) Denc(c *denc.Coder, _ uint16) {
	m.Paxos.Denc(c)
	own(c, func(c *denc.Coder) {
		m.FSID.Denc(c)
		c.Str(&m.Name)
		m.Addrs.Denc(c)
		c.U64(&m.Member)
	})
}

// MForward carries what a client sends to a monitor that does not lead to the leader: the first of
// a session says whose it is. Each monitor numbers the sessions that it forwards.
type MForward struct {
	Session uint64
	Open    *ForwardedPeer // with the first message of a session
	Close   bool           // the client has gone; there is no message
	Inner   Wrapped
}

// A ForwardedPeer is who is at the other end of a forwarded session, as the monitor that it is
// connected to has verified.
type ForwardedPeer struct {
	Name     ceph.EntityName
	Auth     ceph.AuthName
	GlobalID uint64
	Addrs    ceph.AddrVec
	Socket   string // where its packets come from, IP:PORT
	Features uint64
}

// Denc is our own layout.
func (p *ForwardedPeer) Denc(c *denc.Coder) {
	p.Name.Denc(c)
	p.Auth.Denc(c)
	c.U64(&p.GlobalID)
	p.Addrs.Denc(c)
	c.Str(&p.Socket)
	c.U64(&p.Features)
}

// A Wrapped message is one inside another, its segments encoded already.
type Wrapped struct {
	Kind            Type
	TID             uint64
	Version, Compat uint16
	Front           []byte
	Middle          []byte
	Payload         []byte // the data segment
}

// Denc is our own layout.
func (w *Wrapped) Denc(c *denc.Coder) {
	c.U16((*uint16)(&w.Kind))
	c.U64(&w.TID)
	c.U16(&w.Version)
	c.U16(&w.Compat)
	c.Blob(&w.Front)
	c.Blob(&w.Middle)
	c.Blob(&w.Payload)
}

// Wrap encodes a message for a peer with the given features.
func Wrap(m *Message, features uint64) Wrapped {
	one := Message{TID: m.TID, Body: m.Body, Middle: m.Middle, Data: m.Data}
	front, middle, data := one.Segments(features)
	return Wrapped{Kind: m.Body.Type(), TID: m.TID, Version: one.Version, Compat: one.Compat,
		Front: front, Middle: middle, Payload: bytes.Join(data, nil)}
}

// Unwrap decodes the message.
func (w *Wrapped) Unwrap(features uint64) (*Message, error) {
	m := &Message{TID: w.TID, Version: w.Version, Compat: w.Compat, Middle: w.Middle,
		Data: w.Payload}
	return m, m.Decode(w.Kind, w.Front, features)
}

// Pass is the message as it is, to be sent to who it was encoded for.
func (w *Wrapped) Pass() *Message {
	return &Message{TID: w.TID, Version: w.Version, Compat: w.Compat, Middle: w.Middle,
		Data: w.Payload, Body: passed{w.Kind, w.Front}}
}

// A passed body is encoded already.
type passed struct {
	kind  Type
	front []byte
}

func (p passed) Type() Type                   { return p.kind }
func (p passed) Denc(c *denc.Coder, _ uint16) { c.Raw(p.front) }

// Type is MSG_FORWARD.
func (*MForward) Type() Type { return 46 }

// Denc is our own layout.
func (m *MForward) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		c.U64(&m.Session)
		open := m.Open != nil
		if c.Bool(&open); open && !c.Encoding() {
			m.Open = &ForwardedPeer{}
		}
		if open {
			m.Open.Denc(c)
		}
		c.Bool(&m.Close)
		m.Inner.Denc(c)
	})
}

// MRoute carries what the leader says to a forwarded session back, or that the session is over.
type MRoute struct {
	Session uint64
	Close   bool
	Inner   Wrapped
}

// Type is MSG_ROUTE.
func (*MRoute) Type() Type { return 47 }

// Denc is our own layout.
func (m *MRoute) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		c.U64(&m.Session)
		c.Bool(&m.Close)
		m.Inner.Denc(c)
	})
}

// MMonGlobalID asks the leader for global ids to give out, and answers: First to Last-1.
type MMonGlobalID struct {
	FSID  ceph.UUID
	Nonce uint64 // of the question
	First uint64
	Last  uint64 // 0 in a question
}

// Type is MSG_MON_GLOBAL_ID.
func (*MMonGlobalID) Type() Type { return 60 }

// Denc is our own layout.
func (m *MMonGlobalID) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		m.FSID.Denc(c)
		c.U64(&m.Nonce)
		c.U64(&m.First)
		c.U64(&m.Last)
	})
}

// MTimeCheck2 measures the clocks of the quorum: a ping, and a pong with the peer's time.
type MTimeCheck2 struct {
	Kind  uint8 // 1 ping, 2 pong
	Epoch ceph.Epoch
	Round uint64
	Stamp ceph.Time // of the sender's clock
	Asked ceph.Time // of a pong: the ping's
	Name  string    // of a pong: the sender
}

// Type is MSG_TIMECHECK2.
func (*MTimeCheck2) Type() Type { return 0x609 }

// Denc is our own layout.
func (m *MTimeCheck2) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		c.U8(&m.Kind)
		m.Epoch.Denc(c)
		c.U64(&m.Round)
		m.Stamp.Denc(c)
		m.Asked.Denc(c)
		c.Str(&m.Name)
	})
}

// MMonPing asks a monitor whether it is there; the answer's text is its status as JSON.
type MMonPing struct {
	Paxos
	Text []byte
}

// Type is MSG_MON_PING.
func (*MMonPing) Type() Type { return 140 }

// Denc is our own layout.
func (m *MMonPing) Denc(c *denc.Coder, _ uint16) {
	m.Paxos.Denc(c)
	own(c, func(c *denc.Coder) { c.Blob(&m.Text) })
}

// MKVData carries the keys of a prefix of the config-key store to who subscribed to "kv:PREFIX".
type MKVData struct {
	Version     uint64
	Prefix      string
	Incremental bool // a change; else all keys
	Data        map[string]KVValue
}

// A KVValue is a key's value, or that the key is gone.
type KVValue struct {
	Present bool
	Value   []byte
}

// Denc is a bool and, if it is true, the value (std::optional).
func (v *KVValue) Denc(c *denc.Coder) {
	if c.Bool(&v.Present); v.Present {
		c.Blob(&v.Value)
	}
}

// Type is MSG_KV_DATA.
func (*MKVData) Type() Type { return 54 }

// Denc follows messages/MKVData.h.
func (m *MKVData) Denc(c *denc.Coder, _ uint16) {
	c.U64(&m.Version)
	c.Str(&m.Prefix)
	c.Bool(&m.Incremental)
	denc.MapFunc(c, &m.Data, (*denc.Coder).Str,
		func(c *denc.Coder, v *KVValue) { v.Denc(c) })
}
