package message

import (
	"time"

	"glue/ceph"
	"glue/ceph/denc"
)

// MMgrMap carries the encoding of the manager map (cluster/mgrmap).
type MMgrMap struct{ Map []byte }

// Type is MSG_MGR_MAP.
func (*MMgrMap) Type() Type { return 0x704 }

// Denc is the map without a length.
func (m *MMgrMap) Denc(c *denc.Coder, _ uint16) { c.Rest(&m.Map) }

// MServiceMap carries the encoding of the service map.
type MServiceMap struct{ Map []byte }

// Type is MSG_SERVICE_MAP.
func (*MServiceMap) Type() Type { return 0x707 }

// Denc is the map without a length.
func (m *MServiceMap) Denc(c *denc.Coder, _ uint16) { c.Rest(&m.Map) }

// MMgrDigest tells the manager the monitors' status and the health, as JSON.
type MMgrDigest struct{ MonStatus, Health []byte }

// Type is MSG_MGR_DIGEST.
func (*MMgrDigest) Type() Type { return 0x705 }

// Denc is two blobs.
func (m *MMgrDigest) Denc(c *denc.Coder, _ uint16) {
	c.Blob(&m.MonStatus)
	c.Blob(&m.Health)
}

// MMgrOpen opens a daemon's session with the manager.
type MMgrOpen struct {
	DaemonName, ServiceName string
	ServiceDaemon           bool
	Metadata, Status        map[string]string // only of a service daemon
	Config, Defaults        []byte
}

// Type is MSG_MGR_OPEN.
func (*MMgrOpen) Type() Type { return 0x700 }

// Denc follows messages/MMgrOpen.h version 3.
func (m *MMgrOpen) Denc(c *denc.Coder, version uint16) {
	c.Str(&m.DaemonName)
	if version >= 2 {
		c.Str(&m.ServiceName)
		c.Bool(&m.ServiceDaemon)
		if m.ServiceDaemon {
			strMap(c, &m.Metadata)
			strMap(c, &m.Status)
		}
	}
	if version >= 3 {
		c.Blob(&m.Config)
		c.Blob(&m.Defaults)
	}
}

// MMgrClose ends a daemon's session with the manager; the manager answers with the same message.
type MMgrClose struct{ DaemonName, ServiceName string }

// Type is MSG_MGR_CLOSE.
func (*MMgrClose) Type() Type { return 0x708 }

// Denc is two strings.
func (m *MMgrClose) Denc(c *denc.Coder, _ uint16) {
	c.Str(&m.DaemonName)
	c.Str(&m.ServiceName)
}

// MMgrConfigure tells a daemon how often to report, in seconds.
type MMgrConfigure struct {
	Period, Threshold uint32
	// Queries is what follows, encoded, when there are performance queries.
	Queries []byte
}

// Type is MSG_MGR_CONFIGURE.
func (*MMgrConfigure) Type() Type { return 0x701 }

// Denc follows messages/MMgrConfigure.h version 4: without Queries an empty map and an absent
// option.
func (m *MMgrConfigure) Denc(c *denc.Coder, version uint16) {
	c.U32(&m.Period)
	if version >= 2 {
		c.U32(&m.Threshold)
	}
	if version >= 3 {
		tail(c, &m.Queries, []byte{0, 0, 0, 0, 0})
	}
}

// tail is the rest of a message that is carried without being understood; empty stands for its
// encoding of "nothing".
func tail(c *denc.Coder, p *[]byte, empty []byte) {
	if c.Encoding() {
		b := *p
		if len(b) == 0 {
			b = empty
		}
		c.Raw(b)
		return
	}
	var b []byte
	if c.Rest(&b); string(b) != string(empty) {
		*p = b
	}
}

// A CounterType describes a performance counter (PerfCounterType).
type CounterType struct {
	Path, Description, Nick string
	Kind, Priority, Unit    uint8
}

// Denc is version 3.
func (t *CounterType) Denc(c *denc.Coder) {
	s := c.Begin(3, 1)
	c.Str(&t.Path)
	c.Str(&t.Description)
	c.Str(&t.Nick)
	c.U8(&t.Kind)
	if s.V >= 2 {
		c.U8(&t.Priority)
	}
	if s.V >= 3 {
		c.U8(&t.Unit)
	}
	s.End()
}

// A HealthMetric is a daemon's report of a condition (DaemonHealthMetric).
type HealthMetric struct {
	Kind  uint8 // 0 slow ops, 1 pending creating pgs
	Value uint64
}

// Denc is version 1.
func (h *HealthMetric) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.U8(&h.Kind)
	c.U64(&h.Value)
	s.End()
}

// MMgrReport is a daemon's periodic report. Packed has the values of the counters declared so
// far, in their order.
type MMgrReport struct {
	DaemonName string
	Declare    []CounterType
	Packed     []byte
	Undeclare  []string
	Service    string
	Status     *map[string]string
	Health     []HealthMetric
	Config     []byte
	// Tail is what follows, encoded: performance reports, task status, metrics.
	Tail []byte
}

// Type is MSG_MGR_REPORT.
func (*MMgrReport) Type() Type { return 0x702 }

// Denc follows messages/MMgrReport.h version 9.
func (m *MMgrReport) Denc(c *denc.Coder, version uint16) {
	c.Str(&m.DaemonName)
	denc.List(c, &m.Declare)
	c.Blob(&m.Packed)
	if version >= 2 {
		strs(c, &m.Undeclare)
	}
	if version >= 3 {
		c.Str(&m.Service)
		denc.OptionalFunc(c, &m.Status, strMap)
	}
	if version >= 5 {
		denc.List(c, &m.Health)
	}
	if version >= 6 {
		c.Blob(&m.Config)
	}
	if version >= 7 {
		tail(c, &m.Tail, []byte{0, 0, 0, 0, 0, 0})
	}
}

// MPGStats is an OSD's report to the manager: its own statistics and those of the PGs that it is
// primary of, encoded as cluster/pgstat does.
type MPGStats struct {
	Paxos
	FSID    ceph.UUID
	OSDStat Section
	PGs     map[ceph.PGID]Section
	Epoch   ceph.Epoch
	Pools   map[int64]Section // store_statfs_t per pool
}

// Type is MSG_PGSTATS.
func (*MPGStats) Type() Type { return 87 }

// Denc follows messages/MPGStats.h version 2.
func (m *MPGStats) Denc(c *denc.Coder, version uint16) {
	m.Paxos.Denc(c)
	m.FSID.Denc(c)
	m.OSDStat.Denc(c)
	denc.MapCmp(c, &m.PGs, ceph.PGID.Compare, pgid,
		func(c *denc.Coder, s *Section) { s.Denc(c) })
	m.Epoch.Denc(c)
	c.U64Const(0)
	if version >= 2 {
		denc.Map(c, &m.Pools, (*denc.Coder).I64)
	}
}

// MPGStatsAck says up to which version of each PG's statistics the manager has them.
type MPGStatsAck struct {
	Paxos
	PGs map[ceph.PGID]ceph.Eversion
}

// Type is MSG_PGSTATSACK.
func (*MPGStatsAck) Type() Type { return 88 }

// Denc follows messages/MPGStatsAck.h.
func (m *MPGStatsAck) Denc(c *denc.Coder, _ uint16) {
	m.Paxos.Denc(c)
	denc.MapCmp(c, &m.PGs, ceph.PGID.Compare, pgid,
		func(c *denc.Coder, v *ceph.Eversion) { v.Denc(c) })
}

// A CommandDesc describes one command that the manager serves: the signature as
// get_command_descriptions prints it.
type CommandDesc struct {
	Signature, Help, Module, Perm string
	Flags                         uint64
}

// Denc is our own layout.
func (d *CommandDesc) Denc(c *denc.Coder) {
	own(c, func(c *denc.Coder) {
		c.Str(&d.Signature)
		c.Str(&d.Help)
		c.Str(&d.Module)
		c.Str(&d.Perm)
		c.U64(&d.Flags)
	})
}

// MMgrBeacon tells the monitors that a manager is there. Our own layout.
type MMgrBeacon struct {
	Paxos
	FSID         ceph.UUID
	GID          uint64
	Name         string
	Addrs        ceph.AddrVec
	Available    bool // an active manager that serves
	Features     uint64
	Metadata     map[string]string
	Services     map[string]string // module to URI
	Modules      []string
	CommandDescs []CommandDesc // once, on becoming active
}

// Type is MSG_MGR_BEACON.
func (*MMgrBeacon) Type() Type { return 0x703 }

// Denc is our own layout.
func (m *MMgrBeacon) Denc(c *denc.Coder, _ uint16) {
	m.Paxos.Denc(c)
	own(c, func(c *denc.Coder) {
		m.FSID.Denc(c)
		c.U64(&m.GID)
		c.Str(&m.Name)
		m.Addrs.Denc(c)
		c.Bool(&m.Available)
		c.U64(&m.Features)
		strMap(c, &m.Metadata)
		strMap(c, &m.Services)
		strs(c, &m.Modules)
		denc.List(c, &m.CommandDescs)
	})
}

// MMonMgrReport is the manager's report to the monitors: health checks, the service map and, in
// Digest, the summary of the PG statistics. All three are encoded by who makes them; our own
// layout. Partial says that the manager has not heard of every OSD yet.
type MMonMgrReport struct {
	Paxos
	GID        uint64
	Health     []byte
	ServiceMap []byte
	Digest     []byte
	Partial    bool
	Progress   []ProgressEvent
}

// A ProgressEvent is something under way that takes a while: two lines of text and how much of it
// is done. Status says that "ceph -s" shows the text.
type ProgressEvent struct {
	ID, Message string
	Done        float64 // 0 to 1
	Status      bool
}

// Denc is our own layout.
func (e *ProgressEvent) Denc(c *denc.Coder) {
	c.Str(&e.ID)
	c.Str(&e.Message)
	c.F64(&e.Done)
	c.Bool(&e.Status)
}

// Type is MSG_MON_MGR_REPORT.
func (*MMonMgrReport) Type() Type { return 0x706 }

// Denc is our own layout.
func (m *MMonMgrReport) Denc(c *denc.Coder, _ uint16) {
	m.Paxos.Denc(c)
	own(c, func(c *denc.Coder) {
		c.U64(&m.GID)
		c.Blob(&m.Health)
		c.Blob(&m.ServiceMap)
		c.Blob(&m.Digest)
		c.Bool(&m.Partial)
		denc.List(c, &m.Progress)
	})
}

// SlowOps is the metric of n requests that are slow, the oldest for so long.
func SlowOps(n int, oldest time.Duration) HealthMetric {
	return HealthMetric{Value: uint64(uint32(n)) | uint64(oldest/time.Second)<<32}
}

// SlowOps reads such a metric; ok is false if it is of another kind.
func (h HealthMetric) SlowOps() (n int, oldest time.Duration, ok bool) {
	return int(uint32(h.Value)), time.Duration(h.Value>>32) * time.Second, h.Kind == 0
}
