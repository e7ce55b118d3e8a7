package rbd

import (
	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/rbdspec"
	"glue/osd/class"
)

// The pool's object rbd_trash holds the images that were moved to the trash, by id.

const trashPrefix = "id_"

func trashAdd(ctx class.Context, in []byte) ([]byte, error) {
	if err := ctx.Create(false); err != nil {
		return nil, err
	}
	var id string
	var t rbdspec.TrashImage
	err := class.Decode(in, func(c *denc.Coder) {
		c.Str(&id)
		t.Denc(c)
	})
	if err != nil {
		return nil, err
	}
	if !validID(id) {
		return nil, ceph.EINVAL
	}
	if _, err := class.Get(ctx, trashPrefix+id, class.Of[rbdspec.TrashImage]); err == nil {
		return nil, ceph.EEXIST
	} else if !class.IsMissing(err) {
		return nil, err
	}
	return nil, class.Put(ctx, trashPrefix+id, class.Of[rbdspec.TrashImage], t)
}

func trashRemove(ctx class.Context, in []byte) ([]byte, error) {
	id, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	if _, err := ctx.OmapVal(trashPrefix + id); err != nil {
		return nil, err
	}
	return nil, ctx.OmapRm(trashPrefix + id)
}

func trashList(ctx class.Context, in []byte) ([]byte, error) {
	start, max, err := startAndMax(in)
	if err != nil {
		return nil, err
	}
	found := map[string]rbdspec.TrashImage{}
	err = class.ScanUpTo(ctx, trashPrefix, start, max, func(id string, v []byte) error {
		var t rbdspec.TrashImage
		err := class.DecodeStored(v, &t)
		found[id] = t
		return err
	})
	if err != nil {
		return nil, err
	}
	return class.Encode(func(c *denc.Coder) {
		denc.Map(c, &found, (*denc.Coder).Str)
	}), nil
}

func trashGet(ctx class.Context, in []byte) ([]byte, error) {
	id, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	return ctx.OmapVal(trashPrefix + id)
}

// trashStateSet moves an image from one state to another; being there already is no error.
func trashStateSet(ctx class.Context, in []byte) ([]byte, error) {
	var id string
	var state, expect uint8
	err := class.Decode(in, func(c *denc.Coder) {
		c.Str(&id)
		c.U8(&state)
		c.U8(&expect)
	})
	if err != nil {
		return nil, err
	}
	t, err := class.Get(ctx, trashPrefix+id, class.Of[rbdspec.TrashImage])
	switch {
	case err != nil:
		return nil, err
	case t.State == expect:
		t.State = state
		return nil, class.Put(ctx, trashPrefix+id, class.Of[rbdspec.TrashImage], t)
	case t.State == state:
		return nil, nil
	}
	return nil, ceph.ESTALE
}

// The pool's object rbd_namespace holds the names of the namespaces that images can be in.

func namespaceAdd(ctx class.Context, in []byte) ([]byte, error) {
	name, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	if _, err := ctx.OmapVal(dirNamePrefix + name); err == nil {
		return nil, ceph.EEXIST
	} else if !class.IsMissing(err) {
		return nil, err
	}
	return nil, ctx.OmapSet(map[string][]byte{dirNamePrefix + name: nil})
}

func namespaceRemove(ctx class.Context, in []byte) ([]byte, error) {
	name, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	if _, err := ctx.OmapVal(dirNamePrefix + name); err != nil {
		return nil, err
	}
	return nil, ctx.OmapRm(dirNamePrefix + name)
}

func namespaceList(ctx class.Context, in []byte) ([]byte, error) {
	start, max, err := startAndMax(in)
	if err != nil {
		return nil, err
	}
	var names []string
	err = class.ScanUpTo(ctx, dirNamePrefix, start, max, func(name string, _ []byte) error {
		names = append(names, name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return class.Encode(func(c *denc.Coder) {
		denc.ListFunc(c, &names, (*denc.Coder).Str)
	}), nil
}
