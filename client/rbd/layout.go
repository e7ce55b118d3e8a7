package rbd

import (
	"fmt"
	"strings"
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
	objectMapPrefix = "rbd_object_map."
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

// plain says that objects follow each other.
func (s striping) plain() bool { return s.stripeCount <= 1 }

// objects is how many objects an image of size bytes can have.
func (s striping) objects(size uint64) uint64 {
	period := s.objectBytes() * max(s.stripeCount, 1)
	n := (size + period - 1) / period * max(s.stripeCount, 1)
	if s.plain() {
		return n
	}
	if rest := size % period; rest > 0 && rest < s.stripeUnit*s.stripeCount {
		n -= s.stripeCount - (rest+s.stripeUnit-1)/s.stripeUnit
	}
	return n
}

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
	for done := uint64(0); done < length; {
		p := s.locate(off + done)
		p.len, p.at = min(p.len, length-done), done
		out = append(out, p)
		done += p.len
	}
	return out
}

// locate is the object of one byte, and how many bytes after it follow there.
func (s striping) locate(off uint64) piece {
	size := s.objectBytes()
	if s.plain() {
		return piece{object: off >> s.order, off: off & (size - 1), len: size - off&(size-1)}
	}
	unit := off / s.stripeUnit
	stripe, column := unit/s.stripeCount, unit%s.stripeCount
	perObject := size / s.stripeUnit
	set, row := stripe/perObject, stripe%perObject
	in := off % s.stripeUnit
	return piece{object: set*s.stripeCount + column, off: row*s.stripeUnit + in,
		len: s.stripeUnit - in}
}

// offset is where in the image byte off of an object is; the inverse of locate.
func (s striping) offset(object, off uint64) uint64 {
	if s.plain() {
		return object<<s.order + off
	}
	perObject := s.objectBytes() / s.stripeUnit
	set, column := object/s.stripeCount, object%s.stripeCount
	row := off / s.stripeUnit
	return ((set*perObject+row)*s.stripeCount+column)*s.stripeUnit + off%s.stripeUnit
}
