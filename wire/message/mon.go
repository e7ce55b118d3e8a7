package message

import (
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

// MForward carries a client's message from the monitor that got it to the leader, with what the
// leader needs to judge it. The front and data are the client's, encoded with Features.
type MForward struct {
	TID       uint64 // of the forward, for MRoute
	Client    ceph.EntityName
	Addrs     ceph.AddrVec
	Auth      ceph.AuthName
	GlobalID  uint64
	Caps      string
	Features  uint64
	Kind      Type // of the message inside
	ClientTID uint64
	Version   uint16
	Front     []byte
	Input     []byte // the message's data segment
}

// Type is MSG_FORWARD.
func (*MForward) Type() Type { return 46 }

// Denc is our own layout.
func (m *MForward) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		c.U64(&m.TID)
		m.Client.Denc(c)
		m.Addrs.Denc(c)
		m.Auth.Denc(c)
		c.U64(&m.GlobalID)
		c.Str(&m.Caps)
		c.U64(&m.Features)
		c.U16((*uint16)(&m.Kind))
		c.U64(&m.ClientTID)
		c.U16(&m.Version)
		c.Blob(&m.Front)
		c.Blob(&m.Input)
	})
}

// MRoute carries the leader's answer back to the monitor that forwarded; Kind 0 means there is
// no answer to pass on.
type MRoute struct {
	TID     uint64 // of the forward
	Kind    Type
	Version uint16
	Front   []byte
	Output  []byte
	// Proposed says that the answer needs the sender's map to be at Epoch first.
	Epoch ceph.Epoch
}

// Type is MSG_ROUTE.
func (*MRoute) Type() Type { return 47 }

// Denc is our own layout.
func (m *MRoute) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		c.U64(&m.TID)
		c.U16((*uint16)(&m.Kind))
		c.U16(&m.Version)
		c.Blob(&m.Front)
		c.Blob(&m.Output)
		m.Epoch.Denc(c)
	})
}

// MTimeCheck2 measures the clocks of the quorum: a ping, a pong with the peer's time, a report of
// the leader's findings.
type MTimeCheck2 struct {
	Kind      uint8 // 1 ping, 2 pong, 3 report
	Epoch     ceph.Epoch
	Round     uint64
	Stamp     ceph.Time
	Skews     map[int32]float64 // seconds, by rank
	Latencies map[int32]float64
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
		denc.MapFunc(c, &m.Skews, (*denc.Coder).I32, (*denc.Coder).F64)
		denc.MapFunc(c, &m.Latencies, (*denc.Coder).I32, (*denc.Coder).F64)
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

// MKVData carries a range of a key-value service to its subscribers.
type MKVData struct {
	Version uint64
	Prefix  string
	Whole   bool // all keys, not a change
	Set     map[string][]byte
	Removed []string
}

// Type is MSG_KV_DATA.
func (*MKVData) Type() Type { return 54 }

// Denc is our own layout.
func (m *MKVData) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		c.U64(&m.Version)
		c.Str(&m.Prefix)
		c.Bool(&m.Whole)
		denc.MapFunc(c, &m.Set, (*denc.Coder).Str, (*denc.Coder).Blob)
		strs(c, &m.Removed)
	})
}
