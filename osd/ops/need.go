package ops

import (
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
	return Need{}, ceph.EOPNOTSUPP
}

// Check applies the limits on names and sizes to a request, after its capabilities have been
// checked. An error is the answer.
func Check(l *Limits, n *Need, r *Request) error {
	return ceph.EOPNOTSUPP
}
