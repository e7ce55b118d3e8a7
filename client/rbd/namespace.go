package rbd

import (
	"context"
	"errors"
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
)

// namespaceObject has the namespaces of a pool.
const namespaceObject = "rbd_namespace"

// States of a directory of images (DirectoryState).
const (
	directoryReady  = 0
	directoryClosed = 1 // takes no more images
)

// namespaceObjects are the objects of a namespace beside those of its images.
var namespaceObjects = []string{childrenObject, "rbd_group_directory", infoObject, "rbd_mirroring",
	"rbd_task", trashObject, directoryObject}

// CreateNamespace makes a namespace for images in the pool; EEXIST if there is one of the name.
func (s *Store) CreateNamespace(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	x, in := s.x.WithNamespace(""), s.x.WithNamespace(name)
	err := change(ctx, x, namespaceObject, "namespace_add", strArg(name))
	if err != nil {
		return fmt.Errorf("create namespace %s of pool %s: %w", name, x.PoolName(), err)
	}
	err = in.Create(ctx, trashObject, false)
	if err == nil {
		err = setDirectory(ctx, in, directoryReady)
	}
	if err == nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	_, _ = in.Remove(ctx, directoryObject), in.Remove(ctx, trashObject) // may not be there
	return fmt.Errorf("create namespace %s of pool %s: %w", name, x.PoolName(),
		errors.Join(err, change(ctx, x, namespaceObject, "namespace_remove", strArg(name))))
}

// RemoveNamespace removes a namespace; EBUSY if there are images in it or in its trash.
func (s *Store) RemoveNamespace(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	x, in := s.x.WithNamespace(""), s.x.WithNamespace(name)
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
	list, err := NewStore(in).TrashList(ctx)
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
	if err := change(ctx, x, namespaceObject, "namespace_remove", strArg(name)); err != nil {
		return fail(err)
	}
	return nil
}

// notMirrored fails with EBUSY if a namespace is mirrored.
func notMirrored(ctx context.Context, x *rados.IOCtx) error {
	var mode uint32
	err := call(ctx, x, "rbd_mirroring", "mirror_mode_get", nil,
		func(c *denc.Coder) { c.U32(&mode) })
	if err == nil && mode != 0 {
		return fmt.Errorf("it is mirrored (rbd mirror pool disable): %w", ceph.EBUSY)
	}
	if errors.Is(err, ceph.ENOENT) {
		return nil
	}
	return err
}

func setDirectory(ctx context.Context, x *rados.IOCtx, state uint8) error {
	return change(ctx, x, directoryObject, "dir_state_set",
		encode(func(c *denc.Coder) { c.U8(&state) }))
}

// HasNamespace says whether the pool's namespace that the store is of was made.
func (s *Store) HasNamespace(ctx context.Context) (bool, error) {
	_, err := s.x.Exec(ctx, directoryObject, "rbd", "dir_state_assert",
		encode(func(c *denc.Coder) { c.U8Const(directoryReady) }))
	if errors.Is(err, ceph.ENOENT) || errors.Is(err, ceph.EBUSY) {
		return false, nil
	}
	return err == nil, err
}

// Namespaces lists the namespaces of the pool by name, without the default one.
func (s *Store) Namespaces(ctx context.Context) ([]string, error) {
	str := (*denc.Coder).Str
	out, err := pages(ctx, s.x.WithNamespace(""), namespaceObject, "namespace_list", str, str)
	if err = unlessGone(err); err != nil {
		return nil, fmt.Errorf("list namespaces of pool %s: %w", s.x.PoolName(), err)
	}
	return out, nil
}
