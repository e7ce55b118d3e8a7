package rbd

import (
	"context"
	"errors"
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rbd/class"
	"glue/client/rbd/directory"
	"glue/client/rbd/journal"
	"glue/client/rbd/layout"
	"glue/client/rbd/notice"
	"glue/client/stripe"
	"glue/cluster/osdmap"
	"glue/cluster/rbdspec"
)

type (
	parentSpec = rbdspec.Parent // the snapshot that an image was cloned from
	childSpec  = rbdspec.Child  // a clone
)

// parentStore is the pool and namespace of the parent.
func (i *Image) parentStore(p *parentSpec) *Store { return i.store.at(p.Pool, p.Namespace) }

// openParent opens the parent of what a header describes, unless it has none or it is open.
func (i *Image) openParent(ctx context.Context, h *header) error {
	if h.Parent == nil || h.Overlap == 0 {
		return nil
	}
	if old := i.head(); old != nil && old.from != nil && *old.Parent == *h.Parent {
		h.from = old.from
		return nil
	}
	parent := newImage(i.parentStore(h.Parent), "id "+h.Parent.Image, h.Parent.Image, true)
	parent.snap = h.Parent.Snap
	if err := parent.refresh(ctx); err != nil {
		return fmt.Errorf("open the parent of image %s: %w", i.name, err)
	}
	if parent.head().Features.Has(Migrating) {
		return fmt.Errorf("the parent of image %s is being migrated, and can't be read by this "+
			"client: %w", i.name, ceph.EOPNOTSUPP)
	}
	h.from = parent
	return nil
}

// A Parent says what an image is a clone of.
type Parent struct {
	Pool, Namespace string
	Image, ImageID  string
	Snapshot        string
	Trashed         bool   // the parent image is in the trash
	Overlap         uint64 // bytes that are read from it where the image has nothing
}

// Parent is what the image, or the open snapshot, is a clone of; nil if it is none.
func (i *Image) Parent(ctx context.Context) (*Parent, error) {
	h, _, err := i.fresh(ctx)
	if err != nil || h.from == nil {
		return nil, err
	}
	s := i.parentStore(h.Parent)
	p := &Parent{Pool: s.x.PoolName(), Namespace: h.Parent.Namespace, ImageID: h.Parent.Image,
		Overlap: h.Overlap}
	if snap := h.from.head().ByID(h.Parent.Snap); snap != nil {
		if p.Snapshot = snap.Name; snap.Kind == SnapTrash {
			p.Snapshot = snap.Space.OriginalName
		}
	}
	p.Image, p.Trashed, err = directory.NameOf(ctx, s.x, h.Parent.Image)
	return p, err
}

// A Child is a clone of a snapshot.
type Child struct {
	Pool, Namespace, Image, ImageID string
	Trashed                         bool
}

// Children lists the clones of a snapshot.
func (i *Image) Children(ctx context.Context, name string) ([]Child, error) {
	s, err := i.Snapshot(ctx, name)
	if err != nil {
		return nil, err
	}
	list, err := i.clones(ctx, s.ID)
	if err != nil {
		return nil, fmt.Errorf("clones of snapshot %s of image %s: %w", name, i.name, err)
	}
	var out []Child
	for _, h := range list {
		x := i.store.at(h.Pool, h.Namespace).x
		c := Child{Pool: x.PoolName(), Namespace: h.Namespace, ImageID: h.Image}
		c.Image, c.Trashed, err = directory.NameOf(ctx, x, h.Image)
		if err != nil && !errors.Is(err, ceph.ENOENT) {
			return nil, fmt.Errorf("clone id %s: %w", h.Image, err)
		}
		out = append(out, c)
	}
	return out, nil
}

// clones lists the clones of a snapshot, of both kinds.
func (i *Image) clones(ctx context.Context, id ceph.SnapID) ([]childSpec, error) {
	list, err := i.oldChildren(ctx, id)
	if err != nil {
		return nil, err
	}
	var more []childSpec
	err = class.Call(ctx, i.x, layout.HeaderPrefix+i.id, "children_list", class.U64(uint64(id)),
		func(c *denc.Coder) { denc.List(c, &more) })
	if err != nil && !errors.Is(err, ceph.ENOENT) {
		return nil, err
	}
	return append(list, more...), nil
}

// oldArg is the key of a snapshot in the list of clones of the first kind.
func oldArg(p *parentSpec, child ...string) []byte {
	return class.Encode(func(c *denc.Coder) {
		c.I64(&p.Pool)
		c.Str(&p.Image)
		p.Snap.Denc(c)
		for n := range child {
			c.Str(&child[n])
		}
	})
}

// oldChildren lists the clones of the first kind, which are in lists of all pools, in the namespace
// of the image.
func (i *Image) oldChildren(ctx context.Context, id ceph.SnapID) ([]childSpec, error) {
	spec := parentSpec{Pool: i.x.PoolID(), Image: i.id, Snap: id}
	var out []childSpec
	for _, p := range i.x.Cluster().Pools() {
		var ids map[string]struct{}
		x := i.store.at(p.ID, i.x.Namespace()).x
		err := class.Call(ctx, x, layout.ChildrenObject, "get_children", oldArg(&spec),
			func(c *denc.Coder) { denc.SetFunc(c, &ids, (*denc.Coder).Str) })
		if err != nil && !errors.Is(err, ceph.ENOENT) && !errors.Is(err, ceph.EOPNOTSUPP) {
			return nil, fmt.Errorf("look for clones in pool %s: %w", p.Name, err)
		}
		for child := range ids {
			out = append(out, childSpec{Pool: p.ID, Image: child, Namespace: x.Namespace()})
		}
	}
	return out, nil
}

// Clone makes an image that begins as a snapshot of another and shares its data until they are
// changed. Zero fields of o are as the parent's. CloneFormat 1 needs a protected snapshot (EINVAL
// without); 0 is what the cluster's oldest allowed clients understand (rbd_default_clone_format).
func (s *Store) Clone(
	ctx context.Context, parent *Image, snap, name string, o CreateOptions,
) error {
	h, _, err := parent.fresh(ctx)
	if err != nil {
		return err
	}
	from, err := h.Find(parent.name, snap)
	if err != nil {
		return err
	}
	format, err := s.cloneFormat(ctx, o.CloneFormat)
	switch {
	case err != nil:
		return err
	case !h.Features.Has(Layering):
		return fmt.Errorf("image %s does not have feature layering: %w", parent.name, ceph.ENOSYS)
	case format == 1 && s.x.Namespace() != parent.x.Namespace():
		return notAcross(parent)
	case format == 1 && !from.Protected:
		return fmt.Errorf("snapshot %s of image %s must be protected first (or use clones of "+
			"format 2): %w", snap, parent.name, ceph.EINVAL)
	}
	o.Size = from.Size
	if o.Order == 0 {
		o.Order = h.Order
	}
	if o.Features == 0 && !o.NoFeatures {
		o.Features, o.NoFeatures = h.Features&DefaultFeatures, true
	}
	if !o.Features.Has(Layering) {
		return fmt.Errorf("a clone needs feature layering: %w", ceph.EINVAL)
	}
	id, err := s.create(ctx, name, o)
	if err != nil {
		return err
	}
	spec := parentSpec{Pool: parent.x.PoolID(), Namespace: parent.x.Namespace(),
		Image: parent.id, Snap: from.ID}
	if err := s.attach(ctx, parent, id, spec, from.Size, format); err != nil {
		return errors.Join(fmt.Errorf("clone snapshot %s of image %s: %w", snap, parent.name, err),
			s.remove(context.WithoutCancel(ctx), name, nil))
	}
	return s.copyMetadata(ctx, parent, id)
}

// notAcross says why a clone can't be of format 1: its parent's protection would not see it.
func notAcross(parent *Image) error {
	return fmt.Errorf("a clone of format 1 has to be in the namespace of its parent (%q): %w",
		parent.x.Namespace(), ceph.EXDEV)
}

// mimic is the first release whose clients know clones of format 2.
const mimic osdmap.Release = 13

// cloneFormat settles which kind of clone to make.
func (s *Store) cloneFormat(ctx context.Context, wanted int) (int, error) {
	if wanted == 0 {
		values, err := s.Config().Read(ctx)
		if err != nil {
			return 0, err
		}
		switch option := values.Get("rbd_default_clone_format"); option {
		case "1", "2":
			wanted = int(option[0] - '0')
		case "", "auto":
			wanted = 1
			if s.x.Cluster().Map().RequireMinCompatClient >= mimic {
				wanted = 2
			}
		default:
			return 0, fmt.Errorf("rbd_default_clone_format is %q: it has to be 1, 2 or auto: %w",
				option, ceph.EINVAL)
		}
	}
	if wanted != 1 && wanted != 2 {
		return 0, fmt.Errorf("clones have format 1 or 2, not %d: %w", wanted, ceph.EINVAL)
	}
	return wanted, nil
}

// attach links a new image and its parent to each other.
func (s *Store) attach(
	ctx context.Context, parent *Image, id string, spec parentSpec, size uint64, format int,
) error {
	if size > 0 {
		err := class.Change(ctx, s.x, layout.HeaderPrefix+id, "parent_attach",
			class.Encode(func(c *denc.Coder) {
				reattach := false
				spec.Denc(c)
				c.U64(&size)
				c.Bool(&reattach)
			}))
		if err != nil {
			return fmt.Errorf("link to the parent: %w", err)
		}
	}
	if format == 1 {
		err := class.Change(ctx, s.x, layout.ChildrenObject, "add_child", oldArg(&spec, id))
		if err != nil {
			return fmt.Errorf("list the clone: %w", err)
		}
		// It may have been unprotected since, by who did not see the clone in the list yet.
		if err := parent.refresh(ctx); err != nil {
			return err
		}
		if now := parent.head().ByID(spec.Snap); now == nil || !now.Protected {
			return fmt.Errorf("the snapshot was unprotected meanwhile: %w", ceph.EINVAL)
		}
		return nil
	}
	err := class.Change(ctx, s.x, layout.HeaderPrefix+id, "op_features_set",
		class.Encode(func(c *denc.Coder) {
			c.U64Const(layout.OpCloneChild)
			c.U64Const(layout.OpCloneChild)
		}))
	if err != nil {
		return fmt.Errorf("mark the clone: %w", err)
	}
	child := childSpec{Pool: s.x.PoolID(), Image: id, Namespace: s.x.Namespace()}
	err = class.Change(ctx, parent.x, layout.HeaderPrefix+parent.id, "child_attach",
		class.Encode(func(c *denc.Coder) {
			spec.Snap.Denc(c)
			child.Denc(c)
		}))
	if err != nil {
		return fmt.Errorf("list the clone with its parent: %w", err)
	}
	parent.stale.Store(true)
	notice.HeaderChanged(ctx, parent.x, parent.id)
	return nil
}

func (s *Store) copyMetadata(ctx context.Context, from *Image, id string) error {
	meta, err := from.Metadata(ctx)
	if err != nil || len(meta) == 0 {
		return err
	}
	return class.Change(ctx, s.x, layout.HeaderPrefix+id, "metadata_set",
		class.Pairs(meta))
}

// detachChild takes the image out of its parent's list of clones, and removes the parent's snapshot
// if it waited in the trash for its last clone to go.
func (i *Image) detachChild(ctx context.Context, h *header) error {
	spec := h.Parent
	if h.Operations&layout.OpCloneChild == 0 {
		err := class.Change(ctx, i.x, layout.ChildrenObject, "remove_child", oldArg(spec, i.id))
		if err != nil && !errors.Is(err, ceph.ENOENT) {
			return fmt.Errorf("take image %s off the list of clones: %w", i.name, err)
		}
		return nil
	}
	child := childSpec{Pool: i.x.PoolID(), Image: i.id, Namespace: i.x.Namespace()}
	s := i.parentStore(spec)
	err := class.Change(ctx, s.x, layout.HeaderPrefix+spec.Image, "child_detach",
		class.Encode(func(c *denc.Coder) {
			spec.Snap.Denc(c)
			child.Denc(c)
		}))
	if errors.Is(err, ceph.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("take image %s off its parent's list of clones: %w", i.name, err)
	}
	notice.HeaderChanged(ctx, s.x, spec.Image)
	parent, err := s.OpenID(ctx, spec.Image, false)
	if err != nil {
		return err
	}
	err = parent.purgeTrashed(ctx, spec.Snap)
	return errors.Join(err, parent.Close(ctx))
}

// purgeTrashed removes a snapshot that is in the trash and has no clones.
func (i *Image) purgeTrashed(ctx context.Context, id ceph.SnapID) error {
	if s := i.head().ByID(id); s == nil || s.Kind != SnapTrash || s.Children > 0 {
		return nil
	}
	h, data, m, done, err := i.alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	s := h.ByID(id)
	if s == nil || s.Kind != SnapTrash || s.Children > 0 {
		return nil
	}
	e := journal.Event{Kind: journal.SnapRemove, Name: s.Name, Space: s.Space}
	err = i.operate(ctx, e, func() error { return i.dropSnap(ctx, h, data, m, s) })
	return errors.Join(err, i.reread(ctx))
}

// flattenAtOnce is how many objects are copied before another client gets the lock that wants it:
// what uses the image meanwhile must not stand still until the end.
const flattenAtOnce = 4 * parallel

// Flatten copies from the parent what the image still reads there and cuts the link. With feature
// deep-flatten the image's snapshots become free of the parent too. EINVAL without a parent.
func (i *Image) Flatten(ctx context.Context, p Progress) error {
	s := steps{f: p}
	for next, end := uint64(0), uint64(1); next < end; next += flattenAtOnce {
		var err error
		if end, err = i.flattenFrom(ctx, next, &s); err != nil {
			return fmt.Errorf("flatten image %s: %w", i.name, err)
		}
	}
	return i.detachParent(ctx)
}

// flattenFrom copies some objects from the parent, from the given one on, and returns how many
// there are to copy altogether.
func (i *Image) flattenFrom(ctx context.Context, first uint64, s *steps) (uint64, error) {
	h, data, m, leave, err := i.writable(ctx, 0, 0)
	if err != nil {
		return 0, err
	}
	defer leave()
	switch {
	case h.from == nil && first > 0:
		return 0, nil // another client was faster
	case h.from == nil:
		return 0, fmt.Errorf("it has no parent: %w", ceph.EINVAL)
	}
	t := target{h, data, m}
	s.total = h.Objects(min(h.Size, h.Overlap))
	var pieces []stripe.Piece
	for n := first; n < min(first+flattenAtOnce, s.total); n++ {
		pieces = append(pieces, stripe.Piece{Object: n})
	}
	return s.total, each(ctx, pieces, func(ctx context.Context, e stripe.Piece) error {
		defer s.add(1)
		return t.fill(ctx, e.Object)
	})
}

// detachParent cuts the link to the parent after all was copied.
func (i *Image) detachParent(ctx context.Context) error {
	h, _, _, done, err := i.alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	if h.HeadOverlap == 0 {
		return nil
	}
	return i.operate(ctx, journal.Event{Kind: journal.Flatten},
		func() error { return i.cutOff(ctx, h) })
}

// flattenAll is Flatten while nobody else changes the image.
func (i *Image) flattenAll(ctx context.Context, t target) error {
	if t.h.from == nil || t.h.HeadOverlap == 0 {
		return nil
	}
	pieces := numbered(t.h.Objects(min(t.h.Size, t.h.Overlap)))
	err := each(ctx, pieces, func(ctx context.Context, e stripe.Piece) error {
		return t.fill(ctx, e.Object)
	})
	if err != nil {
		return err
	}
	return i.cutOff(ctx, t.h)
}

// cutOff cuts the link to the parent.
func (i *Image) cutOff(ctx context.Context, h *header) error {
	shared := false // by snapshots that go on to read from the parent
	for _, s := range h.Snapshots {
		shared = shared || s.Overlap != nil && !h.Features.Has(DeepFlatten)
	}
	if !shared {
		if err := i.detachChild(ctx, h); err != nil {
			return err
		}
	}
	op := i.guard(h).Exec("rbd", "parent_detach", nil)
	if err := i.x.Operate(ctx, layout.HeaderPrefix+i.id, op); err != nil {
		return fmt.Errorf("cut image %s off its parent: %w", i.name, err)
	}
	return i.reread(ctx)
}
