package layout

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

// Flags of an image (RBD_FLAG_*).
const (
	FlagObjectMapInvalid = 1 << 0
	FlagFastDiffInvalid  = 1 << 1
)
