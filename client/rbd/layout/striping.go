package layout

import (
	"slices"

	"glue/client/stripe"
)

// A Striping maps an image's bytes to objects: units of StripeUnit bytes go round StripeCount
// objects until these are full.
type Striping struct {
	Order       uint8
	StripeUnit  uint64
	StripeCount uint64
}

// ObjectBytes is how long a full object is.
func (s Striping) ObjectBytes() uint64 { return 1 << s.Order }

// Layout is the striping as it is computed with.
func (s Striping) Layout() stripe.Layout {
	return stripe.Layout{ObjectBytes: s.ObjectBytes(), StripeUnit: s.StripeUnit,
		StripeCount: s.StripeCount}
}

// Plain says that objects follow each other.
func (s Striping) Plain() bool { return s.Layout().Plain() }

// Objects is how many objects an image of size bytes can have.
func (s Striping) Objects(size uint64) uint64 { return s.Layout().Objects(size) }

// Split cuts [off, off+length) into pieces in ascending order.
func (s Striping) Split(off, length uint64) []stripe.Piece {
	return slices.Collect(s.Layout().Split(off, length))
}

// Offset is where in the image byte off of an object is.
func (s Striping) Offset(object, off uint64) uint64 { return s.Layout().Offset(object, off) }

// A Span is a run of an object's bytes and where it is in the image.
type Span struct{ Off, At, Len uint64 }

// Spans are the places of an object's bytes in an image of limit bytes.
func (s Striping) Spans(object, limit uint64) []Span {
	var out []Span
	unit := s.ObjectBytes()
	if !s.Plain() {
		unit = s.StripeUnit
	}
	for off := uint64(0); off < s.ObjectBytes(); off += unit {
		at := s.Offset(object, off)
		if at >= limit {
			break
		}
		out = append(out, Span{Off: off, At: at, Len: min(unit, limit-at)})
	}
	return out
}
