package message

import (
	"glue/ceph"
	"glue/ceph/denc"
)

// MOSDBoot tells the monitors that an OSD is ready to be marked up. Our own layout.
type MOSDBoot struct {
	Paxos     // Version is the epoch of the newest map it has
	FSID      ceph.UUID
	OSD       int32
	UUID      ceph.UUID  // of the OSD's store
	BootEpoch ceph.Epoch // in which the process was first up, 0 if it was not
	Oldest    ceph.Epoch // maps in its store
	Newest    ceph.Epoch
	CleanFrom ceph.Epoch // mounted
	CleanTo   ceph.Epoch // clean_thru
	Public    ceph.AddrVec
	Cluster   ceph.AddrVec
	HBBack    ceph.AddrVec
	HBFront   ceph.AddrVec
	Metadata  map[string]string
	Features  uint64
	Bytes     uint64 // size of the store, for the initial CRUSH weight
	Class     string // device class, empty if unknown
}

// Type is MSG_OSD_BOOT.
func (*MOSDBoot) Type() Type { return 71 }

// Denc is our own layout.
func (m *MOSDBoot) Denc(c *denc.Coder, _ uint16) {
	m.Paxos.Denc(c)
	own(c, func(c *denc.Coder) {
		m.FSID.Denc(c)
		c.I32(&m.OSD)
		m.UUID.Denc(c)
		m.BootEpoch.Denc(c)
		m.Oldest.Denc(c)
		m.Newest.Denc(c)
		m.CleanFrom.Denc(c)
		m.CleanTo.Denc(c)
		m.Public.Denc(c)
		m.Cluster.Denc(c)
		m.HBBack.Denc(c)
		m.HBFront.Denc(c)
		strMap(c, &m.Metadata)
		c.U64(&m.Features)
		c.U64(&m.Bytes)
		c.Str(&m.Class)
	})
}

// MOSDAlive asks the monitors to record that the sender was up through epoch Want.
type MOSDAlive struct {
	Paxos
	OSD  int32
	Want ceph.Epoch
}

// Type is MSG_OSD_ALIVE.
func (*MOSDAlive) Type() Type { return 73 }

// Denc is our own layout.
func (m *MOSDAlive) Denc(c *denc.Coder, _ uint16) {
	m.Paxos.Denc(c)
	own(c, func(c *denc.Coder) {
		c.I32(&m.OSD)
		m.Want.Denc(c)
	})
}

// MOSDBeacon tells the monitors that an OSD lives, and how far its PGs are clean.
type MOSDBeacon struct {
	Paxos
	OSD                  int32
	PGs                  []ceph.PGID
	MinLastEpochClean    ceph.Epoch
	LastPurgedSnapsScrub ceph.Time
}

// Type is MSG_OSD_BEACON.
func (*MOSDBeacon) Type() Type { return 79 }

// Denc is our own layout.
func (m *MOSDBeacon) Denc(c *denc.Coder, _ uint16) {
	m.Paxos.Denc(c)
	own(c, func(c *denc.Coder) {
		c.I32(&m.OSD)
		denc.List(c, &m.PGs)
		m.MinLastEpochClean.Denc(c)
		m.LastPurgedSnapsScrub.Denc(c)
	})
}

// MOSDFull asks the monitors to record how full an OSD's store is.
type MOSDFull struct {
	Paxos
	OSD   int32
	Addrs ceph.AddrVec // of the sender, so that an older incarnation is not believed
	State uint32       // osdmap.OSDFull, OSDBackfillfull, OSDNearfull or 0
}

// Type is MSG_OSD_FULL.
func (*MOSDFull) Type() Type { return 75 }

// Denc is our own layout.
func (m *MOSDFull) Denc(c *denc.Coder, _ uint16) {
	m.Paxos.Denc(c)
	own(c, func(c *denc.Coder) {
		c.I32(&m.OSD)
		m.Addrs.Denc(c)
		c.U32(&m.State)
	})
}

// Flags of MOSDFailure.
const (
	FailureAlive     = 0 // the report is withdrawn
	FailureFailed    = 1
	FailureImmediate = 2 // the connection was refused: no need to wait for more reporters
)

// MOSDFailure reports an OSD that does not answer, or takes the report back.
type MOSDFailure struct {
	Paxos
	FSID      ceph.UUID
	Reporter  int32
	Target    int32
	Addrs     ceph.AddrVec // of the target, so that a restarted one is not meant
	Flags     uint8
	Epoch     ceph.Epoch
	FailedFor int32 // seconds
}

// Type is MSG_OSD_FAILURE.
func (*MOSDFailure) Type() Type { return 72 }

// Denc is our own layout.
func (m *MOSDFailure) Denc(c *denc.Coder, _ uint16) {
	m.Paxos.Denc(c)
	own(c, func(c *denc.Coder) {
		m.FSID.Denc(c)
		c.I32(&m.Reporter)
		c.I32(&m.Target)
		m.Addrs.Denc(c)
		c.U8(&m.Flags)
		m.Epoch.Denc(c)
		c.I32(&m.FailedFor)
	})
}

// MOSDMarkMeDown asks to be marked down at once; the monitor answers with the same message
// without RequestAck when the map says so.
type MOSDMarkMeDown struct {
	Paxos
	FSID       ceph.UUID
	OSD        int32
	Addrs      ceph.AddrVec
	Epoch      ceph.Epoch
	RequestAck bool
	AndDead    bool
}

// Type is MSG_OSD_MARK_ME_DOWN.
func (*MOSDMarkMeDown) Type() Type { return 74 }

// Denc is our own layout.
func (m *MOSDMarkMeDown) Denc(c *denc.Coder, _ uint16) {
	m.Paxos.Denc(c)
	own(c, func(c *denc.Coder) {
		m.FSID.Denc(c)
		c.I32(&m.OSD)
		m.Addrs.Denc(c)
		m.Epoch.Denc(c)
		c.Bool(&m.RequestAck)
		c.Bool(&m.AndDead)
	})
}

// MOSDMarkMeDead tells the monitors that the sender's earlier incarnation is dead for good.
type MOSDMarkMeDead struct {
	Paxos
	FSID  ceph.UUID
	OSD   int32
	Epoch ceph.Epoch
}

// Type is MSG_OSD_MARK_ME_DEAD.
func (*MOSDMarkMeDead) Type() Type { return 123 }

// Denc is our own layout.
func (m *MOSDMarkMeDead) Denc(c *denc.Coder, _ uint16) {
	m.Paxos.Denc(c)
	own(c, func(c *denc.Coder) {
		m.FSID.Denc(c)
		c.I32(&m.OSD)
		m.Epoch.Denc(c)
	})
}

// MOSDPGTemp asks for a temporary acting set per PG; an empty set ends it.
type MOSDPGTemp struct {
	Paxos
	OSD      int32
	MapEpoch ceph.Epoch
	Temp     map[ceph.PGID][]int32
	Forced   bool
}

// Type is MSG_OSD_PGTEMP.
func (*MOSDPGTemp) Type() Type { return 78 }

// Denc is our own layout.
func (m *MOSDPGTemp) Denc(c *denc.Coder, _ uint16) {
	m.Paxos.Denc(c)
	own(c, func(c *denc.Coder) {
		c.I32(&m.OSD)
		m.MapEpoch.Denc(c)
		denc.MapCmp(c, &m.Temp, ceph.PGID.Compare, pgid, ints)
		c.Bool(&m.Forced)
	})
}

// MOSDPGCreated tells the monitors that a PG exists now.
type MOSDPGCreated struct {
	Paxos
	PG ceph.PGID
}

// Type is MSG_OSD_PG_CREATED.
func (*MOSDPGCreated) Type() Type { return 116 }

// Denc is our own layout.
func (m *MOSDPGCreated) Denc(c *denc.Coder, _ uint16) {
	m.Paxos.Denc(c)
	own(c, func(c *denc.Coder) { m.PG.Denc(c) })
}

// MOSDPGReadyToMerge tells the monitors that a pool's last PG and the one that it is to be merged
// into have all they need and write no more, in intervals that began in the epochs Since; or, if
// not Ready, that they won't be.
type MOSDPGReadyToMerge struct {
	Paxos
	OSD                              int32
	Source                           ceph.PGID
	SourceSince, TargetSince         ceph.Epoch
	SourceVersion, TargetVersion     ceph.Eversion
	LastEpochStarted, LastEpochClean ceph.Epoch
	Ready                            bool
}

// Type is MSG_OSD_PG_READY_TO_MERGE.
func (*MOSDPGReadyToMerge) Type() Type { return 122 }

// Denc is our own layout.
func (m *MOSDPGReadyToMerge) Denc(c *denc.Coder, _ uint16) {
	m.Paxos.Denc(c)
	own(c, func(c *denc.Coder) {
		c.I32(&m.OSD)
		m.Source.Denc(c)
		m.SourceSince.Denc(c)
		m.TargetSince.Denc(c)
		m.SourceVersion.Denc(c)
		m.TargetVersion.Denc(c)
		m.LastEpochStarted.Denc(c)
		m.LastEpochClean.Denc(c)
		c.Bool(&m.Ready)
	})
}

// A PGCreate says when a PG came into being and its history, encoded by cluster/pginfo.
type PGCreate struct {
	Created   ceph.Epoch
	Stamp     ceph.Time
	History   []byte
	Intervals []byte
}

// MOSDPGCreate2 tells an OSD to create PGs that it is primary of.
type MOSDPGCreate2 struct {
	Epoch ceph.Epoch
	PGs   map[ceph.SPG]PGCreate
}

// Type is MSG_OSD_PG_CREATE2.
func (*MOSDPGCreate2) Type() Type { return 120 }

// Denc is our own layout.
func (m *MOSDPGCreate2) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		m.Epoch.Denc(c)
		denc.MapCmp(c, &m.PGs, ceph.SPG.Compare,
			func(c *denc.Coder, p *ceph.SPG) { p.Denc(c) },
			func(c *denc.Coder, p *PGCreate) {
				p.Created.Denc(c)
				p.Stamp.Denc(c)
				c.Blob(&p.History)
				c.Blob(&p.Intervals)
			})
	})
}

// MOSDScrub2 tells a primary to scrub PGs.
type MOSDScrub2 struct {
	FSID         ceph.UUID
	Epoch        ceph.Epoch
	PGs          []ceph.SPG
	Repair, Deep bool
}

// Type is MSG_OSD_SCRUB2.
func (*MOSDScrub2) Type() Type { return 121 }

// Denc is our own layout.
func (m *MOSDScrub2) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		m.FSID.Denc(c)
		m.Epoch.Denc(c)
		denc.List(c, &m.PGs)
		c.Bool(&m.Repair)
		c.Bool(&m.Deep)
	})
}

// Bits of MOSDForceRecovery.Options (OFR_*).
const (
	ForceRecovery = 1
	ForceBackfill = 2
	ForceCancel   = 4
)

// MOSDForceRecovery tells a primary which PGs to recover or backfill before others, or no longer.
type MOSDForceRecovery struct {
	FSID    ceph.UUID
	PGs     []ceph.SPG
	Options uint8
}

// Type is MSG_OSD_FORCE_RECOVERY.
func (*MOSDForceRecovery) Type() Type { return 151 }

// Denc is our own layout.
func (m *MOSDForceRecovery) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		m.FSID.Denc(c)
		denc.List(c, &m.PGs)
		c.U8(&m.Options)
	})
}
