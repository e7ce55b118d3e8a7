package ops

import (
	"slices"

	"glue/ceph"
	"glue/osd/class"
	"glue/wire/message"
)

// A Need is what a request may do, which decides capabilities and order before it runs (OpInfo).
type Need struct {
	Read, Write           bool // needs the r or w capability
	ClassRead, ClassWrite bool // calls methods that read or write
	RWOrdered             bool // asks to be ordered like a write
	Cache                 bool // cache tier op
	PGOp                  bool // lists the PG; use ExecutePG
	ReturnVec             bool
	Classes               []ClassNeed
}

// A ClassNeed is one class method that is called, for "class-read", "class-write" and
// "allow class NAME" capabilities.
type ClassNeed struct {
	Class, Method string
	Read, Write   bool
}

// MayRead says whether the request reads the object.
func (n *Need) MayRead() bool { return n.Read || n.ClassRead }

// MayWrite says whether the request can change the object.
func (n *Need) MayWrite() bool { return n.Write || n.ClassWrite }

// WriteOrdered says whether the request waits for earlier ones like a write.
func (n *Need) WriteOrdered() bool { return n.MayWrite() || n.Cache || n.RWOrdered }

// Inspect says what a vector needs. An error is the answer to the request: EINVAL for one that
// does nothing, EOPNOTSUPP for an unknown class or method.
func Inspect(classes *class.Registry, flags uint32, ops []message.OSDOp) (Need, error) {
	n := Need{
		RWOrdered: flags&message.FlagRWOrdered != 0,
		ReturnVec: flags&message.FlagReturnVec != 0,
	}
	if len(ops) == 0 {
		return n, ceph.EINVAL
	}
	flagged := n.RWOrdered || n.ReturnVec
	for i := range ops {
		op := &ops[i]
		n.addMode(op)
		if op.Code == message.OpCall {
			if err := n.addCall(classes, op); err != nil {
				return n, err
			}
		}
	}
	if !flagged && !n.MayRead() && !n.WriteOrdered() && !n.PGOp {
		return n, ceph.EINVAL
	}
	return n, nil
}

// addMode adds what an op's code says.
func (n *Need) addMode(op *message.OSDOp) {
	ping := op.Code == message.OpWatch && op.Watch().Action == message.WatchPing
	if ping {
		n.RWOrdered = true // behind the writes, but no write itself
	} else if op.Code&message.ModeWrite != 0 {
		n.Write = true
	}
	if op.Code.IsRead() || op.Code == message.OpWatch {
		n.Read = true
	}
	if op.Code&message.KindMask == message.KindPG {
		n.PGOp = true
	}
	if op.Code&message.ModeCache != 0 {
		n.Cache = true
	}
}

// addCall adds what the flags of a class method say.
func (n *Need) addCall(classes *class.Registry, op *message.OSDOp) error {
	name, method, _, ok := op.Call()
	if !ok {
		return ceph.EINVAL
	}
	m, err := classes.Find(name, method)
	if err != nil {
		return err
	}
	need := ClassNeed{Class: name, Method: method,
		Read: m.Flags&class.RD != 0, Write: m.Flags&class.WR != 0}
	n.ClassRead = n.ClassRead || need.Read
	n.ClassWrite = n.ClassWrite || need.Write
	n.Classes = append(n.Classes, need)
	return nil
}

// Check applies the limits on names and sizes to a request, after its capabilities have been
// checked. An error is the answer.
func Check(l *Limits, n *Need, r *Request) error {
	if n.PGOp {
		return nil
	}
	o := &r.Object
	switch {
	case r.Flags&flagParallelExec != 0:
		return ceph.EINVAL
	case len(o.Name) > l.ObjectName, len(o.Key) > l.ObjectName, len(o.Namespace) > l.Namespace:
		return ceph.ENAMETOOLONG
	case o.Name == "":
		return ceph.EINVAL
	case n.MayWrite() && o.Snap != ceph.NoSnap:
		return ceph.EINVAL // a clone
	case n.MayWrite() && l.WriteSize > 0 && inputBytes(r.Ops) > l.WriteSize:
		return ceph.EMSGSIZE
	}
	for i := range r.Ops {
		if (r.Ops[i].Code == message.OpListSnaps) != (o.Snap == ceph.SnapDir) {
			return ceph.EINVAL
		}
	}
	return nil
}

const flagParallelExec = 0x200

func inputBytes(ops []message.OSDOp) uint64 {
	n := uint64(0)
	for i := range ops {
		n += uint64(len(ops[i].In))
	}
	return n
}

// AnyCopy says whether a copy that is not the primary can answer a request: one that only reads
// what the object itself holds.
func AnyCopy(n *Need, ops []message.OSDOp) bool {
	return !n.WriteOrdered() && !n.PGOp && !slices.ContainsFunc(ops, func(o message.OSDOp) bool {
		return !slices.Contains(ofObject, o.Code)
	})
}

var ofObject = []message.OpCode{message.OpRead, message.OpSparseRead, message.OpSyncRead,
	message.OpStat, message.OpMapExt, message.OpChecksum, message.OpCmpExt, message.OpAssertVer,
	message.OpGetXattr, message.OpGetXattrs, message.OpCmpXattr, message.OpOmapCmp,
	message.OpOmapGetKeys, message.OpOmapGetVals, message.OpOmapGetHeader,
	message.OpOmapGetValsByKeys}
