package rbd

import (
	"errors"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/rbdspec"
	"glue/osd/class"
)

// Clones of the first kind are listed in the pool's object rbd_children, by parent.

// A parentRef names a snapshot as the keys of rbd_children do.
type parentRef struct {
	pool  uint64
	image string
	snap  ceph.SnapID
}

func (p *parentRef) Denc(c *denc.Coder) {
	c.U64(&p.pool)
	c.Str(&p.image)
	p.snap.Denc(c)
}

func (p *parentRef) key() string { return string(class.EncodeValue(p)) }

// parentAndChild reads the input of addChild and removeChild.
func parentAndChild(in []byte) (p parentRef, name string, err error) {
	err = class.Decode(in, func(c *denc.Coder) {
		p.Denc(c)
		c.Str(&name)
	})
	return p, name, err
}

func addChild(ctx class.Context, in []byte) ([]byte, error) {
	p, name, err := parentAndChild(in)
	if err != nil {
		return nil, err
	}
	set, err := class.GetOr(ctx, p.key(), stringSet, nil)
	if err != nil {
		return nil, err
	}
	if _, ok := set[name]; ok {
		return nil, ceph.EEXIST
	}
	if set == nil {
		set = map[string]struct{}{}
	}
	set[name] = struct{}{}
	return nil, class.Put(ctx, p.key(), stringSet, set)
}

func removeChild(ctx class.Context, in []byte) ([]byte, error) {
	p, name, err := parentAndChild(in)
	if err != nil {
		return nil, err
	}
	set, err := class.Get(ctx, p.key(), stringSet)
	if err != nil {
		return nil, err
	}
	if _, ok := set[name]; !ok {
		return nil, ceph.ENOENT
	}
	if delete(set, name); len(set) == 0 {
		return nil, ctx.OmapRm(p.key())
	}
	return nil, class.Put(ctx, p.key(), stringSet, set)
}

func getChildren(ctx class.Context, in []byte) ([]byte, error) {
	p, err := class.Input(in, class.Of[parentRef])
	if err != nil {
		return nil, err
	}
	set, err := class.Get(ctx, p.key(), stringSet)
	if err != nil {
		return nil, err
	}
	return class.Encoded(stringSet, set), nil
}

// Clones of the second kind are listed in the header of their parent, by snapshot.

// snapAndChild reads the input of childAttach and childDetach.
func snapAndChild(in []byte) (id ceph.SnapID, h child, err error) {
	err = class.Decode(in, func(c *denc.Coder) {
		id.Denc(c)
		h.Denc(c)
	})
	return id, h, err
}

func childAttach(ctx class.Context, in []byte) ([]byte, error) {
	id, h, err := snapAndChild(in)
	if err != nil {
		return nil, err
	}
	s, err := class.Get(ctx, snapKey(id), class.Of[snap])
	if err != nil {
		return nil, err
	}
	if s.Space.Kind == rbdspec.SnapTrash {
		return nil, ceph.ENOENT
	}
	all, err := class.GetOr(ctx, snapChildrenKey(id), class.Of[children], nil)
	if err != nil {
		return nil, err
	}
	i, found := slices.BinarySearchFunc(all, h, compareChildren)
	if found {
		return nil, ceph.EEXIST
	}
	all = slices.Insert(all, i, h)
	s.Children++
	err = ctx.OmapSet(map[string][]byte{
		snapChildrenKey(id): class.Encoded(class.Of[children], all),
		snapKey(id):         class.Encoded(class.Of[snap], s)})
	if err != nil {
		return nil, err
	}
	return nil, setOpFeatures(ctx, opFeatCloneParent, opFeatCloneParent)
}

func childDetach(ctx class.Context, in []byte) ([]byte, error) {
	id, h, err := snapAndChild(in)
	if err != nil {
		return nil, err
	}
	s, err := class.Get(ctx, snapKey(id), class.Of[snap])
	if err != nil {
		return nil, err
	}
	all, err := class.GetOr(ctx, snapChildrenKey(id), class.Of[children], nil)
	if err != nil {
		return nil, err
	}
	if int(s.Children) != len(all) {
		return nil, ceph.EINVAL
	}
	i, found := slices.BinarySearchFunc(all, h, compareChildren)
	if !found {
		return nil, ceph.ENOENT
	}
	if all = slices.Delete(all, i, i+1); len(all) == 0 {
		err = class.Remove(ctx, snapChildrenKey(id))
	} else {
		err = class.Put(ctx, snapChildrenKey(id), class.Of[children], all)
	}
	if err != nil {
		return nil, err
	}
	s.Children--
	if err := class.Put(ctx, snapKey(id), class.Of[snap], s); err != nil || s.Children > 0 {
		return nil, err
	}
	return nil, dropCloneParent(ctx, id)
}

// dropCloneParent turns the feature off if no snapshot but one that just lost its last has clones.
func dropCloneParent(ctx class.Context, id ceph.SnapID) error {
	err := scanSnaps(ctx, func(s *snap) error {
		if s.ID != id && s.Children > 0 {
			return ceph.EEXIST
		}
		return nil
	})
	if errors.Is(err, ceph.EEXIST) {
		return nil
	}
	if err != nil {
		return err
	}
	return setOpFeatures(ctx, 0, opFeatCloneParent)
}

func childrenList(ctx class.Context, in []byte) ([]byte, error) {
	id, err := class.Input(in, class.Of[ceph.SnapID])
	if err != nil {
		return nil, err
	}
	if _, err := class.Get(ctx, snapKey(id), class.Of[snap]); err != nil {
		return nil, err
	}
	all, err := class.Get(ctx, snapChildrenKey(id), class.Of[children])
	if err != nil {
		return nil, err
	}
	return class.Encoded(class.Of[children], all), nil
}
