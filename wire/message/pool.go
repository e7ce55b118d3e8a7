package message

import (
	"glue/ceph"
	"glue/ceph/denc"
)

// MStatfs asks for the space of the cluster or of one pool.
type MStatfs struct {
	Paxos
	FSID     ceph.UUID
	DataPool *int64
}

// Type is CEPH_MSG_STATFS.
func (*MStatfs) Type() Type { return 13 }

// Denc follows messages/MStatfs.h.
func (m *MStatfs) Denc(c *denc.Coder, version uint16) {
	m.Paxos.Denc(c)
	m.FSID.Denc(c)
	if version >= 2 {
		denc.OptionalFunc(c, &m.DataPool, (*denc.Coder).I64)
	}
}

// MStatfsReply answers MStatfs, in KiB.
type MStatfsReply struct {
	FSID                     ceph.UUID
	Version                  uint64
	KB, KBUsed, KBAvail, Num uint64
}

// Type is CEPH_MSG_STATFS_REPLY.
func (*MStatfsReply) Type() Type { return 14 }

// Denc is ceph_mon_statfs_reply, without the paxos prefix.
func (m *MStatfsReply) Denc(c *denc.Coder, _ uint16) {
	m.FSID.Denc(c)
	c.U64(&m.Version)
	c.U64(&m.KB)
	c.U64(&m.KBUsed)
	c.U64(&m.KBAvail)
	c.U64(&m.Num)
}

// MGetPoolStats asks for the statistics of pools by name.
type MGetPoolStats struct {
	Paxos
	FSID  ceph.UUID
	Pools []string
}

// Type is MSG_GETPOOLSTATS.
func (*MGetPoolStats) Type() Type { return 58 }

// Denc follows messages/MGetPoolStats.h.
func (m *MGetPoolStats) Denc(c *denc.Coder, _ uint16) {
	m.Paxos.Denc(c)
	m.FSID.Denc(c)
	strs(c, &m.Pools)
}

// MGetPoolStatsReply answers MGetPoolStats. Each value is a pool_stat_t (cluster/pgstat).
type MGetPoolStatsReply struct {
	Paxos
	FSID    ceph.UUID
	Pools   map[string]Section
	PerPool bool // the stores account space per pool
}

// Type is MSG_GETPOOLSTATSREPLY.
func (*MGetPoolStatsReply) Type() Type { return 59 }

// Denc follows messages/MGetPoolStatsReply.h.
func (m *MGetPoolStatsReply) Denc(c *denc.Coder, version uint16) {
	m.Paxos.Denc(c)
	m.FSID.Denc(c)
	denc.Map(c, &m.Pools, (*denc.Coder).Str)
	if version >= 2 {
		c.Bool(&m.PerPool)
	}
}

// Operations of MPoolOp (POOL_OP_*).
const (
	PoolCreate        = 0x01
	PoolDelete        = 0x02
	PoolCreateSnap    = 0x11
	PoolDeleteSnap    = 0x12
	PoolCreateOwnSnap = 0x21 // self-managed; the reply's data is the u64 snap id
	PoolDeleteOwnSnap = 0x22
)

// MPoolOp changes a pool.
type MPoolOp struct {
	Paxos
	FSID   ceph.UUID
	Pool   uint32
	Op     uint32
	SnapID ceph.SnapID
	Name   string
	Rule   int16
}

// Type is CEPH_MSG_POOLOP.
func (*MPoolOp) Type() Type { return 49 }

// Denc follows messages/MPoolOp.h version 4.
func (m *MPoolOp) Denc(c *denc.Coder, version uint16) {
	if version < 4 {
		c.Invalid("MPoolOp of version %d", version)
		return
	}
	m.Paxos.Denc(c)
	m.FSID.Denc(c)
	c.U32(&m.Pool)
	c.U32(&m.Op)
	c.U64Const(0)
	m.SnapID.Denc(c)
	c.Str(&m.Name)
	c.U8Const(0)
	c.I16(&m.Rule)
}

// MPoolOpReply answers MPoolOp: Result is a negative errno, Epoch the map that has the change.
type MPoolOpReply struct {
	Paxos
	FSID   ceph.UUID
	Result int32
	Epoch  ceph.Epoch
	Data   []byte
}

// Type is CEPH_MSG_POOLOP_REPLY.
func (*MPoolOpReply) Type() Type { return 48 }

// Denc follows messages/MPoolOpReply.h.
func (m *MPoolOpReply) Denc(c *denc.Coder, _ uint16) {
	m.Paxos.Denc(c)
	m.FSID.Denc(c)
	c.I32(&m.Result)
	m.Epoch.Denc(c)
	has := len(m.Data) > 0
	c.Bool(&has)
	if has {
		c.Blob(&m.Data)
	}
}
