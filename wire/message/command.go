package message

import (
	"glue/ceph"
	"glue/ceph/denc"
)

// MMonCommand is an administrator's command to the monitors: one JSON object. The input of the
// command is the message's data segment.
type MMonCommand struct {
	Paxos
	FSID ceph.UUID
	Cmd  []string
}

// Type is MSG_MON_COMMAND.
func (*MMonCommand) Type() Type { return 50 }

// Denc follows messages/MMonCommand.h.
func (m *MMonCommand) Denc(c *denc.Coder, _ uint16) {
	m.Paxos.Denc(c)
	m.FSID.Denc(c)
	strs(c, &m.Cmd)
}

// MMonCommandAck is the answer to a command: a result (negative errno), a line for the user, and
// the output in the data segment. Cmd repeats the request's.
type MMonCommandAck struct {
	Paxos
	Result int32
	Status string
	Cmd    []string
}

// Type is MSG_MON_COMMAND_ACK.
func (*MMonCommandAck) Type() Type { return 51 }

// Denc follows messages/MMonCommandAck.h.
func (m *MMonCommandAck) Denc(c *denc.Coder, _ uint16) {
	m.Paxos.Denc(c)
	c.I32(&m.Result)
	c.Str(&m.Status)
	strs(c, &m.Cmd)
}

// MCommand is a command to an OSD or another daemon ("ceph tell"); input in the data segment.
type MCommand struct {
	FSID ceph.UUID
	Cmd  []string
}

// Type is MSG_COMMAND.
func (*MCommand) Type() Type { return 97 }

// Denc is fsid, list of strings.
func (m *MCommand) Denc(c *denc.Coder, _ uint16) {
	m.FSID.Denc(c)
	strs(c, &m.Cmd)
}

// MCommandReply answers MCommand; output in the data segment.
type MCommandReply struct {
	Result int32
	Status string
}

// Type is MSG_COMMAND_REPLY.
func (*MCommandReply) Type() Type { return 98 }

// Denc is s32 result, str status.
func (m *MCommandReply) Denc(c *denc.Coder, _ uint16) {
	c.I32(&m.Result)
	c.Str(&m.Status)
}

// MMgrCommand is a command to the manager; input in the data segment.
type MMgrCommand struct {
	FSID ceph.UUID
	Cmd  []string
}

// Type is MSG_MGR_COMMAND.
func (*MMgrCommand) Type() Type { return 0x709 }

// Denc is fsid, list of strings.
func (m *MMgrCommand) Denc(c *denc.Coder, _ uint16) {
	m.FSID.Denc(c)
	strs(c, &m.Cmd)
}

// MMgrCommandReply answers MMgrCommand; output in the data segment.
type MMgrCommandReply struct {
	Result int32
	Status string
}

// Type is MSG_MGR_COMMAND_REPLY.
func (*MMgrCommandReply) Type() Type { return 0x70a }

// Denc is s32 result, str status.
func (m *MMgrCommandReply) Denc(c *denc.Coder, _ uint16) {
	c.I32(&m.Result)
	c.Str(&m.Status)
}

// MAuth is a request of an authentication protocol inside a session; the payload belongs to
// auth/cephx.
type MAuth struct {
	Paxos
	Protocol    uint32
	Payload     []byte
	MonmapEpoch ceph.Epoch
}

// Type is CEPH_MSG_AUTH.
func (*MAuth) Type() Type { return 17 }

// Denc follows messages/MAuth.h.
func (m *MAuth) Denc(c *denc.Coder, _ uint16) {
	m.Paxos.Denc(c)
	c.U32(&m.Protocol)
	c.Blob(&m.Payload)
	if c.Encoding() || c.Remaining() > 0 {
		m.MonmapEpoch.Denc(c)
	}
}

// MAuthReply answers MAuth.
type MAuthReply struct {
	Protocol uint32
	Result   int32
	GlobalID uint64
	Payload  []byte
	Message  string
}

// Type is CEPH_MSG_AUTH_REPLY.
func (*MAuthReply) Type() Type { return 18 }

// Denc follows messages/MAuthReply.h.
func (m *MAuthReply) Denc(c *denc.Coder, _ uint16) {
	c.U32(&m.Protocol)
	c.I32(&m.Result)
	c.U64(&m.GlobalID)
	c.Blob(&m.Payload)
	c.Str(&m.Message)
}

// A LogEntry is one line of the cluster log (LogEntry).
type LogEntry struct {
	Name     ceph.AuthName
	Rank     ceph.EntityName
	Addrs    ceph.AddrVec
	Stamp    ceph.Time
	Seq      uint64
	Priority uint16 // LogDebug to LogError
	Message  string
	Channel  string // "cluster" or "audit"
}

// Priorities of the cluster log (clog_type).
const (
	LogDebug = 0
	LogInfo  = 1
	LogSec   = 2
	LogWarn  = 3
	LogError = 4
)

// Denc is version 5.
func (e *LogEntry) Denc(c *denc.Coder) {
	s := c.Begin(5, 5)
	e.Name.Denc(c)
	e.Rank.Denc(c)
	e.Addrs.Denc(c)
	e.Stamp.Denc(c)
	c.U64(&e.Seq)
	c.U16(&e.Priority)
	c.Str(&e.Message)
	c.Str(&e.Channel)
	s.End()
}

// MLog carries entries for the cluster log.
type MLog struct {
	Paxos
	FSID    ceph.UUID
	Entries []LogEntry
}

// Type is MSG_LOG.
func (*MLog) Type() Type { return 52 }

// Denc is paxos, fsid, list of entries.
func (m *MLog) Denc(c *denc.Coder, _ uint16) {
	m.Paxos.Denc(c)
	m.FSID.Denc(c)
	denc.List(c, &m.Entries)
}

// MLogAck acknowledges entries up to Last.
type MLogAck struct {
	FSID    ceph.UUID
	Last    uint64
	Channel string
}

// Type is MSG_LOGACK.
func (*MLogAck) Type() Type { return 53 }

// Denc is fsid, u64 last, str channel.
func (m *MLogAck) Denc(c *denc.Coder, _ uint16) {
	m.FSID.Denc(c)
	c.U64(&m.Last)
	if c.Encoding() || c.Remaining() > 0 {
		c.Str(&m.Channel)
	}
}
