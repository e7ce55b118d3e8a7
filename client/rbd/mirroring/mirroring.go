// Package mirroring reads how a pool's images are mirrored: object rbd_mirroring, which class rbd
// keeps. All of it may be called from any goroutine. Specified by cls_rbd of Ceph 16.2.
package mirroring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd/class"
	"glue/client/rbd/layout"
	"glue/cluster/rbdspec"
)

// Object holds how the images of a pool, or of a namespace, are mirrored.
const Object = "rbd_mirroring"

// Modes of mirroring of a pool or namespace (MIRROR_MODE_*).
const (
	Disabled = 0
	ByImage  = 1 // of the images that it was enabled for
	Pool     = 2 // of all images with journals
)

// Modes of mirroring of an image (MIRROR_IMAGE_MODE_*).
const (
	ByJournal   = 0
	BySnapshots = 1
)

// States of the mirroring of an image (MIRROR_IMAGE_STATE_*).
const (
	ImageDisabling = 0
	ImageEnabled   = 1
	ImageDisabled  = 2
)

// An Image says how an image is mirrored.
type Image rbdspec.MirrorImage

// Denc is version 2.
func (m *Image) Denc(c *denc.Coder) { (*rbdspec.MirrorImage)(m).Denc(c) }

// BySnapshot says whether the image is mirrored, by snapshots.
func (m *Image) BySnapshot() bool { return m.State == ImageEnabled && m.Mode == BySnapshots }

// Mode is how the images of a pool or namespace are mirrored.
func Mode(ctx context.Context, x *rados.IOCtx) (uint32, error) {
	var mode uint32
	err := class.Call(ctx, x, Object, "mirror_mode_get", nil,
		func(c *denc.Coder) { c.U32(&mode) })
	if err != nil && !errors.Is(err, ceph.ENOENT) {
		return 0, fmt.Errorf("mirroring of pool %s: %w", x.PoolName(), err)
	}
	return mode, nil
}

// Of is how an image is mirrored; ENOENT if it is not.
func Of(ctx context.Context, x *rados.IOCtx, id string) (Image, error) {
	var m Image
	err := class.Call(ctx, x, Object, "mirror_image_get", class.Str(id), m.Denc)
	if err != nil {
		return m, fmt.Errorf("mirroring of image id %s: %w", id, err)
	}
	return m, nil
}

// images lists the images that are mirrored, by id.
func images(ctx context.Context, x *rados.IOCtx) ([]string, error) {
	list, err := class.Entries(ctx, x, Object, "mirror_image_list")
	if err != nil {
		return nil, fmt.Errorf("list mirrored images: %w", err)
	}
	var out []string
	for _, e := range list { // of the id and the global one
		out = append(out, e.Name)
	}
	return out, nil
}

// BySnapshot lists the images that are mirrored by snapshots, by id, and whether this
// cluster has the primary copy.
func BySnapshot(ctx context.Context, x *rados.IOCtx) (map[string]bool, error) {
	ids, err := images(ctx, x)
	if err != nil {
		return nil, err
	}
	const parallel = 16
	var mu sync.Mutex
	out, errs := map[string]bool{}, make([]error, parallel)
	var all sync.WaitGroup
	for w := range min(parallel, len(ids)) {
		all.Go(func() {
			for n := w; n < len(ids) && errs[w] == nil; n += parallel {
				var mirrored, primary bool
				if mirrored, primary, errs[w] = state(ctx, x, ids[n]); mirrored {
					mu.Lock()
					out[ids[n]] = primary
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return out, errors.Join(errs...)
}

// state says whether an image is mirrored by snapshots and whether it is primary; one that
// is gone is neither.
func state(
	ctx context.Context, x *rados.IOCtx, id string,
) (mirrored, primary bool, err error) {
	m, err := Of(ctx, x, id)
	if err != nil || !m.BySnapshot() {
		return false, false, class.UnlessGone(err)
	}
	var h layout.Header
	err = class.Call(ctx, x, layout.HeaderPrefix+id, "get_snapcontext", nil, func(c *denc.Coder) {
		h.SnapSeq.Denc(c)
		denc.List(c, &h.SnapIDs)
	})
	if err != nil {
		return false, false, class.UnlessGone(err)
	}
	for _, number := range h.SnapIDs { // newest first
		var n layout.Snapshot
		err := class.Call(ctx, x, layout.HeaderPrefix+id, "snapshot_get",
			class.U64(uint64(number)), n.DencInfo)
		switch {
		case errors.Is(err, ceph.ENOENT):
		case err != nil:
			return false, false, err
		case n.Kind == layout.SnapMirror:
			return true, n.Space.Mirror.State == layout.MirrorPrimary, nil
		}
	}
	return true, false, nil
}

// Targets lists the UUIDs of the pool's peers that receive from this cluster.
func Targets(ctx context.Context, x *rados.IOCtx) ([]string, error) {
	var peers []rbdspec.MirrorPeer
	err := class.Call(ctx, x.WithNamespace(""), Object, "mirror_peer_list", nil,
		func(c *denc.Coder) { denc.List(c, &peers) })
	if err != nil {
		return nil, fmt.Errorf("peers of pool %s: %w", x.PoolName(), err)
	}
	var out []string
	for _, p := range peers {
		if p.Direction != rbdspec.PeerRX {
			out = append(out, p.UUID)
		}
	}
	slices.Sort(out)
	return out, nil
}
