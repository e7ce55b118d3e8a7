package rbd

import (
	"fmt"
	"strings"

	"glue/client/stripe"
)

// Features of an image (RBD_FEATURE_*).
type Features uint64

// The features.
const (
	Layering Features = 1 << iota
	StripingV2
	ExclusiveLock
	ObjectMap
	FastDiff
	DeepFlatten
	Journaling
	DataPool
	Operations
	Migrating
	NonPrimary
	DirtyCache

	// DefaultFeatures are those of new images (rbd_default_features).
	DefaultFeatures = Layering | ExclusiveLock | ObjectMap | FastDiff | DeepFlatten
	// known are the features whose images we can open for writing.
	known = DefaultFeatures | StripingV2 | DataPool | Operations
	// readable are those that do not stand in the way of reading.
	readable = known | Journaling | NonPrimary
	// mutable can be switched on an existing image.
	mutable = ExclusiveLock | ObjectMap | FastDiff
)

var featureNames = []string{"layering", "striping", "exclusive-lock", "object-map", "fast-diff",
	"deep-flatten", "journaling", "data-pool", "operations", "migrating", "non-primary",
	"dirty-cache"}

// Has says whether all of g are in f.
func (f Features) Has(g Features) bool { return f&g == g }

// Names lists the features' names in the order of their bits.
func (f Features) Names() []string {
	out := []string{}
	for i, name := range featureNames {
		if f&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return out
}

// String is the names separated by commas.
func (f Features) String() string { return strings.Join(f.Names(), ", ") }

// ParseFeatures reads names, or numbers of bits, separated by commas.
func ParseFeatures(s string) (Features, error) {
	var f Features
next:
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		for i, name := range featureNames {
			if name == word {
				f |= 1 << i
				continue next
			}
		}
		var bits Features
		if _, err := fmt.Sscanf(word, "%d", &bits); err != nil {
			return 0, fmt.Errorf("unknown image feature %q (known: %s)", word,
				strings.Join(featureNames, ", "))
		}
		f |= bits
	}
	return f, nil
}

// check refuses combinations that make no sense.
func (f Features) check() error {
	switch {
	case f.Has(ObjectMap) && !f.Has(ExclusiveLock):
		return fmt.Errorf("feature object-map needs exclusive-lock")
	case f.Has(FastDiff) && !f.Has(ObjectMap):
		return fmt.Errorf("feature fast-diff needs object-map")
	case f&^known != 0:
		return fmt.Errorf("features %v are not supported", f&^known)
	}
	return nil
}

// Flags of an image (RBD_FLAG_*).
const (
	FlagObjectMapInvalid = 1 << 0
	FlagFastDiffInvalid  = 1 << 1
)

// Names of the objects of a pool and of an image.
const (
	directoryObject = "rbd_directory"
	infoObject      = "rbd_info"
	trashObject     = "rbd_trash"
	childrenObject  = "rbd_children" // of the first kind
	idPrefix        = "rbd_id."
	headerPrefix    = "rbd_header."
	dataPrefix      = "rbd_data."
)

// Limits of an image's order: objects of 4 KiB to 32 MiB.
const (
	minOrder     = 12
	maxOrder     = 25
	defaultOrder = 22
)

// A striping maps an image's bytes to objects: units of stripeUnit bytes go round stripeCount
// objects until these are full.
type striping struct {
	order       uint8
	stripeUnit  uint64
	stripeCount uint64
}

func (s striping) objectBytes() uint64 { return 1 << s.order }

// layout is the striping as it is computed with.
func (s striping) layout() stripe.Layout {
	return stripe.Layout{ObjectBytes: s.objectBytes(), StripeUnit: s.stripeUnit,
		StripeCount: s.stripeCount}
}

// plain says that objects follow each other.
func (s striping) plain() bool { return s.layout().Plain() }

// objects is how many objects an image of size bytes can have.
func (s striping) objects(size uint64) uint64 { return s.layout().Objects(size) }

// A piece is a run of an image's bytes within one object.
type piece struct {
	object uint64
	off    uint64 // in the object
	len    uint64
	at     uint64 // from the beginning of the range that was split
}

// split cuts [off, off+length) into pieces in ascending order.
func (s striping) split(off, length uint64) []piece {
	var out []piece
	for p := range s.layout().Split(off, length) {
		out = append(out, piece{p.Object, p.Off, p.Len, p.At})
	}
	return out
}

// offset is where in the image byte off of an object is.
func (s striping) offset(object, off uint64) uint64 { return s.layout().Offset(object, off) }
