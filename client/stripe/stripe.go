// Package stripe is the arithmetic of striping, for images and for striped objects alike: where in
// which object a byte is. It is pure; the invariant is that Locate and Offset are inverse.
package stripe

import "iter"

// A Layout lays a run of bytes over objects: units of StripeUnit bytes go round StripeCount objects
// until these are full, then round the next ones (ceph_file_layout). With one object a round the
// objects follow each other, whatever the unit. Otherwise neither size may be zero, nor an object
// smaller than a unit; what of an object is no whole unit stays empty.
type Layout struct{ ObjectBytes, StripeUnit, StripeCount uint64 }

// Plain says that objects follow each other.
func (l Layout) Plain() bool { return l.StripeCount <= 1 }

// full is how many bytes an object can have.
func (l Layout) full() uint64 {
	if l.Plain() {
		return l.ObjectBytes
	}
	return l.ObjectBytes - l.ObjectBytes%l.StripeUnit
}

// Objects is how many objects size bytes can have.
func (l Layout) Objects(size uint64) uint64 {
	count := max(l.StripeCount, 1)
	period := l.full() * count
	n := (size + period - 1) / period * count
	if l.Plain() {
		return n
	}
	if rest := size % period; rest > 0 && rest < l.StripeUnit*count {
		n -= count - (rest+l.StripeUnit-1)/l.StripeUnit
	}
	return n
}

// A Piece is a run of bytes within one object.
type Piece struct {
	Object uint64
	Off    uint64 // in the object
	Len    uint64
	At     uint64 // from the beginning of the range that was split
}

// Split yields the pieces of [off, off+length) in ascending order.
func (l Layout) Split(off, length uint64) iter.Seq[Piece] {
	return func(yield func(Piece) bool) {
		for done := uint64(0); done < length; {
			p := l.Locate(off + done)
			p.Len, p.At = min(p.Len, length-done), done
			if !yield(p) {
				return
			}
			done += p.Len
		}
	}
}

// Locate is the object of one byte, and how many bytes from it on follow there.
func (l Layout) Locate(off uint64) Piece {
	if l.Plain() {
		in := off % l.ObjectBytes
		return Piece{Object: off / l.ObjectBytes, Off: in, Len: l.ObjectBytes - in}
	}
	unit := off / l.StripeUnit
	round, column := unit/l.StripeCount, unit%l.StripeCount
	perObject := l.ObjectBytes / l.StripeUnit
	set, row := round/perObject, round%perObject
	in := off % l.StripeUnit
	return Piece{Object: set*l.StripeCount + column, Off: row*l.StripeUnit + in,
		Len: l.StripeUnit - in}
}

// Offset is which byte is at off of an object; the inverse of Locate.
func (l Layout) Offset(object, off uint64) uint64 {
	if l.Plain() {
		return object*l.ObjectBytes + off
	}
	perObject := l.ObjectBytes / l.StripeUnit
	set, column := object/l.StripeCount, object%l.StripeCount
	row := off / l.StripeUnit
	return ((set*perObject+row)*l.StripeCount+column)*l.StripeUnit + off%l.StripeUnit
}

// Part is how much of an object is among the first size bytes: its length if all of them are there.
func (l Layout) Part(object, size uint64) uint64 {
	p := l.Locate(size)
	count := max(l.StripeCount, 1)
	switch set, at := object/count, p.Object/count; {
	case set < at:
		return l.full()
	case set > at:
		return 0
	case object == p.Object:
		return p.Off
	case object > p.Object: // its unit of this round is not begun, nor of a round before p's full
		return p.Off - p.Off%l.StripeUnit
	}
	return p.Off - p.Off%l.StripeUnit + l.StripeUnit
}
