package directory

import (
	"context"
	"errors"
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd/class"
	"glue/client/rbd/layout"
	"glue/client/rbd/mirroring"
)

// namespaceObject has the namespaces of a pool.
const namespaceObject = "rbd_namespace"

// States of a directory of images (DirectoryState).
const (
	directoryReady  = 0
	directoryClosed = 1 // takes no more images
)

// namespaceObjects are the objects of a namespace beside those of its images.
var namespaceObjects = []string{layout.ChildrenObject, "rbd_group_directory", layout.InfoObject,
	mirroring.Object, "rbd_task", layout.TrashObject, layout.DirectoryObject}

// CreateNamespace makes a namespace for images in the pool; EEXIST if there is one of the name.
func CreateNamespace(ctx context.Context, x *rados.IOCtx, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	x, in := x.WithNamespace(""), x.WithNamespace(name)
	err := class.Change(ctx, x, namespaceObject, "namespace_add", class.Str(name))
	if err != nil {
		return fmt.Errorf("create namespace %s of pool %s: %w", name, x.PoolName(), err)
	}
	err = in.Create(ctx, layout.TrashObject, false)
	if err == nil {
		err = setDirectory(ctx, in, directoryReady)
	}
	if err == nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	_ = in.Remove(ctx, layout.DirectoryObject) // they may not be there
	_ = in.Remove(ctx, layout.TrashObject)
	err = errors.Join(err,
		class.Change(ctx, x, namespaceObject, "namespace_remove", class.Str(name)))
	return fmt.Errorf("create namespace %s of pool %s: %w", name, x.PoolName(), err)
}

// RemoveNamespace removes a namespace; EBUSY if there are images in it or in its trash.
func RemoveNamespace(ctx context.Context, x *rados.IOCtx, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	x, in := x.WithNamespace(""), x.WithNamespace(name)
	fail := func(err error) error {
		return fmt.Errorf("remove namespace %s of pool %s: %w", name, x.PoolName(), err)
	}
	err := setDirectory(ctx, in, directoryClosed) // fails if there are images
	if errors.Is(err, ceph.EBUSY) {
		return fail(fmt.Errorf("it has images: %w", err))
	}
	if err != nil {
		return fail(err)
	}
	list, err := TrashList(ctx, in)
	if err == nil && len(list) > 0 {
		err = fmt.Errorf("its trash has %d images: %w", len(list), ceph.EBUSY)
	}
	if err == nil {
		err = notMirrored(ctx, in)
	}
	if err != nil {
		return fail(errors.Join(err,
			setDirectory(context.WithoutCancel(ctx), in, directoryReady)))
	}
	for _, oid := range namespaceObjects {
		if err := in.Remove(ctx, oid); err != nil && !errors.Is(err, ceph.ENOENT) {
			return fail(err)
		}
	}
	err = class.Change(ctx, x, namespaceObject, "namespace_remove", class.Str(name))
	if err != nil {
		return fail(err)
	}
	return nil
}

// notMirrored fails with EBUSY if a namespace is mirrored.
func notMirrored(ctx context.Context, x *rados.IOCtx) error {
	mode, err := mirroring.Mode(ctx, x)
	if err == nil && mode != mirroring.Disabled {
		return fmt.Errorf("it is mirrored (rbd mirror pool disable): %w", ceph.EBUSY)
	}
	return err
}

func setDirectory(ctx context.Context, x *rados.IOCtx, state uint8) error {
	return class.Change(ctx, x, layout.DirectoryObject, "dir_state_set",
		class.Encode(func(c *denc.Coder) { c.U8(&state) }))
}

// HasNamespace says whether the pool's namespace was made.
func HasNamespace(ctx context.Context, x *rados.IOCtx) (bool, error) {
	_, err := x.Exec(ctx, layout.DirectoryObject, "rbd", "dir_state_assert",
		class.Encode(func(c *denc.Coder) { c.U8Const(directoryReady) }))
	if errors.Is(err, ceph.ENOENT) || errors.Is(err, ceph.EBUSY) {
		return false, nil
	}
	return err == nil, err
}

// Namespaces lists the namespaces of the pool by name, without the default one.
func Namespaces(ctx context.Context, x *rados.IOCtx) ([]string, error) {
	str := (*denc.Coder).Str
	out, err := class.Pages(ctx, x.WithNamespace(""), namespaceObject, "namespace_list", str, str)
	if err = class.UnlessGone(err); err != nil {
		return nil, fmt.Errorf("list namespaces of pool %s: %w", x.PoolName(), err)
	}
	return out, nil
}
