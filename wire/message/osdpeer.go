package message

import (
	"glue/ceph"
	"glue/ceph/denc"
)

// Kinds of MOSDPing.
const (
	PingHeartbeat = 0
	PingYouDied   = 2
	PingPing      = 4
	PingReply     = 5
)

// MOSDPing is the heartbeat between OSDs, on connections of its own.
type MOSDPing struct {
	FSID    ceph.UUID
	OSD     int32
	Epoch   ceph.Epoch
	UpFrom  ceph.Epoch
	Kind    uint8
	Stamp   ceph.Time // of the ping; a reply repeats it
	MonoNS  int64     // the sender's monotonic clock at the ping
	DeltaNS int64     // upper bound of the clocks' difference, 0 when unknown
	Padding []byte    // to the size that tests large frames
}

// Type is MSG_OSD_PING.
func (*MOSDPing) Type() Type { return 70 }

// Denc is our own layout.
func (m *MOSDPing) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		m.FSID.Denc(c)
		c.I32(&m.OSD)
		m.Epoch.Denc(c)
		m.UpFrom.Denc(c)
		c.U8(&m.Kind)
		m.Stamp.Denc(c)
		c.I64(&m.MonoNS)
		c.I64(&m.DeltaNS)
		c.Blob(&m.Padding)
	})
}

// A PGHead is what every message between the OSDs of a PG starts with.
type PGHead struct {
	PG       ceph.SPG // the receiver's copy
	From     ceph.PGShard
	Epoch    ceph.Epoch // the sender's map
	MinEpoch ceph.Epoch // the request or interval this belongs to; older ones are dropped
}

// Head is the head itself: what has one is between the OSDs of a PG.
func (h *PGHead) Head() *PGHead { return h }

func (h *PGHead) denc(c *denc.Coder) {
	h.PG.Denc(c)
	h.From.Denc(c)
	h.Epoch.Denc(c)
	h.MinEpoch.Denc(c)
}

// Kinds of MOSDPGQuery2 (pg_query_t).
const (
	QueryInfo    = 0
	QueryLog     = 1 // entries since Since
	QueryMissing = 4
	QueryFullLog = 5
)

// MOSDPGQuery2 asks a copy for its info, log or missing set.
type MOSDPGQuery2 struct {
	PGHead
	Kind    uint8
	Since   ceph.Eversion
	History []byte // encoded by cluster/pginfo
}

// Type is MSG_OSD_PG_QUERY2.
func (*MOSDPGQuery2) Type() Type { return 131 }

// Denc is our own layout.
func (m *MOSDPGQuery2) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		m.PGHead.denc(c)
		c.U8(&m.Kind)
		m.Since.Denc(c)
		c.Blob(&m.History)
	})
}

// MOSDPGNotify2 tells the primary of a copy's info and past intervals.
type MOSDPGNotify2 struct {
	PGHead
	Info      []byte
	Intervals []byte
	Leases    []byte // of earlier primaries, which may still serve
}

// Type is MSG_OSD_PG_NOTIFY2.
func (*MOSDPGNotify2) Type() Type { return 130 }

// Denc is our own layout.
func (m *MOSDPGNotify2) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		m.PGHead.denc(c)
		c.Blob(&m.Info)
		c.Blob(&m.Intervals)
		c.Blob(&m.Leases)
	})
}

// MOSDPGInfo2 tells a copy the primary's info (activation, new last_complete), or answers it.
type MOSDPGInfo2 struct {
	PGHead
	Info  []byte
	Lease []byte
}

// Type is MSG_OSD_PG_INFO2.
func (*MOSDPGInfo2) Type() Type { return 132 }

// Denc is our own layout.
func (m *MOSDPGInfo2) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		m.PGHead.denc(c)
		c.Blob(&m.Info)
		c.Blob(&m.Lease)
	})
}

// MOSDPGLog carries a copy's info with its log and missing set, asked for or to activate it.
type MOSDPGLog struct {
	PGHead
	QueryEpoch ceph.Epoch
	Info       []byte
	Log        []byte
	Missing    []byte
	Intervals  []byte
	Lease      []byte
}

// Type is MSG_OSD_PG_LOG.
func (*MOSDPGLog) Type() Type { return 83 }

// Denc is our own layout.
func (m *MOSDPGLog) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		m.PGHead.denc(c)
		m.QueryEpoch.Denc(c)
		c.Blob(&m.Info)
		c.Blob(&m.Log)
		c.Blob(&m.Missing)
		c.Blob(&m.Intervals)
		c.Blob(&m.Lease)
	})
}

// MOSDPGTrim tells a copy to drop log entries up to TrimTo.
type MOSDPGTrim struct {
	PGHead
	TrimTo ceph.Eversion
}

// Type is MSG_OSD_PG_TRIM.
func (*MOSDPGTrim) Type() Type { return 86 }

// Denc is our own layout.
func (m *MOSDPGTrim) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		m.PGHead.denc(c)
		m.TrimTo.Denc(c)
	})
}

// MOSDPGRemove tells a stray copy to delete itself.
type MOSDPGRemove struct{ PGHead }

// Type is MSG_OSD_PG_REMOVE.
func (*MOSDPGRemove) Type() Type { return 84 }

// Denc is our own layout.
func (m *MOSDPGRemove) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) { m.PGHead.denc(c) })
}

// MOSDPGLease asks a copy to let another one serve for a while: the primary, or one that serves
// reads.
type MOSDPGLease struct {
	PGHead
	UntilNS    int64         // on the sender's clock; repeated by the answer
	IntervalNS int64         // how long that is from when it asked
	Durable    ceph.Eversion // on every copy; zero if that is not known
}

// Type is MSG_OSD_PG_LEASE.
func (*MOSDPGLease) Type() Type { return 133 }

// Denc is our own layout.
func (m *MOSDPGLease) Denc(c *denc.Coder, _ uint16) {
	s := c.Begin(2, 1)
	m.PGHead.denc(c)
	c.I64(&m.UntilNS)
	c.I64(&m.IntervalNS)
	if s.V >= 2 {
		m.Durable.Denc(c)
	}
	s.End()
}

// MOSDPGLeaseAck is a copy's promise.
type MOSDPGLeaseAck struct {
	PGHead
	UntilNS int64
	Durable ceph.Eversion // as of the primary
	Room    uint64        // bytes that the OSD takes from clients; all ones from one that can't say
}

// Type is MSG_OSD_PG_LEASE_ACK.
func (*MOSDPGLeaseAck) Type() Type { return 134 }

// Denc is our own layout.
func (m *MOSDPGLeaseAck) Denc(c *denc.Coder, _ uint16) {
	s := c.Begin(3, 1)
	m.PGHead.denc(c)
	c.I64(&m.UntilNS)
	if s.V >= 2 {
		m.Durable.Denc(c)
	}
	if s.V >= 3 {
		c.U64(&m.Room)
	} else if !c.Encoding() {
		m.Room = ^uint64(0)
	}
	s.End()
}

// Kinds of MBackfillReserve and MRecoveryReserve.
const (
	ReserveRequest  = 0
	ReserveGrant    = 1
	ReserveRelease  = 2
	ReserveReject   = 3
	ReserveRevoke   = 4
	ReserveTooFull  = 5
	ReserveCanceled = 6
)

// A Reserve is the body of both reservation messages.
type Reserve struct {
	PGHead
	Kind            uint8
	Priority        uint32
	PrimaryBytes    int64 // how much a backfill will bring
	ShardBytes      int64
	MinLastComplete ceph.Eversion
	Seq             uint64 // of the primary's attempt; answers repeat it
}

func (m *Reserve) denc(c *denc.Coder) {
	own(c, func(c *denc.Coder) {
		m.PGHead.denc(c)
		c.U8(&m.Kind)
		c.U32(&m.Priority)
		c.I64(&m.PrimaryBytes)
		c.I64(&m.ShardBytes)
		m.MinLastComplete.Denc(c)
		c.U64(&m.Seq)
	})
}

// MBackfillReserve asks a backfill target for a slot, and answers.
type MBackfillReserve struct{ Reserve }

// Type is MSG_OSD_BACKFILL_RESERVE.
func (*MBackfillReserve) Type() Type { return 99 }

// Denc is our own layout.
func (m *MBackfillReserve) Denc(c *denc.Coder, _ uint16) { m.Reserve.denc(c) }

// MRecoveryReserve asks a recovery target for a slot, and answers.
type MRecoveryReserve struct{ Reserve }

// Type is MSG_OSD_RECOVERY_RESERVE.
func (*MRecoveryReserve) Type() Type { return 150 }

// Denc is our own layout.
func (m *MRecoveryReserve) Denc(c *denc.Coder, _ uint16) { m.Reserve.denc(c) }

// MOSDCopyGet asks the primary of an object for a piece of it, for a copy that another OSD makes.
// It and its answer are ours alone.
type MOSDCopyGet struct {
	ID      uint64 // of the answer
	OSD     int32  // who asks
	Epoch   ceph.Epoch
	PG      ceph.SPG
	Object  ceph.HObject
	Version uint64 // the user version that it has to have; 0 for any
	Get     []byte // the payload of a COPY_GET
}

// Type is a number that Ceph does not use.
func (*MOSDCopyGet) Type() Type { return 0x7f0 }

// Denc is our own layout.
func (m *MOSDCopyGet) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		c.U64(&m.ID)
		c.I32(&m.OSD)
		m.Epoch.Denc(c)
		m.PG.Denc(c)
		m.Object.Denc(c)
		c.U64(&m.Version)
		c.Blob(&m.Get)
	})
}

// MOSDCopyPiece is the answer: what COPY_GET gives.
type MOSDCopyPiece struct {
	ID      uint64
	Result  int32
	Version uint64 // the object's user version
	Piece   []byte
}

// Type is a number that Ceph does not use.
func (*MOSDCopyPiece) Type() Type { return 0x7f1 }

// Denc is our own layout.
func (m *MOSDCopyPiece) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		c.U64(&m.ID)
		c.I32(&m.Result)
		c.U64(&m.Version)
		c.Blob(&m.Piece)
	})
}
