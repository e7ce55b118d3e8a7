package pginfo

import (
	"glue/ceph"
	"glue/ceph/denc"
)

// A LogOp is the kind of an update (pg_log_entry_t::op).
type LogOp uint8

// The kinds that are used.
const (
	LogModify LogOp = 1
	LogClone  LogOp = 2
	LogDelete LogOp = 3
	LogError  LogOp = 9 // nothing changed: the request's answer is remembered
)

// An OpResult is the answer of one op of a request with RETURNVEC (pg_log_op_return_item_t).
type OpResult struct {
	Rval int32
	Out  []byte
}

// A LogEntry is one update of a PG (pg_log_entry_t).
type LogEntry struct {
	Op           LogOp
	Object       ceph.HObject
	Version      ceph.Eversion
	PriorVersion ceph.Eversion // the object's before; zero if it was not there
	UserVersion  uint64        // the object's after it
	ReqID        ceph.ReqID
	MTime        ceph.Time
	ReturnCode   int32
	Results      []OpResult
	Changes      Changes // of the object, against PriorVersion
}

// IsDelete says whether the object is gone after it.
func (e *LogEntry) IsDelete() bool { return e.Op == LogDelete }

// IsError says whether it changed nothing.
func (e *LogEntry) IsError() bool { return e.Op == LogError }

// Denc is a section of our own.
func (e *LogEntry) Denc(c *denc.Coder) {
	s := c.Begin(2, 1)
	c.U8((*uint8)(&e.Op))
	e.Object.Denc(c)
	e.Version.Denc(c)
	e.PriorVersion.Denc(c)
	c.U64(&e.UserVersion)
	e.ReqID.Denc(c)
	e.MTime.Denc(c)
	c.I32(&e.ReturnCode)
	denc.ListFunc(c, &e.Results, dencOpResult)
	if s.V >= 2 {
		e.Changes.Denc(c)
	}
	s.End()
}

func dencOpResult(c *denc.Coder, r *OpResult) {
	c.I32(&r.Rval)
	c.Blob(&r.Out)
}

// A LogDup is a request whose entry has been trimmed (pg_log_dup_t).
type LogDup struct {
	ReqID       ceph.ReqID
	Version     ceph.Eversion
	UserVersion uint64
	ReturnCode  int32
	Results     []OpResult
}

// Denc is a section of our own.
func (d *LogDup) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	d.ReqID.Denc(c)
	d.Version.Denc(c)
	c.U64(&d.UserVersion)
	c.I32(&d.ReturnCode)
	denc.ListFunc(c, &d.Results, dencOpResult)
	s.End()
}
