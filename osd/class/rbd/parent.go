package rbd

import (
	"errors"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
)

// getParent is the form of parent_get before namespaces.
func getParent(ctx class.Context, in []byte) ([]byte, error) {
	id, err := class.Input(in, class.Of[ceph.SnapID])
	if err != nil {
		return nil, err
	}
	if err := exists(ctx); err != nil {
		return nil, err
	}
	p := noParent()
	if requireFeature(ctx, featLayering) == nil {
		if p, err = parentAt(ctx, id); err != nil {
			return nil, err
		}
	}
	return class.Encode(func(c *denc.Coder) {
		c.I64(&p.Pool)
		c.Str(&p.Image)
		p.Snap.Denc(c)
		c.U64Const(p.overlap())
	}), nil
}

// parentAt is the parent as the head or a snapshot sees it.
func parentAt(ctx class.Context, id ceph.SnapID) (parent, error) {
	p, err := class.GetOr(ctx, "parent", class.Of[parent], noParent())
	if err != nil {
		return p, err
	}
	if p.Namespace != "" {
		return p, ceph.EXDEV
	}
	if id == ceph.NoSnap {
		return p, nil
	}
	s, err := class.GetOr(ctx, snapKey(id), class.Of[snap], snap{})
	switch {
	case err != nil:
		return p, err
	case s.ParentOverlap == nil:
		return noParent(), nil
	case !p.exists():
		return p, ceph.EINVAL
	}
	p.Overlap = s.ParentOverlap
	return p, nil
}

func setParent(ctx class.Context, in []byte) ([]byte, error) {
	p := parent{Overlap: new(uint64)}
	err := class.Decode(in, func(c *denc.Coder) {
		c.I64(&p.Pool)
		c.Str(&p.Image)
		p.Snap.Denc(c)
		c.U64(p.Overlap)
	})
	if err != nil {
		return nil, err
	}
	return nil, attachParent(ctx, p, false)
}

func removeParent(ctx class.Context, _ []byte) ([]byte, error) {
	return nil, detachParent(ctx, true)
}

func parentGet(ctx class.Context, _ []byte) ([]byte, error) {
	if err := exists(ctx); err != nil {
		return nil, err
	}
	p := noParent()
	if requireFeature(ctx, featLayering) == nil {
		var err error
		if p, err = class.GetOr(ctx, "parent", class.Of[parent], noParent()); err != nil {
			return nil, err
		}
	}
	return class.Encode(p.Parent.Denc), nil
}

func parentOverlapGet(ctx class.Context, in []byte) ([]byte, error) {
	id, err := class.Input(in, class.Of[ceph.SnapID])
	if err != nil {
		return nil, err
	}
	var overlap *uint64
	if requireFeature(ctx, featLayering) == nil {
		if id == ceph.NoSnap {
			var p parent
			p, err = class.GetOr(ctx, "parent", class.Of[parent], noParent())
			overlap = p.Overlap
		} else {
			var s snap
			s, err = class.Get(ctx, snapKey(id), class.Of[snap])
			overlap = s.ParentOverlap
		}
		if err != nil {
			return nil, err
		}
	}
	return class.Encode(func(c *denc.Coder) {
		denc.OptionalFunc(c, &overlap, (*denc.Coder).U64)
	}), nil
}

func parentAttach(ctx class.Context, in []byte) ([]byte, error) {
	p := parent{Overlap: new(uint64)}
	var reattach bool
	err := class.Decode(in, func(c *denc.Coder) {
		p.Parent.Denc(c)
		c.U64(p.Overlap)
		if c.Remaining() > 0 {
			c.Bool(&reattach)
		}
	})
	if err != nil {
		return nil, err
	}
	return nil, attachParent(ctx, p, reattach)
}

func parentDetach(ctx class.Context, _ []byte) ([]byte, error) {
	return nil, detachParent(ctx, false)
}

// attachParent links the image to a snapshot. A parent that is there already is EEXIST, unless
// it is the same one left by a flatten, or the caller insists.
func attachParent(ctx class.Context, p parent, reattach bool) error {
	if err := exists(ctx); err != nil {
		return err
	}
	if err := requireFeature(ctx, featLayering); err != nil {
		return err
	}
	if !p.exists() || p.overlap() == 0 {
		return ceph.EINVAL
	}
	old, err := class.Get(ctx, "parent", class.Of[parent])
	if err != nil && !class.IsMissing(err) {
		return err
	}
	if err == nil && (old.Overlap != nil || old.Parent != p.Parent) && !reattach {
		return ceph.EEXIST
	}
	size, err := class.Get(ctx, "size", class.U64)
	if err != nil {
		return err
	}
	overlap := min(p.overlap(), size)
	p.Overlap = &overlap
	return class.Put(ctx, "parent", class.Of[parent], p)
}

// detachParent unlinks the head from its parent. Snapshots that still see the parent keep the
// link, unless the image can flatten them as well.
func detachParent(ctx class.Context, legacy bool) error {
	if err := exists(ctx); err != nil {
		return err
	}
	features, err := class.Get(ctx, "features", class.U64)
	if class.IsMissing(err) || (err == nil && features&featLayering == 0) {
		return ceph.ENOEXEC
	}
	if err != nil {
		return err
	}
	p, err := class.Get(ctx, "parent", class.Of[parent])
	switch {
	case err != nil:
		return err
	case legacy && p.Namespace != "":
		return ceph.EXDEV
	case p.Overlap == nil:
		return ceph.ENOENT
	}
	err = scanSnaps(ctx, func(s *snap) error {
		if s.ParentOverlap == nil {
			return nil
		}
		if features&featDeepFlatten == 0 {
			return ceph.EEXIST
		}
		s.ParentOverlap = nil
		return class.Put(ctx, snapKey(s.ID), class.Of[snap], *s)
	})
	snapsRemain := errors.Is(err, ceph.EEXIST)
	if err != nil && !snapsRemain {
		return err
	}
	if snapsRemain {
		p.Overlap = nil
		return class.Put(ctx, "parent", class.Of[parent], p)
	}
	if err := class.Remove(ctx, "parent"); err != nil {
		return err
	}
	return setOpFeatures(ctx, 0, opFeatCloneChild)
}
