package rbd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"glue/ceph"
	"glue/client/rbd/class"
	"glue/client/rbd/directory"
	"glue/client/rbd/layout"
	"glue/client/rbd/notice"
	"glue/cluster/rbdspec"
)

// MigrationPrepare begins the move of an image to another place or layout: from now on there is the
// destination, which shows what the source has until that is copied (MigrationExecute), and the
// source is in the trash. An empty toName is the image's own. What o leaves open is as with
// DeepCopy; a clone stays one of the same snapshot unless it is to be flattened.
//
// Nothing has changed after EBUSY, if another client has the image open or a snapshot is not a
// user's or in the trash; EEXIST, if the name is taken; EINVAL, if the destination can't have the
// image's clones or its group; EOPNOTSUPP, for images that are mirrored or that this client can't
// write. What fails later is undone. What was interrupted is undone by MigrationAbort with the
// source's name.
func (s *Store) MigrationPrepare(
	ctx context.Context, name string, to *Store, toName string, o CreateOptions, flatten bool,
) error {
	src, err := s.Open(ctx, name, false)
	if err != nil {
		return err
	}
	p := &preparation{src: src, to: to, o: o, flatten: flatten}
	p.m = &Migration{s: s, From: MigrationEnd{s.x.PoolID(), s.x.Namespace(), name, src.id},
		To: MigrationEnd{to.x.PoolID(), to.x.Namespace(), cmp.Or(toName, name), to.newID()}}
	err = p.run(ctx)
	if err = errors.Join(err, src.Close(ctx)); err == nil {
		return nil
	}
	err = fmt.Errorf("prepare the migration of image %s: %w", name, err)
	if !p.begun {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoPatience)
	defer cancel()
	return errors.Join(err, s.MigrationAbort(ctx, name, nil))
}

// A preparation is one under way. The steps are in an order in which a client may be killed after
// any of them: the source's header names the destination before the source loses its name, and the
// destination is born as one, and gets its name when it is all there.
type preparation struct {
	m       *Migration
	src     *Image
	h       *header // of the source
	parent  *Image  // of the source's oldest state; nil if the destination has none
	states  []Snapshot
	to      *Store
	o       CreateOptions
	flatten bool
	pool    int64 // of the data, -1 for the destination's own
	begun   bool  // the source says so
}

func (p *preparation) run(ctx context.Context) error {
	if err := p.src.unwatched(ctx); err != nil {
		return err
	}
	h, _, _, done, err := p.src.alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	p.h = h
	if err := p.check(ctx); err != nil {
		return err
	}
	if err := p.unlinkSource(ctx); err != nil {
		return err
	}
	return p.makeDestination(ctx)
}

// check fails if the image can't be migrated to there.
func (p *preparation) check(ctx context.Context) error {
	src, to := p.src, p.m.To
	if p.to.x.Cluster().FSID() != src.x.Cluster().FSID() {
		return fmt.Errorf("the destination is in another cluster: %w", ceph.EXDEV)
	}
	if err := directory.CheckName(to.Image); err != nil {
		return err
	}
	switch id, err := directory.ID(ctx, p.to.x, to.Image); {
	case err == nil && (id != src.id || to.Pool != p.m.From.Pool ||
		to.Namespace != p.m.From.Namespace):
		return fmt.Errorf("there is an image %s: %w", to.Image, ceph.EEXIST)
	case err != nil && !errors.Is(err, ceph.ENOENT):
		return err
	}
	switch _, err := src.store.MirrorImage(ctx, src.id); {
	case err == nil:
		return fmt.Errorf("migrating an image that is mirrored is not available here; use rbd "+
			"migration prepare, or disable its mirroring first: %w", ceph.EOPNOTSUPP)
	case !errors.Is(err, ceph.ENOENT):
		return err
	}
	if err := p.checkOptions(ctx); err != nil {
		return err
	}
	if err := p.checkSnapshots(ctx); err != nil {
		return err
	}
	if to.Namespace == p.m.From.Namespace {
		return nil
	}
	group, err := src.store.GroupOf(ctx, src.id)
	if err == nil && group != "" {
		err = fmt.Errorf("the image is in group %s, which has none of namespace %q; take it out "+
			"first (rbd group image remove): %w", group, to.Namespace, ceph.EINVAL)
	}
	return err
}

// checkOptions settles what the destination is like.
func (p *preparation) checkOptions(ctx context.Context) (err error) {
	p.o.Like(p.src.Info())
	if err := p.to.defaults(ctx, &p.o); err != nil {
		return err
	}
	if err := p.o.complete(); err != nil {
		return err
	}
	if p.pool, err = p.to.dataPool(ctx, p.o); err != nil {
		return err
	}
	return directory.Validate(ctx, p.to.x)
}

// checkSnapshots settles the states that the destination is to have, the oldest first, and the
// parent.
func (p *preparation) checkSnapshots(ctx context.Context) error {
	p.states = append(p.h.UserSnapshots(),
		Snapshot{ID: ceph.NoSnap, Size: p.h.Size, Overlap: &p.h.HeadOverlap})
	for _, n := range p.h.Snapshots {
		switch n.Kind {
		case SnapUser:
		case SnapTrash:
			return fmt.Errorf("clones need a snapshot that was removed; flatten or remove them "+
				"first: %w", ceph.EBUSY)
		default:
			return fmt.Errorf("snapshot %s is not a user's: %w", n.Name, ceph.EBUSY)
		}
		if err := p.checkClones(ctx, n); err != nil {
			return err
		}
	}
	oldest := &p.states[0]
	if p.flatten || oldest.Overlap == nil || *oldest.Overlap == 0 {
		return nil
	}
	if !p.o.Features.Has(Layering) {
		return fmt.Errorf("it is a clone, and stays one with feature layering or flattened: %w",
			ceph.EINVAL)
	}
	was := p.h.at(oldest)
	err := p.src.openParent(ctx, was)
	p.parent = was.from
	return err
}

// checkClones fails if a snapshot has clones that the destination can't have.
func (p *preparation) checkClones(ctx context.Context, n Snapshot) error {
	list, err := p.src.clones(ctx, n.ID)
	if err != nil || len(list) == 0 {
		return err
	}
	if !p.o.Features.Has(Layering) {
		return fmt.Errorf("snapshot %s has clones, and they need feature layering: %w", n.Name,
			ceph.EINVAL)
	}
	if p.m.To.Namespace == p.m.From.Namespace {
		return nil
	}
	if list, err = p.src.oldChildren(ctx, n.ID); err == nil && len(list) > 0 {
		err = fmt.Errorf("snapshot %s has clones: %w", n.Name, notAcross(p.src))
	}
	return err
}

// unlinkSource marks the source and takes its name away.
func (p *preparation) unlinkSource(ctx context.Context) error {
	src, from, to := p.src, p.m.From, p.m.To
	now := time.Now()
	e := TrashEntry{ID: src.id, TrashImage: rbdspec.TrashImage{Name: from.Image,
		Source: directory.TrashMigration, Deleted: now, Deferred: now,
		State: directory.TrashNormal}}
	err := directory.AddToTrash(ctx, src.x, e)
	if errors.Is(err, ceph.EEXIST) { // by a client that was killed here, if for a migration
		was, e2 := directory.TrashGet(ctx, src.x, src.id)
		switch {
		case e2 != nil:
			return e2
		case was.Source != directory.TrashMigration:
			return fmt.Errorf("it is being moved to the trash: %w", ceph.EBUSY)
		}
		err = errors.Join(directory.RemoveFromTrash(ctx, src.x, src.id),
			directory.AddToTrash(ctx, src.x, e))
	}
	if err != nil {
		return fmt.Errorf("add it to the trash: %w", err)
	}
	src.migrating = true
	p.begun = true // also if the answer does not come
	spec := rbdspec.Migration{HeaderType: rbdspec.MigrationSource, Pool: to.Pool,
		Namespace: to.Namespace, ImageName: to.Image, ImageID: to.ImageID, Flatten: p.flatten,
		State: rbdspec.MigrationPreparing}
	err = class.Change(ctx, src.x, layout.HeaderPrefix+src.id, "migration_set",
		class.Encode(spec.Denc))
	if err != nil {
		return fmt.Errorf("mark it as the source of a migration: %w", err)
	}
	notice.HeaderChanged(ctx, src.x, src.id)
	if err := src.unwatched(ctx); err != nil { // who opened it since, and writes to it
		return err
	}
	return directory.Drop(ctx, src.x, from.Image, src.id)
}

// makeDestination makes the image that is migrated to.
func (p *preparation) makeDestination(ctx context.Context) error {
	m, to := p.m, p.to.x
	m.spec = rbdspec.Migration{HeaderType: rbdspec.MigrationDestination, Pool: m.From.Pool,
		Namespace: m.From.Namespace, ImageName: m.From.Image, ImageID: m.From.ImageID,
		Flatten: p.flatten, Overlap: p.h.Size, State: rbdspec.MigrationPreparing}
	o := p.o
	o.Size, o.Features = p.states[0].Size, o.Features|Migrating
	if err := p.to.createHeader(ctx, m.To.ImageID, p.pool, o, p.born()); err != nil {
		return fmt.Errorf("make the destination: %w", err)
	}
	dst, err := m.open(ctx, m.To)
	if err != nil {
		return err
	}
	err = p.shapeDestination(ctx, dst)
	if err = errors.Join(err, dst.Close(ctx)); err != nil {
		return err
	}
	err = to.OmapSet(ctx, layout.HeaderPrefix+dst.id,
		map[string][]byte{"migration": class.Encode(m.spec.Denc)})
	if err != nil {
		return fmt.Errorf("complete the destination: %w", err)
	}
	if err := directory.Add(ctx, to, m.To.Image, dst.id); err != nil {
		return fmt.Errorf("name the destination %s: %w", m.To.Image, err)
	}
	if err := m.regroup(ctx, m.From, m.To); err != nil {
		return err
	}
	if err := m.setBoth(ctx, rbdspec.MigrationPrepared, ""); err != nil {
		return err
	}
	notice.HeaderChanged(ctx, to, dst.id)
	return m.relink(ctx, p.src, dst, false)
}

// born is what the header of the destination has from its first moment on: who finds it by the
// source's header has to see what it is, and where its bytes are.
func (p *preparation) born() map[string][]byte {
	pairs := map[string][]byte{"migration": class.Encode(p.m.spec.Denc)}
	if p.o.Features.Has(StripingV2) {
		pairs["stripe_unit"] = class.U64(p.o.StripeUnit)
		pairs["stripe_count"] = class.U64(p.o.StripeCount)
	}
	return pairs
}

// shapeDestination gives the destination the parent, metadata and snapshots of the source.
func (p *preparation) shapeDestination(ctx context.Context, dst *Image) error {
	if p.parent != nil {
		if err := p.attachParent(ctx, dst.id); err != nil {
			return err
		}
	}
	if err := p.to.copyMetadata(ctx, p.src, dst.id); err != nil {
		return fmt.Errorf("copy the metadata: %w", err)
	}
	dst.stale.Store(true)
	p.m.spec.SnapSeqs = map[uint64]uint64{}
	for _, s := range p.states {
		var overlap uint64
		if p.parent != nil && s.Overlap != nil {
			overlap = *s.Overlap
		}
		if err := dst.reshape(ctx, s.Size, overlap); err != nil {
			return err
		}
		if s.ID == ceph.NoSnap {
			break
		}
		if err := dst.CreateQuietSnapshot(ctx, s.Name, QuiesceSkip); err != nil {
			return err
		}
		if s.Protected {
			if err := dst.ProtectSnapshot(ctx, s.Name); err != nil {
				return err
			}
		}
		n, err := dst.Snapshot(ctx, s.Name)
		if err != nil {
			return err
		}
		p.m.spec.SnapSeqs[uint64(s.ID)] = uint64(n.ID)
	}
	return nil
}

// attachParent makes the destination a clone of the same kind, if it can be.
func (p *preparation) attachParent(ctx context.Context, id string) (err error) {
	format := 2
	if p.h.Operations&layout.OpCloneChild == 0 {
		if format = 1; p.to.x.Namespace() != p.parent.x.Namespace() {
			if format, err = p.to.cloneFormat(ctx, 0); err != nil {
				return err
			}
		}
	}
	if format == 1 && p.to.x.Namespace() != p.parent.x.Namespace() {
		return fmt.Errorf("flatten it: %w", notAcross(p.parent))
	}
	return p.to.attach(ctx, p.parent, id, *p.h.Parent, *p.states[0].Overlap, format)
}

// reshape gives an image without data a size and an overlap with its parent. Bytes that were cut
// off meanwhile do not see the parent again.
func (i *Image) reshape(ctx context.Context, size, overlap uint64) error {
	h, _, m, done, err := i.alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	change := func(method string, in []byte) {
		if err == nil {
			op := i.guard(h).Exec("rbd", method, in)
			err = i.x.Operate(ctx, layout.HeaderPrefix+i.id, op)
		}
	}
	switch {
	case overlap == 0 && h.HeadOverlap > 0: // snapshots have it still
		change("parent_detach", nil)
	case overlap < h.HeadOverlap:
		change("set_size", class.U64(overlap))
	}
	change("set_size", class.U64(size))
	if err == nil && m != nil {
		err = m.Resize(ctx, h.Objects(size))
	}
	if err != nil {
		return fmt.Errorf("resize image %s: %w", i.name, err)
	}
	return i.reread(ctx)
}

// regroup moves the place in a group, if there is one, from one end to the other. It may have been
// interrupted anywhere: what has its place already may have left one, or got one by half.
func (m *Migration) regroup(ctx context.Context, from, to MigrationEnd) error {
	spec, err := m.groupOf(ctx, from)
	moved := err == nil && spec.Pool < 0
	if moved {
		spec, err = m.groupOf(ctx, to)
	}
	if err != nil || spec.Pool < 0 {
		return err
	}
	g := &Group{store: m.store(from), name: "id " + spec.ID, id: spec.ID}
	g.store = g.in(spec.Pool)
	if !moved {
		err = g.link(ctx, rbdspec.GroupImage{Image: to.ImageID, Pool: to.Pool})
	}
	if err == nil {
		err = g.unlink(ctx, rbdspec.GroupImage{Image: from.ImageID, Pool: from.Pool})
	}
	g.explain(&err, "move image %s", to.Image)
	return err
}

// groupOf is the group that an end is in; its pool is below 0 if it is in none.
func (m *Migration) groupOf(ctx context.Context, e MigrationEnd) (rbdspec.Group, error) {
	spec := rbdspec.Group{Pool: -1}
	err := class.Call(ctx, m.store(e).x, layout.HeaderPrefix+e.ImageID, "image_group_get", nil,
		spec.Denc)
	if err != nil && !errors.Is(err, ceph.EOPNOTSUPP) {
		return spec, fmt.Errorf("group of image %s: %w", e.Image, err)
	}
	return spec, nil
}
