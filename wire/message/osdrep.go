package message

import (
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/pginfo"
)

// MOSDRepOp carries a primary's update to a replica: the encoded transaction in the data
// segment, the log entries and the versions that the replica may forget.
type MOSDRepOp struct {
	PGHead
	ReqID      ceph.ReqID
	Object     ceph.HObject
	Version    ceph.Eversion
	Prev       ceph.Eversion // the log's head before it; a copy with another lost something
	TrimTo     ceph.Eversion // drop log entries up to here
	RollFwdTo  ceph.Eversion
	MinDurable ceph.Eversion // durable on all copies
	Entries    [][]byte      // pg_log_entry_t, encoded by cluster/pginfo
	Stats      []byte
	Missing    bool     // the replica is a backfill target that only logs
	Txn        [][]byte // the transaction's encoding in pieces; one piece when received
}

// Type is MSG_OSD_REPOP.
func (*MOSDRepOp) Type() Type { return 112 }

// Denc is our own layout.
func (m *MOSDRepOp) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		m.PGHead.denc(c)
		m.ReqID.Denc(c)
		m.Object.Denc(c)
		m.Version.Denc(c)
		m.Prev.Denc(c)
		m.TrimTo.Denc(c)
		m.RollFwdTo.Denc(c)
		m.MinDurable.Denc(c)
		denc.ListFunc(c, &m.Entries, (*denc.Coder).Blob)
		c.Blob(&m.Stats)
		c.Bool(&m.Missing)
	})
}

// Data is the transaction.
func (m *MOSDRepOp) Data() [][]byte { return m.Txn }

// SetData is the transaction.
func (m *MOSDRepOp) SetData(data []byte) error {
	if len(data) > 0 {
		m.Txn = [][]byte{data}
	}
	return nil
}

// MOSDRepOpReply says that an update is durable on a replica, or failed there.
type MOSDRepOpReply struct {
	PGHead
	ReqID        ceph.ReqID
	Version      ceph.Eversion
	Result       int32
	LastComplete ceph.Eversion // durable there
	Room         uint64        // bytes that the copy's store can still take from clients
}

// Type is MSG_OSD_REPOPREPLY.
func (*MOSDRepOpReply) Type() Type { return 113 }

// Denc is our own layout.
func (m *MOSDRepOpReply) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		m.PGHead.denc(c)
		m.ReqID.Denc(c)
		m.Version.Denc(c)
		c.I32(&m.Result)
		m.LastComplete.Denc(c)
		c.U64(&m.Room)
	})
}

// A Progress is how far the copy of one object has come.
type Progress struct {
	DataTo       uint64 // bytes copied
	OmapTo       string // last key copied
	First        bool
	DataComplete bool
	OmapComplete bool
	Error        bool
}

// Denc is our own layout.
func (p *Progress) Denc(c *denc.Coder) {
	c.U64(&p.DataTo)
	c.Str(&p.OmapTo)
	c.Bool(&p.First)
	c.Bool(&p.DataComplete)
	c.Bool(&p.OmapComplete)
	c.Bool(&p.Error)
}

// An Extent is a run of bytes of an object.
type Extent struct{ Off, Len uint64 }

// Denc is two u64.
func (e *Extent) Denc(c *denc.Coder) {
	c.U64(&e.Off)
	c.U64(&e.Len)
}

// A Part is what of an object goes to a copy that has an older version of it. The zero value is the
// whole object.
type Part struct {
	Base    ceph.Eversion  // the version that the copy has
	Of      ceph.SnapID    // of which clone, or of the head; 0 is the object itself
	Changes pginfo.Changes // against Base; known then
}

func (p *Part) denc(c *denc.Coder) {
	p.Base.Denc(c)
	p.Of.Denc(c)
	p.Changes.Denc(c)
}

// Partial says whether it is less than the whole object.
func (p *Part) Partial() bool { return p.Changes.Known && !p.Base.IsZero() }

// A Push carries an object, or a part of it, to a copy that misses it. The bytes of the extents
// follow each other in Content.
type Push struct {
	Object        ceph.HObject
	Version       ceph.Eversion
	Size          uint64
	Extents       []Extent
	Attrs         map[string][]byte
	OmapHeader    []byte
	Omap          map[string][]byte
	Before, After Progress
	Part
	Content []byte

	size uint32
}

func (p *Push) denc(c *denc.Coder) {
	p.Object.Denc(c)
	p.Version.Denc(c)
	c.U64(&p.Size)
	denc.List(c, &p.Extents)
	denc.MapFunc(c, &p.Attrs, (*denc.Coder).Str, (*denc.Coder).Blob)
	c.Blob(&p.OmapHeader)
	denc.MapFunc(c, &p.Omap, (*denc.Coder).Str, (*denc.Coder).Blob)
	p.Before.Denc(c)
	p.After.Denc(c)
	p.Part.denc(c)
	if n := c.U32Const(uint32(len(p.Content))); !c.Encoding() {
		p.size = n
	}
}

// MOSDPGPush carries objects to a copy that misses them.
type MOSDPGPush struct {
	PGHead
	Pushes []Push
}

// Type is MSG_OSD_PG_PUSH.
func (*MOSDPGPush) Type() Type { return 105 }

// Denc is our own layout.
func (m *MOSDPGPush) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		m.PGHead.denc(c)
		denc.ListFunc(c, &m.Pushes, func(c *denc.Coder, p *Push) { p.denc(c) })
	})
}

// Data is the contents, one after the other.
func (m *MOSDPGPush) Data() [][]byte {
	var out [][]byte
	for i := range m.Pushes {
		if len(m.Pushes[i].Content) > 0 {
			out = append(out, m.Pushes[i].Content)
		}
	}
	return out
}

// SetData slices the contents from the data segment.
func (m *MOSDPGPush) SetData(data []byte) error {
	for i := range m.Pushes {
		p := &m.Pushes[i]
		content, rest, err := cut(data, p.size)
		if err != nil {
			return fmt.Errorf("push of %v: %w", p.Object, err)
		}
		p.Content, data, p.size = content, rest, 0
	}
	return nil
}

// A PushReply says that one object has arrived.
type PushReply struct {
	Object ceph.HObject
	Result int32
}

// MOSDPGPushReply answers MOSDPGPush.
type MOSDPGPushReply struct {
	PGHead
	Replies []PushReply
}

// Type is MSG_OSD_PG_PUSH_REPLY.
func (*MOSDPGPushReply) Type() Type { return 107 }

// Denc is our own layout.
func (m *MOSDPGPushReply) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		m.PGHead.denc(c)
		denc.ListFunc(c, &m.Replies, func(c *denc.Coder, p *PushReply) {
			p.Object.Denc(c)
			c.I32(&p.Result)
		})
	})
}

// A Pull asks for an object.
type Pull struct {
	Object  ceph.HObject
	Version ceph.Eversion // wanted; zero for what is there
	From    Progress
	Part
}

// MOSDPGPull asks a copy for objects that the primary misses.
type MOSDPGPull struct {
	PGHead
	Pulls []Pull
}

// Type is MSG_OSD_PG_PULL.
func (*MOSDPGPull) Type() Type { return 106 }

// Denc is our own layout.
func (m *MOSDPGPull) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		m.PGHead.denc(c)
		denc.ListFunc(c, &m.Pulls, func(c *denc.Coder, p *Pull) {
			p.Object.Denc(c)
			p.Version.Denc(c)
			p.From.Denc(c)
			p.Part.denc(c)
		})
	})
}

// Kinds of MOSDPGScan.
const (
	ScanAsk    = 1
	ScanDigest = 2
)

// MOSDPGScan asks a backfill target for the objects of a range and their versions, and answers.
type MOSDPGScan struct {
	PGHead
	Kind       uint8
	Begin, End ceph.HObject
	Objects    []ceph.HObject
	Versions   []ceph.Eversion
}

// Type is MSG_OSD_PG_SCAN.
func (*MOSDPGScan) Type() Type { return 94 }

// Denc is our own layout.
func (m *MOSDPGScan) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		m.PGHead.denc(c)
		c.U8(&m.Kind)
		m.Begin.Denc(c)
		m.End.Denc(c)
		denc.List(c, &m.Objects)
		denc.List(c, &m.Versions)
	})
}

// Kinds of MOSDPGBackfill.
const (
	BackfillProgress  = 1
	BackfillFinish    = 2
	BackfillFinishAck = 3
)

// MOSDPGBackfill tells a backfill target how far it is.
type MOSDPGBackfill struct {
	PGHead
	Kind         uint8
	LastBackfill ceph.HObject
	Stats        []byte
}

// Type is MSG_OSD_PG_BACKFILL.
func (*MOSDPGBackfill) Type() Type { return 95 }

// Denc is our own layout.
func (m *MOSDPGBackfill) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		m.PGHead.denc(c)
		c.U8(&m.Kind)
		m.LastBackfill.Denc(c)
		c.Blob(&m.Stats)
	})
}

// MOSDPGBackfillRemove tells a backfill target to delete objects that should not be there.
type MOSDPGBackfillRemove struct {
	PGHead
	Objects  []ceph.HObject
	Versions []ceph.Eversion
}

// Type is MSG_OSD_PG_BACKFILL_REMOVE.
func (*MOSDPGBackfillRemove) Type() Type { return 96 }

// Denc is our own layout.
func (m *MOSDPGBackfillRemove) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		m.PGHead.denc(c)
		denc.List(c, &m.Objects)
		denc.List(c, &m.Versions)
	})
}

// MOSDRepScrub asks a copy for the checksums of a range of objects.
type MOSDRepScrub struct {
	PGHead
	ScrubFrom, ScrubTo ceph.Eversion // ScrubTo: the last write that the copy has to have
	Begin, End         ceph.HObject
	Deep               bool
	Priority           int32
	Tag                uint64 // comes back with the answer
}

// Type is MSG_OSD_REP_SCRUB.
func (*MOSDRepScrub) Type() Type { return 93 }

// Denc is our own layout.
func (m *MOSDRepScrub) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		m.PGHead.denc(c)
		m.ScrubFrom.Denc(c)
		m.ScrubTo.Denc(c)
		m.Begin.Denc(c)
		m.End.Denc(c)
		c.Bool(&m.Deep)
		c.I32(&m.Priority)
		c.U64(&m.Tag)
	})
}

// MOSDRepScrubMap answers MOSDRepScrub; the map is encoded by who makes it.
type MOSDRepScrubMap struct {
	PGHead
	Preempted bool // there is no map: it can't be made
	Map       []byte
	Tag       uint64 // of the question
}

// Type is MSG_OSD_REP_SCRUBMAP.
func (*MOSDRepScrubMap) Type() Type { return 117 }

// Denc is our own layout.
func (m *MOSDRepScrubMap) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		m.PGHead.denc(c)
		c.Bool(&m.Preempted)
		c.Blob(&m.Map)
		c.U64(&m.Tag)
	})
}

// Kinds of MOSDScrubReserve (MOSDScrubReserve::REQUEST and so on).
const (
	ScrubRequest = 0
	ScrubGrant   = 1
	ScrubRelease = 2
	ScrubReject  = 3
)

// MOSDScrubReserve asks a copy's OSD for a slot to be scrubbed in, answers, or gives it back.
type MOSDScrubReserve struct {
	PGHead
	Kind uint8
}

// Type is MSG_OSD_SCRUB_RESERVE.
func (*MOSDScrubReserve) Type() Type { return 119 }

// Denc is our own layout.
func (m *MOSDScrubReserve) Denc(c *denc.Coder, _ uint16) {
	own(c, func(c *denc.Coder) {
		m.PGHead.denc(c)
		c.U8(&m.Kind)
	})
}
