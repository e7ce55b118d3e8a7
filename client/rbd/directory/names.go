// Package directory is what a pool, or a namespace of it, knows of its images beside their headers:
// which names there are and whose ids they are, what is in the trash, and which namespaces the pool
// has, in the format of librbd of Ceph 16.2. A name is an object of its own, with the id, and a
// pair in the directory; the object comes first and goes first. Any goroutine may call it.
package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd/class"
	"glue/client/rbd/layout"
)

// ID finds an image's id; ENOENT without the image. Where the removal of a name was interrupted
// only the directory has it.
func ID(ctx context.Context, x *rados.IOCtx, name string) (string, error) {
	var id string
	got := func(c *denc.Coder) { c.Str(&id) }
	err := class.Call(ctx, x, layout.IDPrefix+name, "get_id", nil, got)
	if errors.Is(err, ceph.ENOENT) {
		err = class.Call(ctx, x, layout.DirectoryObject, "dir_get_id", class.Str(name), got)
	}
	if err != nil {
		return "", fmt.Errorf("image %s of pool %s: %w", name, x.PoolName(), err)
	}
	return id, nil
}

// CheckName fails with EINVAL if nothing can have the name.
func CheckName(name string) error {
	if name == "" || strings.ContainsAny(name, "@/") {
		return fmt.Errorf("%q is not a name: it has something, but no @ and no /: %w", name,
			ceph.EINVAL)
	}
	return nil
}

// Validate makes sure that the namespace is there and, once per pool, that objects can be
// overwritten.
func Validate(ctx context.Context, x *rados.IOCtx) error {
	const validated = "overwrite validated"
	if ns := x.Namespace(); ns != "" {
		ok, err := HasNamespace(ctx, x)
		if err == nil && !ok {
			err = fmt.Errorf("namespace %s of pool %s does not exist: %w", ns, x.PoolName(),
				ceph.ENOENT)
		}
		if err != nil {
			return err
		}
	}
	data, err := x.Read(ctx, layout.InfoObject, 0, 0)
	if err != nil && !errors.Is(err, ceph.ENOENT) {
		return fmt.Errorf("check the pool: %w", err)
	}
	if strings.HasPrefix(string(data), validated) {
		return nil
	}
	if err := x.Write(ctx, layout.InfoObject, []byte("validate"), 0); err != nil {
		return fmt.Errorf("check the pool: %w", err)
	}
	if err := x.Write(ctx, layout.InfoObject, []byte(validated), 0); err != nil {
		return fmt.Errorf("pool %s cannot hold images, as objects cannot be overwritten: %w",
			x.PoolName(), err)
	}
	return nil
}

// Add takes a name for an id; EEXIST if it is taken.
func Add(ctx context.Context, x *rados.IOCtx, name, id string) error {
	add := new(rados.WriteOp)
	if x.Namespace() != "" { // it may be about to be removed
		add.Exec("rbd", "dir_state_assert",
			class.Encode(func(c *denc.Coder) { c.U8Const(directoryReady) }))
	}
	return take(ctx, x, name, id, add.Exec("rbd", "dir_add_image", class.Str(name, id)))
}

// take makes the object of a name and changes the directory.
func take(ctx context.Context, x *rados.IOCtx, name, id string, change *rados.WriteOp) error {
	if err := makeName(ctx, x, name, id); err != nil {
		return err
	}
	if err := x.Operate(ctx, layout.DirectoryObject, change); err != nil {
		_ = x.Remove(context.WithoutCancel(ctx), layout.IDPrefix+name)
		return err
	}
	return nil
}

// makeName makes the object of a name.
func makeName(ctx context.Context, x *rados.IOCtx, name, id string) error {
	return x.Operate(ctx, layout.IDPrefix+name,
		new(rados.WriteOp).Create(true).Exec("rbd", "set_id", class.Str(id)))
}

// PutBack is Add for a name that the image had, where either half may be there; EEXIST if another
// image has it.
func PutBack(ctx context.Context, x *rados.IOCtx, name, id string) error {
	var has string
	read := func(c *denc.Coder) { c.Str(&has) }
	err := class.Call(ctx, x, layout.IDPrefix+name, "get_id", nil, read)
	if err == nil && has != id {
		return fmt.Errorf("another image has the name %s; rename it (rbd mv) and abort again: %w",
			name, ceph.EEXIST)
	}
	if err != nil && !errors.Is(err, ceph.ENOENT) {
		return err
	}
	add := class.Change(ctx, x, layout.DirectoryObject, "dir_add_image", class.Str(name, id))
	if errors.Is(add, ceph.EEXIST) { // who was interrupted has, or another image
		add = class.Call(ctx, x, layout.DirectoryObject, "dir_get_id", class.Str(name), read)
		if add == nil && has != id {
			add = ceph.EEXIST
		}
	}
	if add == nil && err != nil {
		add = makeName(ctx, x, name, id)
	}
	if add != nil {
		return fmt.Errorf("restore image %s: %w", name, add)
	}
	return nil
}

// Drop gives a name back.
func Drop(ctx context.Context, x *rados.IOCtx, name, id string) error {
	if err := class.UnlessGone(x.Remove(ctx, layout.IDPrefix+name)); err != nil {
		return fmt.Errorf("remove the name %s: %w", name, err)
	}
	err := class.Change(ctx, x, layout.DirectoryObject, "dir_remove_image", class.Str(name, id))
	if err := class.UnlessGone(err); err != nil {
		return fmt.Errorf("remove %s from the directory: %w", name, err)
	}
	return nil
}

// NameOf finds the name of an image by its id, in the trash too.
func NameOf(
	ctx context.Context, x *rados.IOCtx, id string,
) (name string, trashed bool, err error) {
	err = class.Call(ctx, x, layout.DirectoryObject, "dir_get_name", class.Str(id),
		func(c *denc.Coder) { c.Str(&name) })
	if !errors.Is(err, ceph.ENOENT) {
		return name, false, err
	}
	e, err := TrashGet(ctx, x, id)
	return e.Name, true, err
}

// Rename gives an image another name; EEXIST if that is taken.
func Rename(ctx context.Context, x *rados.IOCtx, id, from, to string) error {
	op := new(rados.WriteOp).Exec("rbd", "dir_rename_image", class.Str(from, to, id))
	if err := take(ctx, x, to, id, op); err != nil {
		return err
	}
	return class.UnlessGone(x.Remove(ctx, layout.IDPrefix+from))
}
