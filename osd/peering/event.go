package peering

import (
	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
	"glue/osd/pglog"
)

// An Event is something that happened to the PG. The types below implement it.
type Event interface{ event() }

// An Effect is something the owner has to do. Effects to one peer keep their order. What a
// machine wants stored is not an effect: the owner calls TakeChanges after every Step, writes
// what it returns, and steps a Durable when an effect asked for it.
type Effect interface{ effect() }

// A Head says which map a message was sent under (pg_peering_evt's epochs).
type Head struct {
	From  int32      // the sending OSD
	Epoch ceph.Epoch // of its map
	// Interval is the epoch of the request that is answered, or the sender's own epoch; the
	// message is dropped if the PG has been in a newer interval since.
	Interval ceph.Epoch
}

// Notify tells the primary about a copy (MOSDPGNotify2).
type Notify struct {
	Head
	Info pginfo.Info
	Past pginfo.PastIntervals
}

// A QueryKind is what a Query asks for; the numbers are the wire's.
type QueryKind uint8

// The kinds (pg_query_t).
const (
	QueryInfo    QueryKind = 0
	QueryLog     QueryKind = 1
	QueryFullLog QueryKind = 5
)

// Query asks a copy for its info or log (MOSDPGQuery2).
type Query struct {
	Head
	Kind    QueryKind
	Since   ceph.Eversion
	History pginfo.History
}

// InfoMsg is the primary's info to a copy, which activates it, or the copy's answer that it is
// active (MOSDPGInfo2).
type InfoMsg struct {
	Head
	Info pginfo.Info
}

// A Segment is a run of a PG's log (pg_log_t).
type Segment struct {
	Tail, Head ceph.Eversion
	Entries    []pglog.Entry
	Dups       []pglog.Dup
}

// Denc is a section of our own.
func (s *Segment) Denc(c *denc.Coder) {
	sec := c.Begin(1, 1)
	s.Tail.Denc(c)
	s.Head.Denc(c)
	denc.List(c, &s.Entries)
	denc.List(c, &s.Dups)
	sec.End()
}

// LogMsg is a part of a log, from a copy on request or from the primary to activate a copy
// (MOSDPGLog).
type LogMsg struct {
	Head
	Info    pginfo.Info
	Log     Segment
	Missing map[ceph.HObject]pglog.Item
	Past    pginfo.PastIntervals
}

// MapChange is the next map. Every epoch is stepped, in order.
type MapChange struct{ Map *osdmap.Map }

// MapsDone says that the newest map known has been reached (ActMap).
type MapsDone struct{}

// Durable says that the changes up to an effect AwaitDurable are on disk.
type Durable struct{ Token uint64 }

// Remove asks a stray copy to delete itself, as the PG is clean without it (MOSDPGRemove).
type Remove struct{ Head }

func (Notify) event()    {}
func (Query) event()     {}
func (InfoMsg) event()   {}
func (LogMsg) event()    {}
func (MapChange) event() {}
func (MapsDone) event()  {}
func (Durable) event()   {}
func (Remove) event()    {}

// Send is a message to a peer's copy: a Notify, Query, InfoMsg, LogMsg or Remove.
type Send struct {
	To  int32
	Msg Event
}

// AwaitDurable asks for Durable{Token} when everything of TakeChanges is on disk.
type AwaitDurable struct{ Token uint64 }

// WantUpThru asks the monitors to note that this OSD was up in an epoch (MOSDAlive).
type WantUpThru struct{ Epoch ceph.Epoch }

// WantPGTemp asks the monitors for another acting set, or with no OSDs to forget it.
type WantPGTemp struct{ OSDs []int32 }

// NewInterval says that everything in flight belongs to the past.
type NewInterval struct{}

// Activated says that the primary's part is done: recovery state is valid and operations may be
// taken once Active follows.
type Activated struct{}

// Active says that all copies have activated; Writeable is false when they are fewer than
// min_size.
type Active struct{ Writeable bool }

// ReplicaActivated says that this copy follows its primary now.
type ReplicaActivated struct{}

// Delete says that this copy is to be removed from the store.
type Delete struct{}

// StateChanged says that the PG's state or counts changed, for reports.
type StateChanged struct{}

func (Send) effect()             {}
func (AwaitDurable) effect()     {}
func (WantUpThru) effect()       {}
func (WantPGTemp) effect()       {}
func (NewInterval) effect()      {}
func (Activated) effect()        {}
func (Active) effect()           {}
func (ReplicaActivated) effect() {}
func (Delete) effect()           {}
func (StateChanged) effect()     {}
