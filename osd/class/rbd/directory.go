package rbd

import (
	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
)

// The pool's object rbd_directory maps names to ids and back.

const (
	dirNamePrefix = "name_"
	dirIDPrefix   = "id_"
)

// States of a directory (DIRECTORY_STATE_*).
const (
	dirReady       = 0
	dirAddDisabled = 1
)

// nameAndID reads two strings.
func nameAndID(in []byte) (name, id string, err error) {
	err = class.Decode(in, func(c *denc.Coder) {
		c.Str(&name)
		c.Str(&id)
	})
	return name, id, err
}

func dirGetID(ctx class.Context, in []byte) ([]byte, error) {
	name, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	return class.Getter(dirNamePrefix+name, class.Str)(ctx, nil)
}

func dirGetName(ctx class.Context, in []byte) ([]byte, error) {
	id, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	return class.Getter(dirIDPrefix+id, class.Str)(ctx, nil)
}

// startAndMax reads where a listing starts and how long it may be.
func startAndMax(in []byte) (start string, max uint64, err error) {
	err = class.Decode(in, func(c *denc.Coder) {
		c.Str(&start)
		c.U64(&max)
	})
	return start, max, err
}

func dirList(ctx class.Context, in []byte) ([]byte, error) {
	return listStrings(ctx, in, dirNamePrefix)
}

// listStrings lists pairs with string values, without the prefix of their keys.
func listStrings(ctx class.Context, in []byte, prefix string) ([]byte, error) {
	start, max, err := startAndMax(in)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	err = class.ScanUpTo(ctx, prefix, start, max, func(name string, v []byte) error {
		id, err := class.Input(v, class.Str)
		if err != nil {
			return ceph.EIO
		}
		found[name] = id
		return nil
	})
	if err != nil {
		return nil, err
	}
	return class.Encode(func(c *denc.Coder) {
		denc.MapFunc(c, &found, (*denc.Coder).Str, (*denc.Coder).Str)
	}), nil
}

func dirAddImage(ctx class.Context, in []byte) ([]byte, error) {
	if err := ctx.Create(false); err != nil {
		return nil, err
	}
	name, id, err := nameAndID(in)
	if err != nil {
		return nil, err
	}
	return nil, dirAdd(ctx, name, id, true)
}

// dirAdd enters an image: EEXIST if the name is taken, EBADF if the id is and that matters.
func dirAdd(ctx class.Context, name, id string, uniqueID bool) error {
	if name == "" || !validID(id) {
		return ceph.EINVAL
	}
	if _, err := class.Get(ctx, dirNamePrefix+name, class.Str); !class.IsMissing(err) {
		return ceph.EEXIST
	}
	if _, err := class.Get(ctx, dirIDPrefix+id, class.Str); !class.IsMissing(err) && uniqueID {
		return ceph.EBADF
	}
	return ctx.OmapSet(map[string][]byte{
		dirNamePrefix + name: class.Encoded(class.Str, id),
		dirIDPrefix + id:     class.Encoded(class.Str, name)})
}

func dirRemoveImage(ctx class.Context, in []byte) ([]byte, error) {
	name, id, err := nameAndID(in)
	if err != nil {
		return nil, err
	}
	return nil, dirRemove(ctx, name, id)
}

// dirRemove removes an image: ESTALE if name and id do not belong together.
func dirRemove(ctx class.Context, name, id string) error {
	storedID, err := class.Get(ctx, dirNamePrefix+name, class.Str)
	if err != nil {
		return err
	}
	storedName, err := class.Get(ctx, dirIDPrefix+id, class.Str)
	if err != nil {
		return err
	}
	if storedName != name || storedID != id {
		return ceph.ESTALE
	}
	if err := ctx.OmapRm(dirNamePrefix + name); err != nil {
		return err
	}
	return ctx.OmapRm(dirIDPrefix + id)
}

// dirRenameImage is one method because the removal could not be seen by an addition that follows
// in the same request.
func dirRenameImage(ctx class.Context, in []byte) ([]byte, error) {
	var from, to, id string
	err := class.Decode(in, func(c *denc.Coder) {
		c.Str(&from)
		c.Str(&to)
		c.Str(&id)
	})
	if err != nil {
		return nil, err
	}
	if err := dirRemove(ctx, from, id); err != nil {
		return nil, err
	}
	return nil, dirAdd(ctx, to, id, false)
}

func dirStateAssert(ctx class.Context, in []byte) ([]byte, error) {
	want, err := class.Input(in, class.U8)
	if err != nil {
		return nil, err
	}
	state, err := class.Get(ctx, "state", class.U8)
	if err != nil {
		return nil, err
	}
	if state != want {
		return nil, ceph.ENOENT
	}
	return nil, nil
}

// dirStateSet opens or closes the directory; only an empty one can be closed.
func dirStateSet(ctx class.Context, in []byte) ([]byte, error) {
	state, err := class.Input(in, class.U8)
	if err != nil {
		return nil, err
	}
	err = exists(ctx)
	if err != nil && !class.IsMissing(err) {
		return nil, err
	}
	switch state {
	case dirReady:
	case dirAddDisabled:
		if err != nil {
			return nil, err
		}
		pairs, _, err := ctx.OmapScan(dirNamePrefix, dirNamePrefix, 1)
		if err != nil {
			return nil, err
		}
		if len(pairs) > 0 {
			return nil, ceph.EBUSY
		}
	default:
		return nil, ceph.EINVAL
	}
	return nil, class.Put(ctx, "state", class.U8, state)
}
