package rbd

import (
	"context"

	"glue/client/rbd/mirroring"
)

// Modes of mirroring of a pool or namespace.
const (
	MirrorDisabled = mirroring.Disabled
	MirrorByImage  = mirroring.ByImage
	MirrorPool     = mirroring.Pool
)

// Modes of mirroring of an image.
const (
	MirrorJournal  = mirroring.ByJournal
	MirrorSnapshot = mirroring.BySnapshots
)

// A MirrorImage says how an image is mirrored.
type MirrorImage = mirroring.Image

// MirrorMode is how the images of the store are mirrored.
func (s *Store) MirrorMode(ctx context.Context) (uint32, error) { return mirroring.Mode(ctx, s.x) }

// MirrorImage is how an image is mirrored; ENOENT if it is not.
func (s *Store) MirrorImage(ctx context.Context, id string) (MirrorImage, error) {
	return mirroring.Of(ctx, s.x, id)
}

// MirroredBySnapshot lists the images that are mirrored by snapshots, by id, and whether this
// cluster has the primary copy.
func (s *Store) MirroredBySnapshot(ctx context.Context) (map[string]bool, error) {
	return mirroring.BySnapshot(ctx, s.x)
}
