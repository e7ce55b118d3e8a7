package rbd

import (
	"context"
	"fmt"

	"glue/client/rados"
	"glue/client/rbd/layout"
)

type (
	// Features of an image.
	Features = layout.Features
	// A Snapshot is a snapshot of an image.
	Snapshot = layout.Snapshot
)

// The features.
const (
	Layering        = layout.Layering
	StripingV2      = layout.StripingV2
	ExclusiveLock   = layout.ExclusiveLock
	ObjectMap       = layout.ObjectMap
	FastDiff        = layout.FastDiff
	DeepFlatten     = layout.DeepFlatten
	Journaling      = layout.Journaling
	DataPool        = layout.DataPool
	Operations      = layout.Operations
	Migrating       = layout.Migrating
	NonPrimary      = layout.NonPrimary
	DirtyCache      = layout.DirtyCache
	DefaultFeatures = layout.DefaultFeatures

	// known are the features whose images we can open for writing.
	known = DefaultFeatures | StripingV2 | DataPool | Operations | Journaling
	// readable are those that do not stand in the way of reading.
	readable = known | NonPrimary
	// mutable can be switched on an existing image.
	mutable = ExclusiveLock | ObjectMap | FastDiff | Journaling
)

// Flags of an image.
const (
	FlagObjectMapInvalid = layout.FlagObjectMapInvalid
	FlagFastDiffInvalid  = layout.FlagFastDiffInvalid
)

// What a snapshot is for.
const (
	SnapUser   = layout.SnapUser
	SnapGroup  = layout.SnapGroup
	SnapTrash  = layout.SnapTrash
	SnapMirror = layout.SnapMirror
)

// opKnown are the operations of the images that we can open for writing.
const opKnown = layout.OpCloneParent | layout.OpCloneChild | layout.OpGroup | layout.OpSnapTrash

// ParseFeatures reads names, or numbers of bits, separated by commas.
func ParseFeatures(s string) (Features, error) { return layout.ParseFeatures(s) }

// checkFeatures refuses combinations that make no sense.
func checkFeatures(f Features) error {
	switch {
	case f.Has(ObjectMap) && !f.Has(ExclusiveLock):
		return fmt.Errorf("feature object-map needs exclusive-lock")
	case f.Has(FastDiff) && !f.Has(ObjectMap):
		return fmt.Errorf("feature fast-diff needs object-map")
	case f.Has(Journaling) && !f.Has(ExclusiveLock):
		return fmt.Errorf("feature journaling needs exclusive-lock")
	case f&^known != 0:
		return fmt.Errorf("features %v are not supported", f&^known)
	}
	return nil
}

// A header is what the header object of an image says, with the parent.
type header struct {
	layout.Header
	from *Image // the parent, open, if there is an overlap
}

// readHeader reads the header of an image by its id.
func readHeader(ctx context.Context, x *rados.IOCtx, id string) (*header, error) {
	h, err := layout.Read(ctx, x, id)
	if err != nil {
		return nil, err
	}
	return &header{Header: *h}, nil
}
