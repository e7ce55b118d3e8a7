package rbd

import (
	"context"
	"fmt"
	"slices"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rbd/class"
	"glue/client/rbd/mirroring"
)

// disableMirroring ends the mirroring of an image, if it is mirrored, and removes the snapshots
// that it was mirrored by. EINVAL if it is a copy, or was demoted; EOPNOTSUPP if it is mirrored by
// its journal.
func (i *Image) disableMirroring(ctx context.Context) error {
	m, err := i.store.MirrorImage(ctx, i.id)
	if err != nil {
		return class.UnlessGone(err)
	}
	if err := i.mayEndMirroring(ctx, m); err != nil {
		return err
	}
	if err := i.setMirrorState(ctx, &m, mirroring.ImageDisabling); err != nil {
		return err
	}
	if err := i.removeOwnSnaps(ctx); err != nil {
		return err
	}
	return i.removeMirroring(ctx, &m)
}

// removeMirroring is the last step of the end of mirroring.
func (i *Image) removeMirroring(ctx context.Context, m *MirrorImage) error {
	err := class.Change(ctx, i.x, mirroring.Object, "mirror_image_remove", class.Str(i.id))
	if err = class.UnlessGone(err); err != nil {
		return fmt.Errorf("end the mirroring of image %s: %w", i.name, err)
	}
	i.tellMirrors(ctx, mirroring.ImageDisabled, m.GlobalID)
	return nil
}

func (i *Image) mayEndMirroring(ctx context.Context, m MirrorImage) error {
	if m.Mode != MirrorSnapshot {
		return fmt.Errorf("image %s is mirrored by its journal, which this client does not end; "+
			"use rbd mirror image disable, or rbd feature disable with journaling, first: %w",
			i.name, ceph.EOPNOTSUPP)
	}
	h, _, err := i.fresh(ctx)
	if err != nil || m.State == mirroring.ImageDisabling { // who began to was allowed to
		return err
	}
	mirror := func(s Snapshot) bool { return s.Kind == SnapMirror }
	if slices.ContainsFunc(h.Snapshots, mirror) && !h.Primary() {
		return fmt.Errorf("image %s is mirrored and not primary here; use rbd mirror image "+
			"disable with --force first: %w", i.name, ceph.EINVAL)
	}
	return nil
}

// setMirrorState writes down how far the end of mirroring is, for who mirrors.
func (i *Image) setMirrorState(ctx context.Context, m *MirrorImage, state uint8) error {
	if m.State == state {
		return nil
	}
	m.State = state
	err := class.Change(ctx, i.x, mirroring.Object, "mirror_image_set",
		class.Encode(func(c *denc.Coder) {
			c.Str(&i.id)
			m.Denc(c)
		}))
	if err != nil {
		return fmt.Errorf("set the mirroring of image %s: %w", i.name, err)
	}
	i.tellMirrors(ctx, state, m.GlobalID)
	return nil
}

// tellMirrors tells what mirrors the pool that an image's state has changed (ImageUpdatedPayload).
func (i *Image) tellMirrors(ctx context.Context, state uint8, global string) {
	const (
		imageUpdated = 1 // NOTIFY_OP_IMAGE_UPDATED
		patience     = 5 * time.Second
	)
	text := class.Encode(func(c *denc.Coder) {
		s := c.Begin(1, 1)
		c.U32Const(imageUpdated)
		c.U32Const(uint32(state))
		c.Str(&i.id)
		c.Str(&global)
		s.End()
	})
	_, _ = i.x.Notify(ctx, mirroring.Object, text, patience) // they look at times, too
}

// removeOwnSnaps removes the snapshots that go with the image.
func (i *Image) removeOwnSnaps(ctx context.Context) error {
	own := func(s Snapshot) bool { return s.OwnedByImage() }
	if h, _, err := i.fresh(ctx); err != nil || !slices.ContainsFunc(h.Snapshots, own) {
		return err
	}
	_, _, m, done, err := i.alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	for {
		h, _, err := i.fresh(ctx)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(h.Snapshots, own)
		if at < 0 {
			return nil
		}
		if err := i.removeSnap(ctx, h, m, &h.Snapshots[at]); err != nil {
			return err
		}
	}
}
