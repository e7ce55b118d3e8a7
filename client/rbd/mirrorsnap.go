package rbd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rbd/class"
	"glue/client/rbd/directory"
	"glue/client/rbd/layout"
	"glue/client/rbd/mirroring"
	"glue/client/rbd/objectmap"
	"glue/cluster/rbdspec"
)

// maxMirrorSnaps is how many mirror snapshots a peer may have left to copy
// (rbd_mirroring_max_mirroring_snapshots).
const maxMirrorSnaps = 5

const mirrorStatePrefix = "rbd_mirror_snapshot."

// CreateMirrorSnapshot keeps the image as it is now for the pool's peers, and lets go of the
// mirror snapshots that none of them needs, or that are more than a peer may be behind. EINVAL
// if the image is not mirrored by snapshots, is not primary, or if the pool sends to no peer.
func (i *Image) CreateMirrorSnapshot(ctx context.Context) (ceph.SnapID, error) {
	m, err := i.store.MirrorImage(ctx, i.id)
	if err != nil {
		return 0, err
	}
	if !m.BySnapshot() {
		return 0, fmt.Errorf("image %s is not mirrored by snapshots: %w", i.name, ceph.EINVAL)
	}
	peers, err := mirroring.Targets(ctx, i.x)
	if err != nil {
		return 0, err
	}
	if len(peers) == 0 {
		return 0, fmt.Errorf("pool %s has no peer to send to (rbd mirror pool peer add): %w",
			i.x.PoolName(), ceph.EINVAL)
	}
	name := ".mirror.primary." + m.GlobalID + "." + newUUID()

	q, err := i.quiesce(ctx, QuiesceDefault)
	if err != nil {
		return 0, err
	}
	defer q.end()
	h, data, om, done, err := i.alone(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	if err := q.lasts(); err != nil {
		return 0, err
	}
	if !h.Primary() {
		return 0, fmt.Errorf("image %s is not primary here: %w", i.name, ceph.EINVAL)
	}
	id, err := i.keepSnap(ctx, h, data, om, name, rbdspec.SnapSpace{Kind: SnapMirror,
		Mirror: rbdspec.MirrorSpace{State: layout.MirrorPrimary, Peers: peers,
			PrimarySnap: ceph.NoSnap},
	})
	if id != 0 && err == nil {
		err = i.completeMirrorSnap(ctx, h, id, name)
	}
	if err = errors.Join(err, i.reread(ctx)); err != nil {
		return id, fmt.Errorf("create a mirror snapshot of image %s: %w", i.name, err)
	}
	q.end()
	if err := i.unlinkMirrorSnaps(ctx, om, id, peers); err != nil {
		return id, fmt.Errorf("remove old mirror snapshots of image %s: %w", i.name, err)
	}
	return id, nil
}

// newUUID makes a random UUID.
func newUUID() string {
	var number ceph.UUID
	_, _ = rand.Read(number[:]) // does not fail
	number[6], number[8] = number[6]&0x0f|0x40, number[8]&0x3f|0x80
	return number.String()
}

// completeMirrorSnap writes down what the peers have to know of the image beside its data, and
// then lets them copy it.
func (i *Image) completeMirrorSnap(
	ctx context.Context, h *header, id ceph.SnapID, name string,
) error {
	state, err := i.mirrorState(ctx, h)
	if err != nil {
		return err
	}
	oids := i.mirrorStateObjects(id, len(state))
	for n, part := range slices.Backward(oids) { // the first one says how many there are
		end := min((n+1)<<layout.DefaultOrder, len(state))
		if err := i.x.WriteFull(ctx, part, state[n<<layout.DefaultOrder:end]); err != nil {
			return fmt.Errorf("write the state of the image: %w", err)
		}
	}
	return i.changeSnap(ctx, h, "complete", name, "mirror_image_snapshot_set_copy_progress",
		class.Encode(func(c *denc.Coder) {
			complete, copied := true, uint64(0)
			id.Denc(c)
			c.Bool(&complete)
			c.U64(&copied)
		}))
}

// mirrorStateObjects are the objects with the state of the image at a mirror snapshot.
func (i *Image) mirrorStateObjects(id ceph.SnapID, size int) []string {
	out := make([]string, 1+size>>layout.DefaultOrder)
	for n := range out {
		out[n] = fmt.Sprintf("%s%s.%d.%d", mirrorStatePrefix, i.id, id, n)
	}
	return out
}

// implicit are the features that come with others, or with what is done to the image.
const implicit = StripingV2 | DataPool | FastDiff | Operations | Migrating | NonPrimary |
	DirtyCache

// mirrorState is ImageStateHeader and ImageState: name, features, limit and user's snapshots of
// the image, and its metadata.
func (i *Image) mirrorState(ctx context.Context, h *header) ([]byte, error) {
	metadata, err := i.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(metadata, func(key string, _ []byte) bool {
		return strings.HasPrefix(key, ".rbd")
	})
	var limit uint64
	err = class.Call(ctx, i.x, layout.HeaderPrefix+i.id, "snapshot_get_limit", nil,
		func(c *denc.Coder) { c.U64(&limit) })
	if err != nil {
		return nil, fmt.Errorf("limit of snapshots of image %s: %w", i.name, err)
	}
	// A name that it was opened by, such as an id, is not what the peers are to call it.
	name, _, err := directory.NameOf(ctx, i.store.x, i.id)
	if err != nil {
		return nil, fmt.Errorf("name of image %s: %w", i.name, err)
	}
	return encodeMirrorState(name, h, limit, metadata), nil
}

func encodeMirrorState(
	name string, h *header, limit uint64, metadata map[string][]byte,
) []byte {
	state := class.Encode(func(c *denc.Coder) {
		s := c.Begin(1, 1)
		c.Str(&name)
		c.U64Const(uint64(h.Features &^ implicit))
		c.U64(&limit)
		user := map[ceph.SnapID]mirroredSnap{}
		for _, n := range h.Snapshots {
			if n.Kind == SnapUser {
				user[n.ID] = mirroredSnap{n.Name, n.Protection}
			}
		}
		denc.MapFunc(c, &user, func(c *denc.Coder, id *ceph.SnapID) { id.Denc(c) },
			func(c *denc.Coder, n *mirroredSnap) { n.denc(c) })
		denc.MapFunc(c, &metadata, (*denc.Coder).Str, (*denc.Coder).Blob)
		s.End()
	})
	return append(class.Encode(func(c *denc.Coder) {
		s := c.Begin(1, 1)
		c.U32Const(uint32(1 + (stateHeaderBytes+len(state))>>layout.DefaultOrder))
		s.End()
	}), state...)
}

// stateHeaderBytes is how long ImageStateHeader is.
const stateHeaderBytes = 10

// A mirroredSnap is a user's snapshot in the state of an image (SnapState).
type mirroredSnap struct {
	name       string
	protection uint8
}

func (n *mirroredSnap) denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	space := c.Begin(1, 1)
	c.U32Const(SnapUser)
	space.End()
	c.Str(&n.name)
	c.U8(&n.protection)
	s.End()
}

// surplus is the first mirror snapshot, but the newest, that one of the peers is not to have any
// more, and that peer: it is in nobody's way, was never completed, or the peer has too many.
func surplus(snaps []Snapshot, newest ceph.SnapID, peers []string) (*Snapshot, string) {
	for _, peer := range peers {
		var kept []*Snapshot // of the peer, since the image was promoted
		for n := range snaps {
			s := &snaps[n]
			m := &s.Space.Mirror
			linked := slices.Contains(m.Peers, peer)
			switch {
			case s.Kind != SnapMirror:
			case m.State != layout.MirrorPrimary:
				kept = nil
			case len(m.Peers) > 0 && !linked:
			case (len(m.Peers) == 0 || !m.Complete) && s.ID != newest:
				return s, peer
			default:
				kept = append(kept, s)
			}
			if len(kept) > maxMirrorSnaps {
				return kept[maxMirrorSnaps-1], peer
			}
		}
	}
	return nil, ""
}

// unlinkMirrorSnaps lets go of the mirror snapshots that are too many.
func (i *Image) unlinkMirrorSnaps(
	ctx context.Context, m *objectmap.Map, newest ceph.SnapID, peers []string,
) error {
	for {
		h, _, err := i.fresh(ctx)
		if err != nil {
			return err
		}
		s, peer := surplus(h.Snapshots, newest, peers)
		if s == nil {
			return nil
		}
		if len(s.Space.Mirror.Peers) > 1 {
			err = i.changeSnap(ctx, h, "unlink", s.Name, "mirror_image_snapshot_unlink_peer",
				class.Encode(func(c *denc.Coder) {
					s.ID.Denc(c)
					c.Str(&peer)
				}))
			err = errors.Join(err, i.reread(ctx))
		} else {
			err = i.removeSnap(ctx, h, m, s)
		}
		if err != nil {
			return err
		}
	}
}

// removeMirrorState removes what completeMirrorSnap wrote.
func (i *Image) removeMirrorState(ctx context.Context, id ceph.SnapID) error {
	first := i.mirrorStateObjects(id, 0)[0]
	raw, err := i.x.Read(ctx, first, 0, 1<<8)
	if errors.Is(err, ceph.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	var count uint32
	err = class.Decode(raw, func(c *denc.Coder) {
		s := c.Begin(1, 1)
		c.U32(&count)
		s.End()
	})
	if err != nil || count == 0 || count > 1<<10 {
		count = 1 // it goes all the same
	}
	oids := i.mirrorStateObjects(id, int(count-1)<<layout.DefaultOrder)
	for _, oid := range slices.Backward(oids) {
		if err := i.x.Remove(ctx, oid); err != nil && !errors.Is(err, ceph.ENOENT) {
			return fmt.Errorf("remove the state of the image at a mirror snapshot: %w", err)
		}
	}
	return nil
}
