package rbd

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

// mirrorObject holds how the images of a pool, or of a namespace, are mirrored.
const mirrorObject = "rbd_mirroring"

// Modes of mirroring of a pool or namespace (MIRROR_MODE_*).
const (
	MirrorDisabled = 0
	MirrorByImage  = 1 // of the images that it was enabled for
	MirrorPool     = 2 // of all images with journals
)

// Modes of mirroring of an image (MIRROR_IMAGE_MODE_*).
const (
	MirrorJournal  = 0
	MirrorSnapshot = 1
)

// A MirrorImage says how an image is mirrored.
type MirrorImage rbdspec.MirrorImage

// Denc is version 2.
func (m *MirrorImage) Denc(c *denc.Coder) { (*rbdspec.MirrorImage)(m).Denc(c) }

// BySnapshot says whether the image is mirrored, by snapshots.
func (m *MirrorImage) BySnapshot() bool {
	return m.State == mirrorEnabled && m.Mode == MirrorSnapshot
}

// MirrorMode is how the images of the store are mirrored.
func (s *Store) MirrorMode(ctx context.Context) (uint32, error) {
	var mode uint32
	err := class.Call(ctx, s.x, mirrorObject, "mirror_mode_get", nil,
		func(c *denc.Coder) { c.U32(&mode) })
	if err != nil && !errors.Is(err, ceph.ENOENT) {
		return 0, fmt.Errorf("mirroring of pool %s: %w", s.x.PoolName(), err)
	}
	return mode, nil
}

// MirrorImage is how an image is mirrored; ENOENT if it is not.
func (s *Store) MirrorImage(ctx context.Context, id string) (MirrorImage, error) {
	var m MirrorImage
	err := class.Call(ctx, s.x, mirrorObject, "mirror_image_get", class.Str(id), m.Denc)
	if err != nil {
		return m, fmt.Errorf("mirroring of image id %s: %w", id, err)
	}
	return m, nil
}

// mirrorImages lists the images that are mirrored, by id.
func (s *Store) mirrorImages(ctx context.Context) ([]string, error) {
	list, err := class.Entries(ctx, s.x, mirrorObject, "mirror_image_list")
	if err != nil {
		return nil, fmt.Errorf("list mirrored images: %w", err)
	}
	var out []string
	for _, e := range list { // of the id and the global one
		out = append(out, e.Name)
	}
	return out, nil
}

// MirroredBySnapshot lists the images that are mirrored by snapshots, by id, and whether this
// cluster has the primary copy.
func (s *Store) MirroredBySnapshot(ctx context.Context) (map[string]bool, error) {
	ids, err := s.mirrorImages(ctx)
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
				if mirrored, primary, errs[w] = s.mirrorState(ctx, ids[n]); mirrored {
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

// mirrorState says whether an image is mirrored by snapshots and whether it is primary; one that
// is gone is neither.
func (s *Store) mirrorState(ctx context.Context, id string) (mirrored, primary bool, err error) {
	m, err := s.MirrorImage(ctx, id)
	if err != nil || !m.BySnapshot() {
		return false, false, class.UnlessGone(err)
	}
	h := &header{}
	err = class.Call(ctx, s.x, layout.HeaderPrefix+id, "get_snapcontext", nil, func(c *denc.Coder) {
		h.SnapSeq.Denc(c)
		denc.List(c, &h.SnapIDs)
	})
	if err != nil {
		return false, false, class.UnlessGone(err)
	}
	for _, number := range h.SnapIDs { // newest first
		var n Snapshot
		err := class.Call(ctx, s.x, layout.HeaderPrefix+id, "snapshot_get",
			class.U64(uint64(number)), n.DencInfo)
		switch {
		case errors.Is(err, ceph.ENOENT):
		case err != nil:
			return false, false, err
		case n.Kind == SnapMirror:
			return true, n.Space.Mirror.State == layout.MirrorPrimary, nil
		}
	}
	return true, false, nil
}

// mirrorTargets lists the UUIDs of the pool's peers that receive from this cluster.
func mirrorTargets(ctx context.Context, x *rados.IOCtx) ([]string, error) {
	var peers []rbdspec.MirrorPeer
	err := class.Call(ctx, x.WithNamespace(""), mirrorObject, "mirror_peer_list", nil,
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
