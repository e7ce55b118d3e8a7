package journal

import (
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/stripe"
	"glue/cluster/rbdspec"
)

// A Kind says what an event is about (EVENT_TYPE_*).
type Kind uint32

// The kinds. Those up to Flush, and the last two, are of data; the others of operations.
const (
	Discard Kind = iota
	Write
	Flush
	OpFinish
	SnapCreate
	SnapRemove
	SnapRename
	SnapProtect
	SnapUnprotect
	SnapRollback
	Rename
	Resize
	Flatten
	DemotePromote
	SnapLimit
	UpdateFeatures
	MetadataSet
	MetadataRemove
	WriteSame
	CompareAndWrite
)

var kindNames = [...]string{"AioDiscard", "AioWrite", "AioFlush", "OpFinish", "SnapCreate",
	"SnapRemove", "SnapRename", "SnapProtect", "SnapUnprotect", "SnapRollback", "Rename", "Resize",
	"Flatten", "Demote/Promote", "SnapLimit", "UpdateFeatures", "MetadataSet", "MetadataRemove",
	"AioWriteSame", "AioCompareAndWrite"}

// String is the kind's name in librbd.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Unknown (%d)", uint32(k))
}

// IsOp says whether the event begins an operation, which an OpFinish of the same number ends.
func (k Kind) IsOp() bool {
	return k >= SnapCreate && k <= MetadataRemove && k != DemotePromote
}

// An Event is what an entry says (librbd::journal::EventEntry). Which fields count depends on the
// kind.
type Event struct {
	Kind Kind
	Time ceph.Time

	Off, Len    uint64 // of data
	Granularity uint32 // of Discard: what is not whole units of it stays; 0: nothing does
	Data        []byte // of Write; of WriteSame, what is repeated; of CompareAndWrite, what is put
	Compare     []byte // of CompareAndWrite

	Op     uint64 // number of an operation, within its tag
	Result int32  // of OpFinish

	Name     string            // of a snapshot, the new one; of the image; the metadata's key
	OldName  string            // of SnapRename
	Space    rbdspec.SnapSpace // what a snapshot is for
	SnapID   ceph.SnapID       // of SnapRename
	Value    string            // of MetadataSet
	Number   uint64            // Resize: bytes; SnapLimit; UpdateFeatures: the features
	Switched bool              // of UpdateFeatures: on
}

// Versions from which fields are there.
const (
	eventVersion     = 5
	sinceOldName     = 2
	sinceSpace       = 4 // SnapCreate has it since 3, at the same place
	sinceSkipPartial = 4
	sinceTime        = 4
	sinceGranularity = 5
)

// Denc is version 5.
func (e *Event) Denc(c *denc.Coder) {
	s := c.Begin(eventVersion, 1)
	c.U32((*uint32)(&e.Kind))
	switch {
	case e.Kind <= Write || e.Kind == WriteSame || e.Kind == CompareAndWrite:
		e.dencData(c, s.V)
	case e.Kind == OpFinish:
		c.U64(&e.Op)
		c.U64(&e.Op) // twice
		c.I32(&e.Result)
	case e.Kind.IsOp():
		c.U64(&e.Op)
		e.dencOp(c, s.V)
	}
	s.End()
	if s.V >= sinceTime {
		t := c.Begin(1, 1)
		e.Time.Denc(c)
		t.End()
	}
}

func (e *Event) dencData(c *denc.Coder, v uint8) {
	c.U64(&e.Off)
	c.U64(&e.Len)
	switch e.Kind {
	case Discard:
		e.dencGranularity(c, v)
	case CompareAndWrite:
		c.Blob(&e.Compare)
		c.Blob(&e.Data)
	default:
		c.Blob(&e.Data)
	}
}

// dencGranularity knows that older writers only say whether there is one.
func (e *Event) dencGranularity(c *denc.Coder, v uint8) {
	skip := e.Granularity > 0
	if v >= sinceSkipPartial {
		c.Bool(&skip)
	}
	if v >= sinceGranularity {
		c.U32(&e.Granularity)
	} else if skip {
		e.Granularity = ^uint32(0)
	}
}

func (e *Event) dencOp(c *denc.Coder, v uint8) {
	switch e.Kind {
	case SnapCreate, SnapRemove, SnapProtect, SnapUnprotect, SnapRollback:
		c.Str(&e.Name)
		if v >= sinceSpace || v == sinceSpace-1 && e.Kind == SnapCreate {
			e.Space.Denc(c)
		}
	case SnapRename:
		c.Str(&e.Name)
		e.SnapID.Denc(c)
		if v >= sinceOldName {
			c.Str(&e.OldName)
		}
	case Rename, MetadataRemove:
		c.Str(&e.Name)
	case Resize, SnapLimit:
		c.U64(&e.Number)
	case UpdateFeatures:
		c.U64(&e.Number)
		c.Bool(&e.Switched)
	case MetadataSet:
		c.Str(&e.Name)
		c.Str(&e.Value)
	}
}

// WholeUnits is what of pieces is whole units of so many bytes, at most an object of a size: librbd
// leaves the rest of what it discards as it is.
func WholeUnits(pieces []stripe.Piece, size, unit uint64) (out []stripe.Piece) {
	unit = min(unit, size)
	if unit == 0 {
		return pieces
	}
	for _, e := range pieces {
		end := e.Off + e.Len
		if unit < size || end < size {
			first := (e.Off + unit - 1) / unit * unit
			if end = end / unit * unit; first >= end {
				continue
			}
			e.Off, e.Len = first, end-first
		}
		out = append(out, e)
	}
	return out
}
