package rbd

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rbd/class"
	"glue/client/rbd/journal"
	"glue/client/rbd/layout"
	"glue/client/rbd/mirroring"
	"glue/client/rbd/notice"
	"glue/client/rbd/objectmap"
)

// setFeatures switches the features in mask.
func (i *Image) setFeatures(ctx context.Context, features, mask Features) error {
	err := class.Change(ctx, i.x, layout.HeaderPrefix+i.id, "set_features",
		class.Encode(func(c *denc.Coder) {
			f, m := uint64(features), uint64(mask)
			c.U64(&f)
			c.U64(&m)
		}))
	if err != nil {
		return fmt.Errorf("set the features of image %s: %w", i.name, err)
	}
	return nil
}

// EnableFeatures switches features on and, with object-map, builds the map. With journaling in a
// pool that is mirrored by journals the image is mirrored from then on.
func (i *Image) EnableFeatures(ctx context.Context, f Features, p Progress) error {
	h, _, err := i.changeable(ctx)
	if err != nil {
		return err
	}
	f &^= h.Features
	switch {
	case f == 0:
		return fmt.Errorf("image %s has these features already: %w", i.name, ceph.EINVAL)
	case f&^mutable != 0:
		return fmt.Errorf("features %v cannot be switched on: %w", f&^mutable, ceph.EINVAL)
	}
	if err := checkFeatures(h.Features | f); err != nil {
		return fmt.Errorf("image %s: %w: %w", i.name, err, ceph.EINVAL)
	}
	err = i.switchFeatures(ctx, f, true, func(h *header) error { return i.switchOn(ctx, h, f) })
	if err != nil || f&(ObjectMap|FastDiff) == 0 {
		return err
	}
	return i.RebuildObjectMap(ctx, p)
}

// switchFeatures lets do switch features on or off while nobody writes, if the image has locks.
func (i *Image) switchFeatures(
	ctx context.Context, f Features, on bool, do func(h *header) error,
) error {
	h, _, _, done, err := i.alone(ctx)
	if err != nil {
		return err
	}
	e := journal.Event{Kind: journal.UpdateFeatures, Number: uint64(f), Switched: on}
	if f.Has(Journaling) { // it goes with all that it says
		err = do(h)
	} else {
		err = i.operate(ctx, e, func() error { return do(h) })
	}
	done()
	if err != nil {
		return err
	}
	return i.reopenLock(ctx)
}

// switchOn switches features on; the maps are not to be trusted yet.
func (i *Image) switchOn(ctx context.Context, h *header, f Features) error {
	if f.Has(Journaling) {
		if err := i.store.makeJournal(ctx, i.id); err != nil {
			return err
		}
	}
	if f.Has(ObjectMap) {
		if err := objectmap.Create(ctx, i.x, i.id, h.Objects(h.Size)); err != nil {
			return fmt.Errorf("make the object map of image %s: %w", i.name, err)
		}
	}
	if f&(ObjectMap|FastDiff) != 0 {
		for _, id := range append([]ceph.SnapID{ceph.NoSnap}, h.SnapIDs...) {
			if err := i.invalidate(ctx, new(header), id); err != nil {
				return err
			}
		}
	}
	return i.setFeatures(ctx, f, f)
}

// DisableFeatures switches features off; without object-map there is no fast-diff either. EINVAL
// for the journaling of an image that is mirrored by its journal, for which the pool's mode is by
// image; in the other mode the mirroring ends.
func (i *Image) DisableFeatures(ctx context.Context, f Features) error {
	h, _, err := i.changeable(ctx)
	if err != nil {
		return err
	}
	if f.Has(ObjectMap) {
		f |= FastDiff
	}
	f &= h.Features
	switch {
	case f == 0:
		return fmt.Errorf("image %s does not have these features: %w", i.name, ceph.EINVAL)
	case f&^(mutable|DeepFlatten) != 0:
		return fmt.Errorf("features %v cannot be switched off: %w", f&^mutable, ceph.EINVAL)
	}
	if err := checkFeatures(h.Features &^ f); err != nil {
		return fmt.Errorf("image %s: %w: %w", i.name, err, ceph.EINVAL)
	}
	return i.switchFeatures(ctx, f, false, func(h *header) error { return i.switchOff(ctx, h, f) })
}

func (i *Image) switchOff(ctx context.Context, h *header, f Features) error {
	if f.Has(Journaling) {
		if err := i.endJournalMirroring(ctx); err != nil {
			return err
		}
		i.closeJournal(ctx)
	}
	if err := i.setFeatures(ctx, 0, f); err != nil {
		return err
	}
	if f.Has(Journaling) {
		if err := journal.Remove(ctx, i.x, i.id); err != nil {
			return err
		}
	}
	if f&(ObjectMap|FastDiff) != 0 {
		var none header
		mask := uint64(FlagFastDiffInvalid)
		if f.Has(ObjectMap) {
			mask |= FlagObjectMapInvalid
		}
		if err := i.setFlags(ctx, &none, 0, mask); err != nil {
			return err
		}
	}
	if !f.Has(ObjectMap) {
		return nil
	}
	for _, id := range append([]ceph.SnapID{ceph.NoSnap}, h.SnapIDs...) {
		if err := class.UnlessGone(i.x.Remove(ctx, objectmap.Name(i.id, id))); err != nil {
			return fmt.Errorf("remove the object map of image %s: %w", i.name, err)
		}
	}
	return nil
}

// errLockAgain says that the lock has to be taken anew, since the image's features have changed.
var errLockAgain = errors.New("the image's features have changed")

// redoFeatures switches features that the journal has. A map that comes has to be built later: it
// is not trusted.
func (i *Image) redoFeatures(ctx context.Context, h *header, f Features, on bool) error {
	f &= mutable &^ (ExclusiveLock | Journaling)
	if on {
		f &^= h.Features
	} else {
		f &= h.Features
	}
	if f == 0 {
		return nil
	}
	do := i.switchOff
	if on {
		do = i.switchOn
	}
	return cmp.Or(do(ctx, h, f), errLockAgain)
}

// reopenLock releases the lock, reads the features anew and tells the other clients.
func (i *Image) reopenLock(ctx context.Context) error {
	if err := i.lock.release(ctx, i, false); err != nil {
		return err
	}
	if err := i.refresh(ctx); err != nil {
		return err
	}
	notice.HeaderChanged(ctx, i.x, i.id)
	return nil
}

// makeJournal makes the journal of an image that has none; what is there is left of a time before.
func (s *Store) makeJournal(ctx context.Context, id string) error {
	o, err := s.journalOptions(ctx)
	if err != nil {
		return err
	}
	if err := journal.Remove(ctx, s.x, id); err != nil {
		return err
	}
	if err := journal.Create(ctx, s.x, id, o); err != nil {
		return err
	}
	return newImage(s, "id "+id, id, false).beginJournalMirroring(ctx)
}

// beginJournalMirroring mirrors an image by its journal if all such images of the pool are.
func (i *Image) beginJournalMirroring(ctx context.Context) error {
	mode, err := i.store.MirrorMode(ctx)
	if err != nil || mode != MirrorPool {
		return err
	}
	if _, err := i.store.MirrorImage(ctx, i.id); !errors.Is(err, ceph.ENOENT) {
		return err
	}
	m := MirrorImage{Mode: MirrorJournal, GlobalID: newUUID()}
	return i.setMirrorState(ctx, &m, mirroring.ImageEnabled)
}

// endJournalMirroring ends the mirroring by the journal; EINVAL if that was asked for this image.
func (i *Image) endJournalMirroring(ctx context.Context) error {
	m, err := i.store.MirrorImage(ctx, i.id)
	if err != nil || m.Mode != MirrorJournal {
		return class.UnlessGone(err)
	}
	mode, err := i.store.MirrorMode(ctx)
	if err == nil && mode == MirrorByImage {
		err = fmt.Errorf("image %s is mirrored by its journal; use rbd mirror image disable "+
			"first: %w", i.name, ceph.EINVAL)
	}
	if err == nil {
		err = i.setMirrorState(ctx, &m, mirroring.ImageDisabling)
	}
	if err != nil {
		return err
	}
	return i.removeMirroring(ctx, &m)
}
