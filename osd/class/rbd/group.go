package rbd

import (
	"fmt"
	"strconv"
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/rbdspec"
	"glue/osd/class"
)

// The pool's object rbd_group_directory maps names of groups to ids and back, with the methods of
// rbd_directory; rbd_group_header.ID holds a group's images and snapshots.

const (
	groupRef         = "rbd_group_ref" // in an image's header
	groupImagePrefix = "image_"
)

// groupImageKey is an image's key in the group; pool -1 sorts before all.
func groupImageKey(g rbdspec.GroupImage) string {
	if g.Pool == -1 {
		return ""
	}
	return fmt.Sprintf("%s%016x_%s", groupImagePrefix, uint64(g.Pool), g.Image)
}

// groupImageOf reads a key.
func groupImageOf(key string) (g rbdspec.GroupImage, err error) {
	pool, image, ok := strings.Cut(strings.TrimPrefix(key, groupImagePrefix), "_")
	if !ok {
		return g, ceph.EIO
	}
	n, err := strconv.ParseUint(pool, 16, 64)
	if err != nil {
		return g, ceph.EIO
	}
	return rbdspec.GroupImage{Image: image, Pool: int64(n)}, nil
}

func groupImageSet(ctx class.Context, in []byte) ([]byte, error) {
	g, err := class.Input(in, class.Of[rbdspec.GroupMember])
	if err != nil {
		return nil, err
	}
	return nil, class.Put(ctx, groupImageKey(g.GroupImage), class.U8, g.State)
}

func groupImageRemove(ctx class.Context, in []byte) ([]byte, error) {
	g, err := class.Input(in, class.Of[rbdspec.GroupImage])
	if err != nil {
		return nil, err
	}
	return nil, ctx.OmapRm(groupImageKey(g))
}

func groupImageList(ctx class.Context, in []byte) ([]byte, error) {
	var start rbdspec.GroupImage
	var max uint64
	err := class.Decode(in, func(c *denc.Coder) {
		start.Denc(c)
		c.U64(&max)
	})
	if err != nil {
		return nil, err
	}
	var out []rbdspec.GroupMember
	err = class.Scan(ctx, groupImageKey(start), groupImagePrefix, func(key string, v []byte) error {
		if uint64(len(out)) >= max {
			return class.ErrEnough
		}
		state, err := class.Input(v, class.U8)
		if err != nil {
			return ceph.EIO
		}
		image, err := groupImageOf(key)
		out = append(out, rbdspec.GroupMember{GroupImage: image, State: state})
		return err
	})
	if err != nil {
		return nil, err
	}
	return class.Encode(func(c *denc.Coder) { denc.List(c, &out) }), nil
}

// groupOf reads which group an image belongs to: ENOENT if none, EINVAL if that can't be read.
func groupOf(ctx class.Context) (rbdspec.Group, error) {
	raw, err := ctx.OmapVal(groupRef)
	if err != nil {
		return rbdspec.Group{}, err
	}
	return class.Input(raw, class.Of[rbdspec.Group])
}

// imageGroupAdd puts an image into a group; it can be in one only.
func imageGroupAdd(ctx class.Context, in []byte) ([]byte, error) {
	g, err := class.Input(in, class.Of[rbdspec.Group])
	if err != nil {
		return nil, err
	}
	old, err := groupOf(ctx)
	switch {
	case err == nil && old == g:
		return nil, nil
	case err == nil:
		return nil, ceph.EEXIST
	case !class.IsMissing(err):
		return nil, err
	}
	if err := setOpFeatures(ctx, opFeatGroup, opFeatGroup); err != nil {
		return nil, err
	}
	return nil, class.Put(ctx, groupRef, class.Of[rbdspec.Group], g)
}

func imageGroupRemove(ctx class.Context, in []byte) ([]byte, error) {
	g, err := class.Input(in, class.Of[rbdspec.Group])
	if err != nil {
		return nil, err
	}
	old, err := groupOf(ctx)
	if err != nil {
		return nil, err
	}
	if old != g {
		return nil, ceph.EBADF
	}
	if err := ctx.OmapRm(groupRef); err != nil {
		return nil, err
	}
	return nil, setOpFeatures(ctx, 0, opFeatGroup)
}

func imageGroupGet(ctx class.Context, _ []byte) ([]byte, error) {
	g, err := groupOf(ctx)
	if class.IsMissing(err) {
		g = rbdspec.Group{Pool: -1}
	} else if err != nil {
		return nil, err
	}
	return class.Encoded(class.Of[rbdspec.Group], g), nil
}

// groupSnapSet records a snapshot; a new one may not reuse an id, nor the name of another.
func groupSnapSet(ctx class.Context, in []byte) ([]byte, error) {
	g, err := class.Input(in, class.Of[rbdspec.GroupSnap])
	if err != nil {
		return nil, err
	}
	if g.Name == "" || g.ID == "" {
		return nil, ceph.EINVAL
	}
	err = scanGroupSnaps(ctx, "", func(o *rbdspec.GroupSnap) error {
		if o.Name == g.Name && o.ID != g.ID {
			return ceph.EEXIST
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if g.State == rbdspec.GroupSnapIncomplete {
		if _, err := ctx.OmapVal(snapPrefix + g.ID); err == nil {
			return nil, ceph.EEXIST
		} else if !class.IsMissing(err) {
			return nil, err
		}
	}
	return nil, class.Put(ctx, snapPrefix+g.ID, class.Of[rbdspec.GroupSnap], g)
}

// scanGroupSnaps calls f for the snapshots with ids above start.
func scanGroupSnaps(ctx class.Context, start string, f func(*rbdspec.GroupSnap) error) error {
	return class.Scan(ctx, snapPrefix+start, snapPrefix, func(_ string, v []byte) error {
		var g rbdspec.GroupSnap
		if err := class.DecodeStored(v, &g); err != nil {
			return err
		}
		return f(&g)
	})
}

func groupSnapRemove(ctx class.Context, in []byte) ([]byte, error) {
	id, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	return nil, ctx.OmapRm(snapPrefix + id)
}

func groupSnapGet(ctx class.Context, in []byte) ([]byte, error) {
	id, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	return class.Getter(snapPrefix+id, class.Of[rbdspec.GroupSnap])(ctx, nil)
}

// groupSnapList lists snapshots; an error ends the list early and is not told, as in Ceph.
func groupSnapList(ctx class.Context, in []byte) ([]byte, error) {
	var start rbdspec.GroupSnap
	var max uint64
	err := class.Decode(in, func(c *denc.Coder) {
		start.Denc(c)
		c.U64(&max)
	})
	if err != nil {
		return nil, err
	}
	var out []rbdspec.GroupSnap
	_ = scanGroupSnaps(ctx, start.ID, func(g *rbdspec.GroupSnap) error {
		if uint64(len(out)) >= max {
			return class.ErrEnough
		}
		out = append(out, *g)
		return nil
	})
	return class.Encode(func(c *denc.Coder) { denc.List(c, &out) }), nil
}
